"""What attends where: the patches that a concept looks at, on the cloud and in the image, as one PNG."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from pointlift.data.scene import Scene
from pointlift.errors import RecipeError
from pointlift.files import write_atomically
from pointlift.methods.concept import Concept
from pointlift.report.raster import draw_cloud, draw_on_image, frame_of

UNSEEN = (90, 90, 96)
LOW, HIGH = np.array([40, 70, 160]), np.array([255, 220, 60])
WIDTH = 480


def point_attention(
    method: Concept, scene: Scene, concept: int, layer: int | Literal["mean"] = "mean"
) -> tuple[np.ndarray, np.ndarray]:
    """How much one concept looks at each point of a scene.

    A point takes the attention of the patches that it belongs to, the largest of them, each relative to an even spread
    over all patches; heads are averaged.

    Args:
        method: a trained method with concepts.
        scene: any scene.
        concept: which of the M concepts, from 0.
        layer: which of the N layers, from 0, or the mean over all.

    Returns:
        Rows (P,) int64 of the scene's points that were drawn for the network, and the attention (P,) of each; NaN for
        points that no patch holds.

    Raises:
        RecipeError: there is no such concept or layer, or the method has none.
    """
    attention, encoding, _ = method.attention(scene)
    layers, _, concepts, patches = attention.shape
    if not 0 <= concept < concepts or (layer != "mean" and not 0 <= layer < layers):
        raise RecipeError(
            f"concept {concept} of layer {layer}: there are {concepts} concepts and {layers} layers, from 0"
        )
    of_layer = attention.mean(0) if layer == "mean" else attention[layer]
    share = (of_layer.mean(0)[concept] * patches).numpy()
    drawn = method.drawn(scene)
    values = np.full(len(drawn), -np.inf)
    rows = encoding.patches.rows[0].cpu().numpy()
    np.maximum.at(values, rows.ravel(), np.repeat(share, rows.shape[1]))
    return drawn, np.where(np.isfinite(values), values, np.nan)


def draw_attention(
    method: Concept, scene: Scene, concept: int, path: Path | str, *, layer: int | Literal["mean"] = "mean"
) -> Path:
    """Write a PNG of what a concept looks at: the cloud, and beside it the scene's first image if it has one.

    Yellow is the most that any patch gets and blue the least; points that no patch holds are grey.
    """
    rows, values = point_attention(method, scene, concept, layer)
    points, colors = scene.points[rows], _colors(values)
    order = np.argsort(np.nan_to_num(values, nan=-1.0), kind="stable")  # what is looked at goes on top
    upright = _upright(points, scene.up_axis)
    frame = frame_of(upright, "z", WIDTH, reach=np.inf)
    cloud = draw_cloud(frame, upright[order], colors[order], radius=3.0)
    ground = np.full((*cloud.shape[:2], 3), 24, np.uint8)
    ground[cloud[:, :, 3] > 0] = cloud[cloud[:, :, 3] > 0][:, :3]
    pictures = [ground]
    if scene.views:
        view = scene.views[0]
        pixels, depth = view.project(points)
        height, width = view.size
        inside = (depth > 0) & (pixels > -0.5).all(axis=1) & (pixels < (width - 0.5, height - 0.5)).all(axis=1)
        zoom = max(1, round(WIDTH / width))
        pictures.append(draw_on_image(view.image, pixels[inside], depth[inside], colors[inside], zoom))
    path, buffer = Path(path), io.BytesIO()
    Image.fromarray(_side_by_side(pictures)).save(buffer, "PNG")
    write_atomically(path, buffer.getvalue())
    return path


def _upright(points: np.ndarray, up_axis: str) -> np.ndarray:
    """Points with x forward, y left and z up for the picture; in a camera's frame ("-y") z is forward and x right."""
    x, y, z = points.T
    if up_axis == "-y":
        return np.stack([z, -x, -y], axis=1)
    axes = {"x": (y, z, x), "y": (z, x, y), "z": (x, y, z)}[up_axis.removeprefix("-")]
    return np.stack(axes, axis=1) * (1, 1, -1 if up_axis.startswith("-") else 1)


def _colors(values: np.ndarray) -> np.ndarray:
    """(N, 3) uint8 from blue to yellow between the least and the greatest value; grey for NaN."""
    seen = np.isfinite(values)
    low, high = (values[seen].min(), values[seen].max()) if seen.any() else (0.0, 1.0)
    share = np.clip((np.nan_to_num(values) - low) / max(high - low, 1e-12), 0, 1)[:, None]
    return np.where(seen[:, None], LOW + share * (HIGH - LOW), UNSEEN).astype(np.uint8)


def _side_by_side(pictures: list[np.ndarray], gap: int = 8) -> np.ndarray:
    height = max(len(picture) for picture in pictures)
    width = sum(picture.shape[1] for picture in pictures) + gap * (len(pictures) - 1)
    canvas, left = np.full((height, width, 3), 24, np.uint8), 0
    for picture in pictures:
        top = (height - len(picture)) // 2
        canvas[top : top + len(picture), left : left + picture.shape[1]] = picture
        left += picture.shape[1] + gap
    return canvas
