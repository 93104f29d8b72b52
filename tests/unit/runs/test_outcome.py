"""The best checkpoint: kept, named by the newest, and found whatever happened in between."""

import os
from pathlib import Path

import pytest
import torch

from aigc_core.errors import RunError
from aigc_core.runs import Run, choose_checkpoint, open_weights, save_checkpoint
from aigc_core.runs.manifest import checkpoint_steps
from aigc_core.runs.outcome import read_outcome
from aigc_core.runs.record import Resumption
from aigc_core.state import Best, Ending, Outcome, State


def save(folder: Path, step: int, best: int | None, keep: int = 2, ending=None) -> Path:
    mark = Best(metric="validation/loss", value=1 / best, step=best) if best else None
    state = State(
        weights={"w": torch.full((2,), float(step))},
        tensors={"t": torch.zeros(1)},
        scalars={"step": step, "validations": Outcome(best=mark, ending=ending).model_dump()},
    )
    return save_checkpoint(folder, state, keep=keep, spare=[best] if best else [])


def test_the_best_is_kept_beside_the_newest_until_there_is_a_better(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4):
        save(tmp_path, step, best=1)
    assert checkpoint_steps(tmp_path) == [1, 3, 4]
    save(tmp_path, 5, best=5)
    assert checkpoint_steps(tmp_path) == [4, 5]


def test_names_stand_for_checkpoints(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save(tmp_path, step, best=1)
    assert choose_checkpoint(tmp_path, "best") == 1
    assert choose_checkpoint(tmp_path, "2") == choose_checkpoint(tmp_path, 2) == 2
    assert choose_checkpoint(tmp_path, "step-000002") == 2
    assert choose_checkpoint(tmp_path, "newest") is choose_checkpoint(tmp_path, None) is None
    found = open_weights(tmp_path, pytest.fail, 1)
    step, weights = found.step, found.weights
    assert (step, weights["w"][0].item()) == (1, 1.0)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bset", "Did you mean 'best'?"),
        ("7", r"no checkpoint of step 7 .* There are: 2, 3\."),
        (-1, "it should be a step"),
        ("best", "The best checkpoint, validation/loss 1 at step 1, is not .* any more"),
    ],
)
def test_a_checkpoint_that_is_not_there_is_reported(tmp_path: Path, name, message: str) -> None:
    for step in (2, 3):
        save(tmp_path, step, best=1)
    with pytest.raises(RunError, match=message):
        choose_checkpoint(tmp_path, name)


def test_where_nothing_was_measured_there_is_no_best(tmp_path: Path) -> None:
    save(tmp_path, 2, best=None)
    with pytest.raises(RunError, match=r"is known to be the best: .* There are: 2\."):
        choose_checkpoint(tmp_path, "best")


def test_a_damaged_one_that_was_asked_for_is_not_replaced_by_another(tmp_path: Path) -> None:
    for step in (1, 2):
        save(tmp_path, step, best=1)
    (tmp_path / "step-000001" / "weights.safetensors").write_bytes(b"")
    with pytest.raises(RunError, match=r"step-000001 is damaged .* Choose another one"):
        open_weights(tmp_path, pytest.fail, 1)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"validations": 3}', '{"validations": {"best": {"step": "x"}}}']
)
def test_a_state_that_says_nothing_is_no_error(tmp_path: Path, text: str) -> None:
    (save(tmp_path, 1, best=1) / "state.json").write_text(text)
    assert read_outcome(tmp_path).best is None


def test_a_crash_at_any_moment_leaves_a_best_checkpoint_that_is_there(tmp_path, monkeypatch):
    """The mark is part of the checkpoint, so there is no moment between the two."""
    save(tmp_path, 1, best=1, keep=1)
    save(tmp_path, 2, best=1, keep=1)
    real = {name: getattr(os, name) for name in ("open", "fsync", "rename", "rmdir", "unlink")}

    class Crash(BaseException):
        pass

    left = 0

    def counted(name: str, *args: object, **kwargs: object) -> object:
        nonlocal left
        left -= 1
        if left < 0:
            raise Crash
        return real[name](*args, **kwargs)

    seen = set()
    for crash_at in range(60):
        left = crash_at
        for name in real:
            monkeypatch.setattr(os, name, lambda *a, _n=name, **k: counted(_n, *a, **k))
        try:
            save(tmp_path, 3, best=3, keep=1)
            done = left >= 0
        except Crash:
            done = False
        finally:
            monkeypatch.undo()
        step = choose_checkpoint(tmp_path, "best")
        seen.add(step)
        assert open_weights(tmp_path, pytest.fail, step).weights["w"][0].item() == step
        if done:
            break
    else:
        pytest.fail("never completed")
    assert seen == {1, 3}
    save(tmp_path, 4, best=3, keep=1)
    assert checkpoint_steps(tmp_path) == [3, 4]  # what the crash left was cleared


CONFIG = "recipe: toy/net\nengine:\n  steps: 10\n"


@pytest.mark.parametrize(
    ("reason", "step", "settings", "status"),
    [
        ("steps", 10, "", "complete"),
        ("steps", 5, "", "unfinished"),  # it was extended, and then killed
        ("standard", 5, "  standard: {metric: m, at_most: 1.0}\n", "complete"),
        ("standard", 5, "  standard: {metric: m, at_most: 0.5}\n", "unfinished"),
        ("standard", 5, "  standard: {metric: m, at_most: 1.00000004}\n", "unfinished"),
        ("standard", 5, "", "unfinished"),
        ("patience", 5, "  patience: 3\n", "complete"),
        ("patience", 5, "", "unfinished"),
    ],
)
def test_a_run_has_ended_if_its_configuration_still_says_so(
    tmp_path: Path, reason, step, settings, status
) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG + settings)
    reported = Ending(
        reason=reason, message="t", standard="m <= 1" if reason == "standard" else None
    )
    save(tmp_path / "checkpoints", step, best=None, ending=reported)
    run = Run(tmp_path)
    assert run.status == status
    assert run.ending == (reported if status == "complete" else None)


def test_an_ending_does_not_count_once_the_run_goes_on_until_there_is_another(tmp_path) -> None:
    """The configuration is the same, as where it is to train on for all its steps."""
    (tmp_path / "config.yaml").write_text(CONFIG + "  patience: 3\n")
    reported = Ending(reason="patience", message="t")
    save(tmp_path / "checkpoints", 5, best=None, ending=reported)
    run = Run(tmp_path)
    assert run.status == "complete"
    run.resume_with(Resumption(step=5, config=run.config, drops_ending=True))
    assert (run.status, run.ending) == ("unfinished", None)
    save(tmp_path / "checkpoints", 8, best=None, ending=reported)
    assert (run.status, run.ending) == ("complete", reported)
