"""The host in use: one for a process, made when it is first asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from aigc_core.plugins.loader import PluginHost
from aigc_core.plugins.options import host_options

_used: list[PluginHost] = []
_discovered: list[PluginHost] = []


def get_host() -> PluginHost:
    """Return this process's host, with every plugin that may load loaded on the first call.

    Raises:
        UserError: the user's file of disabled plugins is malformed; with ``strict``, a plugin
            does not load.
    """
    if _used:
        return _used[-1]
    options = host_options()
    if not _discovered or _discovered[-1].options != options:
        host = PluginHost(options)
        host.discover()
        _discovered[:] = [host]
    return _discovered[-1]


@contextlib.contextmanager
def use_host(host: PluginHost) -> Iterator[PluginHost]:
    """Let ``get_host`` return another host inside, such as one with a single plugin for a test."""
    _used.append(host)
    try:
        yield host
    finally:
        _used.pop()
