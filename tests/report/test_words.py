from pathlib import Path

import pytest
import yaml

from pointlift.report import again, summarise, words
from tests.report.fabricate import linear_probe, retrieval, structure, three_losses, write_result, write_run, zero_shot


@pytest.mark.parametrize(
    ("parts", "expected"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_joined(parts: list[str], expected: str) -> None:
    assert words.joined(parts) == expected


def test_what_was_done_in_three_sentences(tmp_path: Path) -> None:
    said = words.introduction(summarise(three_losses(tmp_path)))
    assert len(said) == 3
    assert "minkunet14" in said[0]
    assert "semantickitti" in said[0]
    assert "dinov2" in said[0]
    assert said[1] == (
        "It was distilled with each of the losses relational, contrastive and similarity for 700 steps on 28 scans, "
        "1–3 seeds, and beside them the control relational · pairs shuffled."
    )
    assert said[2] == (
        "What its features know of the classes is read out on 5 held-out scans by text prompts alone and by a linear "
        "classifier on frozen features, beside baselines."
    )


def test_what_a_method_trains_is_said(tmp_path: Path) -> None:
    tokens = write_run(tmp_path / "tokens", recipe="concept-rooms")
    none = write_run(
        tmp_path / "none", recipe="concept-rooms", overrides={"method.target": "none", "method.reconstruction": 1.0}
    )
    assert "the token set that the frozen image network" in words.introduction(summarise([tokens]))[0]
    points = write_run(tmp_path / "points")
    both = words.introduction(summarise([points, tokens, none]))[0]
    assert both.startswith("The 3D network minkunet14 learned to give each point of the data set semantickitti ")
    assert " The 3D network point_transformer learned to tell from the points of the data set rooms " in both
    assert "by the method concept" in words.introduction(summarise([none]))[0]
    assert "not yet used to tell classes apart" in words.introduction(summarise([tokens]))[2]


def test_controls_say_what_is_wrong_with_them(tmp_path: Path) -> None:
    runs = three_losses(tmp_path)
    assert words.controls_in_words(summarise(runs)) == (
        "The controls are trained with something wrong on purpose: shuffled pairs give each point the feature of a "
        "pixel of another image."
    )
    assert words.controls_in_words(summarise(runs[:1])) == ""


def test_a_protocol_of_a_plug_in_that_is_not_there_is_named() -> None:
    assert words.way("zero-shot") == "by text prompts alone"
    assert words.way("their-own") == "by their-own"
    assert words.about("their-own") == ""
    assert words.about("structure").startswith("Uniformity, tolerance")


def test_headlines_are_ranges_over_proper_recipes(tmp_path: Path) -> None:
    found = words.headlines(summarise(three_losses(tmp_path)))
    assert [(one.value, one.unit) for one in found] == [
        ("51.0–63.0", "% mIoU"),
        ("69–84", "%"),
        ("61.0–73.0", "% mIoU"),
    ]
    assert found[0].text.endswith("; majority class 7.0 · random network 3.0")
    assert found[2].text.endswith("; local geometry 40.0 · raw features 25.0 · random network 20.0")  # the best ones


def test_without_classes_the_headline_is_what_decides(tmp_path: Path) -> None:
    (found,) = words.headlines(summarise([write_run(tmp_path / "run", [retrieval(0.00125, 5.0)])]))
    assert (found.value, found.unit) == ("0.00125", "loss")
    assert found.text == "retrieval, one recipe, one seed; training mean 0.00295; lower is better"


def test_a_recipe_that_is_not_shipped_is_a_file(tmp_path: Path) -> None:
    run = write_run(tmp_path / "mine", overrides={"name": "mine"})
    assert again.commands(summarise([run]).groups[0])[0].startswith("pointlift pretrain mine.yaml --seed 0")


def test_commands_measure_the_same_again(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [linear_probe(0.5)])
    elsewhere = {"root": "/home/somebody/rooms", "name": "rooms"}
    write_result(run, zero_shot(0.5, 0.5), split="test", test_data={"sector": [-30, 60]}, evaluation_seed=3)
    write_result(run, structure(1.0, 0.5), label_data=elsewhere, options={"t": 1.5})
    said = again.commands(summarise([run]).groups[0])
    assert said[1:] == [
        "pointlift evaluate runs/run --protocol linear-probe --set occlusion=0.05 --data-root FOLDER",
        "pointlift evaluate runs/run --protocol structure --set t=1.5 --label-data root=FOLDER --label-data name=rooms"
        " --data-root FOLDER",
        "pointlift evaluate runs/run --protocol zero-shot --set occlusion=0.05 --split test"
        " --test-data sector='[-30, 60]' --seed 3 --data-root FOLDER",
    ]


def test_the_recipe_says_nothing_about_this_machine(tmp_path: Path) -> None:
    places = {
        "teacher.source": str(tmp_path / "somebody" / "dino"),
        "cache.folder": str(tmp_path / "somebody" / "cache"),
    }
    run = write_run(tmp_path / "run", overrides=places)
    text = again.recipe_text(run)
    assert "somebody" not in text
    assert "nowhere" not in text
    assert yaml.safe_load(text)["teacher"]["name"] == "dinov2"
    assert "somebody" not in " ".join(again.commands(summarise([run]).groups[0]))
    public = write_run(tmp_path / "public", overrides={"teacher.source": "facebook/dinov2-base"})
    assert yaml.safe_load(again.recipe_text(public))["teacher"]["source"] == "facebook/dinov2-base"
