"""Buildings by kind: x runs along the street and y away from it, so that the facade is the side of lowest y."""

from __future__ import annotations

import numpy as np

from pointlift.worlds.engine.materials import Palette, pick
from pointlift.worlds.engine.solids import Body, Solid, box, frustum, gable, prism, tube

DEPTH = 2.5
"""How far walls reach below the ground, metres, so that no slope shows a gap."""
WALLS = {
    "brick": "red red brown beige orange grey",
    "plaster": "white white beige yellow grey orange green blue red",
    "wood": "brown red white grey green",
    "concrete": "grey grey white beige",
    "panel": "grey white silver blue green beige",
    "metal": "grey silver blue green",
    "stone": "grey beige brown",
    "glass": "blue grey black silver",
}


def _wall(rng: np.random.Generator, palette: Palette, looks: str, kind: str, *, colors: str | None = None) -> int:
    look = pick(rng, looks)
    return palette.make(rng, pick(rng, colors or WALLS[look]), look, kind)


def _panes(
    solid: Solid, rng: np.random.Generator, palette: Palette, kind: str, size: tuple[float, float, float], storey: float
) -> None:
    """Windows and a door on the front and the two ends of a block of ``size`` whose facade stands at y = 0."""
    length, depth, height = size
    glass = palette.fixed("black", "glass", "window", kind)
    frame = palette.make(rng, pick(rng, "white white brown grey green blue"), "painted", "window", kind)
    door = palette.make(rng, pick(rng, "brown green blue red white black"), "wood", "door", kind)
    wide, tall = rng.uniform(0.8, 1.6), storey * rng.uniform(0.4, 0.55)
    shutters = rng.random() < 0.25
    for side, span in (("front", length), ("left", depth), ("right", depth)):
        count = max(int(span / rng.uniform(2.2, 3.4)), 1)
        for floor in range(max(int(height / storey), 1)):
            z = floor * storey + storey * 0.33
            for index in range(count):
                along = (index + 0.5) * span / count - span / 2
                if side == "front" and floor == 0 and index == count // 2:
                    solid.add(box((1.0, 0.12, 2.1), (along, 0, 0)), door)
                    continue
                across = along + depth / 2
                at = {
                    "front": (along, 0, z),
                    "left": (-length / 2, across, z),
                    "right": (length / 2, across, z),
                }[side]
                flat = side == "front"
                if side == "front":
                    solid.add(box((wide + 0.2, 0.06, tall + 0.2), (at[0], at[1], z - 0.1)), frame)
                    if shutters:
                        for where in (-1, 1):
                            at_side = (at[0] + where * wide * 0.78, at[1], z)
                            solid.add(box((wide * 0.45, 0.08, tall), at_side), door)
                solid.add(box((wide, 0.1, tall) if flat else (0.1, wide, tall), at), glass)


def house(rng: np.random.Generator, palette: Palette, length: float, depth: float) -> Body:
    """A house of one to three storeys with a pitched roof."""
    solid = Solid()
    storey = rng.uniform(2.5, 3.0)
    height = storey * int(rng.integers(1, 4)) + 0.3
    wall = _wall(rng, palette, "brick brick plaster plaster wood stone", "house")
    roof = palette.make(
        rng, pick(rng, "red red brown black grey orange"), pick(rng, "tiled tiled tiled metal"), "roof", "house"
    )
    solid.add(box((length, depth, height + DEPTH), (0, depth / 2, -DEPTH)), wall)
    rise, hip = min(length, depth) * rng.uniform(0.25, 0.55), rng.choice([0.0, 0.0, 1.8])
    if rng.random() < 0.65 or length > 1.4 * depth:
        solid.add(gable(length + 0.8, depth + 0.9, rise, (0, depth / 2, height), hip=float(hip)), roof)
    else:
        solid.add(
            gable(depth + 0.9, length + 0.8, rise, hip=float(hip)).moved((0, depth / 2, height), yaw=np.pi / 2), roof
        )
    _panes(solid, rng, palette, "house", (length, depth, height), storey)
    if rng.random() < 0.6:
        at = (rng.uniform(-0.3, 0.3) * length, depth * 0.6, height)
        solid.add(
            box((0.6, 0.6, rise + 0.6), at), palette.make(rng, pick(rng, "red grey brown"), "brick", "chimney", "house")
        )
    if rng.random() < 0.45:
        wing, low = rng.uniform(2.8, 4.0), rng.uniform(2.3, 2.9)
        side = rng.choice([-1, 1])
        at = (side * (length / 2 + wing / 2 - 0.05), depth * 0.55, -DEPTH)
        solid.add(box((wing, depth * 0.7, low + DEPTH), at), wall)
        solid.add(box((wing + 0.2, depth * 0.7 + 0.2, 0.18), (at[0], at[1], low)), roof)
        door = palette.make(rng, pick(rng, "white grey brown green"), "panel", "door", "house")
        solid.add(box((wing * 0.75, 0.1, 2.0), (at[0], depth * 0.2, 0)), door)
    return solid.body()


def apartment(rng: np.random.Generator, palette: Palette, length: float, depth: float) -> Body:
    """A block of flats: windows by texture, sometimes balconies, a flat roof with its parapet or a steep one."""
    solid, storey = Solid(), rng.uniform(2.7, 3.3)
    height = storey * int(rng.integers(3, 8))
    look = pick(rng, "brick plaster plaster concrete panel glass")
    color = pick(rng, WALLS[look])
    texture = {"texture": "windows", "second": "black", "scale": storey}
    wall = palette.make(rng, color, look, "window", "apartment", **texture)  # type: ignore[arg-type]
    plain = palette.make(rng, color, look, "apartment")
    solid.add(box((length, depth, height), (0, depth / 2, 0)), wall)
    solid.add(box((length + 0.1, depth + 0.1, DEPTH + 0.5), (0, depth / 2, -DEPTH)), plain)
    if rng.random() < 0.3:
        roof = palette.make(rng, pick(rng, "red brown black grey"), "tiled", "roof", "apartment")
        solid.add(gable(length + 0.5, depth + 0.5, rng.uniform(2, 4), (0, depth / 2, height), hip=1.5), roof)
    else:
        solid.add(box((length + 0.3, depth + 0.3, 0.5), (0, depth / 2, height)), plain)
        solid.add(box((3, 3, 2.2), (rng.uniform(-0.3, 0.3) * length, depth / 2, height)), plain)
    door = palette.fixed("brown", "wood", "door", "apartment")
    solid.add(box((1.6, 0.2, 2.3), (rng.uniform(-0.3, 0.3) * length, 0, 0)), door)
    if rng.random() < 0.45:
        slab = palette.make(rng, pick(rng, "white grey"), "concrete", "apartment")
        rail = palette.make(rng, pick(rng, "white grey blue green black"), pick(rng, "metal glass"), "apartment")
        count = max(int(length / 6), 1)
        for floor in range(1, round(height / storey)):
            for index in range(count):
                x = (index + 0.5) * length / count - length / 2
                solid.add(box((2.6, 1.1, 0.15), (x, -0.5, floor * storey)), slab)
                solid.add(box((2.6, 0.06, 0.9), (x, -1.02, floor * storey + 0.15)), rail)
    return solid.body()


def shop(rng: np.random.Generator, palette: Palette, length: float, depth: float) -> Body:
    """Shop windows below, an awning or a sign, floors with windows above."""
    solid, ground = Solid(), rng.uniform(3.2, 4.2)
    storey = rng.uniform(2.8, 3.3)
    height = ground + storey * int(rng.integers(0, 5))
    look = pick(rng, "brick plaster plaster stone concrete")
    color = pick(rng, WALLS[look])
    upper = palette.make(rng, color, look, "window", "shop", texture="windows", second="black", scale=storey)
    base = palette.make(rng, pick(rng, color + " grey black white green"), pick(rng, "stone plaster wood"), "shop")
    solid.add(box((length, depth, ground + DEPTH), (0, depth / 2, -DEPTH)), base)
    if height > ground:
        solid.add(box((length, depth, height - ground), (0, depth / 2, ground)), upper)
    solid.add(box((length + 0.2, depth + 0.2, 0.4), (0, depth / 2, height)), base)
    glass = palette.fixed("black", "glass", "window", "shop")
    count = max(int(length / rng.uniform(3, 5)), 1)
    for index in range(count):
        x = (index + 0.5) * length / count - length / 2
        solid.add(box((length / count * 0.8, 0.1, 2.2), (x, 0, 0.4)), glass)
    sign = palette.make(rng, pick(rng, "red blue green yellow orange white black purple"), "plastic", "sign", "shop")
    solid.add(box((length * 0.8, 0.15, 0.55), (0, -0.05, ground - 0.55)), sign)
    if rng.random() < 0.6:
        color = pick(rng, "red green blue orange yellow")
        cloth = palette.make(rng, color, "striped" if rng.random() < 0.5 else "cloth", "awning", "shop")
        solid.add(frustum((length * 0.85, 1.3), (length * 0.85, 0.1), 0.5, (0, -0.6, ground - 1.2)), cloth)
    return solid.body()


def shed(rng: np.random.Generator, palette: Palette, length: float, depth: float) -> Body:
    """A low shed, garage or site cabin, of about a van's size."""
    solid, height = Solid(), rng.uniform(1.9, 3.2)
    wall = _wall(rng, palette, "wood wood metal panel plaster", "shed")
    solid.add(box((length, depth, height + DEPTH), (0, depth / 2, -DEPTH)), wall)
    roof = palette.make(
        rng, pick(rng, "grey brown red green black"), pick(rng, "metal wood tiled rusty"), "roof", "shed"
    )
    if rng.random() < 0.5:
        solid.add(gable(length + 0.3, depth + 0.3, rng.uniform(0.4, 1.1), (0, depth / 2, height)), roof)
    else:
        solid.add(box((length + 0.3, depth + 0.3, 0.12), (0, depth / 2, height)), roof)
    door = palette.make(rng, pick(rng, "brown grey white green"), pick(rng, "wood panel"), "door", "shed")
    solid.add(box((min(length * 0.5, 2.4), 0.08, height * 0.8), (rng.uniform(-0.15, 0.15) * length, 0, 0)), door)
    return solid.body()


def container(rng: np.random.Generator, palette: Palette, length: float, depth: float) -> Body:
    """A shipping container used as a store; much like a lorry's load."""
    solid = Solid()
    length, depth = rng.choice([6.06, 12.19]) if length > 12.5 else 6.06, 2.44
    for level in range(1 if rng.random() < 0.6 else 2):
        skin = palette.make(
            rng, pick(rng, "red blue green grey orange brown white"), pick(rng, "panel rusty"), "container"
        )
        low = 0.1 + level * 2.6
        solid.add(
            box((length, depth, 2.58 + (1.5 if level == 0 else 0)), (0, depth / 2, low - (1.5 if level == 0 else 0))),
            skin,
        )
    return solid.body()


def warehouse(rng: np.random.Generator, palette: Palette, length: float, depth: float) -> Body:
    """A large hall with loading doors, sometimes a silo or a stack beside it."""
    solid, height = Solid(), rng.uniform(5, 11)
    wall = _wall(
        rng,
        palette,
        "panel panel metal concrete brick rusty",
        "warehouse",
        colors="grey white silver blue green beige red",
    )
    roof = palette.make(rng, pick(rng, "grey white silver"), "metal", "roof", "warehouse")
    solid.add(box((length, depth, height + DEPTH), (0, depth / 2, -DEPTH)), wall)
    if rng.random() < 0.6:
        solid.add(gable(length + 0.4, depth + 0.4, rng.uniform(0.8, 2.4), (0, depth / 2, height)), roof)
    else:
        solid.add(box((length + 0.4, depth + 0.4, 0.7), (0, depth / 2, height - 0.2)), roof)
    band = palette.make(rng, pick(rng, "blue red green orange white"), "painted", "warehouse")
    solid.add(box((length + 0.1, depth + 0.1, rng.uniform(0.5, 1.5)), (0, depth / 2, height * 0.7)), band)
    door = palette.make(rng, pick(rng, "white grey blue orange"), "panel", "door", "warehouse")
    count = max(int(length / rng.uniform(5, 8)), 1)
    for index in range(count):
        x = (index + 0.5) * length / count - length / 2
        if rng.random() < 0.6:
            solid.add(box((3.2, 0.15, min(3.6, height * 0.7)), (x, 0, 0)), door)
        else:
            glass = palette.fixed("black", "glass", "window", "warehouse")
            solid.add(box((2.4, 0.12, 0.9), (x, 0, height * 0.45)), glass)
    if rng.random() < 0.35:
        tall = rng.uniform(6, 16)
        stack = palette.make(
            rng, pick(rng, "silver white grey red"), pick(rng, "metal concrete rusty"), "chimney", "warehouse"
        )
        radius = rng.uniform(0.6, 2.2)
        at = length / 2 - radius
        solid.add(tube([(at, depth + radius, -1), (at, depth + radius, tall)], radius, 12), stack)
    return solid.body()


def villa(rng: np.random.Generator, palette: Palette, length: float, depth: float) -> Body:
    """White plaster cubes of different heights, with flat or low tiled roofs: the coast's houses."""
    solid, storey = Solid(), rng.uniform(2.6, 3.1)
    color = pick(rng, "white white white white beige yellow")
    wall = palette.make(rng, color, "plaster", "house", vary=0.1)
    blind = palette.make(rng, pick(rng, "blue blue green brown white"), "wood", "door", "house")
    glass = palette.fixed("black", "glass", "window", "house")
    tiles = palette.make(rng, "orange", "tiled", "roof", "house")
    count = int(rng.integers(2, 5))
    for index in range(count):
        wide, deep = length * rng.uniform(0.35, 0.6), depth * rng.uniform(0.5, 0.9)
        x = (index + 0.5) * length / count - length / 2
        wide = min(wide, 2 * (length / 2 - abs(x)) + 1.0)
        back, height = rng.uniform(0, 0.3) * depth, storey * int(rng.integers(1, 4)) + 0.4
        if rng.random() < 0.15:
            radius, at = wide * 0.45, (x, back + wide * 0.45)
            solid.add(tube([(*at, -DEPTH), (*at, height + 1.5)], radius, 12), wall)
            solid.add(tube([(*at, height + 1.5), (*at, height + 1.5 + radius)], [radius * 1.1, 0.05], 12), tiles)
            continue
        solid.add(box((wide, deep, height + DEPTH), (x, back + deep / 2, -DEPTH)), wall)
        if rng.random() < 0.4:
            solid.add(gable(wide + 0.5, deep + 0.5, 0.16 * deep, (x, back + deep / 2, height), hip=1.0), tiles)
        else:
            solid.add(box((wide + 0.15, deep + 0.15, 0.25), (x, back + deep / 2, height)), wall)
        for floor in range(int(height / storey)):
            for shift in (-0.25, 0.25):
                z = floor * storey + 0.9
                solid.add(box((0.75, 0.12, 1.3), (x + shift * wide, back, z)), glass)
                for side in (-0.6, 0.6):
                    solid.add(box((0.4, 0.16, 1.3), (x + shift * wide + side, back, z)), blind)
    return solid.body()


def tower(rng: np.random.Generator, palette: Palette, length: float, depth: float) -> Body:
    """A tall round or many-sided hotel, with bands of balconies: only at the coast."""
    solid, storey = Solid(), rng.uniform(3.0, 3.4)
    floors, radius = int(rng.integers(5, 11)), min(length, depth) * 0.45
    sides = int(rng.choice([6, 8, 14]))
    color = pick(rng, "white white beige blue")
    wall = palette.make(rng, color, "plaster", "window", "apartment", texture="windows", second="blue", scale=storey)
    band = palette.make(rng, "white", "concrete", "apartment", vary=0.1)
    angle = 2 * np.pi * np.arange(sides) / sides
    outline = radius * np.stack([np.cos(angle), np.sin(angle)], 1)
    at = (0, radius + 0.5)
    solid.add(prism(outline, floors * storey + DEPTH, (*at, -DEPTH)), wall)
    for floor in range(1, floors + 1):
        solid.add(prism(outline * 1.12, 0.5, (*at, floor * storey - 0.25)), band)
    return solid.body()


KINDS = {
    "house": (house, (8, 14), (7, 10)),
    "apartment": (apartment, (14, 28), (10, 15)),
    "shop": (shop, (8, 18), (9, 14)),
    "shed": (shed, (2.5, 6.5), (2.2, 4.5)),
    "container": (container, (6.2, 13), (2.6, 2.6)),
    "warehouse": (warehouse, (18, 38), (14, 26)),
    "villa": (villa, (11, 20), (8, 13)),
    "tower": (tower, (14, 20), (14, 20)),
}
"""Builder of each kind, and the ranges of its length along the street and its depth, metres."""
