from __future__ import annotations

from functools import cache
from itertools import combinations

import numpy as np
import pytest

from pointlift.errors import DataError
from pointlift.worlds.rooms import world
from pointlift.worlds.rooms.classes import BOX_NAMES, CLASSES, IGNORED, LABELS, NAMES
from pointlift.worlds.rooms.layouts import furnished
from pointlift.worlds.rooms.path import MOMENTS
from pointlift.worlds.rooms.plan import Placed, Plan, Space

CASES = [(seed, kind) for kind in world.KINDS for seed in (1, 2)]
EXPECTED = {
    "living": {"sofa"},
    "bedroom": {"bed", "cabinet"},
    "office": {"desk", "chair"},
    "kitchen": {"counter", "cabinet", "sink", "refrigerator"},
    "bathroom": {"bathtub", "toilet", "sink"},
}
# what is built or pushed together: a sink in its counter, the counter on its cupboards, chairs under tables
TOGETHER = [{"counter", "cabinet"}, {"sink", "counter"}, {"sink", "cabinet"}, {"chair", "table"}, {"chair", "desk"}]


@cache
def plan(seed: int, kind: str) -> Plan:
    return furnished(seed, kind)


@cache
def room(seed: int, kind: str) -> world.Room:
    return world.build(seed, kind=kind)


def name_of(placed: Placed) -> str:
    return "clutter" if placed.item.label == IGNORED else NAMES[placed.item.label]


def shrunk(space: Space, by: float) -> Space:
    return space._replace(
        half_x=max(space.half_x - by, 1e-3),
        half_y=max(space.half_y - by, 1e-3),
        low=space.low + by,
        high=space.high - by,
    )


def test_classes_are_those_of_scannet_in_its_order():
    assert len(CLASSES) == 20
    assert NAMES[:5] == ("wall", "floor", "cabinet", "bed", "chair")
    assert NAMES[-1] == "otherfurniture"
    assert len(BOX_NAMES) == 18
    assert len({color for _, color in CLASSES}) == 20


@pytest.mark.parametrize("seed, kind", CASES)
def test_a_room_keeps_its_contract(seed, kind):
    made = room(seed, kind)
    count, things, rows = len(made.faces), len(made.origins), len(made.materials.words)
    assert made.faces.shape == (count, 3)
    assert 1_000 < count < 40_000
    assert np.isfinite(made.vertices).all()
    for name, limit, least in (("labels", 20, -1), ("instances", things, 0), ("material_of", rows, 0)):
        values = getattr(made, name)
        assert (values.shape, values.dtype) == ((count,), np.int64)
        assert least <= values.min() <= values.max() < limit
    assert set(made.labels[made.instances == 0]) == {IGNORED, LABELS["wall"], LABELS["floor"]}
    assert made.glow.shape == (rows,)
    assert 1 <= len(made.lamps) <= 2
    np.testing.assert_array_equal(np.unique(made.faces), np.arange(len(made.vertices)))


@pytest.mark.parametrize("kind", world.KINDS)
def test_rooms_hold_what_they_are_for(kind):
    found = [{name_of(placed) for placed in plan(seed, kind).placed} for seed in range(1, 7)]
    for made in (plan(seed, kind) for seed in range(1, 7)):
        for placed in made.placed:
            assert made.inside(placed.space), name_of(placed)
            assert -1e-6 < placed.space.low < placed.space.high < made.high + 1e-6, name_of(placed)
    for names in found:
        assert "door" in names
    for name in EXPECTED[kind]:
        assert np.mean([name in names for names in found]) >= 0.8, name


@pytest.mark.parametrize("seed, kind", CASES)
def test_hardly_anything_stands_in_anything_else(seed, kind):
    things = [one for one in plan(seed, kind).placed if one.item.high[2] > 0.02]  # rugs lie under furniture
    for one, other in combinations(things, 2):
        if {name_of(one), name_of(other)} not in TOGETHER:
            assert not shrunk(one.space, 0.01).meets(shrunk(other.space, 0.01)), (name_of(one), name_of(other))


@pytest.mark.parametrize("seed, kind", CASES)
def test_chairs_are_pushed_under_tables_but_not_through_them(seed, kind):
    made = plan(seed, kind)
    chairs = [one for one in made.placed if name_of(one) == "chair"]
    for table in (one for one in made.placed if name_of(one) in ("table", "desk")):
        middle = shrunk(table.space, 0.25)
        for chair in chairs:
            assert not middle.meets(chair.space)


@pytest.mark.parametrize("seed, kind", CASES)
def test_doors_are_free(seed, kind):
    made = plan(seed, kind)
    door = next(one for one in made.placed if name_of(one) == "door")
    x, y = door.at(0.45, 0.0)
    before = Space(x, y, 0.35, 0.4, door.yaw, 0.05, 2.0)
    blocking = [name_of(one) for one in made.placed if one is not door and one.space.meets(before)]
    assert blocking == []


@pytest.mark.parametrize("seed, kind", CASES)
def test_all_is_inside_the_room_and_boxes_are_tight(seed, kind):
    made = room(seed, kind)
    assert (made.vertices >= -1e-6).all()
    assert (made.vertices <= made.size + 1e-6).all()
    assert made.boxes.shape == (len(made.box_labels), 7)
    assert (np.abs(made.boxes[:, 6]) <= np.pi).all()
    for box, label, thing in zip(made.boxes, made.box_labels, made.box_instances, strict=True):
        mine = made.instances == thing
        assert {NAMES[name] for name in made.labels[mine]} == {BOX_NAMES[label]}
        away = made.vertices[np.unique(made.faces[mine])] - box[:3]
        cos, sin = np.cos(box[6]), np.sin(box[6])
        local = np.stack([cos * away[:, 0] + sin * away[:, 1], cos * away[:, 1] - sin * away[:, 0], away[:, 2]], axis=1)
        np.testing.assert_allclose(local.max(axis=0), box[3:6] / 2, atol=1e-9)
        np.testing.assert_allclose(local.min(axis=0), -box[3:6] / 2, atol=1e-9)


@pytest.mark.parametrize("seed, kind", CASES)
def test_the_camera_stands_free_at_eye_height_and_looks_about(seed, kind):
    made = room(seed, kind)
    assert made.poses.shape == (MOMENTS, 4, 4)
    for pose in made.poses:
        np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-12)
        assert np.linalg.det(pose[:3, :3]) > 0
        assert 1.2 < pose[2, 3] < 1.7
        assert pose[2, 1] < -0.5  # down is down
        eye = Space(pose[0, 3], pose[1, 3], 1e-3, 1e-3, 0.0, pose[2, 3] - 0.01, pose[2, 3] + 0.01)
        assert not any(eye.meets(placed.space) for placed in plan(seed, kind).placed)
    spread = np.ptp(made.poses[:, :2, 3], axis=0)
    assert spread.max() > 0.3 * made.size[:2].min()


def test_the_same_seed_gives_the_same_room_and_others_differ():
    first, again = world.build(3, kind="office"), world.build(3, kind="office")
    for name in ("vertices", "faces", "labels", "material_of", "boxes", "poses", "glow"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert len({len(room(*case).vertices) for case in CASES}) == len(CASES)


def test_looks_vary_within_a_class_and_overlap_between_classes():
    heights: dict[str, list[float]] = {}
    for seed in range(1, 7):
        for kind in world.KINDS:
            for placed in plan(seed, kind).placed:
                heights.setdefault(name_of(placed), []).append(float(placed.item.high[2]))
    assert set(NAMES[2:]) <= set(heights)
    for name in ("cabinet", "bookshelf", "table", "chair", "sofa", "bed"):
        assert np.ptp(heights[name]) > 0.05, name
    for one, other in (("cabinet", "bookshelf"), ("cabinet", "refrigerator"), ("desk", "table")):
        assert max(min(heights[one]), min(heights[other])) < min(max(heights[one]), max(heights[other]))


def test_an_unknown_kind_and_a_negative_seed_are_errors():
    with pytest.raises(DataError, match="living, bedroom, office, kitchen, bathroom, not 'attic'"):
        world.build(0, kind="attic")
    with pytest.raises(DataError, match="seed must be at least 0, not -1"):
        world.build(-1, kind="office")


# ---- spaces


def test_spaces_meet_as_points_in_them_say():
    rng = np.random.default_rng(0)
    points = rng.uniform(-2, 2, (20_000, 2))

    def holds(space: Space) -> np.ndarray:
        cos, sin = np.cos(space.yaw), np.sin(space.yaw)
        x, y = (points - (space.x, space.y)).T
        return (np.abs(cos * x + sin * y) < space.half_x) & (np.abs(cos * y - sin * x) < space.half_y)

    met = 0
    for _ in range(150):
        one, other = (
            Space(*rng.uniform(-1, 1, 2), *rng.uniform(0.2, 0.7, 2), rng.uniform(-3, 3), 0.0, 1.0) for _ in range(2)
        )
        common = int((holds(one) & holds(other)).sum())
        if common > 5:
            assert one.meets(other)
            assert not one._replace(low=2.0, high=3.0).meets(other)
        met += one.meets(other)
        if not one.meets(other):
            assert common == 0
    assert 30 < met < 130
