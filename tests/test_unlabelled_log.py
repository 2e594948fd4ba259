"""A log without labels and without a split, through a data set of one's own: a number, pictures, and no dead ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from pointlift import api
from pointlift.data.dataset import Dataset
from pointlift.data.scene import Scene
from pointlift.errors import DataError, RecipeError
from pointlift.registry import DATASETS, Part
from pointlift.report import report
from pointlift.run import Run
from tests.evaluation.world import World

RECIPE = """
name: mine
data: {name: drives}
teacher: {name: street}
student: {name: minkunet14, voxel_size: 0.5, width: 0.25}
loss: {name: relational}
method: {name: point_pixel}
cache: {folder: features}
training: {steps: 2, batch_size: 2, checkpoint_every: 2, log_every: 1, threads: 1}
"""


class Drives(Dataset):
    """Drives of a robot, of which nothing is labelled."""

    name = "drives"
    feature_names = ("intensity",)

    def __init__(self, *, drives: int = 3) -> None:
        self._robot = World(2 * drives, labels=False)

    @property
    def ids(self) -> list[str]:
        return [f"drive_{index // 2}/{index % 2:03d}" for index in range(len(self))]

    def __len__(self) -> int:
        return len(self._robot)

    def __getitem__(self, index: int) -> Scene:  # type: ignore[override]
        scene = self._robot[index]
        scene.id = self.ids[index]
        return scene


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("log")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(DATASETS._parts, "drives", Part("drives", Drives, "Drives."))
        patch.chdir(folder)
        (folder / "mine.yaml").write_text(RECIPE)
        api.pretrain("mine.yaml", {"data.hold_out": ["drive_2"]}, out="held", cpu=True)
        api.pretrain("mine.yaml", out="all", cpu=True)
        yield folder


def page(run: str) -> str:
    return report([Run(run)], Path(f"{run}.html"), cpu=True, scenes=1).read_text()


def test_held_out_scans_give_numbers_without_a_label() -> None:
    before = page("held")
    assert "pointlift evaluate runs/held --protocol fidelity</code>" in before
    assert "data:image" in before
    fidelity = api.evaluate("held", "fidelity", cpu=True)
    assert fidelity.settings["data"]["test"] == {
        "data set": "drives", "scans": 2, "drives": 3, "hold_out": ["drive_2"], "only_held_out": True,
    }  # fmt: skip
    assert {"paired_gap", "linear_cka", "loss"} <= set(fidelity["student"])
    assert fidelity["student"]["loss"] > 0
    assert fidelity["random network"]["loss"] > 0
    assert fidelity.words["held out"].startswith("yes: the scans that hold_out")
    assert "tolerance" not in api.evaluate("held", "structure", cpu=True)["student"]
    after = page("held")
    assert "data:image" in after
    assert "--protocol structure" in after


def test_where_nothing_is_held_out_the_page_shows_what_it_was_trained_on() -> None:
    with pytest.raises(DataError, match=r"has no split 'val', .*data.hold_out=0.2"):
        api.evaluate("all", "fidelity", cpu=True)
    said = page("all")
    assert "data:image" in said
    assert "pointlift evaluate runs/all --protocol fidelity --split train</code>" in said
    found = api.evaluate("all", "fidelity", split="train", cpu=True)
    assert found.words["held out"] == "no: these are the scans of the pretraining"


def test_another_data_set_is_tested_or_one_sentence(tmp_path: Path) -> None:
    street = {"name": "street", "root": str(tmp_path), "sequences": 1, "frames": 1}
    found = api.evaluate("held", "fidelity", test_data=street, cpu=True)
    assert found.settings["data"]["test"]["scans"] == 1
    probe = {"minimum_steps": 2, "classifier_epochs": 1, "baselines": False}
    assert api.evaluate("held", "linear-probe", probe, label_data=street, cpu=True)["student"]["points"] > 0
    with pytest.raises(DataError, match="to learn from labels there too: --label-data name=street"):
        api.evaluate("held", "finetune", test_data=street, cpu=True)
    for data, flag in (("test_data", "--test-data"), ("label_data", "--label-data")):
        with pytest.raises(RecipeError, match=f"the data set 'modelnet40' needs the folder .*: {flag} root=FOLDER"):
            api.evaluate("held", "fidelity", **{data: {"name": "modelnet40"}}, cpu=True)
    with pytest.raises(RecipeError, match="there is no data set called 'modelnet4'"):
        api.evaluate("held", "fidelity", test_data={"name": "modelnet4"}, cpu=True)
    with pytest.raises(DataError, match=r"without labels there are: fidelity, reconstruction, retrieval, structure"):
        api.evaluate("held", "linear-probe", cpu=True)
