"""Odd paths, moved folders, two trainings in one process, memory that runs out, signals."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from conftest import QUICK

import aigc_core
from aigc_core.engine import Engine


def train(out: Path | str, observers=(), **overrides: object) -> aigc_core.Run:
    return aigc_core.train(
        "image/dcgan",
        dataset="digits",
        overrides=QUICK | overrides,
        out=out,
        observers=observers,
    )


def test_a_path_with_spaces_and_brackets_is_printed_as_it_is(aigc, quick) -> None:
    done = aigc("train", "image/dcgan", *quick, "--out", "my runs/[v1] [/b] test")
    assert done.code == 0, done.err
    assert "Run: my runs/[v1] [/b] test" in done.err
    assert "aigc generate 'my runs/[v1] [/b] test'" in done.err
    assert "[v1] [/b] test" in aigc("runs", "my runs").out


def test_an_existing_empty_folder_is_filled_where_it_stands(aigc, quick) -> None:
    Path("real").mkdir()
    Path("link").symlink_to("real")
    assert aigc("train", "image/dcgan", *quick, "--out", "link").code == 0
    assert Path("link").is_symlink()
    assert Path("real/config.yaml").exists()


def test_a_run_is_found_after_a_change_of_folder_and_after_being_moved(
    aigc, quick_run, tmp_path, monkeypatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert aigc("resume", "../run", "--steps", 8).code == 0
    quick_run.path.rename(tmp_path / "moved")
    assert aigc("generate", "../moved", "--count", 1).code == 0


def test_a_relative_data_folder_is_kept_by_its_absolute_path(
    aigc, quick, tmp_path, monkeypatch
) -> None:
    from PIL import Image

    Path("pictures").mkdir()
    for number in range(3):
        Image.new("L", (40, 40), 80 * number).save(f"pictures/{number}.png")
    options = ["image-folder" if o == "digits" else o for o in quick]
    done = aigc("train", "image/dcgan", *options, "--data-root", "pictures", "--out", "run")
    assert done.code == 0, done.err
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert aigc("resume", tmp_path / "run", "--steps", 8).code == 0


def test_an_observer_watches_its_own_run_only(tmp_path) -> None:
    """Also when it trains another run itself, in the same process."""
    seen: list[str] = []
    inner: list[aigc_core.Run] = []

    class Outer:
        @aigc_core.hookimpl
        def aigc_run_started(self, run: aigc_core.Run) -> None:
            seen.append(run.path.name)
            inner.append(train(tmp_path / "inner"))

    outer = train(tmp_path / "outer", observers=[Outer()])
    assert seen == ["outer"]
    for run in (outer, *inner):
        assert [line["step"] for line in run.metrics.read()] == [2, 4, 6]
    assert len(inner) == 1


def test_an_observer_with_a_misspelt_hook_is_refused_before_anything_is_written(tmp_path) -> None:
    class Misspelt:
        @aigc_core.hookimpl
        def aigc_metrics_loged(self) -> None: ...

    with pytest.raises(aigc_core.PluginError, match="Did you mean 'aigc_metrics_logged'"):
        train(tmp_path / "run", observers=[Misspelt()])
    assert not (tmp_path / "run").exists()


def test_memory_that_runs_out_is_a_sentence_with_a_way_out(aigc, quick, monkeypatch) -> None:
    def out_of_memory(self: Engine) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")

    monkeypatch.setattr(Engine, "_train_step", out_of_memory)
    done = aigc("train", "image/dcgan", *quick, "--out", "run")
    assert done.code == 1
    assert "Out of memory at step 0, with batches of 16. Set a smaller engine.batch_size" in (
        " ".join(done.err.split())
    )


def test_a_preview_that_fails_does_not_end_the_training(aigc, quick, monkeypatch) -> None:
    from aigc_image.modality import ImageModality

    def broken(*_: object) -> None:
        raise ValueError("no such colour")

    monkeypatch.setattr(ImageModality, "preview", broken)
    done = aigc("train", "image/dcgan", *quick, "--out", "run", "--json")
    assert json.loads(done.out)["status"] == "complete"
    assert "No preview of step 6: ValueError: no such colour" in done.err


class SendsSignal:
    def __init__(self, number: int) -> None:
        self.number = number

    @aigc_core.hookimpl
    def aigc_metrics_logged(self, step: int) -> None:
        if step == 4:
            os.kill(os.getpid(), self.number)


def test_a_script_that_trains_gets_its_ctrl_c_after_the_checkpoint(tmp_path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", observers=[SendsSignal(signal.SIGINT)])
    run = aigc_core.open_run(tmp_path / "run")
    assert (run.step, run.status) == (4, "unfinished")
    assert aigc_core.resume(run).status == "complete"


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no SIGHUP")
def test_a_dropped_connection_leaves_a_checkpoint(tmp_path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
    try:
        with pytest.raises(aigc_core.Interrupted, match="a checkpoint was written") as stop:
            train(tmp_path / "run", observers=[SendsSignal(signal.SIGHUP)])
    finally:
        signal.signal(signal.SIGHUP, before)
    assert (stop.value.signal_number, stop.value.exit_code) == (signal.SIGHUP, 129)
    assert stop.value.run.step == 4
    assert aigc_core.open_run(tmp_path / "run").step == 4


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no SIGHUP")
def test_an_ignored_signal_stays_ignored(tmp_path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        run = train(tmp_path / "run", observers=[SendsSignal(signal.SIGHUP)])
    finally:
        signal.signal(signal.SIGHUP, before)
    assert run.status == "complete"


def test_a_run_without_its_environment_file_can_be_resumed(aigc, quick_run) -> None:
    (quick_run.path / "environment.json").unlink()
    done = aigc("resume", quick_run.path, "--steps", 8)
    assert done.code == 0
    assert "is not known" in " ".join(done.err.split())


def test_one_damaged_run_does_not_hide_the_others(aigc, quick_run, tmp_path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.yaml").write_text("recipe: [")
    rows = {Path(r["run"]).name: r for r in json.loads(aigc("runs", ".", "--json").out)}
    assert rows["run"]["status"] == "complete"
    assert rows["other"]["status"] == "damaged"
    assert "config.yaml, line 1" in aigc("runs", ".").out.replace("\n", " ")


@pytest.mark.skipif(os.name == "nt", reason="a folder in use cannot be moved there")
@pytest.mark.parametrize("how", ["moved", "removed", "replaced"])
def test_a_folder_that_goes_while_it_is_trained_is_one_sentence(
    aigc, quick, monkeypatch, how
) -> None:
    from aigc_core import observers
    from aigc_core.observers.jsonl import JsonlMetrics

    class Mover(JsonlMetrics):
        @aigc_core.hookimpl
        def aigc_metrics_logged(self, run, step, metrics) -> None:
            super().aigc_metrics_logged(run=run, step=step, metrics=metrics)
            if step == 4:
                run.path.rename("elsewhere")
                if how == "removed":
                    shutil.rmtree("elsewhere")
                if how == "replaced":
                    run.path.mkdir()

    real = observers.default_observers()
    monkeypatch.setattr("aigc_core.api.training.default_observers", lambda: [Mover(), *real[1:]])
    done = aigc("train", "image/dcgan", *quick, "--out", "run", "-q")
    assert done.code == 1
    assert "was moved, removed or replaced while it was trained" in done.err
    assert "Traceback" not in done.err
    assert Path("run").exists() == (how == "replaced")
    assert how != "replaced" or not list(Path("run").iterdir())
    if how == "moved":
        assert aigc("resume", "elsewhere").code == 0
