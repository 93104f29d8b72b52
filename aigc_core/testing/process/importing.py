"""Finds out, in a separate process, whether a plugin's imports and hooks are light and quiet.

The host undoes many side effects of loading a plugin; here nothing is undone.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import EntryPoint
from typing import Any

import pluggy

from aigc_core.plugins import hookspecs
from aigc_core.plugins.installed import ENTRY_POINT_GROUP
from aigc_core.testing.results import describe

COMMANDS = "aigc_extend_cli"
REGISTERING = tuple(name for name in vars(hookspecs) if name.startswith("aigc_register_"))
_TORCHS_OWN = ("TORCH", "PYTORCH_", "TRITON_", "KMP_", "CUDA_MODULE_LOADING")
"""Prefixes of environment variables that torch sets for itself."""
_STATE = {
    "folder": "changes the current folder",
    "SIGINT": "changes what Ctrl-C does",
    "SIGTERM": "changes what SIGTERM does",
    "logging": "switches logging off or on",
}


def do_imports(job: dict[str, Any], say: Callable[[str, dict[str, Any]], None]) -> None:
    """Import what listings import, call the hooks that startup calls, and report what each did.

    Args:
        job: ``references`` as ``"module"`` or ``"module:name"``, and ``entry``, the plugin as its
            entry point names it, or None for no plugin.
        say: called with a reference or hook, and either an ``error``, or whether ``torch`` is now
            imported and how it ``disturbs``, as phrases.
    """
    for reference in job["references"]:
        say(reference, _watched(partial(_import, reference)))
    if job["entry"] is None:
        return
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(EntryPoint("plugin", job["entry"], ENTRY_POINT_GROUP).load())
    except (Exception, SystemExit):  # already reported when it was imported as a reference
        return
    for hook in REGISTERING:
        for implementation in getattr(manager.hook, hook).get_hookimpls():
            say(hook, _watched(implementation.function))
    for implementation in manager.hook.aigc_extend_cli.get_hookimpls():
        say(COMMANDS, _watched(partial(_make_commands, implementation)))


def _import(reference: str) -> None:
    module, _, name = reference.partition(":")
    found = importlib.import_module(module)
    if name:
        getattr(found, name)


def _make_commands(implementation: pluggy.HookImpl) -> None:
    """Call the hook as every start of ``aigc`` does, and build its commands as typer does."""
    import typer
    from typer.main import get_group

    own = typer.Typer()
    implementation.function(*([own] if implementation.argnames else []))
    get_group(own)  # typer reads the functions' signatures only here


def _watched(function: Callable[[], object]) -> dict[str, Any]:
    before = _state(), _environment()
    with _printed() as printed:
        try:
            function()
        except (Exception, SystemExit) as error:
            return {"error": describe(error)}
    now = _state(), _environment()
    disturbs = [phrase for key, phrase in _STATE.items() if before[0][key] != now[0][key]]
    changed = {name for name, _ in before[1] ^ now[1]}
    if changed:
        disturbs.append(f"changes the environment ({', '.join(sorted(changed))})")
    if printed:
        disturbs.append(f"prints on standard output ({printed[0]!r})")
    return {"torch": "torch" in sys.modules, "disturbs": disturbs}


def _state() -> dict[str, object]:
    return {
        "folder": os.getcwd(),
        "SIGINT": signal.getsignal(signal.SIGINT),
        "SIGTERM": signal.getsignal(signal.SIGTERM),
        "logging": logging.root.manager.disable,
    }


def _environment() -> set[tuple[str, str]]:
    return {(k, v) for k, v in os.environ.items() if not k.startswith(_TORCHS_OWN)}


@contextlib.contextmanager
def _printed() -> Iterator[list[str]]:
    """Capture standard output, also of C libraries; the list then holds its first line, if any."""
    found: list[str] = []
    sys.stdout.flush()
    kept = os.dup(1)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 1)
        try:
            yield found
        finally:
            sys.stdout.flush()
            os.dup2(kept, 1)
            os.close(kept)
            file.seek(0)
            found += file.read(200).decode(errors="replace").splitlines()[:1]
