"""A furnished room as triangles with a class and a material each, its lights, its boxes and the camera's path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pointlift.errors import DataError
from pointlift.worlds.engine.world import Materials
from pointlift.worlds.rooms.classes import BOX_NAMES, NAMES
from pointlift.worlds.rooms.fittings import GLOW
from pointlift.worlds.rooms.layouts import SIZES, furnished
from pointlift.worlds.rooms.path import camera_path
from pointlift.worlds.rooms.plan import Placed, Plan, turn

KINDS = tuple(SIZES)
"""Kinds of room."""


class Lamp(NamedTuple):
    """A small rectangle that shines.

    ``position``, half sides ``across`` and ``up``, and ``normal``, (3,) metres; a lamp whose normal is zero shines in
    all directions. ``color`` (3,) is linear RGB of the light that falls on a surface one metre before it.
    """

    position: np.ndarray
    across: np.ndarray
    up: np.ndarray
    normal: np.ndarray
    color: np.ndarray


@dataclass(frozen=True)
class Room:
    """A room; its frame has z up and the floor at 0, from (0, 0) to its size; metres.

    Attributes:
        vertices: (V, 3) float64.
        faces: (F, 3) int64.
        labels: (F,) int64 class of each triangle, -1 for what is ignored.
        instances: (F,) int64 thing of each triangle; 0 is the room itself.
        material_of: (F,) int64 row of ``materials``.
        origins: (I, 3) float64 of each thing's own frame, in which its pattern lies.
        yaws: (I,) float64 radians.
        materials: the looks.
        glow: (M,) float32 light of each material's own, as a factor on its colour.
        lamps: what lights the room.
        ambient: (3,) float32 linear RGB of the light from all sides.
        exposure: factor on the camera's own exposure.
        size: (3,) width, depth and height.
        boxes: (B, 7) as in `Scene`.
        box_labels: (B,) index into `BOX_NAMES`.
        box_instances: (B,) the thing of each box.
        poses: (P, 4, 4) world from camera of each moment of the path.
    """

    vertices: np.ndarray
    faces: np.ndarray
    labels: np.ndarray
    instances: np.ndarray
    material_of: np.ndarray
    origins: np.ndarray
    yaws: np.ndarray
    materials: Materials
    glow: np.ndarray
    lamps: tuple[Lamp, ...]
    ambient: np.ndarray
    exposure: float
    size: np.ndarray
    boxes: np.ndarray
    box_labels: np.ndarray
    box_instances: np.ndarray
    poses: np.ndarray


def build(seed: int, *, kind: str) -> Room:
    """Make the room of a seed; the same seed and kind always give the same one.

    Raises:
        DataError: the kind is unknown or the seed negative.
    """
    if kind not in KINDS:
        raise DataError(f"rooms: the kind of room must be one of {', '.join(KINDS)}, not '{kind}'")
    if seed < 0:
        raise DataError(f"rooms: seed must be at least 0, not {seed}")
    plan = furnished(seed, kind)
    lamps, ambient, daylight = _light(plan)
    materials = plan.palette.materials()
    factors = {**GLOW, "daylight": GLOW["daylight"] * daylight}
    glow = np.array([max((factors.get(word, 0.0) for word in words), default=0.0) for words in materials.words])
    boxes, box_labels, box_instances = _boxes(plan)
    return Room(
        **_triangles(plan),
        materials=materials,
        glow=glow.astype(np.float32),
        lamps=lamps,
        ambient=ambient,
        exposure=float(plan.random("exposure").uniform(0.8, 1.3)),
        size=np.array([plan.wide, plan.deep, plan.high]),
        boxes=boxes,
        box_labels=box_labels,
        box_instances=box_instances,
        poses=camera_path(plan),
    )


def _triangles(plan: Plan) -> dict[str, np.ndarray]:
    parts = [(mesh, np.full(len(mesh.faces), material), label, 0) for mesh, label, material in plan.shell]
    for instance, placed in enumerate(plan.placed, start=1):
        body = placed.item.body
        vertices = body.vertices.copy()
        vertices[:, :2] = turn(vertices[:, :2], placed.yaw)
        moved = body._replace(vertices=vertices + placed.position)
        parts.append((moved, body.material_of, placed.item.label, instance))  # type: ignore[arg-type]
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh, *_ in parts)])
    counts = [len(mesh.faces) for mesh, *_ in parts]
    return {
        "vertices": np.concatenate([mesh.vertices for mesh, *_ in parts]),
        "faces": np.concatenate([part[0].faces + start for part, start in zip(parts, starts[:-1], strict=True)]),
        "material_of": np.concatenate([materials for _, materials, *_ in parts]).astype(np.int64),
        "labels": np.repeat([label for *_, label, _ in parts], counts).astype(np.int64),
        "instances": np.repeat([instance for *_, instance in parts], counts).astype(np.int64),
        "origins": np.array([(0.0, 0.0, 0.0), *(placed.position for placed in plan.placed)]),
        "yaws": np.array([0.0, *(placed.yaw for placed in plan.placed)]),
    }


def _boxes(plan: Plan) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tight around each thing in its own frame."""
    rows, labels, instances = [], [], []
    for instance, placed in enumerate(plan.placed, start=1):
        if placed.item.label < 0:
            continue
        low, high, space = placed.item.low, placed.item.high, placed.space
        yaw = (placed.yaw + np.pi) % (2 * np.pi) - np.pi
        rows.append([space.x, space.y, (space.low + space.high) / 2, *(high - low), yaw])
        labels.append(BOX_NAMES.index(NAMES[placed.item.label]))
        instances.append(instance)
    return np.array(rows, dtype=np.float64), np.array(labels, dtype=np.int64), np.array(instances, dtype=np.int64)


# ---- light


def _light(plan: Plan) -> tuple[tuple[Lamp, ...], np.ndarray, float]:
    """One or two lamps, the ambient light, and how bright it is outside."""
    rng = plan.random("light")
    warm = np.array([1.0, rng.uniform(0.82, 0.97), rng.uniform(0.62, 0.92)])
    day = rng.random() < 0.65
    nothing = np.zeros(3)
    side, back = np.array([0.12, 0.0, 0.0]), np.array([0.0, 0.12, 0.0])
    ceiling = Lamp(plan.lamp, side, back, nothing, rng.uniform(2.5, 4.5) * warm)
    if not day or not plan.windows:
        ambient = 0.32 * warm * rng.uniform(0.8, 1.2)
        return (ceiling,), ambient.astype(np.float32), rng.uniform(0.03, 0.1)
    cool = np.array([rng.uniform(0.85, 1.0), 0.95, 1.0])
    lamps = [_through(window, rng.uniform(2.2, 3.6) * cool) for window in plan.windows[:2]]
    if len(lamps) == 1 and rng.random() < 0.5:
        lamps.append(ceiling._replace(color=0.6 * ceiling.color))
    ambient = 0.4 * cool * rng.uniform(0.8, 1.2)
    return tuple(lamps), ambient.astype(np.float32), 1.0


def _through(window: Placed, color: np.ndarray) -> Lamp:
    """The daylight of a window, as a lamp a little before its pane and its curtains."""
    low, high = window.item.low, window.item.high
    across = turn(np.array([[0.0, 1.0]]), window.yaw)[0] * 0.4 * (high[1] - low[1])
    inward = turn(np.array([[1.0, 0.0]]), window.yaw)[0]
    middle = window.at(0.3, 0.0)
    area = (high[1] - low[1]) * (high[2] - low[2])
    return Lamp(
        np.array([*middle, window.position[2] + 0.55 * high[2]]),
        np.array([*across, 0.0]),
        np.array([0.0, 0.0, 0.35 * high[2]]),
        np.array([*inward, 0.0]),
        color * max(float(area), 0.8),
    )
