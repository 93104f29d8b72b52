"""The faults of the listing this project started from, and that ours has none of them.

A DCGAN tutorial's code that does not run: each test names one fault and shows the opposite.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy

import aigc_core
import aigc_core.losses
from aigc_core import (
    AdversarialConfig,
    AdversarialTrainer,
    Engine,
    EngineConfig,
    RecipeContext,
    SampleSpec,
)
from aigc_image.dcgan import build
from aigc_image.dcgan_config import DCGANConfig
from aigc_image.modality import ImageModality


@pytest.fixture
def modality() -> ImageModality:
    return ImageModality(SampleSpec(shape=(1, 28, 28), dtype="uint8"))


@pytest.fixture
def trainer(modality: ImageModality) -> AdversarialTrainer:
    model = DCGANConfig(width=8)
    return build(
        RecipeContext(model, AdversarialConfig(), modality.sample_shape, modality.spec, 10)
    )


@pytest.fixture
def digits() -> Tensor:
    rng = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (64, 1, 28, 28), generator=rng, dtype=torch.uint8)


def engine(trainer: AdversarialTrainer, digits: Tensor, modality: ImageModality) -> Engine:
    config = EngineConfig(steps=2, batch_size=16, device="cpu", precision="fp32")
    return Engine(trainer, {"samples": digits}, config, transform=modality.to_model)


def test_one_channel_is_scaled_as_one_channel(modality, digits) -> None:
    """Fault: Normalize with three means and deviations on one-channel images."""
    images = modality.to_model(digits)
    assert images.shape[1] == 1
    assert (images.min().item(), images.max().item()) == (-1, 1)


def test_28_pixels_fit_networks_for_32(modality, trainer, digits) -> None:
    """Fault: 28x28 images into networks made for 32x32."""
    images = modality.to_model(digits)
    assert images.shape == (64, 1, 32, 32)
    assert trainer.networks()["discriminator"](images).shape == (64,)
    assert torch.equal(modality.to_stored(images), digits)


def test_logits_and_losses_have_one_shape(modality, trainer, digits) -> None:
    """Fault: a discriminator's output of (B, 1, 1, 1) against labels of (B, 1)."""
    logits = trainer.networks()["discriminator"](modality.to_model(digits))
    assert logits.dim() == 1
    with pytest.raises(ValueError, match="target size"):
        binary_cross_entropy(torch.rand(4, 1, 1, 1), torch.ones(4, 1))


def test_a_very_sure_discriminator_still_gives_a_gradient() -> None:
    """Fault: sigmoid and then BCELoss, which loses the gradient once the sigmoid is exactly 0."""
    theirs = torch.tensor([-200.0], requires_grad=True)
    binary_cross_entropy(theirs.sigmoid(), torch.ones(1)).backward()
    assert theirs.grad.item() == 0
    ours = torch.tensor([-200.0], requires_grad=True)
    aigc_core.losses.adversarial_loss("non-saturating").generator(ours).backward()
    assert ours.grad.item() == pytest.approx(-1)


def test_the_discriminators_turn_leaves_the_generator_without_gradients(
    modality, trainer, digits
) -> None:
    """Fault: the generator's graph back-propagated in the discriminator's step."""
    discriminator_phase, generator_phase = trainer.phases()
    generator = trainer.networks()["generator"]
    seen: list[bool] = []

    def spy(batch: Mapping[str, Tensor], state: aigc_core.StepState) -> Mapping[str, Tensor]:
        seen.append(all(p.grad is None for p in generator.parameters()))
        return generator_phase.loss(batch, state)

    spied = aigc_core.Phase("generator", ("generator",), spy, generator_phase.optimizer)
    trainer.phases = lambda: [discriminator_phase, spied]
    engine(trainer, digits, modality).fit()
    assert seen == [True, True]


def test_networks_are_on_the_device_before_the_first_step(modality, trainer, digits) -> None:
    """Faults: `device` used before it is defined; `.to(device)` only after training."""
    meta = []

    class Spy(aigc_core.EngineObserver):
        def fit_started(self, engine: Engine) -> None:
            parameters = [p for n in engine.networks.values() for p in n.parameters()]
            meta.append({p.device for p in parameters} == {engine.device})

    ours = engine(trainer, digits, modality)
    ours.add_observer(Spy())
    ours.fit()
    assert meta == [True]


def test_everything_is_saved(tmp_path: Path, monkeypatch) -> None:
    """Fault: nothing saved, neither weights nor pictures nor losses."""
    monkeypatch.chdir(tmp_path)
    run = aigc_core.train(
        "image/dcgan",
        dataset="digits",
        overrides={"engine.steps": 2, "engine.batch_size": 8, "model.width": 4},
        out=tmp_path / "run",
    )
    assert (run.path / "checkpoints" / "step-000002" / "weights.safetensors").exists()
    assert (run.path / "samples" / "step-000002.png").exists()
    assert json.loads((run.path / "metrics.jsonl").read_text())["step"] == 2
    assert aigc_core.generate(run, count=1).shape == (1, 1, 32, 32)
