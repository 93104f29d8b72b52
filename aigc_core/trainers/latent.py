"""Second stages: models of what an autoencoder, trained before and frozen, makes of samples.

Its run is a parent of theirs, named ``autoencoder``. Samples are encoded within the step, on the
device, and what is drawn comes back decoded, so data and files are those of the first stage.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import Embedding

from aigc_core.errors import ConfigError
from aigc_core.interfaces.autoregressive import AutoregressiveGenerator
from aigc_core.interfaces.config import ChoiceControls, ConfigModel
from aigc_core.interfaces.generator import Condition
from aigc_core.interfaces.recipe import RecipeContext
from aigc_core.networks.config import LatentFlowConfig, TransformerConfig
from aigc_core.networks.embeddings import TimeEmbedding
from aigc_core.networks.frozen import Frozen
from aigc_core.networks.token_cache import TokenCache
from aigc_core.networks.token_transformer import TokenTransformer
from aigc_core.networks.transformer import initialize_transformer
from aigc_core.networks.unet import UNet
from aigc_core.trainers.autoregressive import AutoregressiveTrainer
from aigc_core.trainers.flow import FlowGenerator, FlowTrainer
from aigc_core.trainers.quantized import QuantizedAutoencoder

PARENT = "autoencoder"


def parent_autoencoder(context: RecipeContext) -> QuantizedAutoencoder:
    """Return the autoencoder of the run that was given as a parent.

    Raises:
        ConfigError: it has no codebook, or learned from other samples than this run's data has.
    """
    parent = context.parents[PARENT]
    if not isinstance(parent.generator, QuantizedAutoencoder):
        raise ConfigError(
            f"The parent '{PARENT}' is of {parent.recipe}, which has no codebook. Give a run of a "
            "vector-quantised autoencoder."
        )
    theirs, ours = parent.modality.spec, context.spec
    for name in ("shape", "dtype", "units"):
        before, now = getattr(theirs, name), getattr(ours, name)
        if before != now:
            raise ConfigError(
                f"The parent '{PARENT}' learned from samples with {name}={before}, and this run's "
                f"data has {name}={now}. Choose --dataset and dataset.options as they were there, "
                "or train another parent on this data."
            )
    return parent.generator


class TokenPrior(TokenTransformer, AutoregressiveGenerator):
    """A causal transformer over the tokens of an autoencoder, in the order of their grid.

    van den Oord et al. 2017, section 3.3, with a transformer in the place of PixelCNN. If
    conditional, the label's embedding is added to every token's.
    """

    sample_chunk: ClassVar[int] = 32  # token by token, but many cost little more than one
    controls: ClassVar[type[ConfigModel]] = ChoiceControls

    def __init__(
        self, config: TransformerConfig, autoencoder: QuantizedAutoencoder, classes: int = 0
    ) -> None:
        super().__init__()
        self.autoencoder = Frozen(autoencoder)
        self.label_count = classes
        self.vocabulary_size = autoencoder.quantizer.codes
        self.sample_length = math.prod(autoencoder.grid)
        self.start_token = self.vocabulary_size  # an extra token, before the first
        self.learns_start = True
        self.make_layers(
            config,
            inputs=self.vocabulary_size + 1,
            outputs=self.vocabulary_size,
            length=self.sample_length,
            classes=classes,
            causal=True,
        )
        initialize_transformer(self)

    @property
    def conditions(self) -> Mapping[str, Condition]:
        """A class, if the network knows some."""
        return {"label": Condition("labels")} if self.label_count else {}

    @torch.no_grad()
    def to_tokens(self, samples: Tensor) -> Tensor:
        """Map samples ``(B, *sample_shape)`` to int64 tokens ``(B, T)``."""
        tokens: Tensor = self.autoencoder.module.to_tokens(samples)
        return tokens.flatten(1)  # (B, *grid) -> (B, T)

    def from_tokens(self, tokens: Tensor) -> Tensor:
        """Map int64 tokens ``(B, T)`` to samples ``(B, *sample_shape)``."""
        autoencoder = self.autoencoder.module
        samples: Tensor = autoencoder.from_tokens(tokens.view(-1, *autoencoder.grid))
        return samples

    def new_cache(self, batch: int, condition: Tensor | None = None) -> TokenCache:
        return self.cache(batch, condition, self.sample_length, lambda total: total)

    def next_logits(self, tokens: Tensor, cache: TokenCache) -> Tensor:
        return cache.take(tokens)


class LatentFlow(FlowGenerator):
    """Latents ``(B, D, *grid)`` of an autoencoder mixed with noise to their velocity.

    Rombach et al. 2022, "High-Resolution Image Synthesis with Latent Diffusion Models": latents are
    those before quantisation, and quantising what is drawn is a part of decoding. Each channel is
    scaled to mean 0 and variance 1, as the codes that stand for the latents have, by their use.
    """

    def __init__(
        self, config: LatentFlowConfig, autoencoder: QuantizedAutoencoder, classes: int = 0
    ) -> None:
        super().__init__()
        self.autoencoder = Frozen(autoencoder)
        quantizer, dims = autoencoder.quantizer, len(autoencoder.grid)
        self.noise_shape = (quantizer.size, *autoencoder.grid)
        self.label_count = classes
        codebook, shares = quantizer.codebook.detach(), quantizer.shares[:, None]  # (K, D), (K, 1)
        mean = (codebook * shares).sum(0)
        variance = ((codebook - mean).square() * shares).sum(0)
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", mean.view(-1, *[1] * dims), persistent=False)
        scale = variance.sqrt().clamp(min=1e-4)  # a channel may say nothing
        self.register_buffer("scale", scale.view(-1, *[1] * dims), persistent=False)
        vector, levels = 4 * config.width, len(config.multipliers)
        self.time = TimeEmbedding(vector)
        if classes:
            self.label = Embedding(classes + 1, vector)  # the last stands for no class
        self.unet = UNet(
            dims,
            quantizer.size,
            quantizer.size,
            widths=[config.width * multiplier for multiplier in config.multipliers],
            blocks=config.blocks,
            attention=[level == levels - 1 for level in range(levels)],
            embedding_size=vector,
        )

    def represent(self, samples: Tensor) -> Tensor:
        """Map samples ``(B, *sample_shape)`` to scaled latents ``(B, D, *grid)``."""
        latents: Tensor = self.autoencoder.module.encode(samples)
        return (latents - self.mean) / self.scale

    def restore(self, represented: Tensor) -> Tensor:
        """Map scaled latents ``(B, D, *grid)`` to samples ``(B, *sample_shape)``."""
        samples: Tensor = self.autoencoder.module.decode(represented * self.scale + self.mean)
        return samples

    def forward(self, mixed: Tensor, times: Tensor, conditions: Mapping[str, Tensor]) -> Tensor:
        vector = self.time(times)  # (B, E)
        if self.label_count:
            vector = vector + self.label(conditions["label"])
        velocity: Tensor = self.unet(mixed, vector)
        return velocity


def build_prior(context: RecipeContext) -> AutoregressiveTrainer:
    """Make the trainer of a prior of the parent's tokens; its configuration is the transformer's.

    Raises:
        ConfigError: the parent does not fit the data, or the data has no classes.
    """
    classes = context.classes_if(context.model.conditional)
    prior = TokenPrior(context.model, parent_autoencoder(context), classes)
    return AutoregressiveTrainer(prior, context.trainer)


def build_flow(context: RecipeContext) -> FlowTrainer:
    """Make the trainer of a flow of the parent's latents; see ``LatentFlowConfig``.

    Raises:
        ConfigError: the parent does not fit the data or the levels, or the data has no classes.
    """
    config: LatentFlowConfig = context.model
    classes = context.classes_if(config.condition == "class", "model.condition=class")
    autoencoder = parent_autoencoder(context)
    whole = 2 ** (len(config.multipliers) - 1)
    if any(side % whole for side in autoencoder.grid):
        raise ConfigError(
            f"{len(config.multipliers)} model.multipliers need latents whose sides are divisible "
            f"by {whole}, and the parent's are {'x'.join(map(str, autoencoder.grid))}. Choose "
            "fewer multipliers."
        )
    return FlowTrainer(LatentFlow(config, autoencoder, classes), context.trainer)
