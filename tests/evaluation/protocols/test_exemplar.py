import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pointlift.data.dataset import Scenes
from pointlift.errors import DataError, RecipeError
from pointlift.evaluation.protocols.exemplar import class_prototypes, exemplar, nearest
from pointlift.evaluation.visibility import Visibility
from pointlift.registry import PROTOCOLS
from tests.evaluation.world import CLASSES, Oracle, World, pixel_colors, trial, visible


def noisy_colors(scene, pairs) -> torch.Tensor:
    """Colours with noise that depends on the point, so that every sample counts."""
    noise = np.random.default_rng(3).normal(size=(1000, 3))[pairs.point_index] * 0.4
    return pixel_colors(scene, pairs) + torch.from_numpy(noise * (1 + pairs.view_index[:, None])).float()


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.sqrt((vector**2).sum())


def test_prototypes_against_a_literal_loop(tmp_path: Path) -> None:
    world = World(3, views=2)
    found, counts = class_prototypes(trial(tmp_path, train=world), noisy_colors, None, Visibility())
    gathered: dict[int, list[np.ndarray]] = {label: [] for label in range(4)}
    labelled = np.zeros(4, int)
    for scene in world:
        pairs = scene.pairs()
        features = noisy_colors(scene, pairs).numpy().astype(np.float64)
        for row, point in enumerate(pairs.point_index):
            if scene.labels[point] >= 0:
                gathered[scene.labels[point]].append(unit(features[row]))
        for label in scene.labels[scene.labels >= 0]:
            labelled[label] += 1
    for label in range(3):
        assert np.allclose(found[label], unit(np.mean(gathered[label], axis=0)), atol=1e-6)
    assert found[3].isnan().all()
    assert counts["samples"].tolist() == [len(gathered[label]) for label in range(4)]
    assert counts["points"].tolist() == labelled.tolist()


def test_capped_samples_are_a_subset_of_that_size(tmp_path: Path) -> None:
    used = []

    def remember(scene, pairs):
        used.extend((scene.id, int(point)) for point in pairs.point_index)
        return pixel_colors(scene, pairs)

    given = trial(tmp_path)
    _, counts = class_prototypes(given, remember, 7, Visibility())
    assert counts["samples"].tolist() == [7, 7, 7, 0]
    assert len(set(used)) == 21
    assert len({scene for scene, _ in used}) > 1
    first = list(used)
    used.clear()
    class_prototypes(given, remember, 7, Visibility())
    assert used == first


def test_nearest_against_a_literal_loop() -> None:
    rng = np.random.default_rng(0)
    features, prototypes = rng.normal(size=(40, 5)), rng.normal(size=(4, 5))
    prototypes[2] = np.nan
    expected = [
        max((c for c in range(4) if c != 2), key=lambda c, x=x: unit(x) @ unit(prototypes[c])) for x in features
    ]
    normalised = torch.from_numpy(prototypes / np.linalg.norm(prototypes, axis=1, keepdims=True)).float()
    assert nearest(torch.from_numpy(features), normalised).tolist() == expected


def test_a_student_that_speaks_the_teacher_s_language(tmp_path: Path) -> None:
    result = PROTOCOLS.build("exemplar", trial(tmp_path, student=Oracle()))
    assert result["student"]["accuracy"] == 1.0
    assert visible(result, "student")["accuracy"] == 1.0
    assert visible(result, "teacher")["accuracy"] > 0.95  # pixels on a border have the neighbour's colour
    assert result["random network"]["accuracy"] < 0.9
    world = World(2, seed=1)
    assert result["student"]["points"] == sum(int((scene.labels >= 0).sum()) for scene in world)
    seen = sum(int((scene.labels[np.unique(scene.pairs().point_index)] >= 0).sum()) for scene in world)
    at_visible = [row for row in result if row.subset == "visible points"]
    assert {row.metrics["points"] for row in at_visible} == {seen}
    assert len(at_visible) == 4
    protocol = json.loads(json.dumps(result.to_dict(), allow_nan=False))["words"]
    assert protocol["classes without a training point"] == ["rare"]
    assert protocol["samples of each class"]["rare"] == 0
    assert protocol["majority class"] in CLASSES


def test_the_occlusion_option_reaches_the_pairs(tmp_path: Path) -> None:
    free = visible(exemplar(trial(tmp_path)), "teacher")["points"]
    tested = visible(exemplar(trial(tmp_path), occlusion=0.05), "teacher")["points"]
    far = visible(exemplar(trial(tmp_path), min_depth=6.0), "teacher")["points"]
    assert tested < free
    assert far < free


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    wide = trial(tmp_path, pixel_features=lambda: lambda scene, pairs: torch.ones(len(pairs.point_index), 5))
    with pytest.raises(RecipeError, match="3 channels and the teacher 5"):
        exemplar(wide)
    with pytest.raises(RecipeError, match="samples_per_class"):
        PROTOCOLS.build("exemplar", trial(tmp_path), samples_per_class=0)
    with pytest.raises(DataError, match="needs labels of points, which the data set 'world' has not"):
        exemplar(trial(tmp_path, test=World(1, labels=False)))
    blind = [scene.select(scene.points[:, 0] < 0) for scene in World(2)]
    known = {"class_names": CLASSES, "name": "blind", "labels": World(1).labels}
    given = trial(tmp_path, train=Scenes(blind, **known))
    with pytest.raises(DataError, match="seen by an image"):
        exemplar(given)
