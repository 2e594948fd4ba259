"""All pictures of a page: which runs are pictured, and where there are none, the reason why."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pointlift.errors import PointliftError
from pointlift.options import option_values
from pointlift.registry import METHODS
from pointlift.report.pictures.encoder import EncoderGallery, encoder_gallery, open_encoder
from pointlift.report.pictures.gallery import Gallery, gallery
from pointlift.report.pictures.labelling import labelling_result
from pointlift.report.pictures.mistakes import Mistakes, find_mistakes
from pointlift.report.pictures.retrieved import RetrievedImages, retrieved_images
from pointlift.report.pictures.stage import Asked, open_stage
from pointlift.report.summary import Group, Summary

PICTURED = 4
"""Recipes that are shown in pictures, at most."""
QUERIES = 3
"""Frames for which retrieved images are shown, for each scan that is shown in pictures: one takes a single row."""

T = TypeVar("T")


@dataclass(frozen=True)
class EncoderAlbum:
    """The pictures of a run that trained no output at points, each or the reason why there are none, and which run."""

    run: str
    gallery: EncoderGallery | None = None
    missing: str = ""
    retrieved: RetrievedImages | None = None
    not_retrieved: str = ""


@dataclass(frozen=True)
class Album:
    """Pictures and mistakes of students with features in the teacher's space, or why there are none; and encoders'.

    ``missing`` is empty where no student has such features.
    """

    gallery: Gallery | None
    mistakes: Mistakes | None
    missing: str
    encoder: EncoderAlbum | None


def album(summary: Summary, asked: Asked) -> Album:
    """Pictures of the runs of a summary."""
    if asked.scenes < 1:
        return Album(None, None, "none were asked for", None)
    encoder = _encoder(summary, asked)
    shown = _alike(summary)
    if not shown:
        return Album(None, None, "", encoder)

    def make() -> tuple[Gallery, Mistakes | None]:
        stage = open_stage(shown, asked)
        pictures = gallery(stage, asked.scenes, asked.progress)
        return pictures, find_mistakes(stage, shown.index(_best(shown)), asked.progress)

    made, missing = _or_reason(make)
    pictures, mistakes = made or (None, None)
    return Album(pictures, mistakes, missing, encoder)


def _alike(summary: Summary) -> list[Group]:
    """Groups that share data and teacher with the first, proper ones if there are any, of features at points."""

    def basis(group: Group) -> dict[str, Any]:
        return {key: value for key, value in group.recipe.items() if key.startswith(("data.", "teacher.", "cache."))}

    able = [group for group in summary.groups if group.trains == "points"]
    proper = [group for group in able if not group.control] or able
    return [group for group in proper if basis(group) == basis(proper[0])][:PICTURED]


def _best(shown: list[Group]) -> Group:
    """The group that did best in the result by which pictures are labelled."""

    def score(group: Group) -> float:
        measured = labelling_result(group.results)
        reached = measured.decided() if measured else None
        if measured is None or reached is None or reached.mean is None:
            return float("-inf")
        return reached.mean if measured.deciding.better == "higher" else -reached.mean

    return max(shown, key=score)


def _encoder(summary: Summary, asked: Asked) -> EncoderAlbum | None:
    """Pictures of one run whose student has no features in the teacher's space; None if there is no such run."""
    able = [group for group in summary.groups if group.trains != "points"]
    if not able:
        return None
    group = min(able, key=lambda group: (group.control is not None, group.trains != "tokens", not _concepts(group)))
    run = group.members[0]
    name = f"{group.label if len(summary.groups) > 1 else group.name}, seed {run.recipe.seed}"
    stage, missing = _or_reason(lambda: open_encoder(run, group.results, asked))
    if stage is None:
        return EncoderAlbum(name, missing=missing)
    pictures, missing = _or_reason(lambda: encoder_gallery(stage, asked.scenes))
    if group.trains != "tokens":
        return EncoderAlbum(name, pictures, missing)
    return EncoderAlbum(name, pictures, missing, *_or_reason(lambda: retrieved_images(stage, QUERIES * asked.scenes)))


def _concepts(group: Group) -> bool:
    """Whether the method of a group learns concepts, whose attention can be shown."""
    method = group.members[0].recipe.method
    return METHODS.get(method.name).factory.attends(**option_values(method))  # type: ignore[attr-defined]


def _or_reason(make: Callable[[], T]) -> tuple[T | None, str]:
    """What ``make`` gives, or the reason why it cannot, as a sentence."""
    try:
        return make(), ""
    except (PointliftError, OSError, ImportError) as error:
        return None, _without_folders(str(error).rstrip("."))


def _without_folders(text: str) -> str:
    """A message without the folders of this machine: the page goes to others."""
    return re.sub(r"(?<![\w.])/(?:[^\s/:]+/)+", "", text)
