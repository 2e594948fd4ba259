from __future__ import annotations

import numpy as np
import pytest
import torch

from pointlift.errors import DataError, RecipeError
from pointlift.evaluation.protocols.retrieval import compared
from pointlift.methods.concept.method import Concept
from pointlift.progress import no_progress
from pointlift.report.pictures.encoder import EncoderStage
from pointlift.report.pictures.retrieved import nearest_first, retrieved_images
from tests.methods.frames import Frames, concept


def stage(frames: Frames, method: Concept | None = None) -> EncoderStage:
    return EncoderStage(method or concept(), frames, no_progress)


def test_the_highest_score_is_first_and_the_right_one_last_among_equals() -> None:
    scores = np.array([0.5, 0.9, 0.5, -1.0, 0.5])
    assert nearest_first(scores, right=0) == [1, 2, 4, 0, 3]
    assert nearest_first(scores, right=1) == [1, 0, 2, 4, 3]


def test_what_is_shown_is_what_the_protocol_counts() -> None:
    frames, method = Frames(points=300), concept()
    mean, deviation = torch.full((2, 3), 0.3), torch.tensor([[0.2, 0.3, 1.0], [0.5, 0.4, 1.0]])
    method.network.mean.copy_(mean)
    method.network.deviation.copy_(deviation)
    found = retrieved_images(stage(frames, method), 12)
    targets = torch.stack([method.token_sets(frames.views(index)[0]) for index in range(12)])
    expected = compared(method.predict(list(frames)), targets, mean, deviation)
    assert found.images == 12
    assert found.hits / 12 == pytest.approx(expected["recall_5"])
    assert np.mean([query.rank == 1 for query in found.queries]) == pytest.approx(expected["recall_1"])
    assert np.median([query.rank for query in found.queries]) == pytest.approx(expected["median_rank"])


def test_frames_are_spread_and_the_right_image_is_marked() -> None:
    found = retrieved_images(stage(Frames(points=300)), 3)
    assert [query.title for query in found.queries] == ["a/000", "a/006", "a/011"]
    for query in found.queries:
        assert (len(query.asked), len(query.found)) == (2, 5)
        marked = [place for place, picture in enumerate(query.found) if "right one" in picture.caption]
        assert marked == ([] if query.right is None else [query.right])
        assert query.rank == query.right + 1 if query.right is not None else query.rank > 5
        assert all(query.title in query.found[place].caption for place in marked)
    assert found.hits > 0


@pytest.mark.parametrize("frames", [Frames(count=1), Frames(count=3, views=0)])
def test_there_must_be_images_to_choose_from(frames: Frames) -> None:
    with pytest.raises(DataError, match="retrieval needs two frames, each with an image; 'a/000'"):
        retrieved_images(stage(frames), 1)


def test_without_token_sets_nothing_is_retrieved() -> None:
    with pytest.raises(RecipeError, match="no token sets"):
        retrieved_images(stage(Frames(), concept(target="none", reconstruction=1.0)), 1)
