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
        checkpoint: ``"best"`` or the step of a kept checkpoint; None for the newest.
        device: as for training.
        request: the fields of ``Request``: count, seed, label, prompt, inputs, controls, want.

    Returns:
        ``(count, *shape)`` on the CPU in the stored form, such as uint8 ``(count, C, H, W)``: of
        the first wanted output; ``Sampler.columns`` gives several.

    Raises:
        RunError: not a run, or it has no intact checkpoint.
        ConfigError: an invalid count, seed, label, device or other option.
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
        stop: end the text before the first occurrence of this string.
        checkpoint: ``"best"`` or the step of a kept checkpoint; None for the newest.
        device: as for training.
        request: the fields of ``Request``: prompt, seed, label, inputs, controls.

    Raises:
        UserError: not a run, a run that makes no text, or an invalid setting or prompt.
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
    """Return one text drawn from a run, without the prompt; see ``stream_text``."""
    return "".join(stream_text(run, stop=stop, checkpoint=checkpoint, device=device, **request))


def load_generator(
    run: Run | str | Path, *, checkpoint: str | int | None = None, device: str = "auto"
) -> Generator:
    """Return a run's generator in evaluation mode, with averaged weights if there are any.

    Args:
        run: a run or the path of one.
        checkpoint: ``"best"`` or the step of a kept checkpoint; None for the newest.
        device: as for training.

    Returns:
        An ``nn.Module`` whose parameters do not require gradients.

    Raises:
        RunError: not a run, or it has no intact checkpoint.
    """
    return open_sampler(run, checkpoint=checkpoint, device=device).generator
