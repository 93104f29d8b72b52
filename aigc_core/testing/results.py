"""Results of checks, and the wording of failures."""

from __future__ import annotations

import sysconfig
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import aigc_core

_LIBRARIES = {"numpy", "pluggy", "pydantic", "torch"}
"""Package folders that are skipped when looking for the plugin's own line in a traceback."""
Status = Literal["passed", "failed", "known failure"]


@dataclass(frozen=True)
class CheckResult:
    """The result of one check of one subject."""

    check: str
    """Name of the check, such as ``batch-of-one``."""
    subject: str
    """What was checked, such as ``recipe points/gan`` or ``dataset ring``."""
    status: Status
    """``known failure``: it failed, as the spec's ``known_failures`` declares."""
    message: str
    """What is wrong, where, and how to fix it; empty or a note if the check passed."""
    seconds: float

    @property
    def name(self) -> str:
        """Subject and check: ``recipe points/gan: batch-of-one``."""
        return f"{self.subject}: {self.check}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, as printed by ``aigc plugins check --json``."""
        return asdict(self)


class CheckFailed(Exception):
    """Raised by a check that found something wrong; its message is the sentence to show."""


class Unavailable(CheckFailed):
    """Raised if a check needs something that could not be made; names the cause."""


def describe(error: BaseException) -> str:
    """Return an exception as a sentence: a failed check's message, else type, text, maybe place."""
    if isinstance(error, CheckFailed):
        return str(error)
    text = " ".join(str(error).split())
    if isinstance(error, aigc_core.AigcError) and text:
        return f"{type(error).__name__}: {text}"
    head = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return f"{head.rstrip('.')} ({place})." if (place := _place(error)) else head


def _place(error: BaseException) -> str | None:
    """Return where an exception came from: the innermost line that is likely the plugin's."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return None
    foreign = [frame for frame in frames if not _is_not_the_plugins(frame.filename)]
    frame = (foreign or frames)[-1]
    return f"{frame.filename}, line {frame.lineno}, in {frame.name}"


def _is_not_the_plugins(filename: str) -> bool:
    path = Path(filename)
    if path.is_relative_to(Path(aigc_core.__file__).parent) or filename.startswith("<"):
        return True
    if _LIBRARIES & set(path.parts):
        return True
    return path.is_relative_to(sysconfig.get_path("stdlib"))
