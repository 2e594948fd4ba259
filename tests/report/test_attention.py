from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pointlift.errors import RecipeError
from pointlift.report.attention import draw_attention, point_attention
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


@pytest.mark.parametrize(("concept_number", "layer"), [(4, "mean"), (-1, 0), (0, 4)])
def test_no_such_concept(concept_number: int, layer: int) -> None:
    with pytest.raises(RecipeError, match="there are 4 concepts and 4 layers, from 0"):
        point_attention(concept(), Frames()[0], concept_number, layer)
