"""What happens to a run from outside: signals, full memory, start methods, damage, another length."""

import json
import multiprocessing
import os
import shutil
import signal
import stat
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from pointlift.errors import CheckpointError, InterruptedRunError, MemoryExhaustedError, RecipeError, TrainingError
from pointlift.memory import ran_out
from pointlift.train import TrainOptions, checkpoint, fit, log, sending
from pointlift.train.loader import _begin

from .test_loop import OPTIONS, same
from .toy import Toy, scenes, weights


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("workers", [0, 1])
def test_asked_to_stop_it_saves_and_goes_on_to_the_same_bits(name: str, workers: int, tmp_path: Path) -> None:
    whole, stopped, resumed = Toy(), Toy(), Toy()
    options = OPTIONS.model_copy(update={"checkpoint_every": 100, "workers": workers})
    fit(whole, scenes(), options, seed=3, cpu=True)

    def ask(step: int, *_: object) -> None:
        if step == 5:
            os.kill(os.getpid(), getattr(signal, name))

    before = signal.getsignal(getattr(signal, name))
    with pytest.raises(InterruptedRunError, match=f"{name}: saved at step 5 of 12; the same command goes on"):
        fit(stopped, scenes(), options, tmp_path, seed=3, callbacks=[ask], cpu=True)
    assert signal.getsignal(getattr(signal, name)) is before
    fit(resumed, scenes(), options, tmp_path, seed=3, cpu=True)
    assert same(weights(whole), weights(resumed))


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_workers_of_any_start_method_change_nothing(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Toy(), Toy()
    fit(first, scenes(), OPTIONS, cpu=True)
    context = multiprocessing.get_context(method)
    monkeypatch.setattr(
        "pointlift.train.loader.DataLoader", lambda *a, **k: DataLoader(*a, **k, multiprocessing_context=context)
    )
    fit(second, scenes(), OPTIONS.model_copy(update={"workers": 1, "steps": 12}), cpu=True)
    assert same(weights(first), weights(second))


def test_workers_are_not_sent_weights() -> None:
    method = Toy()
    method.trained.append(torch.nn.Linear(1000, 1000))
    assert len(sending.dumps(method)) < 100_000


def test_what_cannot_be_sent_is_a_sentence() -> None:
    method = Toy()
    method.draw = lambda: 0
    with pytest.raises(TrainingError, match="set training.workers=0"):
        sending.dumps(method)


def test_batches_come_without_shared_memory_too(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Toy(), Toy()
    fit(first, scenes(), OPTIONS, cpu=True)

    class Full:
        @staticmethod
        def dumps(value: object) -> bytes:
            raise RuntimeError(
                "unable to allocate shared memory(shm) for file </torch_1>: No space left on device (28)"
            )

    monkeypatch.setattr(sending, "ForkingPickler", Full)  # not the queue's own
    fit(second, scenes(), OPTIONS.model_copy(update={"workers": 1}), cpu=True)
    assert same(weights(first), weights(second))


def test_every_kind_of_tensor_survives() -> None:
    values = [torch.randn(3, 4).t(), torch.arange(3), torch.tensor([1.5, -2]).bfloat16(), torch.tensor(True)]
    again = sending.Parcel(sending.dumps(values)).opened()
    assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(values, again, strict=True))


def test_workers_do_not_hear_what_the_training_process_hears() -> None:
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    threads = torch.get_num_threads()
    try:
        _begin(0)
        assert all(signal.getsignal(one) is signal.SIG_IGN for one in before)
    finally:
        torch.set_num_threads(threads)
        for one, handler in before.items():
            signal.signal(one, handler)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried"),
        OSError(12, "Cannot allocate memory"),
    ],
)
def test_memory_that_runs_out_is_a_sentence(error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise error

    assert ran_out(error)
    monkeypatch.setattr(Toy, "forward", fails)
    where = "the GPU's memory" if "CUDA" in str(error) else "the memory of this machine"
    with pytest.raises(MemoryExhaustedError, match=f"{where} ran out while training.*training.batch_size"):
        fit(Toy(), scenes(), OPTIONS, tmp_path, cpu=True)


def test_other_errors_stay_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Toy, "forward", lambda *_: torch.zeros(2) @ torch.zeros(3))
    with pytest.raises(RuntimeError, match="size"):
        fit(Toy(), scenes(), OPTIONS, cpu=True)


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    fit(Toy(), scenes(), OPTIONS, tmp_path, cpu=True)
    return tmp_path / "checkpoints" / "step-00000012"


@pytest.mark.parametrize("name", [checkpoint.WEIGHTS, checkpoint.OPTIMIZER, checkpoint.STATE])
def test_a_flipped_bit_is_found_and_the_checkpoint_before_offered(name: str, trained: Path) -> None:
    data = bytearray((trained / name).read_bytes())
    place = data.index(b'"step": 12') + 9 if name == checkpoint.STATE else len(data) - 9
    data[place] ^= 1
    (trained / name).write_bytes(data)
    folder = trained.parents[1]
    sentence = f"{name} is damaged.*delete .*step-00000012 to go on from the one before, step-00000008"
    with pytest.raises(CheckpointError, match=sentence):
        fit(Toy(), scenes(), OPTIONS, folder, cpu=True)
    shutil.rmtree(trained)
    fit(Toy(), scenes(), OPTIONS, folder, cpu=True)


def old(trained: Path, **changes: object) -> None:
    """The checkpoint as earlier versions wrote it."""
    state = json.loads((trained / checkpoint.STATE).read_text())
    del state["sha256"]
    (trained / checkpoint.STATE).write_text(json.dumps({**state, **changes}))


def test_checkpoints_without_checksums_are_read_and_must_fit_together(trained: Path) -> None:
    folder = trained.parents[1]
    old(trained)
    fit(Toy(), scenes(), OPTIONS, folder, cpu=True)
    checkpoint.save_file({}, trained / checkpoint.OPTIMIZER)
    with pytest.raises(CheckpointError, match="optimizer.safetensors is damaged \\(it is empty"):
        fit(Toy(), scenes(), OPTIONS, folder, cpu=True)
    checkpoint.save_file({"0.exp_avg": torch.zeros(7)}, trained / checkpoint.OPTIMIZER)
    with pytest.raises(CheckpointError, match="entry 0 fits no parameter"):
        fit(Toy(), scenes(), OPTIONS, folder, cpu=True)


@pytest.mark.parametrize(
    "changes", [{"step": 8}, {"step": "12"}, {"optimizer": None}, {"student": [1]}, {"feature_names": 3}]
)
def test_a_state_of_another_shape_or_step_is_refused(changes: dict, trained: Path) -> None:
    old(trained, **changes)
    with pytest.raises(CheckpointError, match=r"state.json is damaged"):
        checkpoint.read_state(trained)


def test_weights_are_for_the_same_readers_as_the_state(trained: Path) -> None:
    modes = {stat.S_IMODE(path.stat().st_mode) for path in trained.iterdir()}
    assert modes == {stat.S_IMODE((trained / checkpoint.STATE).stat().st_mode)}


def test_half_deleted_checkpoints_are_cleared_away(trained: Path) -> None:
    half = trained.with_name("step-00000004")
    half.mkdir()
    (half / checkpoint.WEIGHTS).write_bytes(b"")
    checkpoint.save(trained.parent, 13, {"a": torch.zeros(1)})
    assert not half.exists()


@pytest.mark.parametrize("line", [b"{damaged", b"[1, 2]", b'{"loss": 1.0}', b"\xff\xfe", b'{"step": 3, "loss": "a"}'])
def test_a_damaged_line_of_the_log_is_left_out(line: bytes, trained: Path) -> None:
    folder = trained.parents[1]
    lines = (folder / "metrics.jsonl").read_bytes().splitlines()
    lines[2] = line
    (folder / "metrics.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    assert [one["step"] for one in log.read(folder)] == [1, 2, *range(4, 13)]
    fit(Toy(), scenes(), OPTIONS, folder, cpu=True)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_run_folder_that_is_deleted_meanwhile_is_a_sentence(tmp_path: Path) -> None:
    def delete(step: int, *_: object) -> None:
        shutil.rmtree(tmp_path / "run", ignore_errors=True)

    with pytest.raises(CheckpointError, match="no longer there|cannot be written"):
        fit(Toy(), scenes(), OPTIONS, tmp_path / "run", callbacks=[delete], cpu=True)


def test_a_warm_up_longer_than_the_run_is_refused() -> None:
    for options in ({"steps": 4, "warmup_steps": 5}, {"epochs": 1, "warmup_steps": 9}):
        with pytest.raises(RecipeError, match="but the whole run has"):
            fit(Toy(), scenes(), TrainOptions(**options), cpu=True)
