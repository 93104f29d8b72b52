"""Text as it is made, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from aigc_core.api.sampler import Sampler, check_count
from aigc_core.engine import derive_seed
from aigc_core.errors import ConfigError
from aigc_core.interfaces import AutoregressiveGenerator, Readable
from aigc_core.runs import Run

_UNFINISHED = "\ufffd"  # what decoding makes of half a character


def stream_text(
    run: Run | str | Path,
    *,
    prompt: str | None = None,
    tokens: int | None = None,
    seed: int = 0,
    label: str | int | None = None,
    sampling: Mapping[str, Any] | None = None,
    stop: str | None = None,
    checkpoint: str | int | None = None,
    device: str = "auto",
) -> Iterator[str]:
    """Yield a text in pieces as it is drawn from a run.

    Args:
        run: a run or the path of one.
        prompt: what comes before; it is not yielded. None for nothing.
        tokens: how many to draw; None for as many as a sample has.
        seed: at least 0; the same seed gives the same text.
        label: name or number of a class, for a conditional run.
        sampling: settings such as ``{"temperature": 0.8}``; see ``SamplingConfig``.
        stop: ends the text before this, where it comes.
        checkpoint: ``"best"``, or the step of one that was kept; None for the newest.
        device: as for training.

    Raises:
        UserError: not a run, or one that makes no text; a setting or prompt that is not valid.
    """
    sampler = Sampler(run, device, checkpoint)
    generator, modality = sampler.generator, sampler.parts.modality
    if not isinstance(generator, AutoregressiveGenerator) or not isinstance(modality, Readable):
        raise ConfigError(f"{sampler.run.recipe} makes no text, so it takes no prompt.")
    check_count(1, seed)
    controls = sampler.controls(prompt, tokens, sampling)
    condition = None
    if label is not None or generator.label_count:
        wanted = sampler.label_of(str(label)) if label is not None else 0
        condition = torch.tensor([wanted], device=sampler.device)
    length = controls.pop("length", None) or generator.sample_length
    seed = derive_seed(seed, "text")
    rng = torch.Generator(sampler.device).manual_seed(seed)
    generator.eval()  # the sampler's own: there is no mode to go back to
    steps = generator.stream(1, rng=rng, condition=condition, **controls)
    unsettled: list[int] = []  # tokens that end in half a character
    held = ""  # text that is not yet given: it may be the beginning of stop
    for number in range(length):
        last = number == length - 1
        unsettled.append(int(next(steps)))
        text = held + modality.decode(torch.tensor(unsettled))
        if text.endswith(_UNFINISHED) and not last:
            continue
        unsettled = []
        if stop and stop in text:
            yield text[: text.index(stop)]
            return
        kept = 0 if last else _overlap(text, stop or "")
        held = text[len(text) - kept :]
        if kept < len(text):
            yield text[: len(text) - kept]


def _overlap(text: str, stop: str) -> int:
    """Return how many characters at the end of a text are the beginning of ``stop``."""
    longest = min(len(stop) - 1, len(text))
    return next((size for size in range(longest, 0, -1) if text.endswith(stop[:size])), 0)
