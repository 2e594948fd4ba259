"""The first process prepares and the others wait: as long as it is heard, and no longer."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from pointlift.errors import TrainingError
from pointlift.train.preparation import first_process


def _quiet(heard: Callable[..., None]) -> None:
    heard("images", 0, 2)
    time.sleep(3.0)


def _busy(heard: Callable[..., None]) -> None:
    for done in range(8):
        heard("images", done, 8)
        time.sleep(0.5)


def _broken(heard: Callable[..., None]) -> None:
    raise OSError("the disk is full")


CASES = {"quick": lambda heard: None, "busy": _busy, "quiet": _quiet, "broken": _broken}


def _worker(rank: int, case: str, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    marker = Path(folder) / "prepared"
    try:
        for _ in range(2):  # every visit has signs of its own
            with first_process(rank == 0, patience=2.5) as heard:
                if rank == 0:
                    assert heard is not None
                    CASES[case](heard)
                    marker.write_text("x")
                assert marker.exists()
        said = "done"
    except (TrainingError, OSError) as error:
        said = f"{type(error).__name__}: {error}"
    Path(folder, f"{rank}.txt").write_text(said)
    time.sleep(0.5)
    dist.destroy_process_group()


@pytest.mark.parametrize(
    ("case", "first", "other"),
    [
        ("quick", "done", "done"),
        ("busy", "done", "done"),
        ("quiet", "done", "TrainingError: the first process said nothing for"),
        ("broken", "OSError: the disk is full", "TrainingError: the first process failed"),
    ],
)
def test_others_wait_for_as_long_as_it_is_heard(case: str, first: str, other: str, tmp_path: Path) -> None:
    if not dist.is_available() or not dist.is_gloo_available():
        pytest.skip("this torch has no gloo")
    torch.multiprocessing.spawn(_worker, args=(case, str(tmp_path)), nprocs=2)
    assert (tmp_path / "0.txt").read_text().startswith(first)
    assert (tmp_path / "1.txt").read_text().startswith(other)


def test_one_process_waits_for_nobody() -> None:
    calls: list[str] = []
    with first_process(True, lambda what, done, total: calls.append(what)) as heard:
        assert heard is not None
        heard("images", 1, 2)
    assert calls == ["images"]
    with first_process(True) as heard:
        assert heard is None
