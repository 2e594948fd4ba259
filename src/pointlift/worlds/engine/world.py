"""What a world is made of, for the ray caster: triangles, the class and the material of each, and the light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
    """One moment of a world as triangles; its frame has z up, metres.

    Attributes:
        vertices: (V, 3) float64.
        faces: (F, 3) int64, counter-clockwise from outside (the ray caster sees both sides).
        labels: (F,) int64 class of each triangle.
        instances: (F,) int64 object of each triangle; 0 is the ground.
        material_of: (F,) int64 row of ``materials``.
        origins: (I, 3) float64 of each object's own frame, in which its pattern lies, so that it moves with it.
        yaws: (I,) float64 radians.
        materials: the looks.
        light: sun and sky.
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
