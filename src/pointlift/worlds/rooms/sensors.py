"""A hand-held RGB-D camera, and the fused cloud of a whole room."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pointlift.worlds.engine import textures
from pointlift.worlds.engine.cameras import pixel_rays
from pointlift.worlds.engine.film import exposed, film
from pointlift.worlds.engine.rays import Caster, turned
from pointlift.worlds.engine.world import TEXTURES
from pointlift.worlds.rooms.world import Room

FIELD_OF_VIEW = 66.0
"""Of the camera, degrees, horizontal."""
NEAR, FAR = 0.4, 6.5
"""What the depth sensor measures, metres."""
OFFSET = 2e-3  # metres off a surface, so that it does not shade itself
REACH = 0.7  # metres beyond which nothing takes ambient light away
TILE = 4  # neighbouring pixels look at different parts of a lamp and of the surroundings, and share what they find
CLOUD_NOISE = 0.003
LOOKS_UP = 0.25
"""Sine of the highest elevation at which the cloud of a room sees: ceilings are seen from afar only."""
LUMINANCE = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)


class Picture(NamedTuple):
    """What the camera sees: image (H, W, 3) uint8, and of each pixel's centre what is there.

    ``depth (H, W)`` float64 is what the sensor measures, metres along the camera's axis, 0 where it measures nothing;
    ``true_depth`` is without its errors; ``labels (H, W)`` int64 (-1: ignored), ``instances (H, W)`` int64.
    """

    image: np.ndarray
    depth: np.ndarray
    true_depth: np.ndarray
    labels: np.ndarray
    instances: np.ndarray


class Cloud(NamedTuple):
    """A whole room: points (N, 3) float32, colors (N, 3) uint8, labels (N,) and instances (N,) int64."""

    points: np.ndarray
    colors: np.ndarray
    labels: np.ndarray
    instances: np.ndarray


def intrinsics(size: tuple[int, int]) -> np.ndarray:
    """K (3, 3) of images of ``size`` (height, width)."""
    height, width = size
    focal = 0.5 * width / np.tan(np.radians(0.5 * FIELD_OF_VIEW))
    return np.array([[focal, 0, 0.5 * (width - 1)], [0, focal, 0.5 * (height - 1)], [0, 0, 1]])


# ---- one view


def render(room: Room, caster: Caster, pose: np.ndarray, size: tuple[int, int], rng: np.random.Generator) -> Picture:
    """Cast a ray through each pixel of a camera with world from camera ``pose`` (4, 4)."""
    height, width = size
    K = intrinsics(size)
    noise = rng.standard_normal((height, width, 3), dtype=np.float32)
    rays, depth_per_metre = pixel_rays(K, size)
    rays = turned(rays, pose)
    distance, face = caster.first_hit(pose[:3, 3], rays)
    depth = np.where(face >= 0, distance * depth_per_metre, 0.0)
    points, normals, facing = _surface(caster, pose[:3, 3], rays, distance, face)
    shown, surroundings = _received(room, caster, points, normals, _pattern(size))
    alike = _Alike(normals.reshape(height, width, 3), depth.reshape(size))
    shown, surroundings = alike.smoothed(shown), alike.smoothed(surroundings)
    footprint = distance / K[0, 0] / np.sqrt(np.maximum(facing, 0.05))
    color = _color(room, points, normals, face, footprint, shown, surroundings, (rays, facing))
    measured = _measured(depth.reshape(size), facing.reshape(size), room, face.reshape(size), rng)
    return Picture(
        exposed(color.reshape(height, width, 3), _exposure(room, color), noise),
        measured,
        depth.reshape(size),
        np.where(face >= 0, room.labels[face], -1).reshape(size),
        np.where(face >= 0, room.instances[face], 0).reshape(size),
    )


def _surface(
    caster: Caster, origin: np.ndarray, rays: np.ndarray, distance: np.ndarray, face: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where rays end, the normals there towards the camera, and the cosine of the incidence."""
    normals = caster.normals[face]
    facing = np.einsum("pi,pi->p", normals, rays)
    normals = np.where((facing > 0)[:, None], -normals, normals)
    return origin + rays * np.where(np.isfinite(distance), distance, 0.0)[:, None], normals, np.abs(facing)


def _pattern(size: tuple[int, int]) -> np.ndarray:
    """(H · W, 2) in [0, 1): in each tile of pixels, the 16 places of a grid in an order without stripes."""
    order = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]])
    row, column = np.indices(size)
    place = order[row % TILE, column % TILE]
    return np.stack([(place // TILE + 0.5) / TILE, (place % TILE + 0.5) / TILE], axis=-1).reshape(-1, 2)


def _received(
    room: Room, caster: Caster, points: np.ndarray, normals: np.ndarray, pattern: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which share of each lamp is seen (P, L), and the ambient light that arrives (P, 3), each by one ray."""
    start = points + OFFSET * normals
    shown = np.zeros((len(points), len(room.lamps)), dtype=np.float32)
    for number, lamp in enumerate(room.lamps):
        goal = lamp.position + (2 * pattern[:, :1] - 1) * lamp.across + (2 * pattern[:, 1:] - 1) * lamp.up
        way = goal - start
        length = np.sqrt(np.einsum("pi,pi->p", way, way))
        way /= length[:, None]
        lit = np.flatnonzero(np.einsum("pi,pi->p", way, normals) > 1e-3)
        shown[lit, number] = caster.first_hit(start[lit], way[lit])[0] > length[lit] - 0.03
    distance, face = caster.first_hit(start, _hemisphere(normals, pattern))
    open_ = np.clip(distance / REACH, 0, 1).astype(np.float32)[:, None]
    material = room.material_of[face]
    albedo = 0.5 * (room.materials.colors[material] + room.materials.second_colors[material])
    return shown, room.ambient * (open_ + (1 - open_) * 0.7 * albedo) * (0.75 + 0.5 * albedo)


def _hemisphere(normals: np.ndarray, pattern: np.ndarray) -> np.ndarray:
    """Unit vectors (P, 3) around normals, as often in a direction as its cosine."""
    helper = np.where((np.abs(normals[:, 2]) < 0.9)[:, None], (0.0, 0.0, 1.0), (1.0, 0.0, 0.0))
    first = np.cross(helper, normals)
    first /= np.maximum(np.linalg.norm(first, axis=1, keepdims=True), 1e-9)
    second = np.cross(normals, first)
    radius, angle = np.sqrt(pattern[:, 0]), 2 * np.pi * pattern[:, 1]
    return (
        first * (radius * np.cos(angle))[:, None]
        + second * (radius * np.sin(angle))[:, None]
        + normals * np.sqrt(1 - pattern[:, 0])[:, None]
    )


class _Alike:
    """Means over the pixels of a tile that lie on a surface like that of the pixel itself."""

    def __init__(self, normals: np.ndarray, depth: np.ndarray) -> None:
        self._size = depth.shape
        self._weights = []
        for shift in self._shifts():
            other, far = np.roll(normals, shift, (0, 1)), np.roll(depth, shift, (0, 1))
            same = (np.einsum("hwi,hwi->hw", normals, other) > 0.9) & (np.abs(far - depth) < 0.03 * depth)
            self._weights.append(same.astype(np.float32)[..., None])
        self._total = np.maximum(sum(self._weights), 1.0)

    @staticmethod
    def _shifts() -> list[tuple[int, int]]:
        return [(a, b) for a in range(-1, TILE - 1) for b in range(-1, TILE - 1)]

    def smoothed(self, values: np.ndarray) -> np.ndarray:
        """Values (P, C) as means over their neighbours."""
        image = values.reshape(*self._size, -1)
        mean = sum(w * np.roll(image, s, (0, 1)) for w, s in zip(self._weights, self._shifts(), strict=True))
        return (mean / self._total).reshape(len(values), -1)


def _color(
    room: Room,
    points: np.ndarray,
    normals: np.ndarray,
    face: np.ndarray,
    footprint: np.ndarray,
    shown: np.ndarray,
    surroundings: np.ndarray,
    view: tuple[np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
    """Linear RGB (P, 3) float32 of surfaces; with the ``view``'s rays and cosines, their gloss too."""
    material, thing = room.material_of[face], room.instances[face]
    own = textures.in_object_frames(room.origins, room.yaws, thing, points, normals)
    look = textures.look(room.materials, material, *own, thing, footprint)
    first, second = room.materials.colors[material], room.materials.second_colors[material]
    albedo = first + (second - first) * look.mix[:, None]
    light, highlight = surroundings.copy(), np.zeros_like(albedo)
    for number, lamp in enumerate(room.lamps):
        way = lamp.position - points
        square = np.einsum("pi,pi->p", way, way)
        way /= np.sqrt(square)[:, None]
        strength = shown[:, number] / (square + 0.15)
        if lamp.normal.any():
            strength = strength * np.clip(-np.einsum("pi,i->p", way, lamp.normal) + 0.15, 0, 1)
        incidence = np.clip(np.einsum("pi,pi->p", way, normals), 0, 1)
        light += (strength * incidence)[:, None].astype(np.float32) * lamp.color.astype(np.float32)
        if view is not None:
            mirrored = view[0] + 2 * view[1][:, None] * normals
            shine = np.clip(np.einsum("pi,pi->p", mirrored, way), 0, 1) ** 40 * strength
            highlight += (0.6 * look.gloss * shine)[:, None].astype(np.float32) * lamp.color.astype(np.float32)
    color = albedo * light + albedo * room.glow[material][:, None]
    if view is not None:
        fresnel = look.gloss * (0.05 + 0.6 * (1 - view[1]) ** 5)
        color += fresnel[:, None].astype(np.float32) * surroundings + highlight
    return color.astype(np.float32)


def _exposure(room: Room, color: np.ndarray) -> float:
    """As a camera's own control sets it: the middle of what is seen gets a middle grey."""
    bright = np.minimum(color @ LUMINANCE, 2.0).astype(np.float64)
    return room.exposure * 0.145 / max(float(np.exp(np.log(bright + 1e-3).mean())), 1e-3)


def _measured(
    depth: np.ndarray, facing: np.ndarray, room: Room, face: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """What the depth sensor makes of true depth (H, W).

    Its noise grows with the square of the distance, as Nguyen et al. (*Modeling Kinect Sensor Noise*, 2012) measured,
    and it measures nothing in patches at edges, on surfaces seen at a grazing angle, and on glass.
    """
    height, width = depth.shape
    white, luck = rng.standard_normal(depth.shape), rng.random(depth.shape)
    row, column = np.indices(depth.shape).reshape(2, -1) / (width / 40.0)
    seed = np.full(depth.size, int(rng.integers(1 << 30)), dtype=np.uint32)
    patches = textures.value_noise((row, column), seed).reshape(depth.shape)
    sigma = 0.0012 + 0.0019 * (depth - 0.4) ** 2
    noisy = depth + sigma * white
    chance = 0.9 * np.clip((0.3 - facing) / 0.25, 0, 1) + 0.004
    padded = np.pad(depth, 1, mode="edge")
    around = [padded[1 + a : 1 + a + height, 1 + b : 1 + b + width] for a in (-1, 0, 1) for b in (-1, 0, 1)]
    behind = np.max(around, axis=0) - np.min(around, axis=0)
    chance = np.where(behind > 0.04 * depth + 0.02 + 2 * depth / width / np.maximum(facing, 0.1), 0.55, chance)
    material = room.material_of[face]
    glassy = room.materials.gloss[material] > 0.6
    chance = np.maximum(chance, np.where(glassy, 0.75, 0.0))
    dark = (room.materials.colors[material].mean(axis=-1) < 0.03) & (
        room.materials.textures[material] == TEXTURES.index("plain")
    )
    chance = np.maximum(chance, np.where(dark, 0.25, 0.0))
    lost = (0.5 * luck + 0.5 * patches < chance) | (depth < NEAR) | (depth > FAR)
    return np.where(lost, 0.0, noisy)


# ---- a whole room


def cloud(room: Room, caster: Caster, count: int, rng: np.random.Generator) -> Cloud:
    """At most ``count`` points, equally dense on all surfaces that are seen from somewhere on the camera's path."""
    corners = room.vertices[room.faces]
    area = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    points, face, normals = np.empty((0, 3)), np.empty(0, np.int64), np.empty((0, 3))
    for _ in range(6):
        which = rng.choice(len(area), 2 * count, p=area / area.sum())
        u, v = rng.random((2, 2 * count, 1))
        flip = u + v > 1
        u, v = np.where(flip, 1 - u, u), np.where(flip, 1 - v, v)
        a, b, c = np.moveaxis(corners[which], 1, 0)
        places = a + u * (b - a) + v * (c - a)
        seen, toward = _seen(room, caster, places, which)
        points, face = np.concatenate([points, places[seen]]), np.concatenate([face, which[seen]])
        normals = np.concatenate([normals, toward[seen]])
        if len(points) >= count:
            break
    points, face, normals = points[:count], face[:count], normals[:count]
    rays = [_received(room, caster, points, normals, rng.random((len(points), 2))) for _ in range(6)]
    shown, surroundings = (np.mean([ray[part] for ray in rays], axis=0) for part in (0, 1))
    color = _color(room, points, normals, face, np.full(len(points), 0.01), shown, surroundings)
    color *= np.float32(_exposure(room, color))
    noisy = points + rng.normal(0, CLOUD_NOISE, points.shape)
    return Cloud(noisy.astype(np.float32), film(color), room.labels[face], room.instances[face])


def _seen(room: Room, caster: Caster, points: np.ndarray, face: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether points on faces are seen from the path (N,), by a camera that does not look up much; normals (N, 3)."""
    seen, toward = np.zeros(len(points), dtype=bool), caster.normals[face].copy()
    for eye in room.poses[::2, :3, 3]:
        left = np.flatnonzero(~seen)
        way = points[left] - eye
        length = np.sqrt(np.einsum("pi,pi->p", way, way))
        way /= length[:, None]
        level = way[:, 2] < LOOKS_UP
        left, way, length = left[level], way[level], length[level]
        hit = caster.first_hit(np.broadcast_to(eye, way.shape), way)[0]
        normal = caster.normals[face[left]]
        facing = np.einsum("pi,pi->p", normal, way)
        found = (np.abs(hit - length) < 2e-3) & (np.abs(facing) > 0.02)
        seen[left[found]] = True
        toward[left[found]] = np.where((facing > 0)[:, None], -normal, normal)[found]
    return seen, toward
