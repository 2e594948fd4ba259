"""Frames of the generated streets with Embree against the ray caster in NumPy, which is used where Embree is missing.

    python benchmarks/street_frames.py
    python benchmarks/street_frames.py --frames 12 --beams 64 --clock cpu

A frame is a scan and three images of 192 x 384 pixels with labels and depth, written to disk; one process, one thread.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pointlift import dataset
from pointlift.worlds.engine.rays import EMBREE, Caster
from pointlift.worlds.street import frames

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


def seconds_per_frame(specs: list[frames.FrameSpec], engine: str, clock: Callable[[], float]) -> list[float]:
    frames.Caster = partial(Caster, engine=engine)
    times = []
    for spec in specs:
        start = clock()
        frames.make(spec)
        times.append(clock() - start)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=6, help="frames made with Embree, each of another town")
    parser.add_argument("--reference-frames", type=int, default=2, help="of these, how many NumPy makes too")
    parser.add_argument("--beams", type=int, default=32, choices=(32, 64))
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    options = parser.parse_args()
    if not EMBREE:
        raise SystemExit("embreex is not installed: there is nothing to compare")
    clock = CLOCKS[options.clock]
    with tempfile.TemporaryDirectory() as folder:
        scenes = dataset("street", Path(folder), sequences=options.frames, frames=1, beams=options.beams, workers=0)
        specs = scenes._specs
        quick = seconds_per_frame(specs, "embree", clock)
        slow = seconds_per_frame(specs[: options.reference_frames], "numpy", clock)
    same = statistics.mean(quick[: len(slow)])
    print(f"embree: {statistics.mean(quick):.2f} s a frame (mean of {len(quick)}, with the building of its town)")
    print(f"numpy:  {statistics.mean(slow):.2f} s a frame (the first {len(slow)})")
    print(f"embree takes {same / statistics.mean(slow):.3f} of numpy's time on the same frames")


if __name__ == "__main__":
    main()
