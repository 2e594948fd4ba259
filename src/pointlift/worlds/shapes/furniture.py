"""Tables, stools, chairs, sofas and beds; sizes in metres, front along x."""

from __future__ import annotations

import numpy as np

from pointlift.data.formats.mesh import Mesh
from pointlift.worlds.engine.materials import pick
from pointlift.worlds.engine.solids import box
from pointlift.worlds.shapes.forms import ANY, WOODS, Piece, bar, cushion, disc, open_below, square_bar, turned
from pointlift.worlds.shapes.legs import legs_below

HARD = "wood wood painted plastic metal"


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
    piece.add("leg", other, *legs_below(piece, (0.9 * x, 0.9 * y), height, kinds=kinds))
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
    feet = legs_below(
        piece, (0.85 * size, 0.85 * size), height, kinds="three square tapered splayed splayed pedestal sled star"
    )
    piece.add("leg", piece.material(HARD, WOODS), *feet)
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
    piece.add("leg", frame, *legs_below(piece, (0.92 * x, 0.92 * y), height, kinds=kinds))
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
