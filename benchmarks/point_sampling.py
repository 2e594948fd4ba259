"""Farthest-point sampling and nearest neighbours against NumPy, and their share of a training step.

python benchmarks/point_sampling.py --threads 2
python benchmarks/point_sampling.py --device cuda --batch 128 --precision bf16 --json
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pointlift.data.batch import Batch
from pointlift.registry import STUDENTS
from pointlift.students import keep_freed_memory
from pointlift.students.points import farthest_points, make_patches, nearest_points, sampling

PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def numpy_farthest(points: np.ndarray, count: int) -> np.ndarray:
    """One cloud, the usual loop."""
    nearest, taken = np.full(len(points), np.inf, np.float32), [0]
    for _ in range(count - 1):
        d = points - points[taken[-1]]
        nearest = np.minimum(nearest, (d[:, 0] * d[:, 0] + d[:, 1] * d[:, 1]) + d[:, 2] * d[:, 2])
        taken.append(int(nearest.argmax()))
    return np.array(taken)


def numpy_nearest(points: np.ndarray, queries: np.ndarray, count: int) -> np.ndarray:
    """One cloud: all distances, a partition, a sort of what is left."""
    d = points - queries[:, None]
    squared = (d[..., 0] * d[..., 0] + d[..., 1] * d[..., 1]) + d[..., 2] * d[..., 2]
    rows = np.argpartition(squared, count, axis=1)[:, :count]
    return np.take_along_axis(rows, np.take_along_axis(squared, rows, 1).argsort(1, kind="stable"), 1)


def seconds(function: Callable[[], Any], repeats: int) -> float:
    """Median time of a call after two that are not counted."""
    times = []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        function()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times[2:])


def sampled_batch(options: argparse.Namespace) -> Batch:
    sizes = torch.full((options.batch,), options.points)
    if options.unequal:
        sizes = torch.randint(options.points // 2, options.points + 1, (options.batch,))
    points = torch.randn(int(sizes.sum()), 3)
    points = points / points.norm(dim=1).max()
    return Batch(points, points[:, :0], torch.cat([torch.zeros(1, dtype=torch.int64), sizes.cumsum(0)]))


def against_numpy(batch: Batch, options: argparse.Namespace) -> dict[str, Any]:
    clouds = [cloud.numpy() for cloud in batch.points.split(batch.offsets.diff().tolist())]
    here = batch.to(options.device)
    rows = farthest_points(here.points, here.offsets, options.groups)
    expected = [numpy_farthest(cloud, options.groups) for cloud in clouds]
    starts = batch.offsets[:-1, None].numpy()
    centres = here.points[rows]
    queries = list(centres.cpu().numpy())
    _, near = nearest_points(here.points, here.offsets, centres, options.group_size)
    neighbours = [numpy_nearest(c, q, options.group_size) for c, q in zip(clouds, queries, strict=True)]
    result = {
        "same_points": bool((rows.cpu().numpy() == starts + np.stack(expected)).all()),
        "same_neighbours": bool((near.cpu().numpy() == starts[:, None] + np.stack(neighbours)).all()),
        "kernel": here.points.is_cuda and sampling._has_kernel(),
        "sampling_seconds": seconds(
            lambda: farthest_points(here.points, here.offsets, options.groups), options.repeats
        ),
        "sampling_numpy_seconds": seconds(lambda: [numpy_farthest(c, options.groups) for c in clouds], 3),
        "neighbours_seconds": seconds(
            lambda: nearest_points(here.points, here.offsets, centres, options.group_size), options.repeats
        ),
        "neighbours_numpy_seconds": seconds(
            lambda: [numpy_nearest(c, q, options.group_size) for c, q in zip(clouds, queries, strict=True)], 3
        ),
    }
    for name in ("sampling", "neighbours"):
        result[f"{name}_ratio"] = result[f"{name}_numpy_seconds"] / result[f"{name}_seconds"]
    return result


def share_of_a_step(batch: Batch, options: argparse.Namespace) -> dict[str, Any]:
    """Time of making patches, and of a whole step: patches, forward, backward, AdamW."""
    torch.manual_seed(0)
    student = STUDENTS.build(
        "point_transformer", 0, 384, size=options.size, groups=options.groups, group_size=options.group_size
    ).to(options.device)
    optimizer = torch.optim.AdamW(student.parameters(), 1e-3)
    here, dtype = batch.to(options.device), PRECISIONS[options.precision]

    def step() -> Tensor:
        with torch.autocast(options.device, dtype=dtype, enabled=dtype is not None):
            layers = student.encode(here).layers
        loss = torch.stack([layer.float().square().mean() for layer in layers]).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    grouping = seconds(lambda: make_patches(here, options.groups, options.group_size), options.repeats)
    whole = seconds(step, options.repeats)
    return {
        "parameters": sum(parameter.numel() for parameter in student.parameters()),
        "grouping_seconds": grouping,
        "step_seconds": whole,
        "share": grouping / whole,
    }


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=8, help="clouds; the published pretraining is taken to have 128")
    parser.add_argument("--points", type=int, default=4096, help="points of a cloud")
    parser.add_argument("--unequal", action="store_true", help="clouds of half to all of these points")
    parser.add_argument("--groups", type=int, default=64)
    parser.add_argument("--group-size", type=int, default=32)
    parser.add_argument("--size", default="base", choices=["tiny", "small", "base"])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--precision", default="fp32", choices=list(PRECISIONS))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def main() -> None:
    options = parse()
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    batch = sampled_batch(options)
    result = {**vars(options), **against_numpy(batch, options), **share_of_a_step(batch, options)}
    if options.json:
        print(json.dumps(result))
        return
    print(f"{options.batch} clouds, {len(batch.points):,} points, {options.device}, {options.threads} threads")
    for name in ("sampling", "neighbours"):
        ours, theirs = result[f"{name}_seconds"], result[f"{name}_numpy_seconds"]
        print(f"{name}: {1e3 * ours:.1f} ms, NumPy {1e3 * theirs:.1f} ms, {theirs / ours:.1f} times as fast")
    print(f"the same points: {result['same_points']}, the same neighbours: {result['same_neighbours']}")
    print(f"patches {1e3 * result['grouping_seconds']:.1f} ms of a step of {result['step_seconds']:.3f} s", end="")
    print(f" of size {options.size}, {result['parameters']:,} parameters: {100 * result['share']:.1f} %")


if __name__ == "__main__":
    main()
