"""Promises of plugins that watch trainings."""

from __future__ import annotations

from collections.abc import Iterator

from aigc_core.testing.checks.check import Checks
from aigc_core.testing.checks.watched import Calls, calls_of_a_training, made_up_calls
from aigc_core.testing.recipe_subject import RecipeSubject
from aigc_core.testing.results import CheckFailed, describe
from aigc_core.testing.subjects import PluginSubject

CHECKS = Checks()


@CHECKS.plugin
def observers_run(plugin: PluginSubject) -> None:
    """The plugin's observers take every call without raising.

    Training switches off an observer that raises, with a warning, and it is then of no use. Here
    they get the calls of training a tiny recipe of this plugin, else of another; if there is none,
    made-up calls.
    """
    own = plugin.host.manager.get_plugin(plugin.name)
    implementations = [
        (hook.name, implementation)
        for hook in (plugin.host.manager.get_hookcallers(own) or () if own is not None else ())
        if not hook.name.startswith(("aigc_register_", "aigc_extend_"))
        for implementation in hook.get_hookimpls()
        if implementation.plugin is own
    ]
    if not implementations:
        return
    for name, arguments in _calls(plugin):
        for hook, implementation in implementations:
            if hook != name:
                continue
            wanted = (*implementation.argnames, *implementation.kwargnames)
            try:
                implementation.function(**{a: arguments[a] for a in wanted if a in arguments})
            except Exception as error:
                raise CheckFailed(f"{hook} raised {describe(error)}") from error


def _calls(plugin: PluginSubject) -> Calls:
    folder = plugin.folder / "observed"
    for number, recipe in enumerate(_tiny_recipes(plugin)):
        try:
            return calls_of_a_training(recipe, folder / f"run-{number}")
        except Exception:  # other checks report it
            continue
    return made_up_calls(folder / "made-up")


def _tiny_recipes(plugin: PluginSubject) -> Iterator[RecipeSubject]:
    """Yield one recipe of the plugin and one of the others that have a preset ``tiny``."""
    host = plugin.host
    others = (
        RecipeSubject(PluginSubject(host, host.owner("recipe", name), plugin.folder), spec)
        for name, spec in host.recipes.items()
        if name not in plugin.status.recipes
    )
    for recipes in (iter(plugin.recipes), others):
        tiny = (recipe for recipe in recipes if recipe.preset is not None)
        yield from list(tiny)[:1]
