"""Downloading one file: complete, no larger than allowed, and verified."""

from __future__ import annotations

import hashlib
import logging
import urllib.request
from collections.abc import Generator
from contextlib import closing
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from aigc_core._version import __version__
from aigc_core.errors import DataError
from aigc_core.files import atomic_file

logger = logging.getLogger("aigc")

_BLOCK_BYTES = 1 << 20


def download(
    url: str,
    target: Path,
    *,
    max_bytes: int,
    sha256: str | None = None,
    timeout_s: float = 60.0,
    otherwise: str = "",
) -> None:
    """Download ``url`` to the file ``target``, atomically; its folder is created if missing.

    Args:
        url: begins with ``https://`` or ``http://``; redirects to other schemes, or from the first
            to the second, are refused.
        target: replaced if it exists.
        max_bytes: a larger file is refused, whatever size the server announces.
        sha256: the file's SHA-256 in hexadecimal digits, if known.
        timeout_s: how long the server may be silent.
        otherwise: what the user can do instead; appended to every message.

    Raises:
        DataError: the file cannot be downloaded, or is not the expected one; names the URL.
        OSError: the target cannot be written; ``locked_cache`` turns it into a message.
    """
    logger.info("Downloading %s", url)
    ways_out = otherwise and f" {otherwise}"
    digest = hashlib.sha256()
    try:
        with (
            atomic_file(target) as scratch,
            scratch.open("xb") as file,
            closing(_received(url, max_bytes, timeout_s)) as blocks,
        ):
            for block in blocks:
                digest.update(block)
                file.write(block)
            found = digest.hexdigest()
            if sha256 is not None and found != sha256.lower():
                raise DataError(
                    f"{url} is damaged or another file: its SHA-256 is {found}, and should be "
                    f"{sha256.lower()}.{ways_out}"
                )
    except _Failed as error:
        raise DataError(f"{url} could not be downloaded: {error}.{ways_out}") from error


class _Failed(Exception):
    """Why a download failed, as the end of a sentence."""


def _received(url: str, max_bytes: int, timeout_s: float) -> Generator[bytes, None, None]:
    """Yield what the server sends; every network error becomes a ``_Failed``."""
    count = 0
    try:
        _check_address(url)
        request = urllib.request.Request(url, headers={"User-Agent": f"aigc/{__version__}"})
        with urllib.request.build_opener(_Redirects).open(request, timeout=timeout_s) as answer:
            if answer.status != 200:
                raise _Failed(f"the server answered {answer.status} {answer.reason}")
            announced: int | None = answer.length  # None if it is sent in chunks
            too_long = _Failed(f"it is longer than the {max_bytes:,} bytes that are allowed")
            if announced is not None and announced > max_bytes:
                raise too_long
            while block := answer.read(_BLOCK_BYTES):
                count += len(block)
                if count > max_bytes:
                    raise too_long
                yield block
            if announced is not None and count < announced:
                raise _Failed(f"the answer ended after {count:,} of {announced:,} bytes")
    except HTTPError as error:
        error.close()
        raise _Failed(f"the server answered {error.code} {error.reason}") from error
    except (OSError, HTTPException, ValueError) as error:  # ValueError: not a valid address
        cause = error.reason if isinstance(error, URLError) else error
        raise _Failed(" ".join(str(cause).split()).rstrip(".") or type(cause).__name__) from error


def _check_address(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _Failed("it is no address that begins with https:// or http://")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but not from https to http or to other schemes."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if urlsplit(newurl).scheme not in ("https", req.type):
            raise _Failed(f"the server answered that it is at {newurl}, which is not trusted")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
