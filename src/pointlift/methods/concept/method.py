"""Concept distillation (arXiv 2212.08974): the token set of an image, predicted from the points of its frame.

What the paper's text fixes and what is a reconstruction is in ``docs/concept.md``. The ablations are options: without
concepts, direct local alignment, reconstruction alone or beside the distillation; without captioner is another teacher.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from pointlift.data.augmentation import PointAugmentation, augment_points
from pointlift.data.batch import Batch
from pointlift.data.clouds import farthest_rows, onto_unit_sphere, random_rows, scale_and_translate
from pointlift.data.crops import Crop, crop_scene, draw_crop
from pointlift.data.dataset import Dataset
from pointlift.data.scene import Pairs, Scene, View
from pointlift.errors import DataError, RecipeError
from pointlift.losses.base import Loss
from pointlift.losses.distributed import gather_rows
from pointlift.losses.tokens import token_rows
from pointlift.methods.concept.alignment import ImagePatchBatch, image_patches, nearest_patches
from pointlift.methods.concept.heads import ConceptExtraction, HeadKind, build_head
from pointlift.methods.concept.network import ConceptNetwork
from pointlift.methods.concept.reconstruction import PatchDecoder, reconstruction_errors, split_patches
from pointlift.methods.concept.samples import ConceptBatch, Sample
from pointlift.methods.tokens import TokenMethod
from pointlift.progress import Progress
from pointlift.registry import METHODS
from pointlift.students.base import Student, evaluating
from pointlift.students.point_transformer import Encoding, PointTransformer
from pointlift.teachers.pixels import PixelFeatures
from pointlift.teachers.tokens import TokenSets
from pointlift.train.method import Trained

_log = logging.getLogger(__name__)

_WHOLE = 0.5  # how often an image is shown whole where there are crops of it
_NO_PAIRS = Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 2), np.float32))


@METHODS.register("concept")
class Concept(TokenMethod):
    """Distil the token set of an image into a point transformer through learned concepts.

    A sample is a scene: ``points`` of its points, moved into the unit sphere, scaled and shifted, and the teacher's
    token set of its image (one random image where there are several). The loss is taken over all tokens as rows.

    Args:
        student: a point transformer.
        pixel_features: the frozen teacher behind its cache; it needs token sets, or for ``target: patches`` dense
            features.
        loss: a paired loss; ``mse`` is the paper's.
        augmentation: of the points, before all else; None as in the paper.
        image: must be None: targets are computed once.
        sampling: how the student's P points are drawn from a scene (one with fewer repeats some): ``random``, or
            ``farthest`` points from a random first one.
        scale: range of the factor of each axis.
        shift: largest shift of each axis.
        crops: how many fixed crops of each image are learned too, each with the points that it sees, each mirrored
            with probability 1/2; for few frames. Half of the samples are whole images all the same.
        crop_area: range of a crop's share of its image's area.
        target: what is learned: the teacher's ``tokens``; its ``patches`` (direct local alignment: every patch of the
            image against the point patch that projects nearest to it, through the student's own head); or ``none``.
        concepts: whether the head reads learned concepts; False: the patches of the last layer (ablation).
        concept_tokens: M, how many concepts.
        head: the two-layer MLP from M × C to T × D: ``token_mix`` (one layer over tokens, one over channels),
            ``flatten`` (over all values at once) or ``pooled`` (of each token, then learned averages).
        hidden: width within ``flatten`` and ``pooled``.
        units: of the loss: the teacher's ``raw`` values, or ``standardised`` by mean and deviation of each element
            over the whole training images (not crops).
        reconstruction: weight of the reconstruction loss; 0 for none.
        hidden_share: share of the patches that are hidden for it; the distillation sees all patches.
        decoder_depth: blocks of its decoder.
        min_depth: metres in front of the camera from which a point is seen, for ``target: patches``.
    """

    def __init__(
        self,
        student: Student,
        pixel_features: PixelFeatures,
        loss: Loss,
        augmentation: PointAugmentation | None = None,
        image: Any = None,
        *,
        sampling: Literal["random", "farthest"] = "random",
        scale: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (2 / 3, 3 / 2),
        shift: Annotated[float, Field(ge=0)] = 0.2,
        crops: Annotated[int, Field(ge=0)] = 0,
        crop_area: tuple[Annotated[float, Field(gt=0, le=1)], Annotated[float, Field(gt=0, le=1)]] = (0.25, 1.0),
        target: Literal["tokens", "patches", "none"] = "tokens",
        concepts: bool = True,
        concept_tokens: Annotated[int, Field(ge=1)] = 32,
        head: HeadKind = "token_mix",
        hidden: Annotated[int, Field(ge=1)] = 512,
        units: Literal["raw", "standardised"] = "raw",
        reconstruction: Annotated[float, Field(ge=0)] = 0.0,
        hidden_share: Annotated[float, Field(gt=0, lt=1)] = 0.6,
        decoder_depth: Annotated[int, Field(ge=1)] = 3,
        min_depth: Annotated[float, Field(gt=0)] = 0.1,
    ) -> None:
        super().__init__()
        if not isinstance(student, PointTransformer):
            raise RecipeError("the method 'concept' needs the student point_transformer: set student.name")
        if image is not None:
            raise RecipeError(
                "the method 'concept' computes its targets once, so images cannot be augmented: image=null"
            )
        _require_teacher(pixel_features, target, crops)
        for name, (low, high) in {"scale": scale, "crop_area": crop_area}.items():
            if low > high:
                raise RecipeError(f"method.{name} is a range from low to high, not [{low:g}, {high:g}]")
        if target == "none" and reconstruction == 0:
            raise RecipeError("method.target is none and method.reconstruction is 0: there is nothing to learn")
        outputs = pixel_features.teacher.dim if self.trains(target=target) == "points" else 0
        if student.out_channels != outputs:
            raise RecipeError(
                f"the student gives {student.out_channels} channels at each point, and with method.target={target} it "
                f"must be {outputs}"
            )
        loss.require(classes=target == "patches" and pixel_features.teacher.has_classes)
        self._frozen = (pixel_features, TokenSets(pixel_features))  # a tuple, so that no part of it is of this module
        self.loss, self.augmentation, self.sampling = loss, augmentation, sampling
        self.scale, self.shift, self.target, self.units = scale, shift, target, units
        self.crop_count, self.crop_area = crops, crop_area
        self.reconstruction, self.hidden_share, self.min_depth = reconstruction, hidden_share, min_depth
        shape = self.token_sets.shape if target == "tokens" else (0, 0)
        inputs = concept_tokens if concepts else student.groups
        with_concepts = concepts and target == "tokens"
        self.trained = ConceptNetwork(
            student,
            ConceptExtraction(student.dim, student.heads, concept_tokens) if with_concepts else None,
            build_head(head, inputs, student.dim, shape, hidden) if target == "tokens" else None,
            PatchDecoder(student, decoder_depth) if reconstruction > 0 else None,
            shape,
        )
        # What no loss reaches must not wait for a gradient, or training over several processes stops.
        student.norm.requires_grad_(not with_concepts or reconstruction > 0)

    @classmethod
    def trains(cls, *, target: str = "tokens", **options: Any) -> Trained | None:
        """Token sets; the student's output at each point only as it learns the patches of images."""
        kinds: dict[str, Trained] = {"tokens": "tokens", "patches": "points"}
        return kinds.get(target)

    @classmethod
    def attends(cls, *, target: str = "tokens", concepts: bool = True, **options: Any) -> bool:
        """With concepts, which there are only for token sets."""
        return concepts and target == "tokens"

    @property
    def network(self) -> ConceptNetwork:
        """All that is trained."""
        return self.trained  # type: ignore[return-value]

    @property
    def student(self) -> PointTransformer:
        """The encoder, which is what stays after pretraining."""
        return self.network.student

    @property
    def pixel_features(self) -> PixelFeatures:
        """The frozen teacher behind its cache."""
        return self._frozen[0]

    @property
    def token_sets(self) -> TokenSets:
        """The teacher's token sets behind the same cache."""
        return self._frozen[1]

    @property
    def token_statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation (T, D) of the token sets of the training images, on the CPU."""
        return self.network.mean.cpu(), self.network.deviation.cpu()

    def take_statistics(self, mean: Tensor, deviation: Tensor) -> None:
        """Predict in units of these statistics."""
        self.network.mean.copy_(mean)
        self.network.deviation.copy_(deviation)

    def parameter_counts(self) -> dict[str, int]:
        """Numbers of parameters: of the encoder without its output layer, and of what pretraining puts on top."""
        return self.network.parameter_counts()

    def prepare(self, scenes: Dataset, progress: Progress | None = None) -> None:
        """Compute the teacher's targets of every image once, and the mean and deviation of the token sets."""
        self.pixel_features.teacher.to(next(self.student.parameters()).device)
        report = None if progress is None else lambda done, total: progress("teacher features", done, total)
        if self.target == "patches" and self.pixel_features.cache is not None:
            self.pixel_features.precompute(scenes, report)
        if self.target != "tokens":
            return
        self.token_sets.precompute(scenes, report, self.crops)
        mean, deviation = self.token_sets.statistics(scenes)
        self.take_statistics(mean, deviation)
        _log.info(
            "token sets of %d x %d: mean %.4g, deviation between elements %.4g, between images %.4g",
            *mean.shape,
            mean.mean(),
            mean.std(),
            deviation.square().mean().sqrt(),
        )

    def crops(self, view: View) -> list[Crop]:
        """The crops of a view's image, always the same ones, so that their token sets are computed once."""
        if not self.crop_count:
            return []
        rng = np.random.default_rng(zlib.crc32(self.token_sets.key(view).encode()))
        size = view.size
        return [draw_crop(size, self.crop_area, rng) for _ in range(self.crop_count)]

    def sample(self, scene: Scene, rng: np.random.Generator) -> Sample:
        """Draw a scene's image or a crop of it, and points, and move the points."""
        if self.augmentation is not None:
            options = self.augmentation.model_copy(update={"min_pairs": 0})
            scene = augment_points(scene, _NO_PAIRS, options, rng)[0]
        if self.target != "none" and not scene.views:
            raise DataError(f"scene {scene.id} has no image, and distillation needs one")
        view = scene.views[int(rng.integers(len(scene.views)))] if self.target != "none" else None
        target, image = None, None
        if view is not None and self.target == "tokens":
            scene, crop = self._cropped(scene, view, rng)
            target = self.token_sets(view, crop)
        cloud = scene.select(self.chosen(scene, rng))
        if view is not None and self.target == "patches":
            image = image_patches(view, self.pixel_features.dense(view), cloud.points, self.min_depth)
        moved = scale_and_translate(onto_unit_sphere(replace(cloud, views=[])), rng, self.scale, self.shift)
        order = torch.from_numpy(rng.permutation(self.student.groups))
        return Sample(moved, target, image, order)

    def _cropped(self, scene: Scene, view: View, rng: np.random.Generator) -> tuple[Scene, Crop | None]:
        """The points that a random crop of the view sees, and the crop; all points and None for the whole image."""
        if not self.crop_count or rng.random() < _WHOLE:
            return scene, None
        crop = self.crops(view)[int(rng.integers(self.crop_count))]
        seen = crop_scene(scene, view, crop)
        return (seen, crop) if len(seen) >= self.student.fewest_points else (scene, None)

    def chosen(self, scene: Scene, rng: np.random.Generator) -> np.ndarray:
        """Rows (P,) of the scene's points that the network is given."""
        self.student.require_points(scene.id, len(scene))
        count = self.student.points or len(scene)
        if self.sampling == "farthest" and len(scene) > count:
            return farthest_rows(scene.points, count, start=int(rng.integers(len(scene))))
        return random_rows(len(scene), count, rng)

    def collate(self, samples: list[Sample], rng: np.random.Generator) -> ConceptBatch:
        """Join samples."""
        targets = [sample.target for sample in samples if sample.target is not None]
        images = [sample.image for sample in samples if sample.image is not None]
        return ConceptBatch(
            Batch.from_scenes([sample.scene for sample in samples]),
            torch.stack(targets) if targets else None,
            ImagePatchBatch.of(images) if images else None,
            torch.stack([sample.order for sample in samples]),
        )

    def forward(self, batch: ConceptBatch) -> dict[str, Tensor]:
        """The loss of the global batch, and its parts where there are two."""
        patches = self.student.patches(batch.points)
        parts = {}
        if self.target != "none":
            encoding = self.student.encode_patches(patches)
            parts["distillation"] = self.loss(*self._paired(encoding, batch))
        if self.network.decoder is not None:
            visible, hidden = split_patches(batch.order, self.hidden_share)
            errors = reconstruction_errors(self.student, self.network.decoder, patches, visible, hidden)
            parts["reconstruction"] = gather_rows(errors.flatten()[:, None]).mean()
        weights = {"distillation": 1.0, "reconstruction": self.reconstruction}
        loss = torch.stack([weights[name] * part for name, part in parts.items()]).sum()
        return {"loss": loss, **(parts if len(parts) > 1 else {})}

    def _paired(self, encoding: Encoding, batch: ConceptBatch) -> tuple[Tensor, Tensor]:
        """Predictions and targets as rows."""
        if self.target == "tokens":
            assert batch.targets is not None
            targets = batch.targets
            if self.units == "standardised":
                targets = (targets - self.network.mean) / self.network.deviation
            return token_rows(self.network.tokens(encoding)), token_rows(targets)
        assert batch.images is not None
        centres = encoding.patches.rows[:, :, 0]  # the nearest point of a centre is the centre
        rows, nearest = nearest_patches(batch.images, centres)
        return self.student.head(encoding.tokens.flatten(0, 1)[nearest]), batch.images.features[rows]

    def drawn(self, scene: Scene) -> np.ndarray:
        """Rows (P,) of a scene's points in evaluation, drawn by its id."""
        return self.chosen(scene, np.random.default_rng(zlib.crc32(scene.id.encode())))

    def clouds(self, scenes: Sequence[Scene]) -> Batch:
        """Scenes as they are evaluated: points drawn by the scene's id, in the unit sphere, otherwise unmoved."""
        chosen = [scene.select(self.drawn(scene)) for scene in scenes]
        return Batch.from_scenes([onto_unit_sphere(replace(one, views=[])) for one in chosen])

    def predict(self, scenes: Sequence[Scene]) -> Tensor:
        """The token sets (B, T, D) that the network expects of scenes, in the teacher's units, on the CPU.

        Raises:
            RecipeError: the method does not predict token sets.
        """
        if self.target != "tokens":
            raise RecipeError(f"the method learned {self.target} and no token sets (method.target)")
        batch = self.clouds(scenes).to(next(self.parameters()).device)
        with evaluating(self.network):
            tokens = self.network.tokens(self.student.encode(batch)).float()
            if self.units == "standardised":
                tokens = tokens * self.network.deviation + self.network.mean
            return tokens.cpu()

    def attention(self, scene: Scene) -> tuple[Tensor, Encoding, Batch]:
        """Which patches each concept looks at in one scene: (layers, heads, concepts, patches), on the CPU.

        Beside it the encoding, whose ``patches.rows`` say which points of the drawn cloud a patch has, and that cloud.

        Raises:
            RecipeError: the method has no concepts.
        """
        if self.network.concepts is None:
            raise RecipeError("the method has no concepts (method.concepts, method.target), so nothing attends")
        batch = self.clouds([scene]).to(next(self.parameters()).device)
        with evaluating(self.network):
            encoding = self.student.encode(batch)
            return self.network.concepts.attention(encoding.layers)[0].float().cpu(), encoding, batch


def _require_teacher(pixel_features: PixelFeatures, target: str, crops: int) -> None:
    """A `RecipeError` if the teacher's targets cannot be computed once, or not of crops."""
    if target == "patches" and not pixel_features.ready:
        raise RecipeError(
            "the method 'concept' computes its targets once, and with method.target=patches it needs the cache to "
            "keep them: cache.enabled=true"
        )
    if crops and (target != "tokens" or pixel_features.teacher.reads_files):
        raise RecipeError(
            "method.crops needs a teacher that computes token sets of crops (method.target=tokens, and no teacher "
            "that reads files): method.crops=0"
        )
