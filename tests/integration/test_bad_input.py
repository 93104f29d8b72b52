"""Bad input: a sentence, exit code 2, no traceback, and nothing half written."""

import gzip
import shutil
from pathlib import Path

import pytest
import torch

TRAIN = ("train", "image/dcgan", "--dataset", "digits", "--steps", "2")


def check(done, *reported: str) -> None:
    assert done.code == 2, done
    sentence = " ".join(done.err.split())
    for part in reported:
        assert part in sentence, sentence
    assert "Traceback" not in done.err
    assert not Path("runs").exists(), "a run folder was left behind"


@pytest.mark.parametrize(
    ("arguments", "reported"),
    [
        (("train", "image/dcgam"), "There is no recipe 'image/dcgam'. Did you mean 'image/dcgan'?"),
        (("train", "dcgan"), "Did you mean 'image/dcgan'?"),
        (
            ("train", "image/dcgan", "--dataset", "minst"),
            "There is no dataset 'minst'. Did you mean 'mnist'?",
        ),
        (
            (*TRAIN, "--preset", "artikle"),
            "The recipe 'image/dcgan' has no preset 'artikle'. Did you mean 'article'?",
        ),
        ((*TRAIN, "--set", "model.latent=3"), "Did you mean 'model.latent_size'?"),
        ((*TRAIN, "--set", "model.latent=3"), "belongs to the recipe 'image/dcgan' (plugin image)"),
        ((*TRAIN, "--set", "engine.bach_size=3"), "Did you mean 'engine.batch_size'?"),
        ((*TRAIN, "--set", "dataset.options.sise=3"), "Did you mean 'dataset.options.size'?"),
        ((*TRAIN, "--set", "egnine.seed=3"), "Did you mean 'engine'?"),
        ((*TRAIN, "--set", "engine.seed"), "expected section.key=value"),
        ((*TRAIN, "--set", "engine.batch_size=many"), "engine.batch_size=many"),
        ((*TRAIN, "--set", "engine.batch_size=0"), "greater than or equal to 1"),
        ((*TRAIN, "--set", "trainer.generator.lr=-1"), "trainer.generator.lr=-1"),
        ((*TRAIN, "--set", "trainer.generator.lr=.nan"), "finite"),
        ((*TRAIN, "--set", "engine.accumulate=7"), "does not divide batch_size=32"),
        ((*TRAIN, "--set", "trainer.loss=wasserstein"), "set gradient_penalty to 10"),
        ((*TRAIN, "--epochs", "3"), "give steps or epochs, not both"),
        ((*TRAIN, "--set", "engine.steps=3"), "'engine.steps' is given twice"),
        ((*TRAIN, "--seed", "-1"), "engine.seed=-1"),
        ((*TRAIN, "--device", "gpu"), "engine.device=gpu"),
        ((*TRAIN, "--precision", "fp8"), "engine.precision=fp8"),
        ((*TRAIN, "--config", "missing.yaml"), "Cannot read missing.yaml"),
        ((*TRAIN, "--data-root", "missing"), "does not exist. Check --data-root"),
        (("train", "image/dcgan", "--dataset", "image-folder"), "--data-root"),
        (("resume", "missing"), "There is no run at missing"),
        (("generate", "missing"), "There is no run at missing"),
        (("runs", "missing"), "There is no folder missing"),
        (("config", "show", "image/dcgn"), "Did you mean 'image/dcgan'?"),
    ],
)
def test_a_wrong_name_or_value_is_reported(aigc, arguments, reported: str) -> None:
    check(aigc(*arguments), reported)


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        (
            "engine: {seed: 1, seed: 2}",
            "bad.yaml, line 1, column 19: the key 'seed' is there twice",
        ),
        ("engine: [", "bad.yaml, line 1"),
        ("engine: &a {seed: 1}\nmodel: *a", "the alias *a is not allowed"),
        ("schema_version: 2", "schema_version 2 is newer than this aigc reads (1)"),
        ("engnie: {seed: 1}", "there is no section 'engnie'. Did you mean 'engine'?"),
        ("engine: {sead: 1}", "'engine.sead' (from bad.yaml)"),
        ("engine: 3", "'engine' must hold keys of its own"),
        ("- 1", "expected sections"),
    ],
)
def test_a_bad_config_file_is_reported_with_its_place(aigc, text: str, reported: str) -> None:
    Path("bad.yaml").write_text(text)
    check(aigc(*TRAIN, "--config", "bad.yaml"), reported)


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        ("schema_version: 1\nschema_version: 1", "the key 'schema_version' is there twice"),
        ("schema_version: 9", "schema_version 9 is newer"),
        ("plugins: {", "registry.yaml, line 1"),
        ("schema_version: 1\nmodalities: {}\nplugins: {a: {summary: 1}}", "plugins.a.summary"),
    ],
)
def test_a_bad_registry_is_reported_and_training_does_not_need_it(
    aigc, quick, text, reported
) -> None:
    Path("registry.yaml").write_text(text)
    check(aigc("modalities"), reported)
    check(aigc("plugins", "list"), reported)
    assert aigc("train", "image/dcgan", *quick, "--out", "run").code == 0


def test_an_empty_data_folder_is_reported(aigc) -> None:
    Path("data").mkdir()
    check(aigc("train", "image/dcgan", "--data-root", "data"), "data is empty")


def test_a_data_folder_without_the_data_set_names_the_ways_out(aigc, monkeypatch) -> None:
    Path("data/other").mkdir(parents=True)
    monkeypatch.setenv("AIGC_DATA_DIR", "data")
    check(aigc("train", "image/dcgan"), "--dataset digits", "train-images-idx3-ubyte.gz")


def test_no_network_names_both_ways_out(aigc, monkeypatch) -> None:
    from torchvision.datasets import MNIST

    monkeypatch.setattr(MNIST, "mirrors", ["http://127.0.0.1:9/"])
    check(aigc("train", "image/dcgan"), "--data-root", "--dataset digits")
    assert not list(Path("cache").glob("mnist/*"))


def test_a_damaged_mnist_file_is_named(aigc, real_data) -> None:
    raw = Path("data/mnist/MNIST/raw")
    raw.mkdir(parents=True)
    for file in (real_data / "mnist" / "MNIST" / "raw").glob("*.gz"):
        shutil.copy(file, raw)
    labels = raw / "train-labels-idx1-ubyte.gz"
    labels.write_bytes(gzip.compress(b"not the labels"))
    check(aigc("train", "image/dcgan", "--data-root", "data"), str(labels), "MD5")
    assert not list(Path("cache").glob("mnist/*"))


def test_cuda_where_there_is_none_is_reported(aigc, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    check(aigc(*TRAIN, "--device", "cuda"), "'cuda' was asked for", "Use --device auto or cpu")


def test_an_output_folder_that_holds_a_run_is_left_alone(aigc, quick_run) -> None:
    before = (quick_run.path / "config.yaml").read_bytes()
    check(aigc(*TRAIN, "--out", quick_run.path), "already holds a run", "aigc resume")
    assert (quick_run.path / "config.yaml").read_bytes() == before


def test_a_folder_that_is_not_a_run_is_reported(aigc) -> None:
    Path("folder").mkdir()
    for command in ("resume", "generate"):
        check(aigc(command, "folder"), "folder is not a run folder: it has no config.yaml")


@pytest.mark.parametrize("count", [0, -5, 10**9])
def test_a_count_out_of_range_is_reported(aigc, quick_run, count: int) -> None:
    done = aigc("generate", quick_run.path, "--count", count, "--out", "samples")
    check(done, f"count={count} is not valid: it must be from 1 to 1,000,000")
    assert not Path("samples").exists()


def test_a_format_that_the_modality_lacks_is_reported(aigc, quick_run) -> None:
    done = aigc("generate", quick_run.path, "--format", "pgn", "--out", "samples")
    check(done, "There is no format 'pgn'. Did you mean 'png'?")


def test_a_folder_with_files_is_not_generated_into(aigc, quick_run) -> None:
    Path("mine").mkdir()
    Path("mine/file").write_text("")
    check(aigc("generate", quick_run.path, "--out", "mine"), "mine is not an empty folder")
    assert [p.name for p in Path("mine").iterdir()] == ["file"]


def test_data_that_changed_is_not_trained_on_further(aigc, quick_run) -> None:
    facts = quick_run.path / "dataset.json"
    facts.write_text(facts.read_text().replace('"count": 1797', '"count": 1790'))
    done = aigc("resume", quick_run.path, "--steps", 8)
    check(done, "in dataset.json, 'count' was changed", "--allow-changes")
    done = aigc("resume", quick_run.path, "--steps", 8, "--allow-changes")
    check(done, "The data is not what", "1790")


def test_a_run_whose_recipe_is_gone_is_reported(aigc, quick_run) -> None:
    config = quick_run.path / "config.yaml"
    config.write_text(config.read_text().replace("image/dcgan", "scent/wavegan"))
    check(aigc("generate", quick_run.path), "There is no recipe 'scent/wavegan'")


def test_a_full_disk_while_generating_leaves_nothing(aigc, quick_run, monkeypatch) -> None:
    import errno

    from aigc_image.modality import ImageModality

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ImageModality, "preview", full)
    done = aigc("generate", quick_run.path, "--out", "samples")
    assert done.code == 1
    assert "Could not write samples in samples: No space left on device." in done.err
    assert not [p for p in Path().iterdir() if "samples" in p.name]


def test_usage_errors_end_with_2(aigc) -> None:
    assert aigc("train").code == 2
    assert aigc("trian").code == 2
    assert aigc(*TRAIN, "--steps", "many").code == 2
