"""What a street is made of, for the ray caster: triangles, the class and the material of each, and the light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CLASSES = (
    ("road", (128, 64, 128)),
    ("pavement", (244, 35, 232)),
    ("terrain", (152, 251, 152)),
    ("building", (220, 160, 60)),
    ("vegetation", (60, 160, 50)),
    ("car", (70, 110, 240)),
    ("lorry", (40, 60, 140)),
    ("bus", (0, 200, 220)),
    ("two-wheeler", (170, 40, 90)),
    ("pedestrian", (230, 30, 60)),
    ("pole", (200, 200, 200)),
    ("barrier", (150, 110, 90)),
    ("cone", (255, 140, 0)),
)
"""Name and colour (RGB) of each class, in the order of the labels."""
EGO = -2
"""Label of the ego vehicle's own triangles: its returns are dropped and counted."""
TEXTURES = ("plain", "noise", "bricks", "windows", "stripes", "planks", "leaves", "panels", "asphalt", "markings")
"""Kinds of surface pattern between a material's two colours; a material names one by its index."""


@dataclass(frozen=True)
class Materials:
    """Looks of M materials, one row each.

    Attributes:
        colors: (M, 3) float32 main albedo, linear RGB in [0, 1].
        second_colors: (M, 3) float32 the other colour of the pattern.
        textures: (M,) int64 index into `TEXTURES`.
        scales: (M,) float32 size of the pattern, metres.
        reflectance: (M,) float32 at the LiDAR's wavelength, in [0, 1].
        gloss: (M,) float32 strength of the highlight and of the sky's reflection, in [0, 1].
        words: M tuples of attribute words that are true of the material ("red", "brick"), for text prompts.
    """

    colors: np.ndarray
    second_colors: np.ndarray
    textures: np.ndarray
    scales: np.ndarray
    reflectance: np.ndarray
    gloss: np.ndarray
    words: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Light:
    """Sun and sky.

    Attributes:
        sun: (3,) float64 unit vector towards the sun.
        sun_color: (3,) float32 linear RGB.
        ambient: (3,) float32 linear RGB of the light from the whole sky.
        zenith: (3,) float32 linear RGB of the sky overhead.
        horizon: (3,) float32 linear RGB of the sky at the horizon, and of the haze.
        haze: metres after which haze has taken 63 % of a colour.
        clouds: share of the sky that clouds cover, in [0, 1].
        exposure: factor on linear RGB before the camera's curve.
    """

    sun: np.ndarray
    sun_color: np.ndarray
    ambient: np.ndarray
    zenith: np.ndarray
    horizon: np.ndarray
    haze: float
    clouds: float
    exposure: float


@dataclass(frozen=True)
class World:
    """One moment of a street as triangles; world frame x east, y north, z up, metres.

    Attributes:
        vertices: (V, 3) float64.
        faces: (F, 3) int64, counter-clockwise from outside (the ray caster sees both sides).
        labels: (F,) int64 class of each triangle, or `EGO`.
        instances: (F,) int64 object of each triangle; 0 is the ground.
        material_of: (F,) int64 row of ``materials``.
        origins: (I, 3) float64 of each object's own frame, in which its pattern lies, so that it moves with it.
        yaws: (I,) float64 radians.
        materials: the looks.
        light: sun and sky.
        world_from_ego: (4, 4) float64 pose of the ego vehicle: origin on the road below the LiDAR, x forward, y left.
    """

    vertices: np.ndarray
    faces: np.ndarray
    labels: np.ndarray
    instances: np.ndarray
    material_of: np.ndarray
    origins: np.ndarray
    yaws: np.ndarray
    materials: Materials
    light: Light
    world_from_ego: np.ndarray
