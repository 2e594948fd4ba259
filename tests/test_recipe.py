from pathlib import Path

import pytest
import yaml

from pointlift import recipe
from pointlift.errors import RecipeError

ROOT = ["data.root=somewhere"]
NAME = "semantickitti-small-relational"


@pytest.mark.parametrize("name", recipe.shipped())
def test_shipped_recipes_are_valid_and_described(name: str) -> None:
    loaded = recipe.load(name, ROOT)
    assert loaded.name == name
    assert recipe.shipped()[name]


@pytest.mark.parametrize("name", recipe.shipped())
def test_resolved_recipe_round_trips_through_yaml(name: str, tmp_path: Path) -> None:
    loaded = recipe.load(name, ROOT)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(loaded.to_dict()))
    assert recipe.load(tmp_path / "recipe.yaml") == loaded


def test_overrides_reach_inside() -> None:
    loaded = recipe.load(NAME, [*ROOT, "loss.p=2", "training.learning_rate=1e-4", "teacher.random=true"])
    assert (loaded.loss.p, loaded.training.learning_rate, loaded.teacher.random) == (2, 1e-4, True)


def test_overrides_reach_into_lists_by_number() -> None:
    loaded = recipe.load(NAME, [*ROOT, "training.betas=[0.8, 0.9]", "training.betas.1=0.99"])
    assert loaded.training.betas == (0.8, 0.99)


def test_a_changed_name_takes_its_own_options() -> None:
    loaded = recipe.load(NAME, [*ROOT, "loss.temperature=0.2", "loss.name=contrastive"])
    assert (loaded.loss.name, loaded.loss.temperature) == ("contrastive", 0.2)


def test_extends_keeps_the_rest_and_replaces_other_components(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(recipe.load(NAME, [*ROOT, "loss.p=2"]).to_dict()))
    (tmp_path / "mine.yaml").write_text(
        "extends: base.yaml\nname: mine\nloss: {name: similarity}\ntraining: {steps: 3}"
    )
    loaded = recipe.load(tmp_path / "mine.yaml")
    assert (loaded.name, loaded.loss.name, loaded.training.steps, loaded.training.batch_size) == (
        "mine",
        "similarity",
        3,
        2,
    )


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ([], "data.root"),
        (["loss.temprature=0.1", "loss.name=contrastive"], "did you mean 'temperature'"),
        (["training.stesp=5"], "did you mean 'steps'"),
        (["trianing.steps=5"], "did you mean 'training'"),
        (["loss.name=relatonal"], "did you mean 'relational'"),
        (["student.name=minkunet15"], "did you mean 'minkunet14'"),
        (["training.steps=many"], "training.steps"),
        (["training.steps=0"], "training.steps"),
        (["nonsense"], "should look like"),
        (["name.x=1"], "single value"),
        (["training.steps=[1"], "not valid YAML"),
        (["teacher.path={folder}/x.png"], "into quotes, as in --set 'teacher.path=\"{folder}/x.png\"'"),
        (["points.rotate_x=3"], "rotate_z"),
        (["points.scale.2=3"], "'points.scale.2' should name one of the 2 entries of 'scale', from 0 on"),
        (["training.epochs=0"], "training.epochs"),
        (["method.views_per_scene=0"], "method.views_per_scene"),
    ],
)
def test_mistakes_are_one_clear_sentence(overrides: list[str], said: str) -> None:
    with pytest.raises(RecipeError, match="(?s)" + said.replace(".", r"\.")) as caught:
        recipe.load(NAME, overrides if not overrides else [*ROOT, *overrides])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a\n- b", "keys and values"),
        ("a: [1", "not valid YAML"),
        ("!!python/object/apply:os.system ['true']", "not valid YAML"),
        ("extends: semantickitti-smal-relational", "did you mean"),
        ("extends: semantickitti-small-relational\ndata: {root: a}\nloss: 3", "'loss' needs a name"),
    ],
)
def test_bad_files_are_named(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(RecipeError, match=said):
        recipe.load(tmp_path / "bad.yaml")


def test_unknown_recipe_and_missing_file(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="did you mean 'semantickitti-small-relational'"):
        recipe.load("semantickitti-small-relatinal")
    with pytest.raises(RecipeError, match=r"none\.yaml cannot be read"):
        recipe.load(tmp_path / "none.yaml")


def test_places_and_bookkeeping_may_differ_and_all_else_is_named() -> None:
    old = recipe.load(NAME, ROOT)
    moved = recipe.load(NAME, ["data.root=b", "cache.folder=c", "training.workers=2", "training.log_every=1"])
    assert recipe.differences(old, moved) == {}
    other = recipe.load(NAME, ["data.root=elsewhere", "loss.name=similarity", "training.steps=3"])
    assert recipe.differences(old, other)["training.steps"] == (700, 3)
    assert recipe.differences(old, other)["loss.name"] == ("relational", "similarity")


MIXTURE = "data={name: mixture, parts: [{name: semantickitti, root: a}, {name: street, root: b}]}"


def test_places_of_parts_of_a_mixture_may_differ() -> None:
    old = recipe.load(NAME, [MIXTURE])
    assert recipe.differences(old, recipe.load(NAME, [MIXTURE, "data.parts.0.root=c"])) == {}
    one = MIXTURE.replace(", {name: street, root: b}", "")
    assert set(recipe.differences(old, recipe.load(NAME, [one]))) >= {"data.parts.1.name", "data.parts.1.weight"}
    assert "data.name" in recipe.differences(old, recipe.load(NAME, ROOT))
    heavier = recipe.load(NAME, [MIXTURE, "data.parts.0.weight=2"])
    assert recipe.differences(old, heavier) == {"data.parts.0.weight": (1.0, 2.0)}


def test_what_is_portable_names_no_place() -> None:
    values = recipe.portable(recipe.load(NAME, [MIXTURE, "cache.folder=/secret/cache", "training.workers=7"]))
    assert "root" not in values["data"]["parts"][0]
    assert "folder" not in values["cache"]
    assert "workers" not in values["training"]
    assert (values["training"]["steps"], values["data"]["parts"][1]["name"]) == (700, "street")


def test_the_data_s_root_outlives_another_name_and_nothing_else_does() -> None:
    loaded = recipe.load(NAME, ["data.root=kept", "data.name=street"])
    assert (loaded.data.name, str(loaded.data.root)) == ("street", "kept")
    loaded = recipe.load(NAME, [*ROOT, "teacher.name=clip"])
    assert loaded.teacher.source.startswith("openai")


def test_an_unknown_part_says_how_one_comes_from_outside() -> None:
    with pytest.raises(RecipeError, match="--import"):
        recipe.load(NAME, [*ROOT, "loss.name=mine"])


def test_a_key_that_a_file_of_variants_mistypes_is_found_in_those_that_were_not_asked_for(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        f"extends: {NAME}\ndata: {{root: a}}\nvariants:\n  good: {{seed: 1}}\n  bad: {{sed: 1}}\n"
    )
    with pytest.raises(RecipeError, match="there is no key 'sed' in 'bad'; did you mean 'seed'"):
        recipe.load(f"{tmp_path / 'mine.yaml'}:good")
