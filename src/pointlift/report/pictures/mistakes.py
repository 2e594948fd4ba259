"""What was taken for what on the test scans, and pictures of the largest mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pointlift.data.scene import Scene
from pointlift.evaluation.sampling import spread
from pointlift.progress import Progress
from pointlift.report.pictures import raster
from pointlift.report.pictures.cameras import facing_forward, of_view
from pointlift.report.pictures.clusters import Cluster, wrong_clusters
from pointlift.report.pictures.colors import WRONG
from pointlift.report.pictures.raster import Picture
from pointlift.report.pictures.stage import Stage, Subject
from pointlift.tasks.confusion import Confusion

SEARCHED = 24
"""Test scans that are searched for mistakes, at most."""
_CROP = 360


@dataclass(frozen=True)
class Mistake:
    """A cluster of wrong points, in words and pictures."""

    true: str
    predicted: str
    points: int
    scan: str
    distance: float
    pictures: list[Picture]


@dataclass(frozen=True)
class Confused:
    """Points of one class that were taken for another: how many, and their share of the class's points."""

    true: str
    predicted: str
    points: int
    share: float


@dataclass(frozen=True)
class Mistakes:
    """Mistakes on ``searched`` scans, evenly spread over the ``available`` ones of the split.

    Attributes:
        confusions: label of each subject, and its most frequent confusions.
        clusters: the largest clusters of wrong points of the subject labelled ``clusters_of``.
    """

    searched: int
    available: int
    confusions: list[tuple[str, list[Confused]]]
    clusters_of: str
    clusters: list[Mistake]


def find_mistakes(stage: Stage, best: int, progress: Progress) -> Mistakes | None:
    """Confusions of every subject, and the largest mistakes of the one numbered ``best``.

    None where nothing gives classes, or no scan has labels.
    """
    if stage.classify is None:
        return None
    test = stage.test
    scans = spread(range(len(test)), SEARCHED)
    confusions = [Confusion(len(stage.names), stage.names) for _ in stage.subjects]
    clusters: list[Cluster] = []
    for done, index in enumerate(scans, start=1):
        scene = test[index]
        for number, subject in enumerate(stage.subjects if scene.labels is not None else []):
            predicted = stage.classify(stage.output(subject, scene)).numpy()
            confusions[number].update(predicted, scene.labels)  # type: ignore[arg-type]
            if number == best:
                clusters += wrong_clusters(index, scene.points, scene.labels, predicted, 4)  # type: ignore[arg-type]
        progress("largest errors", done, len(scans))
    if not confusions[0].matrix.any():
        return None
    found = [
        (subject.label, top_confusions(confusion, 6))
        for subject, confusion in zip(stage.subjects, confusions, strict=True)
    ]
    subject = stage.subjects[best]
    shown = [_mistake(stage, subject, cluster) for cluster in distinct(clusters, 3)]
    return Mistakes(len(scans), len(test), found, subject.label, shown)


def top_confusions(confusion: Confusion, most: int) -> list[Confused]:
    """The pairs of true and predicted class with the most points, most first."""
    names, matrix = confusion.class_names, confusion.matrix
    wrong = matrix * ~np.eye(len(names), dtype=bool)
    found = []
    for place in np.argsort(-wrong, axis=None, kind="stable")[:most]:
        true, predicted = divmod(int(place), len(names))
        points = int(wrong[true, predicted])
        if points:
            found.append(Confused(names[true], names[predicted], points, points / int(matrix[true].sum())))
    return found


def distinct(clusters: Sequence[Cluster], most: int) -> list[Cluster]:
    """The largest clusters, no two of them with the same true and predicted class."""
    chosen: dict[tuple[int, int], Cluster] = {}
    for cluster in sorted(clusters, key=lambda one: -len(one.points)):
        chosen.setdefault((cluster.true, cluster.predicted), cluster)
    return list(chosen.values())[:most]


def _mistake(stage: Stage, subject: Subject, cluster: Cluster) -> Mistake:
    scene = stage.test[cluster.scan]
    assert scene.labels is not None
    assert stage.classify is not None
    true, predicted = stage.names[cluster.true], stage.names[cluster.predicted]
    what = f"{true} taken for {predicted}"
    upright = facing_forward(scene)
    points = upright.points
    frame = raster.close_up(raster.frame_of(points, upright.up_axis), points[cluster.points], _CROP)
    classes = stage.classify(stage.output(subject, scene)).numpy()
    pictures = _crop(stage, scene, cluster, what)
    for caption, values in (("ground truth", scene.labels), (subject.label, classes)):
        drawn = raster.draw_cloud(frame, points, stage.palette[values], 2.4)
        alt = f"Close-up from above of {what}: {caption}."
        pictures.append(Picture(raster.cloud_uri(drawn, 32), frame.size, caption, alt))
    distance = float(np.linalg.norm(np.median(scene.points[cluster.points], axis=0)))
    return Mistake(true, predicted, len(cluster.points), scene.id, distance, pictures)


def _crop(stage: Stage, scene: Scene, cluster: Cluster, what: str) -> list[Picture]:
    """The part of an image that shows the cluster, its points in red; nothing if no camera sees enough of it."""
    pairs = stage.visibility.pairs(scene)
    mine = pairs.take(np.isin(pairs.point_index, cluster.points))
    counts = mine.per_view(len(scene.views))
    if not len(counts) or counts.max() < min(20, len(cluster.points)):
        return []
    view = scene.views[int(counts.argmax())]
    pixels = of_view(mine, int(counts.argmax())).pixels
    image = view.image
    low, high = _square(pixels, image.shape[:2])
    part = Image.fromarray(image[low[1] : high[1], low[0] : high[0]]).resize((_CROP, _CROP), Image.Resampling.BICUBIC)
    ground = np.array(part.convert("RGBA"))
    centers = (pixels - low + 0.5) * (_CROP / (high - low))
    drawn = raster.stamp(ground, centers, np.tile(WRONG, (len(pixels), 1)), np.full(len(pixels), 2.0))
    alt = f"Part of the image of camera {view.name} with the points of {what} in red."
    return [Picture(raster.photo_uri(drawn[:, :, :3].copy()), (_CROP, _CROP), f"camera, {view.name}", alt)]


def _square(pixels: np.ndarray, size: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Corners (u, v) of a square around most of the pixels (P, 2), inside an image of this (height, width)."""
    low, high = np.percentile(pixels, 3, axis=0), np.percentile(pixels, 97, axis=0)
    side = int(min(max(64.0, 1.5 * float((high - low).max())), *size))
    corner = np.round((low + high) / 2 - side / 2).astype(int)
    corner = np.clip(corner, 0, np.array([size[1], size[0]]) - side)
    return corner, corner + side
