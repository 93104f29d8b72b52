"""Options for which plugins load and how strictly; read before any plugin is."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aigc_core.errors import PluginError, did_you_mean
from aigc_core.plugins.installed import InstalledPlugin, as_argument, find_installed, matches_name
from aigc_core.plugins.user_state import disabled_plugins

logger = logging.getLogger("aigc")


@dataclass(frozen=True)
class HostOptions:
    """Which plugins may load. The command line wins over the environment, and that over a file."""

    only: tuple[str, ...] | None = None
    """``AIGC_PLUGINS``: only these; empty for no plugins, None for all."""
    without: tuple[str, ...] = ()
    """``AIGC_DISABLE_PLUGINS``: not these."""
    disabled: tuple[str, ...] = ()
    """``aigc plugins disable``: not these, unless ``only`` names them."""
    none: bool = False
    """``--no-plugins``: none at all."""
    not_these: tuple[str, ...] = ()
    """``--no-plugins=a,b``: not these."""
    strict: bool = False
    """``--strict`` or ``AIGC_STRICT``: turn warnings about plugins into errors."""
    traceback: bool = False
    """``--traceback``: show where errors came from."""
    registry: Path | None = None
    """``--registry``: the catalogue to use."""

    @classmethod
    def from_environment(cls) -> HostOptions:
        """Read the environment variables and the user's file of disabled plugins.

        Raises:
            ConfigError: the file is malformed.
        """
        only = os.environ.get("AIGC_PLUGINS")
        return cls(
            only=None if only is None else split_names(only),
            without=split_names(os.environ.get("AIGC_DISABLE_PLUGINS", "")),
            disabled=disabled_plugins(),
            strict=os.environ.get("AIGC_STRICT", "").lower() not in ("", "0", "false", "no", "off"),
        )

    def blocked(self, plugin: InstalledPlugin) -> tuple[str, str] | None:
        """Return why a plugin may not load and how to enable it, or None."""

        def named(names: tuple[str, ...]) -> bool:
            return any(matches_name(plugin, name) for name in names)

        if self.none or named(self.not_these):
            return "--no-plugins leaves it out.", "leave --no-plugins out"
        if named(self.without):
            return "AIGC_DISABLE_PLUGINS names it.", "unset AIGC_DISABLE_PLUGINS"
        if self.only is not None:
            if named(self.only):
                return None
            return "AIGC_PLUGINS does not name it.", "unset AIGC_PLUGINS"
        for name in self.disabled:
            if matches_name(plugin, name):
                off = "It was switched off with aigc plugins disable."
                return off, f"aigc plugins enable {as_argument(name)}"
        return None

    def check_names(self) -> None:
        """Warn of names that match no installed plugin, since they are probably misspelt.

        Checks ``--no-plugins`` and ``AIGC_PLUGINS``.

        Raises:
            PluginError: instead of a warning, for ``--no-plugins`` or with the option ``strict``.
        """
        wishes = {"--no-plugins": self.not_these, "AIGC_PLUGINS": self.only or ()}
        installed = find_installed() if any(wishes.values()) else []
        known = {n for plugin in installed for n in (plugin.name, plugin.distribution) if n}
        for source, names in wishes.items():
            for name in names:
                if not any(matches_name(plugin, name) for plugin in installed):
                    text = f"{source} names '{name}', which is no installed plugin."
                    if source == "--no-plugins" or self.strict:
                        raise PluginError(text + did_you_mean(name, known))
                    logger.warning("%s%s", text, did_you_mean(name, known))


def split_names(text: str) -> tuple[str, ...]:
    """Return the names in ``"a, b"``."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


_chosen: list[HostOptions] = []


def host_options() -> HostOptions:
    """Return the options in use: from the command line, else from the environment."""
    return _chosen[-1] if _chosen else HostOptions.from_environment()


@contextlib.contextmanager
def use_options(options: HostOptions) -> Iterator[None]:
    """Make ``host_options`` return these options in this context."""
    _chosen.append(options)
    try:
        yield
    finally:
        _chosen.pop()
