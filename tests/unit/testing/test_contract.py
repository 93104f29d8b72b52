"""The same checks as pytest items, and on the command line."""

import dataclasses
import json
from pathlib import Path

import dots
import pytest
import typer
from dots_variants import dots_with
from typer.testing import CliRunner

from aigc_core import testing
from aigc_core.cli.plugins_check import check
from aigc_core.errors import PluginError
from aigc_core.testing import CheckResult, tmp_plugin

CONTRACT = """
from aigc_core.testing import PluginContract

class TestDots(PluginContract):
    plugin = "{plugin}"
"""


class Reports:
    """Collects what pytest reports, by the part of an item's name in brackets."""

    def __init__(self) -> None:
        self.outcomes: dict[str, str] = {}
        self.texts: dict[str, str] = {}
        self.errors: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            name = report.nodeid.partition("[")[2].removesuffix("]")
            expected = hasattr(report, "wasxfail")
            self.outcomes[name] = f"x{report.outcome}" if expected else report.outcome
            self.texts[name] = str(report.longrepr)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.errors.append(str(report.longrepr))


def run_contract(
    folder: Path, module: object, name: str, *options: str, plugin: str = ""
) -> Reports:
    file = folder / f"test_contract_of_{name}.py"
    file.write_text(CONTRACT.format(plugin=plugin or name), encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    reports = Reports()
    with tmp_plugin(module, name):
        pytest.main(
            [str(file), "-q", "-p", "no:cacheprovider", f"--rootdir={folder}", *options],
            plugins=[reports],
        )
    return reports


pytestmark = pytest.mark.usefixtures("in_this_process")


def test_an_item_for_each_check(tmp_path: Path) -> None:
    reports = run_contract(tmp_path, dots, "dots")
    assert set(reports.outcomes.values()) == {"passed"}
    assert len(reports.outcomes) == 54
    assert "recipe dots/gan: batch-of-one" in reports.outcomes


def test_failures_are_shown_without_a_traceback(tmp_path: Path) -> None:
    module = dots_with(gan={"build": "broken_dots.discriminators:squeezed"})
    reports = run_contract(tmp_path, module, "squeezed")
    failed = [name for name, outcome in reports.outcomes.items() if outcome == "failed"]
    assert failed == ["recipe dots/gan: batch-of-one"]
    assert reports.texts[failed[0]].startswith(
        "The discriminator 'discriminator' gave the shape ()"
    )


def test_known_failures_are_strict_xfails(tmp_path: Path) -> None:
    known = {"batch-of-one": "squeezes", "resume": "not any more"}
    fields = {"build": "broken_dots.discriminators:squeezed", "known_failures": known}
    reports = run_contract(tmp_path, dots_with(gan=fields), "known")
    assert reports.outcomes.pop("recipe dots/gan: batch-of-one") == "xskipped"
    assert reports.outcomes.pop("recipe dots/gan: resume") == "failed"
    assert "[XPASS(strict)] not any more" in reports.texts["recipe dots/gan: resume"]
    assert set(reports.outcomes.values()) == {"passed"}


def test_a_few_checks_can_be_chosen(tmp_path: Path) -> None:
    reports = run_contract(tmp_path, dots, "chosen", "-k", "model-form or light-import")
    assert list(reports.outcomes) == [
        "plugin chosen: light-import",
        "modality dots on ring: model-form",
    ]
    assert set(reports.outcomes.values()) == {"passed"}


def test_a_plugin_that_is_not_there_is_reported_at_collection(tmp_path: Path) -> None:
    reports = run_contract(tmp_path, dots, "missing", plugin="mising")
    assert "There is no plugin 'mising' to check. Did you mean 'missing'?" in reports.errors[0]


def app() -> typer.Typer:
    found = typer.Typer()
    found.command()(check)
    return found


def test_the_command_prints_a_line_for_each_check() -> None:
    with tmp_plugin(dots):
        done = CliRunner().invoke(app(), ["dots"])
    lines = done.stdout.splitlines()
    assert done.exit_code == 0
    assert lines[0].startswith("passed         plugin dots: registers (0.")
    assert lines[-1] == "54 checks: 54 passed, 0 failed, 0 known failures"


def test_the_command_fails_with_what_is_wrong() -> None:
    known = {"bf16-finite": "divides"}
    fields = {"build": "broken_dots.discriminators:breaks_in_bf16", "known_failures": known}
    ring = {"code": "broken_dots.datasets:SmallLabels"}
    with tmp_plugin(dots_with(ring=ring, gan=fields), "broken"):
        done = CliRunner().invoke(app(), ["broken"])
    assert done.exit_code == 1
    assert "failed         dataset ring: loads" in done.stdout
    assert "    The split 'train': its labels are torch.int32" in done.stdout
    assert "known failure  recipe dots/gan: bf16-finite" in done.stdout
    assert done.stdout.splitlines()[-1] == "36 checks: 34 passed, 1 failed, 1 known failures"


def test_the_command_prints_json_and_nothing_else() -> None:
    def chatty(step: int) -> None:
        print("step", step)

    with tmp_plugin(dots_with(metrics_logged=chatty), "chatty"):
        done = CliRunner().invoke(app(), ["chatty", "--json"])
    results = [CheckResult(**result) for result in json.loads(done.stdout)]
    assert len(results) == 36
    assert {result.status for result in results} == {"passed"}
    assert "step 1" in done.stderr


def test_the_command_offers_the_nearest_name() -> None:
    with tmp_plugin(dots), pytest.raises(PluginError, match="Did you mean 'dots'") as raised:
        check("dosts")
    assert raised.value.exit_code == 2


def test_a_plugin_may_be_called_by_its_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []
    monkeypatch.setattr(testing, "check_plugin", lambda name, **_: checked.append(name) or [])
    with tmp_plugin(dots) as host:
        status = host.status("dots")
        status.distribution = "Aigc_Dots"
        for name in ("dots", "aigc-dots", "aigc.dots", "dot"):
            check(name)
        host.statuses.append(dataclasses.replace(status, name="more"))
        with pytest.raises(PluginError, match="'aigc-dots' brings several plugins: dots, more"):
            check("aigc-dots")
    assert checked == ["dots", "dots", "dots", "dot"]
