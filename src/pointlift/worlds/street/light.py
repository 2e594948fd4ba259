"""Sun and sky of a town."""

from __future__ import annotations

import numpy as np

from pointlift.worlds.engine.world import Light
from pointlift.worlds.street.styles import Style


def light(rng: np.random.Generator, style: Style) -> Light:
    """A clear, hazy or overcast sky at some hour, and an exposure that suits it to within half a stop."""
    elevation, azimuth = np.radians(rng.uniform(*style.sun)), rng.uniform(0, 2 * np.pi)
    sun = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    overcast = rng.random() < style.overcast
    clouds = rng.uniform(0.8, 1.0) if overcast else rng.uniform(0.0, 0.5)
    strength = rng.uniform(0.0, 0.35) if overcast else rng.uniform(1.6, 2.4)
    low = 1 - np.sin(elevation)  # a low sun is redder
    sun_color = strength * np.array([1.0, 0.97 - 0.25 * low**2, 0.9 - 0.5 * low**2])
    grey, tint = rng.uniform(0.55, 0.85), rng.uniform(-0.06, 0.06)
    blue = np.array([0.22, 0.42, 0.85]) * rng.uniform(0.8, 1.2)
    zenith = blue * (1 - clouds) + grey * np.array([0.82, 0.87, 0.95]) * clouds
    horizon = np.array([0.80, 0.88, 1.0]) * (1 - clouds) * rng.uniform(0.85, 1.1) + grey * 0.95 * clouds
    ambient = (0.55 if not overcast else 0.95) * (0.5 * zenith / zenith.mean() + 0.5) * rng.uniform(0.8, 1.2)
    exposure = rng.uniform(0.72, 1.35) * 1.35 / (strength * 0.75 * np.sin(elevation) + float(ambient.mean()) + 0.25)
    return Light(
        sun=sun,
        sun_color=np.asarray(sun_color, np.float32),
        ambient=np.asarray(ambient * (1 + tint * np.array([1, 0, -1])), np.float32),
        zenith=np.asarray(zenith, np.float32),
        horizon=np.asarray(horizon * (1 + tint * np.array([1, 0, -1])), np.float32),
        haze=float(rng.uniform(180, 700) if overcast else rng.uniform(350, 1600)),
        clouds=float(clouds),
        exposure=float(exposure),
    )
