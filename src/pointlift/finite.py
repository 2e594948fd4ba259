"""One policy for features that are not finite: an error that names the scene, wherever they are made or compared.

A comparison with NaN is never true, so a network that has broken down would otherwise score as class 0, or as perfect.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor

from pointlift.errors import DataError

Values = TypeVar("Values")


def require_finite(values: Values, whose: str, scene: str | None = None) -> Values:
    """The values themselves: a tensor, or tensors in mappings, lists and tuples.

    Args:
        values: of which every number must be finite; what is no tensor is not looked at.
        whose: what they are, such as ``the student's features``.
        scene: the id of the scene that they are of.

    Raises:
        DataError: a number is NaN or infinite.
    """
    inner = values.values() if isinstance(values, Mapping) else values if isinstance(values, (list, tuple)) else ()
    for one in inner:
        require_finite(one, whose, scene)
    if isinstance(values, Tensor) and values.is_floating_point():
        broken = ~torch.isfinite(values)
        if bool(broken.any()):
            rows = int(broken.reshape(len(values), -1).any(dim=1).sum()) if values.ndim else 1
            where = "" if scene is None else f" of the scene '{scene}'"
            raise DataError(
                f"{whose}{where} are not finite in {rows} of {len(values) if values.ndim else 1} rows, so nothing can "
                "be said of them; are the weights damaged, or the points of that scene far away?"
            )
    return values
