"""The folders that data is read from and that prepared data is kept in."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from aigc_core.errors import DataError, reason


def data_root(given: str | None) -> Path | None:
    """Return the path of the user's data, from ``--data-root`` or ``AIGC_DATA_DIR``, or None.

    A folder; ``--data-root`` may also name a file, since some datasets are a single file.

    Raises:
        DataError: the path is missing, unreadable or an empty folder, or ``AIGC_DATA_DIR`` is a
            file.
    """
    text = given or os.environ.get("AIGC_DATA_DIR")
    if not text:
        return None
    source = "--data-root" if given else "AIGC_DATA_DIR"
    fix = f"Check {source}; only a dataset that can be downloaded does without it."
    root = _absolute(text, source)
    try:
        if not root.exists():
            raise DataError(f"The data folder {root} does not exist. {fix}")
        if not root.is_dir():
            if given:
                return root
            raise DataError(f"The data folder {root} is a file. {fix}")
        empty = not any(root.iterdir())
    except OSError as error:
        raise DataError(f"The data folder {root} cannot be read: {reason(error)}. {fix}") from None
    if empty:
        raise DataError(f"The data folder {root} is empty. {fix}")
    return root


def cache_folder() -> Path:
    """Return the folder for prepared data: ``AIGC_CACHE_DIR``, else the user's cache folder.

    Raises:
        DataError: ``AIGC_CACHE_DIR`` starts with ``~name`` for an unknown user, or it is not set
            and the user has no home folder.
    """
    configured = os.environ.get("AIGC_CACHE_DIR")
    if configured:
        return _absolute(configured, "AIGC_CACHE_DIR")
    try:
        return platformdirs.user_cache_path("aigc").absolute()
    except RuntimeError:  # from platformdirs, for a user without HOME and without a passwd entry
        raise DataError(
            "There is no home folder to keep prepared data in. Set AIGC_CACHE_DIR to a folder."
        ) from None


def _absolute(text: str, source: str) -> Path:
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:  # pathlib raises it for ~name of an unknown user
        raise DataError(
            f"{source}={text} names the home folder of a user who is unknown."
        ) from None
