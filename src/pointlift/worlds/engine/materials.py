"""The looks of a world: colours with names, kinds of surface, and the words that are true of each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pointlift.worlds.engine.world import TEXTURES, Materials

COLORS = {
    "red": (0.42, 0.04, 0.03),
    "orange": (0.66, 0.20, 0.03),
    "yellow": (0.68, 0.48, 0.06),
    "green": (0.07, 0.20, 0.05),
    "blue": (0.05, 0.13, 0.42),
    "purple": (0.20, 0.06, 0.28),
    "brown": (0.17, 0.09, 0.045),
    "black": (0.02, 0.02, 0.022),
    "white": (0.74, 0.74, 0.71),
    "grey": (0.21, 0.21, 0.21),
    "beige": (0.50, 0.41, 0.28),
    "silver": (0.44, 0.45, 0.47),
}
"""Linear RGB around which a named colour varies."""


class _Look(NamedTuple):
    texture: str
    scale: float
    reflectance: float
    gloss: float
    second: float | str  # the pattern's other colour: a factor on the main one, or a name
    mute: float = 0.0  # how far colours of this surface are drawn towards grey


LOOKS = {
    "brick": _Look("bricks", 0.25, 0.40, 0.02, "beige", 0.25),
    "plaster": _Look("noise", 1.5, 0.50, 0.02, 0.85, 0.3),
    "glass": _Look("plain", 1.0, 0.10, 0.90, 0.8),
    "wood": _Look("planks", 0.18, 0.45, 0.05, 0.65, 0.15),
    "metal": _Look("plain", 1.0, 0.35, 0.45, 0.8),
    "concrete": _Look("noise", 0.8, 0.40, 0.03, 0.75, 0.4),
    "asphalt": _Look("asphalt", 0.5, 0.16, 0.04, 0.7),
    "stone": _Look("bricks", 0.6, 0.38, 0.03, 0.6),
    "paved": _Look("bricks", 0.45, 0.35, 0.03, 0.75, 0.5),
    "tiled": _Look("bricks", 0.35, 0.35, 0.06, 0.6, 0.2),
    "grass": _Look("noise", 0.4, 0.50, 0.0, 0.6),
    "gravel": _Look("noise", 0.12, 0.32, 0.0, 0.6),
    "dirt": _Look("noise", 0.9, 0.28, 0.0, 0.7),
    "sand": _Look("noise", 1.2, 0.45, 0.0, 0.85),
    "leafy": _Look("leaves", 0.25, 0.52, 0.03, 0.45, 0.2),
    "dry": _Look("leaves", 0.3, 0.42, 0.0, 0.6, 0.3),
    "bark": _Look("noise", 0.15, 0.35, 0.0, 0.5),
    "painted": _Look("plain", 1.0, 0.45, 0.35, 0.9),
    "plastic": _Look("plain", 1.0, 0.50, 0.20, 0.85),
    "striped": _Look("stripes", 0.35, 0.70, 0.15, "white"),
    "panel": _Look("panels", 1.2, 0.38, 0.15, 0.6, 0.25),
    "rusty": _Look("noise", 0.5, 0.25, 0.05, "brown"),
    "rubber": _Look("plain", 1.0, 0.06, 0.02, 0.8),
    "cloth": _Look("noise", 0.2, 0.40, 0.0, 0.85),
    "skin": _Look("plain", 1.0, 0.50, 0.03, 0.9),
    "reflective": _Look("plain", 1.0, 0.95, 0.20, 0.9),
}
"""Kinds of surface."""


class Palette:
    """Collects the materials of one world; each call of `make` adds a row and returns its index."""

    def __init__(self) -> None:
        self._rows: list[tuple] = []
        self._known: dict[tuple, int] = {}

    def make(
        self,
        rng: np.random.Generator,
        color: str,
        look: str,
        *kinds: str,
        texture: str | None = None,
        scale: float | None = None,
        second: str | None = None,
        vary: float = 0.25,
    ) -> int:
        """A material of a named colour (varied by up to ``vary``) and look, with the words of both and ``kinds``."""
        kind = LOOKS[look]
        base = np.array(COLORS[color]) * (1 + rng.uniform(-vary, vary)) * (1 + rng.uniform(-0.08, 0.08, 3))
        base = base + kind.mute * (base.mean() - base)
        other = kind.second if second is None else second
        paired = base * other if isinstance(other, float) else np.array(COLORS[other])
        brightness = float(base.mean())
        reflectance = kind.reflectance * (0.75 + 0.8 * brightness) * (1 + rng.uniform(-0.2, 0.2))
        size = (kind.scale if scale is None else scale) * (1 + rng.uniform(-0.2, 0.2))
        gloss = kind.gloss * (1 + rng.uniform(-0.3, 0.1))
        words = (color, look, *kinds)
        name = kind.texture if texture is None else texture
        return self._add(np.clip(base, 0.005, 0.9), np.clip(paired, 0.005, 0.9), name, size, reflectance, gloss, words)

    def fixed(self, color: str, look: str, *kinds: str) -> int:
        """The one unvaried material of these words in this world, for parts that look alike everywhere (tyres)."""
        key = (color, look, *kinds)
        if key not in self._known:
            kind, base = LOOKS[look], np.array(COLORS[color])
            paired = base * kind.second if isinstance(kind.second, float) else np.array(COLORS[kind.second])
            row = (base, paired, kind.texture, kind.scale, kind.reflectance, kind.gloss, key)
            self._known[key] = self._add(*row)
        return self._known[key]

    def _add(
        self,
        color: np.ndarray,
        second: np.ndarray,
        texture: str,
        scale: float,
        reflectance: float,
        gloss: float,
        words: tuple[str, ...],
    ) -> int:
        unique = tuple(dict.fromkeys(words))
        self._rows.append((color, second, TEXTURES.index(texture), scale, reflectance, gloss, unique))
        return len(self._rows) - 1

    def materials(self) -> Materials:
        """All rows as arrays."""
        colors, seconds, textures, scales, reflectance, gloss, words = zip(*self._rows, strict=True)
        return Materials(
            np.array(colors, np.float32),
            np.array(seconds, np.float32),
            np.array(textures, np.int64),
            np.array(scales, np.float32),
            np.clip(np.array(reflectance, np.float32), 0.02, 1),
            np.clip(np.array(gloss, np.float32), 0, 1),
            words,
        )


def pick(rng: np.random.Generator, names: str) -> str:
    """One of the space-separated ``names``, each as likely as it is frequent."""
    options = names.split()
    return options[int(rng.integers(len(options)))]
