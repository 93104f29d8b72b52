"""The last check: that none was lost. A suite that checks nothing passes everything."""

from __future__ import annotations

from aigc_core.testing.check import Checks, fail_unless
from aigc_core.testing.implied import implied_checks
from aigc_core.testing.results import CheckFailed
from aigc_core.testing.subjects import PluginSubject

CHECKS = Checks()


@CHECKS.plugin
def complete(plugin: PluginSubject) -> str:
    """Every check that the plugin's declarations imply was planned and, until here, done."""
    try:
        implied = set(implied_checks(plugin.host, plugin.name))
    except KeyError as error:
        raise CheckFailed(
            f"The table of what declarations imply knows no capability {error}."
        ) from error
    own = (plugin.label, "complete")
    lists = {
        "planned": plugin.planned,
        "done": None if plugin.done is None else {*plugin.done, own},
    }
    for how, pairs in lists.items():
        if pairs is None:
            continue
        missing = sorted(f"{subject}: {name}" for subject, name in implied - pairs)
        fail_unless(
            not missing,
            f"{len(missing)} of the {len(implied)} checks that the plugin's specs imply were not "
            f"{how}: {', '.join(missing[:5])}{', …' if len(missing) > 5 else ''}.",
        )
        extra = sorted(f"{subject}: {name}" for subject, name in pairs - implied)
        fail_unless(
            not extra,
            f"These checks were {how}, and nothing in the plugin's specs implies them: "
            f"{', '.join(extra[:5])}{', …' if len(extra) > 5 else ''}.",
        )
    return f"All {len(implied)} checks that the plugin's specs imply were planned."
