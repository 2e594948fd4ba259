import pickle
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import pointlift
from pointlift import recipe as recipes
from pointlift.data.dataset import Scenes
from pointlift.data.scene import Scene, View
from pointlift.datasets.mixture import Mixture, Narrowed
from pointlift.errors import CheckpointError, DataError, RecipeError
from pointlift.registry import DATASETS
from pointlift.run import Run
from pointlift.train import checkpoint
from pointlift.train.loader import SceneOrder, StepBatches
from pointlift.trial import open_trial

RECIPE = "semantickitti-small-relational"


class Few(Scenes):
    """A data set of a few points a scene."""

    name = "few"
    feature_names = ("intensity", "ring")
    class_names = ("a", "b")
    class_colors = ((1, 2, 3), (4, 5, 6))
    labels = frozenset({"points"})

    def __init__(self, count: int, prefix: str = "s", **known: object) -> None:
        camera = View("front", np.eye(3), np.eye(4), np.zeros((4, 4, 3), np.uint8))
        self.prepared = 0
        scenes = (
            Scene(
                np.full((2, 3), index, np.float32),
                np.array([[0.5, index], [0.25, index]], np.float32),
                [camera],
                np.array([0, 1]),
                f"{prefix}{index}",
            )
            for index in range(count)
        )
        super().__init__(list(scenes), **known)

    def prepare(self, progress: object) -> None:
        self.prepared += 1


def few(weights: dict[int, float]) -> Mixture:
    return Mixture({f"few{count}": Few(count) for count in weights}, list(weights.values()))


@pytest.fixture(scope="module")
def street_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("street")


@pytest.fixture
def parts(kitti_root: Path, street_root: Path) -> list[dict]:
    """One camera of 64 x 200 pixels and a class list, beside two cameras of 32 x 48 and another class list."""
    street = {"root": str(street_root), "sequences": 2, "frames": 1, "cameras": ["front", "rear"], "workers": 0}
    return [
        {"name": "semantickitti", "root": str(kitti_root), "sequences": ["00"]},
        {"name": "street", **street, "image_size": [32, 48], "weight": 2.0},
    ]


@pytest.fixture
def overrides(parts: list[dict], tiny_overrides: list[str]) -> dict:
    mine = recipes.parse_overrides(tiny_overrides[1:])
    return {**mine, "data": {"name": "mixture", "parts": parts}, "method.pairs_per_scene": 32, "training.epochs": 1.0}


def test_scenes_are_those_of_the_parts_under_names_of_their_own() -> None:
    first, second = Few(2), Few(3, "t")
    mixed = Mixture({"few": first, "few#2": second}, [1.0, 1.0])
    assert len(mixed) == 5
    assert mixed.ids == ["few:s0", "few:s1", "few#2:t0", "few#2:t1", "few#2:t2"]
    assert [scene.id for scene in mixed] == mixed.ids
    assert mixed[3].points is second[1].points
    assert mixed[3].labels is second[1].labels
    assert mixed.views(3) == second[1].views
    assert mixed.image_paths(3) == [None]
    assert (mixed.class_names, mixed.class_colors, mixed.feature_names) == (
        ("a", "b"),
        Few.class_colors,
        ("intensity", "ring"),
    )
    mixed.prepare(None)
    assert (first.prepared, second.prepared) == (1, 1)
    for wrong in (5, -1):
        with pytest.raises(IndexError):
            mixed[wrong]


@pytest.mark.parametrize("weights", [{3: 1.0, 5: 2.0}, {4: 0.5, 7: 1.3, 2: 2.75}, {2: 3.0}])
def test_an_epoch_visits_every_scene_as_often_as_its_weight_says(weights: dict[int, float]) -> None:
    mixed = few(weights)
    order = SceneOrder(mixed, seed=5)
    places = [int(weight * count + 0.5) for count, weight in weights.items()]
    assert order.length == sum(places)
    epochs = 300
    visits = Counter(index for step in range(epochs) for index in order.of(step, order.length))
    start = 0
    for (count, weight), mine in zip(weights.items(), places, strict=True):
        of_part = [visits[index] for index in range(start, start + count)]
        assert sum(of_part) == epochs * mine  # exactly, in every epoch
        rest = mine / count - mine // count
        tolerance = 5 * (epochs * rest * (1 - rest)) ** 0.5  # five standard deviations of so many draws
        assert np.abs(np.array(of_part) - epochs * mine / count).max() <= tolerance
        assert abs(mine / count - weight) <= 0.5 / count
        start += count
    one = Counter(order.of(7, order.length))
    start = 0
    for count, weight in weights.items():
        low = int(weight * count + 0.5) // count
        assert {one[index] for index in range(start, start + count)} <= {low, low + 1}
        start += count
    assert order.of(1, order.length) != order.of(2, order.length)


def test_the_parts_of_an_epoch_are_shuffled_together() -> None:
    first = np.array(SceneOrder(few({50: 1.0, 51: 1.0}), seed=0).of(0, 101)) < 50
    assert 15 < first[:50].sum() < 35


def test_of_different_classes_there_are_none() -> None:
    other = Few(2, "t")
    other.class_names = ("a", "c")
    mixed = Mixture({"few": Few(2), "other": other}, [1.0, 1.0])
    assert mixed.class_names == ()
    assert mixed[0].labels is None
    assert mixed.class_colors is None


def test_labels_are_kept_where_all_parts_name_them_alike() -> None:
    boxes = {"box_names": ("car",), "labels": frozenset({"points", "boxes"})}
    same = Mixture({"a": Few(2, **boxes), "b": Few(1, box_names=("car",), min_depth=0.2)}, [1.0, 1.0])
    assert (same.labels, same.box_names, same.class_names) == ({"points", "boxes"}, ("car",), ("a", "b"))
    assert (same.mixed, same.min_depth) == (("a", "b"), 0.2)
    other = Mixture({"a": Few(2, **boxes), "b": Few(1, box_names=("bus",), class_names=("c",))}, [1.0, 1.0])
    assert (other.labels, other.box_names, other.class_names) == (frozenset(), (), ())
    assert other[0].labels is None


def test_features_must_agree_or_be_chosen(parts: list[dict]) -> None:
    other = Few(2)
    other.feature_names = ("intensity", "elongation")
    with pytest.raises(
        DataError, match=r"few: intensity, ring; other: intensity, elongation\); set features=\[intensity\]"
    ):
        Mixture({"few": Few(2), "other": other}, [1.0, 1.0])
    narrow = Narrowed(Few(2), ("ring",))
    assert narrow[1].features.tolist() == [[1.0], [1.0]]
    assert narrow.ids == ["s0", "s1"]
    assert len(pickle.loads(pickle.dumps(narrow))) == 2
    orders = [data.epoch(np.random.default_rng(1)) for data in (Few(9), Narrowed(Few(9), ("ring",)))]
    assert np.array_equal(*orders)
    kept = DATASETS.build("mixture", parts=parts, features=["intensity"])
    assert kept.feature_names == ("intensity",)
    with pytest.raises(DataError, match="the part 'semantickitti' has no point feature 'ring'; it has: intensity"):
        DATASETS.build("mixture", parts=parts, features=["ring"])
    none = DATASETS.build("mixture", parts=parts, features=[], part="street")
    assert none[0].features.shape == (len(none[0]), 0)
    assert none.class_names == DATASETS.get("street").factory.class_names


def test_no_epoch_without_a_part() -> None:
    with pytest.raises(DataError, match="the part 'few3': its weight is too small for 3 scenes"):
        few({3: 0.1, 4: 1.0})
    with pytest.raises(DataError, match="the part 'few0': it has no scenes"):
        few({0: 1.0, 4: 1.0})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"parts.1.rooot": "x"}, r"there is no key 'parts\.1\.rooot'; did you mean 'root'\?"),
        ({"parts.1.weight": 0}, r"'parts\.1\.weight' is 0: input should be greater than 0"),
        ({"parts.1.weight": ".inf"}, r"'parts\.1\.weight' is inf: input should be a finite number"),
        ({"parts.0.name": "semantickiti"}, r"'parts\.0\.name' is 'semantickiti'; did you mean 'semantickitti'\?"),
        ({"parts.0.name": "mixture"}, r"'parts\.0\.name' is 'mixture'; known are: .*semantickitti"),
        ({"parts.0": "street"}, r"'parts\.0' needs a name, one of: .*semantickitti"),
        ({"parts": []}, "'parts' should list data sets"),
        ({"parts.2.root": "x"}, r"'data\.parts\.2\.root' should name one of the 2 entries of 'parts', from 0 on"),
        ({"patrs": []}, "did you mean 'parts'"),
    ],
)
def test_mistakes_name_the_part(parts: list[dict], change: dict, said: str) -> None:
    changes = {
        f"data.{key}": yaml.safe_load(value) if isinstance(value, str) else value for key, value in change.items()
    }
    values = {**recipes.load(RECIPE, ["data.root=x"]).to_dict(), "data": {"name": "mixture", "parts": parts}}
    with pytest.raises(RecipeError, match=said) as caught:
        recipes.from_values(values, changes)
    assert "\n" not in str(caught.value)


def test_a_root_for_all_and_a_missing_part_are_refused(parts: list[dict], kitti_root: Path) -> None:
    with pytest.raises(
        RecipeError, match=r"no 'root' for all, each part has its own: --set data\.parts\.0\.root=FOLDER"
    ):
        DATASETS.build("mixture", parts=parts, root=Path("x"))
    with pytest.raises(RecipeError, match="no part called 'streets'; did you mean 'street'"):
        DATASETS.build("mixture", parts=parts, part="streets")
    with pytest.raises(DataError, match="nowhere"):
        DATASETS.build("mixture", parts=[parts[0] | {"root": "nowhere"}])
    moved = DATASETS.build("mixture", parts=[parts[0] | {"root": "nowhere"}], part="semantickitti", root=kitti_root)
    assert len(moved) == 3


def test_a_part_alone_is_its_data_set_and_a_split_reaches_it(parts: list[dict]) -> None:
    parts = [*parts, parts[0] | {"sequences": ["01"]}]
    mixed = DATASETS.build("mixture", parts=parts)
    assert len(mixed) == 3 + 2 + 2
    assert mixed.ids[-1] == "semantickitti#2:01/000001"
    assert [len(views) for views in map(mixed.views, range(7))] == [1, 1, 1, 2, 2, 1, 1]
    alone = DATASETS.build("mixture", parts=parts, part="semantickitti#2")
    assert alone.ids == ["01/000000", "01/000001"]
    assert alone.class_names[0] == "car"
    val = DATASETS.build("mixture", parts=parts, part="semantickitti", split="val")
    assert val.ids == ["08/000000", "08/000001"]  # sequences thinned out the training split only
    assert len(DATASETS.build("mixture", parts=parts[1:2], split="val")) == 24
    assert len(DATASETS.build("mixture", parts=parts[1:2], split="train")) == 2


def test_the_recipe_goes_through_yaml(parts: list[dict], tmp_path: Path) -> None:
    values = {**recipes.load(RECIPE, ["data.root=x"]).to_dict(), "data": {"name": "mixture", "parts": parts}}
    loaded = recipes.from_values(values, {"data.parts.1.weight": 3, "data.parts.0.frame_step": 2})
    assert [part.name for part in loaded.data.parts] == ["semantickitti", "street"]
    assert (loaded.data.parts[1].weight, loaded.data.parts[0].frame_step) == (3.0, 2)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(loaded.to_dict()))
    assert recipes.load(tmp_path / "recipe.yaml") == loaded


def test_one_batch_holds_scenes_of_different_cameras(overrides: dict) -> None:
    recipe = recipes.load(RECIPE, overrides | {"cache.enabled": False})
    run_parts = pointlift.run.Parts(recipe)
    scenes = run_parts.dataset()
    method = run_parts.method(run_parts.student(1, 24, 0))
    source = StepBatches(method, scenes, batch_size=7, seed=0)
    assert source.order.length == 7
    batch = source[0]
    assert Counter(name.split(":")[0] for name in batch.scene_ids) == {"semantickitti": 3, "street": 4}
    assert {view.size for sample in batch.samples for view in sample.scene.views} == {(64, 200), (32, 48)}
    assert {len(sample.scene.views) for sample in batch.samples} == {1, 2}
    assert torch.isfinite(method(batch)["loss"])
    sample = batch.samples[0]  # its pairs are a function of (seed, step, scene id), whatever else is in the batch
    index = scenes.ids.index(sample.scene.id)
    generator = pointlift.train.loader.scene_generator(0, 0, sample.scene.id)
    again = method.sample(scenes[index], generator)
    np.testing.assert_array_equal(again.pairs.point_index, sample.pairs.point_index)


def test_a_run_on_a_mixture_resumes_to_the_same_bits_also_from_elsewhere(
    overrides: dict, tmp_path: Path, kitti_root: Path
) -> None:
    whole = pointlift.pretrain(RECIPE, overrides, out=tmp_path / "whole", cpu=True)
    assert whole.steps == 4  # 3 + 2 · 2 places in batches of two
    assert whole.recipe.training.steps == 6
    stopped = pointlift.pretrain(RECIPE, overrides, out=tmp_path / "stopped", cpu=True)
    shutil.rmtree(stopped.checkpoint)
    assert stopped.checkpoint.name == "step-00000003"
    moved = tmp_path / "moved"
    shutil.copytree(kitti_root, moved)
    elsewhere = {**overrides, "data.parts.0.root": str(moved), "data.parts.1.workers": None}
    resumed = pointlift.pretrain(RECIPE, elsewhere, out=tmp_path / "stopped", cpu=True)
    first, second = (checkpoint.read_weights(run.checkpoint) for run in (whole, resumed))
    assert all(torch.equal(first[key], second[key]) for key in first)
    with pytest.raises(CheckpointError, match=r"data\.parts\.1\.weight was 2\.0 and is 1\.0"):
        pointlift.pretrain(RECIPE, {**overrides, "data.parts.1.weight": 1.0}, out=tmp_path / "whole", cpu=True)
    fewer = {**overrides["data"], "parts": overrides["data"]["parts"][:1]}
    with pytest.raises(CheckpointError, match="another recipe"):
        pointlift.pretrain(RECIPE, {**overrides, "data": fewer}, out=tmp_path / "whole", cpu=True)
    _evaluation_takes_one_part(whole)


def _evaluation_takes_one_part(run: Run) -> None:
    trial = open_trial(run, split="val", test_data={"part": "semantickitti"}, cpu=True)
    labelled, test = trial.labelled, trial.test
    assert (labelled.ids[0], test.ids[0], len(labelled), len(test)) == ("00/000000", "08/000000", 3, 2)
    assert len(trial.pretrained()) == 3 + 2
    trial = open_trial(run, split="val", test_data={"part": "street"}, cpu=True)
    assert trial.class_names == trial.test.class_names == DATASETS.get("street").factory.class_names
    with pytest.raises(DataError, match=r"names no classes.*; choose one of its parts: --test-data part=semantickitti"):
        pointlift.evaluate(run, "exemplar", split="train", cpu=True)


def test_frames_that_parts_left_out_are_added_up() -> None:
    assert few({3: 1.0, 4: 1.0}).dropped_frames == {}
    lacking = Few(3, dropped_frames={"no depth": 2}), Few(4), Few(5, dropped_frames={"no pose": 1, "no depth": 3})
    mixed = Mixture(dict(zip("abc", lacking, strict=True)), [1.0, 1.0, 1.0])
    assert mixed.dropped_frames == {"no depth": 5, "no pose": 1}
