"""One model that makes a picture, a sound and a word: files, previews and metrics by column."""

import json
import wave
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from aigc_core import (
    Column,
    Condition,
    ConfigModel,
    Dataset,
    DatasetSpec,
    Generator,
    OptimizerConfig,
    Phase,
    RecipeContext,
    RecipeSpec,
    Request,
    SampleSpec,
    SampleStore,
    Trainer,
    generate,
    hookimpl,
    open_run,
    open_sampler,
    train,
)
from aigc_core.plugins import PluginStatus, get_host

pytest.importorskip("aigc_image")
pytest.importorskip("aigc_audio")
pytest.importorskip("aigc_text")

WORDS = ("dim", "lit")
IMAGE = SampleSpec(shape=(1, 32, 32), dtype="uint8")
SOUND = SampleSpec(shape=(1, 256), dtype="int16", units={"sample_rate_hz": 8000})
TEXT = SampleSpec(
    shape=(3,),
    dtype="int16",
    units={"vocabulary_size": 256},
    assets={"tokenizer": '{"kind": "bytes"}'},
)


class Twins(Dataset):
    """Dim or lit pictures, quiet or loud sounds, and the word for it."""

    def prepare(self) -> None: ...

    def load(self, split: str) -> SampleStore:
        count = 40 if split == "train" else 20
        labels = torch.arange(count) % 2
        level = torch.tensor([50, 200])[labels] + torch.arange(count) % 7
        words = torch.tensor([list(word.encode()) for word in WORDS], dtype=torch.int16)
        wave = torch.sin(torch.arange(256) / 4)
        arrays = {
            "samples": level.to(torch.uint8)[:, None, None, None].repeat(1, 1, 32, 32),
            "labels": labels,
            "sound": (level[:, None, None] * 100 * wave).to(torch.int16),
            "text": words[labels],
            "mirrored": (255 - level).to(torch.uint8)[:, None, None, None].repeat(1, 1, 32, 32),
        }
        return SampleStore(
            arrays,
            IMAGE,
            WORDS,
            columns={
                "sound": Column(modality="audio", spec=SOUND),
                "text": Column(modality="text", spec=TEXT),
                "mirrored": Column(modality="image", spec=IMAGE),
            },
        )


class Choice(ConfigModel):
    outputs: tuple[str, ...] = ("samples", "sound", "text")


class Means(Generator):
    """The mean picture and sound of each class, and the class's word."""

    label_count = 2

    def __init__(self, outputs: tuple[str, ...]) -> None:
        super().__init__()
        self.outputs = outputs
        self.pictures = nn.Parameter(torch.zeros(2, 1, 32, 32))
        self.sounds = nn.Parameter(torch.zeros(2, 1, 256))
        words = torch.tensor([list(word.encode()) for word in WORDS])
        self.register_buffer("words", words)

    @property
    def conditions(self) -> Mapping[str, Condition]:
        return {"label": Condition("labels")}

    def sample(self, count: int, *, rng: torch.Generator, conditions, controls):
        label = conditions["label"]
        noise = 0.01 * torch.randn((count, 1, 1, 1), generator=rng, device=rng.device)
        made = {
            "samples": (self.pictures[label] + noise).clamp(-1, 1),
            "sound": (self.sounds[label] + noise[:, 0]).clamp(-1, 1),
            "text": self.words[label],
            "mirrored": -(self.pictures[label] + noise).clamp(-1, 1),
            "nonsense": noise,
        }
        return {name: made[name] for name in self.outputs}


class MeansTrainer(Trainer):
    def __init__(self, generator: Means) -> None:
        self._generator = generator

    def networks(self) -> Mapping[str, nn.Module]:
        return {"generator": self._generator}

    def generator(self) -> Means:
        return self._generator

    def phases(self) -> Sequence[Phase]:
        return [Phase("means", ("generator",), self._loss, OptimizerConfig(name="sgd", lr=0.5))]

    def _loss(self, batch, state) -> Mapping[str, Tensor]:
        label = batch["labels"]
        pictures = (self._generator.pictures[label] - batch["samples"]).square()
        sounds = (self._generator.sounds[label] - batch["sound"]).square()
        return {
            "pictures": pictures.flatten(1).sum(1).mean(),
            "sounds": sounds.flatten(1).sum(1).mean(),
        }


def build(context: RecipeContext) -> MeansTrainer:
    return MeansTrainer(Means(context.model.outputs))


class Plugin:
    @hookimpl
    def aigc_register_datasets(self) -> list[DatasetSpec]:
        return [
            DatasetSpec(
                name="twins",
                modality="image",
                summary="",
                code=f"{__name__}:Twins",
                splits=("train", "test"),
                columns={"sound": "audio", "text": "text", "mirrored": "image"},
                embedded=True,
            )
        ]

    @hookimpl
    def aigc_register_recipes(self) -> list[RecipeSpec]:
        return [
            RecipeSpec(
                name="image/means",
                summary="",
                build=f"{__name__}:build",
                model=f"{__name__}:Choice",
                trainer="aigc_core:ConfigModel",
                dataset="twins",
                defaults={
                    "engine": {"steps": 60, "batch_size": 20, "sample_count": 4, "device": "cpu"}
                },
            )
        ]


@pytest.fixture(scope="module", autouse=True)
def plugin():
    host = get_host()
    host.register(Plugin(), PluginStatus("twins", __name__))
    assert host.status("twins").error is None
    yield
    host.manager.unregister(name="twins")
    status = host.status("twins")
    host.statuses.remove(status)
    host.registered.forget(status)


@pytest.fixture(scope="module")
def run(plugin, tmp_path_factory):
    overrides = {
        "engine.validation_metrics": ["sliced-wasserstein"],
        "engine.validate_every": 30,
        "engine.sample_every": 30,
    }
    out = tmp_path_factory.mktemp("several") / "run"
    return train("image/means", overrides=overrides, out=out, progress=False)


def test_each_sample_is_a_file_of_each_output_with_one_number(aigc, run) -> None:
    done = aigc("generate", run.path, "--count", 4, "--out", "made", "--json")
    assert done.code == 0, done.err
    names = sorted(path.name for path in Path("made").iterdir())
    numbered = [f"{n:06d}.{suffix}" for n in range(4) for suffix in ("png", "txt", "wav")]
    assert [name for name in names if name[:1] == "0" and name[-5:] != ".json"] == numbered
    assert "manifest.json" in names
    assert {name for name in names if name.startswith("preview")} >= {
        "preview.png",
        "preview-sound.wav",
        "preview-text.txt",
    }
    about = json.loads(done.out)
    assert list(about["previews"]) == ["samples", "sound", "text"]
    for number in range(4):  # the classes in turn: all three say the same
        level = np.asarray(Image.open(f"made/{number:06d}.png")).mean()
        with wave.open(f"made/{number:06d}.wav") as file:
            loud = np.abs(np.frombuffer(file.readframes(256), "<i2")).max()
        word = Path(f"made/{number:06d}.txt").read_text().strip()
        assert word == WORDS[number % 2]
        assert (level > 128) == (loud > 12_000) == (word == "lit"), (level, loud, word)


def test_some_of_the_outputs_can_be_wanted_by_column_or_by_modality(aigc, run) -> None:
    done = aigc("generate", run.path, "--count", 2, "--want", "text,audio", "--out", "made")
    assert done.code == 0, done.err
    names = {path.name for path in Path("made").iterdir()}
    assert {"000000.txt", "000001.wav", "preview.txt", "preview-sound.wav"} <= names
    assert not any(name.startswith("0") and name.endswith(".png") for name in names)
    done = aigc("generate", run.path, "--count", 2, "--format", "npy", "--out", "arrays")
    assert done.code == 0, done.err
    assert np.load("arrays/samples.npy").shape == (2, 1, 32, 32)
    assert np.load("arrays/sound.npy").dtype == np.int16
    assert np.load("arrays/text.npy").shape == (2, 3)
    done = aigc("generate", run.path, "--format", "flac", "--out", "flac")
    assert done.code == 0, done.err
    assert Path("flac/000000.flac").is_file()
    assert Path("flac/000000.png").is_file()


@pytest.mark.parametrize(
    ("want", "sentence"),
    [
        ("images", "makes no 'images'. Did you mean 'image'?"),
        ("sound,audio", "'audio' is wanted twice"),
        ("", "makes no ''"),
    ],
)
def test_what_is_not_made_cannot_be_wanted(aigc, run, want: str, sentence: str) -> None:
    done = aigc("generate", run.path, "--want", want, "--out", "made")
    assert done.code == 2
    assert sentence in done.err
    assert not Path("made").exists()


def test_in_python_columns_are_named_tensors_and_generate_gives_the_first(run) -> None:
    sampler = open_sampler(run)
    made = sampler.columns(Request(count=3, label="lit"))
    assert {name: tuple(t.shape) for name, t in made.items()} == {
        "samples": (3, 1, 32, 32),
        "sound": (3, 1, 256),
        "text": (3, 3),
    }
    assert torch.equal(generate(run, count=3, label="lit"), made["samples"])
    assert torch.equal(generate(run, count=3, label="lit", want=["sound"]), made["sound"])
    assert bytes(made["text"][0].to(torch.uint8).tolist()) == b"lit"
    assert list(sampler.describe()["outputs"]) == ["samples", "sound", "text"]


def test_previews_and_metrics_are_by_column(aigc, run) -> None:
    previews = {path.name for path in run.samples.iterdir()}
    assert {"step-000030.png", "step-000030-sound.wav", "step-000060-text.txt"} <= previews
    measured = list(open_run(run.path).metrics)[-1]
    assert measured["validation/sliced-wasserstein/distance"] < 0.1
    assert measured["validation/sound/sliced-wasserstein/distance"] < 0.1
    assert "validation/text/sliced-wasserstein/distance" not in measured
    done = aigc("evaluate", run.path, "--count", 20, "--json")
    assert done.code == 0, done.err
    metrics = json.loads(done.out)["metrics"]
    assert {"sliced-wasserstein/distance", "sound/sliced-wasserstein/distance"} <= set(metrics)
    shown = aigc("show", run.path).out
    assert "with it: sound, audio" in shown


def test_files_of_two_outputs_of_one_kind_bear_their_names(tmp_path: Path, aigc) -> None:
    overrides = {"model.outputs": ["samples", "mirrored"]}
    run = train("image/means", overrides=overrides, steps=2, out="run", progress=False)
    assert aigc("generate", run.path, "--count", 2, "--out", "made").code == 0
    names = {path.name for path in Path("made").iterdir()}
    assert names == {
        *(f"{n:06d}-{column}.png" for n in (0, 1) for column in ("samples", "mirrored")),
        "manifest.json",
        "preview.png",
        "preview-mirrored.png",
    }
    assert aigc("generate", run.path, "--want", "image", "--out", "other").code == 2


def test_an_output_that_is_no_column_is_refused_before_a_folder_is_made(aigc) -> None:
    done = aigc("train", "image/means", "--set", "model.outputs=[samples,sounds]", "--out", "run")
    assert done.code == 2
    assert "declares the output 'sounds'" in done.err
    assert "Did you mean 'sound'?" in done.err
    assert not Path("run").exists()


def test_a_run_with_several_outputs_resumes_to_the_same_bytes(aigc) -> None:
    settings = {"steps": 4, "progress": False}
    whole = train("image/means", out="whole", **settings)
    train("image/means", out="part", **settings | {"steps": 2})
    assert aigc("resume", "part", "--steps", 4).code == 0
    made = [generate(path, count=4, want=["sound"]) for path in (whole, "part")]
    assert torch.equal(*made)
