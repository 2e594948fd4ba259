import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import pointlift
from pointlift.errors import DataError
from pointlift.report import report
from pointlift.run import Run
from tests.report.chromium import visit
from tests.report.fabricate import linear_probe, three_losses, write_run

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Checks that tags are balanced; gathers addresses, identifiers, texts and images' alternatives."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.headings: list[str] = []
        self.text: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.tags: set[str] = set()
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for key, value in attrs if key in ("src", "href", "action", "srcset", "data")]
        if tag == "img":
            self.images.append(dict(attrs))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "h2":
            self.headings.append(data.strip())
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    @property
    def said(self) -> str:
        return " ".join(" ".join(self.text).split())


def read(path: Path) -> Page:
    text = path.read_text()
    page = Page(text)
    assert all(address.startswith(("data:image/", "#")) for address in page.addresses)
    assert "script" not in page.tags
    assert not re.search(r"url\(|@import|https?://", re.sub(r"data:image/[^\"]*", "", text))
    return page


@pytest.fixture
def pictured(tiny_overrides: list[str], tmp_path: Path) -> list[Run]:
    """Two real runs of different losses, evaluated by a task that needs no text."""
    runs = []
    for loss in ("relational", "similarity"):
        overrides = [*tiny_overrides, "training.steps=3", "training.warmup_steps=1"]
        run = pointlift.pretrain(f"semantickitti-small-{loss}", overrides, out=tmp_path / loss, cpu=True)
        pointlift.evaluate(run, "exemplar", {"normalization_scans": 1}, cpu=True)
        if loss == "relational":
            pointlift.evaluate(run, "structure", {"normalization_scans": 1}, cpu=True)
        runs.append(run)
    return runs


def test_a_page_of_real_runs_has_everything_and_opens_in_a_browser(pictured: list[Run], tmp_path: Path) -> None:
    path = report(pictured, tmp_path / "out" / "report.html", cpu=True, scenes=2)
    page = read(path)
    assert page.headings == [
        "Results",
        "How much of the teacher arrived",
        "Class by class",
        "Loss during pretraining",
        "Structure",
        "Pictures",
        "The largest errors",
        "Protocols",
        "How to make it again",
    ]
    per_scene = 5 + 3 + 3 + 3  # camera, teacher, truth and two students; then one reference and two students
    assert len(page.images) >= 2 * per_scene
    assert all(image["alt"] and image["width"] and image["height"] for image in page.images)
    assert len({image["alt"] for image in page.images}) == len(page.images)
    assert str(tmp_path) not in path.read_text()  # the page is sent to others
    assert path.stat().st_size < 2_000_000
    for dark in (False, True):
        folder = tmp_path / f"browser{dark}"
        folder.mkdir()
        seen = visit(path, folder, dark=dark)
        assert seen.requests == []
        assert seen.console == []
        assert seen.screenshot.shape == (1600, 1440, 3)
        assert seen.screenshot.std() > 5
        assert (seen.screenshot[0, 0].mean() < 128) == dark


def test_without_prompts_or_exemplars_there_are_features_alone(pictured: list[Run], tmp_path: Path) -> None:
    for run in pictured:
        (run.folder / "evaluation" / "exemplar.json").unlink()
    page = read(report(pictured[:1], tmp_path / "report.html", cpu=True, scenes=1))
    assert "The largest errors" not in page.headings
    assert "Structure" in page.headings
    captions = [image["alt"].split(",")[0] for image in page.images]
    assert len(captions) == 4 + 2 + 1  # in the camera; features from above; true classes
    assert "Errors" not in page.said


def test_a_result_that_does_not_say_how_it_found_classes_leaves_them_out(pictured: list[Run], tmp_path: Path) -> None:
    path = pictured[0].folder / "evaluation" / "exemplar.json"
    result = json.loads(path.read_text())
    del result["settings"]["samples_per_class"]
    path.write_text(json.dumps(result))
    page = read(report(pictured[:1], tmp_path / "report.html", cpu=True, scenes=1))
    assert "No predicted classes are shown: the result exemplar is from an older version" in page.said
    assert "does not say its samples_per_class; evaluate the run again" in page.said
    assert len(page.images) == 4 + 2 + 1


def test_nothing_is_drawn_with_another_teacher(pictured: list[Run], tmp_path: Path) -> None:
    for path in pictured[0].folder.glob("checkpoints/*/state.json"):
        state = json.loads(path.read_text()) | {"teacher": "another"}
        state.pop("sha256")  # as checkpoints of before, which had none
        path.write_text(json.dumps(state))
    page = read(report(pictured[:1], tmp_path / "report.html", cpu=True, scenes=1))
    assert "There are no pictures: " in page.said
    assert "the student learned from another teacher than this dinov2" in page.said
    assert page.images == []


def test_the_browser_test_would_notice(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<img src='http://127.0.0.1:9/x.png'><script>nothing.here()</script>")
    seen = visit(page, tmp_path)
    assert any("127.0.0.1" in address for address in seen.requests)
    assert any("nothing is not defined" in line for line in seen.console)


def test_without_data_the_page_says_why_there_are_no_pictures(tmp_path: Path) -> None:
    page = read(report(three_losses(tmp_path), tmp_path / "report.html"))
    assert "There are no pictures" in page.said
    assert "data" in page.said
    assert "/nowhere" not in page.said
    assert page.images == []
    assert "69–84 %" in page.said
    assert "51.0–63.0 % mIoU" in page.said
    assert "lowest to highest of 3 recipes, mean of 1–3 seeds" in page.said
    assert "for seed" not in page.said
    assert "pointlift pretrain semantickitti-small-relational --seed 2 --data-root FOLDER" in page.said
    assert "--set method.shuffle_pairs=true" in page.said
    assert (
        "pointlift evaluate runs/relational0 --protocol zero-shot --set occlusion=0.05 --data-root FOLDER" in page.said
    )


def test_one_seed_is_said_plainly(tmp_path: Path) -> None:
    page = read(report([write_run(tmp_path / "run", [linear_probe(0.5)])], tmp_path / "report.html"))
    assert "one seed" in page.said
    assert "one seed only, so without a spread" in page.said
    assert "Bold" not in page.said
    assert "How much of the teacher arrived" not in page.headings


def test_an_unevaluated_run_has_its_curve(tmp_path: Path) -> None:
    page = read(report([write_run(tmp_path / "run")], tmp_path / "report.html"))
    assert "None of the runs has been evaluated" in page.said
    assert "Loss during pretraining" in page.headings


def test_a_run_that_just_began_has_a_page(tmp_path: Path) -> None:
    read(report([write_run(tmp_path / "run", losses=())], tmp_path / "report.html"))


def test_what_is_given_is_escaped(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [linear_probe(0.5)], overrides={"name": "<b>&'\"</b>"})
    path = report([run], tmp_path / "report.html", title="<script>alert(1)</script>", introduction=["A <i>b</i>."])
    page = read(path)
    assert "<script>alert(1)</script>" in page.said
    assert "A <i>b</i>." in page.said
    assert "<b>&'\"</b>" in page.said


def test_the_same_runs_give_the_same_bytes(tmp_path: Path) -> None:
    runs = three_losses(tmp_path)
    first, second = report(runs, tmp_path / "a.html"), report(runs, tmp_path / "b.html")
    assert first.read_bytes() == second.read_bytes()


def test_no_runs_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least one run"):
        report([], tmp_path / "report.html")
