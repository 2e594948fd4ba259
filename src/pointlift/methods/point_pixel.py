"""Point-to-pixel distillation: the student's point features against the frozen teacher's features at paired pixels.

The sampling unit of relational distillation (arXiv 2409.00845) is a reconstruction: pairs of points and pixels, a fixed
number per scan, the loss taken over all pairs of the global batch. A point is paired with a pixel in `Scene.pairs`, the
teacher is asked for the pixels in `PixelFeatures`, and pairs meet those of other processes in `pointlift.losses.Loss`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
from pydantic import Field

from pointlift.data.augmentation import ImageAugmentation, PointAugmentation, augment_image, augment_points
from pointlift.data.batch import Batch
from pointlift.data.dataset import Dataset
from pointlift.data.scene import Pairs, Scene, View
from pointlift.errors import DataError, RecipeError
from pointlift.losses.base import Loss
from pointlift.losses.distributed import permuted_rows
from pointlift.options import Control
from pointlift.progress import Progress
from pointlift.registry import METHODS
from pointlift.students.base import Student
from pointlift.teachers.base import Teacher
from pointlift.teachers.pixels import PixelFeatures
from pointlift.train.method import Method

_ASKED = 4  # scenes in which a teacher that reads files must say something


class Sample(NamedTuple):
    """One scene's share of a step; ``targets (P, D)`` are known already where the teacher's maps are at hand."""

    scene: Scene
    pairs: Pairs
    targets: torch.Tensor | None


@dataclass
class PairBatch:
    """Concatenated clouds, the rows of the paired points, and their targets (or the scenes to compute them from)."""

    points: Batch
    rows: torch.Tensor
    targets: torch.Tensor | None
    samples: list[Sample]
    seed: int

    @property
    def scene_ids(self) -> list[str]:
        """Ids of the scenes, for messages."""
        return self.points.scene_ids

    def to(self, device: torch.device) -> PairBatch:
        """The same batch on another device."""
        return PairBatch(
            self.points.to(device, non_blocking=True),
            self.rows.to(device, non_blocking=True),
            None if self.targets is None else self.targets.to(device, non_blocking=True),
            self.samples,
            self.seed,
        )


SHUFFLED_PAIRS = Control("pairs shuffled", "shuffled pairs give each point the feature of a pixel of another image")


@METHODS.register("point_pixel")
class PointPixel(Method):
    """Distil a frozen image teacher into a point network through point-pixel pairs.

    Args:
        student: the 3D network, with as many output channels as the teacher has.
        pixel_features: the frozen teacher behind its cache.
        loss: of pairs, student (N, D) and teacher (N, D).
        points: augmentation of the points.
        image: augmentation of the images, None for none; not possible with features that are cached or read from files.
        pairs_per_scene: pairs drawn from each scan at every step, over all its views together; fewer where fewer points
            are seen, and those of which the teacher says nothing (features of zeros) are dropped.
        views_per_scene: at every step only so many random views of each scan, of those that see a point; None for all.
        min_depth: metres in front of the camera from which a point counts as seen.
        occlusion: relative depth tolerance of the z-buffer filter; None keeps points hidden behind nearer ones.
        shuffle_pairs: the control: the targets are permuted over all pairs of the global batch, between images; it
            needs at least two scenes a step to be one.
    """

    def __init__(
        self,
        student: Student,
        pixel_features: PixelFeatures,
        loss: Loss,
        points: PointAugmentation | None = None,
        image: ImageAugmentation | None = None,
        *,
        pairs_per_scene: Annotated[int, Field(ge=1)] = 1024,
        min_depth: Annotated[float, Field(gt=0)] = 1.0,
        occlusion: Annotated[float, Field(gt=0)] | None = None,
        shuffle_pairs: Annotated[bool, SHUFFLED_PAIRS] = False,
        views_per_scene: Annotated[int, Field(ge=1)] | None = None,
    ) -> None:
        super().__init__()
        if not pixel_features.teacher.has_features:
            pixel_features.teacher.lacks("dense features")
        teacher_dim = pixel_features.teacher.dim
        if student.out_channels != teacher_dim:
            raise RecipeError(f"the student gives {student.out_channels} channels and the teacher {teacher_dim}")
        if image is not None and pixel_features.teacher.reads_files:
            raise RecipeError("this teacher reads its maps from files, so images cannot be augmented: set image=null")
        if image is not None and pixel_features.ready:
            raise RecipeError(
                "teacher features cannot be cached while images are augmented: set cache.enabled=false, or image=null"
            )
        loss.require(classes=pixel_features.teacher.has_classes)
        self.trained = student
        self._pixel_features = (pixel_features,)  # in a tuple, so that the frozen teacher is no part of this module
        self.loss = loss
        self.points, self.image = points, image
        self.pairs_per_scene, self.min_depth, self.occlusion = pairs_per_scene, min_depth, occlusion
        self.shuffle_pairs, self.views_per_scene = shuffle_pairs, views_per_scene

    @classmethod
    def sees(
        cls, *, min_depth: float = 1.0, occlusion: float | None = None, **options: Any
    ) -> tuple[float, float | None]:
        """The options."""
        return min_depth, occlusion

    @property
    def student(self) -> Student:
        """The 3D network, all that is trained."""
        return self.trained  # type: ignore[return-value]

    @property
    def pixel_features(self) -> PixelFeatures:
        """The frozen teacher behind its cache."""
        return self._pixel_features[0]

    def prepare(self, scenes: Dataset, progress: Progress | None = None) -> None:
        """Compute the teacher's features of every image once, if they are cached."""
        self.pixel_features.teacher.to(next(self.student.parameters()).device)
        _require_images(scenes, self.pixel_features.teacher, progress)
        if self.pixel_features.teacher.reads_files:
            self._require_words(scenes)
        if self.pixel_features.cache is not None:
            report = None if progress is None else lambda done, total: progress("teacher features", done, total)
            self.pixel_features.precompute(scenes, report)

    def _require_words(self, scenes: Dataset) -> None:
        """A `DataError` if files say nothing of any point in the first few scenes: no loss would ever tell."""
        asked = [scenes[index] for index in range(min(len(scenes), _ASKED))]
        pairs = (scene.pairs(min_depth=self.min_depth, occlusion=self.occlusion) for scene in asked)
        if not any(bool(self.pixel_features(*one).any()) for one in zip(asked, pairs, strict=True)):
            raise DataError(
                f"the teacher's files say nothing of any point of the scenes {', '.join(s.id for s in asked)}; are the "
                "ids in them, and the map of the classes, right?"
            )

    def sample(self, scene: Scene, rng: np.random.Generator) -> Sample:
        """Augment one scene and draw its pairs."""
        if not scene.views:
            raise DataError(f"scene {scene.id} has no image, and distillation needs one")
        scene, pairs = self._seen(scene, rng)
        if self.points is not None:
            scene, pairs = augment_points(scene, pairs, self.points, rng)
        if self.image is not None:
            scene, pairs = _augment_views(scene, pairs, self.image, rng)
        if len(pairs.point_index) == 0:
            raise DataError(
                f"scene {scene.id}: no point is seen by any view; run `pointlift check` to see the overlays"
            )
        pairs = draw_pairs(pairs, self.pairs_per_scene, rng)
        if not self.pixel_features.ready:
            return Sample(scene, pairs, None)
        targets = self.pixel_features(scene, pairs)
        spoken = targets.any(dim=1)
        return Sample(scene, pairs.take(spoken.numpy()), targets[spoken])

    def _seen(self, scene: Scene, rng: np.random.Generator) -> tuple[Scene, Pairs]:
        """The scene with the views of this step, and what they see."""
        if self.views_per_scene is None:
            return scene, scene.pairs(min_depth=self.min_depth, occlusion=self.occlusion)
        found: list[tuple[int, Pairs]] = []
        for index in rng.permutation(len(scene.views)).tolist():
            alone = replace(scene, views=[scene.views[index]])
            pairs = alone.pairs(min_depth=self.min_depth, occlusion=self.occlusion)
            if len(pairs.point_index):
                found.append((index, pairs))
            if len(found) == self.views_per_scene:
                break
        found.sort(key=lambda one: one[0])
        return replace(scene, views=[scene.views[index] for index, _ in found]), _joined([pairs for _, pairs in found])

    def collate(self, samples: list[Sample], rng: np.random.Generator) -> PairBatch:
        """Concatenate the clouds of several samples."""
        batch = Batch.from_scenes([sample.scene for sample in samples])
        starts = batch.offsets[:-1].tolist()
        rows = torch.cat(
            [start + torch.from_numpy(sample.pairs.point_index) for start, sample in zip(starts, samples, strict=True)]
        )
        known = [sample.targets for sample in samples if sample.targets is not None]
        targets = torch.cat(known) if len(known) == len(samples) else None
        return PairBatch(batch, rows, targets, samples if targets is None else [], int(rng.integers(2**62)))

    def forward(self, batch: PairBatch) -> dict[str, torch.Tensor]:
        """Loss over the pairs of the global batch."""
        rows, targets = batch.rows, batch.targets
        if targets is None:
            # as of one scene with all views of the step, so that the teacher sees them in few batches
            views = [view for sample in batch.samples for view in sample.scene.views]
            pairs = _joined([sample.pairs for sample in batch.samples], [len(s.scene.views) for s in batch.samples])
            targets = self.pixel_features(replace(batch.samples[0].scene, views=views), pairs, rows.device)
            spoken = targets.any(dim=1)
            rows, targets = rows[spoken], targets[spoken]
        if self.shuffle_pairs:
            targets = permuted_rows(targets, batch.seed)
        # the pairs of other processes are negatives too: the loss gathers them
        return {"loss": self.loss(self.student(batch.points, rows), targets)}


def _joined(pairs: Sequence[Pairs], views: Sequence[int] | None = None) -> Pairs:
    """Pairs of scenes with so many views each (1 if nothing is said) as pairs of all these views in a row."""
    if not pairs:
        return Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 2), np.float32))
    starts = np.cumsum([0, *(views or [1] * len(pairs))])
    moved = [one._replace(view_index=one.view_index + start) for one, start in zip(pairs, starts[:-1], strict=True)]
    return Pairs(*(np.concatenate(parts) for parts in zip(*moved, strict=True)))


def _require_images(scenes: Dataset, teacher: Teacher, progress: Progress | None) -> None:
    """Say before the first step which scenes have no image, and which files of the teacher are missing."""
    images = scenes.views if teacher.reads_files else scenes.image_paths
    seen: list[View] = []
    blind = []
    for index in range(len(scenes)):
        own: Sequence[Any] = images(index)
        if not own:
            blind.append(index)
        if teacher.reads_files:
            seen += own
        if progress is not None:
            progress("images", index + 1, len(scenes))
    if blind:
        ids = scenes.ids
        named = ", ".join(ids[index] for index in blind[:3]) + (", …" if len(blind) > 3 else "")
        raise DataError(f"{len(blind)} of {len(scenes)} scenes have no image, and distillation needs one: {named}")
    if teacher.reads_files:
        teacher.require_files(seen)


def draw_pairs(pairs: Pairs, count: int, rng: np.random.Generator) -> Pairs:
    """``count`` of the pairs without replacement, or all of them if there are fewer."""
    total = len(pairs.point_index)
    if total <= count:
        return pairs
    chosen = rng.choice(total, count, replace=False)
    return pairs.take(chosen)


def _augment_views(
    scene: Scene, pairs: Pairs, options: ImageAugmentation, rng: np.random.Generator
) -> tuple[Scene, Pairs]:
    views: list[Any] = []
    kept: list[Pairs] = []
    for index, view in enumerate(scene.views):
        mine = pairs.view_index == index
        image, pixels, inside = augment_image(view.image, pairs.pixels[mine], options, rng)
        views.append(replace(view, source=image))
        kept.append(Pairs(pairs.point_index[mine][inside], pairs.view_index[mine][inside], pixels))
    return replace(scene, views=views), Pairs(*(np.concatenate(parts) for parts in zip(*kept, strict=True)))
