"""Metrics and previews for TensorBoard, in the run's folder."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from aigc_core.errors import RunError
from aigc_core.plugins import hookimpl
from aigc_core.runs import Run
from aigc_core.runs.inside import is_real_folder

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

logger = logging.getLogger("aigc")


class TensorBoard:
    """Writes event files; previews that are pictures are shown as such."""

    def __init__(self) -> None:
        self._writer: SummaryWriter | None = None
        self._hook: Callable[[threading.ExceptHookArgs], object] | None = None

    @hookimpl
    def aigc_run_started(self, run: Run, start_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter  # a second to import: only for a run

        folder = run.path / "tensorboard"
        try:
            is_real_folder(folder)
        except RunError as error:
            logger.warning("Nothing is written for TensorBoard: %s", error)
            return
        # Later events of the same run are of a process that was killed; they are hidden.
        self._writer = SummaryWriter(str(folder), purge_step=start_step + 1)

        self._hook = threading.excepthook
        threading.excepthook = self._thread_failed

    def _thread_failed(self, arguments: threading.ExceptHookArgs) -> None:
        """Be quiet about the writer's own thread, such as when the folder was removed."""
        if type(arguments.thread).__name__ == "_AsyncWriterThread":
            logger.debug("TensorBoard's thread ended: %s", arguments.exc_value)
        elif self._hook is not None:
            self._hook(arguments)

    @hookimpl
    def aigc_metrics_logged(self, step: int, metrics: Mapping[str, float]) -> None:
        if self._writer:
            for name, value in metrics.items():
                self._writer.add_scalar(name, value, step)

    @hookimpl
    def aigc_samples_drawn(self, step: int, preview: Path) -> None:
        if self._writer and preview.suffix == ".png":
            import numpy as np
            from PIL import Image

            pixels = np.asarray(Image.open(preview).convert("RGB"))
            self._writer.add_image("samples", pixels, step, dataformats="HWC")

    @hookimpl
    def aigc_run_finished(self) -> None:
        if self._hook is not None and threading.excepthook == self._thread_failed:
            threading.excepthook = self._hook
        if self._writer:
            writer, self._writer = self._writer, None
            with contextlib.suppress(OSError):
                writer.close()
