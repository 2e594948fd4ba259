from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pointlift.data.scene import Pairs, Scene
from pointlift.errors import CheckpointError, DataError, RecipeError
from pointlift.teachers import label_space
from pointlift.teachers.cache import FeatureCache
from pointlift.teachers.labelmaps import LabelMaps, read_label_map
from pointlift.teachers.pixels import PixelFeatures
from pointlift.teachers.templates import TEMPLATES
from pointlift.teachers.text import TextEncoder
from tests.teachers.helpers import make_view, random_image
from tests.teachers.towers import save_clip

PATTERN = "{folder}/../labels/{view}-{stem}.png"
IDS = np.array([0, 1, 8, 10, 13, 255])  # road, sidewalk, vegetation, sky, car, none
KITTI = {0: 8, 1: 10, 8: 14, 13: 0}  # what the shipped map makes of them; sky and 255 are left out


def write_map(folder: Path, ids: np.ndarray, name: str = "camera-0.png") -> Path:
    (folder / "labels").mkdir(exist_ok=True)
    Image.fromarray(ids.astype(np.uint8)).save(folder / "labels" / name)
    return folder / "labels" / name


def scene_of(folder: Path, ids: np.ndarray, image_size: tuple[int, int] | None = None) -> Scene:
    (folder / "images").mkdir(exist_ok=True)
    Image.fromarray(random_image(0, *(image_size or ids.shape))).save(folder / "images" / "0.png")
    write_map(folder, ids)
    points = np.zeros((3, 3), np.float32)
    return Scene(points=points, features=points[:, :1], views=[make_view(folder / "images" / "0.png")])


def test_the_fingerprint_knows_the_folder_s_name_and_not_where_it_lies() -> None:
    folders = ("/here/segformer", "~/there/segformer", "../segformer", "/here/upernet")
    found = [LabelMaps(path=f"{folder}/{{stem}}.png", classes="cityscapes19").fingerprint for folder in folders]
    assert found[0] == found[1] == found[2] != found[3]


def random_ids(height: int = 12, width: int = 20) -> np.ndarray:
    return np.random.default_rng(1).choice(IDS, (height, width))


def literal_sample(ids: np.ndarray, u: float, v: float, directions: dict[int, np.ndarray]) -> np.ndarray:
    """Bilinear mean of the directions of the four pixels around (u, v), the border repeated."""
    height, width = ids.shape
    found = np.zeros(len(next(iter(directions.values()))))
    x0, y0 = int(np.floor(u)), int(np.floor(v))
    for x, y in ((x0, y0), (x0 + 1, y0), (x0, y0 + 1), (x0 + 1, y0 + 1)):
        weight = (1 - abs(u - x)) * (1 - abs(v - y))
        number = int(ids[min(max(y, 0), height - 1), min(max(x, 0), width - 1)])
        found = found + weight * directions.get(number, np.zeros_like(found))
    return found


def some_pairs(ids: np.ndarray, count: int = 60) -> Pairs:
    rng = np.random.default_rng(2)
    pixels = (rng.uniform(0, 1, (count, 2)) * ids.shape[::-1] - 0.5).astype(np.float32)
    return Pairs(np.zeros(count, np.int64), np.zeros(count, np.int64), pixels)


class FakeText:
    """A text encoder of 6 dimensions: the letters of the prompt."""

    dim, fingerprint = 6, "fake"

    def __init__(self, source: str, *, download: bool = False) -> None:
        self.source = source

    def embed(self, prompts) -> torch.Tensor:
        return torch.from_numpy(np.array([letters(prompt) for prompt in prompts])).float()


def letters(prompt: str) -> np.ndarray:
    return np.array([sum((ord(letter) % 7) == n for letter in prompt) + 0.1 for n in range(6)]) * len(prompt)


@pytest.fixture
def with_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_space.LabelSpace, "_encoder", lambda self: FakeText(self.text_source))
    monkeypatch.setattr(label_space, "_templates", lambda name: ("{}", "a {} here"))


def test_one_hot_against_a_literal_reference(tmp_path: Path) -> None:
    ids = random_ids()
    scene, pairs = scene_of(tmp_path, ids), some_pairs(ids)
    teacher = LabelMaps(path=PATTERN, map="cityscapes-to-semantickitti")
    assert (teacher.dim, teacher.map_channels, teacher.stride) == (19, 19, 1)
    found = PixelFeatures(teacher)(scene, pairs).numpy()
    directions = {number: np.eye(19)[target] for number, target in KITTI.items()}
    for row, (u, v) in enumerate(pairs.pixels.astype(np.float64)):
        assert np.allclose(found[row], literal_sample(ids, u, v, directions), atol=1e-5)
    assert not found[:, [9, 15]].any()  # parking and trunk are dimensions that nothing reaches


def test_text_against_a_literal_reference(tmp_path: Path, with_text: None) -> None:
    ids = random_ids()
    scene, pairs = scene_of(tmp_path, ids), some_pairs(ids)
    teacher = LabelMaps(path=PATTERN, map="cityscapes-to-semantickitti", text_source="x")
    assert (teacher.dim, teacher.map_channels) == (6, 19)
    directions = {}
    for number, name in ((0, "road"), (1, "sidewalk"), (8, "vegetation"), (13, "car")):
        texts = [letters(name), letters(f"a {name} here")]
        mean = np.mean([text / np.linalg.norm(text) for text in texts], axis=0)
        directions[number] = mean / np.linalg.norm(mean)
    found = PixelFeatures(teacher)(scene, pairs).numpy()
    for row, (u, v) in enumerate(pairs.pixels.astype(np.float64)):
        assert np.allclose(found[row], literal_sample(ids, u, v, directions), atol=1e-5)
    words = teacher.embed_text(["anything at all"]).numpy()[0]
    assert np.allclose(words, letters("anything at all") / np.linalg.norm(letters("anything at all")), atol=1e-6)
    assert teacher.fingerprint != LabelMaps(path=PATTERN, map="cityscapes-to-semantickitti").fingerprint


def test_dense_features_and_what_is_ignored(tmp_path: Path) -> None:
    ids = random_ids()
    pixel_features = PixelFeatures(LabelMaps(path=PATTERN, classes="cityscapes19"))
    dense = pixel_features.dense(scene_of(tmp_path, ids).views[0])
    assert dense.shape == (19, *ids.shape)
    for y, x in np.ndindex(*ids.shape):
        expected = np.eye(256)[ids[y, x]][:19]  # without a map sky is a class like others, 255 is none
        assert np.array_equal(dense[:, y, x].numpy(), expected)


def test_maps_are_read_when_needed_and_never_cached(tmp_path: Path) -> None:
    ids = random_ids()
    scene, pairs = scene_of(tmp_path, ids), some_pairs(ids)
    teacher = LabelMaps(path=PATTERN, classes="cityscapes19")
    plainly = PixelFeatures(teacher, image_size=(4, 4), scale=2.0)
    cached = PixelFeatures(teacher, cache=FeatureCache(tmp_path / "cache", teacher))
    assert plainly.ready
    assert plainly.cache is cached.cache is None
    first = pickle.loads(pickle.dumps(cached))(scene, pairs)
    torch.testing.assert_close(first, plainly(scene, pairs))
    assert not (tmp_path / "cache").exists()
    write_map(tmp_path, np.full_like(ids, 13))
    assert (cached(scene, pairs)[:, 13] > 0.99).all()


def test_class_names_are_the_prompts_it_knows(tmp_path: Path) -> None:
    teacher = LabelMaps(path=PATTERN, map="cityscapes-to-semantickitti")
    found = teacher.embed_text(["traffic-sign", "Traffic sign", "sign", "parking", "car"])
    assert found.argmax(dim=1).tolist() == [18, 18, 18, 9, 0]
    with pytest.raises(RecipeError, match=r"the prompt 'cat' is no class name of 'semantickitti'.*: .*\bcar\b"):
        teacher.embed_text(["cat"])
    with pytest.raises(RecipeError, match=r"'zzz' is no class name .*they are: car, bicycle.*teacher.text_source"):
        teacher.embed_text(["zzz"])


def test_a_palette_is_read_by_index(tmp_path: Path) -> None:
    ids = random_ids()
    image = Image.fromarray(ids.astype(np.uint8), mode="P")
    image.putpalette(np.random.default_rng(0).integers(0, 256, 768, dtype=np.uint8).tobytes())
    image.save(tmp_path / "palette.png")
    assert np.array_equal(read_label_map(tmp_path / "palette.png"), ids)


def test_bad_maps_are_named(tmp_path: Path) -> None:
    ids = random_ids()
    scene, pairs = scene_of(tmp_path, ids, (12, 30)), some_pairs(ids)
    pixel_features = PixelFeatures(LabelMaps(path=PATTERN, classes="cityscapes19"))
    with pytest.raises(
        DataError, match=r"labels.camera-0.png: the label map is 20 x 12 pixels, but .*0.png is 30 x 12"
    ):
        pixel_features(scene, pairs)
    scene = scene_of(tmp_path, np.where(ids == 1, 19, np.where(ids == 8, 200, ids)))
    with pytest.raises(DataError, match=r"camera-0.png: the class list cityscapes19 does not have the ids 19, 200; it"):
        pixel_features(scene, pairs)
    file = write_map(tmp_path, ids)
    for image, what in (
        (Image.fromarray(random_image(0, 12, 20)), "8-bit colour"),
        (Image.fromarray(ids.astype(np.uint16)), "16-bit grey"),
        (Image.fromarray(random_image(0, 12, 20)).convert("RGBA"), "8-bit colour with alpha"),
        (Image.fromarray(ids > 0), "1-bit grey"),
    ):
        image.save(file)
        with pytest.raises(DataError, match=rf"camera-0.png: the label map must be .* not {what}"):
            pixel_features(scene, pairs)
    Image.fromarray(ids.astype(np.uint8)).save(file, format="JPEG")
    with pytest.raises(DataError, match="is not a PNG file"):
        pixel_features(scene, pairs)
    Image.fromarray(ids.astype(np.uint8)).save(file)
    file.write_bytes(file.read_bytes()[:60])
    with pytest.raises(DataError, match=r"camera-0.png: the label map cannot be decoded"):
        pixel_features(scene, pairs)
    file.unlink()
    with pytest.raises(DataError, match=r"camera-0.png: the file is missing"):
        pixel_features(scene, pairs)


def test_missing_maps_are_counted_before_training(tmp_path: Path) -> None:
    views = [make_view(tmp_path / "images" / f"{n}.png") for n in range(4)]
    for number in (0, 2):
        write_map(tmp_path, random_ids(), f"camera-{number}.png")
    teacher = LabelMaps(path=PATTERN, classes="cityscapes19")
    teacher.require_files([views[0], views[2]])
    with pytest.raises(DataError, match=r"camera-1.png: the label map is missing \(2 of 4 views lack theirs\)"):
        teacher.require_files(iter(views))
    with pytest.raises(DataError, match="view 'camera': its image is not a file"):
        teacher.file(make_view(random_image(0)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": PATTERN}, "needs 'classes' or 'map'"),
        ({"path": "{folder}/a.png", "classes": "cityscapes19"}, "needs {stem}"),
        ({"path": "{folder}/{stm}.png", "classes": "cityscapes19"}, "needs {stem}"),
        ({"path": "{folder}/{stem.png", "classes": "cityscapes19"}, "is not a valid pattern"),
        ({"path": PATTERN, "classes": "city"}, "no class list called 'city'"),
        (
            {"path": PATTERN, "classes": "nuscenes", "map": "cityscapes-to-nuscenes"},
            "'barrier' of nuscenes has no mapping",
        ),
    ],
)
def test_bad_options_are_named(options: dict[str, str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        LabelMaps(**options)


def test_the_maps_of_real_scans(semantickitti_mini: Path) -> None:
    """The known score of the shipped predictions through the shipped map at visible points of sequence 08."""
    from pointlift.datasets.semantickitti.dataset import SemanticKITTI
    from pointlift.evaluation.visibility import Visibility, visible_features
    from pointlift.tasks.confusion import Confusion

    data = SemanticKITTI(root=semantickitti_mini, split="val")
    teacher = LabelMaps(path="{folder}/../image_2_cityscapes19/{stem}.png", map="cityscapes-to-semantickitti")
    confusion = Confusion(19, data.class_names)
    for scene in data:
        seen, features = visible_features(scene, Visibility().pairs(scene), PixelFeatures(teacher))
        predicted = features.argmax(dim=1).masked_fill(~features.any(dim=1), -1)
        confusion.update(predicted, scene.labels[seen])
    assert confusion.result()["accuracy"] == pytest.approx(0.685, abs=0.005)
    assert confusion.result(1)["miou"] == pytest.approx(0.26, abs=0.01)


def test_with_the_text_encoder_of_a_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TEMPLATES, "short", ("of the {}",))
    save_clip(tmp_path / "clip")
    (tmp_path / "classes.yaml").write_text("classes: {0: road, 4: Car, 7: [tree, bush]}")
    options = {"path": PATTERN, "classes": str(tmp_path / "classes.yaml"), "text_source": str(tmp_path / "clip")}
    teacher = LabelMaps(**options, templates="short")
    encoder = TextEncoder(str(tmp_path / "clip"))
    texts = encoder.embed([f"of the {name}" for name in ("road", "car", "tree")]).double().numpy()
    assert (teacher.dim, teacher.map_channels) == (12, 3)
    found = teacher.lift(torch.eye(3)).numpy()
    assert np.allclose(found, texts / np.linalg.norm(texts, axis=1, keepdims=True), atol=1e-6)
    prompt = encoder.embed(["a photo of car"]).double().numpy()
    assert np.allclose(teacher.embed_text(["a photo of car"]).numpy(), prompt / np.linalg.norm(prompt), atol=1e-6)
    assert teacher.fingerprint != LabelMaps(**options).fingerprint
    assert (teacher.templates, LabelMaps(**options).templates) == (("of the {}",), ("{}",))
    for source in (options["text_source"], None):
        with pytest.raises(RecipeError, match="templates: there is no set called 'clip58'; did you mean 'clip85'"):
            LabelMaps(**{**options, "text_source": source}, templates="clip58")
    with pytest.raises(CheckpointError, match=r"teacher\.text_source: './none' is not a folder"):
        LabelMaps(**{**options, "text_source": "./none"})
