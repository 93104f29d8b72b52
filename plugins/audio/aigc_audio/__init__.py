"""The audio modality of aigc. Importing this only declares specs; code is loaded on first use."""

from typing import Any

from aigc_core import DatasetSpec, ModalitySpec, ParentSpec, RecipeSpec, hookimpl

__version__ = "0.1.0"

_FAST_GAN: dict[str, Any] = {  # R1 instead of five critic steps: benchmarks/RESULTS.md
    "loss": "non-saturating",
    "gradient_penalty": 0.0,
    "critic_steps": 1,
    "generator": {"lr": 4e-4, "betas": [0.0, 0.99]},
    "discriminator": {"lr": 4e-4, "betas": [0.0, 0.99]},
}

_AUTOENCODER = ParentSpec(recipes=("audio/vqvae",), summary="what makes codes of sounds")

_WAVENET_CPU: dict[str, Any] = {
    "dataset": {"options": {"samples": 4096}},
    "model": {"stacks": 2, "layers": 9, "width": 32, "skip_width": 128},
    "trainer": {"optimizer": {"lr": 2e-3, "final_lr": 1e-4}},
    "engine": {"steps": 2500, "batch_size": 4, "sample_every": 1000, "sample_count": 4},
}


@hookimpl
def aigc_register_modalities() -> list[ModalitySpec]:
    return [
        ModalitySpec(
            name="audio",
            summary="Sound, mono or stereo, stored as 16-bit samples (C, L)",
            code="aigc_audio.modality:AudioModality",
        )
    ]


@hookimpl
def aigc_register_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            name="fsdd",
            modality="audio",
            summary="3,000 spoken digits by six people, 8 kHz (Free Spoken Digit Dataset)",
            code="aigc_audio.datasets.fsdd:Fsdd",
            options="aigc_audio.options:FsddOptions",
            splits=("train", "test"),
            licence="CC BY-SA 4.0",
            homepage="https://github.com/Jakobovski/free-spoken-digit-dataset",
        ),
        DatasetSpec(
            name="speech-commands",
            modality="audio",
            summary="The ten digits of Speech Commands v0.02, 16 kHz: SC09 (Warden 2018)",
            code="aigc_audio.datasets.speech_commands:SpeechCommands",
            options="aigc_audio.options:SpeechCommandsOptions",
            splits=("train", "validation", "test"),
            licence="CC BY 4.0",
            homepage="https://arxiv.org/abs/1804.03209",
        ),
        DatasetSpec(
            name="tones",
            modality="audio",
            summary="Synthesised notes of twelve pitches, 8 kHz: no download",
            code="aigc_audio.datasets.tones:Tones",
            options="aigc_audio.options:TonesOptions",
            splits=("train", "test"),
            embedded=True,
            licence="CC0-1.0",
        ),
        DatasetSpec(
            name="audio-folder",
            modality="audio",
            summary="Any folder of WAV, FLAC, OGG or MP3; sub-folders become classes",
            code="aigc_audio.datasets.folder:AudioFolder",
            options="aigc_audio.options:AudioFolderOptions",
        ),
    ]


@hookimpl
def aigc_register_recipes() -> list[RecipeSpec]:
    return [
        RecipeSpec(
            name="audio/wavegan",
            family="GAN",
            summary="GAN on raw waveforms (Donahue et al. 2019), 4,096 to 16,384 samples",
            build="aigc_audio.wavegan:build",
            model="aigc_audio.wavegan_config:WaveGANConfig",
            trainer="aigc_core.trainers.config:AdversarialConfig",
            dataset="fsdd",
            defaults={  # the paper's: WGAN-GP, five critic steps
                "trainer": {
                    "loss": "wasserstein",
                    "gradient_penalty": 10.0,
                    "critic_steps": 5,
                    "generator": {"lr": 1e-4, "betas": [0.5, 0.9]},
                    "discriminator": {"lr": 1e-4, "betas": [0.5, 0.9]},
                },
                "engine": {"steps": 100_000, "batch_size": 64, "sample_count": 16},
            },
            capabilities=("adversarial", "bf16"),
            presets={
                "tiny": {  # a smoke test of a few seconds
                    "dataset": {"name": "tones"},
                    "model": {"width": 4},
                    "engine": {"steps": 10, "batch_size": 8, "sample_count": 4},
                },
                "cpu": {
                    "dataset": {"options": {"samples": 4096}},
                    "model": {"width": 16, "generator_normalization": "batch", "conditional": True},
                    "trainer": _FAST_GAN | {"r1_penalty": 1.0},
                    "engine": {"steps": 12_000, "batch_size": 32, "ema": 0.999},
                },
            },
        ),
        RecipeSpec(
            name="audio/specgan",
            family="GAN",
            summary="GAN on log-mel spectrograms, heard by Griffin-Lim (Donahue et al. 2019)",
            build="aigc_audio.specgan:build",
            model="aigc_audio.specgan_config:SpecGANConfig",
            trainer="aigc_core.trainers.config:AdversarialConfig",
            dataset="fsdd",
            defaults={
                "trainer": _FAST_GAN | {"r1_penalty": 0.1},
                "engine": {"epochs": 300, "batch_size": 64, "ema": 0.999, "sample_count": 16},
            },
            capabilities=("adversarial", "bf16"),
            presets={
                "tiny": {  # a smoke test of a few seconds
                    "dataset": {"name": "tones"},
                    "model": {"width": 4},
                    "engine": {"steps": 10, "batch_size": 16, "sample_count": 4},
                },
                "cpu": {
                    "model": {"width": 32, "conditional": True},
                    "engine": {"steps": 8_000, "batch_size": 32},
                },
            },
        ),
        RecipeSpec(
            name="audio/flow",
            family="flow",
            summary="Flow matching on log-mel spectrograms (Lipman et al. 2023)",
            build="aigc_audio.flow:build",
            model="aigc_audio.flow_config:FlowNetworkConfig",
            trainer="aigc_core.trainers.config:FlowConfig",
            dataset="fsdd",
            defaults={
                "engine": {"epochs": 300, "batch_size": 64, "ema": 0.999, "sample_count": 16}
            },
            capabilities=("bf16",),
            presets={
                "tiny": {  # a smoke test of a few seconds
                    "dataset": {"name": "tones"},
                    "model": {"width": 8, "condition": "class", "blocks": 1},
                    "engine": {"steps": 10, "batch_size": 16, "sample_count": 4},
                },
                "cpu": {  # minutes on two cores: benchmarks/RESULTS.md
                    "model": {"width": 32, "condition": "class"},
                    "engine": {"steps": 3000, "epochs": None, "batch_size": 64},
                },
            },
        ),
        RecipeSpec(
            name="audio/vqvae",
            family="two stages",
            summary="Spectrograms as grids of codes: the first stage of two (van den Oord 2017)",
            build="aigc_core.trainers.quantized:build",
            model="aigc_core.networks.config:QuantizedAutoencoderConfig",
            trainer="aigc_core.trainers.config:QuantizedConfig",
            dataset="fsdd",
            defaults={
                "model": {"codes": 512, "halvings": 3},
                "engine": {"epochs": 300, "batch_size": 64, "sample_count": 16},
            },
            capabilities=("bf16",),
            presets={
                "cpu": {  # minutes on two cores
                    "model": {"width": 48, "blocks": 1},
                    "engine": {"steps": 2500, "epochs": None, "batch_size": 32},
                },
                "tiny": {  # a smoke test of a few seconds
                    "dataset": {"name": "tones"},
                    "model": {"codes": 32, "code_size": 4, "width": 8, "blocks": 1},
                    "engine": {"steps": 10, "epochs": None, "batch_size": 16, "sample_count": 4},
                },
            },
        ),
        RecipeSpec(
            name="audio/prior",
            family="two stages",
            summary="Transformer over the codes of audio/vqvae, by class or not: the second stage",
            build="aigc_core.trainers.latent:build_prior",
            model="aigc_core.networks.config:TransformerConfig",
            trainer="aigc_core.trainers.config:AutoregressiveConfig",
            dataset="fsdd",
            parents={"autoencoder": _AUTOENCODER},
            defaults={
                "engine": {"epochs": 300, "batch_size": 64, "ema": 0.999, "sample_count": 16}
            },
            capabilities=("bf16",),
            presets={
                "cpu": {  # minutes on two cores
                    "model": {
                        "layers": 4,
                        "heads": 4,
                        "width": 128,
                        "dropout": 0.1,
                        "conditional": True,
                    },
                    "engine": {"steps": 5000, "epochs": None, "batch_size": 64},
                },
                "tiny": {  # a smoke test of a few seconds
                    "dataset": {"name": "tones"},
                    "model": {"layers": 1, "heads": 2, "width": 16, "dropout": 0.0},
                    "engine": {"steps": 10, "epochs": None, "batch_size": 16, "sample_count": 4},
                },
            },
        ),
        RecipeSpec(
            name="audio/wavenet",
            family="autoregressive",
            summary="Autoregressive model of raw waveforms (van den Oord et al. 2016)",
            build="aigc_audio.wavenet:build",
            model="aigc_audio.wavenet_config:WaveNetConfig",
            trainer="aigc_core.trainers.config:AutoregressiveConfig",
            dataset="fsdd",
            defaults={
                "engine": {
                    "steps": 100_000,
                    "batch_size": 8,
                    "ema": 0.999,
                    "sample_every": 5000,  # sampling is slow: one audio sample at a time
                    "sample_count": 4,
                },
            },
            capabilities=("bf16",),
            presets={
                "tiny": {  # a smoke test of a few seconds
                    "dataset": {"name": "tones", "options": {"samples": 1024}},
                    "model": {"stacks": 2, "layers": 4, "width": 8, "skip_width": 16},
                    "engine": {"steps": 10, "batch_size": 4, "sample_count": 2},
                },
                "cpu": _WAVENET_CPU,
            },
        ),
    ]
