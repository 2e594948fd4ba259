"""The recipes at paper scale: what they say, and that each builds whole and takes two steps."""

import re
from importlib import resources
from pathlib import Path

import pytest

import pointlift
from pointlift import recipe as recipes
from tests.fixtures_nuscenes import write_nuscenes

TEACHERS = {"clip-vit-b16": "clip", "dinov2-s": "dinov2", "dinov2-b": "dinov2", "dinov2-l": "dinov2"}
LOSSES = {"relational": "relational", "similarity": "similarity", "ppkt": "contrastive"}
NAMES = [f"nuscenes-{loss}-minkunet34-{teacher}" for loss in LOSSES for teacher in TEACHERS]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_nuscenes(tmp_path_factory.mktemp("nuscenes"))


def test_all_twelve_are_shipped():
    assert set(NAMES) == {name for name in recipes.shipped() if name.startswith("nuscenes-")}


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_what_its_name_says(name, tmp_path):
    recipe = recipes.load(name, {"data.root": str(tmp_path)})
    _, loss, student, teacher = name.split("-", 3)
    assert recipe.name == name
    assert (recipe.loss.name, recipe.student.name) == (LOSSES[loss], student)
    assert recipe.teacher.name == TEACHERS[teacher]
    assert recipe.training.batch_size * recipe.method.pairs_per_scene == 4096
    patch = 14 if recipe.teacher.name == "dinov2" else 16
    assert all(side % patch == 0 for side in recipe.image.crop_size)


def test_each_value_names_its_source():
    text = (resources.files("pointlift") / "recipes" / "nuscenes-minkunet34.yaml").read_text()
    values = 0
    for line in text.splitlines():
        key, _, rest = line.strip().partition(":")
        if not line.startswith(" ") or key.startswith("#") or not rest.split("#")[0].strip():
            continue
        values += 1
        in_words = re.search(r"# .*\[(paper|SLidR|ST-SLidR|ScaLR|CLIP2Scene|ours)\]", line)
        assert in_words or key in ("name", "enabled", "summary"), line
    assert values > 40


@pytest.mark.parametrize("name", NAMES)
def test_what_is_labelled_as_anothers_is_theirs(name, tmp_path):
    recipe = recipes.load(name, {"data.root": str(tmp_path)})
    training, contrastive = recipe.training, recipe.loss.name == "contrastive"
    assert recipe.student.stem_kernel == 3
    assert recipe.points.cuboid_factors == 1
    end = training.learning_rate * training.final_learning_rate
    assert end == pytest.approx(0 if contrastive else 1e-5)
    assert (training.optimizer, training.learning_rate) == (("sgd", 0.5) if contrastive else ("adamw", 0.002))


def test_concept_distillation_warms_up_for_ten_of_its_epochs(tmp_path):
    training = recipes.load("concept-scannet", {"data.root": str(tmp_path)}).training
    for pairs in (1_000, 76_543, 100_000):
        resolved = training.resolved(pairs)
        assert resolved.warmup_steps / resolved.steps == pytest.approx(10 / 250, rel=2e-2)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_dry_run_passes(name, root):
    """At full width, with the teacher's true shape and random weights; one scene a step and one camera, for a CPU."""
    small = [
        f"data.root={root}",
        "data.split=all",
        "data.cameras=[CAM_FRONT]",
        "training.batch_size=1",
        "training.workers=0",
        "training.threads=1",
    ]
    result = pointlift.dry_run(name, small, cpu=True)
    assert result["teacher_is_random"]
    assert result["epochs"] == pytest.approx(50)
    assert result["steps"] == 50 * result["scenes"]
    assert result["parameters"]["student"] > 37e6
