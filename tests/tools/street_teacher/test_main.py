from __future__ import annotations

import json

import pytest
import torch

from pointlift.teachers import street
from pointlift.teachers.street import weights
from tools.street_teacher.__main__ import main


@pytest.fixture
def one_thread():
    """The script sets the number of threads; leave the other tests theirs."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_the_training_script_runs(tmp_path, one_thread):
    options = "--steps 2 --batch-size 2 --sequences 1 --frames 1 --measured 1 --image-size 32 64"
    main([*options.split(), "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")])
    report = json.loads((tmp_path / "out" / street.REPORT).read_text())
    assert set(report["measured"]) == {"teacher", "val", "coast"}
    before = (tmp_path / "out" / street.WEIGHTS).read_bytes()
    main([*options.split(), "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")])
    assert (tmp_path / "out" / street.WEIGHTS).read_bytes() == before  # from the cache now
    parts = street.street_parts()
    weights.load_into(parts, weights.unpack((tmp_path / "out" / street.WEIGHTS).read_bytes(), "file"), "file")
