"""Which scenes are read: those of a split, the ones that are asked for, and steps through them."""

from __future__ import annotations

from pathlib import Path

from pointlift.datasets.nuscenes.reading import scene_names
from pointlift.datasets.nuscenes.splits import split_scenes
from pointlift.errors import DataError


def chosen_scenes(folder: Path, split: str, scenes: list[str | int] | None, scene_step: int) -> list[str]:
    """Names of the scenes to read, in the order of scene.json; steps as SLidR counts them: the first is the n-th."""
    on_disk = scene_names(folder)
    allowed = split_scenes(split, folder.name)
    chosen = [name for name in on_disk if allowed is None or name in allowed]
    if not chosen:
        raise DataError(f"{folder / 'scene.json'}: none of the scenes of split '{split}' is there; {_some(on_disk)}")
    if scenes is not None:
        if not scenes:
            raise DataError("nuscenes: scenes is empty; name some, or leave it out")
        wanted = [name if isinstance(name, str) else f"scene-{name:04d}" for name in scenes]
        for name in wanted:
            if name not in chosen:
                where = "not in this table" if name not in on_disk else f"not in split '{split}'"
                raise DataError(f"{folder / 'scene.json'}: the scene '{name}' is {where}; {_some(chosen)}")
        chosen = [name for name in chosen if name in wanted]
    stepped = chosen[scene_step - 1 :: scene_step]
    if not stepped:
        raise DataError(f"nuscenes: scene_step {scene_step} leaves none of the {len(chosen)} scenes of split '{split}'")
    return stepped


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return f"there are: {shown}" if len(names) <= 5 else f"there are {len(names)}, such as {shown}"
