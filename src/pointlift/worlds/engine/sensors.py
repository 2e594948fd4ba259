"""The sensors of the ego vehicle: a spinning LiDAR and pinhole cameras, each seeing one moment of a world."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypedDict

import numpy as np

from pointlift.data import camera as geometry
from pointlift.worlds.engine import textures
from pointlift.worlds.engine.rays import Caster
from pointlift.worlds.engine.world import EGO, TEXTURES, Light, World

LIDAR_HEIGHT = 1.9
"""Metres above the ego vehicle's origin; the LiDAR's axes are the vehicle's."""
MAX_RANGE = 80.0
RANGE_NOISE = 0.02
FOLIAGE_DEPTH = 0.2
"""Mean way of a ray into leaves, metres."""
BEAMS: dict[int, tuple[float, float, int]] = {32: (10.0, -30.0, 1024), 64: (2.0, -24.8, 2048)}
"""Number of beams to the elevation of the highest and lowest, degrees, and the number of azimuths."""
CAMERAS: dict[str, tuple[float, tuple[float, float, float]]] = {
    "front": (0.0, (1.0, 0.0, 1.6)),
    "left": (90.0, (0.4, 0.6, 1.6)),
    "right": (-90.0, (0.4, -0.6, 1.6)),
    "rear": (180.0, (-0.8, 0.0, 1.6)),
}
"""Name to azimuth, degrees from x towards y, and position in the ego frame, metres."""
CAMERA_PITCH = 5.0  # degrees downward
FIELD_OF_VIEW = 90.0  # degrees, horizontal
FAR = 250.0  # metres; a depth image ends at 256
SKY = 0.72  # of the sky's colours as they enter a picture, so that a camera exposed for the street keeps its blue
SHADOW_OFFSET = 4e-3  # metres off the surface, so that it does not shade itself


class Scan(NamedTuple):
    """One turn of the LiDAR: N returns in its frame, by beam from the top and then clockwise from behind.

    ``points (N, 3)`` float32 metres, ``intensity (N,)`` float32 in [0, 1], ``labels (N,)`` and ``instances (N,)``
    int64; ``dropped`` counts the returns from the ego vehicle that were left out.
    """

    points: np.ndarray
    intensity: np.ndarray
    labels: np.ndarray
    instances: np.ndarray
    dropped: int


class Picture(TypedDict):
    """What one camera sees: ``image (H, W, 3)`` uint8 RGB and, of each pixel's centre, what is there.

    ``labels (H, W)`` and ``material (H, W)`` int64, -1 in the sky; ``depth (H, W)`` float32, metres along the camera's
    axis, 0 in the sky; ``lit (H, W)`` bool, whether the sun shines on it.
    """

    image: np.ndarray
    labels: np.ndarray
    material: np.ndarray
    depth: np.ndarray
    lit: np.ndarray


@dataclass(frozen=True)
class Camera:
    """A pinhole camera on the ego vehicle.

    Args:
        name: of the camera.
        intrinsics: K (3, 3) float64.
        size: (height, width) of its images.
        ego_from_camera: (4, 4) float64, from the camera's axes (x right, y down, z forward) to the vehicle's.
    """

    name: str
    intrinsics: np.ndarray
    size: tuple[int, int]
    ego_from_camera: np.ndarray

    @property
    def camera_from_lidar(self) -> np.ndarray:
        """(4, 4) float64: takes points of a `Scan` to the camera's frame."""
        rotation, position = self.ego_from_camera[:3, :3], self.ego_from_camera[:3, 3]
        matrix = np.eye(4)
        matrix[:3, :3] = rotation.T
        matrix[:3, 3] = rotation.T @ (np.array([0.0, 0.0, LIDAR_HEIGHT]) - position)
        return matrix


def camera(name: str, size: tuple[int, int]) -> Camera:
    """The camera of that name in `CAMERAS`, with images of ``size`` (height, width)."""
    azimuth, position = CAMERAS[name]
    height, width = size
    focal = 0.5 * width / np.tan(np.radians(0.5 * FIELD_OF_VIEW))
    intrinsics = np.array([[focal, 0, 0.5 * (width - 1)], [0, focal, 0.5 * (height - 1)], [0, 0, 1]])
    turn, pitch = np.radians(azimuth), np.radians(CAMERA_PITCH)
    level = np.array([np.cos(turn), np.sin(turn), 0.0])
    right = np.array([np.sin(turn), -np.cos(turn), 0.0])
    forward = np.cos(pitch) * level - np.array([0.0, 0.0, np.sin(pitch)])
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    matrix[:3, 3] = position
    return Camera(name, intrinsics, (height, width), matrix)


def world_from_lidar(world: World) -> np.ndarray:
    """Pose (4, 4) float64 of the LiDAR."""
    pose = world.world_from_ego.copy()
    pose[:3, 3] += LIDAR_HEIGHT * pose[:3, 2]
    return pose


def split_ego(world: World) -> tuple[World, World]:
    """The world without the ego vehicle, which cameras see, and the ego vehicle alone."""
    own = world.labels == EGO
    return _only(world, ~own), _only(world, own)


def _only(world: World, kept: np.ndarray) -> World:
    return replace(
        world,
        faces=world.faces[kept],
        labels=world.labels[kept],
        instances=world.instances[kept],
        material_of=world.material_of[kept],
    )


# ---- LiDAR


def scan(world: World, caster: Caster, ego: Caster, beams: Literal[32, 64], rng: np.random.Generator) -> Scan:
    """One turn of the LiDAR, at one instant.

    A return is lost more often the darker, the farther and the more slanted its surface; its intensity is the
    reflectance times the incidence, with a weak falloff over range. Foliage is no surface: its returns come from some
    way inside, an exponential draw. The random draws of a ray do not depend on what
    it or any other ray hits.

    Args:
        world: without the ego vehicle (`split_ego`).
        caster: of the world's triangles.
        ego: of the ego vehicle's triangles.
        beams: 32 or 64, a key of `BEAMS`.
        rng: draws the noise.
    """
    pose, directions = world_from_lidar(world), lidar_directions(beams)
    range_noise, luck, intensity_noise = (
        rng.normal(0, RANGE_NOISE, len(directions)),
        rng.random(len(directions)),
        rng.normal(0, 0.02, len(directions)),
    )
    depth_in_leaves = np.minimum(rng.exponential(FOLIAGE_DEPTH, len(directions)), 5 * FOLIAGE_DEPTH)
    rays = turned(directions, pose)
    distance, face = caster.first_hit(pose[:3, 3], rays)
    own = ego.first_hit(pose[:3, 3], rays)[0]
    incidence = np.abs(np.einsum("ri,ri->r", caster.normals[face], rays)) if len(world.faces) else np.zeros(len(rays))
    reflectance = world.materials.reflectance[world.material_of[face]].astype(np.float64)
    nearest = np.minimum(distance, own)
    signal = reflectance * (0.15 + 0.85 * incidence) / (1 + (nearest / 35.0) ** 2)
    detected = luck > 0.01 + 0.99 * np.exp(-signal / 0.008)
    returned = (distance < own) & (distance <= MAX_RANGE) & detected
    dropped = int(((own <= distance) & np.isfinite(own)).sum())
    value = reflectance * (0.3 + 0.7 * incidence) / (1 + (np.minimum(distance, 200) / 90.0) ** 2) + intensity_noise
    leafy = world.materials.textures[world.material_of[face]] == TEXTURES.index("leaves")
    distance = distance + range_noise + np.where(leafy, depth_in_leaves, 0.0)
    face = face[returned]
    return Scan(
        (directions * distance[:, None])[returned].astype(np.float32),
        np.clip(value[returned], 0, 1).astype(np.float32),
        world.labels[face],
        world.instances[face],
        dropped,
    )


def turned(directions: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Directions (R, 3) in the frame that a pose (4, 4) leads to."""
    return np.einsum("ri,ji->rj", directions, pose[:3, :3])


def lidar_directions(beams: int) -> np.ndarray:
    """Unit vectors (beams · azimuths, 3) in the LiDAR's frame, in the order of a `Scan`."""
    highest, lowest, azimuths = BEAMS[beams]
    elevation = np.radians(np.linspace(highest, lowest, beams))[:, None]
    azimuth = (np.pi - (np.arange(azimuths) + 0.5) * (2 * np.pi / azimuths))[None]
    level = np.cos(elevation)
    parts = np.broadcast_arrays(level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation))
    return np.stack(parts, axis=-1).reshape(-1, 3)


# ---- cameras


def render_view(world: World, caster: Caster, camera: Camera, rng: np.random.Generator) -> Picture:
    """What a camera sees of a world, one ray through the centre of each pixel.

    Args:
        world: the world; `split_ego` takes the ego vehicle out, which would stand in the picture.
        caster: of the world's triangles.
        camera: where and how it looks.
        rng: draws the noise of the image, for all pixels alike, whatever they show.
    """
    height, width = camera.size
    noise = rng.standard_normal((height, width, 3), dtype=np.float32)
    pose = world.world_from_ego @ camera.ego_from_camera
    rays, depth_per_metre = pixel_rays(camera.intrinsics, camera.size)
    rays = turned(rays, pose)
    distance, face = caster.first_hit(pose[:3, 3], rays)
    hit = (face >= 0) & (distance * depth_per_metre <= FAR)
    color = np.empty((height * width, 3), dtype=np.float32)
    lit = np.zeros(height * width, dtype=bool)
    pixel = 1.0 / camera.intrinsics[0, 0]
    color[hit], lit[hit] = _shade(world, caster, pose[:3, 3], rays[hit], distance[hit], face[hit], pixel)
    color[~hit] = sky(world.light, rays[~hit])
    shape = (height, width)
    return {
        "image": exposed(color.reshape(height, width, 3), world.light.exposure, noise),
        "labels": np.where(hit, world.labels[face], -1).reshape(shape),
        "material": np.where(hit, world.material_of[face], -1).reshape(shape),
        "depth": np.where(hit, distance * depth_per_metre, 0).astype(np.float32).reshape(shape),
        "lit": lit.reshape(shape),
    }


def pixel_rays(intrinsics: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors (H · W, 3) through the centres of all pixels, and how much depth each gains per metre (H · W,)."""
    rays = geometry.back_project(np.ones(size), intrinsics).reshape(-1, 3)
    length = np.sqrt(np.einsum("ri,ri->r", rays, rays))
    return rays / length[:, None], 1.0 / length


def _shade(
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
    own_points, own_normals = in_object_frames(world.origins, world.yaws, world.instances[face], points, normals)
    look = textures.look(
        world.materials, material, own_points, own_normals, world.instances[face], distance * pixel / np.sqrt(slant)
    )
    first, second = world.materials.colors[material], world.materials.second_colors[material]
    albedo = first + (second - first) * look.mix[:, None]
    direct = np.where(lit, sunward, 0).astype(np.float32)[:, None] * light.sun_color
    color = albedo * (direct + _ambient(light, normals[:, 2]))
    color += _reflections(light, rays, normals, facing, lit, look.gloss)
    through = np.exp(-distance / light.haze).astype(np.float32)[:, None]
    return color * through + np.float32(SKY) * light.horizon * (1 - through), lit


def in_object_frames(
    origins: np.ndarray, yaws: np.ndarray, objects: np.ndarray, points: np.ndarray, normals: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Points (P, 3) and normals (P, 3) in the frames of their objects (P,), given by origins (I, 3) and yaws (I,)."""
    cos, sin = np.cos(yaws)[objects], np.sin(yaws)[objects]

    def turn(vectors: np.ndarray) -> np.ndarray:
        x, y, z = vectors.T
        return np.stack([cos * x + sin * y, cos * y - sin * x, z], axis=1)

    return turn(points - origins[objects]), turn(normals)


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
    # clouds lie on a plane overhead; its place follows the sun, so that towns have different ones
    x, y = (rays[:, i] / (up + 0.12) + 40.0 * light.sun[i] for i in (0, 1))
    seeds = np.full(len(rays), 11, dtype=np.uint32)
    octaves = [textures.value_noise((s * x, s * y), seeds) for s in (0.8, 1.9, 4.3)]
    density = 0.55 * octaves[0] + 0.3 * octaves[1] + 0.15 * octaves[2]
    threshold = 0.75 - 0.5 * light.clouds
    cover = np.clip((density - threshold) / 0.22, 0, 1).astype(np.float32) * np.clip(6 * up, 0, 1).astype(np.float32)
    white = 0.3 * light.sun_color * max(float(light.sun[2]), 0.3) + 0.35 * light.ambient + 0.25 * light.horizon
    return color + 0.85 * cover[:, None] * (white.astype(np.float32) - color)


def exposed(color: np.ndarray, exposure: float, noise: np.ndarray) -> np.ndarray:
    """Linear RGB (H, W, 3) to a camera's 8 bits: blur of the lens, darker corners, noise, and a film's curve."""
    color = np.float32(exposure) * _blurred(color)
    height, width = color.shape[:2]
    v, u = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    color *= (1 - 0.14 * (0.35 * v * v + u * u) ** 1.5).astype(np.float32)[..., None]
    color += noise * np.sqrt(np.float32(2e-5) + np.float32(4e-4) * np.maximum(color, 0))
    return film(color)


def film(color: np.ndarray) -> np.ndarray:
    """Linear RGB (…, 3) float32, which is overwritten, to 8 bits by a film's curve."""
    np.clip(color, 0, 16, out=color)
    # fit of the ACES film curve (K. Narkowicz, 2015), then the display's gamma
    curved = color * (2.51 * color + 0.03) / (color * (2.43 * color + 0.59) + 0.14)
    return (255 * np.clip(curved, 0, 1) ** np.float32(1 / 2.2) + 0.5).astype(np.uint8)


def _blurred(color: np.ndarray) -> np.ndarray:
    """Each pixel takes a little of its neighbours, which softens the steps of edges."""
    for axis in (0, 1):
        before = np.concatenate([color.take([0], axis), color.take(range(color.shape[axis] - 1), axis)], axis)
        after = np.concatenate([color.take(range(1, color.shape[axis]), axis), color.take([-1], axis)], axis)
        color = np.float32(0.74) * color + np.float32(0.13) * (before + after)
    return color
