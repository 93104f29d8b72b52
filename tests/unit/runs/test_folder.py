"""Making, finding, opening and locking runs."""

import multiprocessing
import os
from pathlib import Path

import pytest

from aigc_core import SampleSpec
from aigc_core.errors import ConfigError, RunError, StorageError
from aigc_core.runs import DatasetFacts, Run, create_run, find_runs, new_run_path, open_run

CONFIG = {
    "schema_version": 1,
    "recipe": "toy/gan",
    "dataset": {"name": "discs"},
    "engine": {"steps": 10},
}


FACTS = DatasetFacts(spec=SampleSpec(shape=(1, 8, 8), dtype="uint8"), count=3, digest="ab")


def make(path: Path) -> Run:
    return create_run(path, config=CONFIG, dataset=FACTS, environment={"torch": "2"})


def test_a_run_can_be_opened_by_path_and_by_name_below_the_runs(tmp_path: Path) -> None:
    made = make(tmp_path / "toy-gan" / "first")
    assert open_run(made.path).recipe == "toy/gan"
    assert open_run("first", parent=tmp_path / "toy-gan").path == made.path
    assert open_run(made.path).dataset == FACTS
    assert [run.path for run in find_runs(tmp_path)] == [made.path]


def test_an_empty_folder_may_become_a_run(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    assert make(tmp_path / "run").total_steps == 10


def test_a_run_is_never_overwritten(tmp_path: Path) -> None:
    make(tmp_path / "run")
    with pytest.raises(RunError, match=r"already holds a run\. Go on with it: aigc resume"):
        make(tmp_path / "run")


def test_other_peoples_files_are_never_touched(tmp_path: Path) -> None:
    (tmp_path / "holiday.txt").write_text("mine")
    with pytest.raises(RunError, match="not an empty folder"):
        make(tmp_path)
    assert (tmp_path / "holiday.txt").read_text() == "mine"


def test_a_folder_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="Cannot make the run folder"):
        make(tmp_path / "file" / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_newest_preview_is_found_by_number(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    for step in ("999750", "1000000"):
        (run.samples / f"step-{step}.png").write_text("")
    assert run.latest_preview.name == "step-1000000.png"
    (run.samples / "step-1000000-sound.png").write_text("")
    assert run.latest_preview.name == "step-1000000.png"  # that of the main output


def test_a_damaged_dataset_file_is_reported(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    (run.path / "dataset.json").write_text('{"spec": null}')
    with pytest.raises(RunError, match=r"dataset\.json is damaged, at 'spec'"):
        _ = run.dataset


def test_other_data_is_reported_by_what_differs() -> None:
    def changed(**changes: object) -> DatasetFacts:
        return FACTS.model_copy(update=changes)

    assert FACTS.difference(changed()) is None
    assert FACTS.difference(changed(count=4)) == "the number of samples was 3 and is 4"
    assert (
        FACTS.difference(changed(label_names=("a",)))
        == "the list of class names was [] and is ['a']"
    )
    assert FACTS.difference(changed(digest="cd")) == (
        "the samples themselves are others, or in another order"
    )


def test_a_leftover_of_a_killed_process_is_not_a_run(tmp_path: Path) -> None:
    make(tmp_path / "toy-gan" / ".2026-01-01.abcd")
    assert find_runs(tmp_path) == []


def test_new_paths_do_not_collide(tmp_path: Path) -> None:
    paths = set()
    for _ in range(3):
        path = new_run_path("toy/gan", tmp_path)
        make(path)
        paths.add(path)
    assert len(paths) == 3


def test_a_wrong_name_is_answered_with_the_nearest(tmp_path: Path) -> None:
    make(tmp_path / "toy-gan" / "2026-01-01")
    with pytest.raises(RunError, match=r"Did you mean '.*2026-01-01'"):
        open_run(tmp_path / "toy-gan" / "2026-01-02", parent=tmp_path)


def test_a_folder_that_is_no_run_is_reported(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is not a run folder: it has no config\.yaml"):
        open_run(tmp_path)


def test_a_damaged_config_is_reported_with_its_line(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    (run.path / "config.yaml").write_text("recipe: toy/gan\nengine: [1\n")
    with pytest.raises(ConfigError, match=r"config\.yaml, line 3"):
        open_run(run.path)


def _hold(path: Path, held, release) -> None:
    with Run(path).locked():
        held.set()
        release.wait(20)


def test_a_run_that_another_process_trains_is_locked(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(run.path, held, release))
    process.start()
    try:
        assert held.wait(20)
        assert run.status == "training"
        with pytest.raises(RunError, match="being trained by another process"), run.locked():
            pass
    finally:
        release.set()
        process.join()
    assert run.status == "unfinished"


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be removed there")
def test_two_trainings_in_one_folder_are_impossible_without_the_file_of_the_lock(
    tmp_path: Path,
) -> None:
    run = make(tmp_path / "run")
    with run.locked():
        (run.path / ".lock").unlink()
        with pytest.raises(RunError, match="being trained by another"), Run(run.path).locked():
            pass
    with Run(run.path).locked():
        pass


def test_scratch_files_of_killed_processes_are_removed_and_nothing_else(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    ours = [".config.yaml.0123abcd", ".metrics.jsonl.0123abcd", "samples/.step-000005.4711.tmp"]
    others = [".hidden", ".config.yaml.mine", "samples/.tmp", "notes.txt"]
    for name in (*ours, *others):
        (run.path / name).write_text("x")
    run.remove_leftovers()
    assert not any((run.path / name).exists() for name in ours)
    assert all((run.path / name).exists() for name in others)
