"""The vector-quantised autoencoder: samples as grids of tokens, and back.

van den Oord et al. 2017, "Neural Discrete Representation Learning" (VQ-VAE). It is the first stage
of two: another model then learns which tokens go together, or where latents lie
(``aigc_core.trainers.latent``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss, mse_loss

from aigc_core.errors import ConfigError
from aigc_core.interfaces.autoregressive import drawn
from aigc_core.interfaces.config import ConfigModel
from aigc_core.interfaces.generator import Generator
from aigc_core.interfaces.modality import Representation
from aigc_core.interfaces.recipe import RecipeContext
from aigc_core.interfaces.trainer import Batch, Phase, StepState, Trainer
from aigc_core.networks.autoencoder import SignalDecoder, SignalEncoder
from aigc_core.networks.config import QuantizedAutoencoderConfig
from aigc_core.networks.quantizer import VectorQuantizer, perplexity
from aigc_core.trainers.config import QuantizedConfig


class QuantizedAutoencoder(Generator):
    """Encoder, codebook and decoder; a sample is a grid of codes.

    Drawn by itself, each code of the grid is independent of the others and as frequent as in the
    data. Such samples have the data's texture and no form: that is what a second stage is for.
    """

    def __init__(
        self,
        encoder: nn.Module,
        quantizer: VectorQuantizer,
        decoder: nn.Module,
        grid: Sequence[int],
        *,
        representation: Representation | None = None,
        sample_range: tuple[float, float] | None = None,
    ) -> None:
        """Take the networks.

        Args:
            encoder: maps samples, as represented, to latents ``(B, D, *grid)``.
            quantizer: has codes of size D.
            decoder: maps codes ``(B, D, *grid)`` to samples, as represented.
            grid: the sides of the grid of codes.
            representation: another form of samples than the modality's, such as spectrograms of
                waveforms, in which they are encoded.
            sample_range: of samples, without a representation; None for no bounds.
        """
        super().__init__()
        self.encoder, self.quantizer, self.decoder = encoder, quantizer, decoder
        self.grid = tuple(grid)
        self.representation = representation
        self._range = sample_range

    def represent(self, samples: Tensor) -> Tensor:
        """Map samples ``(B, *sample_shape)`` to the form that is encoded."""
        if self.representation is None:
            return samples
        represented: Tensor = self.representation(samples)
        return represented

    def restore(self, represented: Tensor) -> Tensor:
        """Map what the decoder makes to samples ``(B, *sample_shape)``, in their range."""
        if self.representation is not None:
            return self.representation.restore(represented)
        return represented if self._range is None else represented.clamp(*self._range)

    def encode(self, samples: Tensor) -> Tensor:
        """Map samples ``(B, *sample_shape)`` to latents ``(B, D, *grid)``, before quantisation.

        In float32, even under autocast: the same sample has the same tokens in any training.
        """
        with torch.autocast(samples.device.type, enabled=False):
            latents: Tensor = self.encoder(self.represent(samples))
        return latents

    def decode(self, latents: Tensor) -> Tensor:
        """Map latents ``(B, D, *grid)``, each by its nearest code, to ``(B, *sample_shape)``."""
        return self.from_tokens(self.quantizer.nearest(latents))

    def to_tokens(self, samples: Tensor) -> Tensor:
        """Map samples ``(B, *sample_shape)`` to int64 tokens ``(B, *grid)``."""
        return self.quantizer.nearest(self.encode(samples))

    def from_tokens(self, tokens: Tensor) -> Tensor:
        """Map int64 tokens ``(B, *grid)`` to samples ``(B, *sample_shape)``."""
        with torch.autocast(tokens.device.type, enabled=False):
            return self.restore(self.decoder(self.quantizer.lookup(tokens)))

    def sample(
        self,
        count: int,
        *,
        rng: torch.Generator,
        conditions: Mapping[str, Tensor] | None = None,
        controls: ConfigModel | None = None,
    ) -> Tensor:
        shares = self.quantizer.shares.expand(count * math.prod(self.grid), -1)
        return self.from_tokens(drawn(shares, rng).view(count, *self.grid))


class _Pass(NamedTuple):
    """What a pass through the autoencoder gives."""

    latents: Tensor
    """Before quantisation, float32 ``(B, D, *grid)``."""
    tokens: Tensor
    codes: Tensor
    """The tokens', ``(B, D, *grid)``."""
    error: Tensor
    """Of the reconstruction, the mean of its values, ()."""


class QuantizedTrainer(Trainer):
    """Minimises the reconstruction's error and the latents' distance to their codes.

    Equation 3 of the paper. Gradients of the reconstruction pass the codebook unchanged, to the
    encoder. Logged: ``codebook/perplexity``, and ``codebook/used``, the share of all codes that a
    batch uses.
    """

    def __init__(self, autoencoder: QuantizedAutoencoder, config: QuantizedConfig) -> None:
        self._autoencoder, self._config = autoencoder, config

    def networks(self) -> Mapping[str, nn.Module]:
        return {"autoencoder": self._autoencoder}

    def generator(self) -> QuantizedAutoencoder:
        return self._autoencoder

    def phases(self) -> Sequence[Phase]:
        return [Phase("autoencoder", ("autoencoder",), self._loss, self._config.optimizer)]

    def validation(self) -> Callable[[Batch, StepState], Mapping[str, Tensor]]:
        return self._validate

    def after_step(self, state: StepState) -> None:
        self._autoencoder.quantizer.update()

    @torch.no_grad()
    def reconstruct(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        """Encode samples ``(B, *sample_shape)``, and decode their codes."""
        return self._autoencoder.decode(self._autoencoder.encode(samples))

    def _pass(self, batch: Batch) -> _Pass:
        model = self._autoencoder
        samples = model.represent(batch["samples"])
        latents = model.encoder(samples).float()
        tokens = model.quantizer.nearest(latents)
        codes = model.quantizer.lookup(tokens)
        passed = latents + (codes - latents).detach()  # forwards codes, backwards latents
        found = model.decoder(passed).float()
        measure = mse_loss if self._config.reconstruction == "squared" else l1_loss
        return _Pass(latents, tokens, codes, measure(found, samples.float()))

    def _loss(self, batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        config, quantizer = self._config, self._autoencoder.quantizer
        done = self._pass(batch)
        counts = quantizer.observe(
            done.latents,
            done.tokens,
            state.whole_rng or state.rng,
            part=state.part,
            all_parts=state.all_parts,
        )
        state.log("codebook/perplexity", perplexity(counts))
        state.log("codebook/used", (counts > 0).float().mean())
        found = {
            "reconstruction": done.error,
            "commitment": config.commitment * mse_loss(done.latents, done.codes.detach()),
        }
        if config.codebook == "gradient":
            found["codebook"] = mse_loss(done.codes, done.latents.detach())
        return found

    def _validate(self, batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        done = self._pass(batch)
        counts = self._autoencoder.quantizer.counts(done.tokens)
        return {"loss": done.error, "perplexity": perplexity(counts)}

    @property
    def higher_is_better(self) -> Sequence[str]:
        return ("perplexity",)


def build(context: RecipeContext) -> QuantizedTrainer:
    """Make the trainer for samples of one to three sides that can be halved.

    Samples are encoded in the form of ``Modality.representation``, if their modality offers one.

    Raises:
        ConfigError: the samples have no sides, or such that cannot be halved as often.
    """
    config: QuantizedAutoencoderConfig = context.model
    trainer: QuantizedConfig = context.trainer
    modality = context.modality
    representation = modality.representation() if modality is not None else None
    shape = context.sample_shape if representation is None else representation.shape
    channels, sides = shape[0], shape[1:]
    whole = 2**config.halvings
    if not 1 <= len(sides) <= 3 or any(side % whole for side in sides):
        as_seen = "" if representation is None else "represented as "
        raise ConfigError(
            f"model.halvings={config.halvings} needs sides that are divisible by {whole}, and "
            f"samples are {as_seen}{'x'.join(map(str, shape))}. Choose fewer halvings, or another "
            "size with dataset.options."
        )
    shared = {"width": config.width, "halvings": config.halvings, "blocks": config.blocks}
    autoencoder = QuantizedAutoencoder(
        SignalEncoder(len(sides), channels, config.code_size, **shared),
        VectorQuantizer(
            config.codes,
            config.code_size,
            learning=trainer.codebook,
            decay=trainer.decay,
            revive_below=trainer.revive_below,
        ),
        SignalDecoder(len(sides), channels, config.code_size, **shared),
        [side // whole for side in sides],
        representation=representation,
        sample_range=modality.sample_range if modality is not None else None,
    )
    return QuantizedTrainer(autoencoder, trainer)
