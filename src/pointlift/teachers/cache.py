"""Teacher features on disk, computed once for each image: which entry is whose, and the cache of dense features.

An entry is ``FOLDER/<fingerprint[:16]>/<image hash>-<height>x<width>.safetensors``, with FOLDER `features_folder` or
what the recipe says (``cache.folder``). `pointlift.teachers.tokens` keeps token sets beside them, and
`pointlift.teachers.store` reads and writes both.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pointlift.errors import DataError
from pointlift.teachers.base import Teacher
from pointlift.teachers.images import teacher_size, view_features
from pointlift.teachers.store import Entry, Store

if TYPE_CHECKING:
    from pointlift.data.scene import View


def features_folder() -> Path:
    """Where features are kept unless a recipe says otherwise."""
    return Path.home() / ".cache" / "pointlift" / "features"


class ImageKeys:
    """Keys of what a teacher says of images: the image's bytes, the teacher's fingerprint and the size it is seen at.

    So a changed image or teacher never meets old features, and the same image elsewhere meets its own.

    Args:
        teacher: looks at the images.
        image_size: (height, width) at which it sees every image, rounded to its stride; None: the image's own size.
        scale: factor on that size.
    """

    def __init__(self, teacher: Teacher, image_size: tuple[int, int] | None = None, scale: float = 1.0) -> None:
        self.teacher, self.image_size, self.scale = teacher, image_size, scale
        self._hashes: dict[tuple[str, int, int], str] = {}

    def size(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """The (height, width) at which the teacher sees an image of this (height, width)."""
        if self.teacher.reads_files:
            return image_size
        return teacher_size(image_size, self.teacher.stride, self.image_size, self.scale)

    def entry(self, view: View) -> Entry:
        """A view's entry in the teacher's folder; the key has but the beginning of the image's hash."""
        image, size = self._image_hash(view), view.size
        origin = {
            "fingerprint": self.teacher.fingerprint,
            "image_sha256": image,
            "image_size": "x".join(str(side) for side in size),
        }
        height, width = self.size(size)
        return Entry(f"{image[:32]}-{height}x{width}", origin)

    def _image_hash(self, view: View) -> str:
        path = view.path
        if path is None:
            image = view.image
            return hashlib.sha256(str(image.shape).encode() + image.tobytes()).hexdigest()
        try:
            status = os.stat(path)
            memo = (str(path), status.st_mtime_ns, status.st_size)
            if memo not in self._hashes:
                self._hashes[memo] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        except OSError as error:
            raise DataError(f"{path}: the image cannot be read: {error.strerror}") from error
        return self._hashes[memo]


class FeatureCache:
    """Feature maps by image: what a teacher says of an image at one size, computed once and kept as float16.

    Args:
        folder: where the entries are; None keeps them in memory only.
        teacher: computes what is missing.
        image_size: (height, width) at which the teacher sees every image, rounded to its stride; None: its own size.
        scale: factor on that size.
        memory_megabytes: maps that were used last stay in memory up to this size (for each process).
    """

    def __init__(
        self,
        folder: Path | str | None,
        teacher: Teacher,
        image_size: tuple[int, int] | None = None,
        *,
        scale: float = 1.0,
        memory_megabytes: float = 128.0,
    ) -> None:
        self.teacher, self.image_size, self.scale = teacher, image_size, scale
        self.keys = ImageKeys(teacher, image_size, scale)
        self.folder = None if folder is None else Path(folder).expanduser() / teacher.fingerprint[:16]
        self.store = Store(self.folder, "features", memory_megabytes * 2**20)

    def features(self, view: View) -> Tensor:
        """The (D, h, w) float16 feature map of a view's image, in channels-last memory, on the CPU."""
        entry = self.keys.entry(view)
        feature_map = self.store.find(entry)
        if feature_map is None:
            feature_map = self._compute([view])[0]
            self.store.keep(entry, feature_map)
        return feature_map.permute(2, 0, 1)

    def fill(self, views: Iterable[View]) -> int:
        """Compute and keep the maps of those views that have none yet, equal sizes in one batch; return how many."""
        entries = {entry.key: (entry, view) for view in views for entry in [self.keys.entry(view)]}
        missing = [(entry, view) for entry, view in entries.values() if self.store.find(entry) is None]
        for (entry, _), feature_map in zip(missing, self._compute([view for _, view in missing]), strict=True):
            self.store.keep(entry, feature_map)
        return len(missing)

    def key(self, view: View) -> str:
        """Name of a view's entry: hash of the image's bytes, and the size at which the teacher sees it."""
        return self.keys.entry(view).key

    def _compute(self, views: list[View]) -> list[Tensor]:
        """(h, w, D) float16 maps of views."""
        if views and cannot_compute(self.teacher):
            raise DataError(
                f"{_where(views[0])}: its teacher features are not in the cache, and a data-loading process cannot "
                "compute them; fill the cache first"
            )
        maps = []
        for view, feature_map in zip(
            views, view_features(self.teacher, views, self.image_size, self.scale), strict=True
        ):
            half = feature_map.permute(1, 2, 0).contiguous().half()
            if not bool(torch.isfinite(half).all()):
                raise DataError(f"{_where(view)}: the teacher's features are not finite in half precision")
            maps.append(half)
        return maps


def cannot_compute(teacher: Teacher) -> bool:
    """Whether this is a data-loading process while the teacher is on an accelerator, or was not sent to it."""
    return teacher.device.type != "cpu" and torch.utils.data.get_worker_info() is not None and not teacher.reads_files


def _where(view: View) -> str:
    return str(view.path or f"view '{view.name}'")
