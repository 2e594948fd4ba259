from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pointlift import api
from pointlift.progress import no_progress
from pointlift.report import report
from pointlift.report.pictures.drawing import Drawing
from pointlift.report.pictures.encoder import EncoderStage, _features, encoder_gallery
from pointlift.run import Run
from tests.methods.frames import Frames, concept
from tests.report.fabricate import three_losses
from tests.report.test_page import Page, read
from tests.test_concept_run import small


def stage(frames: Frames, **options: object) -> EncoderStage:
    return EncoderStage(concept(concept_tokens=6, **options), frames, no_progress)


def test_each_frame_shows_features_and_four_concepts() -> None:
    found = encoder_gallery(stage(Frames(points=300)), 2)
    assert (found.shown, found.concepts) == (4, 6)
    assert [frame.title for frame in found.frames] == ["a/000", "a/011"]
    assert [(len(frame.features), len(frame.concepts)) for frame in found.frames] == [(4, 8), (4, 8)]
    numbers = [[picture.caption.split(",")[0] for picture in frame.concepts] for frame in found.frames]
    assert numbers[0] == numbers[1]
    assert numbers[0][:4] == numbers[0][4:]
    low, middle, high = (float(text.removesuffix(" ×")) for text, _ in found.legend)
    assert 0 < low < middle < high
    assert encoder_gallery(stage(Frames(points=300)), 2) == found


def test_features_are_of_all_points_as_the_loaded_encoder_has_them() -> None:
    given, scene = stage(Frames(points=300)), Frames(points=300)[2]
    loaded = given.method.student.features(scene)
    np.testing.assert_allclose(_features(given.method, scene), loaded, atol=1e-5)
    np.testing.assert_allclose(_features(given.method, scene, 7), loaded[::7], atol=1e-5)


def test_concepts_that_look_everywhere_alike_have_one_colour() -> None:
    given = stage(Frames(points=300))
    concepts = given.method.network.concepts
    assert concepts is not None
    concepts.block.attention.query.weight.data.zero_()
    found = encoder_gallery(given, 1)
    assert [text for text, _ in found.legend] == ["0.90 ×", "1.00 ×", "1.10 ×"]
    assert all("at most 1.00 ×" in picture.caption for picture in found.frames[0].concepts)
    assert len({picture.uri for picture in found.frames[0].concepts[:4]}) == 1


def test_without_images_there_are_clouds_alone() -> None:
    (frame,) = encoder_gallery(stage(Frames(points=300, views=0)), 1).frames
    assert [picture.alt for picture in frame.features] == [
        "Points in scan a/000 from above.",
        "The encoder's features, as colours, in scan a/000 from above.",
    ]
    assert len(frame.concepts) == 4


def test_without_concepts_there_are_features_alone() -> None:
    found = encoder_gallery(stage(Frames(points=300), concepts=False), 1)
    assert (found.shown, found.concepts, found.legend) == (0, 0, [])
    assert (len(found.frames[0].features), found.frames[0].concepts) == (4, [])


def test_points_have_their_own_colours_or_a_grey_that_rises() -> None:
    scene = Frames(points=300)[0]
    scene.features = np.tile(np.array([[0.1, 0.8, 0.2, 0.6]], np.float32), (300, 1))
    drawing = Drawing(scene, 0.1)
    colored = drawing.own_colors(("intensity", "red", "green", "blue"))
    assert (colored == colored[0]).all()
    assert np.argsort(colored[0]).tolist() == [1, 2, 0]
    grey = drawing.own_colors(("intensity",))
    upwards = np.argsort(-scene.points[:, 1], kind="stable")  # in a camera's frame y points down
    assert (grey == grey[:, :1]).all()
    assert (np.diff(grey[upwards, 0].astype(int)) >= 0).all()
    assert np.ptp(grey) > 50


def test_a_point_on_the_image_has_its_colour_where_it_projects() -> None:
    scene = Frames(points=300)[0].select(np.arange(1))
    drawing = Drawing(scene, 0.1, width=24)  # the image's own size
    tinted = drawing.on_image(np.array([[255, 0, 0]], np.uint8))
    u, v = np.round(scene.views[0].project(scene.points)[0][0]).astype(int)
    assert drawing.image is not None
    grey = int(drawing.image.mean(axis=2)[0, 0])
    assert tinted[v, u].tolist() == pytest.approx([0.65 * 255 + 0.35 * grey, 0.35 * grey, 0.35 * grey], abs=1)
    assert tinted[0, 0].tolist() == pytest.approx([grey] * 3, abs=1)


@pytest.fixture
def runs(root: Path, tmp_path: Path) -> list[Run]:
    """One recipe without concepts, and one with, of two seeds, of which the first was evaluated."""
    steps = {"training.steps": 1, "training.checkpoint_every": 1}
    without = {"method.concepts": False, "name": "without"}
    made = [api.pretrain(small(root, tmp_path, **steps, **without), out=tmp_path / "without", cpu=True)]
    for seed in (1, 0):
        made.append(api.pretrain(small(root, tmp_path, seed=seed, **steps), out=tmp_path / f"run{seed}", cpu=True))
    api.evaluate(made[2], "retrieval", cpu=True)
    return made


def headings(page: Page) -> list[str]:
    return [name for name in page.headings if name not in ("Results", "Loss during pretraining", "Protocols")][:-1]


def test_a_page_of_several_runs_pictures_the_first_seed_with_concepts(runs: list[Run], tmp_path: Path) -> None:
    path = report(runs, tmp_path / "report.html", cpu=True, scenes=1)
    page = read(path)
    assert headings(page) == ["Retrieval", "Pictures of the encoder", "Retrieved images"]
    assert "in one run: concept-7scenes, seed 0." in page.said
    assert "Shown are the 3 of 3 concepts that differ most" in page.said
    assert len(page.images) == 4 + 2 * 3 + 3 * (2 + 4)
    assert len({image["alt"] for image in page.images}) == len(page.images)
    assert "come the 4 of all 4 held-out images" in page.said
    assert str(tmp_path) not in path.read_text()
    assert report(runs, tmp_path / "again.html", cpu=True, scenes=1).read_bytes() == path.read_bytes()


def test_beside_runs_that_have_point_features_both_are_shown(runs: list[Run], tmp_path: Path) -> None:
    page = read(report([*three_losses(tmp_path), runs[0]], tmp_path / "report.html", cpu=True, scenes=1))
    assert headings(page)[-3:] == ["Pictures", "Pictures of the encoder", "Retrieved images"]
    assert page.said.count("There are no pictures") == 1  # of the fabricated runs, which have no data
    assert "Where concepts look" not in page.said


def test_without_data_or_checkpoint_the_page_says_why(runs: list[Run], tmp_path: Path) -> None:
    page = read(report(runs[1:], tmp_path / "a.html", cpu=True, data_root=tmp_path / "nowhere"))
    assert headings(page) == ["Retrieval", "Pictures of the encoder"]
    assert "There are no pictures: " in page.said
    assert str(tmp_path) not in page.said
    assert page.images == []
    for path in (runs[0].folder / "checkpoints").iterdir():
        path.rename(tmp_path / path.name)
    page = read(report(runs[:1], tmp_path / "b.html", cpu=True))
    assert "has no complete checkpoint yet" in page.said


def test_an_encoder_of_reconstruction_alone_has_its_features(root: Path, tmp_path: Path) -> None:
    options = {"method.target": "none", "method.reconstruction": 1.0, "training.steps": 1}
    run = api.pretrain(small(root, tmp_path, **options), out=tmp_path / "run", cpu=True)
    page = read(report([run], tmp_path / "report.html", cpu=True, scenes=1))
    assert headings(page) == ["Pictures of the encoder"]
    assert len(page.images) == 4
