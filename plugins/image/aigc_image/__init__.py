"""The image modality of aigc. Importing this only declares specs; code is loaded on first use."""

from aigc_core import DatasetSpec, ModalitySpec, ParentSpec, RecipeSpec, hookimpl

__version__ = "0.1.0"

_TINY_TRANSLATOR = {  # seconds: to see that everything works
    "model": {"width": 8, "multipliers": [1, 2]},
    "engine": {"steps": 10, "epochs": None, "batch_size": 8, "sample_count": 8},
}
_AUTOENCODER = ParentSpec(recipes=("image/vqvae",), summary="what makes codes of images")
_MNIST_OPTIONS = "aigc_image.options:MnistOptions"


@hookimpl
def aigc_register_modalities() -> list[ModalitySpec]:
    return [
        ModalitySpec(
            name="image",
            summary="Pictures, grey or RGB, stored as uint8 (C, H, W), or grey as uint16",
            code="aigc_image.modality:ImageModality",
        )
    ]


@hookimpl
def aigc_register_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            name="mnist",
            modality="image",
            summary="70,000 handwritten digits, 28x28 grey (LeCun et al. 1998)",
            code="aigc_image.datasets.mnist:Mnist",
            options=_MNIST_OPTIONS,
            splits=("train", "test"),
            licence="CC BY-SA 3.0",
            homepage="http://yann.lecun.com/exdb/mnist/",
        ),
        DatasetSpec(
            name="fashion-mnist",
            modality="image",
            summary="70,000 articles of clothing in 10 classes, 28x28 grey (Xiao et al. 2017)",
            code="aigc_image.datasets.mnist:FashionMnist",
            options=_MNIST_OPTIONS,
            splits=("train", "test"),
            licence="MIT",
            homepage="https://github.com/zalandoresearch/fashion-mnist",
        ),
        DatasetSpec(
            name="kmnist",
            modality="image",
            summary="70,000 cursive Japanese characters in 10 classes, 28x28 grey (Clanuwat 2018)",
            code="aigc_image.datasets.mnist:KMnist",
            options=_MNIST_OPTIONS,
            splits=("train", "test"),
            licence="CC BY-SA 4.0",
            homepage="http://codh.rois.ac.jp/kmnist/",
        ),
        DatasetSpec(
            name="digits",
            modality="image",
            summary="1,797 handwritten digits, 8x8 grey enlarged, inside scikit-learn: no download",
            code="aigc_image.datasets.digits:Digits",
            options="aigc_image.options:DigitsOptions",
            embedded=True,
            licence="CC BY 4.0",
            homepage="https://archive.ics.uci.edu/dataset/80",
        ),
        DatasetSpec(
            name="captioned-shapes",
            modality="image",
            summary="Coloured shapes with captions, 32x32 RGB, drawn by code: no download",
            code="aigc_image.datasets.captioned_shapes:CaptionedShapes",
            options="aigc_image.options:CaptionedShapesOptions",
            splits=("train", "test"),
            columns={"text": "text"},
            embedded=True,
            licence="MIT",
        ),
        DatasetSpec(
            name="digit-edges",
            modality="image",
            summary="The digits of scikit-learn and their outlines, in pairs: no download",
            code="aigc_image.datasets.digit_pairs:DigitEdges",
            options="aigc_image.options:DigitsOptions",
            splits=("train", "test"),
            columns={"input": "image"},
            embedded=True,
            licence="CC BY 4.0",
            homepage="https://archive.ics.uci.edu/dataset/80",
        ),
        DatasetSpec(
            name="digit-inks",
            modality="image",
            summary="Black digits and other, white ones, unpaired: no download",
            code="aigc_image.datasets.digit_pairs:DigitInks",
            options="aigc_image.options:DigitsOptions",
            columns={"input": "image"},
            embedded=True,
            licence="CC BY 4.0",
            homepage="https://archive.ics.uci.edu/dataset/80",
        ),
        DatasetSpec(
            name="image-folder",
            modality="image",
            summary="Any folder of images, with captions or without; sub-folders become classes",
            code="aigc_image.datasets.folder:ImageFolder",
            options="aigc_image.options:ImageFolderOptions",
            columns={"text": "text"},
        ),
        DatasetSpec(
            name="paired-folder",
            modality="image",
            summary="Images in the folders input and target, in pairs of equal names",
            code="aigc_image.datasets.two_folders:PairedFolder",
            options="aigc_image.options:ImageFolderOptions",
            columns={"input": "image"},
        ),
        DatasetSpec(
            name="unpaired-folder",
            modality="image",
            summary="Images in the folders a and b, to be translated from a to b, without pairs",
            code="aigc_image.datasets.two_folders:UnpairedFolder",
            options="aigc_image.options:ImageFolderOptions",
            columns={"input": "image"},
        ),
    ]


@hookimpl
def aigc_register_recipes() -> list[RecipeSpec]:
    return [
        RecipeSpec(
            name="image/dcgan",
            family="GAN",
            summary="Deep convolutional GAN (Radford et al. 2016), 32 to 128 pixels",
            build="aigc_image.dcgan:build",
            model="aigc_image.dcgan_config:DCGANConfig",
            trainer="aigc_core.trainers.config:AdversarialConfig",
            dataset="mnist",
            defaults={  # the best measured on MNIST: benchmarks/RESULTS.md
                "trainer": {"loss": "hinge"},
                "engine": {"epochs": 5, "batch_size": 32, "ema": 0.999},
            },
            capabilities=("adversarial", "bf16"),
            presets={
                "quick": {  # readable digits in about a minute on any CPU
                    "dataset": {"name": "digits"},
                    "model": {"width": 16},
                    "engine": {"steps": 1500},
                },
                "tiny": {  # a smoke test of a few seconds
                    "dataset": {"name": "digits"},
                    "model": {"width": 8},
                    "engine": {"steps": 20, "batch_size": 16, "sample_count": 16},
                },
                "article": {
                    "model": {"initialization": "pytorch"},
                    "trainer": {
                        "loss": "non-saturating",
                        "generator": {"name": "adam", "lr": 2e-4, "betas": [0.9, 0.999]},
                        "discriminator": {"name": "adam", "lr": 2e-4, "betas": [0.9, 0.999]},
                    },
                    "engine": {"epochs": 100, "batch_size": 64, "ema": None},
                },
                "wgan-gp": {  # Gulrajani et al. 2017, algorithm 1
                    "model": {"discriminator_normalization": "layer"},
                    "trainer": {
                        "loss": "wasserstein",
                        "gradient_penalty": 10.0,
                        "critic_steps": 5,
                        "generator": {"lr": 1e-4, "betas": [0.0, 0.9]},
                        "discriminator": {"lr": 1e-4, "betas": [0.0, 0.9]},
                    },
                    "engine": {"epochs": 25, "batch_size": 64},
                },
            },
        ),
        RecipeSpec(
            name="image/vae",
            family="VAE",
            summary="Variational autoencoder, convolutional (Kingma & Welling 2014)",
            build="aigc_image.vae:build",
            model="aigc_image.vae_config:VAEConfig",
            trainer="aigc_core.trainers.config:VariationalConfig",
            dataset="mnist",
            defaults={
                "trainer": {"optimizer": {"schedule": "cosine", "warmup_steps": 100}},
                "engine": {"epochs": 10, "batch_size": 128},
            },
            capabilities=("bf16",),
            presets={
                "tiny": {  # a smoke test of a few seconds
                    "dataset": {"name": "digits"},
                    "model": {"width": 8, "hidden_size": 32, "latent_size": 8},
                    "engine": {"steps": 20, "batch_size": 16, "sample_count": 16},
                },
                "elbo": {"trainer": {"binarize": True}},  # comparable with published bounds
            },
        ),
        RecipeSpec(
            name="image/flow",
            family="flow",
            summary="Flow matching with a U-Net, by class, text or nothing (Lipman et al. 2023)",
            build="aigc_image.flow:build",
            model="aigc_image.flow_config:FlowNetworkConfig",
            trainer="aigc_core.trainers.config:FlowConfig",
            dataset="mnist",
            defaults={"engine": {"epochs": 30, "batch_size": 128, "ema": 0.999}},
            capabilities=("bf16",),
            presets={
                "cpu": {  # minutes on two cores: benchmarks/RESULTS.md
                    "model": {"width": 32, "condition": "class"},
                    "engine": {"steps": 3000, "epochs": None, "batch_size": 64},
                },
                "words": {  # pictures by what a text says of them
                    "dataset": {"name": "captioned-shapes"},
                    "model": {"width": 32, "condition": "text", "attention_levels": 2},
                    "engine": {"steps": 3000, "epochs": None, "batch_size": 64},
                },
                "tiny": {  # seconds: to see that everything works
                    "dataset": {"name": "digits"},
                    "model": {"width": 8, "condition": "class", "blocks": 1},
                    "engine": {"steps": 20, "batch_size": 16, "sample_count": 16},
                },
            },
        ),
        RecipeSpec(
            name="image/vqvae",
            family="two stages",
            summary="Images as grids of codes: the first stage of two (van den Oord et al. 2017)",
            build="aigc_core.trainers.quantized:build",
            model="aigc_core.networks.config:QuantizedAutoencoderConfig",
            trainer="aigc_core.trainers.config:QuantizedConfig",
            dataset="mnist",
            defaults={"engine": {"epochs": 20, "batch_size": 128}},
            capabilities=("bf16",),
            presets={
                "cpu": {  # minutes on two cores: benchmarks/RESULTS.md
                    "model": {"width": 48, "blocks": 1},
                    "engine": {"steps": 3000, "epochs": None, "batch_size": 64},
                },
                "tiny": {  # seconds: to see that everything works
                    "dataset": {"name": "digits"},
                    "model": {"codes": 32, "code_size": 4, "width": 8, "blocks": 1},
                    "engine": {"steps": 20, "epochs": None, "batch_size": 16, "sample_count": 16},
                },
            },
        ),
        RecipeSpec(
            name="image/prior",
            family="two stages",
            summary="Transformer over the codes of image/vqvae, by class or not: the second stage",
            build="aigc_core.trainers.latent:build_prior",
            model="aigc_core.networks.config:TransformerConfig",
            trainer="aigc_core.trainers.config:AutoregressiveConfig",
            dataset="mnist",
            parents={"autoencoder": _AUTOENCODER},
            defaults={"engine": {"epochs": 30, "batch_size": 64, "ema": 0.999}},
            capabilities=("bf16",),
            presets={
                "cpu": {  # minutes on two cores: benchmarks/RESULTS.md
                    "model": {
                        "layers": 4,
                        "heads": 4,
                        "width": 128,
                        "dropout": 0.0,
                        "conditional": True,
                    },
                    "engine": {"steps": 4000, "epochs": None, "batch_size": 32},
                },
                "tiny": {  # seconds: to see that everything works
                    "dataset": {"name": "digits"},
                    "model": {"layers": 1, "heads": 2, "width": 16, "dropout": 0.0},
                    "engine": {"steps": 20, "epochs": None, "batch_size": 16, "sample_count": 16},
                },
            },
        ),
        RecipeSpec(
            name="image/latent-flow",
            family="two stages",
            summary="Flow matching on the latents of image/vqvae (Rombach et al. 2022)",
            build="aigc_core.trainers.latent:build_flow",
            model="aigc_core.networks.config:LatentFlowConfig",
            trainer="aigc_core.trainers.config:FlowConfig",
            dataset="mnist",
            parents={"autoencoder": _AUTOENCODER},
            defaults={"engine": {"epochs": 30, "batch_size": 128, "ema": 0.999}},
            capabilities=("bf16",),
            presets={
                "cpu": {  # minutes on two cores
                    "model": {"condition": "class"},
                    "engine": {"steps": 5000, "epochs": None, "batch_size": 64},
                },
                "tiny": {  # seconds: to see that everything works
                    "dataset": {"name": "digits"},
                    "model": {"width": 8, "condition": "class", "blocks": 1},
                    "engine": {"steps": 20, "epochs": None, "batch_size": 16, "sample_count": 16},
                },
            },
        ),
        RecipeSpec(
            name="image/translate",
            family="GAN",
            summary="One image from another, learned from pairs (Isola et al. 2017, pix2pix)",
            build="aigc_image.translate:build",
            model="aigc_image.translate_config:TranslatorConfig",
            trainer="aigc_image.translate_config:TranslationConfig",
            dataset="digit-edges",
            defaults={"engine": {"epochs": 50, "batch_size": 16, "ema": 0.99}},
            capabilities=("bf16",),
            presets={
                "cpu": {  # minutes on two cores
                    "model": {"width": 16},
                    "engine": {"steps": 2000, "epochs": None, "batch_size": 32},
                },
                "tiny": _TINY_TRANSLATOR,
            },
        ),
        RecipeSpec(
            name="image/cyclegan",
            family="GAN",
            summary="Translation between two sets of images without pairs (Zhu et al. 2017)",
            build="aigc_image.cyclegan:build",
            model="aigc_image.translate_config:TranslatorConfig",
            trainer="aigc_image.translate_config:CycleConfig",
            dataset="digit-inks",
            defaults={"engine": {"epochs": 50, "batch_size": 16, "ema": 0.99}},
            capabilities=("bf16",),
            presets={
                "cpu": {  # minutes on two cores
                    "model": {"width": 16},
                    "engine": {"steps": 2000, "epochs": None, "batch_size": 16},
                },
                "tiny": _TINY_TRANSLATOR,
            },
        ),
    ]
