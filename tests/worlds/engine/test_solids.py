from __future__ import annotations

import numpy as np
import pytest

from pointlift.data.formats.mesh import Mesh
from pointlift.worlds.engine.solids import (
    Solid,
    blob,
    box,
    extrude_side,
    frustum,
    gable,
    icosphere,
    loft,
    prism,
    ring,
    row,
    row_cuts,
    tube,
)

SQUARE = np.array([(-0.5, 0), (0.5, 0), (0.5, 1), (-0.5, 1)])


def volume(mesh: Mesh) -> float:
    """Enclosed volume: the sum of signed tetrahedra; positive where faces are counter-clockwise from outside."""
    total = 0.0
    for i, j, k in mesh.faces:
        a, b, c = mesh.vertices[[i, j, k]]
        total += float(np.dot(a, np.cross(b, c))) / 6
    return total


def closed(mesh: Mesh) -> bool:
    """Whether every directed edge meets exactly one opposite edge."""
    edges = [(int(face[i]), int(face[(i + 1) % 3])) for face in mesh.faces for i in range(3)]
    return len(set(edges)) == len(edges) and all((b, a) in set(edges) for a, b in edges)


@pytest.mark.parametrize(
    "mesh, expected",
    [
        (box((2, 3, 4), (5, 6, 7)), 24.0),
        (frustum((2, 2), (1, 1), 3, shift=0.5), 3 / 3 * (4 + 1 + 2)),
        (gable(4, 2, 1), 4 * 2 * 1 / 2),
        (row(10, SQUARE), 10.0),
        (extrude_side(SQUARE, 3), 3.0),
        (prism(SQUARE, 2, (3, 0, 0)), 2.0),
        (tube([(1, 0, 0), (1, 0, 5)], 1, 64), 5 * np.pi),
        (tube([(0, 0, 3), (4, 0, 3)], [1, 1], 64), 4 * np.pi),
        (icosphere(3), 4 / 3 * np.pi),
    ],
    ids=["box", "frustum", "gable", "row", "extruded", "prism", "upright tube", "lying tube", "sphere"],
)
def test_solids_are_closed_face_outwards_and_have_their_volume(mesh, expected):
    assert closed(mesh)
    assert volume(mesh) == pytest.approx(expected, rel=0.03)
    assert len(mesh.faces) == len(np.unique(np.sort(mesh.faces, 1), axis=0))


def test_a_skin_faces_outwards_whichever_way_its_rings_run():
    rings = np.stack([np.c_[SQUARE, np.full(4, z)] for z in (0.0, 1.0)])
    assert volume(loft(rings)) == pytest.approx(1)
    assert volume(loft(rings[::-1])) == pytest.approx(1)
    assert volume(loft(rings[:, ::-1])) == pytest.approx(1)


def test_moving_turns_about_z_then_shifts():
    mesh = box((1, 1, 1)).moved((10, 0, 2), yaw=np.pi / 2, scale=(4, 2, 1))
    np.testing.assert_allclose(mesh.vertices.min(0), (9, -2, 2), atol=1e-12)
    np.testing.assert_allclose(mesh.vertices.max(0), (11, 2, 3), atol=1e-12)
    assert volume(mesh) == pytest.approx(8)


def test_a_ring_is_an_open_hole():
    mesh = ring(0.35, 0.05, (1, 0, 0.35))
    radius = np.hypot(mesh.vertices[:, 0] - 1, mesh.vertices[:, 2] - 0.35)
    assert radius.min() == pytest.approx(0.325)
    assert radius.max() == pytest.approx(0.375)
    assert volume(mesh) > 0


def test_a_lump_stays_within_its_roughness():
    mesh = blob(np.random.default_rng(0), (1, 2, 3), (5, 5, 5), roughness=0.2)
    share = np.linalg.norm((mesh.vertices - 5) / (1, 2, 3), axis=1)
    assert 0.8 <= share.min() < share.max() <= 1.2
    assert closed(mesh)


def test_a_row_is_cut_often_enough_to_bend():
    mesh = row(10, SQUARE, step=2)
    assert sorted(set(np.round(mesh.vertices[:, 0], 6))) == [0, 2, 4, 6, 8, 10]
    assert row_cuts(10, 2) == 6
    assert row_cuts(0.1, 2) == 2


def test_a_solid_keeps_the_material_of_every_triangle():
    solid = Solid()
    solid.add(box((1, 1, 1)), 7)
    solid.add(icosphere(0), 3)
    body = solid.body()
    assert body.material_of.tolist() == [7] * len(box((1, 1, 1)).faces) + [3] * 20
    assert body.faces.max() == len(body.vertices) - 1
