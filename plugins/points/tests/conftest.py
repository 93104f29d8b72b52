"""Where the point cloud plugin's tests find their data."""

from pathlib import Path

import pytest

from aigc_core import DataFolders


@pytest.fixture
def no_root(tmp_path: Path) -> DataFolders:
    """No data of the user's: only what is embedded."""
    return DataFolders(root=None, cache=tmp_path / "cache")
