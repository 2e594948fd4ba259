"""Chairs, sofas and beds."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from pointlift.worlds.engine.materials import Palette, pick
from pointlift.worlds.engine.solids import circle, prism, tube
from pointlift.worlds.rooms.parts import Build, Item, Top, cloth, metal, wood

FABRICS = "grey grey beige blue green brown red black white orange purple yellow"


def legs(
    build: Build, material: int, x: tuple[float, float], y: tuple[float, float], height: float, thick: float
) -> None:
    """Four legs inside the corners of a rectangle."""
    for a in (x[0] + thick / 2, x[1] - thick / 2):
        for b in (y[0] + thick / 2, y[1] - thick / 2):
            build.add(tube([(a, b, 0), (a, b, height)], thick * 0.6, 6), material)


def chair(rng: np.random.Generator, palette: Palette, kind: str | None = None) -> Item:
    """A dining chair, an office chair, a stool or an armchair."""
    kind = kind or pick(rng, "dining dining dining office stool armchair")
    return {"office": _office_chair, "stool": _stool, "armchair": _armchair, "dining": _dining_chair}[kind](
        rng, palette
    )


def _dining_chair(rng: np.random.Generator, palette: Palette) -> Item:
    build, frame = Build(), wood(rng, palette) if rng.random() < 0.7 else metal(rng, palette)
    seat = frame if rng.random() < 0.45 else cloth(rng, palette, FABRICS)
    half, deep, high = rng.uniform(0.2, 0.25), rng.uniform(0.2, 0.25), rng.uniform(0.43, 0.48)
    back = rng.uniform(0.8, 1.0)
    legs(build, frame, (-deep, deep), (-half, half), high - 0.02, 0.04)
    build.pad(seat, (-deep, deep + 0.02), (-half, half), (high - 0.03, high + rng.uniform(0.02, 0.05)), 0.02)
    for y in (-half + 0.02, half - 0.02):
        build.add(tube([(-deep + 0.02, y, high), (-deep - 0.05, y, back)], 0.02, 6), frame)
    if rng.random() < 0.5:
        build.pad(seat, (-deep - 0.05, -deep - 0.01), (-half, half), (high + 0.15, back), 0.02)
    else:
        for z in np.linspace(high + 0.2, back - 0.04, int(rng.integers(2, 4))):
            build.block(frame, (-deep - 0.045, -deep - 0.015), (-half, half), (z - 0.04, z + 0.03))
    return build.item("chair")


def _office_chair(rng: np.random.Generator, palette: Palette) -> Item:
    build, seat = Build(), cloth(rng, palette, "black black grey blue red green")
    frame = palette.fixed(pick(rng, "black grey silver"), "plastic")
    for angle in np.arange(5) * 2 * np.pi / 5:
        end = 0.28 * np.cos(angle), 0.28 * np.sin(angle)
        build.add(tube([(0, 0, 0.1), (*end, 0.06)], [0.03, 0.02], 6), frame)
        build.add(tube([(end[0], end[1] - 0.02, 0.035), (end[0], end[1] + 0.02, 0.035)], 0.034, 8), frame)
    high = rng.uniform(0.44, 0.52)
    build.add(tube([(0, 0, 0.08), (0, 0, high)], 0.03, 8), frame)
    build.pad(seat, (-0.23, 0.25), (-0.24, 0.24), (high - 0.03, high + 0.05), 0.04)
    build.block(frame, (-0.29, -0.24), (-0.05, 0.05), (high - 0.02, high + 0.25))
    build.pad(seat, (-0.3, -0.24), (-0.22, 0.22), (high + 0.15, high + rng.uniform(0.5, 0.72)), 0.05)
    if rng.random() < 0.7:
        for y in (-0.27, 0.27):
            build.block(frame, (-0.03, 0.03), (y - 0.02, y + 0.02), (high, high + 0.2))
            build.block(frame, (-0.12, 0.14), (y - 0.03, y + 0.03), (high + 0.2, high + 0.23))
    return build.item("chair")


def _stool(rng: np.random.Generator, palette: Palette) -> Item:
    build, frame, high = Build(), wood(rng, palette), rng.uniform(0.42, 0.7)
    legs(build, frame, (-0.16, 0.16), (-0.16, 0.16), high, 0.035)
    build.add(
        prism(0.19 * circle(12), 0.04, (0, 0, high)), frame if rng.random() < 0.5 else cloth(rng, palette, FABRICS)
    )
    return build.item("chair")


def _armchair(rng: np.random.Generator, palette: Palette) -> Item:
    build, skin = Build(), cloth(rng, palette, FABRICS, 0.05)
    half, deep, high = rng.uniform(0.26, 0.32), rng.uniform(0.34, 0.4), rng.uniform(0.38, 0.44)
    arm, back = rng.uniform(0.08, 0.15), rng.uniform(0.75, 1.0)
    _upholstery(build, skin, skin, half, deep, high, arm, back, 1)
    return build.item("chair")


def _upholstery(
    build: Build, skin: int, pads: int, half: float, deep: float, high: float, arm: float, back: float, seats: int
) -> None:
    """A base, a back, two arms and cushions; ``half`` is half the width of the seats, ``deep`` of the whole."""
    outside = half + arm
    build.block(skin, (-deep, deep - 0.02), (-outside, outside), (0.06, high - 0.12))
    build.pad(skin, (-deep, -deep + 0.2), (-outside, outside), (0.06, back), 0.06)
    for side in (-1, 1):
        y = sorted((side * half, side * outside))
        build.pad(skin, (-deep, deep), (y[0], y[1]), (0.05, high + 0.2), 0.05)
    edges = np.linspace(-half, half, seats + 1)
    for left, right in pairwise(edges):
        build.pad(pads, (-deep + 0.18, deep), (left + 0.005, right - 0.005), (high - 0.13, high + 0.03), 0.05)
        build.pad(pads, (-deep + 0.12, -deep + 0.32), (left + 0.01, right - 0.01), (high, back - 0.03), 0.07)


def sofa(rng: np.random.Generator, palette: Palette) -> Item:
    """A sofa of two to four seats, some with a long corner seat, with or without loose cushions."""
    build, skin = Build(), cloth(rng, palette, FABRICS, 0.05)
    pads = skin if rng.random() < 0.7 else cloth(rng, palette, FABRICS, 0.05)
    seats = int(rng.integers(2, 4))
    half, deep, high = seats * rng.uniform(0.29, 0.36), rng.uniform(0.42, 0.5), rng.uniform(0.4, 0.46)
    arm, back = rng.uniform(0.1, 0.22), rng.uniform(0.72, 0.92)
    _upholstery(build, skin, pads, half, deep, high, arm, back, seats)
    legs(build, metal(rng, palette), (-deep + 0.05, deep - 0.08), (-half, half), 0.07, 0.05)
    for _ in range(int(rng.integers(0, 4))):
        y, tone = rng.uniform(-half + 0.2, half - 0.2), cloth(rng, palette, FABRICS)
        size = rng.uniform(0.18, 0.24)
        build.pad(tone, (-deep + 0.3, -deep + 0.43), (y - size, y + size), (high + 0.02, high + 0.02 + 2 * size), 0.06)
    return build.item("sofa", Top(0.0, deep - 0.08, -half + 0.15, half - 0.15, high + 0.03))


def bed(rng: np.random.Generator, palette: Palette, width: float | None = None) -> Item:
    """A single or double bed: its head at the back, with pillows and a blanket that hangs over its sides."""
    wide = width or pick_width(rng)
    build, half, deep = Build(), wide / 2, rng.uniform(1.0, 1.06)
    frame = wood(rng, palette) if rng.random() < 0.7 else cloth(rng, palette, FABRICS)
    sheet = palette.make(rng, pick(rng, "white white beige grey"), "cloth", scale=0.3)
    cover = cloth(rng, palette, FABRICS, 0.1)
    base, top = rng.uniform(0.22, 0.34), rng.uniform(0.44, 0.6)
    build.block(frame, (-deep, deep), (-half, half), (0.1 if rng.random() < 0.5 else 0.0, base))
    legs(build, frame, (-deep, deep), (-half, half), 0.12, 0.06)
    if rng.random() < 0.85:
        build.block(frame, (-deep - 0.06, -deep), (-half - 0.03, half + 0.03), (0.0, rng.uniform(0.8, 1.15)))
    build.pad(sheet, (-deep + 0.02, deep - 0.02), (-half + 0.03, half - 0.03), (base, top), 0.05)
    reach = rng.uniform(-0.45, 0.3)
    side = half + 0.02
    build.pad(cover, (reach, deep + 0.015), (-side, side), (base + rng.uniform(-0.1, 0.1), top + 0.04), 0.04)
    pillow = sheet if rng.random() < 0.5 else cloth(rng, palette, FABRICS)
    places = [0.0] if wide < 1.2 else [-half / 2, half / 2]
    for y in places:
        build.pad(pillow, (-deep + 0.08, -deep + 0.48), (y - 0.3, y + 0.3), (top - 0.01, top + 0.12), 0.07)
    return build.item("bed", Top(0.0, deep - 0.3, -half + 0.2, half - 0.2, top + 0.04))


def pick_width(rng: np.random.Generator) -> float:
    """Of a bed: 90, 140, 160 or 180 cm."""
    return float(rng.choice([0.9, 0.95, 1.4, 1.6, 1.8]))
