"""Charts as inline SVG: they take colours and fonts from the page around them, so they read in light and dark."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

SERIES = 6
"""Number of distinct series; the style sheet has their colours ``--c0`` to ``--c5``, safe for colour-blind eyes."""
WIDTH, LEFT, RIGHT, TOP, BOTTOM = 340, 44, 12, 30, 36
MARKS = ("circle", "square", "diamond", "triangle", "down", "cross")


@dataclass(frozen=True)
class Curve:
    """One run's logged losses: ``steps (K,)`` and ``losses (K,)``."""

    name: str
    steps: Sequence[float]
    losses: Sequence[float]


@dataclass(frozen=True)
class Dumbbell:
    """One row of `dumbbells`: the teacher's value, and the student's for each seed; ``series`` chooses the colour."""

    name: str
    teacher: float
    values: Sequence[float]
    series: int


def loss_panel(title: str, curves: Sequence[Curve], series: int) -> Markup:
    """The losses of the runs of one recipe: raw in faint, their running mean as a line; dashes tell seeds apart."""
    height = 210
    last = max((curve.steps[-1] for curve in curves if len(curve.steps)), default=1.0)
    values = np.concatenate([np.asarray(curve.losses, dtype=float) for curve in curves] or [np.zeros(1)])
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    low = 0.0 if 0 <= low < 0.5 * high else low
    across = _Scale(0.0, float(last), LEFT, WIDTH - RIGHT, "step")
    upward = _Scale(low, high, height - BOTTOM, TOP)
    parts = [_text(LEFT, 16, title, "t", anchor="start"), *_axes(across, upward, height)]
    for number, curve in enumerate(curves):
        parts.append(_line(curve.steps, curve.losses, across, upward, f"raw s{series % SERIES}"))
        smooth = running_mean(curve.losses)
        parts.append(_line(curve.steps, smooth, across, upward, f"line s{series % SERIES} d{number % 3}"))
        if len(smooth) == 1 and math.isfinite(smooth[0]):  # a line of one point is invisible
            parts.append(mark(series, across(curve.steps[0]), upward(float(smooth[0]))))
    ends = ", ".join(f"{curve.name}: from {_short(running_mean(curve.losses)[0])} to "
                     f"{_short(running_mean(curve.losses)[-1])}" for curve in curves if len(curve.losses))  # fmt: skip
    return _svg(WIDTH, height, f"Loss of {title} against the training step. {ends}", parts)


def running_mean(values: Sequence[float]) -> np.ndarray:
    """Centred mean over about a twelfth of the curve, over what there is at the ends, (K,)."""
    array = np.asarray(values, dtype=float)
    half = len(array) // 24
    return np.array([array[max(0, k - half) : k + half + 1].mean() for k in range(len(array))])


def dumbbells(title: str, rows: Sequence[Dumbbell]) -> Markup:
    """For each row the teacher's value (a bar), the student's mean (a mark), its seeds (dots), and the way between."""
    step, left, right = 30, 12, 12
    height = TOP + step * len(rows) + BOTTOM
    everything = [value for row in rows for value in (row.teacher, *row.values)]
    across = _Scale(min(everything), max(everything), left, WIDTH - right)
    parts = [_text(left, 16, title, "t", anchor="start")]
    for tick in across.ticks:
        x = across(tick)
        parts.append(_tag("line", x1=x, x2=x, y1=TOP, y2=height - BOTTOM, class_="grid"))
        parts.append(_text(x, height - BOTTOM + 15, across.say(tick), "n"))
    for number, row in enumerate(rows):
        parts += _dumbbell(row, across, TOP + step * number + 21)
    said = "; ".join(
        f"{row.name} {_short(float(np.mean(row.values)))}, its teacher {_short(row.teacher)}" for row in rows
    )
    return _svg(WIDTH, height, f"{title}: {said}", parts)


def _dumbbell(row: Dumbbell, across: _Scale, y: float) -> list[Markup]:
    colour = f"s{row.series % SERIES}"
    mean = float(np.mean(row.values))
    several = row.values if len(row.values) > 1 else ()  # one seed is its own mean
    start, end = across(row.teacher), across(mean)
    room = WIDTH - 12 - 5.8 * len(row.name)  # where the name must begin at the latest to end inside
    return [
        _text(max(0.0, min(start, end, room)), y - 9, row.name, "n", anchor="start"),
        _tag("line", x1=start, x2=end, y1=y, y2=y, class_=f"line {colour}"),
        _tag("line", x1=start, x2=start, y1=y - 6, y2=y + 6, class_="teacher"),
        mark(row.series, end, y),
        *(_tag("circle", cx=across(value), cy=y, r=2.2, class_=f"seed {colour}") for value in several),
    ]


def mark(series: int, x: float, y: float, size: float = 5.0) -> Markup:
    """The filled mark of a series: shape and colour both tell it apart."""
    kind = MARKS[series % len(MARKS)]
    style = f"mark s{series % SERIES}"
    if kind == "circle":
        return _tag("circle", cx=x, cy=y, r=size, class_=style)
    outline = {
        "square": [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
        "diamond": [(0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)],
        "triangle": [(0, -1.2), (1.15, 0.9), (-1.15, 0.9)],
        "down": [(0, 1.2), (1.15, -0.9), (-1.15, -0.9)],
        "cross": [
            (-0.4, -1.2), (0.4, -1.2), (0.4, -0.4), (1.2, -0.4), (1.2, 0.4), (0.4, 0.4),
            (0.4, 1.2), (-0.4, 1.2), (-0.4, 0.4), (-1.2, 0.4), (-1.2, -0.4), (-0.4, -0.4),
        ],
    }[kind]  # fmt: skip
    points = " ".join(f"{x + size * dx:.1f},{y + size * dy:.1f}" for dx, dy in outline)
    return _tag("polygon", points=points, class_=style)


def key_mark(series: int) -> Markup:
    """The mark of a series alone, for legends and tables."""
    return Markup('<svg class="key" viewBox="0 0 14 14" aria-hidden="true">{}</svg>').format(mark(series, 7, 7))


class _Scale:
    """Values to pixels, with ticks at round numbers that enclose the values (a step's axis ends at the last step)."""

    def __init__(self, low: float, high: float, start: float, end: float, unit: str = "") -> None:
        if not high > low:
            low, high = low - 0.5, high + 0.5
        rough = (high - low) / 4
        power = 10 ** math.floor(math.log10(rough))
        self.step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
        self.unit = unit
        self.low = math.floor(low / self.step + 1e-9) * self.step
        self.high = high if unit else math.ceil(high / self.step - 1e-9) * self.step
        self.start, self.end = start, end

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    @property
    def ticks(self) -> list[float]:
        return [self.low + k * self.step for k in range(round((self.high - self.low) / self.step * 2) // 2 + 1)
                if self.low + k * self.step <= self.high * (1 + 1e-9) + 1e-12]  # fmt: skip

    def say(self, value: float) -> str:
        digits = max(0, -math.floor(math.log10(self.step) + 1e-9))
        return f"{value:,.{digits}f}"


def _axes(across: _Scale, upward: _Scale, height: float) -> list[Markup]:
    parts = []
    for tick in upward.ticks:
        y = upward(tick)
        parts.append(_tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid"))
        parts.append(_text(LEFT - 6, y + 4, upward.say(tick), "n", anchor="end"))
    for number, tick in enumerate(across.ticks):
        text = across.say(tick) if number else f"{across.unit} {across.say(tick)}".strip()
        parts.append(_text(across(tick), height - BOTTOM + 17, text, "n"))
    return parts


def _line(steps: Sequence[float], values: Iterable[float], across: _Scale, upward: _Scale, style: str) -> Markup:
    pieces: list[str] = []
    pen_up = True
    for step, value in zip(steps, values, strict=True):
        if not math.isfinite(value):
            pen_up = True
            continue
        pieces.append(f"{'M' if pen_up else 'L'}{across(step):.1f} {upward(value):.1f}")
        pen_up = False
    return _tag("path", d="".join(pieces), class_=style) if pieces else Markup("")


def _text(x: float, y: float, text: str, style: str, anchor: str = "middle") -> Markup:
    return Markup('<text x="{}" y="{}" class="{}" text-anchor="{}">{}</text>').format(
        f"{x:.1f}", f"{y:.1f}", style, anchor, text
    )


def _tag(name: str, **attributes: object) -> Markup:
    said = Markup(" ").join(
        Markup('{}="{}"').format(key.rstrip("_"), f"{value:.1f}" if isinstance(value, float) else value)
        for key, value in attributes.items()
    )
    return Markup("<{0} {1}></{0}>").format(Markup(name), said)


def _svg(width: float, height: float, description: str, parts: Sequence[Markup]) -> Markup:
    opening = Markup('<svg class="chart" viewBox="0 0 {:.0f} {:.0f}" role="img" aria-label="').format(width, height)
    return opening + escape(description) + Markup('">') + Markup("").join(parts) + Markup("</svg>")


def _short(value: float) -> str:
    return f"{value:.3g}"
