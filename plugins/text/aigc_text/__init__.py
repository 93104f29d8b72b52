"""The text modality of aigc. Importing this only declares specs; code is loaded on first use."""

from typing import Any

from aigc_core import DatasetSpec, ModalitySpec, RecipeSpec, hookimpl

__version__ = "0.1.0"

_OPTIONS = "aigc_text.options:TextOptions"
_SPLITS = ("train", "validation")

_CPU: dict[str, Any] = {  # nanoGPT's setting for a CPU, with a higher learning rate
    "dataset": {"options": {"context": 64}},
    "model": {"layers": 4, "heads": 4, "width": 128, "dropout": 0.0},
    "trainer": {"optimizer": {"lr": 3e-3, "warmup_steps": 100, "final_lr": 1e-4}},
    "engine": {
        "steps": 2000,
        "batch_size": 12,
        "validation_samples": 1742,  # Tiny Shakespeare's held-out text, without overlap
        "sample_every": 500,
        "sample_count": 8,
    },
}


@hookimpl
def aigc_register_modalities() -> list[ModalitySpec]:
    return [
        ModalitySpec(
            name="text",
            summary="Written language, stored as tokens: characters, bytes or byte pairs",
            code="aigc_text.modality:TextModality",
        )
    ]


@hookimpl
def aigc_register_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            name="tiny-shakespeare",
            modality="text",
            summary="A million characters of Shakespeare's plays (Karpathy 2015)",
            code="aigc_text.datasets.shakespeare:TinyShakespeare",
            options=_OPTIONS,
            splits=_SPLITS,
            licence="public domain",
            homepage="https://github.com/karpathy/char-rnn",
        ),
        DatasetSpec(
            name="pydocs",
            modality="text",
            summary="The text of Python's own help, another in each version: no download",
            code="aigc_text.datasets.pydocs:PyDocs",
            options=_OPTIONS,
            splits=_SPLITS,
            embedded=True,
            licence="PSF-2.0",
            homepage="https://docs.python.org",
        ),
        DatasetSpec(
            name="text-files",
            modality="text",
            summary="A file or folder of UTF-8 text (.txt, .md), any size; sub-folders are classes",
            code="aigc_text.datasets.files:TextFiles",
            options="aigc_text.options:TextFilesOptions",
            splits=_SPLITS,
        ),
    ]


@hookimpl
def aigc_register_recipes() -> list[RecipeSpec]:
    return [
        RecipeSpec(
            name="text/gpt",
            family="autoregressive",
            summary="Decoder-only transformer (Radford et al. 2018), from characters to byte pairs",
            build="aigc_text.gpt:build",
            model="aigc_text.transformer_config:GPTConfig",
            trainer="aigc_core.trainers.config:AutoregressiveConfig",
            dataset="tiny-shakespeare",
            defaults=_CPU,
            capabilities=("bf16",),
            presets={
                "tiny": {  # a smoke test of a few seconds
                    "dataset": {"name": "pydocs", "options": {"context": 32}},
                    "model": {"layers": 2, "heads": 2, "width": 32},
                    "trainer": {"optimizer": {"warmup_steps": 5}},
                    "engine": {
                        "steps": 20,
                        "batch_size": 16,
                        "validation_samples": 200,
                        "sample_count": 4,
                    },
                },
                "cpu": _CPU,
                "full": {  # nanoGPT's setting for one GPU
                    "dataset": {"options": {"context": 256}},
                    "model": {"layers": 6, "heads": 6, "width": 384, "dropout": 0.2},
                    "trainer": {"optimizer": {"lr": 1e-3, "final_lr": 1e-4}},
                    "engine": {"steps": 5000, "batch_size": 64, "validation_samples": 434},
                },
            },
        ),
        RecipeSpec(
            name="text/masked",
            family="masked",
            summary="Masked diffusion: fills gaps anywhere in a text (Sahoo et al. 2024)",
            build="aigc_text.masked:build",
            model="aigc_text.transformer_config:TransformerConfig",
            trainer="aigc_core.trainers.config:MaskedConfig",
            dataset="tiny-shakespeare",
            defaults={
                "dataset": {"options": {"context": 127}},  # and one more: 128 tokens
                "model": {"layers": 4, "heads": 4, "width": 192, "dropout": 0.0},
                "trainer": {"optimizer": {"lr": 2e-3, "warmup_steps": 200}},
                "engine": {
                    "steps": 3000,
                    "batch_size": 32,
                    "ema": 0.999,
                    "validation_samples": 871,
                    "sample_every": 1000,
                    "sample_count": 8,
                },
            },
            capabilities=("bf16",),
            presets={
                "tiny": {  # a smoke test of a few seconds
                    "dataset": {"name": "pydocs", "options": {"context": 31}},
                    "model": {"layers": 2, "heads": 2, "width": 32},
                    "trainer": {"optimizer": {"warmup_steps": 5}},
                    "engine": {
                        "steps": 20,
                        "batch_size": 16,
                        "validation_samples": 200,
                        "sample_count": 4,
                    },
                },
            },
        ),
        RecipeSpec(
            name="text/gan",
            family="GAN",
            summary="Wasserstein GAN of tokens drawn all at once (Gulrajani et al. 2017)",
            build="aigc_text.gan:build",
            model="aigc_text.gan_config:TextGANConfig",
            trainer="aigc_core.trainers.config:AdversarialConfig",
            dataset="tiny-shakespeare",
            defaults={
                "dataset": {"options": {"context": 31}},  # and one more: 32 tokens
                "trainer": {
                    "loss": "wasserstein",
                    "gradient_penalty": 10.0,
                    "critic_steps": 2,
                    "generator": {"lr": 2e-4, "betas": (0.5, 0.9)},
                    "discriminator": {"lr": 2e-4, "betas": (0.5, 0.9)},
                },
                "engine": {
                    "steps": 5000,
                    "batch_size": 64,
                    "ema": 0.999,
                    "sample_every": 500,
                    "sample_count": 16,
                },
            },
            capabilities=("adversarial",),
            presets={
                "cpu": {  # minutes on one core: no second derivatives in most steps
                    "model": {"width": 48, "blocks": 2, "latent_size": 64},
                    "trainer": {
                        "loss": "hinge",
                        "gradient_penalty": 0.0,
                        "r1_penalty": 0.1,
                        "r1_every": 8,
                        "critic_steps": 1,
                        "generator": {"lr": 1e-3, "betas": (0.0, 0.99), "schedule": "cosine"},
                        "discriminator": {"lr": 1e-3, "betas": (0.0, 0.99), "schedule": "cosine"},
                    },
                    "engine": {"steps": 8000, "ema": 0.99, "sample_every": 2000},
                },
                "tiny": {  # a smoke test of a few seconds
                    "dataset": {"name": "pydocs", "options": {"context": 15}},
                    "model": {"width": 16, "blocks": 2, "latent_size": 16},
                    "engine": {"steps": 10, "batch_size": 16, "sample_count": 4},
                },
            },
        ),
    ]
