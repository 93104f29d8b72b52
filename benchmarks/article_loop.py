"""The article's DCGAN loop as a baseline, changed only as much as it takes to run.

Changed: one mean and one standard deviation for one channel; images of 32 pixels, which the
networks are made for; labels of the discriminator's output shape; networks on the device before
the loop. Kept: sigmoid and BCELoss, a DataLoader without workers over PIL transforms, fakes that
are not detached, losses printed every 100 steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn
from torchvision import datasets, transforms

from aigc_image.dcgan import DCGANDiscriminator, DCGANGenerator
from aigc_image.dcgan_config import DCGANConfig


def networks(device: str = "cpu") -> tuple[nn.Module, nn.Module]:
    """Return the generator and the discriminator for 32-pixel grey images."""
    config = DCGANConfig(initialization="pytorch")
    return DCGANGenerator(config, 1, 32).to(device), DCGANDiscriminator(config, 1, 32).to(device)


def article_loop(
    root: Path, generator: nn.Module, discriminator: nn.Module, device: str = "cpu"
) -> Iterator[tuple[float, float]]:
    """Train forever, yielding after every step: the losses at every hundredth, otherwise NaN.

    ``root`` is where torchvision finds MNIST.
    """
    transform = transforms.Compose(
        [transforms.Resize(32), transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))]
    )
    dataset = datasets.MNIST(str(root), train=True, transform=transform)
    loader = torch.utils.data.DataLoader(dataset, batch_size=64, shuffle=True)
    criterion = nn.BCELoss()
    d_optimizer = torch.optim.Adam(discriminator.parameters(), lr=2e-4)
    g_optimizer = torch.optim.Adam(generator.parameters(), lr=2e-4)
    step = 0
    while True:
        for images, _ in loader:
            real = images.to(device)
            ones = torch.ones(len(real), device=device)
            zeros = torch.zeros(len(real), device=device)

            d_optimizer.zero_grad()
            fakes = generator(torch.randn(len(real), 100, device=device))
            d_loss = criterion(discriminator(real).sigmoid(), ones) + criterion(
                discriminator(fakes).sigmoid(), zeros
            )
            d_loss.backward()
            d_optimizer.step()

            g_optimizer.zero_grad()
            fakes = generator(torch.randn(len(real), 100, device=device))
            g_loss = criterion(discriminator(fakes).sigmoid(), ones)
            g_loss.backward()
            g_optimizer.step()

            step += 1
            logged = (d_loss.item(), g_loss.item()) if step % 100 == 0 else (float("nan"),) * 2
            if step % 100 == 0:
                print(f"step {step}: D {logged[0]:.3f}, G {logged[1]:.3f}")
            yield logged
