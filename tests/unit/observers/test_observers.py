"""What watches a run: TensorBoard files that can be read back, and lines for people."""

import io
import wave
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from aigc_core.observers.progress import Progress, describe_metrics
from aigc_core.observers.tensorboard import TensorBoard
from aigc_core.runs import Run


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_holds_numbers_and_pictures(tmp_path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run, preview = Run(tmp_path), tmp_path / "samples" / "step-000010.png"
    preview.parent.mkdir()
    Image.fromarray(np.full((20, 30), 200, np.uint8)).save(preview)
    preview.with_suffix(".txt").write_text("To be,\nor not")
    with wave.open(str(preview.with_suffix(".wav")), "wb") as file:
        file.setparams((2, 2, 8000, 0, "NONE", ""))
        file.writeframes(np.full((4000, 2), 1000, "<i2").tobytes())
    observer = TensorBoard()
    config = {"recipe": "x/y", "engine": {"seed": 3, "ema": None, "steps": 20}}
    observer.aigc_run_started(run=run, config=config, start_step=0)
    for step in (10, 20):
        observer.aigc_metrics_logged(run=run, step=step, metrics={"loss/generator": step / 10})
    observer.aigc_samples_drawn(run=run, step=10, preview=preview)
    observer.aigc_run_finished(run=run)

    assert not [path for path in tmp_path.iterdir() if path.is_dir() and path.name != "samples"]
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss/generator")] == [(10, 1.0), (20, 2.0)]
    sound = events.Audio("samples")[0]
    assert (sound.step, sound.sample_rate, sound.length_frames) == (10, 8000, 4000)
    text = events.Tensors("samples/text_summary")[0].tensor_proto.string_val[0].decode()
    assert text == "    To be,\n    or not"
    settings = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    assert b"engine.seed" in settings
    assert b"engine.ema" not in settings
    picture = events.Images("samples")[0]
    assert (picture.step, picture.width, picture.height) == (10, 30, 20)


def console(terminal: bool) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, force_terminal=terminal, width=160), file


def watched(terminal: bool) -> str:
    out, file = console(terminal)
    observer, engine = Progress(out), SimpleNamespace(step=40, total_steps=100)
    metrics = {"loss/generator": 1.5, "loss/generator/adversarial": 1.0, "samples_per_second": 700}
    observer.fit_started(engine)
    for engine.step in (50, 60, 100):
        observer.metrics_logged(engine, metrics)
    observer.fit_ended(engine)
    return file.getvalue()


def test_a_terminal_gets_a_bar_with_rate_losses_and_time_left() -> None:
    text = watched(terminal=True)
    for part in ("100/100", "700 samples/s", "generator 1.500", "left", "━"):
        assert part in text


def test_a_pipe_gets_a_line_now_and_then_and_the_last_step() -> None:
    lines = watched(terminal=False).splitlines()
    assert [line.split()[1] for line in lines] == ["50/100", "100/100"]
    assert "\x1b" not in "".join(lines)


def test_skipped_updates_are_reported_when_there_are_any() -> None:
    assert "skipped" not in describe_metrics({"loss/g": 1, "skipped_updates": 0})
    assert "3 updates skipped" in describe_metrics({"loss/g": 1, "skipped_updates": 3})


def test_a_validation_is_reported_by_its_loss_or_else_by_what_it_measures_first() -> None:
    distances = {"validation/a/distance": 0.5, "validation/b": 0.25}
    assert "validation/a/distance 0.500" in describe_metrics(distances)
    reported = describe_metrics(distances | {"validation/loss": 2.0})
    assert "validation 2.000" in reported
    assert "distance" not in reported
