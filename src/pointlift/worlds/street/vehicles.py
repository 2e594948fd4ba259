"""Cars, lorries and buses in many sizes and shapes, in their own frame: x forward, origin on the ground."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pointlift.data.formats.mesh import Mesh
from pointlift.worlds.engine.materials import Palette, pick
from pointlift.worlds.engine.solids import Body, Solid, box, extrude_side, frustum, loft, tube

PAINTS = "white white white grey grey grey silver silver black black black blue blue red red green beige brown orange"
CAR_KINDS = "hatchback hatchback hatchback saloon saloon estate estate suv suv van van pickup"
LORRY_KINDS = "truck truck flatbed tanker container"
"""Kinds of cars and lorries, each as often as it is met."""
FLEET_PAINTS = "white white white grey blue red yellow green orange silver"


class _Car(NamedTuple):
    """Ranges over which a kind of car varies, metres; shares are of the length."""

    length: tuple[float, float]
    width: tuple[float, float]
    height: tuple[float, float]
    belt: float  # share of the height up to the side windows
    bonnet: tuple[float, float]
    boot: tuple[float, float]
    rake: tuple[float, float]  # how far windscreen and rear window lean


CARS = {
    "hatchback": _Car((3.5, 4.3), (1.6, 1.8), (1.4, 1.58), 0.60, (0.20, 0.26), (0.01, 0.03), (0.65, 0.35)),
    "saloon": _Car((4.2, 5.0), (1.7, 1.9), (1.38, 1.5), 0.62, (0.24, 0.28), (0.14, 0.19), (0.7, 0.6)),
    "estate": _Car((4.3, 5.0), (1.7, 1.88), (1.42, 1.55), 0.61, (0.23, 0.27), (0.01, 0.02), (0.7, 0.3)),
    "suv": _Car((4.2, 5.0), (1.75, 2.0), (1.6, 1.9), 0.60, (0.22, 0.27), (0.01, 0.03), (0.55, 0.25)),
    "van": _Car((4.4, 6.0), (1.8, 2.05), (1.85, 2.6), 0.52, (0.12, 0.18), (0.0, 0.01), (0.7, 0.06)),
    "pickup": _Car((4.9, 5.5), (1.8, 2.0), (1.65, 1.9), 0.60, (0.22, 0.25), (0.30, 0.36), (0.55, 0.1)),
}


def car(rng: np.random.Generator, palette: Palette, kind: str) -> Body:
    """A car of a `CARS` kind in a random size and paint."""
    spec = CARS[kind]
    length, width, height = (rng.uniform(*span) for span in (spec.length, spec.width, spec.height))
    belt, clearance = height * spec.belt, rng.uniform(0.18, 0.3)
    bonnet, boot = length * rng.uniform(*spec.bonnet), length * rng.uniform(*spec.boot)
    paint = palette.make(rng, pick(rng, FLEET_PAINTS if kind == "van" else PAINTS), "painted", kind)
    solid, x = Solid(), length / 2
    nose = belt * rng.uniform(0.74, 0.9)
    profile = [(-x, clearance + 0.1), (-x + 0.15, clearance), (x - 0.2, clearance), (x, clearance + 0.12)]
    profile += [(x - 0.03, nose), (x - bonnet, belt), (-x + 0.06, belt), (-x, belt - 0.12)]
    solid.add(extrude_side(np.array(profile), width, bevel=0.1), paint)
    if rng.random() < 0.7:
        skirt = palette.fixed("black", "plastic", kind)
        solid.add(box((length + 0.04, width - 0.1, 0.18), (0, 0, clearance + 0.06)), skirt)
    _cabin(solid, palette, paint, kind, (-x + boot + 0.05, x - bonnet - 0.02), (belt, height), width, spec.rake, rng)
    if kind == "pickup":
        bed = palette.fixed("black", "metal", kind)
        solid.add(box((boot - 0.25, width - 0.3, 0.03), (-x + boot / 2, 0, belt)), bed)
    radius = min(0.29 + 0.06 * rng.random() + (0.05 if kind in ("suv", "pickup", "van") else 0), belt * 0.5)
    wheels(solid, palette, [x - length * 0.18, -x + length * 0.2], width - 0.2, radius, 0.2, kind)
    _lights(solid, palette, length, width, belt * 0.72, kind)
    return solid.body()


def _cabin(
    solid: Solid,
    palette: Palette,
    paint: int,
    kind: str,
    span: tuple[float, float],
    heights: tuple[float, float],
    width: float,
    rake: tuple[float, float],
    rng: np.random.Generator,
) -> None:
    """Windows all round under a painted roof, with pillars; a panel van is closed behind its doors."""
    rear, front = span
    belt, top = heights[0] - 0.01, heights[1] - 0.06
    tumble = 0.12 if kind == "van" else 0.32
    inner = width - 0.1

    def slice_(from_: float, to: float, grow: float) -> Mesh:
        """The part of the cabin between two shares of its length, ``grow`` metres fatter than the glass."""
        low, high = (rear, front), (rear + rake[1], front - rake[0])
        rings = []
        for (start, end), wide, z in ((low, inner, belt), (high, inner - tumble, top)):
            a, b, half = start + (end - start) * from_ - grow, start + (end - start) * to + grow, wide / 2 + grow
            rings.append([(a, -half, z), (b, -half, z), (b, half, z), (a, half, z)])
        return loft(np.array(rings))

    solid.add(slice_(0, 1, 0), palette.fixed("black", "glass", "window", kind))
    roof = np.array([front - rake[0] - rear - rake[1], inner - tumble])
    centre = ((front - rake[0] + rear + rake[1]) / 2, 0, top)
    solid.add(frustum(roof + 0.03, roof - 0.12, 0.06, centre), paint)
    if kind == "van" and rng.random() < 0.6:
        solid.add(slice_(0, 0.62, 0.015), paint)
        return
    pillars = (0.02, 0.5, 0.98) if kind != "pickup" else (0.02, 0.98)
    for share in pillars:
        solid.add(slice_(max(share - 0.02, 0), min(share + 0.02, 1), 0.012), paint)


def wheels(
    solid: Solid, palette: Palette, axles: list[float], track: float, radius: float, thickness: float, kind: str
) -> None:
    """A wheel with a hub at both ends of every axle."""
    tyre, hub = palette.fixed("black", "rubber", "wheel", kind), palette.fixed("silver", "metal", "wheel", kind)
    for x in axles:
        for side in (-1, 1):
            inner, outer = side * (track / 2 - thickness / 2), side * (track / 2 + thickness / 2 + 0.01)
            solid.add(tube([(x, inner, radius), (x, outer, radius)], radius, 10), tyre)
            solid.add(
                tube([(x, outer - side * 0.02, radius), (x, outer + side * 0.015, radius)], radius * 0.55, 6), hub
            )


def _lights(solid: Solid, palette: Palette, length: float, width: float, z: float, kind: str) -> None:
    head, tail = palette.fixed("white", "glass", "light", kind), palette.fixed("red", "glass", "light", kind)
    for side in (-1, 1):
        y = side * (width / 2 - 0.28)
        solid.add(box((0.1, 0.34, 0.13), (length / 2 - 0.06, y, z - 0.06)), head)
        solid.add(box((0.1, 0.26, 0.18), (-length / 2 + 0.03, y, z)), tail)
    solid.add(box((0.06, 0.5, 0.12), (-length / 2, 0, z - 0.15)), palette.fixed("white", "reflective", kind))


def lorry(rng: np.random.Generator, palette: Palette, load: str) -> Body:
    """A lorry from a van-sized small truck to a long one; ``load`` is truck (box), flatbed, tanker or container."""
    solid, small = Solid(), rng.random() < 0.35
    length = rng.uniform(4.9, 6.2) if small else rng.uniform(6.5, 11.5)
    width = rng.uniform(1.9, 2.15) if small else rng.uniform(2.3, 2.55)
    cab, cab_height = (1.6, rng.uniform(2.0, 2.3)) if small else (rng.uniform(1.8, 2.3), rng.uniform(2.6, 3.3))
    x, deck = length / 2, 0.75 if small else 1.1
    paint = palette.make(rng, pick(rng, FLEET_PAINTS), "painted", load)
    frame, low = palette.fixed("black", "metal", load), 0.42 if small else 0.55
    solid.add(box((length - 0.3, width * 0.55, deck - low), (-0.1, 0, low)), frame)
    at = (x - cab / 2, 0, low - 0.05)
    solid.add(frustum((cab, width), (cab - 0.3, width - 0.12), cab_height - low, at, shift=-0.14), paint)
    glass = palette.fixed("black", "glass", "window", load)
    screen = (cab_height - low) * 0.36
    top = (x - cab / 2 - 0.02, 0, low + (cab_height - low) * 0.5)
    solid.add(box((cab - 0.09, width * 0.86, screen), (top[0] + 0.02, 0, top[2])), glass)
    solid.add(box((cab * 0.4, width + 0.01, screen * 0.9), (top[0] + cab * 0.12, 0, top[2])), glass)
    _load(solid, rng, palette, load, (-x, x - cab - 0.12), width, deck, small)
    radius = 0.36 if small else 0.5
    axles = [x - cab * 0.55, -x + length * 0.18] + ([-x + length * 0.18 + 1.25] if length > 8 else [])
    wheels(solid, palette, axles, width - 0.3, radius, 0.28, load)
    _lights(solid, palette, length, width, low + 0.3, load)
    return solid.body()


def _load(
    solid: Solid,
    rng: np.random.Generator,
    palette: Palette,
    load: str,
    span: tuple[float, float],
    width: float,
    deck: float,
    small: bool,
) -> None:
    length, middle = span[1] - span[0], (span[0] + span[1]) / 2
    height = rng.uniform(1.2, 1.7) if small else rng.uniform(1.8, 2.9)
    if load == "tanker":
        skin = palette.make(rng, pick(rng, "silver silver white grey blue"), "metal", load)
        middle_z = deck + height * 0.42
        path = [
            (span[0], 0, middle_z),
            (span[0] + 0.25, 0, middle_z),
            (span[1] - 0.25, 0, middle_z),
            (span[1], 0, middle_z),
        ]
        round_ = tube(path, np.array([0.8, 1, 1, 0.8]) * height * 0.45, 12, flatten=1.0)
        solid.add(round_.moved(scale=(1, width * 0.5 / (height * 0.45), 1)), skin)
        return
    if load == "flatbed":
        bed = palette.make(rng, pick(rng, "brown grey green blue"), "metal", load)
        solid.add(box((length, width, 0.12), (middle, 0, deck)), bed)
        for side in (-1, 1):
            solid.add(box((length, 0.05, 0.4), (middle, side * (width / 2 - 0.03), deck)), bed)
        for index in range(int(rng.integers(0, 5))):
            crate = palette.make(rng, pick(rng, "brown beige grey"), pick(rng, "wood concrete"), load)
            size = rng.uniform((0.7, 0.7, 0.4), (1.1, 1.4, 1.2))
            solid.add(box(size, (span[0] + 0.7 + index * 1.15, rng.uniform(-0.3, 0.3), deck + 0.12)), crate)
        return
    look = "panel" if load == "container" else pick(rng, "painted metal panel plastic")
    skin = palette.make(rng, pick(rng, FLEET_PAINTS + " brown"), look, load)
    solid.add(box((length, width, height), (middle, 0, deck)), skin)
    if rng.random() < 0.4:
        stripe = palette.make(rng, pick(rng, "red blue green yellow orange"), "painted", load)
        solid.add(box((length * 0.7, width + 0.02, height * 0.22), (middle, 0, deck + height * 0.4)), stripe)


def bus(rng: np.random.Generator, palette: Palette) -> Body:
    """A city bus, a small one or a double-decker."""
    solid = Solid()
    length, width = rng.uniform(7.5, 12.5), rng.uniform(2.3, 2.55)
    double = rng.random() < 0.15
    height = rng.uniform(3.9, 4.2) if double else rng.uniform(2.75, 3.25)
    paint = palette.make(rng, pick(rng, "red yellow blue green white white orange grey purple"), "painted", "coach")
    second = palette.make(rng, pick(rng, "white grey red blue silver yellow"), "painted", "coach")
    glass = palette.fixed("black", "glass", "window", "coach")
    x, low = length / 2, 0.32
    profile = [
        (-x, low),
        (x - 0.1, low),
        (x, low + 0.4),
        (x - 0.06, height * 0.75),
        (x - 0.25, height),
        (-x + 0.1, height),
    ]
    solid.add(extrude_side(np.array([*profile, (-x, height - 0.2)]), width, bevel=0.12), paint)
    solid.add(box((length * 0.96, width + 0.015, 0.35), (0, 0, low + 0.05)), second)
    count = int(length / rng.uniform(1.4, 2.0))
    pitch = length * 0.94 / count
    for level in (1.25, 2.75) if double else (1.25,):
        for index in range(count):
            solid.add(box((pitch - 0.1, width + 0.03, 0.95), (-x * 0.94 + (index + 0.5) * pitch, 0, level)), glass)
        solid.add(box((length + 0.02, width - 0.5, 1.1), (0, 0, level - 0.1)), glass)
    sign = palette.fixed("orange", "plastic", "sign", "coach")
    solid.add(box((0.1, width * 0.6, 0.25), (x - 0.12, 0, height - 0.36)), sign)
    for door in (x * 0.72, -x * 0.1):
        solid.add(
            box((1.1, 0.06, 1.9), (door, -width / 2, low + 0.05)), palette.fixed("grey", "glass", "door", "coach")
        )
    wheels(solid, palette, [x * 0.58, -x * 0.55], width - 0.28, 0.47, 0.28, "coach")
    _lights(solid, palette, length, width, 0.75, "coach")
    return solid.body()
