"""Pedestrians, and bicycles, motorcycles and scooters with or without a rider."""

from __future__ import annotations

import numpy as np

from pointlift.worlds.engine.materials import Palette, pick
from pointlift.worlds.engine.solids import Body, Solid, blob, box, frustum, ring, tube
from pointlift.worlds.street.vehicles import PAINTS

CYCLE_KINDS = "bicycle bicycle bicycle motorcycle scooter"
"""Kinds of two-wheelers, each as often as it is met."""
CLOTHES = "blue blue black black grey grey white red green brown beige yellow orange purple"


def person(rng: np.random.Generator, palette: Palette, *, phases: int = 1) -> list[Body]:
    """A pedestrian, adult or child, once for each of ``phases`` moments of a step, always in the same clothes."""
    child = rng.random() < 0.15
    height = rng.uniform(1.0, 1.4) if child else rng.uniform(1.5, 1.95)
    kind = "child" if child else "adult"
    dress = _dress(rng, palette, kind)
    stride = rng.uniform(0.25, 0.45) if phases > 1 else rng.choice([0.03, 0.05, 0.3])
    build = rng.uniform(0.85, 1.3)
    bag = pick(rng, "none none none back hand trolley") if not child else pick(rng, "none back")
    coat, arms = rng.random() < 0.3, rng.uniform(0.1, 0.5)
    seed = int(rng.integers(1 << 31))
    swings = np.linspace(1, -1, phases) if phases > 1 else [1.0]
    bodies = []
    for swing in swings:
        solid = Solid()
        _legs(solid, dress, height, build, stride * swing)
        _torso(solid, dress, np.random.default_rng(seed), height, build, arms * swing, coat)
        _carry(solid, palette, dress, bag, height)
        bodies.append(solid.body())
    return bodies


def _dress(rng: np.random.Generator, palette: Palette, kind: str) -> dict[str, int]:
    return {
        "top": palette.make(rng, pick(rng, CLOTHES), "cloth", kind),
        "legs": palette.make(rng, pick(rng, "blue blue black black grey brown beige"), "cloth", kind),
        "skin": palette.make(rng, pick(rng, "beige beige brown"), "skin", kind, vary=0.35),
        "hair": palette.make(rng, pick(rng, "black brown brown yellow grey white red"), "cloth", kind),
        "shoes": palette.fixed("black", "rubber", kind),
        "bag": palette.make(rng, pick(rng, "black brown red blue green"), "cloth", "bag"),
    }


def _legs(solid: Solid, dress: dict[str, int], height: float, build: float, stride: float) -> None:
    hip, width = 0.49 * height, 0.05 * height * build
    for side in (-1, 1):
        step = side * stride
        knee = (step * 0.45 + 0.04, side * width, 0.26 * height)
        foot = (step, side * width, 0.05)
        radii = np.array([0.055, 0.042, 0.03]) * height * build
        solid.add(tube([(0, side * width * 0.9, hip), knee, foot], radii, 6), dress["legs"])
        solid.add(box((0.15 * height, 0.055 * height, 0.06), (step + 0.03 * height, side * width, 0)), dress["shoes"])


def _torso(
    solid: Solid, dress: dict[str, int], rng: np.random.Generator, height: float, build: float, arms: float, coat: bool
) -> None:
    hip, shoulder, girth = 0.46 * height, 0.82 * height, 0.1 * height * build
    path = [(0, 0, 0.28 * height if coat else hip), (0, 0, 0.6 * height), (0.01, 0, 0.76 * height), (0.01, 0, shoulder)]
    radii = np.array([1.15 if coat else 0.85, 0.85, 1.05, 0.55]) * girth * 1.25
    solid.add(tube(path, radii, 8).moved(scale=(0.72, 1.1, 1)), dress["top"])
    for side in (-1, 1):
        top, reach = (0, side * girth * 1.35, 0.79 * height), -side * arms * 0.35 * height
        elbow = (reach * 0.3, side * girth * 1.6, 0.62 * height)
        hand = (reach + 0.06, side * girth * 1.65, 0.47 * height)
        solid.add(tube([top, elbow, hand], np.array([0.032, 0.028, 0.022]) * height * build, 6), dress["top"])
        solid.add(blob(rng, 0.028 * height, hand, detail=0), dress["skin"])
    solid.add(tube([(0, 0, 0.8 * height), (0.01, 0, 0.88 * height)], 0.03 * height, 6), dress["skin"])
    radius = 0.062 * height
    solid.add(
        blob(rng, (radius, radius * 0.85, radius * 1.15), (0.015, 0, 0.925 * height), roughness=0.03), dress["skin"]
    )
    hair = (radius * 1.05, radius * 0.98, radius)
    solid.add(blob(rng, hair, (-0.012 * height, 0, 0.945 * height), roughness=0.06), dress["hair"])


def _carry(solid: Solid, palette: Palette, dress: dict[str, int], bag: str, height: float) -> None:
    if bag == "back":
        solid.add(frustum((0.2, 0.3), (0.14, 0.24), 0.26 * height, (-0.13 * height, 0, 0.54 * height)), dress["bag"])
    elif bag == "hand":
        solid.add(box((0.34, 0.12, 0.3), (0.05, 0.19 * height, 0.3 * height)), dress["bag"])
    elif bag == "trolley":
        solid.add(box((0.24, 0.4, 0.6), (-0.55, -0.1, 0.08)), dress["bag"])
        solid.add(tube([(-0.5, -0.1, 0.6), (-0.1, -0.17, 0.5 * height)], 0.015, 5), dress["shoes"])


def two_wheeler(rng: np.random.Generator, palette: Palette, kind: str, *, ridden: bool) -> Body:
    """A bicycle, motorcycle or scooter; the rider belongs to it."""
    solid = Solid()
    paint = palette.make(rng, pick(rng, PAINTS + " yellow orange"), "painted", kind)
    seat = {"bicycle": _bicycle, "motorcycle": _motorcycle, "scooter": _scooter}[kind](solid, rng, palette, paint)
    if ridden:
        _rider(solid, rng, palette, kind, seat)
    return solid.body()


def _bicycle(solid: Solid, rng: np.random.Generator, palette: Palette, paint: int) -> tuple[float, float, float]:
    radius, base, saddle = rng.uniform(0.29, 0.36), rng.uniform(0.95, 1.1), rng.uniform(0.82, 1.0)
    tyre, black = palette.fixed("black", "rubber", "wheel", "bicycle"), palette.fixed("black", "plastic", "bicycle")
    back, front = (-base / 2, 0, radius), (base / 2, 0, radius)
    for hub in (back, front):
        solid.add(ring(radius, 0.045, hub), tyre)
        for angle in (0.3, 1.35, 2.4):
            reach = np.array([np.cos(angle), 0, np.sin(angle)]) * radius
            solid.add(
                tube([np.array(hub) - reach, np.array(hub) + reach], 0.008, 4),
                palette.fixed("silver", "metal", "bicycle"),
            )
    crank, post, head = (-0.05, 0, 0.28), (-0.2, 0, saddle - 0.05), (base / 2 - 0.16, 0, saddle - 0.06)
    bars = [(crank, post), (crank, head), (post, head), (crank, back), (post, back), (head, front)]
    for a, b in bars:
        solid.add(tube([a, b], 0.024, 5), paint)
    solid.add(tube([(head[0] - 0.03, -0.28, saddle + 0.1), (head[0] - 0.03, 0.28, saddle + 0.1)], 0.018, 5), black)
    solid.add(tube([head, (head[0] - 0.03, 0, saddle + 0.1)], 0.02, 5), paint)
    solid.add(frustum((0.27, 0.16), (0.24, 0.1), 0.06, (-0.23, 0, saddle - 0.04)), black)
    if rng.random() < 0.3:
        solid.add(box((0.35, 0.3, 0.22), (head[0] + 0.15, 0, saddle - 0.05)), palette.fixed("brown", "wood", "bicycle"))
    return -0.2, saddle + 0.02, head[0]


def _motorcycle(solid: Solid, rng: np.random.Generator, palette: Palette, paint: int) -> tuple[float, float, float]:
    radius, base = rng.uniform(0.3, 0.34), rng.uniform(1.35, 1.55)
    black, metal = palette.fixed("black", "plastic", "motorcycle"), palette.fixed("silver", "metal", "motorcycle")
    tyre = palette.fixed("black", "rubber", "wheel", "motorcycle")
    for x in (-base / 2, base / 2):
        solid.add(tube([(x, -0.07, radius), (x, 0.07, radius)], radius, 12), tyre)
        solid.add(tube([(x, -0.08, radius), (x, 0.08, radius)], radius * 0.5, 8), metal)
    solid.add(box((0.6, 0.34, 0.42), (0, 0, 0.25)), metal)
    solid.add(tube([(-0.1, 0, 0.78), (0.15, 0, 0.88), (0.4, 0, 0.82)], [0.12, 0.18, 0.12], 8), paint)
    solid.add(frustum((0.75, 0.26), (0.7, 0.2), 0.14, (-0.4, 0, 0.68)), black)
    solid.add(frustum((0.45, 0.24), (0.2, 0.12), 0.2, (-base / 2 - 0.02, 0, 0.66)), paint)
    for side in (-1, 1):
        solid.add(tube([(base / 2, side * 0.1, radius), (base / 2 - 0.28, side * 0.1, 0.98)], 0.03, 5), metal)
    solid.add(tube([(base / 2 - 0.3, -0.36, 1.04), (base / 2 - 0.3, 0.36, 1.04)], 0.022, 5), black)
    solid.add(blob(rng, (0.12, 0.16, 0.14), (base / 2 - 0.1, 0, 0.92), roughness=0.02), paint)
    solid.add(tube([(0.1, -0.2, 0.32), (-base / 2 - 0.15, -0.22, 0.38)], [0.04, 0.06], 6), metal)
    return -0.3, 0.84, base / 2 - 0.3


def _scooter(solid: Solid, rng: np.random.Generator, palette: Palette, paint: int) -> tuple[float, float, float]:
    radius, base = 0.22, rng.uniform(1.15, 1.3)
    black, tyre = palette.fixed("black", "plastic", "scooter"), palette.fixed("black", "rubber", "wheel", "scooter")
    for x in (-base / 2, base / 2):
        solid.add(tube([(x, -0.06, radius), (x, 0.06, radius)], radius, 12), tyre)
    solid.add(box((0.55, 0.32, 0.1), (0.15, 0, 0.26)), black)
    solid.add(frustum((0.75, 0.38), (0.6, 0.26), 0.42, (-0.42, 0, 0.3)), paint)
    solid.add(frustum((0.7, 0.3), (0.62, 0.24), 0.1, (-0.4, 0, 0.72)), black)
    solid.add(frustum((0.12, 0.42), (0.1, 0.3), 0.68, (base / 2 - 0.12, 0, 0.25), shift=-0.1), paint)
    solid.add(tube([(base / 2 - 0.25, -0.34, 1.02), (base / 2 - 0.25, 0.34, 1.02)], 0.025, 5), black)
    solid.add(box((0.2, 0.22, 0.2), (base / 2 - 0.2, 0, 0.86)), paint)
    if rng.random() < 0.3:
        solid.add(
            box((0.4, 0.42, 0.42), (-0.75, 0, 0.74)),
            palette.make(rng, pick(rng, "red green blue orange"), "plastic", "scooter"),
        )
    return -0.3, 0.82, base / 2 - 0.25


def _rider(
    solid: Solid, rng: np.random.Generator, palette: Palette, kind: str, seat: tuple[float, float, float]
) -> None:
    """A sitting person: ``seat`` is x and z of the saddle and x of the handlebar."""
    x, z, bar = seat
    dress, girth = _dress(rng, palette, "rider"), rng.uniform(0.15, 0.2)
    lean = rng.uniform(0.05, 0.3)
    shoulder = np.array([x + lean, 0, z + 0.5])
    solid.add(
        tube([(x, 0, z), (x + lean * 0.5, 0, z + 0.28), shoulder], [girth, girth * 0.95, girth * 0.7], 8), dress["top"]
    )
    low = 0.2 if kind == "bicycle" else 0.32
    for side, bend in ((-1, 0.1), (1, -0.1)):
        knee = (x + 0.38, side * 0.15, z - 0.12 + (bend if kind == "bicycle" else 0))
        foot = (x + 0.18, side * 0.15, low + (bend if kind == "bicycle" else 0))
        solid.add(tube([(x, side * 0.09, z + 0.02), knee, foot], [0.09, 0.07, 0.05], 6), dress["legs"])
        solid.add(box((0.26, 0.1, 0.09), (foot[0] + 0.06, foot[1], foot[2] - 0.08)), dress["shoes"])
        hand = (bar, side * 0.25, z + 0.18)
        elbow = ((x + lean + bar) / 2, side * 0.27, z + 0.25)
        solid.add(
            tube([shoulder + np.array([0, side * 0.17, -0.04]), elbow, hand], [0.055, 0.05, 0.04], 6), dress["top"]
        )
    head = shoulder + np.array([0.05, 0, 0.24])
    solid.add(blob(rng, (0.11, 0.09, 0.12), head, roughness=0.03), dress["skin"])
    if kind != "bicycle" or rng.random() < 0.5:
        helmet = palette.make(rng, pick(rng, "black white red blue yellow silver"), "plastic", "rider")
        solid.add(blob(rng, (0.15, 0.13, 0.13), head + np.array([-0.01, 0, 0.05]), roughness=0.02), helmet)
    else:
        solid.add(blob(rng, (0.115, 0.1, 0.1), head + np.array([-0.02, 0, 0.04]), roughness=0.06), dress["hair"])
