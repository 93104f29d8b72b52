"""Find or download, verify and unpack the four files of a dataset in MNIST's format.

``source`` is torchvision's dataset class: its ``resources`` are the files and their MD5s.
"""

import contextlib
import gzip
import hashlib
import io
import logging
import os
import socket
import tempfile
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

from aigc_core import DataError

logger = logging.getLogger("aigc.image")

_TIMEOUT_S = 60.0


def find_packed(name: str, source: Any, root: Path) -> Path:
    """Return the first folder in the user's data folder that holds all four ``.gz`` files.

    Raises:
        DataError: there is none; says where it looked, what is missing there, and what to do.
    """
    raw = Path(source.__name__, "raw")
    files = [file for file, _ in source.resources]
    looked = []
    for place in (root / name / raw, root / raw, root / name):
        missing = [file for file in files if not (place / file).is_file()]
        if not missing:
            return place
        lacks = "none of them" if missing == files else f"without {', '.join(missing)}"
        looked.append(f"{place} ({lacks})")
    raise DataError(
        f"The dataset '{name}' is not in the data folder {root}. It is the files "
        f"{', '.join(files)} in one of these folders: {'; '.join(looked)}. Put them there; or "
        "leave out --data-root and unset AIGC_DATA_DIR to download them; or take "
        "--dataset digits, which needs no files."
    )


def unpack(source: Any, place: Path, target: Path) -> None:
    """Verify the ``.gz`` files in ``place``, without changing it; unpack them into ``target``.

    Raises:
        DataError: a file cannot be read or has the wrong MD5.
    """
    for file, expected in source.resources:
        path = place / file
        try:
            packed = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
        found = hashlib.md5(packed, usedforsecurity=False).hexdigest()
        if found != expected:
            raise DataError(
                f"{path} is damaged or another file: its MD5 is {found}, and should be "
                f"{expected}. Fetch it again, for example from {source.mirrors[0]}{file}."
            )
        (target / path.stem).write_bytes(gzip.decompress(packed))


def download(name: str, source: Any, target: Path) -> None:
    """Let torchvision download, verify and unpack the files; move them to ``target``.

    Raises:
        DataError: the download failed; says what to do instead.
    """
    logger.info("Downloading %s from %s", name, source.mirrors[0])
    files = [file for file, _ in source.resources]
    with tempfile.TemporaryDirectory(dir=target) as scratch:
        try:
            with _silence(), _timeout(_TIMEOUT_S):
                source(scratch, train=False, download=True)
        except (OSError, RuntimeError, HTTPException) as error:
            layout = Path("DIR", name, source.__name__, "raw")
            reason = " ".join(str(error).split()).rstrip(".")
            raise DataError(
                f"The dataset '{name}' could not be downloaded: {reason}. Two ways out: put the "
                f"files {', '.join(files)} into {layout} and add --data-root DIR (or set "
                "AIGC_DATA_DIR to DIR); or take --dataset digits, which needs no download."
            ) from error
        for stem in (Path(file).stem for file in files):
            os.rename(Path(scratch, source.__name__, "raw", stem), target / stem)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep torchvision's progress bars off the terminal."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


@contextlib.contextmanager
def _timeout(seconds: float) -> Iterator[None]:
    """Make stalled connections fail: torchvision gives urllib no timeout."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
