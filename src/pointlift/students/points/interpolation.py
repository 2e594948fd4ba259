"""From values at a few centres to values at every point."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from pointlift.students.points.neighbours import nearest_centres

EPSILON = 1e-8


def interpolate(values: Tensor, centres: Tensor, points: Tensor, clouds: Tensor, count: int = 3) -> Tensor:
    """Mean of the values at the three nearest centres, weighted by inverse squared distance.

    f(p) = Σ_i w_i f_i / Σ_i w_i with w_i = 1 / (‖p − c_i‖² + 1e-8), the feature propagation of PointNet++ (Qi et al.
    2017, arXiv 1706.02413, equation 2 with p = 2).

    Args:
        values: (B, G, C), G values for each of B clouds.
        centres: (B, G, 3), where they are.
        points: (P, 3), in any order.
        clouds: (P,) int64, the cloud of each point.
        count: centres for each point; fewer where G is smaller.

    Returns:
        (P, C) in the dtype of ``values``.
    """
    groups = centres.shape[1]
    squared, columns = nearest_centres(points, clouds, centres, min(count, groups))
    weights = 1.0 / (squared + EPSILON)
    weights = weights / weights.sum(1, keepdim=True)
    index = columns + clouds[:, None] * groups
    return functional.embedding_bag(
        index, values.flatten(0, 1), mode="sum", per_sample_weights=weights.to(values.dtype)
    )
