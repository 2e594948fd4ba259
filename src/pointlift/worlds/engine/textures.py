"""Patterns of surfaces, computed at the points that rays hit: nothing is stored as an image."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from pointlift.worlds.engine.world import TEXTURES, Materials

WINDOW_GLOSS = 0.75
MORTAR = 0.07  # half the width of a joint between bricks, in heights of a brick
_PRIMES = np.array([0x9E3779B1, 0x85EBCA6B, 0xC2B2AE35, 0x27D4EB2F], dtype=np.uint32)


class Surface(NamedTuple):
    """Where rays met surfaces of one texture, in units of the pattern's size.

    ``along (P,)`` and ``up (P,)`` lie in the surface: along a wall and up it, or both on the ground; ``points (P, 3)``;
    ``seeds (P,)`` differ from object to object; ``footprint (P,)`` is the size of a pixel.
    """

    along: np.ndarray
    up: np.ndarray
    points: np.ndarray
    seeds: np.ndarray
    footprint: np.ndarray


class Look(NamedTuple):
    """What a pattern does to P hit points.

    ``mix (P,)`` float32 in [0, 1] is the share of the material's second colour, ``gloss (P,)`` float32.
    """

    mix: np.ndarray
    gloss: np.ndarray


def look(
    materials: Materials,
    material: np.ndarray,
    points: np.ndarray,
    normals: np.ndarray,
    objects: np.ndarray,
    footprint: np.ndarray,
) -> Look:
    """The pattern of each hit point.

    Details smaller than a pixel fade to their mean, as in a camera whose pixels have an area.

    Args:
        materials: the looks.
        material: (P,) int64 row of ``materials``.
        points: (P, 3) in the frame of the object that was hit, metres.
        normals: (P, 3) unit normals of the surface in that frame.
        objects: (P,) int64 number of the object, so that two houses of one material differ.
        footprint: (P,) metres that a pixel covers on the surface.
    """
    textures = materials.textures[material]
    mix, gloss = np.zeros(len(points), dtype=np.float32), materials.gloss[material]
    for texture, name in enumerate(TEXTURES):
        there = np.flatnonzero(textures == texture)
        if len(there) == 0:
            continue
        scale = materials.scales[material[there]].astype(np.float64)
        along, up = surface_plane(points[there], normals[there])
        seeds = _hash(objects[there], material[there])
        surface = Surface(along / scale, up / scale, points[there] / scale[:, None], seeds, footprint[there] / scale)
        mix[there] = _PATTERNS[name](surface)
        if name == "windows":
            gloss[there] = np.maximum(gloss[there], WINDOW_GLOSS * (mix[there] > 0.5))
    return Look(mix, gloss)


def in_object_frames(
    origins: np.ndarray, yaws: np.ndarray, objects: np.ndarray, points: np.ndarray, normals: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Points (P, 3) and normals (P, 3) in the frames of their objects (P,), given by origins (I, 3) and yaws (I,)."""
    cos, sin = np.cos(yaws)[objects], np.sin(yaws)[objects]

    def turn(vectors: np.ndarray) -> np.ndarray:
        x, y, z = vectors.T
        return np.stack([cos * x + sin * y, cos * y - sin * x, z], axis=1)

    return turn(points - origins[objects]), turn(normals)


def surface_plane(points: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (P,) and (P,) in the surface: x and y where it is flat, else along the wall and height."""
    level = np.hypot(normals[:, 0], normals[:, 1])
    flat = np.abs(normals[:, 2]) > 0.7
    safe = np.where(flat, 1.0, level)
    wall = (points[:, 1] * normals[:, 0] - points[:, 0] * normals[:, 1]) / safe
    return np.where(flat, points[:, 0], wall), np.where(flat, points[:, 1], points[:, 2])


def _hash(*values: np.ndarray) -> np.ndarray:
    """Integers of equal shape to a well mixed uint32: the same on every machine."""
    mixed = np.uint32(0)
    for value, prime in zip(values, _PRIMES, strict=False):
        mixed = mixed ^ (value.astype(np.uint32) * prime)
    mixed = (mixed ^ (mixed >> np.uint32(15))) * np.uint32(0x2C1B3C6D)
    mixed = (mixed ^ (mixed >> np.uint32(12))) * np.uint32(0x297A2D39)
    return mixed ^ (mixed >> np.uint32(15))


def _unit(hashed: np.ndarray) -> np.ndarray:
    """uint32 to float32 in [0, 1)."""
    return (hashed >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)


def value_noise(coordinates: tuple[np.ndarray, ...], seeds: np.ndarray) -> np.ndarray:
    """Smooth noise (P,) float32 in [0, 1): random values at integer places, blended in between.

    Args:
        coordinates: one array (P,) per dimension, two or three of them.
        seeds: (P,) int or uint32.
    """
    base = [np.floor(c) for c in coordinates]
    parts = [(c - b).astype(np.float32) for c, b in zip(coordinates, base, strict=True)]
    weights = [p * p * (3 - 2 * p) for p in parts]
    cells = [b.astype(np.int64).astype(np.uint32) * prime for b, prime in zip(base, _PRIMES, strict=False)]
    seeded = seeds.astype(np.uint32) * _PRIMES[3]

    def corner(mixed: np.ndarray, axis: int) -> np.ndarray:
        if axis == len(cells):
            mixed = (mixed ^ (mixed >> np.uint32(15))) * np.uint32(0x2C1B3C6D)
            return _unit(mixed ^ (mixed >> np.uint32(13)))
        near = corner(mixed ^ cells[axis], axis + 1)
        return near + weights[axis] * (corner(mixed ^ (cells[axis] + _PRIMES[axis]), axis + 1) - near)

    return corner(seeded, 0)


def _fade(footprint: np.ndarray, size: float) -> np.ndarray:
    """1 where details of ``size`` are seen, 0 where a pixel holds several."""
    return np.clip(1.5 - footprint / size, 0.0, 1.0).astype(np.float32)


def _faded(value: np.ndarray, mean: float, footprint: np.ndarray, size: float) -> np.ndarray:
    return mean + (value - np.float32(mean)) * _fade(footprint, size)


def _cloudy(surface: Surface, size: float = 1.0) -> np.ndarray:
    """Two octaves of noise in space, with the contrast of one."""
    x, y, z = surface.points.T / size
    coarse = _faded(value_noise((x, y, z), surface.seeds), 0.5, surface.footprint, size)
    fine = _faded(
        value_noise((2.7 * x, 2.7 * y, 2.7 * z), surface.seeds + np.uint32(1)), 0.5, surface.footprint, size / 3
    )
    return np.clip(1.9 * (0.62 * coarse + 0.38 * fine - 0.5) + 0.5, 0, 1)


def _plain(surface: Surface) -> np.ndarray:
    coarse = value_noise((0.7 * surface.along, 0.7 * surface.up), surface.seeds)
    return 0.25 * _faded(coarse, 0.5, surface.footprint, 1.4)


def _noise(surface: Surface) -> np.ndarray:
    return _cloudy(surface)


def _leaves(surface: Surface) -> np.ndarray:
    """Lit leaves before dark gaps, in tufts."""
    tufts = _cloudy(surface, 4.0)
    return np.clip(0.55 * _cloudy(surface) + 0.65 * tufts - 0.1, 0, 1)


def _bricks(surface: Surface) -> np.ndarray:
    """Courses of half a pattern's height, every other one shifted by half a brick."""
    course = np.floor(2.0 * surface.up)
    shifted = surface.along + 0.5 * np.mod(course, 2.0)
    brick = np.floor(shifted)
    height, length = 2.0 * surface.up - course, 2.0 * (shifted - brick)
    joint = (np.abs(height - 0.5) > 0.5 - MORTAR) | (np.abs(length - 1.0) > 1.0 - MORTAR)
    each = _unit(_hash(brick.astype(np.int64), course.astype(np.int64), surface.seeds))
    return _faded(np.where(joint, np.float32(1), np.float32(0.4) * each), 0.36, surface.footprint, 0.3)


def _windows(surface: Surface) -> np.ndarray:
    """A window in each cell, some with a blind; walls between them."""
    column, row = np.floor(surface.along), np.floor(surface.up)
    x, y = surface.along - column - 0.5, surface.up - row - 0.5
    glass = (np.abs(x) < 0.27) & (np.abs(y) < 0.29)
    each = _unit(_hash(column.astype(np.int64), row.astype(np.int64), surface.seeds))
    blind = (each > 0.75) & (y > 0.29 - 1.6 * (each - 0.75))
    value = np.where(glass, np.where(blind, np.float32(0.45), np.float32(0.8) + np.float32(0.2) * each), np.float32(0))
    return _faded(value.astype(np.float32), 0.3, surface.footprint, 0.6)


def _stripes(surface: Surface) -> np.ndarray:
    """Bands across a wall or post, or across the x axis on the ground."""
    band = surface.up - np.floor(surface.up)
    return _faded((band < 0.5).astype(np.float32), 0.5, surface.footprint, 0.5)


def _planks(surface: Surface) -> np.ndarray:
    """Upright boards with gaps, each of its own tone."""
    board = np.floor(surface.along)
    gap = surface.along - board < 0.07
    each = _unit(_hash(board.astype(np.int64), surface.seeds))
    grain = value_noise((9 * surface.along, 0.6 * surface.up), surface.seeds)
    tone = 0.55 * each + 0.2 * _faded(grain, 0.5, surface.footprint, 0.2)
    return _faded(np.where(gap, np.float32(1), tone), 0.42, surface.footprint, 0.6)


def _panels(surface: Surface) -> np.ndarray:
    """Sheets with seams, each of slightly its own tone."""
    column, row = np.floor(surface.along), np.floor(surface.up)
    seam = (surface.along - column < 0.03) | (surface.up - row < 0.03)
    each = _unit(_hash(column.astype(np.int64), row.astype(np.int64), surface.seeds))
    tone = _faded(np.float32(0.3) * each, 0.15, surface.footprint, 1.0)
    return np.where(seam, tone + (1 - tone) * _fade(surface.footprint, 0.05), tone)


def _asphalt(surface: Surface) -> np.ndarray:
    """Grain, and repairs and stains many times larger."""
    grain = value_noise((9 * surface.along, 9 * surface.up), surface.seeds)
    stains = value_noise((0.23 * surface.along, 0.11 * surface.up), surface.seeds + np.uint32(3))
    return np.clip(
        0.5 * _faded(grain, 0.5, surface.footprint, 0.12) + 0.9 * _faded(stains, 0.5, surface.footprint, 6.0) - 0.2,
        0,
        1,
    )


def _markings(surface: Surface) -> np.ndarray:
    """Paint that is worn off in places."""
    x, y = surface.along, surface.up
    wear = 0.6 * value_noise((2 * x, 2 * y), surface.seeds) + 0.4 * value_noise((7 * x, 7 * y), surface.seeds)
    return _faded(np.clip(4 * (wear - 0.55), 0, 1), 0.2, surface.footprint, 0.4)


_PATTERNS: dict[str, Callable[[Surface], np.ndarray]] = {
    "plain": _plain,
    "noise": _noise,
    "bricks": _bricks,
    "windows": _windows,
    "stripes": _stripes,
    "planks": _planks,
    "leaves": _leaves,
    "panels": _panels,
    "asphalt": _asphalt,
    "markings": _markings,
}
