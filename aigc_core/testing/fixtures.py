"""pytest fixtures for tests of a plugin: import those you want in ``conftest.py``.

::

    from aigc_core.testing.fixtures import aigc_folders, no_network
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from aigc_core.interfaces import DataFolders
from aigc_core.testing.process.isolation import no_network as _no_network
from aigc_core.testing.process.isolation import own_folders


@dataclass(frozen=True)
class Folders:
    """Where a test works."""

    work: Path
    """The current folder, where runs go."""
    cache: Path
    """``AIGC_CACHE_DIR``."""
    config: Path
    """``AIGC_CONFIG_DIR``."""


@pytest.fixture
def aigc_folders(tmp_path: Path) -> Iterator[Folders]:
    """Give the test its own folder, cache and configuration, and none of the user's data."""
    with own_folders(tmp_path):
        yield Folders(tmp_path / "work", tmp_path / "cache", tmp_path / "config")


@pytest.fixture
def data_folders(aigc_folders: Folders) -> DataFolders:
    """Folders as for a user without data: a dataset can only use what it embeds or downloads."""
    return DataFolders(root=None, cache=aigc_folders.cache)


@pytest.fixture
def no_network() -> Iterator[None]:
    """Make every connection fail, as on a machine without a network."""
    with _no_network():
        yield
