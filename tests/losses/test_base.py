"""A loss as one object: what a method calls, what it asks of a pair, and what registration refuses."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from pointlift import losses
from pointlift.errors import RecipeError
from pointlift.losses.base import check_loss
from pointlift.options import signature_options
from pointlift.registry import Part


def weighted_distance(
    student: Tensor,
    teacher: Tensor,
    normalize: bool = False,
    rows: slice | None = None,
    weights: Tensor | None = None,
    *,
    power: int = 1,
) -> Tensor:
    """Mean over rows of their weighted distance; the weights are divided by their mean over all rows."""
    terms = (student - teacher).abs().pow(power).sum(1)
    if weights is not None:
        terms = terms * weights / weights.mean()
    own = terms if rows is None else terms[rows]
    return own.sum() / max(1, len(own))


def within_regions(
    student: Tensor, teacher: Tensor, normalize: bool, regions: Tensor, weights: Tensor | None = None, *, power: int = 1
) -> Tensor:
    """Mean over regions of the distance of their mean features, which is no mean over rows."""
    terms = [(student - teacher)[regions == one].mean(0).abs().pow(power).sum() for one in regions.unique()]
    return torch.stack(terms).mean()


def features(rows: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(rows, 3, generator=generator), torch.randn(rows, 3, generator=generator)


def test_a_loss_that_is_built_has_its_options() -> None:
    k, q = features()
    loss = losses.build("relational", cross_weight=2.0)
    assert (loss.scope, loss.options["cross_weight"], loss.extras) == ("rows", 2.0, ())
    assert torch.equal(loss(k, q), losses.relational(k, q, cross_weight=2.0))
    assert losses.build("cka").scope == "batch"
    with pytest.raises(RecipeError, match="did you mean 'relational'"):
        losses.build("relatonal")
    with pytest.raises(RecipeError, match="temperature"):
        losses.build("contrastive", temperature=0)


def test_any_function_of_two_matrices_is_a_loss_of_the_whole_batch() -> None:
    k, q = features()
    assert torch.equal(losses.Loss(lambda a, b: (a - b).square().mean())(k, q), (k - q).square().mean())
    assert losses.Loss(lambda a, b: a.sum()).extras == ()


def test_a_loss_takes_the_extras_that_it_declares() -> None:
    k, q = features()
    weights, regions = torch.arange(6.0), torch.tensor([0, 0, 1, 1, 2, 2])
    weighted, regional = losses.Loss(weighted_distance, "rows", power=2), losses.Loss(within_regions, normalize=False)
    assert (weighted.extras, regional.extras) == (("weights",), ("regions", "weights"))
    expected = ((k - q).square().sum(1) * weights / weights.mean()).mean()
    torch.testing.assert_close(weighted(k, q, weights=weights, regions=regions), expected)
    torch.testing.assert_close(weighted(k, q), (k - q).square().sum(1).mean())
    means = torch.stack([(k - q)[a : a + 2].mean(0) for a in (0, 2, 4)])
    torch.testing.assert_close(regional(k, q, regions=regions), means.abs().sum(1).mean())
    with pytest.raises(ValueError, match="there are 6 pairs, but 5 rows of 'weights'"):
        weighted(k, q, weights=weights[:5])


def test_a_method_that_lacks_what_a_loss_needs_is_a_sentence() -> None:
    regional = losses.Loss(within_regions)
    regional.require(["regions"])
    with pytest.raises(RecipeError, match="the loss needs regions with each pair, which this method does not give"):
        regional.require(["weights"])
    losses.Loss(weighted_distance, "rows").require()


def test_a_loss_may_be_sent_to_other_processes() -> None:
    k, q = features()
    loss = losses.build("contrastive", temperature=0.3)
    assert torch.equal(pickle.loads(pickle.dumps(loss))(k, q), loss(k, q))


def _short(student: Tensor, teacher: Tensor) -> Tensor:
    raise NotImplementedError


@pytest.mark.parametrize(
    ("function", "declared", "said"),
    [
        (weighted_distance, {}, "must declare its scope, 'rows' or 'batch'"),
        (weighted_distance, {"scope": "columns"}, "must declare its scope"),
        (
            within_regions,
            {"scope": "rows"},
            r"must take \(student, teacher, normalize, rows, …\), not \(student, teach",
        ),
        (weighted_distance, {"scope": "batch"}, "a function of the whole batch, so it must not take 'rows'"),
        (_short, {"scope": "batch"}, r"must take \(student, teacher, normalize, …\), not \(student, teacher, …\)"),
    ],
)
def test_what_keeps_no_contract_is_refused(function: Callable[..., Any], declared: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_loss(Part("mine", function, "", declared=declared))


def test_extras_are_no_options_of_a_recipe() -> None:
    check_loss(Part("mine", weighted_distance, "", declared={"scope": "rows"}))
    check_loss(Part("mine", within_regions, "", declared={"scope": "batch"}))
    assert set(signature_options("mine", "loss", weighted_distance).model_fields) == {"name", "power"}
