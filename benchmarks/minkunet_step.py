"""Time and peak memory of one training step of a MinkUNet on one scan, in a fresh process.

python benchmarks/minkunet_step.py --scan velodyne/000000.bin --student minkunet34 --threads 2 --json
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pointlift.data.batch import Batch
from pointlift.registry import STUDENTS
from pointlift.students import keep_freed_memory

sys.path.insert(0, str(Path(__file__).parent))
from sparse_convolution import synthetic_scan


def read_batch(path: Path | None, sector: float, copies: int) -> Batch:
    """``copies`` of one scan with its intensity (ones if synthetic), cut to ±sector degrees about x."""
    if path is None:
        cloud = synthetic_scan()
        scan = np.concatenate([cloud, np.ones((len(cloud), 1), np.float32)], axis=1)
    else:
        scan = np.fromfile(path, np.float32).reshape(-1, 4)
    scan = scan[np.abs(np.degrees(np.arctan2(scan[:, 1], scan[:, 0]))) <= sector]
    rows = torch.from_numpy(np.concatenate([scan] * copies))
    offsets = torch.arange(copies + 1) * len(scan)
    return Batch(rows[:, :3].contiguous(), rows[:, 3:].contiguous(), offsets)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Medians over the steps after the first, seconds; peak resident memory, bytes."""
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    if not options.default_malloc:
        keep_freed_memory()
    batch = read_batch(options.scan, options.sector, options.batch)
    student = STUDENTS.get(options.student)(
        1, options.dim, width=options.width, voxel_size=options.voxel_size, stem_kernel=options.stem_kernel
    )
    optimizer = torch.optim.AdamW(student.parameters(), 1e-3)
    rows = torch.randperm(len(batch.points))[: options.rows] if options.rows else None
    times = []
    for _ in range(options.steps + 1):
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=options.bfloat16):
            out = student(batch, rows)
        middle = time.perf_counter()
        (out.float() - 1).square().mean().backward()
        end = time.perf_counter()
        optimizer.step()
        optimizer.zero_grad()
        times.append((middle - start, end - middle, time.perf_counter() - start))
    forward, backward, total = (statistics.median(column) for column in zip(*times[1:], strict=True))
    return {
        "student": options.student,
        "parameters": sum(parameter.numel() for parameter in student.parameters()),
        "points": len(batch.points),
        "threads": options.threads,
        "forward_seconds": forward,
        "backward_seconds": backward,
        "step_seconds": total,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scan", type=Path, help="a KITTI velodyne .bin file; a synthetic scan otherwise")
    parser.add_argument("--student", default="minkunet34", choices=["minkunet14", "minkunet34"])
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--voxel-size", type=float, default=0.1, help="metres")
    parser.add_argument("--stem-kernel", type=int, default=5, choices=[3, 5])
    parser.add_argument("--dim", type=int, default=384, help="width D of the output")
    parser.add_argument("--sector", type=float, default=180.0, help="keep points within ± this angle, degrees")
    parser.add_argument("--batch", type=int, default=1, help="copies of the scan")
    parser.add_argument("--rows", type=int, default=0, help="output features of this many points; 0: of all")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--bfloat16", action="store_true", help="under autocast")
    parser.add_argument("--default-malloc", action="store_true", help="without keep_freed_memory()")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # already in the fresh process
    return parser.parse_args()


def main() -> None:
    options = parse()
    if options.here:
        print(json.dumps(measure(options)))
        return
    command = [sys.executable, __file__, *sys.argv[1:], "--here"]
    result = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    if options.json:
        print(json.dumps(result))
        return
    print(f"{result['student']}, {result['parameters']:,} parameters, {result['points']} points", end=", ")
    print(f"{result['threads']} threads")
    print(f"forward {result['forward_seconds']:.2f} s, backward {result['backward_seconds']:.2f} s", end=", ")
    print(f"step {result['step_seconds']:.2f} s, peak memory {result['peak_bytes'] / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
