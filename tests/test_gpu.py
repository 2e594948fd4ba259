"""What only a CUDA device can show: the same numbers as on the CPU, mixed precision, and resuming with a scaler."""

from pathlib import Path

import pytest
import torch

import pointlift
from pointlift import losses
from pointlift.data.batch import Batch
from pointlift.train import TrainOptions, checkpoint, fit, log
from tests.train.toy import Toy, scenes, weights

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]


def street(points: int = 4000) -> Batch:
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(points, 3, generator=generator) * torch.tensor([10.0, 10.0, 1.0])
    second = torch.randn(points // 4, 3, generator=generator) * 3
    cloud = torch.cat([first, second])
    return Batch(cloud, cloud[:, 2:].sigmoid(), torch.tensor([0, points, points + points // 4]))


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return pointlift.student("minkunet14", 1, 32, width=0.5, voxel_size=0.2, stem_kernel=3)


def step(device: str, dtype: torch.dtype | None = None) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Output and weight gradients of one training step."""
    student, batch = network().to(device), street().to(device)
    with torch.autocast(device, dtype=dtype, enabled=dtype is not None):
        output = student(batch)
    output.float().square().mean().backward()
    return output.detach().cpu(), {name: p.grad.cpu() for name, p in student.named_parameters()}


def test_a_training_step_equals_the_cpu() -> None:
    (expected, slopes), (output, gradients) = step("cpu"), step("cuda")
    torch.testing.assert_close(output, expected, rtol=1e-3, atol=1e-3)
    for name, value in slopes.items():
        assert (gradients[name] - value).norm() <= 1e-2 * value.norm() + 1e-6, name


def test_a_training_step_repeats_to_the_bit() -> None:
    (first, slopes), (second, gradients) = step("cuda"), step("cuda")
    assert torch.equal(first, second)
    assert all(torch.equal(value, gradients[name]) for name, value in slopes.items())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_mixed_precision_is_near_float32(dtype: torch.dtype) -> None:
    (expected, _), (output, gradients) = step("cuda"), step("cuda", dtype)
    assert (output.float() - expected).norm() < 0.05 * expected.norm()
    assert all(value.isfinite().all() for value in gradients.values())


def test_an_empty_cloud_among_others() -> None:
    points = torch.randn(50, 3, device="cuda")
    batch = Batch(points, points[:, :1], torch.tensor([0, 0, 50, 50], device="cuda"))
    assert network().cuda()(batch).shape == (50, 32)


@pytest.mark.parametrize("name", ["contrastive", "similarity", "cross_modal", "intra_modal", "relational"])
def test_losses_equal_the_cpu(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    k, q = (torch.randn(1500, 64, generator=generator) for _ in range(2))
    results = []
    for device in ("cpu", "cuda"):
        student = k.to(device).requires_grad_()
        value = getattr(losses, name)(student, q.to(device))
        value.backward()
        results.append((value.item(), student.grad.cpu()))
    assert results[1][0] == pytest.approx(results[0][0], rel=1e-4)
    assert (results[1][1] - results[0][1]).norm() < 1e-3 * results[0][1].norm()


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_an_interrupted_run_goes_on(precision: str, tmp_path: Path) -> None:
    options = TrainOptions(
        steps=8, batch_size=2, checkpoint_every=4, log_every=1, learning_rate=0.01, precision=precision
    )
    whole, resumed = Toy(), Toy()
    fit(whole, scenes(), options, tmp_path / "whole")

    def stop(what: str, done: int, total: int) -> None:
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(Toy(), scenes(), options, tmp_path / "stopped", progress=stop)
    assert checkpoint.latest(tmp_path / "stopped" / "checkpoints").name == "step-00000004"
    fit(resumed, scenes(), options, tmp_path / "stopped")
    for key, value in weights(whole).items():
        torch.testing.assert_close(weights(resumed)[key], value, rtol=1e-4, atol=1e-5)
    assert len(log.read(tmp_path / "stopped")) == 8
