"""What a run remembers of its data, so that it can be used without it and resumed only with it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from aigc_core.interfaces.config import ConfigModel
from aigc_core.interfaces.sample import SampleSpec


class DatasetFacts(ConfigModel):
    """``dataset.json``."""

    spec: SampleSpec
    count: int = Field(ge=1)
    label_names: tuple[str, ...] = ()
    digest: str
    """BLAKE2 of the samples."""

    def difference(self, now: DatasetFacts) -> str | None:
        """Say in what other data differ, as a part of a sentence, or return None."""
        pairs: list[tuple[str, Any, Any]] = [
            ("number of samples", self.count, now.count),
            ("shape of a sample", list(self.spec.shape), list(now.spec.shape)),
            ("type of a sample", self.spec.dtype, now.spec.dtype),
            ("units", self.spec.units, now.spec.units),
            ("list of class names", list(self.label_names), list(now.label_names)),
        ]
        for what, before, after in pairs:
            if before != after:
                return f"the {what} was {before} and is {after}"
        if self.spec.assets != now.spec.assets:
            return f"samples are read in another way: {', '.join(sorted(now.spec.assets))} changed"
        return None if self.digest == now.digest else "the samples themselves are others"
