"""Metrics, settings and previews for TensorBoard, in the run's folder."""

from __future__ import annotations

import contextlib
import glob
import logging
import threading
import wave
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aigc_core.config.layers import leaves
from aigc_core.files import identity
from aigc_core.plugins import hookimpl
from aigc_core.runs import Run

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

logger = logging.getLogger("aigc")


class TensorBoard:
    """Writes event files next to ``config.yaml``, so that TensorBoard names a run by its folder.

    Settings appear in the HParams tab; previews appear as images, audio or text.
    """

    def __init__(self) -> None:
        self._writer: SummaryWriter | None = None
        self._folder: tuple[int, int] | None = None
        self._hook: Callable[[threading.ExceptHookArgs], object] | None = None

    @hookimpl
    def aigc_run_started(self, run: Run, config: Mapping[str, Any], start_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter  # takes a second to import

        # Hide later events of the same run: they come from a process that was killed.
        self._writer = SummaryWriter(str(run.path), purge_step=start_step + 1)
        self._folder = identity(run.path)
        if start_step == 0:
            self._write_settings(self._writer, config)
        self._hook = threading.excepthook
        threading.excepthook = self._thread_failed

    def _thread_failed(self, arguments: threading.ExceptHookArgs) -> None:
        """Silence errors in the writer's own thread, such as when the folder was removed."""
        if type(arguments.thread).__name__ == "_AsyncWriterThread":
            logger.debug("TensorBoard's thread ended: %s", arguments.exc_value)
        elif self._hook is not None:
            self._hook(arguments)

    @hookimpl
    def aigc_metrics_logged(self, run: Run, step: int, metrics: Mapping[str, float]) -> None:
        writer = self._writer_for(run)
        if writer:
            for name, value in metrics.items():
                writer.add_scalar(name, value, step)

    @hookimpl
    def aigc_samples_drawn(self, run: Run, step: int, preview: Path) -> None:
        writer = self._writer_for(run)
        if writer:
            for path in sorted(preview.parent.glob(f"{glob.escape(preview.stem)}.*")):
                column = preview.stem.removeprefix(f"step-{step:06d}").removeprefix("-")
                self._show(writer, f"samples/{column}" if column else "samples", path, step)

    @hookimpl
    def aigc_run_finished(self, run: Run) -> None:
        if self._hook is not None and threading.excepthook == self._thread_failed:
            threading.excepthook = self._hook
        writer, self._writer = self._writer_for(run), None
        if writer:
            with contextlib.suppress(OSError):
                writer.close()

    def _writer_for(self, run: Run) -> SummaryWriter | None:
        """Return the writer, or None if the folder is no longer the one it was created for.

        The writer reopens its file for each write, so it would create one in a replacement folder.
        """
        if self._writer and identity(run.path) != self._folder:
            self._writer = None
        return self._writer

    @staticmethod
    def _write_settings(writer: SummaryWriter, config: Mapping[str, Any]) -> None:
        """Write the settings by which TensorBoard compares runs."""
        from torch.utils.tensorboard.summary import hparams

        values = {
            key: value if isinstance(value, bool | int | float | str) else str(value)
            for key, value in leaves(config)
            if value is not None
        }
        make: Any = hparams
        file: Any = writer.file_writer  # not add_hparams, which creates its own folder
        for summary in make(values, {"validation/loss": 0.0}):
            file.add_summary(summary)

    @staticmethod
    def _show(writer: SummaryWriter, tag: str, path: Path, step: int) -> None:
        """Add one preview file, chosen by suffix; unknown suffixes are ignored."""
        import numpy as np

        if path.suffix == ".png":
            from PIL import Image

            pixels = np.asarray(Image.open(path).convert("RGB"))
            writer.add_image(tag, pixels, step, dataformats="HWC")
        elif path.suffix == ".wav":
            with wave.open(str(path)) as file:
                if file.getsampwidth() != 2:
                    return
                shape = (-1, file.getnchannels())
                data = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(shape)
                sound, rate = data.mean(1, dtype=np.float32) / 32768, file.getframerate()
            writer.add_audio(tag, sound[None], step, rate)
        elif path.suffix == ".txt":
            text = path.read_text(encoding="utf-8", errors="replace")
            writer.add_text(tag, "    " + text.replace("\n", "\n    "), step)
