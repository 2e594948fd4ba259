"""One frame of a street: made, written to the cache, verified and read back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from pointlift.data.scene import Pairs, Scene, View
from pointlift.errors import DataError
from pointlift.worlds.engine import cache as generated
from pointlift.worlds.engine import images, lidar
from pointlift.worlds.engine.cache import Contents, intact, make
from pointlift.worlds.engine.cameras import Picture, render_view
from pointlift.worlds.engine.images import depth_image, label_image
from pointlift.worlds.engine.rays import Caster
from pointlift.worlds.engine.shown import agreement, points_shown
from pointlift.worlds.street import ego, town

__all__ = [
    "Frame",
    "FrameSpec",
    "depth_image",
    "intact",
    "label_agreement",
    "label_image",
    "make",
    "read",
    "read_scene",
    "seen_by",
    "visible_points",
]

GENERATOR_VERSION = 1
"""Raised whenever the same options give other frames, so that none from before is taken for a new one."""
_SCAN = "scan.safetensors"


@dataclass(frozen=True)
class FrameSpec(generated.Spec):
    """All that determines a frame, and the folder that holds it.

    Args:
        folder: of this frame alone.
        style: of the town.
        town_seed: of the town; the sensors' noise is drawn from it too.
        number: of the moment in the town's time.
        beams: of the LiDAR.
        cameras: names.
        image_size: (height, width).
    """

    style: str
    town_seed: int
    number: int
    beams: int
    cameras: tuple[str, ...]
    image_size: tuple[int, int]

    @property
    def version(self) -> int:
        """See `GENERATOR_VERSION`."""
        return GENERATOR_VERSION

    @property
    def group(self) -> tuple[str, int]:
        """Frames of one town have it in common."""
        return self.style, self.town_seed

    @property
    def bytes(self) -> int:
        """About how much a frame takes on disk, rather too much than too little."""
        height, width = self.image_size
        rays = self.beams * lidar.BEAMS[self.beams][2]
        return len(self.cameras) * height * width * 5 + rays * 20 + 20_000

    def contents(self) -> Contents:
        """Generate the files."""
        return _contents(self)


class Frame(NamedTuple):
    """What is known of a frame without reading its points: its views, and the LiDAR's pose (4, 4) in its town."""

    views: list[View]
    pose: np.ndarray
    dropped: int


# ---- reading


def read(spec: FrameSpec) -> Frame:
    """The frame, made first if it is not in the cache, and again (with a warning) if it is damaged there.

    Raises:
        DataError: it cannot be written.
    """
    info = generated.read(spec)
    return Frame(
        images.views_of(info, spec.folder), np.array(info["world_from_points"], dtype=np.float64), int(info["dropped"])
    )


def read_scene(spec: FrameSpec, scene_id: str) -> Scene:
    """The frame as a scene with labels and instances; made first where `read` would make it."""
    frame, path = read(spec), spec.folder / _SCAN
    try:
        tensors = load_tensors(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: the file cannot be read ({error.strerror})") from error
    return Scene(
        points=tensors["points"],
        features=tensors["intensity"][:, None],
        views=frame.views,
        labels=tensors["labels"].astype(np.int64),
        instances=tensors["instances"].astype(np.int64),
        id=scene_id,
        files=dict.fromkeys(("points", "features", "labels", "instances"), path),
        dropped=frame.dropped,
    )


# ---- making


def _contents(spec: FrameSpec) -> Contents:
    moment = _town(spec.town_seed, spec.style).world(spec.number)
    street, own = moment.split()
    caster, carrier = Caster(street.vertices, street.faces), Caster(own.vertices, own.faces)
    pose = moment.world_from_lidar
    scan = lidar.scan(street, caster, carrier, pose, spec.beams, _rng(spec, 0))  # type: ignore[arg-type]
    contents, views = {_SCAN: _packed(scan)}, {}
    for name in spec.cameras:
        camera = ego.camera(name, spec.image_size)
        contents |= images.pictures(name, seen_by(name, spec, street, caster))
        views[name] = images.calibration(camera, ego.camera_from_lidar(camera))
    return contents, {"world_from_points": pose.tolist(), "views": views, "dropped": scan.dropped}


def seen_by(name: str, spec: FrameSpec, street: ego.Moment, caster: Caster) -> Picture:
    """What a camera of a frame sees of its street, which is without the ego vehicle."""
    place = list(ego.CAMERAS).index(name)  # the noise of a camera does not depend on which others there are
    camera = ego.camera(name, spec.image_size).placed(street.world_from_ego)
    return render_view(street, caster, camera, _rng(spec, 1 + place))


@lru_cache(maxsize=1)
def _town(seed: int, style: str) -> town.Town:
    """The town last built: its frames are mostly asked for one after the other."""
    return town.build(seed, style=style)


def _rng(spec: FrameSpec, purpose: int) -> np.random.Generator:
    return np.random.default_rng([spec.town_seed, spec.number, purpose])


def _packed(scan: lidar.Scan) -> bytes:
    return save_tensors(
        {
            "points": scan.points,
            "intensity": scan.intensity,
            "labels": scan.labels.astype(np.int8),
            "instances": scan.instances.astype(np.int32),
        }
    )


# ---- what the cameras truly see


def visible_points(scene: Scene, tolerance: float = 0.1) -> Pairs:
    """The points of a street's scene that its cameras truly see, by their depth images, and where.

    A point counts as seen if it lies within ``tolerance`` metres plus 1 % of its depth of the surface that its nearest
    pixel shows (see `points_shown`).

    Raises:
        DataError: the scene's views are not those of a generated world.
    """
    return points_shown(scene, depth_image, tolerance, min_depth=0.5)


def label_agreement(scene: Scene) -> float:
    """Share of the visible points whose label is that of their nearest pixel; NaN if no point is visible."""
    return agreement(scene, visible_points(scene), label_image)
