"""How much one request may ask for, and how many may wait."""

from __future__ import annotations

from pydantic import Field

from aigc_core.errors import ConfigError
from aigc_core.interfaces.config import ConfigModel


class LimitError(ConfigError):
    """A request asks for more than is served at once."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        """What is too much: ``count``, ``tokens``, or the name of a condition."""


class Limits(ConfigModel):
    """Bounds of what is served."""

    max_queue: int = Field(default=64, ge=0, le=100_000)
    """Requests that may wait for each device; a further one is refused."""
    max_active: int = Field(default=16, ge=1, le=1000)
    """Requests that a device works on in turns."""
    max_count: int = Field(default=64, ge=1, le=1_000_000)
    """Samples that one request may ask for."""
    max_tokens: int = Field(default=4096, ge=1, le=1_000_000)
    """Tokens that a sample may be asked for, where a request can say how many it gets."""
    max_prompt: int = Field(default=32_768, ge=1)
    """Characters of a text that is given."""
    max_seconds: float = Field(default=300.0, gt=0)
    """How long one request may be worked on, others' turns included."""
