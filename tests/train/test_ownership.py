import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pointlift.errors import CheckpointError
from pointlift.train import ownership
from pointlift.train.ownership import LOCK, owned

HOLD = """
import sys
from pathlib import Path
from pointlift.train.ownership import owned
with owned(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(folder: Path) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def left(folder: Path, **changes: object) -> Path:
    """A lock that a process left behind."""
    folder.mkdir(exist_ok=True)
    owner = {**ownership._myself(), "process": 2**22 + 5, **changes}
    (folder / LOCK).write_text(json.dumps(owner))
    return folder / LOCK


def test_another_process_is_refused_by_name_until_it_ends(tmp_path: Path) -> None:
    process = holder(tmp_path)
    with (
        pytest.raises(CheckpointError, match=rf"in use.*process {process.pid} on {socket.gethostname()}"),
        owned(tmp_path),
    ):
        pass
    process.communicate("")
    with owned(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["process"] == os.getpid()
    assert not (tmp_path / LOCK).exists()


def test_a_killed_owner_owns_nothing(tmp_path: Path) -> None:
    process = holder(tmp_path)
    process.kill()
    process.wait()
    assert (tmp_path / LOCK).exists()
    with owned(tmp_path):
        pass


def test_the_same_process_cannot_own_a_folder_twice(tmp_path: Path) -> None:
    with owned(tmp_path), pytest.raises(CheckpointError, match="in use"), owned(tmp_path):
        pass


@pytest.mark.parametrize("content", ["", "nonsense", "[1]", '{"host": 3}'])
def test_a_damaged_lock_is_taken_over(content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownership, "SILENT_AFTER_SECONDS", 0.0)
    (tmp_path / LOCK).write_text(content)
    with owned(tmp_path):
        pass


def test_an_owner_elsewhere_is_gone_when_it_is_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = left(tmp_path, host="node-7")
    os.utime(path, (path.stat().st_mtime - 600,) * 2)
    with owned(tmp_path):
        pass
    left(tmp_path, host="node-7")
    monkeypatch.setattr(ownership, "SILENT_AFTER_SECONDS", 0.3)
    monkeypatch.setattr(ownership, "SIGN_EVERY_SECONDS", 0.1)
    with owned(tmp_path):
        pass


def test_an_owner_elsewhere_that_gives_a_sign_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = left(tmp_path, host="node-7")
    monkeypatch.setattr(ownership.time, "sleep", lambda seconds: os.utime(path, (path.stat().st_mtime + 5,) * 2))
    with pytest.raises(CheckpointError, match="on node-7"), owned(tmp_path):
        pass


def test_without_locks_of_the_system_a_living_owner_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownership, "fcntl", None)
    parent = os.getppid()
    left(tmp_path, process=parent, begun=ownership._begun(parent))
    with pytest.raises(CheckpointError, match=f"process {parent}"), owned(tmp_path):
        pass
    left(tmp_path, process=parent, begun=1.0)  # its number was given to another one since
    with owned(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="cannot be written"), owned(tmp_path / "file"):
        pass
