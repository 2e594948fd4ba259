"""Tables, stools, chairs, sofas, beds, bookshelves and cabinets; sizes in metres, front along x."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from pointlift.worlds.engine.materials import pick
from pointlift.worlds.engine.solids import Mesh, box
from pointlift.worlds.shapes.forms import Piece, bar, cushion, disc, lathe, open_below, square_bar, turned

WOODS = "brown beige brown orange black white"
ANY = "red orange yellow green blue purple brown black white grey beige"
HARD = "wood wood painted plastic metal"


def _legs(piece: Piece, size: tuple[float, float], height: float, *, kinds: str) -> list[Mesh]:
    """Legs of a random kind below a rectangle of ``size`` (x, y) at ``height``."""
    kind = pick(piece.rng, kinds)
    thick = piece.between(0.015, 0.04) * max(1.0, 1.2 * height)
    if kind == "pedestal":
        return _pedestal(piece, 0.5 * min(size), height, thick)
    if kind == "star":
        return _star(piece, 0.5 * min(size), height, thick)
    x, y = 0.5 * size[0] - thick, 0.5 * size[1] - thick
    if kind == "panel":
        return [box((size[0] * 0.92, 1.2 * thick, height), (0, side * y, 0)) for side in (-1, 1)]
    if kind == "sled":
        return _sled(x, y, height, 0.6 * thick)
    if kind == "trestle":
        return _trestle(piece, x, 0.75 * y, height, thick)
    splay = piece.between(0.03, 0.14) * height if kind == "splayed" else 0.0
    taper = piece.between(0.45, 0.8) if kind in ("splayed", "tapered") else 1.0
    corners = [(x, y), (-x, y), (-x, -y), (x, -y)]
    if kind == "three":
        corners = [(0.9 * min(x, y) * np.cos(a), 0.9 * min(x, y) * np.sin(a)) for a in np.arange(3) * 2 * np.pi / 3]
        splay = piece.between(0.05, 0.15) * height
    round_ = piece.chance(0.5)
    meshes = []
    for u, v in corners:
        out = 1 + splay / max(float(np.hypot(u, v)), 1e-6)
        foot, top = (u * out, v * out, 0.0), (u, v, height)
        make = bar if round_ else square_bar
        factor = 1.0 if round_ else 1.7
        meshes.append(make(foot, top, factor * taper * thick, factor * thick))
    return meshes


def _pedestal(piece: Piece, reach: float, height: float, thick: float) -> list[Mesh]:
    """A column on a foot, as a disc or a cone."""
    foot = reach * piece.between(0.6, 0.9)
    rise = piece.between(0.02, 0.12) * height
    column = lathe([(foot, 0), (foot, 0.25 * rise), (1.6 * thick, rise), (1.6 * thick, height)])
    return [column]


def _star(piece: Piece, reach: float, height: float, thick: float) -> list[Mesh]:
    """The five arms on castors of an office chair."""
    reach, hub = 1.1 * reach, 0.22 * height
    meshes = [bar((0, 0, hub - 0.03), (0, 0, height), 1.2 * thick)]
    count = 5 if piece.chance(0.7) else 4
    for angle in np.arange(count) * 2 * np.pi / count:
        end = reach * np.array([np.cos(angle), np.sin(angle)])
        meshes.append(bar((0, 0, hub), (*end, 0.06), 0.9 * thick, 0.6 * thick))
        meshes.append(disc(0.025, 0.05, (*end, 0.0), 10))
    return meshes


def _sled(x: float, y: float, height: float, thick: float) -> list[Mesh]:
    """Two frames of bars, left and right."""
    meshes = []
    for side in (-y, y):
        meshes.append(bar((x, side, thick), (x, side, height), thick))
        meshes.append(bar((-x, side, thick), (-x, side, height), thick))
        meshes.append(bar((-x, side, thick), (x, side, thick), thick))
    return meshes


def _trestle(piece: Piece, x: float, y: float, height: float, thick: float) -> list[Mesh]:
    """Two A-shaped ends and a beam between them."""
    meshes = [box((2 * thick, 2 * y, 2 * thick), (0, 0, piece.between(0.25, 0.6) * height))]
    for side in (-y, y):
        meshes += [square_bar((s * x, side, 0), (0.35 * s * x, side, height), 1.6 * thick) for s in (-1, 1)]
    return meshes


def _top(piece: Piece, size: tuple[float, float], thick: float, height: float) -> Mesh:
    """A table's or stool's top: rectangular, round, oval or with round corners."""
    kind = pick(piece.rng, "box box soft round")
    if kind == "box":
        return box((*size, thick), (0, 0, height))
    if kind == "soft":
        return cushion((*size, thick), (0, 0, height), piece.between(0.1, 0.5))
    return disc(0.5, thick, (0, 0, 0), 36).moved((0, 0, height), scale=(*size, 1.0))


def table(piece: Piece) -> None:
    """Dining, coffee, side and writing tables."""
    kind = pick(piece.rng, "dining dining coffee side desk")
    spans = {
        "dining": ((0.7, 1.1), (0.9, 2.2), (0.68, 0.8)),
        "coffee": ((0.45, 0.8), (0.7, 1.3), (0.3, 0.5)),
        "side": ((0.35, 0.6), (0.35, 0.6), (0.4, 0.7)),
        "desk": ((0.55, 0.8), (1.0, 1.7), (0.68, 0.78)),
    }
    x, y, height = (piece.between(*span) for span in spans[kind])
    if piece.chance(0.2):
        y = x
    thick = piece.between(0.02, 0.06)
    wood = piece.material(HARD, WOODS)
    piece.add("top", wood, _top(piece, (x, y), thick, height))
    other = wood if piece.chance(0.5) else piece.material(HARD, WOODS)
    kinds = (
        "square square tapered splayed pedestal panel sled trestle" if kind != "desk" else "square panel sled tapered"
    )
    piece.add("leg", other, *_legs(piece, (0.9 * x, 0.9 * y), height, kinds=kinds))
    if kind == "desk" and piece.chance(0.7):
        width, deep = piece.between(0.3, 0.45), piece.between(0.12, height - 0.05)
        side = 0.5 * y - 0.55 * width - 0.06
        piece.add("shelf", other, box((0.8 * x, width, deep), (0, side * piece.rng.choice((-1, 1)), height - deep)))
    elif piece.chance(0.3):
        level = piece.between(0.2, 0.5) * height
        piece.add("shelf", wood, box((0.75 * x, 0.75 * y, 0.6 * thick), (0, 0, level)))


def stool(piece: Piece) -> None:
    """Low and bar stools, round or square, with three or four legs or one."""
    height = piece.between(0.4, 0.5) if piece.chance(0.55) else piece.between(0.6, 0.8)
    size = piece.between(0.28, 0.45)
    thick = piece.between(0.02, 0.1)
    soft = thick > 0.05
    seat = piece.material("cloth plastic" if soft else HARD, ANY)
    if soft and piece.chance(0.6):
        mesh = cushion((size, size, thick), (0, 0, height), piece.between(0.3, 0.9))
    else:
        mesh = _top(piece, (size, size), thick, height)
    piece.add("seat", seat, mesh)
    legs = _legs(
        piece, (0.85 * size, 0.85 * size), height, kinds="three square tapered splayed splayed pedestal sled star"
    )
    piece.add("leg", piece.material(HARD, WOODS), *legs)
    if piece.chance(0.3) and height > 0.55:
        ring = 0.36 * size
        rails = [bar((-ring, s * ring, 0.3 * height), (ring, s * ring, 0.3 * height), 0.012) for s in (-1, 1)]
        piece.add("leg", piece.material("metal wood", "silver brown black"), *rails)


def chair(piece: Piece) -> None:
    """Kitchen, office, bar and easy chairs."""
    if piece.chance(0.15):
        _easy_chair(piece)
        return
    tall = piece.chance(0.12)
    x, y = piece.between(0.36, 0.52), piece.between(0.36, 0.56)
    height = piece.between(0.6, 0.75) if tall else piece.between(0.38, 0.48)
    thick = piece.between(0.02, 0.09)
    soft = thick > 0.05
    seat = piece.material("cloth plastic" if soft else HARD, ANY)
    frame = piece.material("wood wood metal painted plastic", WOODS)
    shape = (
        cushion((x, y, thick), (0, 0, height), piece.between(0.3, 0.8)) if soft else _top(piece, (x, y), thick, height)
    )
    piece.add("seat", seat, shape)
    kinds = "square tapered splayed sled star star pedestal" if not tall else "splayed square pedestal"
    piece.add("leg", frame, *_legs(piece, (0.92 * x, 0.92 * y), height, kinds=kinds))
    rise = piece.between(0.15, 0.3) if tall else piece.between(0.28, 0.65)
    tilt = -piece.between(0.0, 0.3)
    about = (-0.45 * x, 0, height + 0.5 * thick)
    meshes = _chair_back(piece, y, rise, about)
    piece.add("back", seat if soft or piece.chance(0.4) else frame, *(turned(mesh, tilt, about) for mesh in meshes))
    if piece.chance(0.35):
        piece.add("arm", frame, *_arms(piece, x, y, height + thick))


def _chair_back(piece: Piece, width: float, rise: float, foot: tuple[float, float, float]) -> list[Mesh]:
    """A panel, upright or level slats, or a cushion on posts, upright above ``foot``."""
    x, _, z = foot
    kind = pick(piece.rng, "panel cushion upright level half")
    w, thick = width * piece.between(0.8, 1.0), piece.between(0.015, 0.04)
    posts = [square_bar((x, s * (0.5 * w - 0.015), z), (x, s * (0.5 * w - 0.015), z + rise), 0.03) for s in (-1, 1)]
    if kind == "panel":
        return [box((thick, w, rise), (x, 0, z))]
    if kind == "cushion":
        return [cushion((2.2 * thick, w, 0.96 * rise), (x, 0, z + 0.04 * rise), 0.5)]
    if kind == "half":
        return [*posts, box((thick, w, 0.45 * rise), (x, 0, z + 0.55 * rise))]
    rail = box((0.03, w, 0.05), (x, 0, z + rise - 0.05))
    if kind == "upright":
        places = np.linspace(-0.5, 0.5, int(piece.rng.integers(4, 8)))[1:-1] * w
        return [*posts, rail, *(box((0.012, 0.022, rise), (x, place, z)) for place in places)]
    levels = np.linspace(0.25, 0.8, int(piece.rng.integers(2, 5))) * rise
    return [*posts, rail, *(box((0.014, w, 0.035), (x, 0, z + level)) for level in levels)]


def _arms(piece: Piece, x: float, y: float, seat: float) -> list[Mesh]:
    rise, thick = piece.between(0.16, 0.26), piece.between(0.025, 0.05)
    meshes = []
    for side in (-1, 1):
        v = side * (0.5 * y + 0.3 * thick)
        meshes.append(box((0.85 * x, 1.4 * thick, 0.7 * thick), (0, v, seat + rise)))
        meshes.append(square_bar((0.3 * x, v, seat - 0.04), (0.3 * x, v, seat + rise), 0.8 * thick))
        if piece.chance(0.6):
            meshes.append(square_bar((-0.35 * x, v, seat - 0.04), (-0.35 * x, v, seat + rise), 0.8 * thick))
    return meshes


def _easy_chair(piece: Piece) -> None:
    """A padded chair, half a sofa."""
    _padded(piece, piece.between(0.65, 0.85), piece.between(0.7, 0.9), seats=1, arms=piece.chance(0.8))


def sofa(piece: Piece) -> None:
    """For one to three people, some with a couch at one end."""
    seats = int(piece.rng.choice((1, 2, 2, 3, 3)))
    width = 0.35 + seats * piece.between(0.5, 0.72)
    _padded(
        piece, piece.between(0.75, 1.0), width, seats, arms=piece.chance(0.88), couch=seats > 1 and piece.chance(0.2)
    )


def _padded(piece: Piece, depth: float, width: float, seats: int, *, arms: bool, couch: bool = False) -> None:
    cloth = piece.material("cloth cloth cloth plastic", ANY)
    leg = piece.between(0.05, 0.15) if piece.chance(0.75) else 0.02
    base, pad = piece.between(0.15, 0.25), piece.between(0.1, 0.2)
    arm = piece.between(0.1, 0.22) if arms else 0.0
    inner, soft = width - 2 * arm, piece.between(0.15, 0.7)
    piece.add("seat", cloth, box((0.95 * depth, inner, base), (0, 0, leg)))
    pillow = cloth if piece.chance(0.7) else piece.material("cloth", ANY)
    middles = (np.arange(seats) + 0.5) / seats * inner - 0.5 * inner
    each = inner / seats
    piece.add(
        "seat",
        pillow,
        *(cushion((0.75 * depth, 0.98 * each, pad), (0.1 * depth, m, leg + base), soft) for m in middles),
    )
    if couch:
        long = piece.between(0.4, 0.7)
        end = middles[-1] * piece.rng.choice((-1, 1))
        piece.add(
            "seat", cloth, cushion((long + 0.1, each, base + pad), (0.5 * depth + 0.5 * long - 0.05, end, leg), 0.2)
        )
    rise, thick = piece.between(0.3, 0.55), piece.between(0.14, 0.24)
    back = cushion((thick, width, base + pad + rise), (0, 0, 0), 0.3 * soft).moved((-0.5 * depth + 0.5 * thick, 0, leg))
    lean = -piece.between(0.0, 0.2)
    piece.add("back", cloth, turned(back, lean, (-0.5 * depth, 0, leg)))
    if piece.chance(0.6):
        pads = (
            cushion((0.8 * thick, 0.95 * each, 0.8 * rise), (-0.5 * depth + 1.25 * thick, m, leg + base + pad), 0.8)
            for m in middles
        )
        piece.add("back", pillow, *(turned(mesh, lean, (-0.5 * depth, 0, leg)) for mesh in pads))
    if arms:
        top = base + pad + piece.between(0.05, 0.25)
        piece.add(
            "arm", cloth, *(cushion((depth, arm, top), (0, s * 0.5 * (width - arm), leg), 0.8 * soft) for s in (-1, 1))
        )
    if leg > 0.03:
        feet = ((s * 0.42 * depth, t * (0.5 * width - 0.08)) for s in (-1, 1) for t in (-1, 1))
        wood = piece.material("wood metal", "brown black silver")
        piece.add("leg", wood, *(square_bar((u, v, 0), (u, v, leg + 0.01), 0.035, 0.05) for u, v in feet))


def bed(piece: Piece) -> None:
    """Single and double beds, some with posts; the head is at the back."""
    length, width = piece.between(1.85, 2.15), float(piece.rng.choice((0.85, 0.95, 1.2, 1.5, 1.8)))
    low, rail, deep = piece.between(0.12, 0.38), piece.between(0.08, 0.22), piece.between(0.14, 0.28)
    wood = piece.material("wood wood metal painted cloth", WOODS)
    top = low + rail
    piece.add("frame", wood, box((length, width, rail), (0, 0, low)))
    _bed_feet(piece, wood, (length, width, low))
    sheet = piece.material("cloth", "white white beige grey blue red green")
    mattress = cushion((0.97 * length, 0.96 * width, deep), (0, 0, top - 0.03), 0.25)
    piece.add("mattress", sheet, open_below(mattress))
    if piece.chance(0.6):
        cover = piece.material("cloth", ANY, texture=pick(piece.rng, "noise stripes"))
        reach = piece.between(0.5, 0.75) * length
        at = (0.5 * (0.98 * length - reach), 0, top + 0.5 * deep)
        piece.add("mattress", cover, cushion((reach, 1.02 * width, 0.5 * deep), at, 0.2))
    if piece.chance(0.85):
        rise, thick = piece.between(0.3, 0.8), piece.between(0.04, 0.12)
        head = (cushion if piece.chance(0.4) else box)((thick, width, top + rise), (-0.5 * (length + thick), 0, 0))
        piece.add("headboard", wood if piece.chance(0.7) else piece.material("cloth wood", ANY), head)
    if piece.chance(0.3):
        piece.add("frame", wood, box((0.05, width, top + piece.between(0.1, 0.3)), (0.5 * length + 0.025, 0, 0)))
    if piece.chance(0.85):
        count = 1 if width < 1.1 else 2
        size = (0.4, min(0.75, 0.85 * width / count), 0.14)
        places = [(-0.5 * length + 0.28, ((k + 0.5) / count - 0.5) * width, top + deep - 0.05) for k in range(count)]
        pillow = piece.material("cloth", "white white beige grey blue")
        piece.add("pillow", pillow, *(cushion(size, place, 0.9) for place in places))


def _bed_feet(piece: Piece, wood: int, size: tuple[float, float, float]) -> None:
    """Four feet, which are posts with beams in some beds, or a block."""
    length, width, low = size
    if not piece.chance(0.75):
        piece.add("frame", wood, box((0.9 * length, 0.9 * width, low), (0, 0, 0)))
        return
    x, y = 0.5 * length - 0.05, 0.5 * width - 0.05
    rise = 1.9 if piece.chance(0.12) else low
    corners = [(s * x, t * y) for s in (-1, 1) for t in (-1, 1)]
    piece.add("frame", wood, *(square_bar((u, v, 0), (u, v, rise), 0.07) for u, v in corners))
    if rise > 1:
        piece.add("frame", wood, *(box((length, 0.05, 0.05), (0, t * y, rise)) for t in (-1, 1)))
        piece.add("frame", wood, *(box((0.05, width, 0.05), (s * x, 0, rise)) for s in (-1, 1)))


def bookshelf(piece: Piece) -> None:
    """Boards between two sides, mostly with books."""
    depth, width, height = piece.between(0.22, 0.4), piece.between(0.5, 1.5), piece.between(0.8, 2.1)
    thick = piece.between(0.015, 0.035)
    wood = piece.material("wood wood painted metal", WOODS)
    if piece.chance(0.25):
        posts = [(s * (0.5 * depth - thick), t * (0.5 * width - thick)) for s in (-1, 1) for t in (-1, 1)]
        piece.add("frame", wood, *(square_bar((u, v, 0), (u, v, height), 1.5 * thick) for u, v in posts))
    else:
        piece.add("frame", wood, *(box((depth, thick, height), (0, s * 0.5 * (width - thick), 0)) for s in (-1, 1)))
        if piece.chance(0.7):
            piece.add("frame", wood, box((0.6 * thick, width, height), (-0.5 * depth, 0, 0)))
    rows = max(2, round(height / piece.between(0.28, 0.45)))
    foot = piece.between(0.0, 0.1)
    levels = foot + np.linspace(0, 1, rows + 1) * (height - foot - thick)
    piece.add("shelf", wood, *(box((0.98 * depth, width - 2 * thick, thick), (0, 0, level)) for level in levels))
    columns = 1 if width < 0.9 or piece.chance(0.5) else 2
    if columns == 2:
        piece.add("shelf", wood, box((0.96 * depth, thick, height - foot), (0, 0, foot)))
    if piece.chance(0.85):
        _books(piece, levels + thick, (depth, width - 2 * thick), piece.between(0.4, 0.95))


def _books(piece: Piece, levels: np.ndarray, size: tuple[float, float], fill: float) -> None:
    """Rows of books on every level but the highest."""
    rng, tones = piece.rng, [piece.material("plastic cloth", ANY) for _ in range(5)]
    for level, above in pairwise(levels):
        clear, place = above - level - 0.03, -0.5 * size[1]
        while place < 0.5 * size[1] - 0.08:
            thick = float(rng.uniform(0.02, 0.07))
            if rng.random() < fill:
                height = clear * float(rng.uniform(0.55, 0.95))
                deep = size[0] * float(rng.uniform(0.55, 0.85))
                at = (0.5 * (0.95 * size[0] - deep) - 0.12 * size[0], place + 0.5 * thick, level)
                piece.add("books", tones[int(rng.integers(5))], box((deep, 0.92 * thick, height), at))
                place += thick
            else:
                place += float(rng.uniform(0.05, 0.2))


def cabinet(piece: Piece) -> None:
    """Wardrobes, sideboards, chests of drawers and low cabinets, some with open boards."""
    kind = pick(piece.rng, "wardrobe sideboard chest low")
    spans = {
        "wardrobe": ((0.45, 0.65), (0.8, 1.6), (1.6, 2.1)),
        "sideboard": ((0.35, 0.5), (0.9, 1.6), (0.6, 0.95)),
        "chest": ((0.4, 0.55), (0.5, 1.0), (0.7, 1.2)),
        "low": ((0.3, 0.5), (0.9, 1.6), (0.3, 0.5)),
    }
    depth, width, height = (piece.between(*span) for span in spans[kind])
    wood = piece.material("wood wood painted", WOODS)
    front = wood if piece.chance(0.5) else piece.material("wood painted glass", WOODS)
    leg = piece.between(0.06, 0.2) if piece.chance(0.6) else 0.0
    thick, open_ = 0.025, piece.chance(0.25)
    sides = [box((depth, thick, height), (0, s * 0.5 * (width - thick), leg)) for s in (-1, 1)]
    levels = [leg, leg + height - thick]
    boards = [box((depth, width, thick), (0, 0, level)) for level in levels]
    piece.add("body", wood, *sides, *boards, box((thick, width, height), (-0.5 * depth + 0.5 * thick, 0, leg)))
    if leg:
        piece.add(
            "leg",
            piece.material("wood metal", "brown black silver"),
            *_legs(piece, (depth, width), leg, kinds="square tapered sled"),
        )
    columns = {"wardrobe": (2, 4), "sideboard": (2, 5), "chest": (1, 3), "low": (2, 4)}[kind]
    rows = {"wardrobe": (1, 2), "sideboard": (1, 3), "chest": (3, 6), "low": (1, 3)}[kind]
    _fronts(
        piece,
        front,
        (depth, width, height - 0.02, leg + 0.01),
        int(piece.rng.integers(*columns)),
        int(piece.rng.integers(*rows)),
        open_,
    )


def _fronts(
    piece: Piece, material: int, size: tuple[float, float, float, float], columns: int, rows: int, open_: bool
) -> None:
    """Doors or drawers in columns and rows with handles; one column is left open, with a board, if ``open_``."""
    depth, width, height, foot = size
    w, h = width / columns, height / rows
    metal = piece.material("metal metal wood", "silver black brown")
    knob = piece.chance(0.4)
    left_open = int(piece.rng.integers(columns)) if open_ and columns > 1 else -1
    for column in range(columns):
        v = (column + 0.5) * w - 0.5 * width
        if column == left_open:
            piece.add("body", material, box((0.9 * depth, w, 0.02), (0, v, foot + 0.5 * height)))
            continue
        for row in range(rows):
            z = foot + row * h
            piece.add("door", material, box((0.022, 0.97 * w, 0.96 * h), (0.5 * depth + 0.011, v, z + 0.02 * h)))
            side = 0.0 if h < 1.2 * w else (0.38 if column % 2 == 0 else -0.38) * w
            at = (0.5 * depth + 0.02, v + side, z + 0.5 * h)
            if knob:
                mesh = turned(disc(0.016, 0.035, at, 10), 0.5 * np.pi, at)
            else:
                tall = (0.02, 0.015, 0.16) if side else (0.02, min(0.16, 0.5 * w), 0.015)
                mesh = box(tall, (at[0] + 0.015, at[1], at[2] - 0.5 * tall[2]))
            piece.add("handle", metal, mesh)
