from __future__ import annotations

import numpy as np
import pytest
import torch

from pointlift.data.batch import Batch
from pointlift.errors import DataError, RecipeError
from pointlift.registry import STUDENTS
from pointlift.students.minkunet import MinkUNet

minkunet14, minkunet34 = STUDENTS.get("minkunet14"), STUDENTS.get("minkunet34")

NAMES = ["minkunet14", "minkunet34"]


def cloud(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, generator=generator) * 4, torch.rand(count, 1, generator=generator)


def batch_of(*clouds: tuple[torch.Tensor, torch.Tensor]) -> Batch:
    offsets = torch.tensor([0] + [len(points) for points, _ in clouds]).cumsum(0)
    return Batch(torch.cat([c[0] for c in clouds]), torch.cat([c[1] for c in clouds]), offsets)


def small(**options) -> MinkUNet:
    torch.manual_seed(0)
    return minkunet14(1, 6, **{"width": 0.25, "voxel_size": 0.2, **options})


def used(model: MinkUNet, seed: int = 5) -> MinkUNet:
    """The model in evaluation mode with running statistics that fit its data."""
    with torch.no_grad():
        for _ in range(30):
            model(batch_of(cloud(300, seed)))
    return model.eval()


@pytest.mark.parametrize("name", NAMES)
def test_is_registered_with_options(name: str) -> None:
    assert set(STUDENTS.options(name).model_fields) >= {"name", "width", "voxel_size", "head", "stem_kernel", "inputs"}
    student = STUDENTS.get(name)(1, 16, width=0.25)
    assert student.out_channels == 16
    assert student.decoder_channels == 24
    assert student(batch_of(cloud(50))).shape == (50, 16)


@pytest.mark.parametrize(("build", "count"), [(minkunet14, 8_051_808), (minkunet34, 37_883_360)])
def test_number_of_parameters(build, count: int) -> None:
    with torch.device("meta"):
        student = build(1, 384)
    found = sum(parameter.numel() for parameter in student.parameters())
    assert found == count


@pytest.mark.parametrize("head", ["linear", "mlp"])
@pytest.mark.parametrize("stem_kernel", [3, 5])
def test_every_parameter_learns(head: str, stem_kernel: int) -> None:
    model = small(head=head, stem_kernel=stem_kernel)
    loss = model(batch_of(cloud(300), cloud(200, 1))).square().mean()
    loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    assert sum(bool(p.grad.abs().sum() > 0) for p in model.parameters()) > 0.9 * len(list(model.parameters()))


def test_training_lowers_the_loss() -> None:
    model, batch = small(), batch_of(cloud(300))
    target = torch.stack([torch.sin(batch.points[:, i % 3] * (1 + i)) for i in range(6)], dim=1)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    losses = []
    for _ in range(25):
        loss = (model(batch) - target).square().mean()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.3 * losses[0]


def test_a_cloud_is_the_same_alone_and_in_a_batch() -> None:
    model = used(small())
    clouds = [cloud(300), cloud(0), cloud(1, 1), cloud(150, 2)]
    with torch.no_grad():
        together = model(batch_of(*clouds))
        alone = torch.cat([model(batch_of(c)) for c in clouds])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_permuted_points_give_permuted_features() -> None:
    model = used(small())
    points, features = cloud(300)
    order = torch.randperm(300)
    with torch.no_grad():
        expected = model(batch_of((points, features)))[order]
        torch.testing.assert_close(model(batch_of((points[order], features[order]))), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("counts", [(0,), (1,), (0, 1, 40), (0, 0)])
@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_empty_and_tiny_clouds_train(counts: tuple[int, ...], head: str) -> None:
    model = small(head=head)
    out = model(batch_of(*(cloud(count, i) for i, count in enumerate(counts))))
    assert out.shape == (sum(counts), 6)
    out.sum().backward()
    assert torch.isfinite(out).all()


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_rows_are_rows_of_the_whole(head: str) -> None:
    model = used(small(head=head))
    batch, rows = batch_of(cloud(100), cloud(80, 1)), torch.tensor([3, 3, 179, 0])
    torch.testing.assert_close(model(batch, rows), model(batch)[rows])
    torch.testing.assert_close(model.decoder_features(batch, rows), model.decoder_features(batch)[rows])


def test_head_of_decoder_features_is_the_output() -> None:
    model = used(small())
    batch = batch_of(cloud(100))
    features = model.decoder_features(batch)
    assert features.shape == (100, model.decoder_channels)
    torch.testing.assert_close(model.head(features), model(batch))


def test_runs_are_identical() -> None:
    def run() -> list[torch.Tensor]:
        model = small()
        out = model(batch_of(cloud(200)))
        out.square().mean().backward()
        return [out, *(p.grad for p in model.parameters())]

    assert all(torch.equal(a, b) for a, b in zip(run(), run(), strict=True))


def test_bfloat16_autocast_is_close() -> None:
    model = used(small())
    batch = batch_of(cloud(300, 5))
    exact = model(batch)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = model(batch)
    assert torch.nn.functional.cosine_similarity(exact, rounded.float()).min() > 0.98
    model.train()
    with torch.autocast("cpu", torch.bfloat16):
        model(batch).float().square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize("inputs", [("height",), ("offset", "features"), ("ones", "height")])
def test_inputs(inputs: tuple[str, ...]) -> None:
    model = small(inputs=inputs)
    columns = model._inputs(batch_of(cloud(20)))
    points, features = cloud(20)
    scaled = points.double() / 0.2
    known = {
        "height": points[:, 2:],
        "offset": (scaled - scaled.floor() - 0.5).float(),
        "ones": torch.ones(20, 1),
        "features": features,
    }
    torch.testing.assert_close(columns, torch.cat([known[kind] for kind in inputs], dim=1))
    assert model(batch_of(cloud(20))).shape == (20, 6)


def test_wrong_number_of_features() -> None:
    with pytest.raises(DataError, match="built for 1 features per point, but the points have 2"):
        small()(batch_of((torch.rand(5, 3), torch.rand(5, 2))))
    with pytest.raises(ValueError, match="ones"):
        minkunet14(0, 4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("option", "value"), [("width", 0), ("voxel_size", -0.1), ("bn_momentum", 0), ("bn_momentum", 1.5), ("inputs", [])]
)
def test_options_out_of_bounds_are_named(name: str, option: str, value: object) -> None:
    with pytest.raises(RecipeError, match=option):
        STUDENTS.build(name, 1, 4, **{option: value})


def test_width_rounds_to_multiples_of_eight() -> None:
    model = minkunet14(1, 4, width=0.3)
    assert all(m.num_features % 8 == 0 for m in model.modules() if isinstance(m, torch.nn.BatchNorm1d))


def test_a_real_scan(shared) -> None:
    scan = shared / "data/semantickitti-mini/sequences/00/velodyne/000000.bin"
    if not scan.is_file():
        pytest.skip("no SemanticKITTI scan in ../shared")
    points = np.fromfile(scan, np.float32).reshape(-1, 4)
    features = small(voxel_size=0.5).features(points)
    assert features.shape == (len(points), 6)
    assert np.isfinite(features).all()
