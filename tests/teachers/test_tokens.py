from __future__ import annotations

import logging
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from pointlift.data.crops import Crop
from pointlift.data.scene import Scene, View
from pointlift.errors import DataError, PointliftError
from pointlift.teachers import tokens as tokens_module
from pointlift.teachers.cache import FeatureCache
from pointlift.teachers.dinov2 import DINOv2
from pointlift.teachers.images import teacher_size, view_to_tensor
from pointlift.teachers.pixels import PixelFeatures
from pointlift.teachers.street import StreetTeacher
from pointlift.teachers.tokens import TokenSets, grid_tokens
from tests.methods.frames import TokenTeacher
from tests.teachers.helpers import MeanColor, make_view, random_image


def save_image(path: Path, seed: int = 0, size: tuple[int, int] = (16, 24)) -> Path:
    Image.fromarray(random_image(seed, *size)).save(path)
    return path


def scenes(*views: list) -> list[Scene]:
    points = np.zeros((1, 3), np.float32)
    return [Scene(points, points[:, :0], list(one), id=str(index)) for index, one in enumerate(views)]


def sets(folder: Path | None, teacher: TokenTeacher, **options) -> TokenSets:
    return TokenSets(PixelFeatures(teacher, cache=FeatureCache(folder, teacher, **options)))


def test_computed_once_right_and_kept_on_disk(tmp_path: Path) -> None:
    teacher, view = TokenTeacher(), make_view(save_image(tmp_path / "image.png"))
    tokens = sets(tmp_path / "cache", teacher)
    mean = torch.from_numpy(view.image / 255).mean(dim=(0, 1)).float()
    torch.testing.assert_close(tokens(view), torch.stack([mean, 1 - 2 * mean]))
    assert torch.equal(sets(tmp_path / "cache", teacher)(view), tokens(view))
    assert teacher.images == 1
    (entry,) = (tmp_path / "cache").rglob("*.safetensors")
    assert entry.name.endswith("-16x24-tokens.safetensors")


def test_key_is_teacher_image_size_and_settings(tmp_path: Path) -> None:
    view = make_view(save_image(tmp_path / "image.png"))
    teacher = TokenTeacher()
    sets(tmp_path / "cache", teacher)(view)
    sets(tmp_path / "cache", teacher, image_size=(8, 8))(view)
    teacher.token_settings = "3"
    sets(tmp_path / "cache", teacher)(view)
    sets(tmp_path / "cache", TokenTeacher(2.0))(view)
    assert teacher.images == 3
    assert len(list((tmp_path / "cache").rglob("*.safetensors"))) == 4
    save_image(tmp_path / "image.png", seed=1)
    sets(tmp_path / "cache", teacher)(make_view(tmp_path / "image.png"))
    assert teacher.images == 4


def test_crops_have_entries_of_their_own(tmp_path: Path) -> None:
    view, teacher = make_view(save_image(tmp_path / "image.png")), TokenTeacher()
    tokens = sets(tmp_path / "cache", teacher, image_size=(8, 8))
    crops = [Crop(2, 3, 20, 15, mirrored) for mirrored in (False, True)]
    tokens.precompute(scenes([view]), crops=lambda view: crops)
    assert teacher.images == 3
    shown = Image.fromarray(view.image[3:15, 2:20]).resize((8, 8), Image.Resampling.BILINEAR)
    mean = torch.from_numpy(np.asarray(shown) / 255).mean(dim=(0, 1)).float()
    for crop in crops:
        torch.testing.assert_close(tokens(view, crop)[0], mean, atol=0.01, rtol=0)
    assert not torch.equal(tokens(view)[0], tokens(view, crops[0])[0])
    again = sets(tmp_path / "cache", teacher, image_size=(8, 8))
    assert torch.equal(again(view, crops[1]), tokens(view, crops[1]))
    assert teacher.images == 3
    mean_of_whole, _ = again.statistics(scenes([view]))
    assert torch.equal(mean_of_whole, again(view))


def test_a_crop_s_entry_is_of_the_size_at_which_it_is_seen(tmp_path: Path) -> None:
    view, teacher = make_view(save_image(tmp_path / "image.png", size=(32, 32))), TokenTeacher()
    own, scaled = sets(tmp_path / "cache", teacher), sets(tmp_path / "cache", teacher, image_size=(32, 32))
    crop = Crop(2, 3, 20, 15, True)
    assert own.key(view) == scaled.key(view)
    assert own.key(view, crop).endswith("-32x32-crop2-3-20-15-1-12x20-tokens")
    assert scaled.key(view, crop).endswith("-32x32-crop2-3-20-15-1-32x32-tokens")


def test_an_image_is_decoded_once_for_all_its_crops(tmp_path: Path, monkeypatch) -> None:
    view, teacher, read = make_view(save_image(tmp_path / "image.png")), TokenTeacher(), []
    decoded = View.image.fget

    def image(self: View) -> np.ndarray:
        if self.path is not None:
            read.append(self.path)
        return decoded(self)

    crops = [Crop(left, 0, left + 10, 12, False) for left in range(12)]
    tokens = sets(tmp_path / "cache", teacher)
    monkeypatch.setattr(View, "image", property(image))
    tokens.precompute(scenes([view]), crops=lambda view: crops)
    assert (len(read), teacher.images) == (1, 13)
    for crop in crops:
        alone = TokenSets(PixelFeatures(teacher))(view, crop)
        torch.testing.assert_close(tokens(view, crop), alone)


@pytest.mark.parametrize("content", [b"", b"nonsense"])
def test_a_damaged_entry_is_computed_again(tmp_path: Path, content: bytes, caplog) -> None:
    view, teacher = make_view(save_image(tmp_path / "image.png")), TokenTeacher()
    first = sets(tmp_path / "cache", teacher)(view)
    (entry,) = (tmp_path / "cache").rglob("*.safetensors")
    entry.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert torch.equal(sets(tmp_path / "cache", teacher)(view), first)
    assert "damaged" in caplog.text
    assert teacher.images == 2


def test_an_entry_whose_values_changed_is_computed_again(tmp_path: Path, caplog) -> None:
    view, teacher = make_view(save_image(tmp_path / "image.png")), TokenTeacher()
    first = sets(tmp_path / "cache", teacher)(view)
    (entry,) = (tmp_path / "cache").rglob("*.safetensors")
    content = bytearray(entry.read_bytes())
    content[-1] ^= 1
    entry.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert torch.equal(sets(tmp_path / "cache", teacher)(view), first)
    assert "its checksum or key differs" in caplog.text
    assert teacher.images == 2


def test_an_entry_of_the_first_edition_has_no_checksum_and_is_computed_again(tmp_path: Path, caplog) -> None:
    view, teacher = make_view(save_image(tmp_path / "image.png")), TokenTeacher()
    first = sets(tmp_path / "cache", teacher)(view)
    (entry,) = (tmp_path / "cache").rglob("*.safetensors")
    save_file({"tokens": first + 1}, entry, {"fingerprint": teacher.fingerprint})
    with caplog.at_level(logging.WARNING):
        assert torch.equal(sets(tmp_path / "cache", teacher)(view), first)
    assert not caplog.records  # nothing is wrong with it
    assert torch.equal(sets(tmp_path / "cache", teacher)(view), first)
    assert teacher.images == 2


def test_memory_keeps_what_was_used_last(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(tokens_module, "_MEMORY_BYTES", 2 * 2 * 3 * 4)  # of two sets
    teacher, views = TokenTeacher(), [make_view(random_image(seed)) for seed in range(3)]
    tokens = sets(tmp_path / "cache", teacher)
    for index in (0, 1, 0, 2):
        tokens(views[index])
    assert set(tokens.store.memory) == {tokens.key(views[0]), tokens.key(views[2])}
    assert not pickle.loads(pickle.dumps(tokens)).store.memory
    assert torch.equal(tokens(views[1]), TokenSets(PixelFeatures(teacher))(views[1]))


def test_a_set_holds_no_more_memory_than_its_own() -> None:
    tokens = TokenSets(PixelFeatures(TokenTeacher()))
    tokens.precompute(scenes([make_view(random_image(seed)) for seed in range(5)]))
    assert {one.untyped_storage().nbytes() for one in tokens.store.memory.values()} == {2 * 3 * 4}


def test_a_worker_does_not_compute_on_an_accelerator(tmp_path: Path, monkeypatch) -> None:
    view, teacher = make_view(random_image(0)), TokenTeacher()
    first = sets(tmp_path, teacher)(view)
    monkeypatch.setattr(torch.utils.data, "get_worker_info", object)
    monkeypatch.setattr(TokenTeacher, "device", torch.device("cuda"))
    assert torch.equal(sets(tmp_path, teacher)(view), first)
    with pytest.raises(DataError, match="prepare the method first"):
        sets(None, teacher)(view)


def test_precompute_goes_on_where_it_stopped_and_reports(tmp_path: Path) -> None:
    views = [make_view(save_image(tmp_path / f"{i}.png", i, (16, 24 if i % 2 else 20))) for i in range(5)]
    teacher, done = TokenTeacher(), []
    tokens = sets(tmp_path / "cache", teacher)
    tokens(views[0])
    tokens.precompute(scenes(*([view] for view in views)), lambda at, total: done.append((at, total)))
    assert teacher.images == 5
    assert done == [(at, 5) for at in range(1, 6)]
    again = sets(tmp_path / "cache", teacher)
    again.precompute(scenes(views[:2], views[2:]))
    assert teacher.images == 5
    assert all(torch.equal(again(view), tokens(view)) for view in views)


def test_without_a_cache_they_stay_in_memory_and_travel(tmp_path: Path) -> None:
    teacher, view = TokenTeacher(), make_view(random_image(0))
    tokens = TokenSets(PixelFeatures(teacher))
    first = tokens(view)
    copy = pickle.loads(pickle.dumps(tokens))
    assert torch.equal(copy(view), first)
    assert copy.teacher.images == teacher.images == 1


def test_statistics_are_those_of_all_views() -> None:
    teacher = TokenTeacher()
    images = [np.full((8, 8, 3), (10 * i, 100, i * i), np.uint8) for i in range(6)]
    tokens = TokenSets(PixelFeatures(teacher))
    mean, deviation = tokens.statistics(scenes([make_view(images[0], "a")], [make_view(i) for i in images[1:]]))
    stacked = torch.stack([tokens(make_view(image)) for image in images]).double()
    torch.testing.assert_close(mean, stacked.mean(0).float())
    expected = stacked.std(0, correction=0).float()
    expected[:, 1] = 1.0  # never changes
    torch.testing.assert_close(deviation, expected)
    with pytest.raises(DataError, match="no scene has an image"):
        tokens.statistics(scenes([]))


def test_tokens_that_are_not_finite_are_refused() -> None:
    tokens = TokenSets(PixelFeatures(TokenTeacher(float("nan"))))
    with pytest.raises(DataError, match="tokens are not finite"):
        tokens(make_view(random_image(0)))


def test_of_several_images_the_one_without_finite_tokens_is_named() -> None:
    class Dark(TokenTeacher):
        def tokens(self, images: torch.Tensor, views=None) -> torch.Tensor:
            return 1 / images.sum(dim=(1, 2, 3))[:, None, None]

    views = [make_view(np.full((8, 8, 3), value, np.uint8), f"camera{value}") for value in (3, 0, 5)]
    with pytest.raises(DataError, match="view 'camera0'"):
        TokenSets(PixelFeatures(Dark())).precompute(scenes(views))


def test_a_teacher_without_tokens_says_so() -> None:
    with pytest.raises(PointliftError, match="the teacher MeanColor has no token sets; choose one that has"):
        _ = TokenSets(PixelFeatures(MeanColor())).shape
    with pytest.raises(PointliftError, match="the teacher MeanColor has no token sets; choose one that has"):
        TokenSets(PixelFeatures(MeanColor()))(make_view(random_image(0)))


def test_grid_tokens_are_means_of_cells() -> None:
    feature_map = torch.randn(2, 3, 4, 6)
    found = grid_tokens(feature_map, 2)
    expected = [feature_map[:, :, r : r + 2, c : c + 3].mean(dim=(2, 3)) for r in (0, 2) for c in (0, 3)]
    torch.testing.assert_close(found, torch.stack(expected, dim=1))
    assert grid_tokens(feature_map, 0).shape == (2, 0, 3)


def test_dinov2_has_its_class_token_and_cells_of_patches(tiny_dinov2: Path) -> None:
    teacher = DINOv2(source=str(tiny_dinov2), layer=1)
    images = torch.rand(2, 3, 28, 56)
    tokens = teacher.tokens(images)
    assert teacher.token_shape == (5, 24)
    features = teacher.features(images)
    torch.testing.assert_close(tokens[:, 1:], grid_tokens(features, 2))
    hidden = teacher.model(pixel_values=(images - teacher.mean) / teacher.std, interpolate_pos_encoding=True)
    torch.testing.assert_close(tokens[:, 0], hidden.last_hidden_state[:, 0])
    alone = DINOv2(source=str(tiny_dinov2), layer=1, token_grid=0)
    torch.testing.assert_close(alone.tokens(images), tokens[:, :1])
    assert alone.fingerprint == teacher.fingerprint  # the dense features are the same
    with pytest.raises(ValueError, match="nearest right size"):
        teacher.tokens(images[:, :, :20])


def test_street_has_means_of_its_pixels() -> None:
    teacher = StreetTeacher()
    images = torch.rand(1, 3, 32, 48)
    tokens = teacher.tokens(images)
    assert teacher.token_shape == tuple(tokens.shape[1:]) == (5, 64)
    torch.testing.assert_close(tokens[:, 0], teacher.features(images).mean(dim=(2, 3)))
    torch.testing.assert_close(tokens[:, 1], teacher.features(images)[:, :, :4, :6].mean(dim=(2, 3)))


def test_images_are_seen_at_the_cache_s_size(tmp_path: Path) -> None:
    view, teacher = make_view(random_image(3, 30, 50)), TokenTeacher()
    found = sets(None, teacher, image_size=(12, 20))(view)
    size = teacher_size((30, 50), 4, (12, 20))
    torch.testing.assert_close(found, teacher.tokens(view_to_tensor(view, size)[None])[0])
