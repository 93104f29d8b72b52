"""The cache folder, held by one at a time."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from aigc_core import DataError, DataFolders
from aigc_core.datasets import locked_cache

HOLD = """
import sys
from pathlib import Path
from aigc_core import DataFolders
from aigc_core.datasets import locked_cache
with locked_cache(DataFolders(None, Path(sys.argv[1])), "mine"):
    print("held", flush=True)
    sys.stdin.readline()
    Path(sys.argv[1], "made").touch()
"""


def test_the_folder_is_made_and_given(tmp_path: Path) -> None:
    folders = DataFolders(root=None, cache=tmp_path / "deep" / "cache")
    with locked_cache(folders, "mine") as cache:
        assert cache == folders.cache
        assert cache.is_dir()


def test_another_process_waits_and_finds_what_was_made(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    found = []

    def wait() -> None:
        with locked_cache(DataFolders(None, tmp_path), "mine") as cache:
            found.append((cache / "made").exists())

    waiting = threading.Thread(target=wait)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdin
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        waiting.start()
        waiting.join(0.3)
        assert found == []
        holder.stdin.write("\n")
        holder.stdin.close()
        waiting.join(60)
    assert found == [True]


def test_another_dataset_does_not_wait(tmp_path: Path) -> None:
    folders = DataFolders(None, tmp_path)
    with locked_cache(folders, "mine"), locked_cache(folders, "yours"):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with (
        pytest.raises(DataError, match=r"'mine' .*cache: File exists\. .*AIGC_CACHE_DIR"),
        locked_cache(DataFolders(None, tmp_path / "cache"), "mine"),
    ):
        pytest.fail("it was given")


def test_a_full_disk_inside_names_the_folder(tmp_path: Path) -> None:
    with (
        pytest.raises(DataError, match=rf"{tmp_path}: No space left on device\. Free"),
        locked_cache(DataFolders(None, tmp_path), "mine"),
    ):
        raise OSError(28, "No space left on device")


def test_other_errors_inside_pass(tmp_path: Path) -> None:
    folders = DataFolders(None, tmp_path)
    with pytest.raises(DataError, match=r"^why$"), locked_cache(folders, "mine"):
        raise DataError("why")
    with locked_cache(folders, "mine"):  # it was let go
        pass
