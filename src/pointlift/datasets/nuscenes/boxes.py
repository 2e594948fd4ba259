"""Boxes of keyframes, from sample_annotation.json, in the world's frame until they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pointlift.data import camera
from pointlift.data.formats.matrices import quaternion_rotation
from pointlift.datasets.nuscenes.classes import box_label
from pointlift.datasets.nuscenes.tables import (
    AnnotationRow,
    CategoryRow,
    InstanceRow,
    SampleRow,
    dangling,
    decoding,
    quaternion,
    read_table,
    stream_table,
    text,
    vector,
)

TABLES = ("sample_annotation", "instance", "category")


class Boxes:
    """The boxes of some keyframes.

    Args:
        folder: where the tables are.
        tokens: of the samples, one per keyframe.
    """

    def __init__(self, folder: Path, tokens: Sequence[str]) -> None:
        frame_of = dict.fromkeys((row.token for row in read_table(folder, "sample", SampleRow)), -1)
        frame_of.update((token, number) for number, token in enumerate(tokens))
        label_of = _labels(folder)
        frames, values, labels = [], [], []
        path = folder / "sample_annotation.json"
        for part in stream_table(folder, "sample_annotation", AnnotationRow):
            with decoding(path):
                for row in part:
                    frame = frame_of.get(row.sample_token)
                    if frame is None:
                        raise dangling(path, "sample_token", row.sample_token, "sample")
                    if frame < 0:
                        continue
                    instance = text(row.instance_token)
                    if instance not in label_of:
                        raise dangling(path, "instance_token", instance, "instance")
                    frames.append(frame)
                    labels.append(label_of[instance])
                    values.append((*vector(row.translation), *quaternion(row.rotation), *vector(row.size)))
        order = np.argsort(frames, kind="stable")
        self._frames = np.array(frames, dtype=np.int64)[order]
        self._labels = np.array(labels, dtype=np.int64)[order]
        self._values = np.array(values, dtype=np.float64).reshape(-1, 10)[order]

    def of(self, frame: int, frame_from_global: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (B, 7) in a frame that is reached by a rigid transform (4, 4), and their labels (B,).

        The tables give width, length and height, along y, x and z of the box.
        """
        low, high = np.searchsorted(self._frames, (frame, frame + 1))
        values = self._values[low:high]
        boxes = np.empty((len(values), 7))
        boxes[:, :3] = camera.transform(frame_from_global, values[:, :3])
        boxes[:, 3:6] = values[:, [8, 7, 9]]
        for box, value in zip(boxes, values, strict=True):
            forward = frame_from_global[:3, :3] @ quaternion_rotation(value[3:7])[:, 0]
            box[6] = np.arctan2(forward[1], forward[0])
        return boxes, self._labels[low:high]


def _labels(folder: Path) -> dict[str, int]:
    """Index in `classes.BOX_NAMES` of every instance token, -1 for what is none of them."""
    category = {row.token: box_label(row.name) for row in read_table(folder, "category", CategoryRow)}
    labels = {}
    for row in read_table(folder, "instance", InstanceRow):
        if row.category_token not in category:
            raise dangling(folder / "instance.json", "category_token", row.category_token, "category")
        labels[row.token] = category[row.category_token]
    return labels
