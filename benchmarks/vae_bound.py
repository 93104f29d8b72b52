"""Lower bounds of log p(x) of held-out images, in nats, for a run of image/vae --preset elbo.

The evidence lower bound, and the tighter importance-weighted one of Burda et al. 2016, "Importance
Weighted Autoencoders", equation 8, which published negative log-likelihoods use: log of the mean of
p(x, z) / q(z | x) over many z from q. Each pixel is drawn as black or white once.

    AIGC_DATA_DIR=… python benchmarks/vae_bound.py RUN --images 1000 --draws 500
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from aigc_core.api import open_sampler


@torch.no_grad()
def log_weights(encoder, decoder, image: Tensor, draws: int) -> Tensor:
    """Return log p(x, z) - log q(z | x) of ``draws`` z for one image ``(1, C, S, S)``."""
    mean, log_variance = encoder(image)  # (1, Z)
    noise = torch.randn(draws, mean.shape[1])
    latents = mean + (0.5 * log_variance).exp() * noise
    raw = decoder.raw(latents)  # (draws, C, S, S)
    targets = ((image + 1) / 2).expand_as(raw)
    nats = binary_cross_entropy_with_logits(raw, targets, reduction="none").flatten(1).sum(1)
    prior = -0.5 * latents.square().sum(1)  # constants of prior and posterior cancel
    posterior = -0.5 * (noise.square() + log_variance).sum(1)
    return (prior - posterior - nats).double()


def main() -> None:
    """Print both bounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=500)
    arguments = parser.parse_args()
    sampler = open_sampler(arguments.run, device="cpu")
    networks = sampler.trainer.networks()
    encoder, decoder = networks["encoder"].eval(), networks["decoder"].eval()
    torch.manual_seed(0)
    held_out = sampler.blueprint.held_out(sampler.spec, sampler.facts.label_names)
    stored = held_out.store.arrays["samples"]
    chosen = stored[torch.randperm(len(stored))[: arguments.images]]
    images = sampler.modality.to_model(chosen)
    images = (torch.rand(images.shape) < (images + 1) / 2).float() * 2 - 1
    weights = torch.stack(
        [log_weights(encoder, decoder, image[None], arguments.draws) for image in images]
    )  # (images, draws)
    tight = torch.logsumexp(weights, 1) - math.log(arguments.draws)
    error = tight.std() / math.sqrt(len(tight))
    print(f"ELBO {weights.mean():.2f} nats, {len(images)} images, {arguments.draws} draws each")
    print(f"importance-weighted bound {tight.mean():.2f} nats (standard error {error:.2f})")


if __name__ == "__main__":
    main()
