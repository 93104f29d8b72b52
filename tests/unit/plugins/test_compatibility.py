"""A plugin for another core is reported from its metadata, with both versions and what to do."""

import pytest

from aigc_core.plugins import API_VERSION, InstalledPlugin
from aigc_core.plugins.compatibility import incompatibility


@pytest.fixture(autouse=True)
def _core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aigc_core.plugins.compatibility.__version__", "1.4.0")
    monkeypatch.setattr("aigc_core.plugins.compatibility.API_VERSION", 3)


def check(*requirements: str, api: str | None = "3") -> tuple[str, str] | None:
    return incompatibility(
        InstalledPlugin(
            *("song", "aigc_song", "aigc-song", "2.1"), requirements=requirements, api_version=api
        )
    )


@pytest.mark.parametrize(
    "requirement",
    [
        "aigc-core",
        "aigc-core>=1.4",
        "aigc-core (>=1,<2)",
        "Aigc_Core~=1.4",
        "aigc-core[fast]>=1",
        "aigc-core @ file:///home/me/aigc",
        "aigc-core>=9; extra == 'new'",
        "aigc-core>=9; python_version < '3'",
        "aigc-core>=9; os_name ~= 'posix'",  # a comparison that has no meaning
        "aigc-core-extras>=9",
        "numpy>=99",
        "aigc-core=>9",  # no requirement at all
        "",
    ],
)
def test_a_requirement_that_holds_or_is_not_for_here_is_none(requirement: str) -> None:
    assert check(requirement) is None


@pytest.mark.parametrize(
    ("requirement", "shown"),
    [
        ("aigc-core>=2", "aigc-core>=2"),
        ("aigc-core<1.4", "aigc-core<1.4"),
        ("AIGC_core (!=1.4.0)", "aigc-core!=1.4.0"),
        ("aigc-core[fast]==1.3.*", "aigc-core==1.3.*"),
        ("aigc-core>=2; python_version > '3'", "aigc-core>=2"),
    ],
)
def test_a_requirement_that_does_not_hold_is_reported(requirement: str, shown: str) -> None:
    assert check("numpy", requirement) == (
        f"aigc-song 2.1 needs {shown}, and aigc-core 1.4.0 is installed.",
        "pip install --upgrade aigc-core aigc-song",
    )


def test_a_pre_release_of_the_core_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who works on the core has one, and PEP 440 leaves those out unless they are asked for."""
    monkeypatch.setattr("aigc_core.plugins.compatibility.__version__", "1.5.0.dev3")
    assert check("aigc-core>=1.4") is None
    assert check("aigc-core>=1.5") is not None


def test_without_an_api_version_it_is_taken_for_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "for version 1 of the plugin API" in (check(api=None) or ("", ""))[0]
    monkeypatch.setattr("aigc_core.plugins.compatibility.API_VERSION", 1)
    assert check(api=None) is None


def test_the_plugin_api_has_a_version() -> None:
    assert API_VERSION >= 1


@pytest.mark.parametrize(
    ("api", "fix"),
    [
        ("2", "pip install --upgrade aigc-song"),
        ("0", "pip install --upgrade aigc-song"),
        ("4", "pip install --upgrade aigc-core"),
        ("007", "pip install --upgrade aigc-core"),
    ],
)
def test_another_api_version_is_reported_and_the_older_side_is_to_be_upgraded(
    api: str, fix: str
) -> None:
    advice = "" if int(api) > 3 else " What its author should change: docs/migrating.md"
    assert check(api=api) == (
        f"aigc-song 2.1 is written for version {int(api)} of the plugin API, and aigc-core 1.4.0 "
        f"has version 3.{advice}",
        fix,
    )


@pytest.mark.parametrize("api", ["v3", "3.0", "-3", "٣", "9" * 5000])
def test_an_api_version_that_is_no_number_is_reported(api: str) -> None:
    found = check(api=api)
    assert found is not None
    assert "its entry points [aigc.api], which is not a whole number" in found[0]
    assert len(found[0]) < 200


def test_without_metadata_the_plugin_is_called_by_its_own_name() -> None:
    found = incompatibility(InstalledPlugin("song", "aigc_song", api_version="9"))
    assert found is not None
    assert found[0].startswith("song ")
    assert "None" not in found[0]


@pytest.mark.parametrize(
    ("requirement", "api", "fix"),
    [
        ("aigc-core>=2", "3", "pip install --upgrade aigc-core"),
        ("numpy", "1", "remove the folder '/my plugins/x.dist-info'"),
        ("numpy", "v3", "remove the folder '/my plugins/x.dist-info'"),
    ],
)
def test_pip_is_never_given_the_plugin_s_own_name(requirement: str, api: str, fix: str) -> None:
    """Somebody else's distribution may have it."""
    plugin = InstalledPlugin(
        *("requests", "x"),
        metadata_path="/my plugins/x.dist-info",
        requirements=(requirement,),
        api_version=api,
    )
    assert (incompatibility(plugin) or ("", ""))[1] == fix
