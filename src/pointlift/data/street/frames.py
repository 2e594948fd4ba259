"""One frame of a street: made, written to the cache, verified and read back."""

from __future__ import annotations

import errno
import io
import json
import logging
import shutil
import time
import uuid
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

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
    "render_view",
    "visible_points",
]

GENERATOR_VERSION = 1
"""Raised whenever the same options give other frames, so that none from before is taken for a new one."""
SKY = 255  # in label images
STALE_AFTER_SECONDS = 3600.0
DEPTH_UNITS = 256  # per metre, as in the depth images of KITTI
_INFO, _SCAN = "frame.json", "scan.safetensors"
_log = logging.getLogger(__name__)


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


class _DamagedError(Exception):
    """A frame in the cache that is not what was written; the message says which file."""


# ---- reading


def read(spec: FrameSpec) -> Frame:
    """The frame, made first if it is not in the cache, and again (with a warning) if it is damaged there.

    Raises:
        DataError: it cannot be written.
    """
    try:
        info = _verified(spec)
    except FileNotFoundError:
        info = make(spec)
    except _DamagedError as damage:
        _log.warning("%s; the frame is made again", damage)
        info = make(spec)
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
    try:
        _verified(spec)
    except FileNotFoundError:
        return False
    except _DamagedError as damage:
        _log.warning("%s; the frame is made again", damage)
        return False
    return True


def _verified(spec: FrameSpec) -> dict[str, Any]:
    """What `_INFO` says, once every file is what it was when it was written."""
    path = spec.folder / _INFO
    if not spec.folder.exists():
        raise FileNotFoundError(spec.folder)
    try:
        info = json.loads(path.read_bytes())
        checksum = info.pop("checksum")
        files: dict[str, int] = info["crc32"]
        if checksum != _crc_of(info) or info["made_from"] != _made_from(spec):
            raise _DamagedError(f"{path}: the file is not the one that was written")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _DamagedError(f"{path}: the file is missing or damaged") from error
    for name, crc in files.items():
        try:
            content = (spec.folder / name).read_bytes()
        except OSError as error:
            raise _DamagedError(f"{spec.folder / name}: the file is missing or cannot be read") from error
        if zlib.crc32(content) != crc:
            raise _DamagedError(f"{spec.folder / name}: the file is damaged")
    return info


def _made_from(spec: FrameSpec) -> dict[str, Any]:
    """The spec as it is written, without the folder, so that a cache may be moved."""
    values = {**spec.to_dict(), "generator_version": GENERATOR_VERSION}
    del values["folder"]
    return json.loads(json.dumps(values))


def _crc_of(info: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(info, sort_keys=True).encode())


# ---- making


def make(spec: FrameSpec) -> dict[str, Any]:
    """Generate the frame, write it, and return what its `_INFO` says.

    The files go to a temporary folder beside the frame's, which is then renamed: whoever reads finds all or nothing,
    and of two processes that make the same frame, each ends up with a complete one.

    Raises:
        DataError: the disk is full, or the folder cannot be written.
    """
    check_space([spec])
    temporary = spec.folder.parent / f".{spec.folder.name}.{uuid.uuid4().hex}.tmp"
    try:
        temporary.mkdir(parents=True)  # before the work, which is in vain if nothing can be written
        contents, info = _contents(spec)
        for name, content in contents.items():
            (temporary / name).write_bytes(content)
        _put_in_place(temporary, spec)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "the disk is full" if full else error.strerror or str(error)
        what = "make room or choose another folder" if full else "choose another folder"
        raise DataError(f"{spec.folder}: cannot be written: {reason}; {what}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return info


def make_if_needed(spec: FrameSpec) -> None:
    """`make` the frame unless another process has done so in the meantime."""
    try:
        _verified(spec)
    except (FileNotFoundError, _DamagedError):
        make(spec)


def _put_in_place(temporary: Path, spec: FrameSpec) -> None:
    """Rename the folder to the frame's; one that is there already stays if it is intact, and else goes."""
    for _ in range(20):
        try:
            temporary.rename(spec.folder)
            return
        except OSError:
            if not spec.folder.exists():
                raise
        try:
            _verified(spec)
            return
        except (FileNotFoundError, _DamagedError):
            _remove(spec.folder)
    raise OSError(errno.EBUSY, "another process keeps writing it")


def _remove(folder: Path) -> None:
    """Remove a folder, or a file in its place: renamed first, so that nobody sees half of it."""
    old = folder.parent / f".{folder.name}.{uuid.uuid4().hex}.tmp"
    try:
        folder.rename(old)
    except FileNotFoundError:
        return  # another process was faster
    if old.is_dir():
        shutil.rmtree(old, ignore_errors=True)
    else:
        old.unlink(missing_ok=True)


def _contents(spec: FrameSpec) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The bytes of each file of the frame, and the parsed `_INFO` among them without its checksum."""
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
    info = {
        "made_from": _made_from(spec),
        "crc32": {name: zlib.crc32(content) for name, content in contents.items()},
        "world_from_points": sensors.world_from_lidar(world).tolist(),
        "views": views,
        "dropped": scan.dropped,
    }
    contents[_INFO] = json.dumps({**info, "checksum": _crc_of(info)}, indent=1).encode()
    return contents, info


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
        f"{camera.name}.png": _png(picture["image"]),
        f"{camera.name}-labels.png": _png(labels),
        f"{camera.name}-depth.png": _png(depth),
    }


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def remove_stale(root: Path) -> None:
    """Remove what killed processes left half-made under ``root`` more than an hour ago."""
    for folder in root.glob("*/*/.*.tmp"):
        try:
            if time.time() - folder.stat().st_mtime > STALE_AFTER_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # another process was quicker
            continue


def check_space(specs: Iterable[FrameSpec]) -> None:
    """Raise a `DataError` unless the disk has room for these frames."""
    specs = list(specs)
    needed = sum(spec.bytes for spec in specs)
    if not specs:
        return
    folder = specs[0].folder
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return  # writing says what is wrong
    if free < needed:
        raise DataError(
            f"{specs[0].folder.parent}: {len(specs)} frames need about {needed / 1e6:,.0f} MB and the disk has "
            f"{free / 1e6:,.0f} MB left; make room or choose another folder (data.root)"
        )


# ---- what the cameras truly see


def label_image(view: View) -> np.ndarray:
    """Class (H, W) int64 of what each pixel of a street's view shows, -1 in the sky."""
    labels = _image(_beside(view, "labels")).astype(np.int64)
    return np.where(labels == SKY, -1, labels)


def depth_image(view: View) -> np.ndarray:
    """Depth (H, W) float64 of each pixel of a street's view, metres along the camera's axis, 0 in the sky."""
    return _image(_beside(view, "depth")).astype(np.float64) / DEPTH_UNITS


def _beside(view: View, what: str) -> Path:
    if view.path is None:
        raise DataError(f"view '{view.name}': only views of the data set 'street' have a {what} image")
    return view.path.with_name(f"{view.path.stem}-{what}.png")


def _image(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            return np.array(image)
    except FileNotFoundError as error:
        raise DataError(f"{path}: the file is missing; only views of the data set 'street' have one") from error
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, zlib.error, …
        raise DataError(f"{path}: the image cannot be decoded ({error})") from error


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
        shown = _surface_depth(depth_image(view), pairs.pixels[ours].astype(np.float64))
        seen[ours] = np.abs(depth - shown) <= tolerance + 0.01 * depth
    return pairs.take(seen)


def _surface_depth(depth: np.ndarray, pixels: np.ndarray) -> np.ndarray:
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
