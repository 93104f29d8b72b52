"""Where the audio plugin's tests find their data."""

import os
from pathlib import Path

import pytest

from aigc_core import DataFolders


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def no_root(cache: Path) -> DataFolders:
    """No data of the user's: only what is embedded or downloaded."""
    return DataFolders(root=None, cache=cache)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real datasets: AIGC_TEST_DATA, or shared/data beside the repository."""
    beside = Path(__file__).resolve().parents[4] / "shared" / "data"
    folder = Path(os.environ.get("AIGC_TEST_DATA") or beside)
    if not (folder / "fsdd" / "recordings").is_dir():
        pytest.skip(f"the real FSDD is not in {folder} (set AIGC_TEST_DATA)")
    return folder
