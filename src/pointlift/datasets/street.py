"""The embedded data set: streets that pointlift makes itself, with a LiDAR, cameras and a class for every point."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from pointlift.data.dataset import Dataset
from pointlift.data.options import cache_folder, image_sides, one_of, within
from pointlift.data.scene import Scene, View
from pointlift.errors import DataError
from pointlift.options import DATA_ROOT, LOCAL
from pointlift.progress import Progress
from pointlift.registry import DATASETS
from pointlift.worlds.engine.workers import make_missing
from pointlift.worlds.street import frames
from pointlift.worlds.street.classes import CLASSES
from pointlift.worlds.street.frames import GENERATOR_VERSION, FrameSpec
from pointlift.worlds.street.town import FRAMES, STYLES

MIXED = ("suburb", "centre", "industrial")
"""Towns of ``town="mixed"``, in turn; the coast is kept for tests out of distribution."""
SPLITS = {"train": (40, 8), "val": (12, 2), "test": (12, 2), "teacher": (60, 4)}
"""Default number of sequences and of frames of each."""
MOST_SEQUENCES = 10_000

Camera = Literal["front", "left", "right", "rear"]
Pixels = Annotated[int, Field(ge=16, le=4096)]


@DATASETS.register("street")
class Street(Dataset):
    """Streets made by the package itself: no download, the same for the same options, kept in a cache folder.

    A sequence is a few seconds of drive through a town of its own, which is made of triangles with a class and a
    material each. Rays are cast through it for a spinning LiDAR (range noise of 2 cm, returns lost on dark, far or
    slanted surfaces, intensity from reflectance and incidence) and for pinhole cameras (patterns of surfaces, sun,
    shadow, sky, haze, noise) with exactly known calibration, all at one instant. Points are in the LiDAR frame (x
    forward, y left, z up; metres), 1.9 m above the road; returns from the ego vehicle are dropped and counted. Depth
    images are 16-bit PNGs of metres times 256, 0 in the sky.

    Frames are made when they are first asked for, or all at once in parallel by `prepare`; opening makes nothing. A
    frame that is damaged in the cache is made again, with a warning that names the file.

    The same options give the same bytes on one machine. Between machines, and with or without embreex, the ray caster
    that is used where it is installed, the random draws are the same and rounding may differ: which side of an edge a
    ray hits. That concerns fewer than 0.1 % of the labels of pixels and of the points, and images by less than half of
    255 levels on average; how PNG files are compressed may differ too.

    The towns of different splits, and of different seeds, are never the same. A frame does not depend on how many
    others are asked for.

    Args:
        root: the cache folder; None is ``~/.cache/pointlift/street``.
        split: train, val, test, or teacher (the embedded teacher learned from 160 × 2 of it).
        seed: of the towns and all that is in them; from 0 to 99999.
        sequences: number of towns; by default 40 (train), 12 (val, test) or 60 (teacher).
        frames: per sequence, at most 16, spread over eight seconds of drive; by default 8 (train), 2 (val, test) or 4
            (teacher).
        town: mixed (suburb, centre and industrial in turn), one of these, or coast, which looks unlike them.
        beams: 32 (+10 to -30 degrees, 1024 azimuths) or 64 (+2 to -24.8 degrees, 2048 azimuths); 80 m at most.
        cameras: any of front, left, right and rear.
        image_size: height, width; the horizontal field of view is 90 degrees.
        workers: processes in which `prepare` makes frames; 0: in this one; None: one per core.

    Raises:
        DataError: an option that means nothing, a root that cannot be written, or no room on the disk.
    """

    name = "street"
    class_names = tuple(name for name, _ in CLASSES)
    class_colors = tuple(color for _, color in CLASSES)
    feature_names = ("intensity",)
    labels = frozenset({"points"})
    subset_options = ("sequences", "frames")
    prompts: dict[str, tuple[str, ...]] = {  # noqa: RUF012
        "road": ("road",),
        "pavement": ("pavement",),
        "terrain": ("terrain", "grass", "dirt"),
        "building": ("building", "house"),
        "vegetation": ("vegetation", "tree", "bush"),
        "car": ("car",),
        "lorry": ("lorry", "truck"),
        "bus": ("bus", "coach"),
        "two-wheeler": ("bicycle", "motorcycle", "scooter"),
        "pedestrian": ("pedestrian", "person"),
        "pole": ("pole", "lamp", "sign"),
        "barrier": ("barrier", "fence", "wall"),
        "cone": ("cone",),
    }

    def __init__(
        self,
        *,
        root: Annotated[Path | None, DATA_ROOT] = None,
        split: Literal["train", "val", "test", "teacher"] = "train",
        seed: Annotated[int, Field(ge=0, lt=100_000)] = 0,
        sequences: Annotated[int, Field(ge=1, le=MOST_SEQUENCES)] | None = None,
        frames: Annotated[int, Field(ge=1, le=FRAMES)] | None = None,
        town: Literal["mixed", "suburb", "centre", "industrial", "coast"] = "mixed",
        beams: Literal[32, 64] = 32,
        cameras: tuple[Camera, ...] = ("front", "left", "right"),
        image_size: tuple[Pixels, Pixels] = (192, 384),
        workers: Annotated[Annotated[int, Field(ge=0)] | None, LOCAL] = None,
    ) -> None:
        one_of(self.name, "split", split, SPLITS)
        one_of(self.name, "town", town, ("mixed", *STYLES))
        one_of(self.name, "beams", beams, (32, 64))
        for camera in cameras:
            one_of(self.name, "cameras", camera, ("front", "left", "right", "rear"))
        if not cameras or len(set(cameras)) < len(cameras):
            raise DataError(f"street: cameras must name at least one camera, and each once, not {list(cameras)}")
        usual = SPLITS[split]
        self._sequences = within(
            self.name, "sequences", usual[0] if sequences is None else sequences, 1, MOST_SEQUENCES
        )
        self._frames = within(self.name, "frames", usual[1] if frames is None else frames, 1, FRAMES)
        self.seed = within(self.name, "seed", seed, 0, 99_999)
        self.split, self.town, self.beams, self.cameras = split, town, beams, tuple(cameras)
        self.image_size = image_sides(self.name, image_size)
        self.workers = workers
        self.root = cache_folder(self.name, root)
        self._specs = [self._spec(number, place) for number in range(self._sequences) for place in range(self._frames)]

    def _spec(self, number: int, place: int) -> FrameSpec:
        style = MIXED[number % len(MIXED)] if self.town == "mixed" else self.town
        moment = place * FRAMES // self._frames
        height, width = self.image_size
        sensors = f"{self.beams}-beams-{'-'.join(self.cameras)}-{height}x{width}"
        kind = f"v{GENERATOR_VERSION}-{self.split}-seed{self.seed}-{sensors}"
        return FrameSpec(
            folder=self.root / kind / f"{style}-{number:04d}" / f"{moment:04d}",
            style=style,
            town_seed=_town_seed(self.seed, self.split, style, number),
            number=moment,
            beams=self.beams,
            cameras=self.cameras,
            image_size=self.image_size,
        )

    @property
    def ids(self) -> list[str]:
        """The id of every scene: the town, the number of the sequence, and the moment."""
        return [f"{spec.folder.parent.name}/{spec.folder.name}" for spec in self._specs]

    def __len__(self) -> int:
        return len(self._specs)

    def __getitem__(self, index: int) -> Scene:  # type: ignore[override]
        spec = self._specs[index]
        return frames.read_scene(spec, f"{spec.folder.parent.name}/{spec.folder.name}").validate()

    def views(self, index: int) -> list[View]:
        """The views of scene ``index``, without reading its points."""
        return frames.read(self._specs[index]).views

    def pose(self, index: int) -> np.ndarray:
        """Town from scan (4, 4): takes points of scene ``index`` to a frame that all scans of its sequence share."""
        return frames.read(self._specs[index]).pose

    def label_image(self, index: int, view: str) -> np.ndarray:
        """Class (H, W) int64 of what each pixel of a view of scene ``index`` shows, -1 in the sky."""
        one_of(self.name, "view", view, self.cameras)
        return frames.label_image(self.views(index)[self.cameras.index(view)])  # type: ignore[arg-type]

    def prepare(self, progress: Progress | None = None) -> dict[str, Any]:
        """Make all frames that are not in the cache yet, in parallel; see `make_missing`."""
        return make_missing(self._specs, self.root, self.workers, "streets", progress)


def _town_seed(seed: int, split: str, style: str, number: int) -> int:
    """A number of its own for each town: its parts are digits of it."""
    parts = (list(SPLITS).index(split), len(SPLITS)), (STYLES.index(style), len(STYLES)), (number, MOST_SEQUENCES)
    for value, count in parts:
        seed = seed * count + value
    return seed
