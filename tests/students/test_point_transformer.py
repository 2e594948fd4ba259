from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import erf
from torch import Tensor

from pointlift.data.batch import Batch
from pointlift.data.clouds import to_unit_sphere
from pointlift.errors import DataError, PointliftError, RecipeError
from pointlift.options import PLACE, marks
from pointlift.registry import STUDENTS
from pointlift.students.point_transformer import SIZES, PointTransformer
from pointlift.students.points import drawn_rows, random_patches, unit_spheres
from pointlift.students.transformer import DropPath
from tests.students.points import reference


def batch_of(*sizes: int, channels: int = 0, seed: int = 0) -> Batch:
    points, offsets = reference.clouds(*sizes, seed=seed)
    features = torch.randn(len(points), channels, generator=torch.Generator().manual_seed(7))
    return Batch(points / 3, features, offsets)


def tiny(**options) -> PointTransformer:
    torch.manual_seed(0)
    options = {"size": "tiny", "groups": 8, "group_size": 6, "drop_path": 0.0, **options}
    return stirred(PointTransformer(options.pop("in_channels", 0), 5, **options))


def stirred(student: PointTransformer, seed: int = 3) -> PointTransformer:
    """Weights, biases and statistics of a size that makes every part of the network matter."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in student.state_dict().items():
            if value.ndim >= 2:
                value.copy_(torch.randn(value.shape, generator=generator) / math.sqrt(value.shape[-1]))
            elif name.endswith("running_var") or (value.ndim == 1 and name.endswith("weight")):
                value.copy_(0.5 + torch.rand(value.shape, generator=generator))
            elif value.ndim == 1:
                value.copy_(0.1 * torch.randn(value.shape, generator=generator))
    return student


class Literal:
    """The equations for one batch of equal clouds, in float64 NumPy, one matrix and one head at a time."""

    def __init__(self, student: PointTransformer) -> None:
        self.w = {key: value.double().numpy() for key, value in student.state_dict().items()}
        self.depth, self.heads = student.depth, student.blocks[0].attention.heads
        self.training = student.training

    def linear(self, x: np.ndarray, name: str) -> np.ndarray:
        return x @ self.w[f"{name}.weight"].T + self.w.get(f"{name}.bias", 0.0)

    def layer_norm(self, x: np.ndarray, name: str) -> np.ndarray:
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return x * self.w[f"{name}.weight"] + self.w[f"{name}.bias"]

    def batch_norm(self, x: np.ndarray, name: str) -> np.ndarray:
        mean, variance = self.w[f"{name}.running_mean"], self.w[f"{name}.running_var"]
        if self.training:
            axes = tuple(range(x.ndim - 1))
            mean, variance = x.mean(axes), x.var(axes)
        return (x - mean) / np.sqrt(variance + 1e-5) * self.w[f"{name}.weight"] + self.w[f"{name}.bias"]

    def gelu(self, x: np.ndarray) -> np.ndarray:
        return x * 0.5 * (1 + erf(x / math.sqrt(2)))

    def stage(self, x: np.ndarray, name: str) -> np.ndarray:
        return self.linear(np.maximum(self.batch_norm(self.linear(x, f"{name}.0"), f"{name}.1"), 0), f"{name}.3")

    def pointnet(self, patches: np.ndarray) -> np.ndarray:
        """(3): the patch's maximum of the first stage goes before the point's own."""
        h = self.stage(patches, "embedding.first")
        whole = np.broadcast_to(h.max(2, keepdims=True), h.shape)
        return self.stage(np.concatenate([whole, h], axis=3), "embedding.second").max(2)

    def attention(self, x: np.ndarray, name: str) -> np.ndarray:
        """(13) with Q, K and V of the same tokens."""
        width = x.shape[2] // self.heads
        w_q, w_k, w_v = np.split(self.w[f"{name}.qkv.weight"], 3)
        out = []
        for j in range(self.heads):
            part = slice(j * width, (j + 1) * width)
            q, k, v = x @ w_q[part].T, x @ w_k[part].T, x @ w_v[part].T
            scores = np.exp(q @ k.transpose(0, 2, 1) / math.sqrt(width))
            out.append(scores / scores.sum(-1, keepdims=True) @ v)
        return self.linear(np.concatenate(out, axis=2), f"{name}.projection")

    def block(self, x: np.ndarray, name: str) -> np.ndarray:
        x = x + self.attention(self.layer_norm(x, f"{name}.norm1"), f"{name}.attention")
        hidden = self.gelu(self.linear(self.layer_norm(x, f"{name}.norm2"), f"{name}.mlp.0"))
        return x + self.linear(hidden, f"{name}.mlp.2")

    def __call__(self, clouds: list[np.ndarray], n: int, k: int) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
        """Centres, F_1 … F_N and the normalised last layer; with a class token, at the first place."""
        centres, patches = [], []
        for cloud in clouds:
            nearest, taken = np.full(len(cloud), np.inf), [0]
            for _ in range(n - 1):  # (1)
                nearest = np.minimum(nearest, ((cloud - cloud[taken[-1]]) ** 2).sum(1))
                taken.append(int(nearest.argmax()))
            order = [np.argsort(((cloud - cloud[t]) ** 2).sum(1), kind="stable")[:k] for t in taken]
            patches.append([cloud[o] - cloud[t] for o, t in zip(order, taken, strict=True)])  # (2)
            centres.append(cloud[taken])
        f = self.pointnet(np.array(patches))
        e = self.linear(self.gelu(self.linear(np.array(centres), "position.0")), "position.2")
        if "class_token" in self.w:
            f = np.concatenate([np.repeat(self.w["class_token"], len(f), 0), f], axis=1)
            e = np.concatenate([np.repeat(self.w["class_position"], len(e), 0), e], axis=1)
        layers = []
        for i in range(self.depth):  # (4)
            f = self.block(f + e, f"blocks.{i}")
            layers.append(f)
        return np.array(centres), layers, self.layer_norm(f, "norm")


def compare(student: PointTransformer, batch: Batch, n: int, k: int, dtype: torch.dtype) -> None:
    clouds = [c.double().numpy() for c in batch.points.split(batch.offsets.diff().tolist())]
    centres, layers, tokens = Literal(student)(clouds, n, k)
    with torch.no_grad():
        found = student.to(dtype).encode(Batch(batch.points.to(dtype), batch.features.to(dtype), batch.offsets))
    first = 0 if student.class_token is None else 1
    np.testing.assert_array_equal(found.centres, centres)
    pairs = [*zip(found.layers, (layer[:, first:] for layer in layers), strict=True), (found.tokens, tokens[:, first:])]
    if first:
        pairs.append((found.class_token, tokens[:, 0]))
    for ours, expected in pairs:
        tolerance = 1e-5 if dtype == torch.float32 else 1e-11
        np.testing.assert_allclose(ours, expected, rtol=0, atol=tolerance * np.abs(expected).max())


MODES = pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])


@MODES
@DTYPES
def test_equals_the_equations_at_the_paper_s_sizes(training: bool, dtype: torch.dtype) -> None:
    student = stirred(PointTransformer(0, 5, drop_path=0.0)).train(training)
    compare(student, batch_of(4096, 4096), 64, 32, dtype)


@MODES
@DTYPES
def test_equals_the_equations_with_a_class_token(training: bool, dtype: torch.dtype) -> None:
    compare(tiny(class_token=True).train(training), batch_of(60, 60, 60), 8, 6, dtype)


@pytest.mark.parametrize("size", sorted(SIZES))
@pytest.mark.parametrize("class_token", [False, True])
def test_number_of_parameters(size: str, class_token: bool) -> None:
    depth, c, _, (a, b, w) = SIZES[size]
    embedding = (3 * a + a) + 2 * a + (a * b + b) + (2 * b * w + w) + 2 * w + (w * c + c)
    position = (3 * a + a) + (a * c + c)
    block = 2 * c + 3 * c * c + (c * c + c) + 2 * c + (c * 4 * c + 4 * c) + (4 * c * c + c)
    expected = embedding + position + depth * block + 2 * c + (2 * c if class_token else 0) + (c * 16 + 16)
    with torch.device("meta"):
        student = PointTransformer(0, 16, size=size, class_token=class_token)
    assert sum(parameter.numel() for parameter in student.parameters()) == expected
    if size == "base":
        assert (embedding, position, block, 12 * block) == (494_464, 50_048, 1_773_312, 21_279_744)


def test_is_registered_with_options() -> None:
    fields = set(STUDENTS.options("point_transformer").model_fields)
    assert marks(STUDENTS.options("point_transformer"), "weights") == (PLACE,)
    assert fields >= {"size", "groups", "group_size", "inputs", "class_token", "drop_path", "first_centre", "weights"}
    student = STUDENTS.build("point_transformer", 0, 7, size="tiny", groups=8, group_size=6)
    assert student(batch_of(40, 50)).shape == (90, 7)
    assert student.decoder_features(batch_of(40, 50)).shape == (90, student.decoder_channels)
    with pytest.raises(RecipeError, match="size"):
        STUDENTS.build("point_transformer", 0, 7, size="huge")


def test_a_cloud_is_the_same_alone_and_in_a_batch() -> None:
    student = tiny(class_token=True).eval()
    sizes = (60, 30, 200, 31)
    batch = batch_of(*sizes)
    parts = batch.points.split(sizes)
    with torch.no_grad():
        together, encoding = student(batch), student.encode(batch)
        alone = [student.encode(_one(points)) for points in parts]
        torch.testing.assert_close(together, torch.cat([student(_one(p)) for p in parts]), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(encoding.tokens, torch.cat([a.tokens for a in alone]), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(encoding.class_token, torch.cat([a.class_token for a in alone]), atol=1e-5, rtol=1e-5)
    assert torch.equal(encoding.centres, torch.cat([a.centres for a in alone]))


def _one(points: Tensor) -> Batch:
    return Batch(points, points[:, :0], torch.tensor([0, len(points)]))


def test_points_have_features_of_a_sample_in_the_unit_sphere() -> None:
    student, batch = tiny(points=40, in_channels=1, inputs=("offset", "features")).eval(), batch_of(90, 30, channels=1)
    with torch.no_grad():
        found = student.decoder_features(batch)
        moved = Batch(batch.points * 7 - torch.tensor([300.0, 20, 5]), batch.features, batch.offsets)
        torch.testing.assert_close(student.decoder_features(moved), found, atol=2e-3, rtol=2e-3)
    rows, offsets = drawn_rows(batch.offsets, 40, random=False)
    assert offsets.tolist() == [0, 40, 70]
    for b, (first, last) in enumerate([(0, 90), (90, 120)]):
        mine = rows[offsets[b] : offsets[b + 1]]
        cloud = batch.points[mine].double().numpy()
        centre = cloud.mean(0)
        radius = np.sqrt(((cloud - centre) ** 2).sum(1).max())
        points = torch.from_numpy((cloud - centre) / radius).float()
        with torch.no_grad():
            encoding = student.encode(Batch(points, batch.features[mine], torch.tensor([0, len(mine)])))
        every = (batch.points[first:last].double().numpy() - centre) / radius
        squared = ((every[:, None] - encoding.centres[0].double().numpy()) ** 2).sum(2)
        nearest = np.argsort(squared, axis=1)[:, :3]
        weights = 1 / (np.take_along_axis(squared, nearest, 1) + 1e-8)
        tokens = encoding.tokens[0].double().numpy()[nearest]
        expected = (tokens * weights[:, :, None]).sum(1) / weights.sum(1, keepdims=True)
        np.testing.assert_allclose(found[first:last], expected, rtol=1e-3, atol=1e-4)


def test_points_are_drawn_anew_in_training_only() -> None:
    offsets = torch.tensor([0, 90, 90, 120])
    again = [drawn_rows(offsets, 40, random=False)[0] for _ in range(2)]
    assert torch.equal(*again)
    rows, counts = drawn_rows(offsets, 40, random=True)
    assert counts.tolist() == [0, 40, 40, 70]
    assert len(rows.unique()) == len(rows) == 70
    assert rows[:40].max() < 90
    assert torch.equal(rows[40:], torch.arange(90, 120))
    assert not torch.equal(rows, drawn_rows(offsets, 40, random=True)[0])
    assert torch.equal(drawn_rows(offsets, None, random=True)[0], torch.arange(120))
    student, batch = tiny(points=40).eval(), batch_of(90, 90)
    with torch.no_grad():
        assert torch.equal(student(batch), student(batch))
    with pytest.raises(RecipeError, match=r"student\.points is 5, but 8 patches of 6 points need at least 8"):
        tiny(points=5)


def test_unit_spheres_are_those_of_the_clouds() -> None:
    batch = batch_of(60, 30)
    points = torch.cat([batch.points * 3 + 5, torch.full((4, 3), 2.0)])
    centres, radii = unit_spheres(points, torch.tensor([0, 60, 60, 90, 94]))
    for b, (first, last) in enumerate([(0, 60), (60, 60), (60, 90), (90, 94)]):
        if first < last:
            _, centre, radius = to_unit_sphere(points[first:last].numpy())
            np.testing.assert_allclose(centres[b], centre, atol=1e-6)
            np.testing.assert_allclose(radii[b], radius, rtol=1e-6)


def test_rows_are_rows_of_the_whole() -> None:
    student, batch = tiny().eval(), batch_of(60, 30)
    rows = torch.tensor([3, 3, 89, 0, 61])
    with torch.no_grad():
        torch.testing.assert_close(student(batch, rows), student(batch)[rows])
        torch.testing.assert_close(student.decoder_features(batch, rows), student.decoder_features(batch)[rows])
        assert student(batch, rows[:0]).shape == (0, 5)


def test_features_are_the_head_of_the_decoder_s() -> None:
    student, batch = tiny().eval(), batch_of(60, 30)
    with torch.no_grad():
        expected = student.head(student.decoder_features(batch))
        torch.testing.assert_close(student(batch), expected, atol=1e-5, rtol=1e-5)


@MODES
@pytest.mark.parametrize("class_token", [False, True])
def test_hidden_patches_change_nothing(training: bool, class_token: bool) -> None:
    student = tiny(class_token=class_token, in_channels=1, inputs=("offset", "features")).train(training)
    patches = student.patches(batch_of(60, 30, channels=1))
    visible, hidden = random_patches(2, 8, 0.6, generator=torch.Generator().manual_seed(0))
    before = student.encode_patches(patches, visible)
    statistics = student.embedding.first[1].running_mean.clone()
    cloud = torch.arange(2)[:, None]
    for values in (patches.centres, patches.relative, patches.features):
        values[cloud, hidden] = 1e6
    after = student.encode_patches(patches, visible)
    assert torch.equal(before.tokens, after.tokens)
    assert torch.equal(before.centres, after.centres)
    assert all(torch.equal(a, b) for a, b in zip(before.layers, after.layers, strict=True))
    if class_token:
        assert torch.equal(before.class_token, after.class_token)
    assert before.tokens.shape == (2, 4, 96)
    if training:
        assert student.embedding.first[1].running_mean.abs().max() < 10 * statistics.abs().max()
    patches.relative[cloud, visible] += 0.1
    assert not torch.allclose(student.encode_patches(patches, visible).tokens, before.tokens)


def test_hidden_patches_get_no_gradient() -> None:
    student = tiny()
    patches = student.patches(batch_of(60, 30))
    visible, hidden = random_patches(2, 8, 0.6, generator=torch.Generator().manual_seed(0))
    patches.relative.requires_grad_()
    student.encode_patches(patches, visible).tokens.square().sum().backward()
    cloud = torch.arange(2)[:, None]
    assert not patches.relative.grad[cloud, hidden].any()
    assert patches.relative.grad[cloud, visible].any()


def test_all_patches_visible_is_no_mask() -> None:
    student, batch = tiny().eval(), batch_of(60, 30)
    order = torch.arange(8).flip(0).expand(2, -1)
    with torch.no_grad():
        torch.testing.assert_close(
            student.encode(batch, order).tokens.flip(1), student.encode(batch).tokens, atol=1e-5, rtol=1e-5
        )


@pytest.mark.parametrize("class_token", [False, True])
def test_every_parameter_learns(class_token: bool) -> None:
    student, batch = tiny(class_token=class_token, drop_path=0.1), batch_of(60, 30)
    loss = student(batch).square().mean()
    encoding = student.encode(batch)
    if class_token:
        loss = loss + encoding.class_token.square().mean()
    loss.backward()
    for name, parameter in student.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        # a constant before a normalisation cannot learn
        assert parameter.grad.any() or name in ("embedding.first.0.bias", "embedding.second.0.bias"), name


def test_inputs() -> None:
    batch = batch_of(60, 30, channels=2)
    plain, coloured = tiny(in_channels=2).eval(), tiny(in_channels=2, inputs=("offset", "features")).eval()
    other = Batch(batch.points, batch.features + 1, batch.offsets)
    with torch.no_grad():
        assert torch.equal(plain(batch), plain(other))
        assert not torch.allclose(coloured(batch), coloured(other))
    with pytest.raises(DataError, match="built for 2 features per point, but the points have 0"):
        coloured(batch_of(60))
    with pytest.raises(RecipeError, match=r"inputs name 'features', but the points have none; use inputs \['offset'\]"):
        tiny(inputs=("offset", "features"))


def test_random_first_centres_are_for_training_only() -> None:
    student, batch = tiny(first_centre="random"), batch_of(60, 30)
    torch.manual_seed(0)
    rows = {tuple(student.patches(batch).rows[:, 0, 0].tolist()) for _ in range(10)}
    assert len(rows) > 5
    torch.manual_seed(0)
    assert tuple(student.patches(batch).rows[:, 0, 0].tolist()) in rows
    assert student.eval().patches(batch).rows[:, 0, 0].tolist() == [0, 60]


def test_drop_path_leaves_out_whole_samples() -> None:
    drop, x = DropPath(0.25), torch.ones(4000, 3, 2)
    torch.manual_seed(0)
    out = drop(x)
    kept = out[:, 0, 0] > 0
    assert 0.72 < kept.float().mean() < 0.78
    torch.testing.assert_close(out, torch.where(kept, 4 / 3, 0.0)[:, None, None].expand_as(x))
    assert drop.eval()(x) is x
    student = PointTransformer(0, 5, drop_path=0.1)
    np.testing.assert_allclose([block.drop_path.rate for block in student.blocks], np.linspace(0, 0.1, 12), atol=1e-7)


def test_without_an_output_layer_the_output_is_that_of_the_decoder() -> None:
    student, batch = PointTransformer(0, 0, size="tiny", groups=8, group_size=6).eval(), batch_of(60, 30)
    assert not any(name.startswith("head.") for name in student.state_dict())
    with torch.no_grad():
        assert torch.equal(student(batch), student.decoder_features(batch))


def test_training_lowers_the_loss() -> None:
    torch.manual_seed(0)
    student, batch = PointTransformer(0, 6, size="tiny", groups=32, group_size=8), batch_of(200, 150)
    target = torch.stack([torch.sin(batch.points[:, i % 3] * (1 + i)) for i in range(6)], dim=1)
    optimizer = torch.optim.AdamW(student.parameters(), 3e-3)
    losses = []
    for _ in range(30):
        loss = (student(batch) - target).square().mean()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.6 * losses[0]


def test_mixed_precision() -> None:
    student, batch = tiny().eval(), batch_of(60, 30)
    with torch.no_grad():
        expected = student(batch)
        with torch.autocast("cpu", torch.bfloat16):
            found = student(batch)
    assert (found.float() - expected).norm() < 0.05 * expected.norm()


@pytest.mark.parametrize("points", [0, 1, 7])
def test_too_few_points(points: int) -> None:
    with pytest.raises(PointliftError, match=rf"has {points} points, but 8 patches of 6 points need at least 8"):
        tiny().features(np.zeros((points, 3), np.float32))
