"""``generate`` and its relatives: a run's samples in one call."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Unpack

from torch import Tensor

from aigc_core.api.request import Request, RequestOptions
from aigc_core.api.sampler import open_sampler
from aigc_core.interfaces import Generator
from aigc_core.runs import Run


def generate(
    run: Run | str | Path,
    *,
    checkpoint: str | int | None = None,
    device: str = "auto",
    **request: Unpack[RequestOptions],
) -> Tensor:
    """Draw samples from a run.

    Args:
        run: a run or the path of one.
        checkpoint: ``"best"``, or the step of one that was kept; None for the newest.
        device: as for training.
        request: the fields of ``Request``: count, seed, label, prompt, inputs, controls.

    Returns:
        ``(count, *shape)`` on the CPU in the stored form, such as uint8 ``(count, C, H, W)``.

    Raises:
        RunError: not a run, or it has no whole checkpoint.
        ConfigError: a count, seed, label or device that is not valid.
    """
    asked = Request(**request)
    return open_sampler(run, checkpoint=checkpoint, device=device).samples(asked)


def stream_text(
    run: Run | str | Path,
    *,
    stop: str | None = None,
    checkpoint: str | int | None = None,
    device: str = "auto",
    **request: Unpack[RequestOptions],
) -> Iterator[str]:
    """Yield a text in pieces as it is drawn from a run. The prompt is not yielded.

    Args:
        run: a run or the path of one.
        stop: ends the text before this, where it comes.
        checkpoint: ``"best"``, or the step of one that was kept; None for the newest.
        device: as for training.
        request: the fields of ``Request``: prompt, seed, label, inputs, controls.

    Raises:
        UserError: not a run, or one that makes no text; a setting or prompt that is not valid.
    """
    asked = Request(**request)
    return open_sampler(run, checkpoint=checkpoint, device=device).stream_text(asked, stop)


def generate_text(
    run: Run | str | Path,
    *,
    stop: str | None = None,
    checkpoint: str | int | None = None,
    device: str = "auto",
    **request: Unpack[RequestOptions],
) -> str:
    """Return one text that a run draws, without the prompt; see ``stream_text``."""
    return "".join(stream_text(run, stop=stop, checkpoint=checkpoint, device=device, **request))


def load_generator(
    run: Run | str | Path, *, checkpoint: str | int | None = None, device: str = "auto"
) -> Generator:
    """Return a run's generator, the averaged one where there is one, in evaluation mode.

    Args:
        run: a run or the path of one.
        checkpoint: ``"best"``, or the step of one that was kept; None for the newest.
        device: as for training.

    Returns:
        An ``nn.Module`` whose parameters want no gradients.

    Raises:
        RunError: not a run, or it has no whole checkpoint.
    """
    return open_sampler(run, checkpoint=checkpoint, device=device).generator
