"""What every protocol is given: the pretrained student, labelled data, and how to make what it is compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import torch

from pointlift.data.dataset import Dataset
from pointlift.data.scene import Pairs, Scene
from pointlift.errors import DataError
from pointlift.progress import no_progress
from pointlift.students.base import Student
from pointlift.train.method import Method

if TYPE_CHECKING:
    from pointlift.registry import Part

PixelFeatures = Callable[[Scene, Pairs], torch.Tensor]
"""A scene and P pairs -> the teacher's features (P, D) float32 on the CPU."""
EmbedText = Callable[[Sequence[str]], torch.Tensor]
"""C prompts -> their features (C, D) in the space of the teacher's dense features."""


Need = Literal["labels", "point features", "teacher", "text", "method"]
"""What a protocol may need: labels of the scenes; a student whose output was trained at points; the teacher; the
teacher's text side, which includes the former; all that the method trained."""


def check_protocol(part: Part) -> None:
    """A `ValueError` unless the protocol declares what it needs."""
    if set(part.declared) != {"needs"} or not set(part.declared["needs"]) <= set(get_args(Need)):
        raise ValueError(f"the protocol '{part.name}' must declare its needs, some of: {', '.join(get_args(Need))}")


@dataclass
class Trial:
    """What a protocol is given: the pretrained student, labelled data, and how to make what it is compared with.

    Args:
        student: the pretrained network.
        train: training scenes, with ``class_names`` and ``feature_names``.
        test: test scenes of the same data set; their labels are read for scoring only.
        fresh_student: seed -> a randomly initialised twin of ``student``.
        pixel_features: builds the teacher and its cache on demand; the result maps a scene and P pairs to (P, D).
        folder: where a protocol may write.
        device: where networks run.
        seed: of every random draw of the protocol.
        progress: called with (what, done, total).
        embed_text: the text side of the same teacher, asked only by protocols that take prompts; None if it has none.
        method: the trained method with all that it trained beside the student, or for a seed one with random weights;
            asked only by protocols that need more than the student.
        templates: the sentences around class names that the teacher's text side is usually asked with.
    """

    student: Student
    train: Dataset
    test: Dataset
    fresh_student: Callable[[int], Student]
    pixel_features: Callable[[], PixelFeatures]
    folder: Path
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    seed: int = 0
    progress: Callable[[str, int, int], None] = no_progress
    embed_text: EmbedText | None = None
    method: Callable[[int | None], Method] | None = None
    templates: Callable[[], Sequence[str]] = lambda: ("{}",)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the C classes; a `DataError` if there are none, or if training and test data disagree."""
        train, test = self.train.class_names, self.test.class_names
        if train != test:
            raise DataError(f"the training data has the classes {train}, the test data {test}; they must be the same")
        if not test:
            parts = self.test.mixed
            advice = f"; choose one of its parts: --test-data part={parts[0]}" if parts else ""
            raise DataError(
                f"the data set '{self.test.name}' names no classes, but this protocol compares classes{advice}"
            )
        return test


def each(trial: Trial, scenes: Sequence[Scene], what: str, indices: Sequence[int] | None = None) -> Iterator[Scene]:
    """The scenes one by one (all, or those at ``indices``), with progress under the name ``what``."""
    indices = range(len(scenes)) if indices is None else indices
    for done, index in enumerate(indices, start=1):
        yield scenes[index]
        trial.progress(what, done, len(indices))
