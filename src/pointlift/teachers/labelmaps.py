"""Per-pixel classes from image files: the predictions of any 2D network, or true ones, as a teacher."""

from __future__ import annotations

import io
import string
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pointlift.data.class_maps import NOTHING, UNKNOWN, ClassMap, load_class_list
from pointlift.errors import DataError, RecipeError
from pointlift.files import read_bytes
from pointlift.options import LOCAL, NAMED_PLACE, PLACE
from pointlift.registry import TEACHERS
from pointlift.teachers.base import Teacher, fingerprint_of
from pointlift.teachers.file_patterns import FIELDS, file_of, without_place
from pointlift.teachers.label_space import LabelSpace, chosen_map

if TYPE_CHECKING:
    from pointlift.data.scene import View

_PNG = b"\x89PNG\r\n\x1a\n"
_GREY, _PALETTE = 0, 3  # colour types of PNG


@TEACHERS.register("labelmaps")
class LabelMaps(Teacher):
    """Per-pixel classes from PNG files, the predictions of any 2D network: one-hot, or text embeddings of their names.

    A map has the size of its image, one 8-bit channel (or a palette) and the id of a class at each pixel. Ids that are
    ignored, and classes that ``map`` leaves out, are zeros: there the teacher says nothing. The fingerprint knows the
    classes, and the pattern as `without_place` leaves it, but not what the maps say: those of another network belong
    into a folder of another name.

    Args:
        path: the map of an image, with ``{folder}`` the image's folder, ``{stem}`` its name without suffix and
            ``{view}`` the name of the camera, as in ``{folder}/../labels/{stem}.png``.
        classes: list of the ids in the maps: the name of a shipped one (``cityscapes19``) or a YAML file; None: the
            source of ``map``.
        map: to the classes to lift: a shipped map (``cityscapes-to-semantickitti``) or a YAML file; None: the same.
        text_source: folder or hub id of a CLIP or SigLIP whose text encoder embeds the names of the classes; None:
            one-hot, every class a dimension of its own.
        templates: name of the set of sentences around the names for the text encoder.
        download: whether a hub id that is not on this machine may be downloaded.

    Raises:
        RecipeError: the pattern, a class list or a map is not valid; the message names the file and the class.
        CheckpointError: the text encoder cannot be read.
    """

    has_text: ClassVar[bool] = True
    reads_files: ClassVar[bool] = True

    def __init__(
        self,
        *,
        path: Annotated[str, PLACE],
        classes: Annotated[str | None, NAMED_PLACE] = None,
        map: Annotated[str | None, NAMED_PLACE] = None,
        text_source: Annotated[str | None, PLACE] = None,
        templates: str = "plain",
        download: Annotated[bool, LOCAL] = False,
    ) -> None:
        super().__init__()
        self.pattern = _checked_pattern(path)
        needed = "teacher 'labelmaps' needs 'classes' or 'map', such as map: cityscapes-to-semantickitti"
        self.classes = chosen_map(None if classes is None else load_class_list(classes), map, needed)
        self.space = LabelSpace(self.classes, text_source, templates, download)
        self.templates, self.has_classes = self.space.templates, text_source is None
        self._table = self.classes.table()
        self.dim, self.stride = self.space.dim, 1
        self.freeze()
        self.fingerprint = fingerprint_of(
            self, "LabelMaps", path=without_place(path), table=self._table.tolist(), **self.space.settings
        )

    @property
    def map_channels(self) -> int:
        """One for each class of the target."""
        return len(self.classes.target.names)

    def lift(self, samples: Tensor) -> Tensor:
        """Features (P, D) of class shares (P, C)."""
        return samples if self.space.text_source is None else samples @ self.space.vectors.to(samples.device)

    def embed_text(self, prompts: Sequence[str]) -> Tensor:
        """Unit features (C, D) of C prompts, which must be names of classes unless there is a text encoder."""
        return self.space.embed_text(prompts)

    def file(self, view: View) -> Path:
        """Where the map of a view is; a `DataError` if its image is not a file."""
        image = view.path
        if image is None:
            raise DataError(f"view '{view.name}': its image is not a file, so there is no label map beside it")
        return file_of(self.pattern, image.parent, image.stem, view.name)

    def require_files(self, views: Iterable[View]) -> None:
        """A `DataError` that names the first missing map and counts all, if there is any."""
        files = [self.file(view) for view in views]
        missing = [file for file in files if not file.is_file()]
        if missing:
            raise DataError(
                f"{missing[0]}: the label map is missing ({len(missing)} of {len(files)} views lack theirs); "
                "teacher.path says where they are"
            )

    def _features(self, images: Tensor, views: Sequence[View] | None) -> Tensor:
        if views is None:
            raise DataError("the teacher 'labelmaps' reads maps of views, and cannot look at an image alone")
        size = (int(images.shape[2]), int(images.shape[3]))
        indices = torch.from_numpy(np.stack([self._indices(view, size) for view in views]))
        # Channels last, so that sampling needs no copy; the last row is for `NOTHING`.
        rows = torch.cat([torch.eye(self.map_channels), torch.zeros(1, self.map_channels)])
        return rows[indices].permute(0, 3, 1, 2)

    def _indices(self, view: View, size: tuple[int, int]) -> np.ndarray:
        """Class (H, W) of the target at each pixel, `NOTHING` where there is none."""
        file = self.file(view)
        ids = read_label_map(file)
        if ids.shape != size:
            raise DataError(
                f"{file}: the label map is {ids.shape[1]} x {ids.shape[0]} pixels, but its image {view.path} is "
                f"{size[1]} x {size[0]}; they must be of one size"
            )
        indices = self._table[ids]
        if (indices == UNKNOWN).any():
            raise DataError(f"{file}: {_unknown(np.unique(ids[indices == UNKNOWN]), self.classes)}")
        assert indices.min() >= NOTHING
        return indices


def read_label_map(file: Path) -> np.ndarray:
    """The ids (H, W) uint8 of a PNG of one 8-bit channel or with a palette; a `DataError` if it is anything else."""
    data = read_bytes(file)
    if data[:8] != _PNG or len(data) < 26:
        raise DataError(f"{file}: the label map is not a PNG file")
    depth, color = data[24], data[25]
    if color != _PALETTE and (depth, color) != (8, _GREY):
        kinds = {0: "grey", 2: "colour", 4: "grey with alpha", 6: "colour with alpha"}
        raise DataError(
            f"{file}: the label map must be a PNG of one 8-bit channel or with a palette, not {depth}-bit "
            f"{kinds.get(color, 'unknown')}"
        )
    try:
        return np.array(Image.open(io.BytesIO(data)))
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, zlib.error, …
        raise DataError(f"{file}: the label map cannot be decoded ({error})") from error


def _unknown(ids: np.ndarray, classes: ClassMap) -> str:
    said = ", ".join(str(number) for number in ids[:4]) + (", …" if len(ids) > 4 else "")
    known, ignored = classes.source.ids, classes.source.ignored
    aside = f" and {', '.join(map(str, ignored))} for none" if ignored else ""
    return (
        f"the class list {classes.source.where} does not have the id{'s' if len(ids) > 1 else ''} {said}; it has "
        f"{len(known)} from {known[0]} to {known[-1]}{aside}"
    )


def _checked_pattern(path: str) -> str:
    try:
        fields = {name for _, name, _, _ in string.Formatter().parse(path) if name is not None}
    except ValueError as error:
        raise RecipeError(f"teacher.path '{path}' is not a valid pattern: {error}") from error
    if not fields <= set(FIELDS) or "stem" not in fields:
        raise RecipeError(
            f"teacher.path '{path}' needs {{stem}} and may use {{folder}} and {{view}}, as in "
            "{folder}/../labels/{stem}.png"
        )
    return str(Path(path).expanduser())
