"""A town: one street with everything on it, and where all of it is at every frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pointlift.errors import DataError
from pointlift.worlds.engine.streams import Streams
from pointlift.worlds.engine.world import Light
from pointlift.worlds.street.ego import Moment
from pointlift.worlds.street.light import light
from pointlift.worlds.street.populate import furnish
from pointlift.worlds.street.site import Site
from pointlift.worlds.street.styles import STYLES_BY_NAME

STYLES = tuple(STYLES_BY_NAME)
"""Names of the kinds of town; coast is unlike the others."""
FRAMES = 16
"""Frames of every town, half a second apart."""
INTERVAL = 0.5
NEAR = 100.0
"""What lies farther than this along the road, before or behind the ego vehicle, is left out of a world; metres."""


@dataclass(frozen=True)
class Static:
    """All that does not move, in the world's frame; ``places`` is s of each vertex, the same over an object."""

    vertices: np.ndarray
    faces: np.ndarray
    labels: np.ndarray
    instances: np.ndarray
    material_of: np.ndarray
    places: np.ndarray

    def near(self, s: float) -> Static:
        """What lies within `NEAR` of a place on the road."""
        keep = np.abs(self.places - s) < NEAR
        number = np.cumsum(keep) - 1
        faces = keep[self.faces[:, 0]]
        return Static(
            self.vertices[keep],
            number[self.faces[faces]],
            self.labels[faces],
            self.instances[faces],
            self.material_of[faces],
            self.places[keep],
        )


class Town:
    """A generated street; `world` gives it at one moment.

    Attributes:
        style: one of `STYLES`.
        frames: how many moments there are, half a second apart.
    """

    def __init__(self, site: Site, style: str, looks: Light) -> None:
        self.style, self.frames = style, len(site.ego)
        self._ego, self._lane, self._road, self._movers = site.ego, site.cut.ego, site.road, tuple(site.movers)
        self._static = _gathered(site)
        self._origins, self._yaws = np.array(site.origins), np.array(site.yaws)
        self._materials, self._light = site.palette.materials(), looks

    def pose(self, frame: int) -> np.ndarray:
        """(4, 4) world_from_ego: the ego vehicle stands square on the road at its place."""
        s = self._ego[frame]
        ahead, behind = self._road.point(s + 1.2, self._lane), self._road.point(s - 1.2, self._lane)
        forward = (ahead - behind) / np.linalg.norm(ahead - behind)
        left = np.array([-forward[1], forward[0], 0.0]) / np.hypot(forward[0], forward[1])
        matrix = np.eye(4)
        matrix[:3, 0], matrix[:3, 1], matrix[:3, 2] = forward, left, np.cross(forward, left)
        matrix[:3, 3] = self._road.point(s, self._lane)
        return matrix

    def world(self, frame: int) -> Moment:
        """The town at one frame, within `NEAR` metres along the road.

        Raises:
            DataError: there is no such frame.
        """
        if not 0 <= frame < self.frames:
            raise DataError(f"street: frame must lie between 0 and {self.frames - 1}, not {frame}")
        parts = [self._static.near(self._ego[frame])]
        origins, yaws = self._origins.copy(), self._yaws.copy()
        for mover in self._movers:
            s = float(mover.s[frame])
            if abs(s - self._ego[frame]) > NEAR:
                continue
            body, lift = mover.bodies[frame % len(mover.bodies)], float(mover.lift[frame])
            origins[mover.instance] = self._road.point(s, mover.d, lift)
            yaws[mover.instance] = float(self._road.heading(s)) + mover.yaw
            vertices = self._road.lean(body.vertices, s, mover.d, mover.yaw, lift)
            label, instance = (np.full(len(body.faces), value) for value in (mover.label, mover.instance))
            parts.append(Static(vertices, body.faces, label, instance, body.material_of, vertices[:, 0]))
        starts = np.cumsum([0, *(len(part.vertices) for part in parts)])
        return Moment(
            vertices=np.concatenate([part.vertices for part in parts]),
            faces=np.concatenate([part.faces + start for part, start in zip(parts, starts[:-1], strict=True)]),
            labels=np.concatenate([part.labels for part in parts]),
            instances=np.concatenate([part.instances for part in parts]),
            material_of=np.concatenate([part.material_of for part in parts]),
            origins=origins,
            yaws=yaws,
            materials=self._materials,
            light=self._light,
            world_from_ego=self.pose(frame),
        )


def _gathered(site: Site) -> Static:
    mesh, labels, materials, places = site.ground.surface()
    parts = [Static(mesh.vertices, mesh.faces, labels, np.zeros(len(mesh.faces), int), materials, places)]
    for patch, material, s in site.decals:
        count, flat = len(patch.faces), np.zeros(len(patch.faces), int)
        row = np.full(count, material)
        parts.append(Static(patch.vertices, patch.faces, flat, flat, row, np.full(len(patch.vertices), s)))
    for placed in site.placed:
        count = len(placed.faces)
        label, instance = np.full(count, placed.label), np.full(count, placed.instance)
        at = np.full(len(placed.vertices), placed.s)
        parts.append(Static(placed.vertices, placed.faces, label, instance, placed.material_of, at))
    starts = np.cumsum([0, *(len(part.vertices) for part in parts)])
    return Static(
        np.concatenate([part.vertices for part in parts]),
        np.concatenate([part.faces + start for part, start in zip(parts, starts[:-1], strict=True)]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.instances for part in parts]),
        np.concatenate([part.material_of for part in parts]),
        np.concatenate([part.places for part in parts]),
    )


def build(seed: int, *, style: str) -> Town:
    """Make the town of a seed; the same seed and style always give the same one.

    Args:
        seed: any non-negative integer.
        style: one of `STYLES`.

    Raises:
        DataError: the style is unknown or the seed negative.
    """
    if style not in STYLES_BY_NAME:
        raise DataError(f"street: town must be one of {', '.join(STYLES)}, not {style!r}")
    if seed < 0:
        raise DataError(f"street: seed must be at least 0, not {seed}")
    kind = STYLES_BY_NAME[style]
    random = Streams(seed, style)
    motion = random("ego")
    speed, gain = motion.uniform(3.5, 11.0), motion.uniform(-0.4, 0.4)
    speeds = np.clip(speed + gain * INTERVAL * np.arange(FRAMES - 1), 3.0, 12.0)
    ego = np.concatenate([[0.0], np.cumsum(speeds * INTERVAL)])
    site = Site(random, kind, ego)
    furnish(site)
    return Town(site, style, light(random("light"), kind))
