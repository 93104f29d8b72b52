"""Hosts with chosen plugins only, and separate folders: nothing from the machine leaks in."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from aigc_core.errors import PluginError, did_you_mean
from aigc_core.plugins import (
    HostOptions,
    InstalledPlugin,
    PluginHost,
    PluginStatus,
    find_installed,
    use_host,
)

FOLDER_VARIABLES = {"AIGC_CACHE_DIR": "cache", "AIGC_CONFIG_DIR": "config"}
USER_VARIABLES = ("AIGC_DATA_DIR", "AIGC_REGISTRY")


class IsolatedHost(PluginHost):
    """A host that holds what it was given and does not look for installed plugins."""

    def __init__(self) -> None:
        super().__init__(HostOptions())

    def discover(self, about_to_load: Callable[[str], None] = lambda key: None) -> None:
        """Refuse: a test must not depend on what is installed where it runs."""
        raise PluginError(
            "This host was made for a test and holds only the plugins that it was given, so it "
            "does not discover installed ones. Name those it needs, such as with "
            "tmp_plugin(..., beside=('name',)), or use aigc_core.plugins.get_host()."
        )

    def add(self, plugin: object, name: str) -> PluginStatus:
        """Register a plugin's module, or an object with its hooks, under a name."""
        kind = type(plugin)
        is_module = isinstance(plugin, types.ModuleType)
        module = plugin.__name__ if is_module else f"{kind.__module__}:{kind.__qualname__}"  # type: ignore[attr-defined]
        status = PluginStatus(name, module)
        self.register(plugin, status)
        return status


def isolated_host(*plugins: object) -> PluginHost:
    """Return a host that knows exactly the given plugins.

    Args:
        *plugins: modules or objects with hook implementations. Each gets the name of its module,
            or of its class in lower case.

    Returns:
        The host. As always, a plugin that cannot be registered has its error in
        ``host.statuses``. Its ``discover`` raises ``PluginError``.
    """
    host = IsolatedHost()
    for plugin in plugins:
        host.add(plugin, _name_of(plugin))
    return host


@contextlib.contextmanager
def tmp_plugin(
    plugin: object, name: str | None = None, *, beside: Sequence[str] = ()
) -> Iterator[PluginHost]:
    """Make ``get_host`` return a host with only this plugin (and ``beside``) inside the block.

    Args:
        plugin: a module or an object with hook implementations; it need not be installed.
        name: what to call it; None for the name of its module or class.
        beside: names of installed plugins to load as well, such as the one that brings the
            modality of this one's recipe.

    Yields:
        The host.

    Raises:
        PluginError: one of ``beside`` is not installed; suggests the nearest name.
    """
    host = IsolatedHost()
    installed = {found.name: found for found in find_installed()}
    for other in beside:
        if other not in installed:
            raise PluginError(
                f"The plugin '{other}' is not installed.{did_you_mean(other, installed)}"
            )
        host.load(installed[other])
    host.add(plugin, name or _name_of(plugin))
    with use_host(host):
        yield host


def load_module(host: PluginHost, name: str, module: str) -> PluginStatus:
    """Import what an entry point would name and register it in a host."""
    return host.load(InstalledPlugin(name, module))


@contextlib.contextmanager
def own_folders(folder: Path) -> Iterator[None]:
    """Work in ``folder/work``, with cache and configuration beside it and none of the user's data.

    The current folder and the environment are restored afterwards. Relative entries of
    ``sys.path``, as in an interactive session, are absolute inside the block.
    """
    work = folder / "work"
    work.mkdir(parents=True, exist_ok=True)
    changes = {name: str(folder / below) for name, below in FOLDER_VARIABLES.items()}
    before = {name: os.environ.get(name) for name in (*FOLDER_VARIABLES, *USER_VARIABLES)}
    path, absolute = list(sys.path), [os.path.abspath(entry) for entry in sys.path]
    sys.path[:] = absolute
    try:
        os.environ.update(changes)
        for name in USER_VARIABLES:
            os.environ.pop(name, None)
        with contextlib.chdir(work):
            yield
    finally:
        added = [entry for entry in sys.path if entry not in absolute]
        sys.path[:] = added + path
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _name_of(plugin: object) -> str:
    if isinstance(plugin, types.ModuleType):
        return plugin.__name__
    return type(plugin).__name__.lower()


_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_NOWHERE = "http://127.0.0.1:9"  # for subprocesses: the discard port


@contextlib.contextmanager
def no_network() -> Iterator[None]:
    """Make this process's connections and look-ups fail at once, as without a network.

    Unix sockets still work.
    """
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def refuse(self: socket.socket, address: Any) -> None:
        if self.family == getattr(socket, "AF_UNIX", None):
            return connect(self, address)
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    def refuse_code(self: socket.socket, address: Any) -> int:
        if self.family == getattr(socket, "AF_UNIX", None):
            return connect_ex(self, address)
        return errno.ENETUNREACH

    def unknown(*arguments: Any, **more: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        enter(mock.patch.object(socket.socket, "connect", refuse))
        enter(mock.patch.object(socket.socket, "connect_ex", refuse_code))
        for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
            enter(mock.patch.object(socket, name, unknown))
        enter(mock.patch.dict(os.environ, dict.fromkeys(_PROXIES, _NOWHERE)))
        yield
