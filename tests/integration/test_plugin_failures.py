"""An exception of a plugin's code is one sentence that says whose it was and where."""

from pathlib import Path

import pytest

from aigc_core.errors import PluginFailure


def generator_class():
    from aigc_image import dcgan

    return next(
        value
        for value in vars(dcgan).values()
        if isinstance(value, type)
        and value.__module__ == dcgan.__name__
        and "Generator" in value.__name__
    )


def test_a_loss_that_raises_is_one_sentence_and_the_traceback_is_in_the_log(
    aigc, quick, monkeypatch
) -> None:
    from aigc_image import dcgan

    names: dict = {}
    text = "def forward(*a, **k):\n    raise ZeroDivisionError('no such thing')"
    exec(compile(text, dcgan.__file__, "exec"), names)
    monkeypatch.setattr(generator_class(), "forward", names["forward"])
    done = aigc("train", "image/dcgan", *quick, "--out", "run")
    assert done.code == 1
    assert "Traceback" not in done.err
    line = next(x for x in done.err.splitlines() if x.startswith("Error: "))
    assert "The plugin 'image' failed in forward (aigc_image/dcgan.py:2)" in line
    assert line.endswith("while training image/dcgan: ZeroDivisionError: no such thing")
    log = Path("run/log.txt").read_text()
    assert "Traceback (most recent call last)" in log
    assert "ZeroDivisionError: no such thing" in log
    done = aigc("--traceback", "generate", "run")
    assert done.code == 2  # there is no checkpoint


def test_a_sample_that_raises_is_one_sentence(aigc, quick_run, monkeypatch) -> None:
    from aigc_image import dcgan

    names: dict = {}
    text = "def forward(*a, **k):\n    raise KeyError('colour')"
    exec(compile(text, dcgan.__file__, "exec"), names)
    monkeypatch.setattr(generator_class(), "forward", names["forward"])
    done = aigc("generate", quick_run.path, "--out", "out")
    assert done.code == 1
    assert "The plugin 'image' failed in forward (aigc_image/dcgan.py:2)" in done.err
    assert "With --traceback" in done.err
    assert not Path("out").exists()
    shown = aigc("generate", quick_run.path, "--traceback").err
    assert "Traceback (most recent call last)" in shown


def test_from_python_the_exception_is_the_cause(quick_run, monkeypatch, tmp_path) -> None:
    from conftest import QUICK

    from aigc_core import train

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("mine")

    monkeypatch.setattr(generator_class(), "forward", broken)
    with pytest.raises(PluginFailure) as caught:
        train("image/dcgan", dataset="digits", overrides=QUICK, out=tmp_path / "other")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("number", ["SIGUSR1"])
def test_a_scheduler_can_ask_for_a_checkpoint_and_the_training_goes_on(number, tmp_path) -> None:
    import os
    import signal

    from conftest import QUICK

    from aigc_core import hookimpl, train

    class Ask:
        @hookimpl
        def aigc_metrics_logged(self, step: int) -> None:
            if step == 2:
                os.kill(os.getpid(), getattr(signal, number))

    settings = QUICK | {"engine.checkpoint.every": 100, "engine.checkpoint.keep": 10}
    run = train(
        "image/dcgan", dataset="digits", overrides=settings, out=tmp_path / "r", observers=[Ask()]
    )
    steps = sorted(path.name for path in run.checkpoints.iterdir())
    assert steps == ["step-000002", "step-000006"]
    assert signal.getsignal(getattr(signal, number)) is signal.SIG_DFL


@pytest.mark.parametrize("name", ["SIGXCPU", "SIGQUIT"])
def test_limits_of_time_write_a_checkpoint_first(name, tmp_path) -> None:
    import os
    import signal

    from aigc_core.engine.signals import StopRequest

    number = getattr(signal, name)
    with StopRequest() as stop:
        os.kill(os.getpid(), number)
        assert stop.received == number
    assert signal.getsignal(number) is signal.SIG_DFL


def test_metrics_that_cannot_be_written_are_kept_and_tried_again(
    tmp_path, monkeypatch, caplog
) -> None:
    from conftest import QUICK

    from aigc_core import train
    from aigc_core.errors import StorageError
    from aigc_core.runs.metrics import MetricsFile

    real, calls = MetricsFile.append, []

    def sometimes(self, step, metrics):
        calls.append(step)
        if len(calls) < 3:
            raise StorageError("disk full")
        real(self, step, metrics)

    monkeypatch.setattr(MetricsFile, "append", sometimes)
    run = train("image/dcgan", dataset="digits", overrides=QUICK, out=tmp_path / "r")
    assert [m["step"] for m in run.metrics.read()] == [2, 4, 6]
    assert sum("disk full" in record.getMessage() for record in caplog.records) == 1
