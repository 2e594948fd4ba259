"""Jobs in processes of their own: what they say, and that none outlives the process that began it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pointlift.errors import DataError, TrainingError
from pointlift.progress import Progress
from pointlift.study.processes import Job, do

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys
from pointlift.study.processes import Job, do
from tests.study.test_processes import long

do([Job(str(n), long, ()) for n in range(2)], 2, lambda what, *_: print(what, flush=True))
"""


def long(progress: Progress) -> None:
    progress(str(os.getpid()), 0, 1)
    time.sleep(600)


def killed(progress: Progress) -> None:
    progress("begun", 0, 1)
    os.kill(os.getpid(), signal.SIGKILL)


def mistaken(what: str, progress: Progress) -> None:
    raise DataError(f"{what}: the file is missing")


def quick(path: str, progress: Progress) -> None:
    Path(path).write_text("done")


def is_there(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody asked about does not."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat")
        return not (state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z")
    except (ProcessLookupError, FileNotFoundError):
        return False


def gone(pids: list[int], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while any(is_there(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(is_there(pid) for pid in pids)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGKILL, -9), (signal.SIGINT, -2)]
)
def test_no_process_outlives_the_one_that_began_it(number: signal.Signals, code: int) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    children = [int(parent.stdout.readline()) for _ in range(2)]
    try:
        assert all(is_there(pid) for pid in children)
        parent.send_signal(number)
        parent.communicate(timeout=60)
        assert parent.returncode == code
        assert gone(children)
    finally:
        for pid in (parent.pid, *children):
            if is_there(pid):
                os.kill(pid, signal.SIGKILL)


def test_an_error_in_between_ends_them() -> None:
    children: list[int] = []

    def stop(what: str, done: int, total: int) -> None:
        children.append(int(what))
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        do([Job("a", long, ()), Job("b", long, ())], 2, stop)
    assert children
    assert gone(children, 1.0)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_job_that_cannot_be_done_is_said_and_no_other_begun(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"^a: its process ended with -9 \(it was killed"):
        do([Job("a", killed, ()), Job("b", quick, (str(tmp_path / "b"),))], 1)
    with pytest.raises(TrainingError, match=r"^scan\.bin: the file is missing$"):
        do([Job("a", mistaken, ("scan.bin",)), Job("b", quick, (str(tmp_path / "b"),))], 1)
    assert not (tmp_path / "b").exists()
    do([Job(name, quick, (str(tmp_path / name),)) for name in ("a", "b", "c")], 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]
