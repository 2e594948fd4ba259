"""Token sets from files, such as caption embeddings that another program wrote: a teacher for concept distillation."""

from __future__ import annotations

import hashlib
import string
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import torch
from pydantic import Field
from safetensors import SafetensorError, safe_open
from torch import Tensor

from pointlift.errors import DataError, RecipeError
from pointlift.files import unreadable
from pointlift.options import PLACE
from pointlift.registry import TEACHERS
from pointlift.teachers.base import Teacher, fingerprint_of
from pointlift.teachers.file_patterns import FIELDS, file_of, without_place

if TYPE_CHECKING:
    from pointlift.data.scene import View

Count = Annotated[int, Field(ge=1)]


@TEACHERS.register("embeddings")
class Embeddings(Teacher):
    """Token sets from safetensors files: one file with a tensor for each image, or one file for each image.

    A tensor is (T, D), or (D,) for a single token. There are no dense features. The fingerprint knows names, shapes and
    values in one file, which is read once for that, or the pattern of several as `without_place` leaves it, but not
    what they say. Earlier versions left out the values; runs of theirs go on with whatever has the same names.

    Args:
        path: one file, whose tensors are called as the images without suffix (``frame-000010``); or, with fields, the
            file of an image, which holds one tensor: ``{folder}`` is the image's folder, ``{stem}`` its name without
            suffix and ``{view}`` the name of the camera, as in ``{folder}/{stem}.safetensors``.
        shape: T and D; needed where ``path`` has fields, otherwise read from the file.

    Raises:
        RecipeError: the pattern is not valid, or the shape is missing.
        DataError: the file is missing or damaged, or its tensors differ in shape.
    """

    has_features: ClassVar[bool] = False
    reads_files: ClassVar[bool] = True

    def __init__(self, *, path: Annotated[str, PLACE], shape: tuple[Count, Count] | None = None) -> None:
        super().__init__()
        self.pattern = str(Path(path).expanduser())
        self.per_image = _has_fields(path)
        known: list[str] = []
        values = ""
        if not self.per_image:
            shapes = _shapes(Path(self.pattern))
            known = [f"{name} {size}" for name, size in sorted(shapes.items())]
            shape = _common_shape(Path(self.pattern), shapes, shape)
            values = _values(Path(self.pattern), sorted(shapes))
        if shape is None:
            raise RecipeError("teacher 'embeddings' with a file for each image needs 'shape', such as shape: [10, 768]")
        self.token_shape = (int(shape[0]), int(shape[1]))
        self.dim, self.stride = self.token_shape[1], 1
        self.freeze()
        content = hashlib.sha256("\n".join(known).encode()).hexdigest() if known else without_place(self.pattern)
        self.fingerprint = fingerprint_of(self, "Embeddings", content=content, shape=self.token_shape)
        if values:
            self.former_fingerprints = (self.fingerprint,)
            settings = {"content": content, "values": values, "shape": self.token_shape}
            self.fingerprint = fingerprint_of(self, "Embeddings", **settings)

    def tokens(self, images: Tensor, views: Sequence[View] | None = None) -> Tensor:
        """The token sets (B, T, D) of views; the images are not looked at."""
        if views is None:
            raise DataError("the teacher 'embeddings' reads token sets of views, and cannot look at an image alone")
        return torch.stack([self._read(view) for view in views])

    def require_files(self, views: Iterable[View]) -> None:
        """A `DataError` that names the first image without a token set and counts all, if there is any."""
        views = list(views)
        if self.per_image:
            missing = [str(self._file(view)) for view in views if not self._file(view).is_file()]
        else:
            names = _shapes(Path(self.pattern)).keys()
            missing = [f"{self.pattern}: '{_stem(view)}'" for view in views if _stem(view) not in names]
        if missing:
            raise DataError(
                f"{missing[0]}: the token set is missing ({len(missing)} of {len(views)} images lack theirs)"
            )

    def _features(self, images: Tensor, views: Sequence[View] | None) -> Tensor:
        self.lacks("dense features")

    def _read(self, view: View) -> Tensor:
        path = self._file(view)
        try:
            with safe_open(path, framework="pt") as entry:
                names = list(entry.keys())
                name = names[0] if self.per_image and len(names) == 1 else _stem(view)
                if name not in names:
                    raise DataError(f"{path}: there is no tensor '{name}'; it has {', '.join(names[:3]) or 'none'}")
                tokens = _as_set(entry.get_tensor(name).float())
        except (SafetensorError, OSError) as error:
            raise DataError(unreadable(path, "the token set cannot be read", error)) from error
        if tuple(tokens.shape) != self.token_shape:
            raise DataError(
                f"{path}: '{name}' is {tuple(tokens.shape)} and should be {self.token_shape} (teacher.shape)"
            )
        return tokens

    def _file(self, view: View) -> Path:
        if not self.per_image:
            return Path(self.pattern)
        folder = "" if view.path is None else view.path.parent
        return file_of(self.pattern, folder, _stem(view), view.name)


def _stem(view: View) -> str:
    if view.path is None:
        raise DataError(f"view '{view.name}': its image is not a file, so no token set is known by its name")
    return view.path.stem


def _as_set(tokens: Tensor) -> Tensor:
    return tokens[None] if tokens.ndim == 1 else tokens


def _has_fields(path: str) -> bool:
    try:
        fields = {field for _, field, _, _ in string.Formatter().parse(path) if field is not None}
    except ValueError as error:
        raise RecipeError(f"teacher.path: '{path}' is not a pattern: {error}") from error
    unknown = sorted(fields - set(FIELDS))
    if unknown:
        raise RecipeError(f"teacher.path: '{path}' has the field '{unknown[0]}'; known are: {', '.join(FIELDS)}")
    return bool(fields)


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor of a file, as a set of tokens."""
    if not path.is_file():
        raise DataError(f"{path}: the file of token sets is missing (teacher.path)")
    try:
        with safe_open(path, framework="pt") as entry:
            found: dict[str, Any] = {name: tuple(entry.get_slice(name).get_shape()) for name in entry.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise DataError(unreadable(path, "the token sets cannot be read", error)) from error
    return {name: (1, *size) if len(size) == 1 else size for name, size in found.items()}


def _values(path: Path, names: Iterable[str]) -> str:
    """SHA-256 of the tensors of a file in the order of their names, wherever in it they lie; one is read at a time."""
    digest = hashlib.sha256()
    try:
        with safe_open(path, framework="pt") as entry:
            for name in names:
                tensor = entry.get_tensor(name).contiguous()
                digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
                digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
    except (SafetensorError, OSError) as error:
        raise DataError(unreadable(path, "the token sets cannot be read", error)) from error
    return digest.hexdigest()


def _common_shape(path: Path, shapes: dict[str, tuple[int, ...]], wanted: tuple[int, int] | None) -> tuple[int, int]:
    if not shapes:
        raise DataError(f"{path}: there is no token set in the file")
    first = tuple(wanted or next(iter(shapes.values())))
    other = next((name for name, size in shapes.items() if size != first), None)
    if other is not None or len(first) != 2:
        name = other or next(iter(shapes))
        raise DataError(f"{path}: '{name}' is {shapes[name]}; all token sets must be of one shape (T, D), here {first}")
    return first[0], first[1]
