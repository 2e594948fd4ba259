"""What attends where: the patches that a concept looks at, on the cloud and in the image."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image

from pointlift.data.scene import Scene
from pointlift.errors import RecipeError
from pointlift.files import write_atomically
from pointlift.methods.concept.method import Concept
from pointlift.report.pictures.drawing import Drawing
from pointlift.students.points.neighbours import nearest_centres

LOW, HIGH = np.array([40, 70, 160]), np.array([255, 220, 60])

Layer = int | Literal["mean"]


def concept_attention(method: Concept, scene: Scene, layer: Layer = "mean") -> tuple[np.ndarray, np.ndarray]:
    """How much each of M concepts looks at each point of a scene.

    A point takes the attention of the patches that it belongs to, the largest of them, each relative to an even spread
    over all patches; heads are averaged.

    Args:
        method: a trained method with concepts.
        scene: any scene.
        layer: which of the N layers, from 0, or the mean over all.

    Returns:
        Rows (P,) int64 of the scene's points that were drawn for the network, and the attention (M, P) of each; NaN for
        points that no patch holds.

    Raises:
        RecipeError: there is no such layer, or the method has no concepts.
    """
    attention, encoding, _ = method.attention(scene)
    layers, _, concepts, patches = attention.shape
    if layer != "mean" and not 0 <= layer < layers:
        raise RecipeError(f"layer {layer}: there are {layers} layers, from 0")
    of_layer = attention.mean(0) if layer == "mean" else attention[layer]
    share = (of_layer.mean(0) * patches).numpy()
    drawn = method.drawn(scene)
    values = np.full((len(drawn), concepts), -np.inf, np.float32)
    rows = encoding.patches.rows[0].cpu().numpy()
    np.maximum.at(values, rows.ravel(), np.repeat(share.T, rows.shape[1], axis=0))
    return drawn, np.where(np.isfinite(values), values, np.nan).T


def point_attention(
    method: Concept, scene: Scene, concept: int, layer: Layer = "mean"
) -> tuple[np.ndarray, np.ndarray]:
    """As `concept_attention`, of one of the M concepts, from 0: rows (P,) and the attention (P,) of each.

    Raises:
        RecipeError: there is no such concept or layer, or the method has none.
    """
    rows, values = concept_attention(method, scene, layer)
    if not 0 <= concept < len(values):
        raise RecipeError(f"concept {concept}: there are {len(values)} concepts, from 0")
    return rows, values[concept]


def differing(values: np.ndarray, count: int) -> list[int]:
    """At most ``count`` of the rows of values (M, X) that differ most, ascending.

    The first is the one farthest from the mean of all; each further one is the farthest from those that were chosen.
    """
    distance = np.abs(values - values.mean(axis=0)).mean(axis=1)
    chosen: list[int] = []
    while len(chosen) < min(count, len(values)):
        chosen.append(int(distance.argmax()))
        to_last = np.abs(values - values[chosen[-1]]).mean(axis=1)
        distance = to_last if len(chosen) == 1 else np.minimum(distance, to_last)
        distance[chosen] = -1
    return sorted(chosen)


def at_all_points(scene: Scene, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values (N, …) at all points of a scene: of the nearest of its points ``rows (P,)``, which have ``values (P, …)``.

    Rows whose first value is NaN are passed over.
    """
    held = np.isfinite(values.reshape(len(values), -1)[:, 0])
    known = torch.from_numpy(scene.points[rows[held]])[None]
    clouds = torch.zeros(len(scene), dtype=torch.int64)
    nearest = nearest_centres(torch.from_numpy(scene.points), clouds, known, 1)[1][:, 0]
    return np.asarray(values[held][nearest.numpy()])


def ramp(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Colours (N, 3) uint8 of values (N,), from blue at ``low`` and below to yellow at ``high`` and above."""
    share = np.clip((values - low) / max(high - low, 1e-12), 0, 1)[:, None]
    return (LOW + share * (HIGH - LOW)).astype(np.uint8)


def draw_attention(method: Concept, scene: Scene, concept: int, path: Path | str, *, layer: Layer = "mean") -> Path:
    """Write a PNG of what a concept looks at: the cloud, and beside it the scene's first image if it has one.

    Yellow is the most that any patch gets and blue the least; a point that no patch holds has the colour of the nearest
    one that a patch does.
    """
    rows, values = point_attention(method, scene, concept, layer)
    colors = ramp(at_all_points(scene, rows, values), np.nanmin(values), np.nanmax(values))
    drawing = Drawing(scene, method.min_depth)
    cloud = drawing.cloud(colors)
    pictures = [np.where(cloud[:, :, 3:] > 0, cloud[:, :, :3], np.uint8(24))]
    if drawing.image is not None:
        pictures.append(drawing.on_image(colors))
    path, buffer = Path(path), io.BytesIO()
    Image.fromarray(_side_by_side(pictures)).save(buffer, "PNG")
    write_atomically(path, buffer.getvalue())
    return path


def _side_by_side(pictures: list[np.ndarray], gap: int = 8) -> np.ndarray:
    height = max(len(picture) for picture in pictures)
    width = sum(picture.shape[1] for picture in pictures) + gap * (len(pictures) - 1)
    canvas, left = np.full((height, width, 3), 24, np.uint8), 0
    for picture in pictures:
        top = (height - len(picture)) // 2
        canvas[top : top + len(picture), left : left + picture.shape[1]] = picture
        left += picture.shape[1] + gap
    return canvas
