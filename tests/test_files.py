from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from pointlift.errors import CheckpointError, PointliftError
from pointlift.files import write_atomically


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("content", [b"\x00\xff bytes\r\n", "text with ‖, ² and\n", b"", ""])
def test_writes_and_replaces(tmp_path, content):
    path = tmp_path / "new" / "folders" / "file.json"
    for before in (None, b"something longer that was there before"):
        if before is not None:
            path.write_bytes(before)
        write_atomically(path, content)
        assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
        assert everything(tmp_path) == ["new/folders/file.json"]


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_permissions_are_those_of_any_new_file(tmp_path):
    write_atomically(tmp_path / "ours", "x")
    (tmp_path / "plain").write_text("x")
    assert stat.S_IMODE((tmp_path / "ours").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


@pytest.mark.parametrize(
    "code, reason", [(errno.ENOSPC, "the disk is full"), (errno.EDQUOT, "the disk is full"), (errno.EIO, "broken")]
)
def test_a_failing_disk_keeps_the_old_file_and_leaves_no_other(tmp_path, monkeypatch, code, reason):
    real_open = Path.open

    class Half:
        """A file that takes half of the content."""

        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, content):
            self.file.write(content[: len(content) // 2])
            raise OSError(code, "broken")

    path = tmp_path / "results.json"
    path.write_text("old")
    monkeypatch.setattr(Path, "open", lambda self, *arguments: Half(real_open(self, *arguments)))
    with pytest.raises(CheckpointError) as raised:
        write_atomically(path, "new content")
    monkeypatch.undo()
    advice = "choose another folder" if code == errno.EIO else "make room or choose another folder"
    assert str(raised.value) == f"{path}: cannot be written: {reason}; {advice}"
    assert path.read_text() == "old"
    assert everything(tmp_path) == ["results.json"]


def test_a_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "folder").write_text("in the way")
    with pytest.raises(PointliftError, match="folder/file: cannot be written"):
        write_atomically(tmp_path / "folder" / "file", "content")
    assert everything(tmp_path) == ["folder"]


def test_a_folder_where_the_file_should_be(tmp_path):
    (tmp_path / "file").mkdir()
    with pytest.raises(CheckpointError, match="file: cannot be written"):
        write_atomically(tmp_path / "file", "content")
    assert everything(tmp_path) == []


def test_an_interrupt_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "folder" / "file", b"content")
    assert everything(tmp_path) == []


def test_many_writers_of_one_file(tmp_path):
    path = tmp_path / "file"
    contents = [bytes([65 + index]) * 50_000 for index in range(8)]
    threads = [threading.Thread(target=write_atomically, args=(path, content)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in contents
    assert everything(tmp_path) == ["file"]
