from pathlib import Path

import pytest
import yaml

from pointlift.report import summarise, words
from tests.report.fabricate import three_losses, write_run


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
    assert "5 held-out scans" in said[2]


def test_headlines_are_ranges_over_proper_recipes(tmp_path: Path) -> None:
    found = words.headlines(summarise(three_losses(tmp_path)))
    assert [(one.value, one.unit) for one in found] == [
        ("51.0–63.0", "% mIoU"),
        ("69–84", "%"),
        ("61.0–73.0", "% mIoU"),
    ]
    assert "majority class 7.0" in found[0].text
    assert "random network 20.0, raw features 25.0" in found[2].text


def test_a_recipe_that_is_not_shipped_is_a_file(tmp_path: Path) -> None:
    run = write_run(tmp_path / "mine", {}, overrides={"name": "mine"})
    assert words.commands([run], {})[0].startswith("pointlift pretrain mine.yaml --seed 0")


def test_the_recipe_says_nothing_about_this_machine(tmp_path: Path) -> None:
    places = {
        "teacher.source": str(tmp_path / "somebody" / "dino"),
        "cache.folder": str(tmp_path / "somebody" / "cache"),
    }
    run = write_run(tmp_path / "run", {}, overrides=places)
    text = words.recipe_text(run)
    assert "somebody" not in text
    assert "nowhere" not in text
    assert yaml.safe_load(text)["teacher"]["source"] == "dino"
    assert "somebody" not in " ".join(words.commands([run], {}))
