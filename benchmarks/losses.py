"""Time and peak memory of the paired losses, forward and backward, against their formulas under plain autograd.

    python benchmarks/losses.py [--rows 1024 4096] [--dim 384] [--device cpu] [--threads 2] [--clock cpu]

Both sides of a ratio run in turns in the same process for time, and each in a process of its own for memory; the memory
is what the loss adds to the process (CPU) or to the allocator (CUDA) at its peak. On a machine that is busy with other
work, `--threads 1 --clock cpu` compares processor time instead of elapsed time.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from pointlift.registry import LOSSES


def off_diagonal_mean(matrix: Tensor) -> Tensor:
    return (matrix.sum() - matrix.diagonal().sum()) / (len(matrix) * (len(matrix) - 1))


def plain_contrastive(student: Tensor, teacher: Tensor) -> Tensor:
    k, q = functional.normalize(student, dim=1), functional.normalize(teacher, dim=1)
    return functional.cross_entropy(k @ q.T / 0.07, torch.arange(len(k), device=k.device))


def plain_cross_modal(student: Tensor, teacher: Tensor) -> Tensor:
    k, q = functional.normalize(student, dim=1), functional.normalize(teacher, dim=1)
    differences = (k @ q.T - q @ q.T).abs()
    return differences.diagonal().mean() + off_diagonal_mean(differences)


def plain_intra_modal(student: Tensor, teacher: Tensor) -> Tensor:
    k, q = functional.normalize(student, dim=1), functional.normalize(teacher, dim=1)
    return off_diagonal_mean((k @ k.T - q @ q.T).abs())


def plain_relational(student: Tensor, teacher: Tensor) -> Tensor:
    k, q = functional.normalize(student, dim=1), functional.normalize(teacher, dim=1)
    own = q @ q.T
    cross, intra = (k @ q.T - own).abs(), (k @ k.T - own).abs()
    return cross.diagonal().mean() + off_diagonal_mean(cross) + off_diagonal_mean(intra)


PLAIN = {
    "contrastive": plain_contrastive,
    "cross_modal": plain_cross_modal,
    "intra_modal": plain_intra_modal,
    "relational": plain_relational,
}


def features(rows: int, dim: int, device: str) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(rows, dim, device=device, requires_grad=True), torch.randn(rows, dim, device=device)


def step(
    loss: Callable[..., Tensor], student: Tensor, teacher: Tensor, clock: Callable[[], float] = time.perf_counter
) -> float:
    student.grad = None
    if student.is_cuda:
        torch.cuda.synchronize()
    start = clock()
    loss(student, teacher).backward()
    if student.is_cuda:
        torch.cuda.synchronize()
    return clock() - start


def timed(name: str, rows: int, options: argparse.Namespace) -> tuple[float, float]:
    """Shortest seconds of pointlift and of the plain formula, taken in turns."""
    student, teacher = features(rows, options.dim, options.device)
    clock = time.process_time if options.clock == "cpu" else time.perf_counter
    seconds = [
        [step(loss, student, teacher, clock) for loss in (LOSSES.get(name), PLAIN[name])]
        for _ in range(options.repeats + 1)
    ]
    ours, plain = (min(column) for column in zip(*seconds[1:], strict=True))
    return ours, plain


def peak_bytes(arguments: tuple[str, bool, int, int, str, int]) -> int:
    """What one step adds to the memory at its peak; runs in a fresh process."""
    name, plain, rows, dim, device, threads = arguments
    torch.set_num_threads(threads)
    loss = PLAIN[name] if plain else LOSSES.get(name)
    step(loss, *features(64, dim, device))  # libraries and their buffers
    student, teacher = features(rows, dim, device)
    before = peak(device)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    step(loss, student, teacher)
    return peak(device) - before


def peak(device: str) -> int:
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if status.exists():  # on Linux the other figure starts at the parent's peak
        return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1024, 2048, 4096])
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(
        f"torch {torch.__version__}, {options.device}, {options.threads} threads, D = {options.dim}, fwd + bwd, float32"
    )
    print(f"{'loss':12} {'N':>6}   {'ms':>8} {'plain':>8} {'ratio':>6}   {'MB':>8} {'plain':>8} {'ratio':>6}")
    context = multiprocessing.get_context("spawn")
    for rows in options.rows:
        for name in PLAIN:
            ours, plain = timed(name, rows, options)
            memory = []
            for reference in (False, True):
                with context.Pool(1) as pool:
                    case = (name, reference, rows, options.dim, options.device, options.threads)
                    memory.append(pool.apply(peak_bytes, (case,)) / 1e6)
            print(
                f"{name:12} {rows:6d}   {ours * 1e3:8.1f} {plain * 1e3:8.1f} {ours / plain:6.2f}   "
                f"{memory[0]:8.1f} {memory[1]:8.1f} {memory[0] / memory[1]:6.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
