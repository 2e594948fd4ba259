"""What every teacher is: a frozen 2D network that turns images into dense features."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import torch
from torch import Tensor, nn

from pointlift.contract import derives, has, overrides, takes
from pointlift.errors import PluginError, PointliftError
from pointlift.teachers.images import PREPROCESSING_VERSION, teacher_size

if TYPE_CHECKING:
    from pointlift.data.scene import View
    from pointlift.registry import Part


class Teacher(nn.Module):
    """A frozen 2D network: no parameter needs gradient, and it stays in eval mode whatever its parent does.

    A subclass implements `_features` and, at the end of its constructor, sets ``dim``, ``stride`` and ``fingerprint``
    and calls `freeze`. One whose features are a linear function of narrower maps, such as class probabilities times
    embeddings of the classes, keeps maps of ``map_channels`` and implements `lift`. One with token sets implements
    `tokens`, one with a text side `embed_text`, and each says so below. A feature of zeros means that the teacher says
    nothing of that pixel.

    Attributes:
        dim: channels D of its dense features and of its text side; of the tokens, where it has no dense features.
        stride: pixels per feature; image sides must be multiples of it.
        fingerprint: what weights and options are, wherever they lie, see `fingerprint_of`.
        has_features: whether it has dense features.
        has_text: whether it has a text side, see `embed_text`.
        has_classes: whether its dense features are class probabilities, a channel a class and none negative.
        former_fingerprints: under which earlier versions knew what has this ``fingerprint`` today.
        token_shape: T and D of its token sets; None where it has none.
        token_settings: what its token sets depend on beside the fingerprint, as part of the name of a cache entry.
        reads_files: whether it reads what it says from files beside the images: it is given views and no pixels, sees
            each image at its own size, and nothing of it is cached.
        templates: sentences around the names of classes that its text side is usually asked with.
    """

    dim: int
    stride: int
    fingerprint: str
    has_features: ClassVar[bool] = True
    has_text: ClassVar[bool] = False
    has_classes: bool = False
    former_fingerprints: tuple[str, ...] = ()
    token_shape: tuple[int, int] | None = None
    token_settings: str = ""
    reads_files: ClassVar[bool] = False
    templates: tuple[str, ...] = ("{}",)

    @classmethod
    def stand_in(cls, **options: Any) -> dict[str, Any] | None:
        """Options that differ where a random teacher of the same shape must stand in for one that is not here.

        Args:
            options: with which the teacher would be built.

        Returns:
            None where it can be built on this machine, and where nothing can stand in for it.
        """
        return None

    def features(self, images: Tensor, views: Sequence[View] | None = None) -> Tensor:
        """Dense maps of images, without gradient and in float32 even inside mixed precision; `lift` ends the work.

        Args:
            images: (B, 3, H, W) RGB in [0, 1], before any normalisation; H and W multiples of ``stride``.
            views: the B views that the images come from, for teachers that read further files of a view.

        Returns:
            (B, C, H / stride, W / stride) float32 on the teacher's device, C being ``map_channels``.

        Raises:
            ValueError: if the shape is not that; the message gives the nearest right size.
        """
        self._check(images)
        device = self.device
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            return self._features(images.to(device, torch.float32), views)

    def forward(self, images: Tensor, views: Sequence[View] | None = None) -> Tensor:
        """Same as `features`."""
        return self.features(images, views)

    def lift(self, samples: Tensor) -> Tensor:
        """Features (P, D) of samples (P, C) of the maps, on the device of the samples.

        Linear, so that it commutes with bilinear sampling; the identity unless a subclass keeps narrower maps.
        """
        return samples

    @property
    def map_channels(self) -> int:
        """Channels C of the maps that `features` returns; ``dim`` unless a subclass keeps narrower ones."""
        return self.dim

    def known_as(self, fingerprint: str | None) -> str:
        """The fingerprint under which a run that began with ``fingerprint`` knows this teacher, if it is the same one.

        That is ``fingerprint`` itself where an earlier version gave it to this teacher, else today's.
        """
        return fingerprint if fingerprint is not None and fingerprint in self.former_fingerprints else self.fingerprint

    def require_files(self, views: Iterable[View]) -> None:
        """A `DataError` that names what is missing of the files that a teacher which ``reads_files`` needs of views."""

    def tokens(self, images: Tensor, views: Sequence[View] | None = None) -> Tensor:
        """A set of T tokens for each image, (B, T, D); a `PointliftError` where the teacher has none."""
        self.lacks("token sets")

    def embed_text(self, prompts: Sequence[str]) -> Tensor:
        """Features of C prompts in the space of the dense features, (C, D); a `PointliftError` without text encoder."""
        self.lacks("text encoder")

    @property
    def device(self) -> torch.device:
        """Where the teacher's weights are (the CPU if it has none)."""
        return next((tensor.device for tensor in (*self.parameters(), *self.buffers())), torch.device("cpu"))

    def freeze(self) -> None:
        """No gradients and eval mode, for good."""
        self.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> Teacher:
        """Stay in eval mode: a parent's ``train()`` must not switch on dropout or batch statistics."""
        super().train(False)
        return self

    def _features(self, images: Tensor, views: Sequence[View] | None) -> Tensor:
        raise NotImplementedError

    def _check(self, images: Tensor) -> None:
        if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
            raise ValueError(
                f"a teacher takes float images (B, 3, H, W) in [0, 1], not {images.dtype} {tuple(images.shape)}"
            )
        height, width = int(images.shape[2]), int(images.shape[3])
        right = teacher_size((height, width), self.stride)
        if (height, width) != right:
            raise ValueError(
                f"images of {height}x{width} (height x width) are not multiples of the teacher's stride {self.stride}; "
                f"the nearest right size is {right[0]}x{right[1]}"
            )

    def lacks(self, what: str) -> NoReturn:
        """Raise the `PointliftError` that says what this teacher does not have."""
        raise PointliftError(f"the teacher {type(self).__name__} has no {what}; choose one that has")


def check_teacher(part: Part) -> None:
    """A `ValueError` unless what is registered is a teacher whose class says what it implements."""
    what, kind = f"the teacher '{part.name}'", part.factory
    derives(what, kind, Teacher)
    assert isinstance(kind, type)
    takes(what, kind)
    dense = any(overrides(kind, Teacher, one) for one in ("_features", "features"))
    if not dense and not overrides(kind, Teacher, "has_features"):
        raise ValueError(f"{what} must implement _features, or say has_features = False and implement tokens")
    text, said = (overrides(kind, Teacher, one) for one in ("embed_text", "has_text"))
    if text and not said:
        raise ValueError(f"{what} implements embed_text, so it must say has_text = True in its class")
    if said and not text and inspect.getattr_static(kind, "has_text") is True:
        raise ValueError(f"{what} says has_text = True, so it must implement embed_text")
    if inspect.getattr_static(kind, "token_shape") and not overrides(kind, Teacher, "tokens"):
        raise ValueError(f"{what} has a token_shape, so it must implement tokens")


def checked_teacher(teacher: Teacher, name: str) -> Teacher:
    """A teacher that was built, if it says what is asked of it; a `PluginError` otherwise."""
    what, kind = f"the teacher '{name}'", type(teacher)
    has(what, teacher, dim=int, stride=int, fingerprint=str, map_channels=int)
    if teacher.dim < 1 or teacher.stride < 1 or not teacher.fingerprint:
        raise PluginError(
            f"{what} must have positive numbers as 'dim' and 'stride', and a 'fingerprint' that is not ''"
        )
    if teacher.training or any(parameter.requires_grad for parameter in teacher.parameters()):
        raise PluginError(f"{what} is not frozen: it must call freeze() at the end of its constructor")
    if teacher.token_shape is None:
        said = overrides(kind, Teacher, "token_shape") or "token_shape" in vars(teacher)
        if overrides(kind, Teacher, "tokens") and not said:
            raise PluginError(f"{what} implements tokens, so it must set token_shape, their number and channels")
    elif not overrides(kind, Teacher, "tokens"):
        raise PluginError(f"{what} sets token_shape, so it must implement tokens")
    if teacher.map_channels != teacher.dim and not overrides(kind, Teacher, "lift"):
        raise PluginError(
            f"{what} keeps maps of {teacher.map_channels} channels, so it must implement lift to {teacher.dim}"
        )
    return teacher


def fingerprint_of(network: nn.Module, kind: str, **settings: Any) -> str:
    """SHA-256 over all that determines a teacher's output: kind, image preprocessing, settings and every weight.

    The values of the weights are hashed and not their files, so that it does not matter where these lie, and a random
    teacher, whose weights depend on the version of torch as well as on its seed, is never taken for another.

    Args:
        network: the teacher, or another network, with all its weights.
        kind: what computes with these weights; written down, and not a class's name, which may change.
        settings: all else that changes the output.
    """
    digest = hashlib.sha256()
    settings = {"class": kind, "preprocessing": PREPROCESSING_VERSION, **settings}
    digest.update(json.dumps(settings, sort_keys=True, default=str).encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
