from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pointlift.data.formats.mesh import Mesh, areas_and_normals, read_off, sample_surface
from pointlift.errors import DataError

SQUARE = "0 0 0\n2 0 0\n2 1 0\n0 1 0\n"


def each(more: str) -> str:
    """The square with more at every vertex."""
    return SQUARE.replace("\n", f"{more}\n")


def off(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "mesh.off"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


# ---- reading


@pytest.mark.parametrize(
    "text",
    [
        f"OFF\n4 2 0\n{SQUARE}3 0 1 2\n3 0 2 3\n",
        f"OFF4 2 0\n{SQUARE}3 0 1 2\n3 0 2 3\n",  # the known defect of ModelNet
        f"OFF 4 2 0\n{SQUARE}3 0 1 2\n3 0 2 3\n",
        f"OFF4 2\n{SQUARE}3 0 1 2\n3 0 2 3",
        f"# made by hand\nOFF\n\n4 2 0 # counts\n{SQUARE}\n3 0 1 2\n3 0 2 3\n",
        f"OFF\r\n4 2 0\r\n{SQUARE}3 0 1 2\r\n3 0 2 3\r\n",
        f"OFF\n4 2 0\n{SQUARE}3 0 1 2 255 0 0\n3 0 2 3\n",  # a colour
        f"OFF\n4 1 0\n{SQUARE}4 0 1 2 3\n",  # a polygon
        f"OFF\n4 1 0\n{SQUARE}4 0 1 2 3 0.5 0.5 0.5 1\n",  # with a colour of floats
        f"OFF\n4 2 0\n{SQUARE}3 0 1 2 4\n3 0 2 3 5\n",  # an index of colours
        f"COFF 4 2 0\n{each(' 255 0 9')}3 0 1 2\n3 0 2 3\n",
        f"COFF\n4 2 0\n{each(' 1.0 0.5 0 1')}3 0 1 2\n3 0 2 3\n",
        f"OFF\n4 2 0\n{each(' 255 0 9 255')}3 0 1 2\n3 0 2 3\n",  # colours without a word in the header
        f"NOFF4 2 0\n{each(' 0 0 1')}3 0 1 2\n3 0 2 3\n",
        f"CNOFF\n4 2 0\n{each(' 0 0 1 255 0 0 255')}3 0 1 2\n3 0 2 3\n",
        f"STOFF\n4 2 0\n{each(' 0.5 0.25')}3 0 1 2\n3 0 2 3\n",
        f"\ufeffoff # lower\r\n#\r\n4 2 0\r\n{SQUARE}3 0 1 2\r\n3 0 2 3\r\n",
    ],
)
def test_every_way_to_write_a_square(tmp_path, text):
    mesh = read_off(off(tmp_path, text))
    np.testing.assert_array_equal(mesh.vertices, [[0, 0, 0], [2, 0, 0], [2, 1, 0], [0, 1, 0]])
    np.testing.assert_array_equal(mesh.faces, [[0, 1, 2], [0, 2, 3]])
    assert mesh.vertices.dtype == np.float64
    assert mesh.faces.dtype == np.int64


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "must begin with 'OFF', not ''"),
        ("ply\n", "must begin with 'OFF', not 'ply'"),
        ("OFF\nfour two 0\n", "after 'OFF' come the numbers of vertices, faces and edges, not 'four two 0'"),
        ("OFF", "after 'OFF' come the numbers"),
        (f"OFF\n4 0 0\n{SQUARE}", "4 vertices and 0 faces; a surface needs some of both"),
        (f"OFF\n4 2 0\n{SQUARE}3 0 1 2\n", "promises 4 vertices and 2 faces, but 5 lines follow"),
        ("OFF\n3 1 0\n0 0 0\n1 0\n0 1 0\n3 0 1 2\n", "vertex 1 is not 3 numbers: 1 0"),
        ("OFF\n3 1 0\n0 0 0\n1 nan 0\n0 1 0\n3 0 1 2\n", "1 vertices have NaN or infinity, the first is vertex 1"),
        (f"OFF\n4 1 0\n{SQUARE}3 0 1 9\n", r"a face names vertex \[0, 1, 9\], and vertices are numbered from 0 to 3"),
        (f"OFF\n4 1 0\n{SQUARE}3 0 1\n", "face 0 is not a count of 3 or more"),
        (f"OFF\n4 1 0\n{SQUARE}2 0 1\n", "face 0 is not a count of 3 or more"),
        (f"OFF\n4 1 0\n{SQUARE}3 0 one 2\n", "face 0 is not a count of 3 or more"),
        (f"OFF\n4 1 0\n{SQUARE}3 0 1.9 2\n", "face 0 is not a count of 3 or more and as many vertices: 3 0 1.9 2"),
        (f"OFF\n4 1 0\n{SQUARE}3 0 1_0 2\n", "face 0 is not a count of 3 or more"),
        (f"OFF\n4 1 0\n{SQUARE}3 0 {'9' * 30} 2\n", "face 0 is not a count of 3 or more"),
        (f"OFF\n4 1 0\n{SQUARE}3 0 -1 2\n", r"a face names vertex \[0, -1, 2\]"),
        (f"OFF\n{'4' * 5000} 1 0\n{SQUARE}3 0 1 2\n", "after 'OFF' come the numbers"),
        (f"NOFF\n4 1 0\n{SQUARE}3 0 1 2\n", "vertex 0 is not 6 numbers: 0 0 0"),
        (f"COFF\n4 1 0\n{each(' 1')}3 0 1 2\n", "vertex 0 is not 6 numbers: 0 0 0 1"),
        (f"OFF BINARY\n4 1 0\n{SQUARE}3 0 1 2\n", "a binary OFF file; save it as text"),
        (f"4OFF\n4 1 0\n{SQUARE}3 0 1 2\n", "must begin with 'OFF', not '4OFF'"),
    ],
)
def test_damaged_files_are_one_sentence(tmp_path, text, message):
    with pytest.raises(DataError, match=message) as caught:
        read_off(off(tmp_path, text))
    assert str(tmp_path / "mesh.off") in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.off: the file is missing"):
        read_off(tmp_path / "none.off")


# ---- sampling


def tetrahedron() -> Mesh:
    """Four triangles of very different areas."""
    vertices = np.array([[0, 0, 0], [10, 0, 0], [0, 1, 0], [0, 0, 3]], dtype=float)
    return Mesh(vertices, np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]))


def literal_samples(mesh: Mesh, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """One point after the other: Heron's areas, a walk along their sum, Osada's equation 1."""
    sides = [[np.linalg.norm(mesh.vertices[f[k]] - mesh.vertices[f[k - 1]]) for k in range(3)] for f in mesh.faces]
    areas = []
    for a, b, c in sides:
        s = (a + b + c) / 2
        areas.append(np.sqrt(max(s * (s - a) * (s - b) * (s - c), 0)))
    draws = np.random.default_rng(seed).random((3, count))
    points, chosen = [], []
    for u, r, t in draws.T:
        left, face = u * sum(areas), 0
        while left >= areas[face]:
            left -= areas[face]
            face += 1
        a, b, c = mesh.vertices[mesh.faces[face]]
        points.append((1 - np.sqrt(r)) * a + np.sqrt(r) * (1 - t) * b + np.sqrt(r) * t * c)
        chosen.append(face)
    return np.array(points), np.array(chosen)


def test_sampling_equals_a_literal_reference():
    mesh = tetrahedron()
    samples = sample_surface(mesh, 500, np.random.default_rng(3))
    points, faces = literal_samples(mesh, 500, 3)
    np.testing.assert_array_equal(samples.faces, faces)
    np.testing.assert_allclose(samples.points, points, atol=1e-5)
    assert samples.points.dtype == samples.normals.dtype == np.float32


def test_points_are_on_their_triangles_and_shares_follow_areas():
    mesh = tetrahedron()
    areas, normals = areas_and_normals(mesh)
    np.testing.assert_allclose(areas, [5, 15, 1.5, 0.5 * np.linalg.norm(np.cross([-10, 1, 0], [-10, 0, 3]))])
    samples = sample_surface(mesh, 20_000, np.random.default_rng(0))
    offsets = np.einsum(
        "ni,ni->n", samples.points - mesh.vertices[mesh.faces[samples.faces, 0]], normals[samples.faces]
    )
    assert np.abs(offsets).max() < 1e-5
    np.testing.assert_allclose(samples.normals, normals[samples.faces], atol=1e-6)
    shares = np.bincount(samples.faces, minlength=4) / 20_000
    np.testing.assert_allclose(shares, areas / areas.sum(), atol=0.012)
    # a uniform triangle has its mean in its middle, and a quarter of its points in each of its four halves
    inside = samples.points[samples.faces == 1]
    np.testing.assert_allclose(inside.mean(axis=0), mesh.vertices[mesh.faces[1]].mean(axis=0), atol=0.08)
    assert (inside[:, 0] > 5).mean() == pytest.approx(0.25, abs=0.02)


def test_triangles_without_area_get_no_points():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [2, 0, 0]], dtype=float)
    mesh = Mesh(vertices, np.array([[0, 1, 3], [0, 1, 2], [1, 1, 2]]))
    samples = sample_surface(mesh, 200, np.random.default_rng(0))
    assert set(samples.faces) == {1}
    with pytest.raises(DataError, match="flat: the surface has no area: every one of its 1 triangles is degenerate"):
        sample_surface(Mesh(vertices, mesh.faces[:1]), 10, np.random.default_rng(0), "flat")


def test_the_same_draws_give_the_same_points():
    one, other = (sample_surface(tetrahedron(), 50, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(one.points, other.points)


def test_real_meshes(shared):
    folder = shared / "data" / "modelnet-off"
    if not folder.is_dir():
        pytest.skip("../shared/data/modelnet-off is not there")
    for path in sorted(folder.glob("*.off")):
        counts = [int(word) for word in path.read_bytes()[:40].split()[1:3]]
        mesh = read_off(path)
        assert [len(mesh.vertices), len(mesh.faces)] == counts
        samples = sample_surface(mesh, 1024, np.random.default_rng(0), str(path))
        used = mesh.vertices[mesh.faces].reshape(-1, 3)
        margin = 1e-4 * np.ptp(used, axis=0).max()
        assert (samples.points >= used.min(0) - margin).all()
        assert (samples.points <= used.max(0) + margin).all()
        np.testing.assert_allclose(np.linalg.norm(samples.normals, axis=1), 1, atol=1e-5)
