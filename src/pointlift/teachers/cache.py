"""Teacher features on disk, computed once for each image."""

from __future__ import annotations

import hashlib
import logging
import os
import time
import zlib
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize
from torch import Tensor

from pointlift.errors import DataError
from pointlift.files import write_atomically
from pointlift.teachers.base import Teacher
from pointlift.teachers.images import teacher_size, view_features

if TYPE_CHECKING:
    from pointlift.data.scene import View

_log = logging.getLogger(__name__)

_STALE_AFTER_SECONDS = 3600.0


class FeatureCache:
    """Feature maps by image: what a teacher says of an image at one size, computed once and kept as float16.

    An entry is ``folder/<fingerprint[:16]>/<image hash>-<height>x<width>.safetensors``. The image's bytes, the
    teacher's fingerprint and the size are its key, so that a changed image or teacher never meets old features.
    Entries appear complete or not at all (written beside, then renamed), so any number of processes may share a
    folder. A damaged entry is computed anew, with a warning.

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
        self.teacher = teacher
        self.image_size = image_size
        self.scale = scale
        self.folder = None if folder is None else Path(folder).expanduser() / teacher.fingerprint[:16]
        self._budget = float("inf") if folder is None else memory_megabytes * 2**20
        self._maps: OrderedDict[str, Tensor] = OrderedDict()  # least recently used first, each (h, w, D) float16
        self._maps_bytes = 0
        self._hashes: dict[tuple[str, int, int], str] = {}

    def features(self, view: View) -> Tensor:
        """The (D, h, w) float16 feature map of a view's image, in channels-last memory, on the CPU."""
        feature_map = self._find(view)
        if feature_map is None:
            feature_map = self._compute([view])[0]
            self._store(self.key(view), view, feature_map)
        return feature_map.permute(2, 0, 1)

    def fill(self, views: Iterable[View]) -> int:
        """Compute and keep the maps of those views that have none yet, equal sizes in one batch; return how many."""
        missing = {self.key(view): view for view in views if self._find(view) is None}
        for (key, view), feature_map in zip(missing.items(), self._compute(list(missing.values())), strict=True):
            self._store(key, view, feature_map)
        return len(missing)

    def key(self, view: View) -> str:
        """Name of a view's entry: hash of the image's bytes, and the size at which the teacher sees it."""
        height, width = teacher_size(view.size, self.teacher.stride, self.image_size, self.scale)
        return f"{self._image_hash(view)[:32]}-{height}x{width}"

    def _find(self, view: View) -> Tensor | None:
        key = self.key(view)
        if key in self._maps:
            self._maps.move_to_end(key)
            return self._maps[key]
        feature_map = self._read(key, view)
        if feature_map is not None:
            self._remember(key, feature_map)
        return feature_map

    def _compute(self, views: list[View]) -> list[Tensor]:
        """(h, w, D) float16 maps of views."""
        if views and self.teacher.device.type != "cpu" and torch.utils.data.get_worker_info() is not None:
            raise DataError(
                f"{_where(views[0])}: its teacher features are not in the cache, and a data-loading process cannot "
                "compute them on an accelerator; fill the cache first"
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

    def _remember(self, key: str, feature_map: Tensor) -> None:
        if feature_map.nbytes > self._budget or key in self._maps:
            return
        self._maps[key] = feature_map
        self._maps_bytes += feature_map.nbytes
        while self._maps_bytes > self._budget:
            _, oldest = self._maps.popitem(last=False)
            self._maps_bytes -= oldest.nbytes

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

    def _entry(self, key: str) -> Path | None:
        return None if self.folder is None else self.folder / f"{key}.safetensors"

    def _metadata(self, view: View, feature_map: Tensor) -> dict[str, str]:
        return {
            "checksum": _checksum(feature_map),
            "fingerprint": self.teacher.fingerprint,
            "image_sha256": self._image_hash(view),
            "image_size": "x".join(str(side) for side in view.size),
        }

    def _read(self, key: str, view: View) -> Tensor | None:
        """The entry of a key; None, with a warning if it is damaged, where there is none to use."""
        path = self._entry(key)
        if path is None or not path.is_file():
            return None
        try:
            with safe_open(path, framework="pt") as entry:
                feature_map, metadata = entry.get_tensor("features"), entry.metadata()
        except (SafetensorError, OSError, ValueError) as error:
            _log.warning("%s is damaged (%s); its features are computed again", path, error)
            return None
        if metadata != self._metadata(view, feature_map):
            _log.warning("%s is damaged (its checksum or key differs); its features are computed again", path)
            return None
        return feature_map

    def _store(self, key: str, view: View, feature_map: Tensor) -> None:
        path = self._entry(key)
        if path is not None:
            write_atomically(path, serialize({"features": feature_map}, self._metadata(view, feature_map)))
        self._remember(key, feature_map)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the maps in memory that the disk has too, so that worker processes start quickly."""
        state = self.__dict__.copy()
        if self.folder is not None:
            state.update(_maps=OrderedDict(), _maps_bytes=0)
        return state


def remove_stale(folder: Path) -> None:
    """Remove what killed processes left half-written in a folder more than an hour ago."""
    for path in folder.glob(".*.tmp"):
        try:
            if time.time() - path.stat().st_mtime > _STALE_AFTER_SECONDS:
                path.unlink(missing_ok=True)
        except OSError:  # another process was quicker
            continue


def _checksum(feature_map: Tensor) -> str:
    """CRC-32 of type, shape and values: it guards against damage, not against forgery."""
    head = f"{feature_map.dtype} {tuple(feature_map.shape)}".encode()
    values: Any = feature_map.contiguous().reshape(-1).view(torch.uint8).numpy()
    return f"{zlib.crc32(values, zlib.crc32(head)):08x}"


def _where(view: View) -> str:
    return str(view.path or f"view '{view.name}'")
