from __future__ import annotations

import numpy as np

from pointlift.data.normals import normal_columns, turned_normals


def test_columns_are_found_by_name() -> None:
    assert normal_columns(("nx", "ny", "nz")) == (0, 1, 2)
    assert normal_columns(["red", "nz", "ny", "nx"]) == (3, 2, 1)
    assert normal_columns(("nx", "nz")) is None
    assert normal_columns(()) is None


def test_normals_of_a_stretched_triangle_are_those_of_its_moved_corners() -> None:
    rng = np.random.default_rng(0)
    corners, linear = rng.normal(size=(50, 3, 3)), np.diag([0.5, 1.5, 1.2])

    def normals(of: np.ndarray) -> np.ndarray:
        found = np.cross(of[:, 1] - of[:, 0], of[:, 2] - of[:, 0])
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    found = turned_normals(normals(corners).astype(np.float32), np.linalg.inv(linear))
    np.testing.assert_allclose(found, normals(corners @ linear.T), atol=1e-6)


def test_a_mirror_reflects_and_lengths_stay() -> None:
    given = np.array([[0.3, -0.4, 0.0], [0, 0, 0], [0, 0, 2]], np.float32)
    found = turned_normals(given, np.diag([-1.0, 1, 1]) / 3)
    np.testing.assert_allclose(found, [[-0.3, -0.4, 0], [0, 0, 0], [0, 0, 2]], atol=1e-7)
