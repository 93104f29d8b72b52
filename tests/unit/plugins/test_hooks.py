"""Hooks are checked strictly, and a faulty observer never stops a training."""

import pluggy
import pytest

from aigc_core import hookimpl
from aigc_core.errors import PluginError, Terminated
from aigc_core.plugins import HostOptions, hookspecs, use_options
from aigc_core.plugins.hooks import HookCaller, check_hooks


@pytest.fixture
def manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    return manager


class Watcher:
    def __init__(self) -> None:
        self.seen: list[int] = []

    @hookimpl
    def aigc_metrics_logged(self, step: int) -> None:
        self.seen.append(step)


class Faulty:
    calls = 0

    @hookimpl
    def aigc_metrics_logged(self, metrics: dict[str, float]) -> None:
        self.calls += 1
        raise KeyError("loss/generator")

    @hookimpl
    def aigc_run_finished(self) -> None:
        self.calls += 1


def log(caller: HookCaller, step: int) -> None:
    caller.call("aigc_metrics_logged", run=None, step=step, metrics={})


def test_an_observer_gets_only_the_arguments_it_asks_for(manager: pluggy.PluginManager) -> None:
    watcher = Watcher()
    manager.register(watcher)
    log(HookCaller(manager), 3)
    assert watcher.seen == [3]


def test_an_argument_with_a_default_is_given_too(manager: pluggy.PluginManager) -> None:
    """pluggy passes the default in silence (pluggy #522, kedro #4098)."""
    seen = []

    class Defaulted:
        @hookimpl
        def aigc_metrics_logged(self, metrics: dict[str, float], step: int = 0) -> None:
            seen.append(step)

    manager.register(Defaulted())
    log(HookCaller(manager), 3)
    assert seen == [3]


def test_the_others_are_called_after_one_that_raises(manager: pluggy.PluginManager) -> None:
    before, after = Watcher(), Watcher()
    manager.register(before)
    manager.register(Faulty(), name="faulty")
    manager.register(after)
    log(HookCaller(manager), 1)
    assert before.seen == after.seen == [1]


def test_one_that_raises_is_named_once_and_switched_off_for_every_hook(
    manager: pluggy.PluginManager, log_of_aigc: pytest.LogCaptureFixture
) -> None:
    faulty = Faulty()
    manager.register(faulty, name="faulty")
    caller = HookCaller(manager)
    log(caller, 1)
    log(caller, 2)
    caller.call("aigc_run_finished", run=None, step=2, status="complete")
    assert faulty.calls == 1
    assert log_of_aigc.messages == [
        "The plugin 'faulty' failed in aigc_metrics_logged and is switched off for this run: "
        "KeyError: 'loss/generator'"
    ]


def test_one_that_ends_the_program_or_cannot_say_why_it_failed_is_switched_off_too(
    manager: pluggy.PluginManager, log_of_aigc: pytest.LogCaptureFixture
) -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    class Leaving:
        @hookimpl
        def aigc_metrics_logged(self, step: int) -> None:
            raise SystemExit(3) if step == 1 else MuteError

    manager.register(Leaving())
    log(HookCaller(manager), 1)
    log(HookCaller(manager), 2)
    whys = [message.partition("for this run: ")[2] for message in log_of_aigc.messages]
    assert whys == ["SystemExit: 3", "MuteError"]


def test_strict_ends_the_training_at_the_first_that_raises(manager: pluggy.PluginManager) -> None:
    watcher = Watcher()
    manager.register(Faulty(), name="faulty")
    manager.register(watcher)
    with use_options(HostOptions(strict=True)):
        caller = HookCaller(manager)
    with pytest.raises(PluginError) as caught:
        log(caller, 1)
    assert str(caught.value) == (
        "The plugin 'faulty' failed in aigc_metrics_logged, and --strict makes that an error: "
        "KeyError: 'loss/generator'"
    )
    caller.call("aigc_run_finished", run=None, step=1, status="failed")  # it is not called again
    assert watcher.seen == []


def test_sigterm_passes_through(manager: pluggy.PluginManager) -> None:
    class Ended:
        @hookimpl
        def aigc_metrics_logged(self) -> None:
            raise Terminated(143)

    manager.register(Ended())
    with pytest.raises(Terminated):
        log(HookCaller(manager), 1)


def test_an_observer_without_a_name_is_called_by_its_class(
    manager: pluggy.PluginManager, log_of_aigc: pytest.LogCaptureFixture
) -> None:
    manager.register(Faulty())
    log(HookCaller(manager), 1)
    assert "The plugin 'Faulty' failed" in log_of_aigc.messages[0]


def test_the_next_run_calls_it_again(
    manager: pluggy.PluginManager, log_of_aigc: pytest.LogCaptureFixture
) -> None:
    faulty = Faulty()
    manager.register(faulty)
    log(HookCaller(manager), 1)
    log(HookCaller(manager), 1)
    assert faulty.calls == 2


def test_ctrl_c_passes_through(manager: pluggy.PluginManager) -> None:
    class Interrupted:
        @hookimpl
        def aigc_metrics_logged(self) -> None:
            raise KeyboardInterrupt

    manager.register(Interrupted())
    with pytest.raises(KeyboardInterrupt):
        log(HookCaller(manager), 1)


def test_observers_are_called_as_registered_but_for_tryfirst_and_trylast(
    manager: pluggy.PluginManager,
) -> None:
    order = []

    def observer(name: str, **options: bool) -> object:
        class Observer:
            @hookimpl(**options)
            def aigc_metrics_logged(self) -> None:
                order.append(name)

        return Observer()

    for name, options in [("last", {"trylast": True}), ("a", {}), ("b", {})]:
        manager.register(observer(name, **options))
    manager.register(observer("first", tryfirst=True))
    log(HookCaller(manager), 1)
    assert order == ["first", "a", "b", "last"]


def test_good_hooks_pass_the_check(manager: pluggy.PluginManager) -> None:
    check_hooks(manager, Watcher())
    check_hooks(manager, Faulty())


def refused(manager: pluggy.PluginManager, plugin: object) -> str:
    with pytest.raises(PluginError) as caught:
        check_hooks(manager, plugin)
    return str(caught.value)


def test_an_unknown_hook_gets_the_nearest_one(manager: pluggy.PluginManager) -> None:
    class Misspelt:
        @hookimpl
        def aigc_run_start(self) -> None: ...

    assert refused(manager, Misspelt()) == (
        "There is no hook 'aigc_run_start'. Did you mean 'aigc_run_started'?"
    )


def test_a_hook_of_a_newer_core_may_be_declared_optional(manager: pluggy.PluginManager) -> None:
    class Newer:
        @hookimpl(optionalhook=True)
        def aigc_of_the_future(self) -> None: ...

    check_hooks(manager, Newer())


def test_a_hook_under_another_name_is_checked_as_what_it_is(manager: pluggy.PluginManager) -> None:
    class Renamed:
        @hookimpl(specname="aigc_run_started")
        def begin(self, stp: int) -> None: ...

    assert "'aigc_run_started' has no argument 'stp'" in refused(manager, Renamed())


def test_a_hook_without_its_mark_is_reported(manager: pluggy.PluginManager) -> None:
    class Unmarked:
        def aigc_run_started(self) -> None: ...

    assert "put @aigc_core.hookimpl above it" in refused(manager, Unmarked())


def test_a_misspelt_argument_gets_the_nearest_one(manager: pluggy.PluginManager) -> None:
    class Misspelt:
        @hookimpl
        def aigc_metrics_logged(self, stepp: int = 0) -> None: ...

    assert refused(manager, Misspelt()) == (
        "The hook 'aigc_metrics_logged' has no argument 'stepp'. Did you mean 'step'?"
    )


def test_a_keyword_only_argument_is_refused(manager: pluggy.PluginManager) -> None:
    class Keyword:
        @hookimpl
        def aigc_metrics_logged(self, *, step: int) -> None: ...

    assert "must be a plain one" in refused(manager, Keyword())


def test_a_wrapper_is_refused(manager: pluggy.PluginManager) -> None:
    class Wrapper:
        @hookimpl(wrapper=True)
        def aigc_metrics_logged(self):
            return (yield)

    assert "is a wrapper" in refused(manager, Wrapper())


def test_every_hook_says_what_it_is_for() -> None:
    hooks = [value for name, value in vars(hookspecs).items() if name.startswith("aigc_")]
    assert len(hooks) >= 9
    assert all(len(hook.__doc__ or "") > 40 for hook in hooks)
