import json
import math
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pointlift.data.dataset import Scenes
from pointlift.errors import CheckpointError, DataError, RecipeError, TrainingError
from pointlift.train import TrainOptions, checkpoint, fit, log
from pointlift.train.loader import SceneOrder, StepBatches, scene_generator

from .toy import Toy, scenes, weights

OPTIONS = TrainOptions(steps=12, batch_size=2, checkpoint_every=4, log_every=1, learning_rate=0.01, clip_norm=1.0)


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, second[key]) for key, value in first.items())


def run(folder: Path, options: TrainOptions, kill_at: int = -1, **environment: str) -> subprocess.Popen:
    arguments = [str(folder), options.model_dump_json(), str(kill_at)]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.train.toy", *arguments],
        cwd=Path(__file__).parents[2],
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
    )


def test_loss_falls_and_is_logged(tmp_path: Path) -> None:
    options = OPTIONS.model_copy(update={"steps": 60})
    fit(Toy(), scenes(), options, tmp_path, seed=1, cpu=True)
    losses = [line["loss"] for line in log.read(tmp_path)]
    assert len(losses) == 60
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])
    assert any((tmp_path / "tensorboard").iterdir())
    assert {path.name for path in checkpoint.complete(tmp_path / "checkpoints")} == {"step-00000056", "step-00000060"}


def test_the_seed_decides_everything() -> None:
    first, second, third = Toy(), Toy(), Toy()
    for method, seed in ((first, 1), (second, 1), (third, 2)):
        fit(method, scenes(), OPTIONS, seed=seed, cpu=True)
    assert same(weights(first), weights(second))
    assert not same(weights(first), weights(third))


def test_workers_change_nothing() -> None:
    first, second = Toy(), Toy()
    fit(first, scenes(), OPTIONS, cpu=True)
    fit(second, scenes(), OPTIONS.model_copy(update={"workers": 2}), cpu=True)
    assert same(weights(first), weights(second))


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_resume_after_sigkill_is_bit_identical(optimizer: str, tmp_path: Path) -> None:
    options = OPTIONS.model_copy(update={"optimizer": optimizer})
    whole = Toy()
    fit(whole, scenes(), options, tmp_path / "whole", seed=3, cpu=True)
    process = run(tmp_path / "killed", options, kill_at=7)
    assert process.wait() == -9
    assert not (tmp_path / "killed" / "final.pt").exists()
    resumed = Toy()
    for parameter in resumed.trained.parameters():
        torch.nn.init.normal_(parameter)
    fit(resumed, scenes(), options, tmp_path / "killed", seed=3, cpu=True)
    assert same(weights(whole), weights(resumed))
    logs = [
        [{k: v for k, v in line.items() if k != "seconds_per_step"} for line in log.read(tmp_path / name)]
        for name in ("whole", "killed")
    ]
    assert logs[0] == logs[1]


@pytest.mark.parametrize("batch_size", [2, 3])
def test_two_processes_train_as_one(batch_size: int, tmp_path: Path) -> None:
    """With three scenes a step one process has two of them and the other one: the batch is still the global one."""
    options = OPTIONS.model_copy(update={"batch_size": batch_size, "steps": 6, "clip_norm": None, "optimizer": "sgd"})
    single = Toy()
    fit(single, scenes(), options, tmp_path / "one", seed=3, cpu=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "LOCAL_WORLD_SIZE": "2"}
    shared["ACCELERATE_USE_CPU"] = "true"
    processes = [run(tmp_path / "two", options, RANK=str(k), LOCAL_RANK=str(k), **shared) for k in range(2)]
    for process in processes:
        assert process.wait() == 0, process.stderr.read().decode()[-2000:]
    double = torch.load(tmp_path / "two" / "final.pt", weights_only=True)
    for key, value in weights(single).items():
        torch.testing.assert_close(value, double[key], rtol=1e-4, atol=1e-6)
    one, two = ([line["loss"] for line in log.read(tmp_path / name)] for name in ("one", "two"))
    assert one == pytest.approx(two, rel=1e-5)


@pytest.mark.parametrize("broken", ["loss", "gradient"])
@pytest.mark.parametrize("clip_norm", [None, 1.0])
def test_what_is_not_finite_stops_with_the_step_and_the_scenes(
    broken: str, clip_norm: float | None, tmp_path: Path
) -> None:
    options = OPTIONS.model_copy(update={"clip_norm": clip_norm})
    with pytest.raises(TrainingError, match=rf"{broken} is nan at step 7 \(scenes scene-\d, scene-\d\); try a lower"):
        fit(Toy(break_at=7, broken=broken), scenes(), options, tmp_path, cpu=True)
    path = checkpoint.latest(tmp_path / "checkpoints")
    assert path is not None
    assert path.name == "step-00000004"
    assert all(value.isfinite().all() for value in checkpoint.read_weights(path).values())


def test_a_full_disk_stops_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    fit(Toy(), scenes(), OPTIONS.model_copy(update={"steps": 4}), tmp_path, cpu=True)
    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(CheckpointError, match="disk is full"):
        fit(Toy(), scenes(), OPTIONS, tmp_path, cpu=True)
    assert [path.name for path in checkpoint.complete(tmp_path / "checkpoints")] == ["step-00000004"]


def test_half_a_line_of_a_killed_log_is_dropped(tmp_path: Path) -> None:
    fit(Toy(), scenes(), OPTIONS.model_copy(update={"steps": 4}), tmp_path, cpu=True)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 5, "loss": 0.0}) + "\n" + '{"step": 6, "lo')
    fit(Toy(), scenes(), OPTIONS, tmp_path, cpu=True)
    assert [line["step"] for line in log.read(tmp_path)] == list(range(1, 13))


def test_no_scenes_and_too_many_processes_are_named() -> None:
    with pytest.raises(DataError, match="no scenes"):
        fit(Toy(), [], OPTIONS, cpu=True)
    with pytest.raises(DataError, match="batch_size is 1; 2 processes need at least 2"):
        StepBatches(Toy(), Scenes(scenes()), batch_size=1, seed=0, world=2)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_mistake_in_the_data_is_one_sentence_from_workers_too(workers: int) -> None:
    broken = scenes()
    broken[2].points = broken[2].points[:0]
    with pytest.raises(DataError) as caught:
        fit(Toy(), broken, OPTIONS.model_copy(update={"workers": workers}), cpu=True)
    assert str(caught.value) == "scene scene-2 is empty"


def test_half_precision_on_a_cpu_is_refused() -> None:
    with pytest.raises(RecipeError, match="fp16, which needs a GPU"):
        fit(Toy(), scenes(), OPTIONS.model_copy(update={"precision": "fp16"}), cpu=True)


def test_a_run_goes_on_only_with_the_facts_it_began_with(tmp_path: Path) -> None:
    options = OPTIONS.model_copy(update={"steps": 4})
    fit(Toy(), scenes(), options, tmp_path, state={"teacher": "a"}, cpu=True)
    with pytest.raises(CheckpointError, match="another teacher \\('a', and now 'b'\\)"):
        fit(Toy(), scenes(), OPTIONS, tmp_path, state={"teacher": "b"}, cpu=True)


def test_a_scene_met_twice_in_a_batch_is_drawn_twice() -> None:
    first, again = (scene_generator(0, 3, "a", repeat).random(4) for repeat in (0, 1))
    assert not np.allclose(first, again)
    source = StepBatches(Toy(), Scenes(scenes(2)), batch_size=4, seed=0)
    assert len(set(source[0].inputs[:, 0].tolist())) > 20


def test_every_epoch_sees_every_scene_once() -> None:
    order = SceneOrder(Scenes(scenes(6)), seed=4)
    seen = [index for step in range(10) for index in order.of(step, 3)]
    for epoch in range(5):
        assert sorted(seen[epoch * 6 : epoch * 6 + 6]) == list(range(6))
    assert seen[:6] != seen[6:12]
    assert SceneOrder(Scenes(scenes(6)), seed=4).of(7, 3) == seen[21:24]


def test_the_order_is_that_of_a_permutation_for_each_epoch() -> None:
    """As literally as it can be said; runs begun with earlier versions go on with the order that they had."""
    for count, batch_size, seed in ((5, 2, 0), (3, 7, 4), (1, 2, 1), (64, 8, 3)):
        order = SceneOrder(Scenes(range(count)), seed)  # type: ignore[arg-type]
        for step in (0, 1, 2, 17, 5, 400):
            expected = []
            for position in range(step * batch_size, (step + 1) * batch_size):
                permutation = np.random.default_rng([seed, 1, position // count]).permutation(count)
                expected.append(int(permutation[position % count]))
            assert order.of(step, batch_size) == expected


def test_an_epoch_is_drawn_once_and_not_at_every_position(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    whole = SceneOrder._drawn
    monkeypatch.setattr(SceneOrder, "_drawn", lambda self, epoch, *n: drawn.append(epoch) or whole(self, epoch, *n))
    order = SceneOrder(Scenes(range(1000)), seed=0)  # type: ignore[arg-type]
    for step in range(300):
        order.of(step, 10)
    assert drawn == [0, 1, 2]


class Weighted(Scenes):
    """Scene 0 twice an epoch, the others once, in an order of its own."""

    lengths = (0,)

    def epoch(self, rng: np.random.Generator) -> np.ndarray:
        extra = int(rng.choice(self.lengths))
        return rng.permutation([0, *range(len(self))] + [1] * extra)


def test_a_data_set_says_what_an_epoch_is(tmp_path: Path) -> None:
    data = Weighted(scenes(3))
    order = SceneOrder(data, seed=2)
    assert order.length == 4
    seen = [index for step in range(6) for index in order.of(step, 2)]
    for epoch in range(3):
        expected = np.random.default_rng([2, 1, epoch])
        assert seen[4 * epoch : 4 * epoch + 4] == data.epoch(expected).tolist()
    data.lengths = (0, 1)
    with pytest.raises(DataError, match=r"epoch \d+ of the data set must be [45] indices from 0 to 2, not \["):
        [order.of(step, 2) for step in range(40)]
    data.epoch = lambda rng: np.array([3])
    with pytest.raises(DataError, match="epoch 0 of the data set must be 1 indices from 0 to 2, not"):
        SceneOrder(data, seed=2)


@pytest.mark.parametrize(
    ("epochs", "batch_size", "steps"), [(2, 2, 5), (1.1, 1, 6), (0.01, 4, 1), (3, 5, 3), (2, 3, 4)]
)
def test_epochs_are_steps_of_the_data_set_at_hand(epochs: float, batch_size: int, steps: int, tmp_path: Path) -> None:
    options = TrainOptions(epochs=epochs, steps=999, batch_size=batch_size, checkpoint_every=100, log_every=100)
    done = []
    fit(Toy(), scenes(5), options, tmp_path, progress=lambda *now: done.append(now[1:]), cpu=True)
    assert done == [(step, steps) for step in range(1, steps + 1)]
    assert checkpoint.latest(tmp_path / "checkpoints").name == f"step-{steps:08d}"
    assert [line["step"] for line in log.read(tmp_path)] == [steps]
    assert options.epochs == epochs


def test_a_run_of_epochs_is_the_run_of_as_many_steps(tmp_path: Path) -> None:
    """With its schedule and when it is resumed; the length counts what the data set calls an epoch."""
    data = Weighted(scenes(5))
    by_steps, by_epochs, resumed = Toy(), Toy(), Toy()
    steps = OPTIONS.model_copy(update={"warmup_steps": 2})
    epochs = steps.model_copy(update={"steps": 1, "epochs": 4.0})
    fit(by_steps, data, steps, cpu=True)
    fit(by_epochs, data, epochs, tmp_path, cpu=True)
    assert same(weights(by_steps), weights(by_epochs))
    state = checkpoint.read_state(checkpoint.latest(tmp_path / "checkpoints"))
    assert state["step count"] == 12
    for path in checkpoint.complete(tmp_path / "checkpoints")[1:]:
        shutil.rmtree(path)
    fit(resumed, data, epochs, tmp_path, cpu=True)
    assert same(weights(by_steps), weights(resumed))
    with pytest.raises(CheckpointError, match=r"another step count \(12, and now 14\)"):
        fit(Toy(), Weighted(scenes(6)), epochs, tmp_path, cpu=True)


@pytest.mark.parametrize("epochs", [0, -1, float("inf"), float("nan")])
def test_epochs_are_a_positive_number(epochs: float) -> None:
    with pytest.raises(ValueError, match="epochs"):
        TrainOptions(epochs=epochs)


def test_the_finished_run_is_left_alone(tmp_path: Path) -> None:
    fit(Toy(), scenes(), OPTIONS, tmp_path, cpu=True)
    again = Toy()
    fit(again, scenes(), OPTIONS, tmp_path, cpu=True)
    assert same(weights(again), checkpoint.read_weights(checkpoint.latest(tmp_path / "checkpoints")))
    assert math.isfinite(log.read(tmp_path)[-1]["loss"])


def test_runs_of_different_precision_follow_each_other_in_one_process() -> None:
    for precision in ("fp32", "bf16", "fp32"):
        metrics = fit(Toy(), scenes(), OPTIONS.model_copy(update={"precision": precision}), cpu=True)
        assert math.isfinite(metrics["loss"])
