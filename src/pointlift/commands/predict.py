"""Prediction: labels or features of one's own scan, from a checkpoint alone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pointlift.data.dataset import Dataset
from pointlift.data.formats.ply import write_ply
from pointlift.data.formats.scan import Scan, open_scan, suffix_of
from pointlift.data.values import doubts
from pointlift.errors import RecipeError
from pointlift.evaluation.prompts import checked_templates, embed_names
from pointlift.evaluation.prototypes import cosines, require_width
from pointlift.files import opened_atomically, require_writable
from pointlift.memory import memory_errors_named
from pointlift.options import option_values
from pointlift.registry import DATASETS
from pointlift.run import Run
from pointlift.trial import OpenedTeacher

OUT = Path("predictions")
_log = logging.getLogger(__name__)
MEMORY_REMEDY = "cut the scan into parts that overlap by some metres, and predict each"
_BLOCK = 1 << 16


def predict(
    run: Run | Path | str,
    scan: Path | str,
    *,
    prompts: Sequence[str] | str | None = None,
    out: Path | str | None = None,
    templates: Sequence[str] | None = None,
    scores: bool = False,
    intensity_scale: float | None = None,
    teacher: str | None = None,
    fields: Mapping[str, str] | None = None,
    cpu: bool = False,
) -> dict[str, Any]:
    """Label the points of a scan by text prompts, or embed them; no data set is needed.

    With prompts, each point gets the prompt whose text embedding, as in the protocol ``zero-shot``, has the highest
    cosine to its feature: ``STEM-labels.npy`` (N,) int64, an index into the prompts, and ``STEM-labels.ply``, coloured.
    Without, ``STEM-features.npy`` (N, D) float32, not normalised, and ``STEM-features.ply``, coloured by the first
    three principal components of the unit features. The points keep their order; those without a return (NaN) are left
    out, and then ``STEM-rows.npy`` (N,) int64 has the row of each in the file.

    Args:
        run: a run folder; only its recipe and its newest checkpoint are read.
        scan: a file that `open_scan` understands.
        prompts: what to look for; a text is split at its commas.
        out: folder for the files, by default ``predictions``.
        templates: sentences in which ``{}`` is the prompt, or names of sets; None: those of the run's teacher.
        scores: write the cosines too, ``STEM-scores.npy`` (N, C) float32.
        intensity_scale: the intensity that stands for 1, see `open_scan`; for KITTI's .bin by default as in training.
        fields: what the file calls a feature that it has under another name, see `open_scan`.
        teacher: where the teacher's weights lie now, folder or hub id; it is asked for prompts only.
        cpu: stay on the CPU even where there is a GPU.

    Returns:
        ``scan``, ``points``, ``dropped``, ``recipe``, ``checkpoint``, ``files`` (what each holds, to its path); with
        prompts also ``templates`` and ``legend``, a list of ``name``, ``color`` (RGB), ``count`` and ``share``;
        without, ``dim`` and ``shown``, the share of the variance that the colours show.

    Raises:
        RecipeError: a prompt is empty or stands twice, or the student's features are not as wide as the text's.
        DataError: the scan cannot be used. CheckpointError: the run cannot. PointliftError: the teacher of the run has
            no text encoder, or does not know a word.
    """
    names = None if prompts is None else _checked(prompts)
    templates = None if templates is None else checked_templates(templates)
    run = (run if isinstance(run, Run) else Run(run)).with_teacher(teacher)
    if run.parts.trains != "points":
        raise RecipeError(
            f"{run.folder}: the method '{run.recipe.method.name}' trained the encoder alone, so the student has no "
            "features in the teacher's space, which predict gives and compares with prompts"
        )
    path, state = run.checkpoint, run.state
    if intensity_scale is None and suffix_of(Path(scan)) == ".bin":
        intensity_scale = option_values(run.recipe.data).get("intensity_scale")
    read = open_scan(scan, state["feature_names"], intensity_scale=intensity_scale, fields=fields)
    scene = read.scene
    for said in doubts(scene, state["feature_names"]):
        _log.warning("%s: %s", scan, said)
    student = run.student()
    if names is not None:
        embeddings, templates = _text(run, names, templates)
        require_width(student, embeddings.shape[1], "the teacher's text", "predict")
    student.to("cuda" if torch.cuda.is_available() and not cpu else "cpu")
    target = _Target(OUT if out is None else Path(out), Path(scan).name[: -len(suffix_of(Path(scan)))])
    require_writable(target.folder)
    with memory_errors_named(f"predicting {scan}", MEMORY_REMEDY):
        features = student.feature_blocks(scene)
        if names is None:
            found = _write_features(target, read, features)
        else:
            colors = prompt_colors(names, _class_colors(run))
            found = _write_labels(target, read, (_cosines(one, embeddings) for one in features), names, colors, scores)
            found["templates"] = list(templates or ())
    return {
        "scan": str(scan),
        "points": len(scene),
        "dropped": scene.dropped,
        "recipe": run.recipe.name,
        "checkpoint": path.name,
        **found,
    }


def tables(result: dict[str, Any]) -> list[tuple[str, list[str], list[list[str]]]]:
    """What `predict` found as tables for the terminal: title, headings and rows of each."""
    drawn: list[tuple[str, list[str], list[list[str]]]] = []
    if result["dropped"]:
        drawn.append((f"{result['dropped']:,} points without a return (NaN) are left out", ["", ""], []))
    if "legend" in result:
        body = [
            [
                row["name"],
                "#" + "".join(f"{part:02x}" for part in row["color"]),
                f"{row['count']:,}",
                f"{row['share']:.1%}",
            ]
            for row in result["legend"]
        ]
        drawn.append((f"{result['points']:,} points", ["prompt", "colour", "points", "share"], body))
    files = [[what, path] for what, path in result["files"].items()]
    drawn.append(("files", ["what", "where"], files))
    return drawn


class Rows:
    """A matrix in a ``.npy`` file, of which slices of rows are read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.shape: tuple[int, ...] = np.load(path, mmap_mode="r").shape

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        # opened anew, because a map of the whole file counts as memory as its pages are read
        return np.array(np.load(self.path, mmap_mode="r")[rows])


def pca_colors(features: np.ndarray | Rows) -> tuple[np.ndarray, float]:
    """Colours (N, 3) uint8 from the first three principal components of the unit features (N, D).

    Each component runs from its 1st to its 99th percentile. Its sign is such that its largest weight is positive.

    Returns:
        The colours, and the share of the variance that lies in the three components.
    """
    count, width = features.shape
    mean = sum((unit.sum(axis=0) for unit in _unit_blocks(features)), np.zeros(width)) / count
    scatter = np.zeros((width, width))
    for unit in _unit_blocks(features):
        scatter += (unit - mean).T @ (unit - mean)
    variances, axes = np.linalg.eigh(scatter / count)  # ascending
    axes = axes[:, ::-1][:, :3]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    shown = np.concatenate([(unit - mean) @ axes for unit in _unit_blocks(features)])
    low, high = np.percentile(shown, (1, 99), axis=0)
    scaled = ((shown - low) / np.maximum(high - low, 1e-12)).clip(0, 1)
    scaled[:, high - low < 1e-9] = 0.5  # nothing varies: grey rather than amplified rounding
    colors = np.full((len(features), 3), 128, np.uint8)
    colors[:, : scaled.shape[1]] = np.rint(255 * scaled)
    total = variances.sum()
    return colors, float(variances[::-1][:3].sum() / total) if total > 1e-12 else 0.0


def _unit_blocks(features: np.ndarray | Rows) -> Iterator[np.ndarray]:
    """Unit rows in float64, some at a time."""
    for start in range(0, len(features), _BLOCK):
        yield F.normalize(torch.from_numpy(features[start : start + _BLOCK]).double(), dim=1).numpy()


def prompt_colors(names: Sequence[str], known: Mapping[str, Sequence[int]] | None = None) -> np.ndarray:
    """A colour (C, 3) uint8 for each prompt: that of the ``known`` class of this name, else the most different one."""
    known = known or {}
    levels = np.linspace(40, 240, 6)
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    taken = [np.array(known[name], float) for name in names if name in known] + [np.zeros(3), np.full(3, 255.0)]
    colors = np.zeros((len(names), 3), np.uint8)
    for row, name in enumerate(names):
        if name not in known:
            distances = np.linalg.norm(grid[:, None] - np.array(taken), axis=2).min(axis=1)
            taken.append(grid[distances.argmax()])
        colors[row] = known.get(name, taken[-1])
    return colors


def field_map(given: Sequence[str]) -> dict[str, str]:
    """What a file calls features, from texts as ``intensity=i``; a `RecipeError` if one is not so."""
    found: dict[str, str] = {}
    for text in given:
        name, separator, wanted = text.partition("=")
        if not (separator and name and wanted) or name in found:
            raise RecipeError(f"field: '{text}' should be FEATURE=NAME, each feature once, such as intensity=i")
        found[name] = wanted
    return found


def _class_colors(run: Run) -> dict[str, Sequence[int]]:
    """Colours of the classes that the run's data set has whatever it is opened with."""
    kind: type[Dataset] = DATASETS.get(run.recipe.data.name).factory  # type: ignore[assignment]
    return kind.usual_colors()


def _checked(prompts: Sequence[str] | str) -> list[str]:
    names = [name.strip() for name in (prompts.split(",") if isinstance(prompts, str) else prompts)]
    if not names or not all(names):
        raise RecipeError("prompts: there is an empty one; write them as in 'car,road,tree'")
    for index, name in enumerate(names):
        if name in names[:index]:
            raise RecipeError(f"prompts: '{name}' stands twice; each may occur once")
    return names


def _text(run: Run, names: Sequence[str], templates: Sequence[str] | None) -> tuple[Tensor, Sequence[str]]:
    """Unit text embeddings (C, D) float32 of the teacher that the student learned from, and the templates used."""
    teacher = OpenedTeacher(run, torch.device("cpu")).teacher
    templates = teacher.templates if templates is None else templates
    return F.normalize(embed_names(teacher.embed_text, names, templates), dim=1).float(), templates


@dataclass(frozen=True)
class _Target:
    """Where the results of one scan go: files of the folder that begin with ``stem``."""

    folder: Path
    stem: str

    def file(self, name: str) -> Path:
        return self.folder / f"{self.stem}-{name}"


def _cosines(features: np.ndarray, embeddings: Tensor) -> np.ndarray:
    return cosines(torch.from_numpy(features), embeddings).numpy()


def _write_labels(
    target: _Target, scan: Scan, found: Iterable[np.ndarray], names: Sequence[str], colors: np.ndarray, scores: bool
) -> dict[str, Any]:
    scene = scan.scene
    labels = np.empty(len(scene), np.int64)
    files = {"labels": target.file("labels.npy")} | ({"scores": target.file("scores.npy")} if scores else {})
    with _matrix(files.get("scores"), (len(scene), len(names)), np.float32) as rows:
        start = 0
        for block in found:
            labels[start : start + len(block)] = block.argmax(axis=1)
            start += len(block)
            rows(block)
    with _matrix(files["labels"], labels.shape, np.int64) as rows:
        rows(labels)
    counts = np.bincount(labels, minlength=len(names)).tolist()
    legend = [
        {"name": name, "color": color, "count": count, "share": count / len(labels)}
        for name, color, count in zip(names, colors.tolist(), counts, strict=True)
    ]
    files["cloud"] = target.file("labels.ply")
    comments = [f"label {label}: {name}" for label, name in enumerate(names)]
    write_ply(files["cloud"], scene.points, colors[labels], labels, comments)
    files |= _kept_rows(target, scan)
    return {"files": {name: str(path) for name, path in files.items()}, "legend": legend}


def _write_features(target: _Target, scan: Scan, features: Iterator[np.ndarray]) -> dict[str, Any]:
    scene = scan.scene
    first = next(features)
    path, cloud, width = target.file("features.npy"), target.file("features.ply"), first.shape[1]
    with _matrix(path, (len(scene), width), np.float32) as rows:
        rows(first)
        for block in features:
            rows(block)
    colors, shown = pca_colors(Rows(path))
    write_ply(cloud, scene.points, colors, None, [f"colours: three principal components, {shown:.1%} of the variance"])
    files = {"features": path, **_kept_rows(target, scan), "cloud": cloud}
    return {"files": {name: str(one) for name, one in files.items()}, "dim": width, "shown": shown}


def _kept_rows(target: _Target, scan: Scan) -> dict[str, Path]:
    """Which row of the file each result belongs to, written where rows without a return were left out."""
    if not scan.scene.dropped:
        return {}
    path = target.file("rows.npy")
    with _matrix(path, scan.rows.shape, np.int64) as rows:
        rows(scan.rows)
    return {"rows": path}


@contextmanager
def _matrix(path: Path | None, shape: tuple[int, ...], dtype: Any) -> Iterator[Callable[[np.ndarray], object]]:
    """A ``.npy`` file that is written block of rows by block, and is there complete or not at all; None: nothing."""
    if path is None:
        yield lambda block: None
        return
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    with opened_atomically(path) as file:
        np.lib.format.write_array_header_1_0(file, header)
        yield lambda block: file.write(np.ascontiguousarray(block, dtype).data)
