"""From light to the 8 bits of an image: a lens, a sensor's noise and a film's curve."""

from __future__ import annotations

import numpy as np


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
