"""The contract of all 3D students: a batch of clouds in, one feature vector per point out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from pointlift.contract import derives, has, names_options, plain, takes
from pointlift.data.batch import Batch
from pointlift.data.scene import Scene
from pointlift.errors import DataError, PluginError, PointliftError
from pointlift.finite import require_finite

if TYPE_CHECKING:
    from pointlift.registry import Part


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Eval mode without gradients; afterwards every submodule has the mode back that it had."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, training in modes.items():
            part.training = training


class Undecayed(nn.Parameter):
    """A learned token or table of tokens, which weight decay leaves alone as it does biases and normalisation."""


class Student(nn.Module):
    """A 3D network that gives every input point a feature.

    A subclass is built with ``(in_channels, out_channels, *, options)``, sets what has no default here, and implements
    `decoder_features`; it overrides `forward` where another order of the same computation is cheaper. In evaluation
    the features of a cloud are a function of that cloud alone, and the head is one of each row alone.

    Attributes:
        in_channels: features per input point.
        out_channels: D, the width of the output; 0 for a student without output layer, if it can be one.
        decoder_channels: C, the width of the features before the head.
        head: makes the output of the decoder's features, row by row in evaluation.
        fewest_points: how many points a cloud needs; 0: it may be empty.
        has_patches: whether it sees patches that can be hidden from it: it derives from `PointTransformer`.
        order_matters: whether, in evaluation too, another order of a cloud's points gives them other features.
        loads: names of its options that load weights into it; whoever has weights of its own leaves them out.
        loaded: what of a checkpoint was loaded into it, for the log; None if nothing was.
    """

    in_channels: int
    out_channels: int
    decoder_channels: int
    head: nn.Module
    fewest_points: int = 0
    has_patches: ClassVar[bool] = False
    order_matters: bool = False
    loads: tuple[str, ...] = ()
    loaded: str | None = None

    def __call__(self, batch: Batch, *args: Any, **options: Any) -> Any:
        """`forward`, of a Batch only; a `DataError` says how else a cloud is given."""
        if not isinstance(batch, Batch):
            raise DataError(
                f"a student takes a Batch, not {type(batch).__name__}: student(pointlift.collate([scene])) in a loop "
                "of your own, or student.features(points) for one cloud in evaluation"
            )
        return super().__call__(batch, *args, **options)

    def forward(self, batch: Batch, rows: Tensor | None = None) -> Tensor:
        """Features (ΣN, D) of every point of the batch, not normalised, or (P, D) of the points ``rows (P,)`` only."""
        return self.head(self.decoder_features(batch, rows))

    def decoder_features(self, batch: Batch, rows: Tensor | None = None) -> Tensor:
        """Features (ΣN, C) of every point before the head, or (P, C) of the points ``rows (P,)`` only."""
        raise NotImplementedError  # pragma: no cover - every student defines it

    def features(self, scene: Scene | np.ndarray | Tensor) -> np.ndarray:
        """Features of one cloud in evaluation mode.

        Args:
            scene: a Scene, or an array or tensor (N, 3) of points in metres or (N, 3 + F) of points and their F
                features.

        Returns:
            (N, D) float32.

        Raises:
            DataError: if the number of features is not the one that the student was built for, or the cloud has fewer
                than ``fewest_points``.
        """
        batch = self.check(_as_batch(scene))
        self.require_points(batch.scene_ids[0], len(batch.points))
        batch = batch.to(next(self.parameters()).device)
        with evaluating(self):
            return require_finite(self(batch).float().cpu(), "the student's features", batch.scene_ids[0]).numpy()

    def feature_blocks(self, scene: Scene | np.ndarray, size: int = 1 << 16) -> Iterator[np.ndarray]:
        """What `features` gives, ``size`` rows at a time: of a large cloud the output is most of the memory.

        Values may differ from those of `features` by rounding.
        """
        batch = self.check(_as_batch(scene))
        self.require_points(batch.scene_ids[0], len(batch.points))
        batch = batch.to(next(self.parameters()).device)
        with evaluating(self):
            decoded = self.decoder_features(batch)
        for rows in decoded.split(size):
            with evaluating(self):
                block = self.head(rows).float().cpu().numpy()
            yield block

    def check(self, batch: Batch) -> Batch:
        """The batch itself, if its number of features fits; a `DataError` otherwise."""
        width = batch.features.shape[1]
        if width != self.in_channels:
            raise DataError(
                f"the student was built for {self.in_channels} features per point, but the points have {width}; "
                f"give points as an array (N, {3 + self.in_channels})"
            )
        return batch

    def require_points(self, name: str, count: int) -> None:
        """A `DataError` if the cloud ``name`` of ``count`` points has too few."""
        if count < self.fewest_points:
            raise DataError(f"the cloud '{name}' has {count} points, and the student needs {self.fewest_points}")


def _as_batch(scene: Scene | np.ndarray | Tensor) -> Batch:
    if isinstance(scene, Scene):
        return Batch.from_scenes([scene])
    if isinstance(scene, Tensor):
        scene = scene.detach().cpu().numpy()
    if not isinstance(scene, np.ndarray) or scene.dtype.kind not in "fiu":
        raise DataError(f"points must be a Scene, or an array or tensor of numbers, not {type(scene).__name__}")
    if scene.ndim != 2 or scene.shape[1] < 3:
        raise DataError(f"points must be an array (N, 3) or (N, 3 + F), not of shape {scene.shape}")
    values = torch.from_numpy(np.array(scene, dtype=np.float32))
    return Batch(values[:, :3].contiguous(), values[:, 3:].contiguous(), torch.tensor([0, len(values)]), ["points"])


def check_student(part: Part) -> None:
    """A `ValueError` unless what is registered is a student that can be asked what its class is asked."""
    what, kind = f"the student '{part.name}'", part.factory
    derives(what, kind, Student, "decoder_features")
    assert isinstance(kind, type)
    takes(what, kind, "in_channels", "out_channels")
    plain(what, kind, loads=(tuple, list), has_patches=bool)
    names_options(what, kind, "loads", kind.loads)  # type: ignore[attr-defined]


def checked_student(student: Student, name: str, in_channels: int, out_channels: int) -> Student:
    """A student that was built, if it is of this shape; a `PluginError` if it does not say so."""
    what = f"the student '{name}'"
    has(what, student, in_channels=int, out_channels=int, decoder_channels=int, head=nn.Module, fewest_points=int)
    for key, wanted in {"in_channels": in_channels, "out_channels": out_channels}.items():
        said = getattr(student, key)
        if said != wanted:
            raise PluginError(f"{what} was built with {wanted} as {key}, but says {said}")
    return student


def require_answers(student: Student, name: str) -> None:
    """A `PluginError` unless a student's output is what its contract says of it, tried on a small cloud.

    That is: of its width, made by its head of the decoder's features, and for rows the same as for all points.
    """
    what, count = f"the student '{name}'", max(64, student.fewest_points)
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(count, student.in_channels, generator=generator)
    batch = Batch(4 * torch.rand(count, 3, generator=generator), features, torch.tensor([0, count]), ["a trial"])
    rows = torch.tensor([count - 1, 0, 0])
    with torch.random.fork_rng(devices=[]), evaluating(student):
        try:
            output, some = student(batch), student(batch, rows)
            decoded, few = student.decoder_features(batch), student.decoder_features(batch, rows)
            headed = student.head(decoded)
        except PointliftError:
            raise
        except Exception as error:  # whatever a network of somebody else raises
            said = " ".join(f"{type(error).__name__}: {error}".split())
            raise PluginError(f"{what} cannot be asked for the features of {count} points: {said}") from error
    width = student.out_channels or student.decoder_channels
    for found, wanted, said in (
        (output, (count, width), "its output"),
        (some, (3, width), "its output for rows"),
        (decoded, (count, student.decoder_channels), "decoder_features"),
        (few, (3, student.decoder_channels), "decoder_features for rows"),
    ):
        if tuple(found.shape) != wanted:
            raise PluginError(f"{what}: {said} must be of the shape {wanted}, and is {tuple(found.shape)}")
    for found, right, said in (
        (output, headed, "its output is not what its head makes of decoder_features, which fine-tuning builds on"),
        (some, output[rows], "its output for rows is not that of the same points among all"),
        (few, decoded[rows], "decoder_features for rows are not those of the same points among all"),
    ):
        if found.shape != right.shape or not torch.allclose(
            found, right, rtol=1e-2, atol=1e-3 * float(right.abs().max())
        ):
            raise PluginError(f"{what}: {said}")
