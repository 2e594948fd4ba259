"""Aeroplanes and cars; sizes in metres, nose along x."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pointlift.data.formats.mesh import Mesh
from pointlift.worlds.engine.materials import pick
from pointlift.worlds.engine.solids import box, circle, extrude_side, frustum, loft
from pointlift.worlds.shapes.forms import Piece, bar, disc, mirrored, spline, turned, wing

PAINTS = "white white silver red blue yellow green black grey orange"
WINGS = {
    "airliner": ((0.42, 0.55), (0.15, 0.2), (0.2, 0.4), (0.35, 0.65), (0.12, 0.12), (0.12, 0.12)),
    "propeller": ((0.5, 0.75), (0.14, 0.2), (0.6, 1.0), (0.0, 0.1), (0.16, 0.16), (0.12, 0.12)),
    "fighter": ((0.28, 0.38), (0.35, 0.5), (0.12, 0.35), (0.7, 1.1), (0.14, 0.14), (0.05, 0.05)),
}
"""Ranges of half span, chord and place of the wing's root in lengths of the plane, taper, sweep in half spans, and
thickness in chords."""
CARS = {
    "saloon": (4.7, 0.7, 0.5, (-0.36, -0.2, 0.08, 0.24)),
    "hatchback": (3.9, 0.75, 0.55, (-0.48, -0.4, 0.06, 0.25)),
    "estate": (4.7, 0.7, 0.52, (-0.48, -0.44, 0.08, 0.24)),
    "van": (4.9, 0.95, 0.85, (-0.49, -0.48, 0.22, 0.38)),
    "pickup": (5.1, 0.85, 0.6, (-0.08, -0.05, 0.12, 0.24)),
    "sports": (4.3, 0.58, 0.4, (-0.4, -0.18, 0.0, 0.18)),
    "offroad": (4.5, 0.95, 0.65, (-0.48, -0.46, 0.14, 0.22)),
}
"""Length, height of the body and of the cabin, and where the cabin's windows begin and end from the back, in lengths:
at the belt, at the roof, at the roof, at the belt."""


def aeroplane(piece: Piece) -> None:
    """Airliners, propeller planes and fighters."""
    kind = pick(piece.rng, "airliner airliner propeller fighter")
    length = {"airliner": (25, 45), "propeller": (7, 12), "fighter": (12, 18)}[kind]
    long = piece.between(*length)
    radius = (
        long * {"airliner": piece.between(0.045, 0.065), "propeller": piece.between(0.06, 0.08), "fighter": 0.055}[kind]
    )
    paint = piece.material("painted metal", PAINTS)
    piece.add("body", paint, _fuselage(piece, long, radius, kind))
    glass = piece.material("glass", "black blue")
    if kind == "airliner":
        piece.add("body", glass, *_cabin_windows(long, radius))
    else:
        canopy = loft(_canopy(long, radius))
        piece.add("body", glass, canopy)
    trim = paint if piece.chance(0.6) else piece.material("painted metal", PAINTS)
    plan = _main_wings(piece, long, radius, kind, trim)
    tail = paint if piece.chance(0.4) else piece.material("painted", PAINTS)
    _tail(piece, long, radius, kind, tail)
    _engines(piece, long, radius, kind, plan)


def _fuselage(piece: Piece, long: float, radius: float, kind: str) -> Mesh:
    """Rings of ellipses from the tail at -long / 2 to the nose at long / 2."""
    blunt = {"airliner": 0.75, "propeller": 0.8, "fighter": 0.3}[kind]
    tail = piece.between(0.05, 0.2) if kind != "fighter" else 0.75
    knots = [
        (0.0, tail),
        (0.3, 0.85 if kind != "fighter" else 1.0),
        (0.55, 1.0),
        (0.85, 0.95 if blunt > 0.5 else 0.7),
        (0.96, blunt),
        (1.0, 0.08),
    ]
    curve = spline(knots, 26)
    rings = np.zeros((len(curve), 16, 3))
    rings[:, :, 0] = (curve[:, 0, None] - 0.5) * long
    size = radius * np.clip(curve[:, 1], 0.04, None)
    rings[:, :, 1:] = size[:, None, None] * circle(16)
    lift = radius * np.clip(0.35 - curve[:, 0], 0, 1) * (1.6 if kind != "fighter" else 0.3)
    rings[:, :, 2] += lift[:, None]
    return loft(rings)


def _cabin_windows(long: float, radius: float) -> list[Mesh]:
    places = np.linspace(-0.25, 0.36, 22) * long
    meshes = [box((0.012 * long, 2.01 * radius, 0.2 * radius), (x, 0, 0.05 * radius)) for x in places]
    return [
        *meshes,
        frustum(
            (0.06 * long, 1.25 * radius), (0.02 * long, 0.9 * radius), 0.5 * radius, (0.43 * long, 0, 0.3 * radius)
        ),
    ]


def _canopy(long: float, radius: float) -> np.ndarray:
    place = np.linspace(0, 1, 9)
    rings = np.zeros((9, 12, 3))
    rings[:, :, 0] = (0.05 + 0.3 * place[:, None]) * long
    bulge = np.sin(np.pi * np.clip(0.04 + 0.93 * place, 0, 1))[:, None]
    rings[:, :, 1] = 0.75 * radius * bulge * circle(12)[:, 0]
    rings[:, :, 2] = 0.65 * radius + 0.75 * radius * bulge * circle(12)[:, 1]
    return rings


class _Wing(NamedTuple):
    """Half span, chord at the root, place of its leading edge, its height, and how far the tip lies back and up."""

    half: float
    root: float
    at: float
    height: float
    sweep: float
    rise: float


def _main_wings(piece: Piece, long: float, radius: float, kind: str, paint: int) -> _Wing:
    """Both wings."""
    half, root, taper, sweep, at, thick = (piece.between(*span) for span in WINGS[kind])
    half, root, at = half * long, root * long, at * long
    sweep, thick = sweep * half, thick * root
    high = kind == "propeller" and piece.chance(0.5)
    height = radius * (0.85 if high else -0.45 if kind != "fighter" else 0.0)
    rise = half * (0.02 if high else piece.between(0.02, 0.12))
    stations = [
        ((at, 0.2 * radius, height), root, thick),
        ((at - sweep, half, height + rise), taper * root, 0.5 * taper * thick),
    ]
    left = wing(stations)
    meshes = [left, mirrored(left)]
    if kind == "propeller" and piece.chance(0.2):  # a biplane
        upper = left.moved((0.05 * root, 0, (-1.6 if high else 2.4) * radius))
        place, top = (at - 0.4 * root, 0.6 * half), float(upper.vertices[:, 2].mean())
        struts = [bar((place[0], s * place[1], height), (place[0], s * place[1], top), 0.012 * long) for s in (-1, 1)]
        meshes += [upper, mirrored(upper), *struts]
    piece.add("wing", paint, *meshes)
    return _Wing(half, root, at, height, sweep, rise)


def _tail(piece: Piece, long: float, radius: float, kind: str, paint: int) -> None:
    """Fin and tailplane; on top of the fin in some, and two fins on some fighters."""
    chord, tall = long * piece.between(0.1, 0.16), long * piece.between(0.12, 0.19)
    back = -0.5 * long + 1.25 * chord
    foot = radius * 0.6
    fins = [
        wing([((back, 0, foot), chord, 0.1 * chord), ((back - 0.7 * tall, 0, foot + tall), 0.5 * chord, 0.05 * chord)])
    ]
    if kind == "fighter" and piece.chance(0.5):
        fins = [turned(fins[0], s * 0.35, (0, 0, 0), "x").moved((0, -s * 0.5 * radius, 0)) for s in (-1, 1)]
    high = kind != "fighter" and piece.chance(0.25)
    level = foot + 0.95 * tall if high else radius * 0.45
    place = back - (0.6 * tall if high else 0.2 * chord)
    half = long * piece.between(0.13, 0.2)
    plane = wing(
        [((place, 0, level), 0.8 * chord, 0.08 * chord), ((place - 0.5 * half, half, level), 0.4 * chord, 0.04 * chord)]
    )
    piece.add("tail", paint, *fins, plane, mirrored(plane))


def _nacelle(length: float, radius: float, at: tuple[float, float, float]) -> Mesh:
    """A jet engine along x whose middle is at ``at``."""
    curve = np.array([(-0.5, 0.45), (-0.35, 0.75), (0.1, 1.0), (0.45, 0.95), (0.5, 0.85), (0.4, 0.75)])
    rings = np.zeros((len(curve), 14, 3))
    rings[:, :, 0] = curve[:, :1] * length
    rings[:, :, 1:] = radius * curve[:, 1, None, None] * circle(14)
    return loft(rings + np.asarray(at))


def _engines(piece: Piece, long: float, radius: float, kind: str, plan: _Wing) -> None:
    """Jets below the wings or at the tail, a propeller, or a fighter's nozzle."""
    metal = piece.material("metal painted", "silver grey white black")
    if kind == "fighter":
        count = 2 if piece.chance(0.5) else 1
        ys = (0.0,) if count == 1 else (-0.55 * radius, 0.55 * radius)
        size = 0.75 * radius if count == 1 else 0.5 * radius
        nozzles = [
            turned(disc(size, 0.09 * long, sides=16, top=0.8), -0.5 * np.pi).moved((-0.46 * long, y, 0.05 * radius))
            for y in ys
        ]
        piece.add("engine", metal, *nozzles)
        return
    if kind == "propeller" and piece.chance(0.75):
        _propeller(piece, metal, (0.5 * long, 0.0, 0.0), 0.13 * long)
        return
    if piece.chance(0.2) and kind == "airliner":
        y = 1.75 * radius
        pods = [_nacelle(0.13 * long, 0.5 * radius, (-0.3 * long, s * y, 0.6 * radius)) for s in (-1, 1)]
        piece.add("engine", metal, *pods)
        return
    places = (0.33, 0.6) if kind == "airliner" and piece.chance(0.35) else (0.35,)
    size = radius * piece.between(0.42, 0.6)
    for share in places:
        for side in (-1, 1):
            x, y = plan.at - plan.sweep * share, side * share * plan.half
            height = plan.height + plan.rise * share
            if kind == "propeller":
                piece.add("engine", metal, _nacelle(0.16 * long, 0.7 * size, (x, y, height)))
                _propeller(piece, metal, (x + 0.08 * long, y, height), 0.1 * long)
            else:
                piece.add("engine", metal, _nacelle(0.7 * plan.root, size, (x, y, height - 0.95 * size)))


def _propeller(piece: Piece, metal: int, at: tuple[float, float, float], reach: float) -> None:
    """A hub and two to four blades at the nose."""
    count = int(piece.rng.integers(2, 5))
    hub = turned(disc(0.16 * reach, 0.3 * reach, sides=12, top=0.2), 0.5 * np.pi).moved(at)
    start = piece.between(0, np.pi)
    blades = []
    for angle in start + np.arange(count) * 2 * np.pi / count:
        blade = box((0.03 * reach, 0.14 * reach, reach), (0, 0, 0))
        blades.append(turned(blade, angle, axis="x").moved((at[0] + 0.1 * reach, *at[1:])))
    piece.add("engine", metal, hub, *blades)


def car(piece: Piece) -> None:
    """Saloons, estates, hatchbacks, vans, off-roaders, pickups and sports cars."""
    kind = pick(piece.rng, "saloon saloon hatchback estate van pickup sports offroad")
    long, belt, cabin, roof = CARS[kind]
    long, belt, cabin = (
        long * piece.between(0.92, 1.08),
        belt * piece.between(0.93, 1.07),
        cabin * piece.between(0.9, 1.1),
    )
    width = piece.between(1.65, 1.9)
    wheel = piece.between(0.29, 0.36) * (1.15 if kind in ("offroad", "pickup") else 1)
    clear = wheel * piece.between(0.5, 0.75)
    paint = piece.material("painted painted metal", PAINTS)
    low, top = belt * piece.between(0.75, 0.95), clear + belt
    nose = [(0.5 * long - 0.05, clear), (0.5 * long, clear + 0.15), (0.5 * long - 0.06, clear + 0.9 * low)]
    if kind == "pickup":
        _loading_bed(piece, paint, nose, (long, width, clear, belt))
    else:
        x = 0.5 * long
        back = [(-x + 0.08, top), (-x, clear + 0.1), (-x + 0.05, clear)]
        piece.add("body", paint, extrude_side(np.array([*nose, (0.45 * x, top), *back]), width, bevel=0.12))
    _cabin(piece, paint, [place * long for place in roof], width, top, cabin)
    _wheels(piece, piece.between(0.29, 0.32) * long, 0.5 * width - 0.09, wheel)
    white, red = piece.palette.fixed("white", "reflective"), piece.palette.fixed("red", "reflective")
    for s in (-1, 1):
        piece.add("light", white, box((0.06, 0.3, 0.13), (0.5 * long - 0.05, s * 0.34 * width, clear + 0.62 * low)))
        piece.add("light", red, box((0.06, 0.25, 0.15), (-0.5 * long + 0.02, s * 0.36 * width, clear + 0.4 * belt)))
    if kind in ("estate", "offroad") and piece.chance(0.5):
        rear, front, level = roof[1] * long + 0.1, roof[2] * long, top + cabin + 0.05
        rails = [bar((rear, s * 0.36 * width, level), (front, s * 0.36 * width, level), 0.025) for s in (-1, 1)]
        piece.add("body", paint, *rails)


def _loading_bed(piece: Piece, paint: int, nose: list, size: tuple[float, float, float, float]) -> None:
    """The body of a pickup: a floor behind the cabin, with walls around it."""
    long, width, clear, belt = size
    x, top, floor = 0.5 * long, clear + belt, clear + 0.55 * belt
    profile = [*nose, (0.45 * x, top), (-0.08 * long, top), (-0.09 * long, floor), (-x, floor), (-x, clear)]
    piece.add("body", paint, extrude_side(np.array(profile), width))
    walls = [
        box((0.4 * long, 0.08, 0.5 * belt), (-0.3 * long, s * (0.5 * width - 0.06), top - 0.5 * belt)) for s in (-1, 1)
    ]
    piece.add("body", paint, *walls, box((0.08, width, 0.5 * belt), (-x + 0.04, 0, top - 0.5 * belt)))


def _wheels(piece: Piece, axle: float, side: float, radius: float) -> None:
    tyre, hub = piece.palette.fixed("black", "rubber"), piece.material("metal", "silver grey black")
    for at in ((u, s * side, radius) for u in (-axle, axle) for s in (-1, 1)):
        for material, size, thick in ((tyre, radius, 0.22), (hub, 0.6 * radius, 0.24)):
            rim = disc(size, thick, (0, 0, -0.5 * thick), 24)
            piece.add("wheel", material, turned(rim, 0.5 * np.pi, axis="x").moved(at))


def _cabin(piece: Piece, paint: int, roof: list[float], width: float, low: float, rise: float) -> None:
    """Windows all round between belt and roof, with pillars and a roof of the body's colour."""
    back, top_back, top_front, front = roof
    inset = piece.between(0.82, 0.92)
    glass = piece.palette.make(piece.rng, "black", "glass")
    ring = [(back, -1), (front, -1), (front, 1), (back, 1)]
    upper = [(top_back, -inset), (top_front, -inset), (top_front, inset), (top_back, inset)]
    half = 0.47 * width
    base = np.array([(u, v * half, low - 0.02) for u, v in ring])
    eaves = np.array([(u, v * half, low + rise) for u, v in upper])
    piece.add("window", glass, loft(np.stack([base, eaves]), capped=False))
    cap = eaves + np.array([0, 0, 0.06])
    cap[:, :2] = eaves[:, :2].mean(0) + 0.9 * (eaves[:, :2] - eaves[:, :2].mean(0))
    piece.add("body", paint, loft(np.stack([eaves * (1, 1.01, 1), cap])))
    pillars = [bar(base[corner], eaves[corner], 0.045) for corner in range(4)]
    for s in (-1, 1):
        u = 0.5 * (top_back + top_front)
        pillars.append(bar((u, s * half * 1.0, low), (u, s * half * inset, low + rise), 0.045))
    piece.add("body", paint, *pillars)
