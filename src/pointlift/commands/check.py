"""Does my data line up? Counts, ranges, label shares, what the cameras see, timing, and pictures of it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pointlift.data.dataset import Dataset
from pointlift.data.normals import NORMALS
from pointlift.data.scene import Pairs, Scene
from pointlift.data.values import UNIT_FEATURES, doubts
from pointlift.errors import DataError
from pointlift.files import require_writable
from pointlift.progress import Progress
from pointlift.report.pictures import overlay


def check(
    dataset: Dataset,
    limit: int | None = None,
    out: Path | None = None,
    *,
    pictures: int = 2,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Read a data set as training would, and say what is in it.

    Args:
        dataset: what to read.
        limit: number of scenes, spread evenly over the data set; None: all.
        out: folder for the pictures; None: no pictures.
        pictures: number of scenes to draw: every view with points by depth and by class, and the scene from above.
        progress: called with ("scenes", scenes done, scenes to do) after each scene.

    Returns:
        A summary that `json` can write. ``warnings`` lists what is allowed but looks wrong.

    Raises:
        DataError: the first scene that cannot be read, or an image that cannot be decoded.
    """
    if len(dataset) == 0:
        raise DataError(f"the data set '{dataset.name}' has no scenes")
    chosen = _spread(len(dataset), limit)
    drawn = {chosen[i] for i in _spread(len(chosen), pictures)} if out is not None and pictures > 0 else set()
    if drawn and out is not None:
        require_writable(out)
    summary = _Summary(dataset)
    files: list[str] = []
    for done, index in enumerate(chosen, start=1):
        scene, pairs = summary.read(index)
        if out is not None and index in drawn:
            files += [str(path) for path in draw(scene, pairs, dataset, out)]
        if progress is not None:
            progress("scenes", done, len(chosen))
    return {**summary.result(), "pictures": files}


def tables(report: dict[str, Any]) -> list[tuple[str, list[str], list[list[str]]]]:
    """The result of `check` as tables to print: (title, heading, rows)."""
    sizes = [
        [name, *(f"{report[key][part]:,.0f}" for part in ("min", "median", "max"))]
        for key, name in (
            ("points_per_scene", "points per scene"),
            ("pairs_per_scene", "pairs per scene"),
            ("dropped_ego_returns", "dropped ego returns per scene"),
        )
    ]
    ranges = [
        [name, *(f"{values[part]:.3f}" for part in ("min", "mean", "max"))]
        for name, values in {**report["coordinates"], **report["features"]}.items()
    ]
    seen = {"any view": report["seen_by_cameras"]["any"], **report["seen_by_cameras"]["views"]}
    overview = [
        ["scenes", f"{report['scenes']:,}"],
        ["scenes read", f"{report['scenes_read']:,}"],
        *([f"frames left out: {what}", f"{count:,}"] for what, count in report["dropped_frames"].items()),
        ["scenes without labels", f"{report['unlabelled_scenes']:,}"],
        ["scenes with a pose", f"{report['scenes_with_pose']:,}"],
        *([f"seconds per scene: {name}", f"{value:.3f}"] for name, value in report["seconds_per_scene"].items()),
    ]
    found = [
        (f"data set {report['dataset']}", ["", ""], overview),
        ("counts", ["", "min", "median", "max"], sizes),
        ("ranges", ["", "min", "mean", "max"], ranges),
        ("points that cameras see", ["", "share"], [[name, f"{share:.1%}"] for name, share in seen.items()]),
    ]
    if report["labels"] is not None:
        rows = [[name, f"{c['points']:,}", f"{c['share']:.2%}"] for name, c in report["labels"].items()]
        found.append(("labels", ["class", "points", "share"], rows))
    if report["warnings"]:
        found.append(("warnings: allowed, but looks wrong", [""], [[text] for text in report["warnings"]]))
    return found


def draw(scene: Scene, pairs: Pairs, dataset: Dataset, out: Path) -> list[Path]:
    """Write the pictures of one scene into the folder ``out`` and return their paths."""
    palette = overlay.class_palette(dataset.class_names, dataset.class_colors)
    stem = re.sub(r"[^\w.-]+", "_", scene.id)
    paths = [out / f"{stem}-above.png"]
    overlay.save_birds_eye(paths[0], scene, dataset.class_names, palette)
    for index, view in enumerate(scene.views):
        name = re.sub(r"[^\w.-]+", "_", view.name)
        paths.append(out / f"{stem}-{name}-depth.png")
        overlay.save_depth_overlay(paths[-1], scene, index, pairs)
        if scene.labels is not None:
            paths.append(out / f"{stem}-{name}-classes.png")
            overlay.save_class_overlay(paths[-1], scene, index, pairs, dataset.class_names, palette)
    return paths


@dataclass
class _Summary:
    """What is collected over the scenes, one `read` each."""

    dataset: Dataset
    points: list[int] = field(default_factory=list)
    pairs: list[int] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    lows: list[np.ndarray] = field(default_factory=list)
    highs: list[np.ndarray] = field(default_factory=list)
    sums: list[np.ndarray] = field(default_factory=list)
    labels: np.ndarray | None = None
    unlabelled: int = 0
    seen_any: int = 0
    seen: dict[str, list[int]] = field(default_factory=dict)  # view name: points seen, points there
    seconds: dict[str, list[float]] = field(default_factory=lambda: {"read": [], "images": [], "pairs": []})
    poses: int = 0
    warnings: dict[str, int] = field(default_factory=dict)  # message: number of scenes

    def read(self, index: int) -> tuple[Scene, Pairs]:
        start = time.perf_counter()
        scene = self.dataset[index].validate()
        loaded = time.perf_counter()
        for view in scene.views:
            _ = view.image  # so that an image that does not decode is found here and not after a day of training
        decoded = time.perf_counter()
        pairs = scene.pairs(min_depth=self.dataset.min_depth)
        paired = time.perf_counter()
        for name, duration in zip(self.seconds, (loaded - start, decoded - loaded, paired - decoded), strict=True):
            self.seconds[name].append(duration)
        self._count_points(scene)
        self._count_labels(scene)
        self._count_pairs(scene, pairs)
        self._count_pose(index)
        return scene, pairs

    def warn(self, message: str) -> None:
        self.warnings[message] = self.warnings.get(message, 0) + 1

    def _count_points(self, scene: Scene) -> None:
        self.points.append(len(scene))
        self.dropped.append(scene.dropped)
        values = np.concatenate([scene.points, scene.features], axis=1).astype(np.float64)
        self.lows.append(values.min(axis=0))
        self.highs.append(values.max(axis=0))
        self.sums.append(values.sum(axis=0))
        names = self.dataset.feature_names
        if len(names) != scene.features.shape[1]:
            raise DataError(
                f"scene {scene.id}: it has {scene.features.shape[1]} features, the data set names {len(names)}: "
                f"{', '.join(names)}"
            )
        for name, low, high in zip(names, self.lows[-1][3:], self.highs[-1][3:], strict=True):
            if name not in (*UNIT_FEATURES, *NORMALS) and (low < 0 or high > 1):
                self.warn(f"the feature '{name}' leaves [0, 1]")
        for said in doubts(scene, names):
            self.warn(said)

    def _count_labels(self, scene: Scene) -> None:
        classes = len(self.dataset.class_names)
        if scene.labels is None:
            self.unlabelled += 1
            return
        if scene.labels.max() >= classes:
            raise DataError(f"scene {scene.id}: label {scene.labels.max()} is not one of the {classes} classes")
        counts = np.bincount(scene.labels + 1, minlength=classes + 1)
        self.labels = counts if self.labels is None else self.labels + counts

    def _count_pairs(self, scene: Scene, pairs: Pairs) -> None:
        self.pairs.append(len(pairs.point_index))
        self.seen_any += len(np.unique(pairs.point_index))
        if not scene.views:
            self.warn("there is no image")
        for view, count in zip(scene.views, pairs.per_view(len(scene.views)), strict=True):
            totals = self.seen.setdefault(view.name, [0, 0])
            totals[0] += int(count)
            totals[1] += len(scene)
            if count == 0:
                self.warn(f"the view '{view.name}' sees no point")
            (height, width), (cx, cy) = view.size, view.intrinsics[:2, 2]
            if abs(cx / width - 0.5) > 0.25 or abs(cy / height - 0.5) > 0.25:
                self.warn(
                    f"the principal point ({cx:.0f}, {cy:.0f}) of view '{view.name}' is far from the middle of its "
                    f"{width} x {height} image: is the image cropped or resized?"
                )

    def _count_pose(self, index: int) -> None:
        try:
            self.poses += self.dataset.pose(index) is not None
        except DataError:
            self.warn("there is no pose")

    def result(self) -> dict[str, Any]:
        total = sum(self.points)
        low, high = np.min(self.lows, axis=0), np.max(self.highs, axis=0)
        mean = np.sum(self.sums, axis=0) / total
        columns = [*"xyz", *self.dataset.feature_names]
        ranges = {
            name: {"min": float(a), "mean": float(m), "max": float(b)}
            for name, a, m, b in zip(columns, low, mean, high, strict=True)
        }
        return {
            "dataset": self.dataset.name,
            "scenes": len(self.dataset),
            "scenes_read": len(self.points),
            "dropped_frames": dict(self.dataset.dropped_frames),
            "points_per_scene": _spread_of(self.points),
            "coordinates": {name: ranges[name] for name in "xyz"},
            "features": {name: ranges[name] for name in self.dataset.feature_names},
            "labels": self._label_shares(),
            "unlabelled_scenes": self.unlabelled,
            "seen_by_cameras": {
                "any": self.seen_any / total,
                "views": {name: seen / there for name, (seen, there) in self.seen.items()},
            },
            "pairs_per_scene": _spread_of(self.pairs),
            "dropped_ego_returns": {**_spread_of(self.dropped), "total": sum(self.dropped)},
            "seconds_per_scene": {name: float(np.median(values)) for name, values in self.seconds.items()},
            "scenes_with_pose": self.poses,
            "warnings": [f"{text} ({n} of {len(self.points)} scenes)" for text, n in self.warnings.items()],
        }

    def _label_shares(self) -> dict[str, dict[str, float]] | None:
        """Points of each class, its share of the labelled points that count; ``ignored`` as a share of all."""
        if self.labels is None:
            return None
        valid = max(int(self.labels[1:].sum()), 1)
        shares = {
            name: {"points": int(count), "share": count / valid}
            for name, count in zip(self.dataset.class_names, self.labels[1:], strict=True)
        }
        shares["ignored"] = {"points": int(self.labels[0]), "share": float(self.labels[0] / self.labels.sum())}
        return shares


def _spread(count: int, limit: int | None) -> list[int]:
    """At most ``limit`` of ``count`` numbers, evenly spread: the scans of one drive follow each other."""
    if limit is not None and limit < 1:
        raise DataError(f"the number of scenes to check must be at least 1, not {limit}")
    wanted = count if limit is None else min(limit, count)
    return [i * count // wanted for i in range(wanted)]


def _spread_of(values: Iterable[int]) -> dict[str, float]:
    array = np.array(list(values))
    return {"min": int(array.min()), "median": float(np.median(array)), "max": int(array.max())}
