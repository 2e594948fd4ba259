"""The way of a hand-held camera through a room: around its middle, at eye height, looking at furniture."""

from __future__ import annotations

import numpy as np

from pointlift.worlds.rooms.classes import LABELS, NAMES
from pointlift.worlds.rooms.plan import Placed, Plan, turn

MOMENTS = 16
"""Places on the path of every room."""
LOOKS_HALF = np.radians(28.0)
CANDIDATES = 12
TALL = 1.25
"""Furniture higher than this hides what is behind it, metres."""


def camera_path(plan: Plan) -> np.ndarray:
    """World from camera (16, 4, 4) float64: x right, y down, z forward."""
    rng = plan.random("path")
    places = _places(plan, rng)
    things = [placed for placed in plan.placed if placed.item.label > LABELS["floor"]]
    middles = np.array([(p.space.x, p.space.y, 0.5 * (p.space.low + p.space.high)) for p in things])
    weights = np.array([_weight(p) for p in things])
    centre, start, way = np.array([plan.wide, plan.deep]) / 2, rng.uniform(0, 2 * np.pi), rng.choice([-1.0, 1.0])
    angles = np.arctan2(*(places - centre).T[::-1])
    seen, poses = np.zeros(len(things)), []
    before: list[tuple[np.ndarray, float]] = []
    for moment in range(MOMENTS):
        wanted = start + way * 2 * np.pi * moment / MOMENTS
        near = places[np.argsort(_apart(angles, wanted), kind="stable")[: 3 * CANDIDATES]]
        near = near[rng.permutation(len(near))[:CANDIDATES]]
        spot, target = _best(plan, near, middles, weights / (1 + 1.5 * seen), seen, before)
        goal = middles[target] + rng.normal(0, 0.12, 3)
        goal[2] = 0.75 * goal[2] + 0.25 * rng.uniform(0.6, 1.2)
        poses.append(_looking(np.array([*spot, rng.uniform(1.3, 1.65)]), goal, rng.normal(0, np.radians(2.0))))
    return np.stack(poses)


def _places(plan: Plan, rng: np.random.Generator) -> np.ndarray:
    """(P, 2) where somebody may stand."""
    for radius in (0.3, 0.2, 0.1, 0.0):
        found = plan.floor_space(radius, 600, rng)
        if len(found) >= 2 * CANDIDATES:
            return found
    return np.array([[plan.wide / 2, plan.deep / 2]])


RARE = ("counter", "sink", "toilet", "bathtub", "refrigerator", "table")
FLAT = ("door", "window", "curtain", "picture")


def _weight(placed: Placed) -> float:
    """Flat things on walls are looked at in passing; what there is one of in a flat, rather more."""
    name = NAMES[placed.item.label]
    return 1.7 if name in RARE else 0.35 if name in FLAT else 1.0


def _best(
    plan: Plan,
    places: np.ndarray,
    middles: np.ndarray,
    weights: np.ndarray,
    seen: np.ndarray,
    before: list[tuple[np.ndarray, float]],
) -> tuple[np.ndarray, int]:
    """The place and the thing to look at, from which most is seen that no view ``before`` was like.

    What is in view then counts as seen, and the view joins those before.
    """
    nearest = min(1.4, 0.45 * min(plan.wide, plan.deep))
    best, choice, view = -1.0, (places[0], 0, np.zeros(len(middles), dtype=bool)), (places[0], 0.0)
    for place in places:
        away = middles[:, :2] - place
        distance = np.hypot(*away.T)
        clear = _clear(plan, place, middles)
        bearing = np.arctan2(away[:, 1], away[:, 0])
        worth = weights * clear * np.clip((distance - 0.7) / 0.8, 0, 1) * np.clip((5.0 - distance) / 2.0, 0.2, 1)
        for target in np.flatnonzero(clear & (distance > nearest)):
            in_view = _apart(bearing, bearing[target]) < LOOKS_HALF
            value = float((worth * in_view).sum() + worth[target])
            value *= 1 - max((_likeness(place, bearing[target], *other) for other in before), default=0.0)
            if value > best:
                best, choice = value, (place, int(target), in_view & clear)
                view = place, float(bearing[target])
    seen += choice[2]
    before.append(view)
    return choice[0], choice[1]


def _apart(angle: np.ndarray | float, other: np.ndarray | float) -> np.ndarray:
    """Absolute difference of angles, radians."""
    return np.abs((np.asarray(angle) - other + np.pi) % (2 * np.pi) - np.pi)


def _likeness(place: np.ndarray, bearing: float, other: np.ndarray, other_bearing: float) -> float:
    """Up to 0.95 for views from the same place in the same direction."""
    away = float(((place - other) ** 2).sum()) / 0.7**2 + float(_apart(bearing, other_bearing)) ** 2 / 0.5**2
    return 0.95 * float(np.exp(-away))


def _clear(plan: Plan, place: np.ndarray, middles: np.ndarray) -> np.ndarray:
    """Whether no tall furniture stands between a place and the middle of each thing (I,)."""
    share = np.linspace(0.0, 0.93, 24)[:, None, None]
    along = place + share * (middles[None, :, :2] - place)  # (24, I, 2)
    clear = np.ones(len(middles), dtype=bool)
    for placed in plan.placed:
        space = placed.space
        if space.high < TALL or space.low > 1.0 or min(space.half_x, space.half_y) < 0.1:
            continue
        local = np.abs(turn(along.reshape(-1, 2) - (space.x, space.y), -space.yaw)).reshape(along.shape)
        within = (local < (space.half_x, space.half_y)).all(axis=2).any(axis=0)
        itself = (np.abs(middles[:, 0] - space.x) < 1e-9) & (np.abs(middles[:, 1] - space.y) < 1e-9)
        clear &= ~within | itself
    return clear


def _looking(eye: np.ndarray, goal: np.ndarray, roll: float) -> np.ndarray:
    forward = goal - eye
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, (0.0, 0.0, 1.0))
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    matrix = np.eye(4)
    cosine, sine = np.cos(roll), np.sin(roll)
    matrix[:3, :3] = np.stack([cosine * right + sine * down, cosine * down - sine * right, forward], axis=1)
    matrix[:3, 3] = eye
    return matrix
