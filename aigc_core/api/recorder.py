"""Connects an engine to a run's folder and to the plugins that watch it."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping

from aigc_core.api.unchanged import RECORD
from aigc_core.engine import Engine, EngineObserver, derive_seed
from aigc_core.errors import AigcError, RunError, StorageError
from aigc_core.files import identity
from aigc_core.interfaces import Modality
from aigc_core.plugins.hooks import HookCaller
from aigc_core.runs import Run, save_checkpoint
from aigc_core.runs.inside import make_real_folder
from aigc_core.runs.record import MetricsRecord, record_of

logger = logging.getLogger("aigc")


class RunRecorder(EngineObserver):
    """Saves an engine's checkpoints and previews into a run, and calls the hooks."""

    required = True

    def __init__(
        self,
        run: Run,
        modalities: Mapping[str, Modality],
        hooks: HookCaller,
        *,
        resumed: bool = False,
    ) -> None:
        """Record into a run.

        Args:
            run: where to.
            modalities: of every column, for previews.
            hooks: what observers are called by.
            resumed: whether metrics after the run's checkpoint will be logged again.
        """
        self.run = run
        self.modalities = modalities
        self.hooks = hooks
        self._uncut = resumed
        self._identity = identity(self.run.path)
        # The files as they were when training began, so that later edits are noticed.
        self._record = record_of(run.config, run.dataset.model_dump(mode="json"))

    def _check_there(self, step: int) -> None:
        """Check that the folder is still the one in which training began.

        Raises:
            StorageError: it was moved, removed or replaced; it is not created again.
        """
        if identity(self.run.path) != self._identity:
            raise StorageError(
                f"The folder {self.run.path} was moved, removed or replaced while it was trained; "
                f"the training ends at step {step:,}. Where it is now, resume it with: aigc resume"
            )

    def _metrics(self, step: int) -> MetricsRecord | None:
        try:
            return self.run.metrics.record(step)
        except RunError as error:  # a training is worth more than its metrics
            logger.warning("%s", error)
            return None

    def fit_started(self, engine: Engine) -> None:
        self.hooks.call(
            "aigc_run_started", run=self.run, config=self.run.config, start_step=engine.step
        )

    def metrics_logged(self, engine: Engine, metrics: Mapping[str, float]) -> None:
        self._check_there(engine.step)
        self.hooks.call("aigc_metrics_logged", run=self.run, step=engine.step, metrics=metrics)

    def samples_due(self, engine: Engine) -> None:
        """Draw the preview, with the same latents at every step of the run."""
        self._check_there(engine.step)
        seed = derive_seed(engine.config.seed, "preview")
        drawn = engine.sample_columns(engine.config.sample_count, seed=seed)
        for number, (column, samples) in enumerate(drawn.items()):
            name = f"step-{engine.step:06d}" + (f"-{column}" if number else "")
            modality = self.modalities[column]
            try:
                make_real_folder(self.run.samples)
                stored = modality.to_stored(samples).cpu()
                preview = modality.preview(stored, self.run.samples / name)
            except Exception as error:  # a picture is not worth a training
                logger.warning(
                    "No preview of step %d: %s: %s", engine.step, type(error).__name__, error
                )
                continue
            self.hooks.call("aigc_samples_drawn", run=self.run, step=engine.step, preview=preview)

    def redraw(self, engine: Engine) -> None:
        """Draw the preview that was due at the step of the resumed checkpoint.

        Training may have been stopped after that checkpoint but before the preview.
        """
        step = engine.step
        if step and (step % engine.config.sample_every == 0 or step == engine.total_steps):
            self.samples_due(engine)

    def checkpoint_due(self, engine: Engine) -> None:
        self._check_there(engine.step)
        state = engine.state()
        record = self._record.model_copy(update={"metrics": self._metrics(engine.step)})
        scalars = {**state.scalars, RECORD: record.model_dump(mode="json")}
        path = save_checkpoint(
            self.run.checkpoints,
            dataclasses.replace(state, scalars=scalars),
            keep=engine.config.checkpoint.keep,
            spare=[engine.best.step] if engine.best else [],
        )
        if self._uncut:
            self._uncut = False
            try:
                self.run.metrics.cut_after(engine.step)
            except AigcError as error:  # the next resume tries again
                logger.warning("%s", error)
        self.hooks.call("aigc_checkpoint_saved", run=self.run, step=engine.step, path=path)
