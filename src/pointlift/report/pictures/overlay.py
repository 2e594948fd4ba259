"""Pictures that show at a glance whether points, images, labels and calibration belong together."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator, ScalarFormatter

from pointlift.data.scene import Pairs, Scene, View
from pointlift.data.up import heights, horizontal_axes
from pointlift.files import write_atomically

IGNORED_COLOR = (0.62, 0.62, 0.62)
_INCHES, _DPI = 12.0, 140


def class_palette(names: Sequence[str], colors: Sequence[tuple[int, int, int]] | None = None) -> np.ndarray:
    """One RGB colour in [0, 1] per class (C + 1, 3), the last for ignored points, so that label -1 finds it.

    Args:
        names: the classes.
        colors: their usual colours, 0 to 255, where the data set has any.
    """
    if colors is None:
        table = colormaps["tab20"](np.arange(len(names)) % 20)[:, :3]
    else:
        table = np.asarray(colors, dtype=np.float64) / 255.0
        brightest = table.max(axis=1, keepdims=True).clip(0.01)
        table = table * np.maximum(1.0, 0.6 / brightest)  # dark colours would vanish on a photograph
    return np.vstack([table, IGNORED_COLOR])


def save_depth_overlay(path: Path, scene: Scene, view_index: int, pairs: Pairs) -> None:
    """Write a PNG of one view with its points coloured by depth: edges of objects must lie on edges of the image."""
    view, pixels, points = _seen(scene, view_index, pairs)
    depth = view.project(scene.points[points])[1]
    figure, axes = _image_axes(view, f"{scene.id} · {view.name} · depth of {len(points):,} points", dim=0.75)
    far_first = np.argsort(-depth)
    low, high = np.percentile(depth, (1, 99)) if len(depth) else (1.0, 2.0)
    norm = LogNorm(max(low, 0.1), max(high, 2 * max(low, 0.1)), clip=True)
    dots = axes.scatter(
        pixels[far_first, 0],
        pixels[far_first, 1],
        c=depth[far_first],
        s=_dot_area(view, len(points)),
        cmap="turbo_r",
        norm=norm,
        linewidths=0,
    )
    bar = figure.colorbar(dots, ax=axes, orientation="horizontal", fraction=0.05, pad=0.03, aspect=60)
    bar.set_label("depth (m)")
    ticks = [t for t in (0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 7, 10, 15, 20, 30, 50, 70, 100) if norm.vmin <= t <= norm.vmax]  # type: ignore[operator]
    bar.ax.xaxis.set_major_locator(FixedLocator(ticks))
    bar.ax.xaxis.set_major_formatter(ScalarFormatter())
    bar.ax.xaxis.set_minor_locator(NullLocator())
    bar.ax.xaxis.set_minor_formatter(NullFormatter())
    _save(figure, path)


def save_class_overlay(
    path: Path, scene: Scene, view_index: int, pairs: Pairs, names: Sequence[str], palette: np.ndarray
) -> None:
    """Write a PNG of one view with its points coloured by class; the scene must have labels."""
    assert scene.labels is not None
    view, pixels, points = _seen(scene, view_index, pairs)
    labels = scene.labels[points]
    figure, axes = _image_axes(view, f"{scene.id} · {view.name} · classes of {len(points):,} points", dim=0.55)
    far_first = np.argsort(-view.project(scene.points[points])[1])
    axes.scatter(
        pixels[far_first, 0],
        pixels[far_first, 1],
        c=palette[labels[far_first]],
        s=_dot_area(view, len(points)),
        linewidths=0,
    )
    _class_legend(axes, labels, names, palette, loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=8)
    _save(figure, path)


def save_birds_eye(path: Path, scene: Scene, names: Sequence[str], palette: np.ndarray) -> None:
    """Write a PNG of the scene from above, coloured by class (by height without labels), with what the views see."""
    a, b = horizontal_axes(scene.up_axis)
    ground = scene.points[:, [a, b]]
    up = heights(scene.points, scene.up_axis)
    figure = Figure(figsize=(9.5, 8.0), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    upward = np.argsort(up)  # what is on top is drawn last
    if scene.labels is None:
        low, high = np.percentile(up, (2, 98))
        dots = axes.scatter(
            ground[upward, 0], ground[upward, 1], c=up[upward], s=1.0, cmap="viridis", vmin=low, vmax=high, linewidths=0
        )
        figure.colorbar(dots, ax=axes, label="height (m)", shrink=0.7)
    else:
        axes.scatter(ground[upward, 0], ground[upward, 1], c=palette[scene.labels[upward]], s=1.0, linewidths=0)
    reach = float(np.percentile(np.abs(ground - np.median(ground, axis=0)).max(axis=1), 98))
    center = np.median(ground, axis=0)
    for view, color in zip(scene.views, colormaps["tab10"](np.arange(len(scene.views)) % 10), strict=True):
        _draw_field_of_view(axes, view, (a, b), 3 * reach, color)
    _draw_boxes(axes, scene, (a, b))
    axes.set_xlim(center[0] - reach, center[0] + reach)
    axes.set_ylim(center[1] - reach, center[1] + reach)
    axes.set_aspect("equal")
    axes.set_xlabel(f"{'xyz'[a]} (m)")
    axes.set_ylabel(f"{'xyz'[b]} (m)")
    axes.grid(color="0.9", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.set_title(f"{scene.id} · from above · {len(scene):,} points", loc="left")
    if scene.labels is not None:
        _class_legend(axes, scene.labels, names, palette, loc="upper left", bbox_to_anchor=(1.01, 1.0), ncols=1)
    _save(figure, path)


def _seen(scene: Scene, view_index: int, pairs: Pairs) -> tuple[View, np.ndarray, np.ndarray]:
    chosen = pairs.take(pairs.view_index == view_index)
    return scene.views[view_index], chosen.pixels, chosen.point_index


def _image_axes(view: View, title: str, dim: float) -> tuple[Figure, Axes]:
    """Axes over the image, which is drawn greyish and darker so that the dots stand out."""
    height, width = view.size
    figure = Figure(figsize=(_INCHES, _INCHES * height / width + 1.1), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    image = view.image.astype(np.float64) / 255.0
    grey = image.mean(axis=2, keepdims=True)
    axes.imshow(dim * (0.5 * image + 0.5 * grey), interpolation="antialiased")
    axes.set_axis_off()
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlim(-0.5, width - 0.5)
    axes.set_ylim(height - 0.5, -0.5)
    return figure, axes


def _dot_area(view: View, points: int) -> float:
    """Area in points² of a dot that covers about a tenth of a point's share of the image, within limits."""
    height, width = view.size
    diameter = 0.3 * np.sqrt(height * width / max(points, 1)) / width
    return float(72 * _INCHES * np.clip(diameter, 1 / 500, 1 / 150)) ** 2


def _class_legend(axes: Axes, labels: np.ndarray, names: Sequence[str], palette: np.ndarray, **placement: Any) -> None:
    """Legend of the classes that occur, most frequent first, with their shares; ignored points come last."""
    counts = np.bincount(labels + 1, minlength=len(names) + 1)
    order = [c for c in np.argsort(-counts[1:], kind="stable") if counts[c + 1]] + ([-1] if counts[0] else [])
    handles = [
        Line2D(
            [], [], marker="o", linestyle="", markersize=6, color=palette[c],
            label=f"{names[c] if c >= 0 else 'ignored'} {_percent(counts[c + 1] / len(labels))}",
        )
        for c in order
    ]  # fmt: skip
    if handles:
        axes.legend(handles=handles, frameon=False, fontsize=8, handletextpad=0.1, columnspacing=1.2, **placement)


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.001 else "<0.1%"


def _draw_boxes(axes: Axes, scene: Scene, plane: tuple[int, int]) -> None:
    """The boxes from above, with a line from the centre to the front; grey for those of no class."""
    corners = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1], [1, 1], [1, 0], [0, 0]]) / 2
    for number, box in enumerate([] if scene.boxes is None else scene.boxes):
        sine, cosine = np.sin(box[6]), np.cos(box[6])
        outline = (corners * box[3:5]) @ np.array([[cosine, sine], [-sine, cosine]]) + box[list(plane)]
        named = scene.box_labels is None or scene.box_labels[number] >= 0
        axes.plot(*outline.T, color="crimson" if named else "0.5", linewidth=0.9)


def _draw_field_of_view(axes: Axes, view: View, plane: tuple[int, int], reach: float, color: np.ndarray) -> None:
    """Two rays from the camera through the middles of the left and right edges of its image."""
    height, width = view.size
    points_from_camera = np.linalg.inv(view.camera_from_points)
    edges = np.array([[-0.5, (height - 1) / 2, 1.0], [width - 0.5, (height - 1) / 2, 1.0]])
    rays = edges @ np.linalg.inv(view.intrinsics).T @ points_from_camera[:3, :3].T
    origin = points_from_camera[:3, 3]
    for ray in rays:
        line = np.stack([origin, origin + ray * reach])[:, list(plane)]
        axes.plot(*line.T, color=color, linewidth=1.2, linestyle=(0, (5, 3)))
    seen = np.stack([origin, *(origin + rays * reach)])[:, list(plane)]
    axes.fill(*seen.T, color=color, alpha=0.06, linewidth=0)  # of six cameras, which two lines belong together
    axes.plot(*origin[list(plane)], marker="^", markersize=5, color=color)
    forward = rays.mean(axis=0)[list(plane)]
    middle = origin[list(plane)] + forward / max(np.linalg.norm(forward), 1e-6) * 0.27 * reach
    label = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.0}
    axes.annotate(view.name, middle, color=color, fontsize=8, weight="bold", ha="center", va="center", bbox=label)


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    content = io.BytesIO()
    figure.savefig(content, bbox_inches="tight", pad_inches=0.08)
    write_atomically(path, content.getvalue())
