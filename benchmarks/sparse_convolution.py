"""Speed of one submanifold convolution against spconv, both on one CPU thread, alternated in the same process.

    python benchmarks/sparse_convolution.py --scan velodyne/000000.bin --json

More than one thread is not compared: spconv's CPU code returns wrong sums then. Nor is the backward pass: spconv has
none on a CPU.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pointlift.students import keep_freed_memory
from pointlift.students.sparse import VoxelGrid, sparse_convolution, voxelize


def synthetic_scan(points: int = 120_000, seed: int = 0) -> np.ndarray:
    """(N, 3) returns of a 64-beam LiDAR on flat ground among boxes and walls."""
    random = np.random.default_rng(seed)
    azimuth = np.repeat(np.linspace(-np.pi, np.pi, points // 64, endpoint=False), 64)
    elevation = np.tile(np.radians(np.linspace(-24.8, 2.0, 64)), points // 64)
    ground = np.where(elevation < 0, 1.73 / np.maximum(np.tan(-elevation), 1e-3), np.inf)
    walls = np.repeat(random.uniform(8, 60, 360), 1)[((azimuth + np.pi) / (2 * np.pi) * 360).astype(int) % 360]
    reach = np.minimum(ground, walls) + random.normal(0, 0.02, len(azimuth))
    cloud = np.stack([reach * np.cos(azimuth), reach * np.sin(azimuth), reach * np.tan(elevation)], axis=1)
    return cloud[reach < 80].astype(np.float32)


def read_scan(path: Path | None) -> np.ndarray:
    """(N, 3) points of a KITTI file, or a synthetic scan."""
    return synthetic_scan() if path is None else np.fromfile(path, np.float32).reshape(-1, 4)[:, :3].copy()


def ours(grid: VoxelGrid, values: Tensor, weight: Tensor) -> Callable[[], Tensor]:
    """Forward pass of pointlift; its kernel map is built beforehand, as spconv's is."""
    kernel_map = grid.submanifold_map(0, 3)
    return lambda: sparse_convolution(values, weight, kernel_map)


def theirs(grid: VoxelGrid, values: Tensor, weight: Tensor) -> Callable[[], Tensor] | None:
    """Forward pass of spconv with the same weight, None where it is not installed."""
    try:
        import spconv.pytorch as spconv
    except ImportError:
        return None
    channels = values.shape[1]
    layer = spconv.SubMConv3d(channels, channels, 3, bias=False, indice_key="shared")
    layer.weight.data = weight.detach().view(3, 3, 3, channels, channels).permute(4, 0, 1, 2, 3).contiguous()
    coordinates = grid.coordinates()
    coordinates = coordinates - coordinates.amin(0)
    shape = (coordinates[:, 1:].amax(0) + 3).tolist()
    start = spconv.SparseConvTensor(values, coordinates.int(), shape, 1)
    layer(start)  # builds the map, which later calls find in start
    return lambda: layer(start).features


def timed(function: Callable[[], Any]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def backward_of(forward: Callable[[], Tensor]) -> float:
    """Seconds of one backward pass, for the gradients of both features and weight."""
    out = forward()
    upstream = torch.ones_like(out)
    return timed(lambda: out.backward(upstream))


def measure(cloud: np.ndarray, voxel_size: float, channels: int, repeats: int) -> dict[str, Any]:
    """Medians over alternated repeats, seconds."""
    points = torch.from_numpy(cloud)
    start = time.perf_counter()
    grid = voxelize(points, torch.zeros(len(points), dtype=torch.int64), voxel_size).grid
    kernel_map = grid.submanifold_map(0, 3)
    build = time.perf_counter() - start
    torch.manual_seed(0)
    values = torch.randn(grid.count(), channels, requires_grad=True)
    weight = (torch.randn(27, channels, channels) / 20).requires_grad_()
    convolve, reference = ours(grid, values, weight), theirs(grid, values, weight)
    seconds: dict[str, list[float]] = {"pointlift": [], "spconv": []}
    backward = []
    for _ in range(repeats):
        with torch.no_grad():
            seconds["pointlift"].append(timed(convolve))
            if reference is not None:
                seconds["spconv"].append(timed(reference))
        backward.append(backward_of(convolve))
    result: dict[str, Any] = {
        "points": len(points),
        "voxels": grid.count(),
        "pairs": len(kernel_map.inputs),
        "channels": channels,
        "voxelize_and_map_seconds": build,
        "forward_seconds": statistics.median(seconds["pointlift"]),
        "backward_seconds": statistics.median(backward),
    }
    if reference is not None:
        with torch.no_grad():
            result["largest_difference"] = float((convolve() - reference()).abs().max())
        result["spconv_forward_seconds"] = statistics.median(seconds["spconv"])
        ratios = [a / b for a, b in zip(seconds["pointlift"], seconds["spconv"], strict=True)]
        result["forward_ratio"] = statistics.median(ratios)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scan", type=Path, help="a KITTI velodyne .bin file; a synthetic scan otherwise")
    parser.add_argument("--voxel-size", type=float, default=0.1, help="metres")
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--default-malloc", action="store_true", help="without keep_freed_memory()")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if not options.default_malloc:
        keep_freed_memory()
    result = measure(read_scan(options.scan), options.voxel_size, options.channels, options.repeats)
    if options.json:
        print(json.dumps(result))
        return
    print(f"{result['points']} points, {result['voxels']} voxels, {result['pairs']} pairs, one thread")
    print(f"voxelisation and kernel map {result['voxelize_and_map_seconds']:.3f} s")
    print(f"forward {result['forward_seconds']:.4f} s, backward {result['backward_seconds']:.4f} s")
    if "forward_ratio" in result:
        print(f"spconv: forward {result['spconv_forward_seconds']:.4f} s", end=", ")
        print(f"pointlift / spconv {result['forward_ratio']:.2f}, difference {result['largest_difference']:.1e}")


if __name__ == "__main__":
    main()
