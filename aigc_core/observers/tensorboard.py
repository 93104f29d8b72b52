"""Metrics and previews for TensorBoard, in the run's folder."""

from __future__ import annotations

import logging
from collections.abc import Mapping
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
        if self._writer:
            self._writer.close()
            self._writer = None
