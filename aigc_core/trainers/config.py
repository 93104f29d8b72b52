"""The trainers' configuration; free of torch, so that plugins can name it cheaply."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from aigc_core.interfaces.config import (
    ChoiceControls,
    ConfigModel,
    OptimizerConfig,
    PrivacyConfig,
)


class AdversarialConfig(ConfigModel):
    """Settings of the two-player game."""

    loss: Literal["non-saturating", "minimax", "least-squares", "hinge", "wasserstein"] = (
        "non-saturating"
    )
    """The adversarial loss; non-saturating is binary cross-entropy on logits."""
    gradient_penalty: float = Field(default=0.0, ge=0)
    """Weight of WGAN-GP's gradient penalty (10 in the paper); 0 for none."""
    r1_penalty: float = Field(default=0.0, ge=0)
    """Weight γ of the R1 penalty (Mescheder et al. 2018); 0 for none."""
    r1_every: int = Field(default=16, ge=1, le=10_000)
    """Apply the R1 penalty lazily: only every this many steps, multiplied by this number (Karras
    et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", appendix B)."""
    classification: float = Field(default=1.0, ge=0)
    """Weight of the classification loss if the discriminator predicts classes (Odena et al. 2017,
    "Conditional Image Synthesis with Auxiliary Classifier GANs")."""
    critic_steps: int = Field(default=1, ge=1, le=100)
    """Updates of the discriminator per update of the generator, each on its own batch."""
    generator: OptimizerConfig = OptimizerConfig(betas=(0.5, 0.999))
    """The generator's optimiser; by default that of Radford et al. 2016 (DCGAN)."""
    discriminator: OptimizerConfig = OptimizerConfig(betas=(0.5, 0.999))
    """The discriminator's optimiser."""
    privacy: PrivacyConfig | None = None
    """Differential privacy of the training data for the discriminator, which alone sees it; null
    for none."""

    @model_validator(mode="after")
    def _critic_is_constrained(self) -> AdversarialConfig:
        if self.loss == "wasserstein" and self.gradient_penalty == 0:
            raise ValueError(
                "the wasserstein loss needs a constraint on the critic: set gradient_penalty to 10"
            )
        if self.privacy is not None and (self.gradient_penalty or self.r1_penalty):
            raise ValueError("privacy does not go with gradient_penalty or r1_penalty")
        return self


class VariationalConfig(ConfigModel):
    """Settings of a variational autoencoder."""

    reconstruction: Literal["bernoulli", "gaussian", "laplace"] = "bernoulli"
    """Likelihood of a sample given its latents; gaussian is the squared error, laplace the
    absolute error, both with a scale of 0.1 for samples in [-1, 1]."""
    binarize: bool = False
    """Draw each value as black or white, with its brightness as the probability: makes bernoulli a
    true likelihood, and the ELBO comparable with published ones."""
    beta: float = Field(default=1.0, ge=0)
    """Weight of the KL divergence (Higgins et al. 2017); 1 is the evidence lower bound."""
    free_bits: float = Field(default=0.0, ge=0)
    """Nats per latent dimension below which the KL costs nothing (Kingma et al. 2016)."""
    optimizer: OptimizerConfig = OptimizerConfig(lr=1e-3)
    """The optimiser of encoder and decoder."""
    privacy: PrivacyConfig | None = None
    """Differential privacy of the training data; null for none."""


class QuantizedConfig(ConfigModel):
    """Settings of an autoencoder with a codebook."""

    reconstruction: Literal["squared", "absolute"] = "squared"
    """How the error of a value is measured."""
    commitment: float = Field(default=0.25, ge=0, le=100)
    """Weight of the vectors' squared distance to their codes, which keeps the encoder near them."""
    codebook: Literal["average", "gradient"] = "average"
    """How codes learn: as running averages of the vectors that they stand for, or by gradients of
    the squared distance to them."""
    decay: float = Field(default=0.99, ge=0, lt=1)
    """Of the running averages, each step."""
    revive_below: float = Field(default=0.02, ge=0, lt=1)
    """A code that is used less than this share of even use is replaced by a vector of the batch;
    0 for never."""
    optimizer: OptimizerConfig = OptimizerConfig(lr=1e-3, schedule="cosine", warmup_steps=100)
    """The optimiser of encoder and decoder."""


_TOKENS = OptimizerConfig(
    name="adamw",
    lr=1e-3,
    betas=(0.9, 0.99),
    weight_decay=0.1,
    decay_matrices_only=True,
    clip_grad_norm=1.0,
    schedule="cosine",
    warmup_steps=100,
    final_lr=1e-4,
)  # of transformers over tokens


class AutoregressiveConfig(ConfigModel):
    """Settings of token-by-token maximum likelihood."""

    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the target's probability that is spread over all tokens."""
    optimizer: OptimizerConfig = _TOKENS
    """The generator's optimiser."""
    privacy: PrivacyConfig | None = None
    """Differential privacy of the training data; null for none."""


class MaskedConfig(ConfigModel):
    """Settings of masked diffusion."""

    optimizer: OptimizerConfig = _TOKENS
    """The generator's optimiser."""
    privacy: PrivacyConfig | None = None
    """Differential privacy of the training data; null for none."""


class MaskedControls(ChoiceControls):
    """How hidden tokens are filled in."""

    steps: int = Field(default=64, ge=1, le=10_000)
    """How many times the network is asked; in each, some of the hidden tokens appear."""


class FlowConfig(ConfigModel):
    """Settings of flow matching."""

    path: Literal["linear", "cosine"] = "linear"
    """How noise becomes data: along a straight line (rectified flow), or with a constant variance,
    as in diffusion models with a cosine schedule."""
    prediction: Literal["velocity", "data"] = "velocity"
    """What the network is asked for: where the sample moves to, or what it will be."""
    time: Literal["uniform", "logit-normal"] = "logit-normal"
    """Which times are learned from: all alike, or those in the middle more often (Esser et al.
    2024, "Scaling Rectified Flow Transformers", section 3.1)."""
    condition_dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of samples whose conditions are hidden, which guidance needs (Ho & Salimans 2022)."""
    optimizer: OptimizerConfig = OptimizerConfig(
        name="adamw",
        lr=1e-3,
        betas=(0.9, 0.99),
        decay_matrices_only=True,
        weight_decay=0.01,
        clip_grad_norm=1.0,
        schedule="cosine",
        warmup_steps=100,
        final_lr=1e-5,
    )
    """The generator's optimiser."""
    privacy: PrivacyConfig | None = None
    """Differential privacy of the training data; null for none."""


class FlowControls(ConfigModel):
    """How a flow is followed from noise to a sample."""

    steps: int = Field(default=25, ge=1, le=1000)
    """Steps of the solver; one evaluation of the network each, and two with heun."""
    solver: Literal["euler", "heun", "adams"] = "adams"
    """Euler's method, Heun's, or Adams' two-step method."""
    guidance: float = Field(default=1.0, ge=0, le=100)
    """How strongly conditions count: 1 as learned, 0 not at all, above 1 more than learned, which
    doubles the work."""
