"""Teacher features from the cache against computing them anew, and bilinear sampling against grid_sample.

    python benchmarks/teacher_cache.py
    python benchmarks/teacher_cache.py --source FOLDER --layer 9 --scale 1.5 --threads 1 --clock cpu

Without --source the network is a DINOv2 ViT-S/14 with random weights, which costs the same. The image has the size of
KITTI's and as many paired points as the camera sees of one scan. On a machine that is busy with other work,
`--threads 1 --clock cpu` compares processor time instead of elapsed time.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pointlift.data.scene import Pairs, Scene, View
from pointlift.teachers.cache import FeatureCache
from pointlift.teachers.dinov2 import DINOv2
from pointlift.teachers.images import teacher_size
from pointlift.teachers.pixels import PixelFeatures
from pointlift.teachers.sampling import sample_features

Clock = Callable[[], float]

HEIGHT, WIDTH, POINTS = 376, 1241, 19_000
VIT_SMALL_14 = (
    '{"model_type": "dinov2", "hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6, '
    '"patch_size": 14, "image_size": 518}'
)


def median_seconds(functions: list[Callable[[], object]], repeats: int, clock: Clock) -> list[float]:
    """Median time of each function, called in turns so that a busy machine slows all of them alike."""
    times: list[list[float]] = [[] for _ in functions]
    for turn in range(repeats + 1):
        for function, measured in zip(functions, times, strict=True):
            start = clock()
            function()
            if turn:  # the first call warms up
                measured.append(clock() - start)
    return [statistics.median(measured) for measured in times]


def make_scene(folder: Path) -> tuple[Scene, Pairs]:
    random = np.random.default_rng(0)
    coarse = Image.fromarray(random.integers(0, 256, (24, 78, 3), dtype=np.uint8))
    coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC).save(folder / "image.png")
    view = View("image_2", np.eye(3), np.eye(4), folder / "image.png")
    points = np.zeros((POINTS, 3), np.float32)
    pixels = (random.uniform(0, 1, (POINTS, 2)) * (WIDTH, HEIGHT) - 0.5).astype(np.float32)
    pairs = Pairs(np.arange(POINTS), np.zeros(POINTS, np.int64), pixels)
    return Scene(points=points, features=points[:, :1], views=[view], labels=None, id="benchmark"), pairs


def compare_cache(teacher: DINOv2, scale: float, folder: Path, repeats: int, clock: Clock) -> None:
    scene, pairs = make_scene(folder)
    anew = PixelFeatures(teacher, scale=scale)
    disk = PixelFeatures(teacher, cache=FeatureCache(folder / "cache", teacher, scale=scale, memory_megabytes=0))
    memory = PixelFeatures(teacher, cache=FeatureCache(folder / "cache", teacher, scale=scale))
    difference = (disk(scene, pairs) - anew(scene, pairs)).abs().max()
    ways = {"decode, compute, sample": anew, "read from disk, sample": disk, "in memory, sample": memory}
    seconds = median_seconds([lambda way=way: way(scene, pairs) for way in ways.values()], repeats, clock)
    size = teacher_size((HEIGHT, WIDTH), teacher.stride, None, scale)
    entry = next((folder / "cache").rglob("*.safetensors"))
    megabytes = entry.stat().st_size / 1e6
    print(f"image {HEIGHT}x{WIDTH}, seen at {size[0]}x{size[1]}; {POINTS} pairs; entry {megabytes:.2f} MB")
    for name, value in zip(ways, seconds, strict=True):
        print(f"  {name:<26}{value * 1e3:9.1f} ms   {seconds[0] / value:7.1f} x")
    print(f"  largest difference through float16: {difference:.1e}")


def compare_sampling(dim: int, size: tuple[int, int], repeats: int, clock: Clock) -> None:
    maps = torch.randn(1, *size, dim).half().permute(0, 3, 1, 2)  # channels last, as the cache gives them
    pixels = torch.rand(POINTS, 2) * torch.tensor([WIDTH, HEIGHT]) - 0.5
    view_index, sizes = torch.zeros(POINTS, dtype=torch.int64), torch.tensor([[HEIGHT, WIDTH]])

    def grid_sample() -> torch.Tensor:
        grid = (2 * pixels + 1) / torch.tensor([WIDTH, HEIGHT]) - 1
        options = {"align_corners": False, "padding_mode": "border"}
        return torch.nn.functional.grid_sample(maps.float(), grid[None, None], **options)[0, :, 0].T.contiguous()

    def ours() -> torch.Tensor:
        return sample_features(maps, view_index, pixels, sizes)

    reference, own = median_seconds([grid_sample, ours], 3 * repeats, clock)
    difference = (grid_sample() - ours()).abs().max()
    print(f"sampling {POINTS} x {dim}: grid_sample {reference * 1e3:.1f} ms, sample_features {own * 1e3:.1f} ms")
    print(f"  {reference / own:.1f} x; largest difference {difference:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", help="folder or hub id of a teacher; default: random weights")
    parser.add_argument("--layer", type=int, default=9)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--clock", choices=["elapsed", "cpu"], default="elapsed")
    arguments = parser.parse_args()
    clock = time.process_time if arguments.clock == "cpu" else time.perf_counter
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "config.json").write_text(VIT_SMALL_14)
        teacher = DINOv2(source=arguments.source or name, layer=arguments.layer, random=arguments.source is None)
        compare_cache(teacher, arguments.scale, folder, arguments.repeats, clock)
        height, width = teacher_size((HEIGHT, WIDTH), teacher.stride, None, arguments.scale)
        compare_sampling(teacher.dim, (height // teacher.stride, width // teacher.stride), arguments.repeats, clock)


if __name__ == "__main__":
    main()
