from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pointlift.data.scene import Scene
from pointlift.errors import RecipeError
from pointlift.report.pictures.attention import (
    at_all_points,
    concept_attention,
    differing,
    draw_attention,
    point_attention,
)
from tests.methods.frames import Frames, concept


def test_points_take_the_attention_of_their_patches() -> None:
    method, scene = concept(), Frames(points=300)[4]
    rows, values = point_attention(method, scene, 2, layer=1)
    attention, encoding, _ = method.attention(scene)
    share = attention[1].mean(0)[2] * 8
    patches = encoding.patches.rows[0].numpy()
    for place in range(len(rows)):
        of = [float(share[patch]) for patch in range(8) if place in patches[patch]]
        assert (np.isnan(values[place]) and not of) or values[place] == pytest.approx(max(of))
    assert rows.tolist() == method.drawn(scene).tolist()
    mean = point_attention(method, scene, 2)[1]
    assert np.nanmin(mean) > 0


def test_the_picture_shows_cloud_and_image(tmp_path: Path) -> None:
    method, frames = concept(), Frames(points=300)
    both = Image.open(draw_attention(method, frames[4], 0, tmp_path / "a.png"))
    alone = Image.open(draw_attention(method, Frames(points=300, views=0)[4], 0, tmp_path / "b.png"))
    assert both.width > alone.width == 480
    assert len(np.unique(np.asarray(alone).reshape(-1, 3), axis=0)) > 3


@pytest.mark.parametrize(
    ("concept_number", "layer", "said"),
    [
        (4, "mean", "concept 4: there are 4 concepts, from 0"),
        (-1, 0, "concept -1: there are 4 concepts, from 0"),
        (0, 4, "layer 4: there are 4 layers, from 0"),
    ],
)
def test_no_such_concept(concept_number: int, layer: int, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        point_attention(concept(), Frames()[0], concept_number, layer)


def test_one_pass_gives_every_concept() -> None:
    method, scene = concept(), Frames(points=300)[4]
    rows, values = concept_attention(method, scene)
    assert values.shape == (4, len(rows))
    for number in range(4):
        assert np.array_equal(values[number], point_attention(method, scene, number)[1], equal_nan=True)


def test_concepts_that_differ_most() -> None:
    even = np.ones(4)
    left, right, middle = np.array([2.0, 2, 0, 0]), np.array([0.0, 0, 2, 2]), np.array([0.0, 1.5, 1.5, 1])
    assert differing(np.stack([even, left, even, right, middle]), 2) == [1, 3]
    assert differing(np.stack([even, left, even, right, middle]), 3) == [
        0,
        1,
        3,
    ]  # 1 from both; middle is 0.75 from right
    assert differing(np.stack([even, even]), 4) == [0, 1]


def test_other_points_have_the_value_of_the_nearest_that_a_patch_holds() -> None:
    points = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0], [2.9, 0, 0], [9, 0, 0]], np.float32)
    scene = Scene(points, np.zeros((5, 0), np.float32), [], id="a")
    assert at_all_points(scene, np.array([4, 0, 2]), np.array([7.0, 1, np.nan])).tolist() == [1, 1, 1, 1, 7]
    pairs = np.array([[7, 8], [1, 2], [3, 4]], np.uint8)
    assert at_all_points(scene, np.array([4, 0, 2]), pairs).tolist() == [[1, 2], [1, 2], [3, 4], [3, 4], [7, 8]]
