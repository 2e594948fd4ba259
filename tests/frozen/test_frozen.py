"""Run folders as they were written at commit 1a2c826 (see ``make.py``): what is on users' disks stays usable."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pointlift import api
from pointlift.registry import DATASETS
from pointlift.report import report
from pointlift.run import Run, train
from pointlift.students import point_transformer
from tests.frozen.make import HALF, RUNS, SMALLEST

HERE = Path(__file__).parent
EXPECTED = json.loads((HERE / "expected.json").read_text())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the runs, their data and their features are."""
    folder = tmp_path_factory.mktemp("frozen")
    for name in RUNS:
        shutil.copytree(HERE / name, folder / name)
    return folder


@pytest.fixture(autouse=True)
def _as_then(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)  # the recipes have relative folders
    monkeypatch.setitem(point_transformer.SIZES, "tiny", point_transformer.Size(*SMALLEST))


@pytest.mark.parametrize("name", RUNS)
def test_a_run_of_then_loads_with_the_same_teacher(name: str) -> None:
    run = Run(name)
    assert run.parts.pixel_features.teacher.fingerprint == EXPECTED[name]["teacher"]
    width = run.student().in_channels
    points = np.random.default_rng(0).normal(size=(200, 3 + width)).astype(np.float32)
    assert np.isfinite(run.student().features(points)).all()


@pytest.mark.parametrize("name", RUNS)
def test_a_run_of_then_resumes_as_it_would_have_gone_on(name: str, tmp_path: Path) -> None:
    shutil.copytree(name, tmp_path / name)
    run = train(Run(name).recipe, tmp_path / name, cpu=True)
    logged = [line for line in run.metrics() if line["step"] > HALF]
    for found, then in zip(logged, EXPECTED[name]["logged"], strict=True):
        for key in ("step", "loss", "gradient_norm", "learning_rate"):
            assert found[key] == pytest.approx(then[key], rel=1e-3), key


@pytest.mark.parametrize(
    ("name", "protocol"), [(name, protocol) for name, (_, _, protocols) in RUNS.items() for protocol in protocols]
)
def test_a_run_of_then_is_evaluated_as_it_was(name: str, protocol: str) -> None:
    options, test_data = RUNS[name][2][protocol]
    measured = api.evaluate(name, protocol, options, split="val", test_data=test_data, cpu=True)
    then = EXPECTED[name]["results"][protocol]
    found = {row.title: row.metrics for row in measured}
    assert list(found) == list(then)
    for row, metrics in then.items():
        for key, value in numbers(metrics).items():
            # rounding moves single points over a decision; a training of the probe moves a little more
            assert numbers(found[row])[key] == pytest.approx(value, rel=0.02, abs=0.02), (row, key)


def numbers(metrics: dict[str, Any]) -> dict[str, float]:
    """The values that say how well a row did; counts and nested parts aside."""
    return {
        key: value
        for key, value in metrics.items()
        if isinstance(value, float) and key not in ("training_loss", "miou")  # over few classes of few points
    }


@pytest.mark.parametrize("name", RUNS)
def test_results_of_then_are_in_the_report(name: str, tmp_path: Path) -> None:
    shutil.copytree(HERE / name, tmp_path / name)
    page = report([Run(tmp_path / name)], tmp_path / "report.html", cpu=True, scenes=0).read_text()
    for protocol in RUNS[name][2]:
        assert protocol.replace("-probe", " probe") in page


def test_a_run_of_then_labels_a_scan(tmp_path: Path) -> None:
    scan = np.random.default_rng(0).normal(size=(500, 4)).astype(np.float32)
    scan[:, 3] = np.abs(scan[:, 3]) / 10
    np.save(tmp_path / "scan.npy", scan)
    result = api.predict("points", tmp_path / "scan.npy", prompts=["car", "road"], out=tmp_path / "out", cpu=True)
    assert result["points"] == 500


@pytest.mark.parametrize("name", ["street", "rooms", "shapes"])
def test_generated_data_of_then_are_found(name: str) -> None:
    scenes = DATASETS.build(name, root=Path("nowhere"))
    first = scenes._specs[0][0] if name == "rooms" else scenes._specs[0]
    assert first.made_from == EXPECTED["specs"][name]["made_from"]
    assert first.folder == Path(EXPECTED["specs"][name]["folder"])
