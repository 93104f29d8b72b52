"""The audio modality of aigc. Importing this declares what there is; code is loaded when used."""

from aigc_core import DatasetSpec, ModalitySpec, RecipeSpec, hookimpl

__version__ = "0.1.0"


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
    return []
