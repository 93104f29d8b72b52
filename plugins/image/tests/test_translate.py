"""Pairs and unpaired sets of images, and the recipes that translate between them."""

import logging
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from aigc_core import (
    Column,
    ConfigError,
    DataError,
    DataFolders,
    Run,
    SampleSpec,
    StepState,
    generate,
    open_run,
    open_sampler,
    resume,
    train,
)
from aigc_core.api import Request
from aigc_core.api.blueprint import Blueprint
from aigc_core.config import resolve_config
from aigc_core.plugins import get_host
from aigc_core.runs import DatasetFacts
from aigc_image.cyclegan import History
from aigc_image.datasets.digit_pairs import DigitEdges, DigitInks, edges_of
from aigc_image.datasets.two_folders import PairedFolder, UnpairedFolder
from aigc_image.modality import ImageModality
from aigc_image.options import DigitsOptions, ImageFolderOptions

SMALL = ImageFolderOptions(size=8, channels=1)


def picture(path: Path, grey: int, size: tuple[int, int] = (8, 8)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, grey).save(path)


def loaded(kind: type, root: Path, options: ImageFolderOptions = SMALL):
    dataset = kind(options, DataFolders(root, root.parent / "cache"))
    dataset.prepare()
    return dataset.load("train")


def greys(array: torch.Tensor) -> list[int]:
    return array[:, 0, 0, 0].tolist()


def test_images_that_differ_in_their_suffix_only_are_two_or_an_error(tmp_path: Path) -> None:
    for side in ("a", "b", "input", "target"):
        for suffix in ("png", "bmp"):
            picture(tmp_path / "data" / side / f"one.{suffix}", 10)
    assert len(loaded(UnpairedFolder, tmp_path / "data")) == 2
    with pytest.raises(DataError, match="input has several images named 'one'"):
        loaded(PairedFolder, tmp_path / "data")


def test_pairs_have_equal_names_whatever_their_suffixes(tmp_path: Path) -> None:
    for number, name in enumerate(["one", "two", "sub/three"]):
        picture(tmp_path / "data" / "input" / f"{name}.png", 10 * number)
        picture(tmp_path / "data" / "target" / f"{name}.bmp", 10 * number + 100)
    picture(tmp_path / "data" / "input" / "alone.png", 1)
    picture(tmp_path / "data" / "elsewhere.png", 2)
    store = loaded(PairedFolder, tmp_path / "data")
    assert sorted(greys(store.arrays["samples"])) == [100, 110, 120]
    pairs = zip(greys(store.arrays["input"]), greys(store.arrays["samples"]), strict=True)
    assert all(there - here == 100 for here, there in pairs)
    assert store.columns["input"].modality == "image"
    assert not store.label_names
    assert any("no partner: alone" in note for note in store.notes)
    assert any("not in input or target: elsewhere.png" in note for note in store.notes)
    assert greys(loaded(PairedFolder, tmp_path / "data").arrays["input"]) == greys(
        store.arrays["input"]
    )


def test_pairs_keep_their_classes_and_are_mirrored_together(tmp_path: Path) -> None:
    for number, name in enumerate(["cat/one", "dog/two"]):
        picture(tmp_path / "data" / "input" / f"{name}.png", 10 * number)
        picture(tmp_path / "data" / "target" / f"{name}.png", 10 * number + 100)
    flipped = ImageFolderOptions(size=8, channels=1, flip=True)
    store = loaded(PairedFolder, tmp_path / "data", flipped)
    assert store.label_names == ("cat", "dog")
    assert store.arrays["labels"].tolist() == [0, 0, 1, 1]
    assert greys(store.arrays["input"]) == [0, 0, 10, 10]


def test_unpaired_folders_have_lengths_of_their_own(tmp_path: Path) -> None:
    for number in range(3):
        picture(tmp_path / "data" / "a" / f"{number}.png", number)
    for number in range(5):
        picture(tmp_path / "data" / "b" / f"{number}.png", 100 + number)
    store = loaded(UnpairedFolder, tmp_path / "data")
    assert greys(store.arrays["input"]) == [0, 1, 2]
    assert greys(store.arrays["samples"]) == [100, 101, 102, 103, 104]
    assert store.streams == {"input": "input"}


@pytest.mark.parametrize(
    ("kind", "files", "sentence"),
    [
        (PairedFolder, ["input/a.png"], "input and target, below .*, and 'target' has none"),
        (PairedFolder, ["input/a.png", "target/b.png"], "has the name of one in target, such as"),
        (UnpairedFolder, ["input/a.png", "target/a.png"], "a and b, below .*, and 'a' has none"),
        (UnpairedFolder, ["a.png"], "and 'a' has none"),
    ],
)
def test_folders_without_partners_are_a_sentence(kind, files, sentence, tmp_path: Path) -> None:
    for name in files:
        picture(tmp_path / "data" / name, 1)
    with pytest.raises(DataError, match=sentence):
        loaded(kind, tmp_path / "data")


def test_outlines_are_where_the_brightness_changes() -> None:
    square = torch.zeros(1, 1, 12, 12, dtype=torch.uint8)
    square[..., 4:8, 4:8] = 255
    edges = edges_of(square)[0, 0]
    assert set(edges.unique().tolist()) == {0, 255}
    assert edges[5, 3:5].tolist() == [255, 255]
    assert edges[0].max() == 0
    assert edges[5:7, 5:7].max() == 0


def test_the_embedded_sets_are_what_they_say(tmp_path: Path) -> None:
    folders = DataFolders(None, tmp_path)
    train_set, test_set = (DigitEdges(DigitsOptions(), folders).load(s) for s in ("train", "test"))
    assert (len(train_set), len(test_set)) == (1500, 297)
    assert torch.equal(edges_of(test_set.arrays["samples"]), test_set.arrays["input"])
    inks = DigitInks(DigitsOptions(), folders).load("train")
    assert inks.arrays["samples"].float().mean() > 150 > 100 > inks.arrays["input"].float().mean()
    assert (len(inks.arrays["samples"]), len(inks.arrays["input"])) == (898, 899)


@pytest.fixture(scope="module")
def translated(tmp_path_factory):
    return train(
        "image/translate",
        preset="tiny",
        overrides={"model.width": 8, "engine.steps": 120, "engine.device": "cpu"},
        out=tmp_path_factory.mktemp("translated") / "run",
        progress=False,
    )


def test_a_translation_looks_like_its_target(translated) -> None:
    store = DigitEdges(DigitsOptions(), DataFolders(None, Path())).load("test")
    given, wanted = store.arrays["input"][:64], store.arrays["samples"][:64].float()
    made = generate(translated, count=64, inputs={"input": given}).float()
    right = (made - wanted).abs().mean()
    wrong = (made - wanted.roll(1, 0)).abs().mean()
    assert right < 0.7 * wrong, (right, wrong)


def test_a_picture_of_another_size_is_fitted_and_that_is_said(
    translated, tmp_path: Path, caplog
) -> None:
    Image.fromarray(np.full((90, 60, 3), 200, np.uint8)).save(tmp_path / "photo.jpg")
    with caplog.at_level(logging.INFO, "aigc"):
        made = generate(translated, count=2, inputs={"input": tmp_path / "photo.jpg"})
    assert made.shape == (2, 1, 32, 32)
    assert "photo.jpg: 60 x 90 pixels, cropped to the middle and resized to 32 x 32" in caplog.text
    (tmp_path / "text.png").write_text("no picture")
    for name, sentence in (("nothing.png", "There is no file"), ("text.png", "cannot be read")):
        with pytest.raises(DataError, match=sentence):
            generate(translated, count=1, inputs={"input": tmp_path / name})


def test_a_grey_run_takes_a_colour_picture(tmp_path: Path, caplog) -> None:
    modality = ImageModality(SampleSpec(shape=(1, 16, 16), dtype="uint8"))
    Image.new("RGB", (16, 16), (255, 0, 0)).save(tmp_path / "red.png")
    with caplog.at_level(logging.INFO, "aigc"):
        found = modality.adapt(tmp_path / "red.png")
    assert found.shape == (1, 16, 16)
    assert not caplog.messages  # it fits as it is


def state_of(seed: int) -> StepState:
    rng = torch.Generator().manual_seed(seed)
    return StepState(0, 0, 1, rng, {}, lambda name, value: None)


def test_a_history_gives_back_half_of_what_it_saw_once_it_is_full() -> None:
    history = History(10, (1, 2, 2))
    shown, given = [], []
    for step in range(200):
        fakes = torch.arange(4.0).add(1 + 4 * step).view(4, 1, 1, 1).expand(4, 1, 2, 2)
        given.append(fakes[:, 0, 0, 0])
        shown.append(history.exchange(fakes, state_of(step))[:, 0, 0, 0])
    assert torch.equal(torch.cat(shown[:3]), torch.cat(given[:3]))  # not full yet
    late, new = torch.cat(shown[3:]), torch.cat(given[3:])
    assert 0.45 < (late == new).double().mean() < 0.55
    older = late[late != new]
    assert len(older.unique()) == len(older)  # a fake that was given back is not kept
    assert set(history.images[:, 0, 0, 0].tolist()) <= set(torch.cat(given).tolist())
    assert not set(history.images[:, 0, 0, 0].tolist()) & set(older.tolist())
    assert len(history.images.unique(dim=0)) == 10


def test_a_cycle_resumes_with_its_history(tmp_path: Path) -> None:
    def started(name: str, steps: int) -> Run:
        changes = {"engine.schedule_steps": 6, "engine.device": "cpu", "trainer.history": 20}
        return train(
            "image/cyclegan", preset="tiny", overrides=changes, steps=steps,
            out=tmp_path / name, progress=False,
        )  # fmt: skip

    whole, halves = started("whole", 6), started("halves", 3)
    resume(halves, steps=6, progress=False)
    states = [
        safetensors.torch.load_file(
            run.path / "checkpoints" / "step-000006" / "weights.safetensors"
        )
        for run in (whole, open_run(halves.path))
    ]
    assert states[0]["state.samples.images"].any()
    assert int(states[0]["state.input.count"]) == 6 * whole.config["engine"]["batch_size"]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_a_cycle_goes_both_ways(tmp_path: Path) -> None:
    run = train(
        "image/cyclegan",
        preset="tiny",
        overrides={"engine.steps": 100, "engine.device": "cpu", "trainer.identity": 0},
        out=tmp_path / "run",
        progress=False,
    )
    inks = DigitInks(DigitsOptions(), DataFolders(None, tmp_path)).load("train")
    black, white = inks.arrays["samples"][:32], inks.arrays["input"][:32]
    sampler = open_sampler(run, device="cpu")
    there = sampler.samples(Request(count=32, inputs={"input": white}))
    back = sampler.samples(
        Request(count=32, inputs={"input": black}, controls={"direction": "backward"})
    )
    assert there.float().mean() > back.float().mean() + 30


def test_cycles_need_images_of_as_many_channels() -> None:
    host = get_host()
    config = resolve_config(host, "image/cyclegan", preset="tiny").config
    blueprint = Blueprint.of(host, config)
    spec = SampleSpec(shape=(3, 32, 32), dtype="uint8")
    grey = Column(modality="image", spec=SampleSpec(shape=(1, 32, 32), dtype="uint8"))
    facts = DatasetFacts(spec=spec, count=4, columns={"input": grey})
    with pytest.raises(ConfigError, match="they have 1 \\(input\\) and 3 \\(samples\\)"):
        blueprint.parts(facts)
