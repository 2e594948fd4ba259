"""How sun and sky light the surfaces that rays hit, and how the sky itself looks."""

from __future__ import annotations

import numpy as np

from pointlift.worlds.engine import textures
from pointlift.worlds.engine.rays import Caster
from pointlift.worlds.engine.world import Light, World

SKY = 0.72  # of the sky's colours as they enter a picture, so that a camera exposed for the ground keeps its blue
SHADOW_OFFSET = 4e-3  # metres off the surface, so that it does not shade itself


def shaded(
    world: World,
    caster: Caster,
    origin: np.ndarray,
    rays: np.ndarray,
    distance: np.ndarray,
    face: np.ndarray,
    pixel: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Linear RGB (P, 3) float32 of P hits, and whether the sun shines on them (P,)."""
    light, material = world.light, world.material_of[face]
    points, normals = origin + rays * distance[:, None], caster.normals[face]
    facing = np.einsum("pi,pi->p", normals, rays)
    normals = np.where((facing > 0)[:, None], -normals, normals)
    sunward = np.einsum("pi,i->p", normals, light.sun)
    lit = sunward > 1e-3
    start = points[lit] + SHADOW_OFFSET * normals[lit]
    lit[lit] = ~caster.occluded(start, np.broadcast_to(light.sun, start.shape))
    slant = np.maximum(np.abs(facing), 0.05)
    thing = world.instances[face]
    own = textures.in_object_frames(world.origins, world.yaws, thing, points, normals)
    look = textures.look(world.materials, material, *own, thing, distance * pixel / np.sqrt(slant))
    first, second = world.materials.colors[material], world.materials.second_colors[material]
    albedo = first + (second - first) * look.mix[:, None]
    direct = np.where(lit, sunward, 0).astype(np.float32)[:, None] * light.sun_color
    color = albedo * (direct + _ambient(light, normals[:, 2]))
    color += _reflections(light, rays, normals, facing, lit, look.gloss)
    through = np.exp(-distance / light.haze).astype(np.float32)[:, None]
    return color * through + np.float32(SKY) * light.horizon * (1 - through), lit


def _ambient(light: Light, up: np.ndarray) -> np.ndarray:
    """Light (P, 3) from the hemisphere that a surface faces: sky above, ground that the sun lights below."""
    ground = 0.16 * (light.ambient + max(float(light.sun[2]), 0.0) * light.sun_color)
    share = (0.5 + 0.5 * up).astype(np.float32)[:, None]
    return light.ambient * share + ground.astype(np.float32) * (1 - share)


def _reflections(
    light: Light, rays: np.ndarray, normals: np.ndarray, facing: np.ndarray, lit: np.ndarray, gloss: np.ndarray
) -> np.ndarray:
    """The sky's mirror image and the sun's highlight (P, 3), by Schlick's approximation of Fresnel's equations."""
    result = np.zeros((len(rays), 3), dtype=np.float32)
    shiny = np.flatnonzero(gloss > 0.03)
    if len(shiny) == 0:
        return result
    slant = np.abs(facing[shiny])
    mirrored = rays[shiny] + 2 * slant[:, None] * normals[shiny]
    strength = gloss[shiny] * (0.06 + 0.94 * (1 - slant) ** 5).astype(np.float32)
    up = np.clip(4 * mirrored[:, 2] + 0.6, 0, 1).astype(np.float32)[:, None]
    seen = up * _sky_gradient(light, np.clip(mirrored[:, 2], 0, 1)) + (1 - up) * (0.25 * light.ambient)
    toward_sun = np.clip(np.einsum("pi,i->p", mirrored, light.sun), 0, 1)
    highlight = (np.where(lit[shiny], toward_sun, 0) ** 48).astype(np.float32)
    result[shiny] = strength[:, None] * seen + (0.5 * gloss[shiny] * highlight)[:, None] * light.sun_color
    return result


def _sky_gradient(light: Light, up: np.ndarray) -> np.ndarray:
    share = (1 - (1 - up) ** 4).astype(np.float32)[:, None]
    return np.float32(SKY) * (light.horizon + (light.zenith - light.horizon) * share)


def sky(light: Light, rays: np.ndarray) -> np.ndarray:
    """Linear RGB (R, 3) float32 of the sky along unit vectors (R, 3): a gradient, the glow of the sun, and clouds."""
    up = np.clip(rays[:, 2], 0, 1)
    color = _sky_gradient(light, up)
    glow = np.clip(np.einsum("ri,i->r", rays, light.sun), 0, 1)
    color = color + (0.25 * glow**12 + 3.0 * glow**2000).astype(np.float32)[:, None] * light.sun_color
    # clouds lie on a plane overhead; its place follows the sun, so that worlds have different ones
    x, y = (rays[:, i] / (up + 0.12) + 40.0 * light.sun[i] for i in (0, 1))
    seeds = np.full(len(rays), 11, dtype=np.uint32)
    octaves = [textures.value_noise((s * x, s * y), seeds) for s in (0.8, 1.9, 4.3)]
    density = 0.55 * octaves[0] + 0.3 * octaves[1] + 0.15 * octaves[2]
    threshold = 0.75 - 0.5 * light.clouds
    cover = np.clip((density - threshold) / 0.22, 0, 1).astype(np.float32) * np.clip(6 * up, 0, 1).astype(np.float32)
    white = 0.3 * light.sun_color * max(float(light.sun[2]), 0.3) + 0.35 * light.ambient + 0.25 * light.horizon
    return color + 0.85 * cover[:, None] * (white.astype(np.float32) - color)
