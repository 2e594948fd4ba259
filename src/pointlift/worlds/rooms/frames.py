"""One RGB-D frame of a room, or the cloud of a whole one: made, written to the cache, verified and read back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from pointlift.data import camera
from pointlift.data.scene import Pairs, Scene, View
from pointlift.errors import DataError
from pointlift.worlds.engine import cache as generated
from pointlift.worlds.engine.cache import Contents, intact, make
from pointlift.worlds.engine.images import pixels_of, png
from pointlift.worlds.engine.rays import Caster
from pointlift.worlds.engine.shown import agreement, points_shown
from pointlift.worlds.rooms import sensors, world

__all__ = [
    "Frame",
    "FrameSpec",
    "depth_image",
    "intact",
    "label_agreement",
    "label_image",
    "make",
    "read",
    "read_frame",
    "read_room",
    "visible_points",
]

GENERATOR_VERSION = 1
"""Raised whenever the same options give other frames, so that none from before is taken for a new one."""
IGNORED = 255  # in label images
DEPTH_UNITS = 1000  # per metre, as in ScanNet's depth images
VIEW = "color"
"""Name of the one view of a frame."""
FEWEST = 20
"""A thing with fewer points than this in the cloud of a room has no box there."""
_CLOUD = "cloud.safetensors"


@dataclass(frozen=True)
class FrameSpec(generated.Spec):
    """All that determines a frame, or the cloud of a room, and the folder that holds it.

    Args:
        folder: of this frame alone.
        kind: of the room.
        room_seed: of the room; the sensors' noise is drawn from it too.
        moment: on the camera's path; -1 for the cloud of the whole room.
        image_size: (height, width); (0, 0) for a cloud.
        points: of the cloud; 0 for a frame.
    """

    kind: str
    room_seed: int
    moment: int
    image_size: tuple[int, int]
    points: int = 0

    @property
    def version(self) -> int:
        """See `GENERATOR_VERSION`."""
        return GENERATOR_VERSION

    @property
    def group(self) -> tuple[str, int]:
        """What all frames of one room have in common."""
        return self.kind, self.room_seed

    @property
    def bytes(self) -> int:
        """About how much it takes on disk, rather too much than too little."""
        height, width = self.image_size
        return height * width * 6 + self.points * 20 + 20_000

    def contents(self) -> Contents:
        """Generate the files."""
        return _contents(self)


class Frame(NamedTuple):
    """What is known of a frame without reading its points: its view, and world from camera (4, 4)."""

    view: View
    pose: np.ndarray


# ---- reading


def read(spec: FrameSpec) -> Frame:
    """A frame, made first if it is not in the cache, and again (with a warning) if it is damaged there.

    Raises:
        DataError: it cannot be written.
    """
    info = generated.read(spec)
    K = np.array(info["intrinsics"], dtype=np.float64)
    view = View(VIEW, K, np.eye(4), spec.folder / f"{VIEW}.png", spec.folder / "depth.png")
    return Frame(view, np.array(info["world_from_camera"], dtype=np.float64))


def read_frame(spec: FrameSpec, scene_id: str) -> Scene:
    """A frame as a scene: what the depth image measures, in the camera's frame, with colours, labels and instances."""
    view = read(spec).view
    depth = depth_image(view)
    measured = depth > 0
    points = camera.back_project(depth, view.intrinsics)[measured].astype(np.float32)
    path = spec.folder / "depth.png"
    return Scene(
        points=points,
        features=view.image[measured].astype(np.float32) / 255,
        views=[view],
        labels=label_image(view)[measured],
        id=scene_id,
        instances=_pixels(view, "instances")[measured].astype(np.int64),
        up_axis="-y",
        files=dict.fromkeys(("points", "features", "labels", "instances"), path),
    )


def read_room(spec: FrameSpec, frames: dict[str, FrameSpec], scene_id: str) -> Scene:
    """The cloud of a room, in its own frame, with boxes; ``frames`` are its views, by name."""
    generated.read(spec)
    path = spec.folder / _CLOUD
    try:
        tensors = load_tensors(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: the file cannot be read ({error.strerror})") from error
    return Scene(
        points=tensors["points"],
        features=tensors["colors"].astype(np.float32) / 255,
        views=room_views(frames),
        labels=tensors["labels"].astype(np.int64),
        id=scene_id,
        instances=tensors["instances"].astype(np.int64),
        boxes=tensors["boxes"],
        box_labels=tensors["box_labels"],
        files=dict.fromkeys(("points", "features", "labels", "instances", "boxes", "box_labels"), path),
    )


def room_views(frames: dict[str, FrameSpec]) -> list[View]:
    """Views of a room's cloud from its frames, by name."""
    views = []
    for name, spec in frames.items():
        view, pose = read(spec)
        rotation = pose[:3, :3].T
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = rotation, -rotation @ pose[:3, 3]
        views.append(View(name, view.intrinsics, matrix, view.source, view.depth))
    return views


# ---- making


def _contents(spec: FrameSpec) -> Contents:
    room, caster = _room(spec.room_seed, spec.kind)
    rng = np.random.default_rng([spec.room_seed, spec.moment + 1])
    if spec.moment < 0:
        return {_CLOUD: _packed(room, sensors.cloud(room, caster, spec.points, rng))}, {}
    pose = room.poses[spec.moment]
    seen = sensors.render(room, caster, pose, spec.image_size, rng)
    contents = {
        f"{VIEW}.png": png(seen.image),
        "depth.png": png((seen.depth * DEPTH_UNITS + 0.5).astype(np.uint16)),
        "labels.png": png(np.where(seen.labels < 0, IGNORED, seen.labels).astype(np.uint8)),
        "instances.png": png(seen.instances.astype(np.uint16)),
    }
    K = sensors.intrinsics(spec.image_size)
    return contents, {"intrinsics": K.tolist(), "world_from_camera": pose.tolist()}


@lru_cache(maxsize=1)
def _room(seed: int, kind: str) -> tuple[world.Room, Caster]:
    """The room last built: its frames are mostly asked for one after the other."""
    room = world.build(seed, kind=kind)
    return room, Caster(room.vertices, room.faces)


def _packed(room: world.Room, cloud: sensors.Cloud) -> bytes:
    points = np.bincount(cloud.instances, minlength=len(room.origins))
    kept = points[room.box_instances] >= FEWEST
    return save_tensors(
        {
            "points": cloud.points,
            "colors": cloud.colors,
            "labels": cloud.labels.astype(np.int8),
            "instances": cloud.instances.astype(np.int16),
            "boxes": np.ascontiguousarray(room.boxes[kept]),
            "box_labels": np.ascontiguousarray(room.box_labels[kept]),
        }
    )


# ---- what the camera truly sees


def label_image(view: View) -> np.ndarray:
    """Class (H, W) int64 of what each pixel of a room's view shows, -1 for what is ignored."""
    labels = _pixels(view, "labels").astype(np.int64)
    return np.where(labels == IGNORED, -1, labels)


def depth_image(view: View) -> np.ndarray:
    """Depth (H, W) float64 that the sensor measured, metres along the camera's axis, 0 where it measured nothing."""
    return _pixels(view, "depth").astype(np.float64) / DEPTH_UNITS


def _pixels(view: View, what: str) -> np.ndarray:
    if view.path is None:
        raise DataError(f"view '{view.name}': only views of the data set 'rooms' have a {what} image")
    return pixels_of(view.path.with_name(f"{what}.png"))


def visible_points(scene: Scene, tolerance: float = 0.02) -> Pairs:
    """The points of a room that its views truly see, by their depth images, and where.

    A point counts as seen if it lies within ``tolerance`` metres plus 1 % of its depth of the surface that its nearest
    pixel shows; where the sensor measured nothing, it does not.
    """
    return points_shown(scene, depth_image, tolerance, min_depth=0.1)


def label_agreement(scene: Scene) -> float:
    """Share of the visible points whose label is that of their nearest pixel; NaN if no point is visible."""
    return agreement(scene, visible_points(scene), label_image)
