"""metrics.jsonl survives crashes and resumes."""

import json
from pathlib import Path

from aigc_core.runs.metrics import MetricsFile


def test_lines_come_back_in_order(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "metrics.jsonl")
    file.append(10, {"loss/generator": 1.5})
    file.append(20, {"loss/generator": 1.0})
    assert [line["step"] for line in file.read()] == [10, 20]


def test_numbers_that_json_lacks_become_null(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "metrics.jsonl")
    file.append(1, {"a": float("nan"), "b": float("inf"), "c": 2.0})
    assert json.loads(file.path.read_text()) == {"step": 1, "a": None, "b": None, "c": 2.0}


def test_a_resumed_run_drops_what_was_logged_after_its_checkpoint(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "metrics.jsonl")
    for step in (10, 20, 30):
        file.append(step, {"a": float(step)})
    file.path.write_text(file.path.read_text() + '{"step": 40, "a"')  # cut off by a crash
    file.cut_after(20)
    assert [line["step"] for line in file.read()] == [10, 20]
    file.append(30, {"a": 0.0})
    assert [line["a"] for line in file.read()] == [10.0, 20.0, 0.0]
