"""Normals among the features of points: which columns they are, and how they turn with the points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

NORMALS = ("nx", "ny", "nz")
"""Names of the features of a cloud with normals."""


def normal_columns(feature_names: Sequence[str]) -> tuple[int, int, int] | None:
    """Which columns of features of these names are the normals; None if there are none."""
    names = list(feature_names)
    if not set(NORMALS) <= set(names):
        return None
    x, y, z = (names.index(name) for name in NORMALS)
    return x, y, z


def turned_normals(normals: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """Normals (N, 3) float64 of a surface after a linear map of its points, which is given by its inverse (3, 3).

    ``n' = M⁻ᵀ n``, so that what lay in the surface still does, and then each has the length that it had; zero stays
    zero.
    """
    normals = normals.astype(np.float64)
    turned = normals @ inverse
    lengths, found = (np.linalg.norm(one, axis=1, keepdims=True) for one in (normals, turned))
    return turned * np.divide(lengths, found, out=np.zeros_like(found), where=found > 0)
