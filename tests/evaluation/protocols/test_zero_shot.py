import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from pointlift.errors import DataError, PointliftError, RecipeError
from pointlift.evaluation.prompts import embed_names
from pointlift.evaluation.protocols.zero_shot import zero_shot
from pointlift.evaluation.prototypes import share_of_teacher
from pointlift.evaluation.table import markdown
from pointlift.registry import PROTOCOLS
from pointlift.teachers.templates import CLIP_TEMPLATES
from tests.evaluation.protocols.test_exemplar import noisy_colors, unit
from tests.evaluation.world import CLASSES, COLORS, Oracle, World, trial, visible

WORDS = {name: COLORS[index] / 255 for index, name in enumerate(CLASSES[:3])}
WORDS |= {"rare": np.array([0.9, 0.9, -0.9]), "port": np.array([0.9, 0.1, 0.3]), "starboard": np.array([0.2, 0.0, 0.9])}


def embed_text(prompts) -> torch.Tensor:
    """The colour of the last word, shifted by the words before it; of any length but one."""
    rows = []
    for prompt in prompts:
        *before, word = prompt.split()
        if word not in WORDS:
            raise PointliftError(f"the word '{word}' is not in the table")
        shift = np.random.default_rng(zlib.crc32(" ".join(before).encode())).normal(size=3) * (0.3 if before else 0)
        rows.append((WORDS[word] + shift) * (2 + len(prompt)))
    return torch.from_numpy(np.array(rows)).float()


class Named(World):
    """Has several names for two of its classes."""

    prompts = {"left": ("left", "port"), "right": ("right", "starboard")}  # noqa: RUF012


def given(tmp_path: Path, **changes):
    return trial(tmp_path, **{"embed_text": embed_text, **changes})


# ---- the equations, in float64 and one number at a time


def literal_embedding(names, templates) -> np.ndarray:
    texts = [embed_text([t.replace("{}", name)]).numpy().astype(np.float64)[0] for name in names for t in templates]
    return unit(np.mean([unit(text) for text in texts], axis=0))


def literal_embeddings(prompts: dict, templates, ensemble: str) -> list[tuple[int, np.ndarray]]:
    """Class and embedding of everything that a point is compared with."""
    found = []
    for label, name in enumerate(CLASSES):
        names = prompts.get(name, (name,))
        for group in [names] if ensemble == "mean" else [(one,) for one in names]:
            found.append((label, literal_embedding(group, templates)))
    return found


def literal_class(feature: np.ndarray, embeddings: list[tuple[int, np.ndarray]]) -> int:
    best, winner = -2.0, -1
    for label, embedding in embeddings:
        cosine = float(unit(feature) @ embedding)
        if cosine > best:
            best, winner = cosine, label
    return winner


def literal_miou(predicted: list[int], true: list[int]) -> float:
    ious = []
    for label in range(4):
        both = sum(p == label and t == label for p, t in zip(predicted, true, strict=True))
        either = sum(p == label or t == label for p, t in zip(predicted, true, strict=True))
        if sum(t == label for t in true) >= 100:
            ious.append(both / either)
    return sum(ious) / len(ious)


def note(lists: tuple[list, list], predicted: int, true: int) -> None:
    lists[0].append(predicted)
    lists[1].append(true)


@pytest.mark.parametrize("ensemble", ["mean", "max"])
def test_against_a_literal_reference(ensemble: str, tmp_path: Path) -> None:
    templates = ("{}", "one more {}")
    test = Named(2, seed=1, points=800, views=2)
    asked = given(tmp_path, train=Named(4), test=test, pixel_features=lambda: noisy_colors)
    result = zero_shot(asked, templates=templates, ensemble=ensemble)
    embeddings = literal_embeddings(Named.prompts, templates, ensemble)
    every, seen, ceiling = ([], []), ([], []), ([], [])  # predicted, true
    for scene in test:
        features = asked.student.features(scene).astype(np.float64)
        pairs = scene.pairs()
        pixels = noisy_colors(scene, pairs).numpy().astype(np.float64)
        for point in np.flatnonzero(scene.labels >= 0):
            label = scene.labels[point]
            predicted = literal_class(features[point], embeddings)
            note(every, predicted, label)
            rows = np.flatnonzero(pairs.point_index == point)
            if len(rows):
                note(seen, predicted, label)
                mean = np.mean([unit(pixels[row]) for row in rows], axis=0)
                note(ceiling, literal_class(mean, embeddings), label)
    assert result["student"]["miou"] == pytest.approx(literal_miou(*every))
    assert result["student"]["points"] == len(every[0])
    assert visible(result, "student")["miou"] == pytest.approx(literal_miou(*seen))
    assert visible(result, "teacher")["miou"] == pytest.approx(literal_miou(*ceiling))
    assert result.student.classes["left"]["predicted"] == every[0].count(0)
    assert visible(result, "student")["share_of_teacher"] == pytest.approx(literal_miou(*seen) / literal_miou(*ceiling))
    assert 0.05 < visible(result, "teacher")["miou"] < 1


def test_the_two_ensembles_differ(tmp_path: Path) -> None:
    asked = given(tmp_path, train=Named(4), test=Named(2, seed=1), pixel_features=lambda: noisy_colors)
    mean, best = (zero_shot(asked, ensemble=ensemble) for ensemble in ("mean", "max"))
    assert visible(mean, "teacher")["accuracy"] != visible(best, "teacher")["accuracy"]


# ---- the rows


def test_a_student_that_speaks_the_teacher_s_language(tmp_path: Path) -> None:
    test = World(2, seed=1, points=800)
    result = PROTOCOLS.build("zero-shot", given(tmp_path, student=Oracle(), test=test))
    assert result["student"]["accuracy"] == 1.0  # behind the camera too
    assert visible(result, "teacher")["accuracy"] > 0.95
    assert result["random network"]["accuracy"] < 0.9
    assert result["majority class"]["miou"] < 0.3
    assert [row.title for row in result] == [
        "student",
        "random network",
        "majority class",
        "teacher, visible points",
        "student, visible points",
        "random network, visible points",
        "majority class, visible points",
    ]
    labelled = sum(int((scene.labels >= 0).sum()) for scene in test)
    assert result["student"]["points"] == labelled
    assert 0 < visible(result, "student")["points"] < labelled
    ratio = visible(result, "student")["miou"] / visible(result, "teacher")["miou"]
    assert visible(result, "student")["share_of_teacher"] == ratio >= 1
    protocol = json.loads(json.dumps(result.to_dict(), allow_nan=False))["words"]
    assert protocol["prompts"] == {name: [name] for name in CLASSES}
    assert protocol["templates"] == ["{}"]
    assert protocol["majority class"].split(",")[0] in CLASSES
    assert "| student |" in markdown(result)


def test_prompts_come_from_the_options_then_the_data_set_and_templates_from_the_teacher(tmp_path: Path) -> None:
    asked = given(tmp_path, train=Named(4), test=Named(2, seed=1))
    asked.templates = lambda: ("some {}",)
    protocol = PROTOCOLS.build("zero-shot", asked, prompts={"left": ["port"]}).words
    assert protocol["prompts"] == {
        "left": ["port"],
        "middle": ["middle"],
        "right": ["right", "starboard"],
        "rare": ["rare"],
    }
    assert protocol["templates"] == ["some {}"]
    protocol = PROTOCOLS.build("zero-shot", asked, templates=["{}", "my {}"]).words
    assert protocol["templates"] == ["{}", "my {}"]
    assert "normalised mean" in protocol["text embeddings"]


def test_a_set_of_templates_goes_by_its_name(tmp_path: Path) -> None:
    def last_known_word(prompts):
        return embed_text([[word for word in prompt.strip(".").split() if word in WORDS][-1] for prompt in prompts])

    words = given(tmp_path, embed_text=last_known_word)
    asked = PROTOCOLS.build("zero-shot", words, templates="clip85", prompts={"left": ["port"]})
    assert tuple(asked.words["templates"]) == CLIP_TEMPLATES
    again = PROTOCOLS.build("zero-shot", words, templates=list(CLIP_TEMPLATES), prompts={"left": ["port"]})
    assert again.rows == asked.rows
    assert PROTOCOLS.build("zero-shot", words, templates="plain").words["templates"] == ["{}"]
    assert PROTOCOLS.build("zero-shot", words, templates="my {}").words["templates"] == ["my {}"]


def test_each_sentence_is_embedded_once_and_in_batches() -> None:
    asked: list[list[str]] = []

    def count(sentences):
        asked.append(list(sentences))
        return torch.tensor([[float(len(sentence)), 1.0] for sentence in sentences]).reshape(-1, 2)

    names = [f"name {index}" for index in range(7)]
    found = embed_names(count, [*names, names[3]], ["clip85", "{}", "{}"])
    assert found.shape == (8, 2)
    assert sum(map(len, asked)) == len(set().union(*asked)) == 7 * 86
    assert max(map(len, asked)) <= 256
    for name, row in zip([*names, names[3]], found, strict=True):
        texts = [np.array([len(t.replace("{}", name)), 1.0]) for t in (*CLIP_TEMPLATES, "{}", "{}")]
        assert np.allclose(row, np.mean([unit(text) for text in texts], axis=0))


def test_test_scans_without_images_have_no_visible_rows(tmp_path: Path) -> None:
    result = zero_shot(given(tmp_path, test=World(2, seed=1, views=0), student=Oracle()))
    assert [row.title for row in result] == ["student", "random network", "majority class"]
    assert result["student"]["accuracy"] == 1.0
    assert "share_of_teacher" not in {column.key for column in result.columns}


def test_the_share_is_undefined_where_the_teacher_knows_nothing() -> None:
    assert share_of_teacher(0.2, 0.4) == 0.5
    assert share_of_teacher(0.2, 0.0) is None
    assert share_of_teacher(0.2, None) is None


# ---- what is refused, and when


def no_work(seed: int):
    raise AssertionError("the long work had begun")


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"prompts": {"lefd": ["port"]}}, RecipeError, "no class 'lefd'; did you mean 'left'?"),
        ({"prompts": {"left": []}}, RecipeError, "'left' needs at least one name"),
        ({"prompts": {"left": [" "]}}, RecipeError, "'left' needs at least one name"),
        ({"prompts": {"left": ["right"]}}, RecipeError, "'right' stands for 'left' and again for 'right'"),
        ({"prompts": {"left": ["leeward"]}}, PointliftError, "the word 'leeward' is not in the table"),
        ({"templates": ["a thing"]}, RecipeError, "'a thing' has no {}"),
        ({"templates": "clip80"}, RecipeError, "or name one of the sets plain, openscene, clip85"),
        ({"templates": []}, RecipeError, "at least one is needed"),
        ({"ensemble": "median"}, RecipeError, "ensemble"),
        ({"prompt": {}}, RecipeError, "did you mean 'prompts'?"),
    ],
)
def test_bad_options_are_named_before_the_work(options: dict, error: type, said: str, tmp_path: Path) -> None:
    with pytest.raises(error) as caught:
        PROTOCOLS.build("zero-shot", given(tmp_path, fresh_student=no_work), **options)
    assert said in str(caught.value)


def test_what_cannot_be_compared_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(PointliftError, match="has no text encoder"):
        zero_shot(given(tmp_path, embed_text=None, fresh_student=no_work))
    wide = given(tmp_path, embed_text=lambda prompts: torch.ones(len(prompts), 5), fresh_student=no_work)
    with pytest.raises(RecipeError, match="3 channels and the teacher's text 5; zero-shot"):
        zero_shot(wide)
    with pytest.raises(DataError, match="needs labels of points"):
        zero_shot(given(tmp_path, test=World(1, labels=False), fresh_student=no_work))
