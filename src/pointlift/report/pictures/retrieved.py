"""Retrieval in pictures: the images whose token sets are nearest to the one that is predicted from a frame's points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from pointlift.data.scene import View
from pointlift.errors import DataError
from pointlift.evaluation.sampling import spread
from pointlift.methods.concept.method import Concept
from pointlift.report.pictures.drawing import Drawing
from pointlift.report.pictures.encoder import EncoderStage
from pointlift.report.pictures.raster import Picture, photo_uri

NEAREST = 5
"""Images that are shown for a frame."""
_WIDTH = 256


@dataclass(frozen=True)
class Query:
    """One frame: its cloud and its own image, the images found for it, nearest first, and the right one's rank from 1.

    ``right`` is the place of the right one among those found, from 0; None where it is not among them.
    """

    title: str
    asked: list[Picture]
    found: list[Picture]
    right: int | None
    rank: int


@dataclass(frozen=True)
class RetrievedImages:
    """Some frames of a split, and the number of images in which was searched."""

    queries: list[Query]
    images: int

    @property
    def hits(self) -> int:
        """For how many frames the right image is among those found."""
        return sum(query.right is not None for query in self.queries)


def retrieved_images(stage: EncoderStage, frames: int) -> RetrievedImages:
    """What is found for ``frames`` test frames, evenly spread over the split, among the first images of all of it.

    Nearness is that of the protocol ``retrieval``: cosine between standardised token sets, of points drawn by the
    frame's id.

    Raises:
        DataError: there are fewer than two frames, or one is without an image.
        RecipeError: the run's method predicts no token sets.
    """
    method, test, ids = stage.method, stage.test, stage.test.ids
    chosen = spread(range(len(test)), frames)
    asked = [test[index] for index in chosen]
    predicted = method.predict(asked)
    method.token_sets.precompute(test, lambda done, total: stage.progress("token sets", done, total))
    targets = []
    for index, name in enumerate(ids):
        views = test.views(index)
        if not views or len(ids) < 2:
            raise DataError(f"retrieval needs two frames, each with an image; '{name}' has none or is alone")
        targets.append(method.token_sets(views[0]))
    points, images = _standardised(method, predicted), _standardised(method, torch.stack(targets))
    cosine = (F.normalize(points, dim=1) @ F.normalize(images, dim=1).T).numpy()
    queries = []
    for index, frame, scores in zip(chosen, asked, cosine, strict=True):
        order = nearest_first(scores, index)
        found = []
        for place, k in enumerate(order[:NEAREST], start=1):
            said = f"{place}. {ids[k]}{', the right one' if k == index else ''}"
            found.append(_thumbnail(test.views(k)[0], said, f"Image found for scan {frame.id}, {said}."))
        drawing = Drawing(frame, method.min_depth, _WIDTH)
        cloud = drawing.cloud_picture(drawing.own_colors(stage.feature_names), "its points", "Points asked with")
        own = _thumbnail(frame.views[0], "its own image", f"Image to be found for scan {frame.id}.")
        rank = order.index(index)
        queries.append(Query(frame.id, [cloud, own], found, rank if rank < NEAREST else None, rank + 1))
    return RetrievedImages(queries, len(ids))


def nearest_first(scores: np.ndarray, right: int) -> list[int]:
    """All places by their scores (N,), the highest first; of equal ones the earlier first, and ``right`` last."""
    places = np.arange(len(scores))
    return [int(place) for place in np.lexsort((places, places == right, -scores))]


def _standardised(method: Concept, tokens: Tensor) -> Tensor:
    """Token sets (N, T, D) less the training images' mean, over their deviation, as rows (N, T·D) float64."""
    mean, deviation = method.token_statistics
    return ((tokens - mean) / deviation).flatten(1).double()


def _thumbnail(view: View, caption: str, alt: str) -> Picture:
    image = Image.fromarray(view.image)
    size = (_WIDTH, max(1, round(_WIDTH * image.height / image.width)))
    small = np.array(image.resize(size, Image.Resampling.BICUBIC))
    return Picture(photo_uri(small), small.shape[:2], caption, alt)
