"""One frame of a street: made, written to the cache, verified and read back."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from pointlift.data import generated
from pointlift.data.generated import DamagedError, check_space, remove_stale
from pointlift.data.scene import Pairs, Scene, View
from pointlift.data.street import sensors, town
from pointlift.data.street.rays import Caster
from pointlift.data.street.sensors import Camera, Picture, render_view
from pointlift.errors import DataError

__all__ = [
    "Frame",
    "FrameSpec",
    "check_space",
    "depth_image",
    "intact",
    "label_agreement",
    "label_image",
    "make",
    "make_if_needed",
    "read",
    "read_scene",
    "remove_stale",
    "render_view",
    "surface_depth",
    "visible_points",
]

GENERATOR_VERSION = 1
"""Raised whenever the same options give other frames, so that none from before is taken for a new one."""
SKY = 255  # in label images
DEPTH_UNITS = 256  # per metre, as in the depth images of KITTI
_SCAN = "scan.safetensors"


@dataclass(frozen=True)
class FrameSpec:
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

    folder: Path
    style: str
    town_seed: int
    number: int
    beams: int
    cameras: tuple[str, ...]
    image_size: tuple[int, int]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, of which `from_dict` makes the same spec."""
        return {**asdict(self), "folder": str(self.folder)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> FrameSpec:
        """The spec that `to_dict` described."""
        lists = {key: tuple(values[key]) for key in ("cameras", "image_size")}
        return cls(**{**values, **lists, "folder": Path(values["folder"])})

    @property
    def group(self) -> tuple[str, int]:
        """Frames of one town have it in common."""
        return self.style, self.town_seed

    @property
    def bytes(self) -> int:
        """About how much a frame takes on disk, rather too much than too little."""
        height, width = self.image_size
        rays = self.beams * sensors.BEAMS[self.beams][2]
        return len(self.cameras) * height * width * 5 + rays * 20 + 20_000


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
    info = generated.read(spec.folder, _made_from(spec), lambda: make(spec))
    views = [
        View(
            name,
            np.array(view["intrinsics"], dtype=np.float64),
            np.array(view["camera_from_points"], dtype=np.float64),
            spec.folder / f"{name}.png",
            spec.folder / f"{name}-depth.png",
        )
        for name, view in info["views"].items()
    ]
    return Frame(views, np.array(info["world_from_points"], dtype=np.float64), int(info["dropped"]))


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


def intact(spec: FrameSpec) -> bool:
    """Whether the frame is in the cache and undamaged; a warning names a damaged file."""
    return generated.intact(spec.folder, _made_from(spec))


def _made_from(spec: FrameSpec) -> dict[str, Any]:
    """The spec as it is written, without the folder, so that a cache may be moved."""
    values = {**spec.to_dict(), "generator_version": GENERATOR_VERSION}
    del values["folder"]
    return json.loads(json.dumps(values))


# ---- making


def make(spec: FrameSpec) -> dict[str, Any]:
    """Generate the frame, write it, and return what is written of it.

    Raises:
        DataError: the disk is full, or the folder cannot be written.
    """
    return generated.write(spec, _made_from(spec), lambda: _contents(spec))


def make_if_needed(spec: FrameSpec) -> None:
    """`make` the frame unless another process has done so in the meantime."""
    try:
        generated.verified(spec.folder, _made_from(spec))
    except (FileNotFoundError, DamagedError):
        make(spec)


def _contents(spec: FrameSpec) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The bytes of each file of the frame, and the parsed description among them without its checksum."""
    world = _town(spec.town_seed, spec.style).world(spec.number)
    street, ego = sensors.split_ego(world)
    caster, own = Caster(street.vertices, street.faces), Caster(ego.vertices, ego.faces)
    scan = sensors.scan(street, caster, own, spec.beams, _rng(spec, 0))  # type: ignore[arg-type]
    contents, views = {_SCAN: _packed(scan)}, {}
    for name in spec.cameras:
        camera = sensors.camera(name, spec.image_size)
        place = list(sensors.CAMERAS).index(name)  # the noise of a camera does not depend on which others there are
        contents |= _pictures(camera, render_view(street, caster, camera, _rng(spec, 1 + place)))
        views[name] = {
            "intrinsics": camera.intrinsics.tolist(),
            "camera_from_points": camera.camera_from_lidar.tolist(),
        }
    return generated.described(
        contents,
        _made_from(spec),
        world_from_points=sensors.world_from_lidar(world).tolist(),
        views=views,
        dropped=scan.dropped,
    )


@lru_cache(maxsize=1)
def _town(seed: int, style: str) -> town.Town:
    """The town last built: its frames are mostly asked for one after the other."""
    return town.build(seed, style=style)


def _rng(spec: FrameSpec, purpose: int) -> np.random.Generator:
    return np.random.default_rng([spec.town_seed, spec.number, purpose])


def _packed(scan: sensors.Scan) -> bytes:
    return save_tensors(
        {
            "points": scan.points,
            "intensity": scan.intensity,
            "labels": scan.labels.astype(np.int8),
            "instances": scan.instances.astype(np.int32),
        }
    )


def _pictures(camera: Camera, picture: Picture) -> dict[str, bytes]:
    labels = np.where(picture["labels"] < 0, SKY, picture["labels"]).astype(np.uint8)
    depth = np.minimum(picture["depth"] * DEPTH_UNITS + 0.5, 65535).astype(np.uint16)
    return {
        f"{camera.name}.png": generated.png(picture["image"]),
        f"{camera.name}-labels.png": generated.png(labels),
        f"{camera.name}-depth.png": generated.png(depth),
    }


# ---- what the cameras truly see


def label_image(view: View) -> np.ndarray:
    """Class (H, W) int64 of what each pixel of a street's view shows, -1 in the sky."""
    labels = generated.pixels_of(_beside(view, "labels"), "street").astype(np.int64)
    return np.where(labels == SKY, -1, labels)


def depth_image(view: View) -> np.ndarray:
    """Depth (H, W) float64 of each pixel of a street's view, metres along the camera's axis, 0 in the sky."""
    return generated.pixels_of(_beside(view, "depth"), "street").astype(np.float64) / DEPTH_UNITS


def _beside(view: View, what: str) -> Path:
    if view.path is None:
        raise DataError(f"view '{view.name}': only views of the data set 'street' have a {what} image")
    return view.path.with_name(f"{view.path.stem}-{what}.png")


def visible_points(scene: Scene, tolerance: float = 0.1) -> Pairs:
    """The points of a street's scene that its cameras truly see, by their depth images, and where.

    A point counts as seen if it lies within ``tolerance`` metres plus 1 % of its depth of the surface that its nearest
    pixel shows. Between centres of pixels, the surface is taken to be the plane of the pixel and its neighbours, in
    which 1 / depth is linear in u and v; at a silhouette, the neighbour on the same surface.

    Raises:
        DataError: the scene is not one of the data set ``street``.
    """
    pairs = scene.pairs(min_depth=0.5, border=0.0)
    seen = np.zeros(len(pairs.point_index), dtype=bool)
    for index, view in enumerate(scene.views):
        ours = np.flatnonzero(pairs.view_index == index)
        depth = view.project(scene.points[pairs.point_index[ours]])[1]
        shown = surface_depth(depth_image(view), pairs.pixels[ours].astype(np.float64))
        seen[ours] = np.abs(depth - shown) <= tolerance + 0.01 * depth
    return pairs.take(seen)


def surface_depth(depth: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Depth (P,) at sub-pixel places (P, 2) of the surface at the nearest pixel; infinite in the sky."""
    with np.errstate(divide="ignore"):
        inverse = np.where(depth > 0, 1.0 / depth, 0.0)
    column, row = np.floor(pixels.T + 0.5).astype(np.int64)
    at = inverse[row, column]
    for axis, offset in ((1, pixels[:, 0] - column), (0, pixels[:, 1] - row)):
        at = at + offset * _slope(inverse, axis)[row, column]
    with np.errstate(divide="ignore"):
        return np.where(inverse[row, column] > 0, 1.0 / np.maximum(at, 1e-9), np.inf)


def _slope(values: np.ndarray, axis: int) -> np.ndarray:
    """Of the differences to the two neighbours along an axis, the smaller one."""
    step = np.diff(values, axis=axis)
    pad = [(0, 0), (0, 0)]
    pad[axis] = (1, 0)
    before = np.pad(step, pad, mode="edge")
    pad[axis] = (0, 1)
    after = np.pad(step, pad, mode="edge")
    return np.where(np.abs(before) < np.abs(after), before, after)


def label_agreement(scene: Scene) -> float:
    """Share of the visible points whose label is that of their nearest pixel; NaN if no point is visible."""
    assert scene.labels is not None
    pairs = visible_points(scene)
    agree = 0
    for index, view in enumerate(scene.views):
        ours = pairs.take(pairs.view_index == index)
        column, row = np.floor(ours.pixels.T + 0.5).astype(np.int64)
        agree += int((label_image(view)[row, column] == scene.labels[ours.point_index]).sum())
    return agree / len(pairs.point_index) if len(pairs.point_index) else float("nan")
