"""Which plugins the user switched off: a small file per user, separate from the catalogue."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from aigc_core.errors import ConfigError, StorageError, reason, shown
from aigc_core.files import write_text_atomically
from aigc_core.strict_yaml import dump_yaml, load_yaml

_HEADER = "# Plugins that `aigc plugins disable` switched off. Written by aigc.\n"


def state_file() -> Path:
    """Return ``plugins.yaml`` in ``AIGC_CONFIG_DIR``, else in the user's configuration folder.

    Raises:
        StorageError: there is neither, as for a user without HOME and without a passwd entry.
    """
    configured = os.environ.get("AIGC_CONFIG_DIR")
    try:
        folder = Path(configured) if configured else platformdirs.user_config_path("aigc")
    except RuntimeError:  # raised by platformdirs
        raise StorageError(
            "There is no home folder for the user's settings. Set AIGC_CONFIG_DIR to a folder."
        ) from None
    return folder.absolute() / "plugins.yaml"


def disabled_plugins() -> tuple[str, ...]:
    """Return the names of the plugins that the user switched off.

    Raises:
        ConfigError: the file is malformed. Ignoring it would re-enable what was switched off.
    """
    try:
        path = state_file()
    except StorageError:  # nobody can have switched anything off
        return ()
    if not os.path.exists(path):  # Path.exists may raise if the folder is not accessible
        return ()
    data = load_yaml(path)
    names = data.get("disabled") if isinstance(data, dict) and set(data) == {"disabled"} else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(
            f"{path}: expected 'disabled' with a list of plugins' names, found {shown(data)}. "
            "Correct it, or delete the file to enable every plugin."
        )
    return tuple(names)


def set_disabled(name: str, disabled: bool) -> bool:
    """Switch a plugin off or on for all later commands; return whether that changed anything.

    Raises:
        StorageError: the file could not be written.
        ConfigError: the existing file is malformed.
    """
    import filelock  # imported here so that listings start fast

    path = state_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(path.with_name(".plugins.lock"), timeout=10):
            before = disabled_plugins()
            if (name in before) == disabled:
                return False
            names = sorted({*before, name} if disabled else set(before) - {name})
            target = Path(os.path.realpath(path))  # if the file is a link, keep it one
            write_text_atomically(target, _HEADER + dump_yaml({"disabled": names}))
            return True
    except filelock.Timeout as error:
        raise StorageError(f"Could not write {path}: another aigc holds its lock.") from error
    except OSError as error:
        raise StorageError(f"Could not write {path}: {reason(error)}.") from error
