import errno
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from pointlift.errors import CheckpointError
from pointlift.train import checkpoint


def trained(name: str = "adamw") -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    kinds = {"adamw": torch.optim.AdamW, "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)}
    optimizer = kinds[name](module.parameters())
    for _ in range(3):
        module(torch.randn(8, 3)).square().sum().backward()
        optimizer.step()
    return module, optimizer


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_round_trip_is_exact(name: str, tmp_path: Path) -> None:
    module, optimizer = trained(name)
    path = checkpoint.save(tmp_path, 3, module.state_dict(), optimizer, {"extra": [1, 2]})
    fresh, other = trained(name)
    for parameter in fresh.parameters():
        parameter.data.zero_()
    checkpoint.load_strictly(fresh, checkpoint.read_weights(path), path)
    state = checkpoint.read_state(path)
    checkpoint.load_optimizer(path, other, state["optimizer"])
    assert state["extra"] == [1, 2]
    assert state["step"] == 3
    for key, value in module.state_dict().items():
        assert torch.equal(value, fresh.state_dict()[key])
    for index, entries in optimizer.state_dict()["state"].items():
        for key, value in entries.items():
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(other.state_dict()["state"][index][key]))


def test_keeps_the_newest_and_clears_what_a_killed_process_left(tmp_path: Path) -> None:
    (tmp_path / ".partial-00000009-1").mkdir()
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, step, {"a": torch.zeros(2)}, keep=2)
    assert [path.name for path in checkpoint.complete(tmp_path)] == ["step-00000002", "step-00000003"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000002", "step-00000003"]


def test_a_folder_without_its_state_is_not_a_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "step-00000005").mkdir()
    assert checkpoint.latest(tmp_path) is None


def test_no_pickle_and_no_unknown_files(tmp_path: Path) -> None:
    module, optimizer = trained()
    path = checkpoint.save(tmp_path, 1, module.state_dict(), optimizer)
    assert {file.suffix for file in path.iterdir()} == {".safetensors", ".json"}


def test_full_disk_keeps_the_old_checkpoint_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.save(tmp_path, 1, {"a": torch.ones(2)})

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(CheckpointError, match="disk is full"):
        checkpoint.save(tmp_path, 2, {"a": torch.zeros(2)})
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
    assert torch.equal(checkpoint.read_weights(tmp_path / "step-00000001")["a"], torch.ones(2))


def test_weights_that_do_not_fit_are_named() -> None:
    module = nn.Linear(3, 4)
    with pytest.raises(CheckpointError, match=r"lacks bias; has unknown other; has other shapes: weight is \(5,\)"):
        checkpoint.load_strictly(module, {"weight": torch.zeros(5), "other": torch.zeros(1)}, "there")


def test_damaged_files_are_named(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, 1, {"a": torch.ones(2)})
    (path / checkpoint.WEIGHTS).write_bytes(b"nonsense")
    with pytest.raises(CheckpointError, match="weights.safetensors is damaged"):
        checkpoint.read_weights(path)
    (path / checkpoint.STATE).write_text("{")
    with pytest.raises(CheckpointError, match="is damaged .*the file is not JSON that can be read"):
        checkpoint.read_state(path)


def test_other_format_version_is_refused(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, 1, {"a": torch.ones(2)})
    state = json.loads((path / checkpoint.STATE).read_text())
    (path / checkpoint.STATE).write_text(json.dumps({**state, "format": 99}))
    with pytest.raises(CheckpointError, match="format 99"):
        checkpoint.read_state(path)
