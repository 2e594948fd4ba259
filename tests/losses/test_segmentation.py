"""Lovász-Softmax against its definition as an integral over set functions, and cross-entropy against a loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from pointlift.losses import cross_entropy, lovasz_softmax, segmentation_loss


def example(points: int = 9, classes: int = 4, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(points, classes, generator=generator, dtype=torch.float64)
    return logits.requires_grad_(), torch.randint(-1, classes - 1, (points,), generator=generator)


def probabilities(row: np.ndarray) -> list[float]:
    exponentials = [math.exp(value - row.max()) for value in row]
    return [value / sum(exponentials) for value in exponentials]


def jaccard_loss(mistaken: set[int], foreground: set[int]) -> float:
    """1 − IoU of the foreground if exactly the points of ``mistaken`` are labelled wrongly."""
    predicted = foreground ^ mistaken
    return 1.0 - len(foreground & predicted) / len(foreground | predicted)


def lovasz_extension(errors: list[float], foreground: set[int]) -> float:
    """∫₀¹ J({i : e_i ≥ θ}) dθ, which for a set function with J(∅) = 0 is its Lovász extension on [0, 1]^N."""
    total, below = 0.0, 0.0
    for threshold in sorted(set(errors)):
        total += (threshold - below) * jaccard_loss({i for i, e in enumerate(errors) if e >= threshold}, foreground)
        below = threshold
    return total


def reference(logits: np.ndarray, labels: np.ndarray) -> float:
    kept = [i for i in range(len(labels)) if labels[i] != -1]
    scores, values = [probabilities(logits[i]) for i in kept], []
    for c in sorted({int(labels[i]) for i in kept}):
        foreground = {index for index, i in enumerate(kept) if labels[i] == c}
        errors = [1.0 - score[c] if index in foreground else score[c] for index, score in enumerate(scores)]
        values.append(lovasz_extension(errors, foreground))
    return sum(values) / len(values)


@pytest.mark.parametrize("points", [1, 2, 9, 40])
def test_lovasz_equals_its_definition(points: int) -> None:
    logits, labels = example(points, seed=points)
    labels[0] = 1
    expected = reference(logits.detach().numpy(), labels.numpy())
    assert lovasz_softmax(logits, labels).item() == pytest.approx(expected, rel=1e-12)
    assert lovasz_softmax(logits.float(), labels).item() == pytest.approx(expected, rel=1e-5)


def test_lovasz_with_ties_equals_its_definition() -> None:
    logits = torch.zeros(6, 3, dtype=torch.float64)
    labels = torch.tensor([0, 0, 1, 2, 2, 2])
    assert lovasz_softmax(logits, labels).item() == pytest.approx(reference(logits.numpy(), labels.numpy()))


def test_lovasz_of_certain_predictions_is_one_minus_the_iou() -> None:
    labels, predictions = torch.tensor([0, 0, 0, 1, 1, 2]), torch.tensor([0, 0, 1, 1, 0, 2])
    logits = torch.nn.functional.one_hot(predictions, 4).double() * 1000.0
    assert lovasz_softmax(logits, labels).item() == pytest.approx(1.0 - (2 / 4 + 1 / 3 + 1) / 3)


def test_gradients_equal_finite_differences() -> None:
    logits, labels = example()
    assert torch.autograd.gradcheck(lambda x: lovasz_softmax(x, labels), logits)
    assert torch.autograd.gradcheck(lambda x: segmentation_loss(x, labels, lovasz_weight=0.5), logits)


def test_cross_entropy_equals_a_loop() -> None:
    logits, labels = example()
    kept = [i for i in range(9) if labels[i] != -1]
    rows = logits.detach().numpy()
    expected = -sum(math.log(probabilities(rows[i])[labels[i]]) for i in kept) / len(kept)
    assert cross_entropy(logits, labels).item() == pytest.approx(expected)


def test_segmentation_loss_is_the_weighted_sum() -> None:
    logits, labels = example()
    expected = cross_entropy(logits, labels) + 0.3 * lovasz_softmax(logits, labels)
    torch.testing.assert_close(segmentation_loss(logits, labels, lovasz_weight=0.3), expected)
    torch.testing.assert_close(segmentation_loss(logits, labels, lovasz_weight=0), cross_entropy(logits, labels))


@pytest.mark.parametrize("loss", [cross_entropy, lovasz_softmax, segmentation_loss])
def test_ignored_points_do_not_count(loss) -> None:
    logits, labels = example()
    kept = labels != -1
    torch.testing.assert_close(loss(logits, labels), loss(logits[kept], labels[kept]))
    torch.testing.assert_close(loss(logits, torch.where(kept, labels, 255), ignore=255), loss(logits, labels))


@pytest.mark.parametrize("loss", [cross_entropy, lovasz_softmax, segmentation_loss])
def test_everything_ignored_is_a_differentiable_zero(loss) -> None:
    logits, labels = example()
    value = loss(logits, torch.full_like(labels, -1))
    value.backward()
    assert value.item() == 0.0
    assert not logits.grad.any()


def test_float32_inside_mixed_precision() -> None:
    logits, labels = example()
    coarse = logits.detach().bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = segmentation_loss(coarse, labels)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, segmentation_loss(coarse.float(), labels))


@pytest.mark.parametrize("loss", [cross_entropy, lovasz_softmax, segmentation_loss])
def test_wrong_input(loss) -> None:
    logits, labels = example()
    with pytest.raises(ValueError, match=r"\(9, 4\) and \(8,\)"):
        loss(logits, labels[:8])
    with pytest.raises(ValueError, match=r"0\.\.3 or be -1"):
        loss(logits, labels + 5)
    with pytest.raises(ValueError, match="integers"):
        loss(logits, labels.float())
