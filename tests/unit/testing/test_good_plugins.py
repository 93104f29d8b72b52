"""Plugins that keep their promises pass, whatever their samples and networks are."""

import dots
import letters
import pytest
from dots_variants import failed, plugin, results_of

from aigc_core.testing import CheckResult, check_plugin, tmp_plugin


@pytest.mark.usefixtures("in_this_process")
def test_tokens_and_a_generator_that_writes_one_after_the_other() -> None:
    results = results_of(letters)
    assert not failed(results)
    assert {result.status for result in results} == {"passed"}


def test_a_whole_plugin_with_processes_of_its_own() -> None:
    reported: list[CheckResult] = []
    with tmp_plugin(dots):
        results = check_plugin("dots", on_result=reported.append)
    assert not failed(results)
    assert reported == results
    assert len(results) == 54
    assert results[0].name == "plugin dots: registers"
    assert results[0].to_dict() == {
        "check": "registers",
        "subject": "plugin dots",
        "status": "passed",
        "message": "",
        "seconds": results[0].seconds,
    }
    assert len({result.name for result in results}) == 54


@pytest.mark.usefixtures("in_this_process")
def test_a_plugin_without_specs_is_checked_for_what_every_plugin_promises() -> None:
    results = results_of(plugin(run_started=lambda run: None))
    assert [result.status for result in results] == ["passed"] * 6
