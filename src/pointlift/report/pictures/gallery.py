"""Pictures of test scans: what camera, teacher and students see of them, from the car and from above."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pointlift.data.scene import Scene
from pointlift.evaluation.prototypes import teacher_classes
from pointlift.evaluation.sampling import spread
from pointlift.progress import Progress
from pointlift.report.pictures import raster
from pointlift.report.pictures.cameras import camera_pictures, facing_forward
from pointlift.report.pictures.colors import RIGHT, WRONG, FeatureColors, css, feature_colors
from pointlift.report.pictures.raster import Picture
from pointlift.report.pictures.stage import Stage

SEEN = "teacher, visible points"
"""Caption of what the teacher says, who knows only what a camera sees."""


@dataclass(frozen=True)
class ScenePictures:
    """The pictures of one scan: in its cameras; features, classes and errors from above, reference first."""

    title: str
    cameras: int
    images: list[Picture]
    features: list[Picture]
    classes: list[Picture]
    errors: list[Picture]


@dataclass(frozen=True)
class Gallery:
    """Pictures of the shown scans.

    Attributes:
        scenes: the pictures.
        legend: (class, CSS colour) of the classes that occur in them.
        by: the result by which the classes were found; empty if there are only true ones.
        unclassified: why there are only true ones although there is such a result.
    """

    scenes: list[ScenePictures]
    legend: list[tuple[str, str]]
    by: str
    unclassified: str


def gallery(stage: Stage, scenes: int, progress: Progress) -> Gallery:
    """Pictures of ``scenes`` test scans, evenly spread over the split.

    One basis of colours for all: of the teacher's features at the visible points of these scans.

    Raises:
        DataError: no point of such a scan is seen by an image.
    """
    test = stage.test
    shown = spread(range(len(test)), scenes)
    colors = feature_colors(torch.cat([stage.teacher(test[index])[1] for index in shown]))
    occur = np.zeros(len(stage.names), np.int64)
    pictures = []
    for done, index in enumerate(shown, start=1):
        scene = test[index]
        pictures.append(_scene_pictures(stage, scene, colors))
        if scene.labels is not None:
            occur += np.bincount(scene.labels[scene.labels >= 0], minlength=len(occur))
        progress("pictures", done, len(shown))
    present = np.flatnonzero(occur)
    legend = [(stage.names[label], css(stage.palette[label])) for label in present]
    return Gallery(pictures, legend, stage.shown.title if stage.shown and stage.classify else "", stage.unclassified)


def _scene_pictures(stage: Stage, scene: Scene, colors: FeatureColors) -> ScenePictures:
    seen, teacher = stage.teacher(scene)
    outputs = [stage.output(subject, scene) for subject in stage.subjects]
    images = camera_pictures(stage, scene, colors, outputs)
    scene = facing_forward(scene)
    frame = raster.frame_of(scene.points, scene.up_axis)
    features = [_cloud(frame, scene, seen, colors(teacher), SEEN, "features")]
    for subject, output in zip(stage.subjects, outputs, strict=True):
        features.append(_cloud(frame, scene, None, colors(output), subject.label, "features"))
    classes, errors = _class_pictures(stage, scene, frame, (seen, teacher), outputs)
    return ScenePictures(scene.id, len(scene.views), images, features, classes, errors)


def _class_pictures(
    stage: Stage, scene: Scene, frame: raster.Frame, teacher: tuple[np.ndarray, Tensor], outputs: Sequence[Tensor]
) -> tuple[list[Picture], list[Picture]]:
    """Classes from above (truth, students) and errors (teacher, students)."""
    classes: list[Picture] = []
    errors: list[Picture] = []
    everything = np.arange(len(scene.points))
    if scene.labels is not None:
        classes.append(_cloud(frame, scene, None, stage.palette[scene.labels], "ground truth", "classes"))
    if stage.classify is None:
        return classes, errors
    if scene.labels is not None:
        seen, features = teacher
        errors.append(_error_cloud(frame, scene, seen, teacher_classes(stage.classify, features).numpy(), SEEN))
    for subject, output in zip(stage.subjects, outputs, strict=True):
        predicted = stage.classify(output).numpy()
        classes.append(_cloud(frame, scene, None, stage.palette[predicted], subject.label, "classes"))
        if scene.labels is not None:
            errors.append(_error_cloud(frame, scene, everything, predicted, subject.label))
    return classes, errors


def _cloud(
    frame: raster.Frame, scene: Scene, rows: np.ndarray | None, colors: np.ndarray, caption: str, what: str
) -> Picture:
    """The points ``rows (K,)`` of a scan, or all, in ``colors (K, 3 or 4)``."""
    points = scene.points if rows is None else scene.points[rows]
    picture = raster.draw_cloud(frame, points, colors, raster.dot_radius(frame, len(scene.points)))
    alt = f"{what.capitalize()} of scan {scene.id} from above: {caption}, {len(points):,} points."
    return Picture(raster.cloud_uri(picture), frame.size, caption, alt)


def _error_cloud(frame: raster.Frame, scene: Scene, rows: np.ndarray, predicted: np.ndarray, label: str) -> Picture:
    """The labelled ones of the points ``rows (K,)``, red where the class ``predicted (K,)`` is wrong."""
    assert scene.labels is not None
    known = scene.labels[rows] >= 0
    wrong = predicted[known] != scene.labels[rows][known]
    radius = raster.dot_radius(frame, len(scene.points))
    picture = raster.draw_cloud(
        frame, scene.points[rows[known]], np.where(wrong[:, None], WRONG, RIGHT), np.where(wrong, 1.2 * radius, radius)
    )
    share = f"{100 * wrong.mean():.0f} % wrong" if len(wrong) else "no labelled point"
    alt = f"Errors of {label} in scan {scene.id} from above: {share}."
    return Picture(raster.cloud_uri(picture, 8), frame.size, f"{label}: {share}", alt)
