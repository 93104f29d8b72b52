"""Checkpoints are whole or not there, and are trusted only when they verify."""

import errno
import json
import os
from pathlib import Path

import pytest
import torch

from aigc_core.errors import RunError, StorageError
from aigc_core.runs import load_checkpoint, open_weights, save_checkpoint
from aigc_core.runs.manifest import checkpoint_steps
from aigc_core.state import State


def save(folder: Path, step: int, keep: int = 3) -> Path:
    state = State(
        weights={"g.weight": torch.full((2, 3), float(step))},
        tensors={"phase/g/step": torch.tensor(float(step))},
        scalars={"step": step},
    )
    return save_checkpoint(folder, state, keep=keep)


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    save(tmp_path, 7)
    checkpoint = load_checkpoint(tmp_path, warn=pytest.fail)
    assert checkpoint.step == 7
    assert torch.equal(checkpoint.weights["g.weight"], torch.full((2, 3), 7.0))
    assert checkpoint.tensors["phase/g/step"].item() == 7
    assert checkpoint.scalars == {"step": 7}


def test_channels_last_weights_come_back_with_their_values(tmp_path: Path) -> None:
    weight = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)
    save_checkpoint(tmp_path, State({"w": weight}, {}, {"step": 1}), keep=1)
    assert torch.equal(load_checkpoint(tmp_path, pytest.fail).weights["w"], weight)


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4):
        save(tmp_path, step, keep=2)
    assert checkpoint_steps(tmp_path) == [3, 4]


@pytest.mark.parametrize("name", ["weights.safetensors", "state.safetensors", "state.json"])
def test_a_flipped_byte_is_found_set_aside_and_reported(tmp_path: Path, name: str) -> None:
    """safetensors and torch.save load a flipped byte in silence."""
    save(tmp_path, 1)
    flip_a_byte(save(tmp_path, 2) / name)
    reported: list[str] = []
    assert load_checkpoint(tmp_path, reported.append).step == 1
    assert f"{name} does not match its checksum" in reported[0]
    assert (tmp_path / "step-000002.damaged").is_dir()
    assert checkpoint_steps(tmp_path) == [1]


@pytest.mark.parametrize("damage", ["short", "missing", "manifest"])
def test_other_damage_is_found_too(tmp_path: Path, damage: str) -> None:
    save(tmp_path, 1)
    newest = save(tmp_path, 2)
    if damage == "short":
        os.truncate(newest / "weights.safetensors", 10)
    elif damage == "missing":
        (newest / "state.json").unlink()
    else:
        (newest / "manifest.json").write_text("{")
    reported: list[str] = []
    assert load_checkpoint(tmp_path, reported.append).step == 1
    assert len(reported) == 1


def test_a_folder_without_a_manifest_is_not_a_checkpoint(tmp_path: Path) -> None:
    """A process that died while writing leaves one; others took it as the newest."""
    save(tmp_path, 1)
    (save(tmp_path, 2) / "manifest.json").unlink()
    assert load_checkpoint(tmp_path, pytest.fail).step == 1


def test_no_checkpoint_at_all_is_nothing_to_resume_and_an_error_to_generate(tmp_path) -> None:
    (tmp_path / "none").mkdir()
    assert load_checkpoint(tmp_path / "none", pytest.fail) is None
    with pytest.raises(RunError, match="no complete checkpoint"):
        open_weights(tmp_path / "none", pytest.fail)


def test_when_none_verifies_that_is_an_error_and_none_is_moved(tmp_path: Path) -> None:
    for step in (1, 2):
        flip_a_byte(save(tmp_path, step) / "state.json")
    with pytest.raises(RunError, match=r"is whole .*Nothing was changed"):
        load_checkpoint(tmp_path, pytest.fail)
    assert checkpoint_steps(tmp_path) == [1, 2]


def test_a_file_that_cannot_be_read_is_not_damage(tmp_path: Path, monkeypatch) -> None:
    """Others took a permission error for damage, and went back to the start (Lightning #21800)."""
    save(tmp_path, 1)

    def forbidden(path: Path, *_: int) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", forbidden)
    with pytest.raises(RunError, match=r"Cannot read .*Permission denied"):
        load_checkpoint(tmp_path, pytest.fail)
    assert checkpoint_steps(tmp_path) == [1]


def test_reading_weights_moves_nothing(tmp_path: Path) -> None:
    save(tmp_path, 1)
    flip_a_byte(save(tmp_path, 2) / "weights.safetensors")
    reported: list[str] = []
    found = open_weights(tmp_path, reported.append)
    step, weights = found.step, found.weights
    assert (step, weights["g.weight"][0, 0].item()) == (1, 1.0)
    assert (tmp_path / "step-000002").is_dir()
    assert len(reported) == 1


def test_a_full_disk_leaves_the_older_checkpoints_and_no_rubbish(tmp_path, monkeypatch) -> None:
    save(tmp_path, 1)

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left on device; the one of step 1 is whole"):
        save(tmp_path, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["step-000001"]


def test_what_a_killed_process_left_is_cleared(tmp_path: Path) -> None:
    (tmp_path / ".step-000001.dead").mkdir()
    (tmp_path / ".step-000001.dead" / "weights.safetensors").write_bytes(b"half")
    save(tmp_path, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["step-000001"]


def test_the_manifest_is_written_last_and_the_older_are_pruned_after(tmp_path, monkeypatch) -> None:
    """A crash at any system call must leave a whole checkpoint: here, at each one in turn."""
    save(tmp_path, 1, keep=1)
    calls = ("open", "fsync", "rename")
    real = {name: getattr(os, name) for name in calls}

    class Crash(BaseException):
        pass

    left = 0

    def counted(name: str, *args: object, **kwargs: object) -> object:
        nonlocal left
        left -= 1
        if left < 0:
            raise Crash
        return real[name](*args, **kwargs)

    for crash_at in range(40):
        left = crash_at

        for name in calls:
            monkeypatch.setattr(os, name, lambda *a, _n=name, **k: counted(_n, *a, **k))
        try:
            save(tmp_path, 2, keep=1)
            break
        except Crash:
            pass
        finally:
            monkeypatch.undo()
        assert load_checkpoint(tmp_path, pytest.fail).step in (1, 2)
    else:
        pytest.fail("never completed")
    assert crash_at > 5
    assert checkpoint_steps(tmp_path) == [2]


def test_the_manifest_names_every_file(tmp_path: Path) -> None:
    folder = save(tmp_path, 3)
    files = json.loads((folder / "manifest.json").read_text())["files"]
    assert {*files, "manifest.json"} == {path.name for path in folder.iterdir()}
