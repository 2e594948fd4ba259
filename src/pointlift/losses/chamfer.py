"""Chamfer distance between small sets of points, in plain tensor operations."""

from __future__ import annotations

from torch import Tensor

from pointlift.losses.row_blocks import require_tensors


def chamfer(first: Tensor, second: Tensor) -> Tensor:
    """Chamfer-L2 distance of P pairs of point sets, in float32 at least.

    ``(1/K) Σ_a min_b ‖a − b‖² + (1/L) Σ_b min_a ‖a − b‖²``, squared distances, both directions.

    Args:
        first: (P, K, 3).
        second: (P, L, 3).

    Returns:
        (P,).

    Raises:
        ValueError: if the shapes are not those.
    """
    require_tensors(first=first, second=second)
    fits = first.ndim == second.ndim == 3 and len(first) == len(second) and first.shape[2] == second.shape[2]
    if not fits or 0 in first.shape[1:] + second.shape[1:]:
        raise ValueError(f"chamfer takes (P, K, 3) and (P, L, 3), not {tuple(first.shape)} and {tuple(second.shape)}")
    if first.dtype.itemsize < 4:
        first = first.float()
    second = second.to(first.dtype)
    # differences and no inner products: |a|² − 2ab + |b|² loses what is left of small distances
    distances = (first[:, :, None] - second[:, None]).square().sum(3)  # (P, K, L)
    return distances.amin(2).mean(1) + distances.amin(1).mean(1)
