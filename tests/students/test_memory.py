from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from pointlift.students import memory

CODE = "from pointlift.students import keep_freed_memory; assert keep_freed_memory() in (True, False)"


def test_takes_effect_or_says_that_it_does_not() -> None:
    subprocess.run([sys.executable, "-c", CODE], check=True)  # it changes the whole process, hence another one


def test_no_glibc_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert memory.keep_freed_memory() is False
