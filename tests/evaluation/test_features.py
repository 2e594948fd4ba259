import numpy as np
import torch
from torch import nn

from pointlift.data.batch import Batch
from pointlift.data.scene import Scene
from pointlift.evaluation.features import (
    local_geometry,
    random_network,
    raw_features,
    settle_normalization,
    student_output,
    student_source,
)
from tests.evaluation.world import Oracle, World, fresh_student, trial
from tests.methods.frames import Frames, student

CPU = torch.device("cpu")


def test_student_features_are_those_of_its_evaluation_mode() -> None:
    student, scene = fresh_student(0).train(), World(1)[0]
    found = student_source(student, CPU, "out", "decoder")(scene)
    assert np.array_equal(found["out"].numpy(), student.features(scene))
    assert torch.equal(found["out"], student_output(student, scene, CPU))
    assert found["decoder"].shape == (len(scene), 8)
    assert student.body[1].num_batches_tracked == 0


def test_the_output_is_the_head_of_the_decoder_s_features_in_one_pass() -> None:
    student, scene, passes = Oracle().eval(), World(1)[0], []
    student.body.register_forward_hook(lambda *_: passes.append(1))
    found = student_source(student, CPU, "out", "decoder")(scene)
    assert len(passes) == 1
    assert np.array_equal(found["out"].numpy(), student.features(scene))
    assert torch.equal(found["decoder"], student.decoder_features(Batch.from_scenes([scene])))


def test_a_student_of_many_patches_has_no_output_layer_of_its_own() -> None:
    many, scene = student(groups=512, points=None), Frames(points=600)[0]
    found = student_source(many, CPU, "out", "decoder")(scene)
    assert found["decoder"].shape == (600, 96)
    assert torch.equal(found["out"], found["decoder"])
    few = Frames(points=520)[0]
    assert torch.equal(student_source(many, CPU, "out", "decoder")(few)["out"], student_output(many, few, CPU))


def test_settled_statistics_are_the_average_over_scans() -> None:
    student, world = fresh_student(0).eval(), World(3)
    assert settle_normalization(student, world, CPU) == 3
    means, variances = [], []
    for scene in world:
        batch = Batch.from_scenes([scene])
        inputs = student.body[0](torch.cat([batch.points, batch.features], dim=1)).detach().double()
        means.append(inputs.mean(0))
        variances.append(inputs.var(0))
    norm = student.body[1]
    assert torch.allclose(norm.running_mean.double(), torch.stack(means).mean(0), atol=1e-5)
    assert torch.allclose(norm.running_var.double(), torch.stack(variances).mean(0), rtol=1e-4)
    assert not norm.training
    assert norm.momentum == nn.BatchNorm1d(8).momentum


def test_random_network_is_the_seed_s_and_says_so(tmp_path) -> None:
    student, words = random_network(trial(tmp_path, seed=9), [0, 2])
    assert torch.equal(student.head.weight, fresh_student(9).head.weight)
    assert "seed 9" in words
    assert "2 training scans" in words


def test_a_random_network_that_draws_in_training_is_the_seed_s(tmp_path) -> None:
    def fresh(seed: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            return student(points=64, drop_path=0.5, first_centre="random")

    given = trial(tmp_path, train=Frames(), fresh_student=fresh)
    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        states.append(random_network(given, [0, 5])[0].state_dict())
        assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_raw_features_by_hand() -> None:
    scene = Scene(np.array([[3.0, 4.0, 12.0]], np.float32), np.array([[0.5, 0.25]], np.float32))
    expected = [12, 3, 4, 5, np.log(6), 13, np.arctan2(12, 5), 0.5, 0.25]
    assert np.allclose(raw_features(scene), [expected], atol=1e-6)
    scene.up_axis = "y"
    assert np.allclose(raw_features(scene)[0, :4], [4, 3, 12, np.hypot(3, 12)])


def literal_geometry(scene: Scene) -> np.ndarray:
    points, own = scene.points.astype(np.float64), scene.features.astype(np.float64)
    rows = []
    for point in points:
        column = [other for other in points if (np.floor(other[:2] / 4) == np.floor(point[:2] / 4)).all()]
        heights = [other[2] for other in column]
        row = [point[2] - min(heights), max(heights) - min(heights)]
        for size in (0.5, 1.0, 2.0):
            members = [i for i in range(len(points)) if (np.floor(points[i] / size) == np.floor(point / size)).all()]
            cell = points[members]
            covariance = np.cov(cell.T, bias=True) if len(cell) > 1 else np.zeros((3, 3))
            values, vectors = np.linalg.eigh(covariance)
            small, middle, large = np.clip(values, 0, None) / max(values[2], 1e-12)
            verticality = 1 - abs(vectors[2, 0]) if len(cell) > 2 else 0.0
            row += [large - middle, middle - small, small, verticality, np.log(len(cell)), np.sqrt(covariance[2, 2])]
            row += [point[2] - cell[:, 2].mean(), *own[members].mean(axis=0)]
        rows.append(row)
    return np.array(rows)


def test_local_geometry_against_a_literal_loop() -> None:
    rng = np.random.default_rng(0)
    points = (rng.normal(size=(150, 3)) * [2, 2, 0.6]).astype(np.float32)
    scene = Scene(points, rng.random((150, 2)).astype(np.float32))
    found = local_geometry(scene).numpy()
    assert np.array_equal(found[:, :9], raw_features(scene).numpy())
    expected = literal_geometry(scene)
    assert found[:, 9:].shape == expected.shape
    # With few points the covariance has equal eigenvalues, so its normal is arbitrary: compare it where it is defined.
    assert np.isfinite(found).all()
    sizes = np.exp(found[:, [15 + 9 * k for k in range(3)]])
    for k in range(3):
        first = 2 + 9 * k
        shape = expected[:, first : first + 9]
        mine = found[:, 9 + first : 18 + first]
        defined = sizes[:, k] > 3.5
        assert np.allclose(mine[:, [0, 1, 2, 4, 5, 6, 7, 8]], shape[:, [0, 1, 2, 4, 5, 6, 7, 8]], atol=1e-4)
        assert np.allclose(mine[defined, 3], shape[defined, 3], atol=1e-3)
    assert np.allclose(found[:, 9:11], expected[:, :2], atol=1e-5)
