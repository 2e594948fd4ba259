import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from pointlift import recipe as recipes
from pointlift.commands.predict import field_map, pca_colors, predict, prompt_colors, tables
from pointlift.data.formats.ply import parse_ply, write_ply
from pointlift.errors import CheckpointError, DataError, PointliftError, RecipeError
from pointlift.registry import TEACHERS, Part
from pointlift.run import Parts, Run
from pointlift.teachers.base import Teacher, fingerprint_of
from pointlift.train import checkpoint

WORDS = {"car": (1, 0, 0.2, 0), "road": (0, 1, 0, 0), "tree": (-0.3, 0, 1, 0), "sky": (0, 0, -0.5, 1)}
NAMES = ["car", "road", "tree", "sky"]


class WordTeacher(Teacher):
    """Knows four words."""

    def __init__(self, *, scale: float = 2.0, speaks: bool = True) -> None:
        super().__init__()
        self.scale, self.speaks = scale, speaks
        self.dim, self.stride = 4, 1
        self.fingerprint = fingerprint_of(self, "WordTeacher", scale=scale)
        self.freeze()

    def embed_text(self, prompts):
        if not self.speaks:
            return super().embed_text(prompts)
        unknown = [word for prompt in prompts for word in prompt.split() if word not in {*WORDS, "the"}]
        if unknown:
            raise PointliftError(f"the word '{unknown[0]}' is not in the table")
        rows = [np.sum([WORDS[word] for word in prompt.split() if word in WORDS], axis=0) for prompt in prompts]
        return self.scale * torch.tensor(np.array(rows), dtype=torch.float32)


@pytest.fixture
def make_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Makes a run folder with a recipe and one checkpoint, whose data set is not there."""
    monkeypatch.setitem(TEACHERS._parts, "words", Part("words", WordTeacher, "Knows four words."))

    def make(width: int = 4, **teacher) -> Path:
        values = {
            "name": "toy",
            "data": {"name": "semantickitti", "root": str(tmp_path / "nowhere")},
            "teacher": {"name": "words", **teacher},
            "student": {"name": "minkunet14", "width": 0.125, "voxel_size": 0.5, "stem_kernel": 3},
            "loss": {"name": "similarity"},
            "method": {"name": "point_pixel"},
        }
        recipe = recipes.from_values(values)
        folder = tmp_path / "run"
        folder.mkdir(exist_ok=True)
        (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe.to_dict()))
        student = Parts(recipe).student(1, width, 3)
        state = {
            "student": {"in_channels": 1, "out_channels": width},
            "feature_names": ["intensity"],
            "teacher": WordTeacher(**teacher).fingerprint,
        }
        checkpoint.save(folder / "checkpoints", 7, student.state_dict(), state=state)
        return folder

    return make


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(size=(300, 3)) * 6, rng.random((300, 1))], axis=1).astype(np.float32)
    path = tmp_path / "street.bin"
    path.write_bytes(values.tobytes())
    return path


def points_of(scan: Path) -> np.ndarray:
    return np.fromfile(scan, np.float32).reshape(-1, 4)


def literal_scores(features: np.ndarray, templates=("{}",)) -> np.ndarray:
    """Cosines in float64, from the definition."""
    scores = np.empty((len(features), len(NAMES)))
    for column, name in enumerate(NAMES):
        texts = [WordTeacher().embed_text([t.replace("{}", name)])[0].numpy().astype(np.float64) for t in templates]
        mean = np.mean([text / np.linalg.norm(text) for text in texts], axis=0)
        for row, feature in enumerate(features.astype(np.float64)):
            scores[row, column] = feature @ mean / np.linalg.norm(feature) / np.linalg.norm(mean)
    return scores


def test_labels_of_a_scan_without_any_data_set(
    make_run: Callable[..., Path], scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run()
    monkeypatch.chdir(tmp_path)
    result = predict(run, scan, prompts="car, road,tree,sky", scores=True, cpu=True)
    assert json.loads(json.dumps(result)) == result
    folder = Path("predictions")
    files = {"street-labels.npy", "street-labels.ply", "street-scores.npy"}
    assert {file.name for file in folder.iterdir()} == files
    assert {Path(path).name for path in result["files"].values()} == files
    features = Run(run).student().features(points_of(scan))
    expected = literal_scores(features)
    scores, labels = np.load(folder / "street-scores.npy"), np.load(folder / "street-labels.npy")
    assert np.allclose(scores, expected, atol=1e-6)
    assert np.array_equal(labels, expected.argmax(axis=1))
    assert (labels.dtype, scores.dtype) == (np.int64, np.float32)
    assert len(np.unique(labels)) > 1
    legend = result["legend"]
    assert [row["name"] for row in legend] == NAMES
    assert [row["count"] for row in legend] == np.bincount(labels, minlength=4).tolist()
    assert sum(row["share"] for row in legend) == pytest.approx(1)
    data = (folder / "street-labels.ply").read_bytes()
    assert b"comment label 1: road\n" in data
    cloud = parse_ply(data, folder)
    assert np.array_equal(cloud["label"], labels)
    assert np.array_equal(np.stack([cloud[axis] for axis in "xyz"], 1), points_of(scan)[:, :3])
    colors = np.array([row["color"] for row in legend])
    assert np.array_equal(np.stack([cloud[name] for name in ("red", "green", "blue")], 1), colors[labels])
    assert (result["points"], result["recipe"], result["checkpoint"]) == (300, "toy", "step-00000007")
    title, _, body = tables(result)[0]
    assert title == "300 points"
    assert len(body) == 4
    assert all(len(row) == len(heading) for _, heading, rows in tables(result) for row in rows)


def test_templates_are_averaged(make_run: Callable[..., Path], scan: Path, tmp_path: Path) -> None:
    run, templates = make_run(), ("{}", "the {} sky")
    predict(run, scan, prompts=NAMES, templates=templates, scores=True, out=tmp_path / "o", cpu=True)
    features = Run(run).student().features(points_of(scan))
    assert np.allclose(np.load(tmp_path / "o" / "street-scores.npy"), literal_scores(features, templates), atol=1e-6)


def test_features_of_a_scan(make_run: Callable[..., Path], scan: Path, tmp_path: Path) -> None:
    run = make_run(speaks=False)  # features need no text
    result = predict(run, scan, out=tmp_path / "o", cpu=True)
    assert {file.name for file in (tmp_path / "o").iterdir()} == {"street-features.npy", "street-features.ply"}
    features = np.load(tmp_path / "o" / "street-features.npy")
    assert features.dtype == np.float32
    assert np.array_equal(features, Run(run).student().features(points_of(scan)))
    assert result["dim"] == 4
    assert 0.5 < result["shown"] <= 1
    cloud = parse_ply((tmp_path / "o" / "street-features.ply").read_bytes(), tmp_path)
    assert len(np.unique(cloud["red"])) > 50
    assert "label" not in cloud
    assert json.loads(json.dumps(result)) == result
    assert tables(result)[0][0] == "files"


def test_a_ply_scan_keeps_its_name_and_is_not_overwritten(make_run: Callable[..., Path], tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    write_ply(tmp_path / "room.ply", points)
    before = (tmp_path / "room.ply").read_bytes()
    with pytest.raises(DataError, match="'intensity' is missing"):
        predict(make_run(), tmp_path / "room.ply", prompts=["car"], out=tmp_path, cpu=True)
    columns = np.concatenate([points, np.full((50, 1), 200)], axis=1).astype(np.float32)
    (tmp_path / "room.bin").write_bytes(columns.tobytes())
    with pytest.raises(DataError, match="intensity_scale=255"):
        predict(make_run(), tmp_path / "room.bin", prompts=["car"], out=tmp_path, cpu=True)
    result = predict(make_run(), tmp_path / "room.bin", prompts=["car"], out=tmp_path, cpu=True, intensity_scale=255)
    assert result["legend"][0]["share"] == 1
    assert (tmp_path / "room.ply").read_bytes() == before
    assert (tmp_path / "room-labels.ply").is_file()


# ---- mistakes


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"prompts": []}, RecipeError, "prompts: there is an empty one"),
        ({"prompts": ""}, RecipeError, "prompts: there is an empty one"),
        ({"prompts": "car,,road"}, RecipeError, "prompts: there is an empty one"),
        ({"prompts": "car,road, car"}, RecipeError, "prompts: 'car' stands twice"),
        ({"prompts": "car", "templates": ["a"]}, RecipeError, "templates: 'a' has no {}"),
        ({"prompts": "car,unicorn"}, PointliftError, "the word 'unicorn' is not in the table"),
    ],
)
def test_bad_prompts(
    options: dict, error: type, said: str, make_run: Callable[..., Path], scan: Path, tmp_path: Path
) -> None:
    with pytest.raises(error) as caught:
        predict(make_run(), scan, out=tmp_path / "o", cpu=True, **options)
    assert said in str(caught.value)
    assert not (tmp_path / "o").exists()


def test_a_teacher_without_text_or_of_another_width(make_run: Callable[..., Path], scan: Path, tmp_path: Path) -> None:
    with pytest.raises(PointliftError, match="the teacher WordTeacher has no text encoder"):
        predict(make_run(speaks=False), scan, prompts="car", cpu=True)
    with pytest.raises(RecipeError, match="the student gives 6 channels and the teacher's text 4; predict"):
        predict(make_run(width=6), scan, prompts="car", cpu=True)


def test_another_teacher_than_the_one_that_taught(make_run: Callable[..., Path], scan: Path, tmp_path: Path) -> None:
    run = make_run()
    recipe = run / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("scale: 2.0", "scale: 3.0"))
    with pytest.raises(CheckpointError, match="learned from another teacher than this words"):
        predict(run, scan, prompts="car", cpu=True)
    assert predict(run, scan, out=tmp_path / "o", cpu=True)["dim"] == 4


@pytest.mark.parametrize("version", [0, 2, None, "1.1"])
def test_a_checkpoint_of_another_version(version: object, make_run: Callable[..., Path], scan: Path) -> None:
    run = make_run()
    file = run / "checkpoints" / "step-00000007" / "state.json"
    state = json.loads(file.read_text())
    assert state["format"] == checkpoint.FORMAT
    file.write_text(json.dumps({**state, "format": version}))
    with pytest.raises(CheckpointError) as caught:
        predict(run, scan, prompts="car", cpu=True)
    assert str(caught.value) == (
        f"{file.parent} has checkpoint format {version}, this pointlift reads format {checkpoint.FORMAT}; use the "
        "version of pointlift that wrote it"
    )


def test_a_folder_that_is_no_run_or_has_no_checkpoint(
    make_run: Callable[..., Path], scan: Path, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match="not a run folder"):
        predict(tmp_path / "absent", scan)
    run = make_run()
    (run / "checkpoints" / "step-00000007" / "state.json").unlink()
    with pytest.raises(CheckpointError, match="no complete checkpoint"):
        predict(run, scan)


# ---- colours


def test_pca_colours_against_a_singular_value_decomposition() -> None:
    features = np.random.default_rng(0).normal(size=(400, 6)).astype(np.float32) * np.array(
        [9, 5, 3, 1, 0.1, 0.1], np.float32
    )
    colors, shown = pca_colors(features)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    centred = unit - unit.mean(axis=0)
    _, values, axes = np.linalg.svd(centred.astype(np.float64), full_matrices=False)
    assert shown == pytest.approx((values[:3] ** 2).sum() / (values**2).sum(), rel=1e-5)
    for channel in range(3):
        axis = axes[channel] * np.sign(axes[channel][np.abs(axes[channel]).argmax()])
        along = centred @ axis
        low, high = np.percentile(along, [1, 99])
        assert np.abs(colors[:, channel] - 255 * np.clip((along - low) / (high - low), 0, 1)).max() <= 0.51


@pytest.mark.parametrize("shape", [(5, 1), (5, 2), (1, 8), (40, 8)])
def test_pca_colours_of_features_that_do_not_vary(shape: tuple[int, int]) -> None:
    colors, shown = pca_colors(np.ones(shape, np.float32))
    assert colors.shape == (shape[0], 3)
    assert len(np.unique(colors)) == 1
    assert shown == 0


def test_prompt_colours_are_those_of_the_classes_and_distinct() -> None:
    known = {"road": (128, 64, 128), "car": (70, 110, 240)}
    colors = prompt_colors(["car", "tree", "road", *map(str, range(30))], known)
    assert colors[0].tolist() == [70, 110, 240]
    assert colors[2].tolist() == [128, 64, 128]
    distances = np.linalg.norm(colors[:, None].astype(float) - colors[None], axis=2)
    assert distances[~np.eye(len(colors), dtype=bool)].min() > 30
    assert np.array_equal(prompt_colors(["a", "b"]), prompt_colors(["c", "d"]))


def test_points_without_a_return_are_left_out_and_said(
    make_run: Callable[..., Path], scan: Path, tmp_path: Path
) -> None:
    run = make_run()
    values = points_of(scan)
    values[::7, :3] = np.nan
    kept = np.arange(300) % 7 != 0
    (tmp_path / "holes.bin").write_bytes(values.tobytes())
    result = predict(run, tmp_path / "holes.bin", prompts=NAMES, out=tmp_path / "out", cpu=True)
    assert (result["points"], result["dropped"]) == (kept.sum(), 300 - kept.sum())
    assert np.load(result["files"]["rows"]).tolist() == np.flatnonzero(kept).tolist()
    assert len(np.load(result["files"]["labels"])) == kept.sum()
    assert len(parse_ply(Path(result["files"]["cloud"]).read_bytes(), Path("a.ply"))["x"]) == kept.sum()
    assert "43 points without a return (NaN) are left out" in str(tables(result))


def test_a_field_map_is_given_as_texts(make_run: Callable[..., Path], scan: Path, tmp_path: Path) -> None:
    assert field_map(["intensity=i", "x=y=z"]) == {"intensity": "i", "x": "y=z"}
    for wrong in (["intensity"], ["=i"], ["intensity="], ["x=a", "x=b"]):
        with pytest.raises(RecipeError, match="should be FEATURE=NAME, each feature once, such as intensity=i"):
            field_map(wrong)
    run = make_run()
    np.save(tmp_path / "a.npy", points_of(scan)[:, [3, 0, 1, 2]])
    fields = {"intensity": "x", "x": "y", "y": "z", "z": "3"}
    found = predict(run, tmp_path / "a.npy", out=tmp_path / "a", fields=fields, cpu=True)
    expected = predict(run, scan, out=tmp_path / "b", cpu=True)
    features = [np.load(one["files"]["features"]) for one in (found, expected)]
    np.testing.assert_array_equal(*features)


def test_a_scan_is_read_on_the_scale_of_training(make_run: Callable[..., Path], scan: Path, tmp_path: Path) -> None:
    run = make_run()
    expected = predict(run, scan, out=tmp_path / "a", cpu=True)
    values = points_of(scan)
    values[:, 3] *= 255
    (tmp_path / "bytes.bin").write_bytes(values.tobytes())
    with pytest.raises(DataError, match="such as intensity_scale=255 if it has 8 bits"):
        predict(run, tmp_path / "bytes.bin", out=tmp_path / "b", cpu=True)
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    recipe["data"]["intensity_scale"] = 255
    (run / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    found = predict(run, tmp_path / "bytes.bin", out=tmp_path / "b", cpu=True)
    features = [np.load(one["files"]["features"]) for one in (found, expected)]
    np.testing.assert_allclose(*features, atol=1e-4)
