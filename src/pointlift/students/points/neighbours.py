"""Nearest neighbours, exact, with ties in a fixed order."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from pointlift.errors import DataError
from pointlift.students.points.buckets import Bucket, Buckets

CPU_PAIRS = 1 << 18  # pairs of points at a time: what stays in a core's cache
GPU_PAIRS = 1 << 25  # about 600 MB


def nearest_points(points: Tensor, offsets: Tensor | Buckets, queries: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The ``count`` points of each cloud that are nearest to each of its queries, nearest first, the lower row first
    among equals; distances as in `farthest_points`.

    Args:
        points: (ΣN, 3), one cloud after the other.
        offsets: (B + 1,) int64; cloud b owns the rows ``offsets[b]:offsets[b + 1]``.
        queries: (B, M, 3), M positions for each cloud.
        count: neighbours of each query.

    Returns:
        (B, M, count) float32 squared distances and (B, M, count) int64 rows of ``points``.

    Raises:
        DataError: if a cloud has fewer than ``count`` points, or ``queries`` are not those of B clouds.
    """
    clouds = offsets if isinstance(offsets, Buckets) else Buckets.of(offsets)
    clouds.require(count, "neighbours asked for")
    if queries.ndim != 3 or len(queries) != len(clouds.sizes) or queries.shape[2] != 3:
        raise DataError(
            f"{len(clouds.sizes)} clouds need queries ({len(clouds.sizes)}, M, 3), not {tuple(queries.shape)}"
        )
    axes = points.detach().float().t().contiguous()  # (3, ΣN)
    queries = queries.detach().float()
    distances = queries.new_empty(*queries.shape[:2], count)
    rows = clouds.offsets.new_empty(*queries.shape[:2], count)
    for bucket in clouds.all:
        for part, some in _parts(bucket, queries.shape[1]):
            own = [axis[part.rows][:, None] for axis in axes]
            squared = _squared_distances(own, queries[part.clouds, some][:, :, None])
            if part.padding is not None:
                squared.masked_fill_(part.padding[:, None], torch.inf)
            distances[part.clouds, some], columns = _smallest(squared, count)
            rows[part.clouds, some] = part.rows.gather(1, columns.flatten(1)).view_as(columns)
    return distances, rows


def nearest_centres(points: Tensor, clouds: Tensor, centres: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The ``count`` centres of its own cloud that are nearest to each point, in the order of `nearest_points`.

    Args:
        points: (P, 3), in any order.
        clouds: (P,) int64, the cloud of each point.
        centres: (B, G, 3).
        count: at most G.

    Returns:
        (P, count) float32 squared distances and (P, count) int64 indices among the G centres.
    """
    points, axes = points.detach().float(), centres.detach().float().unbind(2)
    distances = points.new_empty(len(points), count)
    columns = clouds.new_empty(len(points), count)
    step = max(1, _pairs_at_once(points) // max(1, centres.shape[1]))
    for start in range(0, len(points), step):
        part = slice(start, start + step)
        own = [axis[clouds[part]] for axis in axes]  # three times (p, G)
        squared = _squared_distances(own, points[part, None])
        distances[part], columns[part] = _smallest(squared, count)
    return distances, columns


def _parts(bucket: Bucket, queries: int) -> Iterator[tuple[Bucket, slice]]:
    """Clouds of the bucket and queries of each that fit the memory at a time."""
    pairs = _pairs_at_once(bucket.rows)
    width = bucket.rows.shape[1]
    clouds, step = max(1, pairs // max(1, width * queries)), max(1, pairs // max(1, width))
    for start in range(0, len(bucket.clouds), clouds):
        some = slice(start, start + clouds)
        padding = None if bucket.padding is None else bucket.padding[some]
        part = Bucket(bucket.clouds[some], bucket.rows[some], padding)
        for first in range(0, queries, step):
            yield part, slice(first, first + step)


def _pairs_at_once(tensor: Tensor) -> int:
    return CPU_PAIRS if tensor.device.type == "cpu" else GPU_PAIRS


def _squared_distances(axes: list[Tensor], position: Tensor) -> Tensor:
    """(dx² + dy²) + dz² of points given by their three axes, each (…), and ``position (…, 3)``."""
    x, y, z = ((values - position[..., axis]).square_() for axis, values in enumerate(axes))
    return x.add_(y).add_(z)


def _smallest(squared: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The ``count`` smallest of the last dimension and their columns, the lower column first among equals.

    The bits of a float32 that is not negative are in the order of its value. With the column behind them no two keys
    are equal, so that selecting the smallest has one answer on every device.
    """
    keys = squared.view(torch.int32).to(torch.int64)
    keys.bitwise_left_shift_(32).bitwise_or_(torch.arange(squared.shape[-1], device=squared.device))
    keys = keys.topk(count, dim=-1, largest=False, sorted=True).values
    return (keys >> 32).to(torch.int32).view(torch.float32), keys & 0xFFFFFFFF
