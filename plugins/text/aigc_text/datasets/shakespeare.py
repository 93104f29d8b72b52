"""Tiny Shakespeare: found or downloaded, verified."""

import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path

from aigc_core import DataError
from aigc_core.datasets import download, locked_cache
from aigc_text.datasets._text import TextDataset

URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
SIZE = 1_115_394
_FILE = Path("tinyshakespeare", "input.txt")
_WAYS_OUT = (
    f"Two ways out: put the file at DIR/{_FILE.as_posix()} and add --data-root DIR (or set "
    "AIGC_DATA_DIR to DIR); or take --dataset pydocs, which needs no download."
)


class TinyShakespeare(TextDataset):
    """A million characters of Shakespeare's plays, 65 distinct ones (Karpathy 2015)."""

    name = "tiny-shakespeare"

    def prepare(self) -> None:
        self._find()
        super().prepare()

    def identity(self) -> str:
        return SHA256

    def pieces(self) -> Iterable[str]:
        return [self._text]

    def text_bytes(self) -> int:
        return SIZE

    @functools.cached_property
    def _text(self) -> str:
        path = self._find()
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
        _check(content, str(path))
        return content.decode()

    def _find(self) -> Path:
        """Return the file: the user's, else the cache's, downloaded if it is missing.

        Raises:
            DataError: there is none; the message says what to do.
        """
        root = self.folders.root
        if root is not None:
            places = (root / _FILE, root / self.name / _FILE.name, root / _FILE.name)
            for place in places:
                if place.is_file():
                    return place
            raise DataError(
                f"The dataset '{self.name}' is not in the data folder {root}. Put its input.txt "
                f"there as {' or '.join(map(str, places))}; or leave out --data-root and unset "
                "AIGC_DATA_DIR to download it; or take --dataset pydocs, which needs no files."
            )
        target = self.folders.cache / self.name / _FILE.name
        if not target.is_file():
            with locked_cache(self.folders, self.name):
                if not target.is_file():  # another process was faster
                    download(URL, target, max_bytes=SIZE, sha256=SHA256, otherwise=_WAYS_OUT)
        return target


def _check(content: bytes, where: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        raise DataError(
            f"{where} is damaged or another file: its SHA-256 is {found}, and should be {SHA256}. "
            f"Fetch it again, for example from {URL}."
        )
