"""Pictures of an encoder that was trained without an output at points: its own features, and where concepts look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pointlift.data.batch import Batch
from pointlift.data.dataset import Dataset
from pointlift.data.scene import Scene
from pointlift.errors import DataError
from pointlift.evaluation.sampling import spread
from pointlift.methods.concept.method import Concept
from pointlift.progress import Progress
from pointlift.registry import PROTOCOLS
from pointlift.report.pictures.attention import at_all_points, concept_attention, differing, ramp
from pointlift.report.pictures.colors import css, feature_colors
from pointlift.report.pictures.drawing import RED_GREEN_BLUE, Drawing
from pointlift.report.pictures.labelling import own_results
from pointlift.report.pictures.raster import Picture
from pointlift.report.pictures.stage import Asked, opened
from pointlift.report.summary import Measured
from pointlift.run import Run
from pointlift.students.base import evaluating

CONCEPTS = 4
"""Concepts that are shown, at most."""
BASIS = 10_000
"""Points of a frame, about, from which the colours' directions are taken."""
NEARLY_EVEN = (0.9, 1.1)
"""What the colours of attention span at least, so that concepts that look everywhere alike do not seem to choose."""


@dataclass(frozen=True)
class EncoderStage:
    """An encoder's run and the data on which it is pictured: the trained method, test scans, how to report progress."""

    method: Concept
    test: Dataset
    progress: Progress

    @property
    def feature_names(self) -> tuple[str, ...]:
        """What the points have beside their place."""
        return self.test.feature_names


@dataclass(frozen=True)
class FramePictures:
    """The pictures of one frame: the encoder's features, and what concepts look at, in its image and from above."""

    title: str
    features: list[Picture]
    concepts: list[Picture]


@dataclass(frozen=True)
class EncoderGallery:
    """Pictures of some frames.

    Attributes:
        frames: the pictures.
        unseen_colors: whether the points have colours that the encoder is not given.
        shown, concepts: how many concepts are shown, and how many there are.
        legend: (text, CSS colour) of the least attention, of the middle and of the most.
    """

    frames: list[FramePictures]
    unseen_colors: bool
    shown: int
    concepts: int
    legend: list[tuple[str, str]]


def open_encoder(run: Run, results: Mapping[str, Measured], asked: Asked) -> EncoderStage:
    """Open the method and the data of a run, on the split that the method's own result measured, else any.

    Raises:
        PointliftError: the data, the teacher or the checkpoint cannot be read, or the method has no encoder of patches.
    """
    own = own_results(results.values())
    whole = [one for one in own if "tokens" in PROTOCOLS.get(one.protocol).declared["needs"]]
    trial = opened(run, next(iter(whole + own), None), asked)
    assert trial.method is not None
    method = trial.method(None)
    if not isinstance(method, Concept):
        raise DataError("no student was trained to have features that could be seen beside the teacher's")
    return EncoderStage(method, trial.test, asked.progress)


def encoder_gallery(stage: EncoderStage, scenes: int) -> EncoderGallery:
    """Pictures of ``scenes`` test frames, evenly spread over the split.

    One basis of colours for the features of all frames, one scale for the attention of all concepts in all of them.

    Raises:
        DataError: a frame has too few points for the encoder.
    """
    frames = [stage.test[index] for index in spread(range(len(stage.test)), scenes)]
    colors = feature_colors(torch.cat([_features(stage.method, one, max(1, len(one) // BASIS)) for one in frames]))
    attention = _Attention(stage.method, frames) if stage.method.network.concepts is not None else None
    pictures = []
    for number, frame in enumerate(frames):
        drawing = Drawing(frame, stage.method.min_depth)
        own = _feature_pictures(drawing, stage.feature_names, colors(_features(stage.method, frame)))
        concepts = attention.pictures(number, drawing) if attention else []
        pictures.append(FramePictures(frame.id, own, concepts))
        stage.progress("pictures of the encoder", number + 1, len(frames))
    unseen = "features" not in stage.method.student.inputs and set(RED_GREEN_BLUE) <= set(stage.feature_names)
    if attention is None:
        return EncoderGallery(pictures, unseen, 0, 0, [])
    return EncoderGallery(pictures, unseen, len(attention.shown), attention.concepts, attention.legend())


class _Attention:
    """Which concepts are shown of some frames, and from which attention to which their colours go."""

    def __init__(self, method: Concept, frames: Sequence[Scene]) -> None:
        self._frames = frames
        self._found = [concept_attention(method, frame) for frame in frames]
        every = np.concatenate([values[:, np.isfinite(values[0])] for _, values in self._found], axis=1)
        self.concepts = len(every)
        self.shown = differing(every, CONCEPTS)
        low, high = np.percentile(every[self.shown], (1, 99))
        self._low, self._high = min(low, NEARLY_EVEN[0]), max(high, NEARLY_EVEN[1])

    def pictures(self, number: int, drawing: Drawing) -> list[Picture]:
        """The shown concepts in the image of a frame, if it has one, and then from above."""
        rows, values = self._found[number]
        everywhere = at_all_points(self._frames[number], rows, values[self.shown].T)
        images, clouds = [], []
        for place, concept in enumerate(self.shown):
            colors = self._colors(everywhere[:, place])
            what = f"What concept {concept} looks at"
            caption = f"concept {concept}, at most {np.nanmax(values[concept]):.2f} ×"
            images += drawing.image_pictures(colors, caption, what)
            clouds.append(drawing.cloud_picture(colors, caption, what))
        return images + clouds

    def legend(self) -> list[tuple[str, str]]:
        """The ends and the middle of the colours: text, CSS colour."""
        values = np.array([self._low, (self._low + self._high) / 2, self._high])
        return [(f"{value:.2f} ×", css(color)) for value, color in zip(values, self._colors(values), strict=True)]

    def _colors(self, values: np.ndarray) -> np.ndarray:
        return ramp(values, self._low, self._high)


def _features(method: Concept, scene: Scene, step: int = 1) -> torch.Tensor:
    """The encoder's features (N, C) float32 of every ``step``-th of a scene's points, on the CPU."""
    batch = Batch.from_scenes([scene]).to(next(method.parameters()).device)
    with evaluating(method.student):
        rows = torch.arange(0, len(scene), step, device=batch.points.device)
        return method.student.decoder_features(batch, rows).float().cpu()


def _feature_pictures(drawing: Drawing, feature_names: Sequence[str], colors: np.ndarray) -> list[Picture]:
    """The frame's image, if it has one, and its cloud, each beside the encoder's features as ``colors (N, 3)``."""
    caption, what = "the encoder’s features", "The encoder's features, as colours,"
    return [
        *drawing.own_image("its image"),
        *drawing.image_pictures(colors, caption, what),
        drawing.cloud_picture(drawing.own_colors(feature_names), "its points, from above", "Points"),
        drawing.cloud_picture(colors, caption, what),
    ]
