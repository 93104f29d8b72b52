"""Files of a run that were edited, damaged or half written while nobody trained it."""

import json
import os
import shutil
from pathlib import Path

import pytest
import yaml
from conftest import QUICK

from aigc_core import RunError, generate, resume, train
from aigc_core.runs import Run, open_run

KEYS = [  # a setting, another value, how it is named
    ("trainer.discriminator.lr", 3e-4),
    ("engine.batch_size", 8),
    ("engine.seed", 7),
    ("engine.ema", 0.5),
    ("engine.log_every", 5),
    ("engine.max_skipped_steps", 3),
    ("trainer.label_smoothing", 0.1),
    ("model.latent_size", 50),
    ("dataset.options.size", 28),
    ("preset", "tiny"),
    ("engine.checkpoint.keep", 1),
]


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    """A run that was stopped at step 4 of 6, with labels."""
    folder = tmp_path_factory.mktemp("original")
    os.environ["AIGC_CACHE_DIR"] = str(folder / "cache")
    out = folder / "run"
    train("image/dcgan", dataset="digits", overrides=QUICK | {"engine.steps": 4}, out=out)
    with open_run(out).locked():  # as if it had been meant to go further
        config = yaml.safe_load((out / "config.yaml").read_text())
        config["engine"]["steps"] = 6
    return out


@pytest.fixture
def run(original, tmp_path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "run"))


def edit_config(run: Path, key: str, value: object) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    node = config
    *parts, last = key.split(".")
    for part in parts:
        node = node[part]
    node[last] = value
    (run / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


@pytest.mark.parametrize(("key", "value"), KEYS)
def test_an_edited_setting_is_shown_and_nothing_is_trained(aigc, run, key, value) -> None:
    edit_config(run, key, value)
    before = (run / "config.yaml").read_bytes(), (run / "metrics.jsonl").read_bytes()
    done = aigc("resume", run, "--steps", "6")
    assert done.code == 2, done.err
    assert f"{key} was " in done.err or f"{key} is new" in done.err
    assert "--allow-changes" in done.err
    assert before == ((run / "config.yaml").read_bytes(), (run / "metrics.jsonl").read_bytes())


def test_an_edit_is_taken_when_it_is_allowed_and_not_asked_for_again(aigc, run) -> None:
    edit_config(run, "trainer.discriminator.lr", 3e-4)
    done = aigc("resume", run, "--steps", "5", "--allow-changes")
    assert done.code == 0, done.err
    assert "discriminator.lr was 0.0002 and is 0.0003" in done.err
    done = aigc("resume", run, "--steps", "6")
    assert done.code == 0, done.err
    assert "was changed" not in done.err
    assert Run(run).config["trainer"]["discriminator"]["lr"] == 3e-4


def test_comments_and_another_order_are_no_change(aigc, run) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    text = "# mine\n" + yaml.safe_dump(config, sort_keys=True)
    (run / "config.yaml").write_text(text)
    assert aigc("resume", run, "--steps", "6").code == 0


@pytest.mark.parametrize("field", ["digests", "count", "label_names", "spec"])
def test_an_edited_fact_of_the_data_is_named_and_not_blamed_on_the_data(aigc, run, field) -> None:
    facts = json.loads((run / "dataset.json").read_text())
    facts[field] = {
        "digests": {**facts["digests"], "samples": "0" * 32},
        "count": facts["count"] + 1,
        "label_names": facts["label_names"][::-1],
        "spec": {**facts["spec"], "units": {"pixel_mm": 2.0}},
    }[field]
    (run / "dataset.json").write_text(json.dumps(facts))
    done = aigc("resume", run, "--steps", "6")
    assert done.code == 2
    assert f"in dataset.json, '{field}' was changed" in done.err
    assert "The data is not" not in done.err


def test_damaged_metrics_are_said_and_what_can_be_read_is_kept(aigc, run) -> None:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    (run / "metrics.jsonl").write_text("\n".join([lines[0][:-9], *lines[1:]]) + "\n")
    done = aigc("resume", run, "--steps", "6")
    assert done.code == 0
    assert "metrics.jsonl is not what it was when the checkpoint was written" in done.err
    assert [record["step"] for record in Run(run).metrics.read()] == [4, 6]


def test_a_resume_that_was_killed_before_it_wrote_its_settings_is_completed(
    aigc, run, monkeypatch
) -> None:
    class Killed(BaseException):
        pass

    def die(self, config):
        raise Killed

    monkeypatch.setattr(Run, "update_config", die)
    with pytest.raises(Killed):
        resume(run, steps=6)
    monkeypatch.undo()
    assert Run(run).total_steps == 4
    done = aigc("resume", run)
    assert done.code == 0, done.err
    assert "engine.steps was 4 and is 6" in done.err
    assert Run(run).step == 6


def test_a_resume_that_was_killed_before_its_first_checkpoint_resumes_as_it_was_reported(
    aigc, run, monkeypatch
) -> None:
    class Killed(BaseException):
        pass

    def die(self):
        raise Killed

    monkeypatch.setattr("aigc_core.engine.Engine.fit", die)
    with pytest.raises(Killed):
        resume(run, steps=6)
    monkeypatch.undo()
    assert aigc("resume", run).code == 0
    assert Run(run).step == 6


def test_an_edit_before_the_first_checkpoint_is_seen_too(aigc, run) -> None:
    shutil.rmtree(run / "checkpoints")
    (run / "checkpoints").mkdir()
    edit_config(run, "engine.seed", 3)
    done = aigc("resume", run)
    assert done.code == 2
    assert "engine.seed was 0 and is 3" in done.err


def test_another_machine_is_said(aigc, run) -> None:
    environment = json.loads((run / "environment.json").read_text())
    environment |= {"torch": "1.0", "cpu": "ABACUS"}
    environment["plugins"] = dict.fromkeys(environment["plugins"], "0.0.1")
    (run / "environment.json").write_text(json.dumps(environment))
    done = aigc("resume", run, "--steps", "6")
    assert done.code == 0
    assert "torch was 1.0 and is" in done.err
    assert "cpu was ABACUS" in done.err
    assert "aigc-image was 0.0.1" in done.err


def test_a_run_of_before_there_were_records_resumes(aigc, run) -> None:
    for state in run.glob("checkpoints/*/state.json"):
        folder, scalars = state.parent, json.loads(state.read_text())
        del scalars["run"]
        state.write_text(json.dumps(scalars, indent=2) + "\n")
        from aigc_core.runs.manifest import describe_files

        files = {f.name: f.read_bytes() for f in folder.iterdir() if f.name != "manifest.json"}
        (folder / "manifest.json").write_text(describe_files(files))
    facts = json.loads((run / "dataset.json").read_text())
    from aigc_core.api import Blueprint
    from aigc_core.config import resolve_config
    from aigc_core.plugins import get_host
    from aigc_core.runs.digest import legacy_digest

    opened = Run(run)
    config = resolve_config(get_host(), opened.recipe, layers=[opened.layer]).config
    store = Blueprint.of(get_host(), config).load()
    facts |= {"digest": legacy_digest(store.arrays["samples"]), "digests": {}}
    (run / "dataset.json").write_text(json.dumps(facts))
    assert aigc("resume", run, "--steps", "6").code == 0


def test_a_damaged_decision_is_a_sentence(run) -> None:
    (run / ".resumed.json").write_text('{"step": "four"}')
    with pytest.raises(RunError, match=r"\.resumed\.json is damaged"):
        resume(run, steps=6)


def test_generate_still_needs_no_data(run) -> None:
    assert generate(run, count=2).shape[0] == 2


def test_a_rate_that_would_jump_up_is_said_and_can_be_kept(aigc, tmp_path) -> None:
    decaying = QUICK | {
        f"trainer.{network}.{key}": value
        for network in ("generator", "discriminator")
        for key, value in (("schedule", "cosine"), ("final_lr", 1e-6))
    }
    for name in ("jumps", "keeps"):
        train("image/dcgan", dataset="digits", overrides=decaying, out=tmp_path / name)
    done = aigc("resume", "jumps", "--steps", "12")
    assert done.code == 0
    assert "The learning rate of 'generator' was 1.43e-05 and jumps to 0.000" in done.err
    assert "--steps 12 --keep-schedule" in done.err
    done = aigc("resume", "keeps", "--steps", "12", "--keep-schedule")
    assert done.code == 0
    assert "jumps" not in done.err
    rates = [m["learning_rate/generator"] for m in Run(tmp_path / "keeps").metrics.read()]
    assert rates[-1] == pytest.approx(1e-6)
    assert rates[-1] < rates[2] < rates[0]
    assert Run(tmp_path / "jumps").metrics.last()["learning_rate/generator"] > 1e-6
    assert aigc("resume", "keeps", "--steps", "14").code == 0  # it stays so
    assert Run(tmp_path / "keeps").metrics.last()["learning_rate/generator"] == pytest.approx(1e-6)
