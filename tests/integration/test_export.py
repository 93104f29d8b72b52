"""Files for others: an exported run draws the same bytes wherever it is imported."""

import hashlib
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from aigc_core import (
    ConfigError,
    RunError,
    export_run,
    generate,
    generate_files,
    import_run,
    load_generator,
    train,
)
from aigc_core.strict_yaml import load_yaml


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One run of each recipe, trained when it is asked for."""
    found = {}

    def run_of(recipe, **more):
        if recipe not in found:
            out = tmp_path_factory.mktemp("runs") / "run"
            found[recipe] = train(recipe, preset="tiny", steps=2, out=out, progress=False, **more)
        return found[recipe]

    return run_of


@pytest.fixture
def dcgan(runs):
    return runs("image/dcgan")


@pytest.fixture
def exported(dcgan, tmp_path):
    return export_run(dcgan, format="hf-folder", out=tmp_path / "exported").path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("recipe", ["image/dcgan", "audio/wavegan", "text/gpt", "joint/flow"])
def test_what_is_exported_and_imported_draws_the_same_bytes(runs, tmp_path, recipe) -> None:
    run = runs(recipe)
    folder = export_run(run, format="hf-folder", out=tmp_path / "exported").path
    again = import_run(folder, out=tmp_path / "imported")
    first = generate_files(run, count=5, seed=3, out=tmp_path / "a")
    second = generate_files(again, count=5, seed=3, out=tmp_path / "b")
    assert contents(first.folder) == contents(second.folder)
    assert again.step == run.step
    assert again.status == "complete"
    named = load_file(folder / "model.safetensors")
    assert named
    assert not [name for name in named if name.startswith(("discriminator.", "ema."))]


def test_a_run_that_is_made_from_another_takes_it_along(runs, tmp_path) -> None:
    parent = runs("image/vqvae")
    run = runs("image/prior", parents={"autoencoder": parent})
    folder = export_run(run, format="hf-folder", out=tmp_path / "exported").path
    assert str(parent.path) not in (folder / "aigc.yaml").read_text()
    again = import_run(folder, out=tmp_path / "imported")
    assert torch.equal(generate(run, count=3), generate(again, count=3))
    twice = export_run(again, format="hf-folder", out=tmp_path / "twice").path
    files = json.loads((folder / "manifest.json").read_text())["files"]
    assert json.loads((twice / "manifest.json").read_text())["files"].keys() == files.keys()
    last = import_run(twice, out=tmp_path / "last")
    assert torch.equal(generate(run, count=3), generate(last, count=3))


def test_adapters_are_merged(dcgan, runs, tmp_path) -> None:
    overrides = {"engine.lora": {"rank": 2}}
    run = train(
        "text/gpt",
        preset="tiny",
        steps=2,
        init_from=runs("text/gpt"),
        overrides=overrides,
        out=tmp_path / "adapted",
        progress=False,
    )
    folder = export_run(run, format="hf-folder", out=tmp_path / "exported").path
    again = import_run(folder, out=tmp_path / "imported")
    assert torch.equal(generate(run, count=3), generate(again, count=3))


def test_what_a_model_needs_besides_its_generator_is_kept(runs, tmp_path) -> None:
    run = runs("image/vae")
    folder = export_run(run, format="hf-folder", out=tmp_path / "exported").path
    again = import_run(folder, out=tmp_path / "imported")
    asked = {"kind": "reconstructions", "count": 3}
    first = generate_files(run, out=tmp_path / "a", **asked)
    assert contents(first.folder) == contents(
        generate_files(again, out=tmp_path / "b", **asked).folder
    )


def test_an_imported_run_starts_another_and_cannot_be_resumed(aigc, exported, tmp_path) -> None:
    again = import_run(exported, out=tmp_path / "imported")
    done = aigc("resume", again.path, "--steps", 9)
    assert done.code == 2
    assert "was imported" in done.err
    done = aigc("train", "image/dcgan", "--preset", "tiny", "--steps", 1, "--init-from", again.path)
    assert done.code == 0, done.err
    assert "such as" not in done.err
    assert "are missing there, and start at random: discriminator." in done.err


def test_the_card_says_what_it_is_and_how_to_use_it(aigc, dcgan, exported) -> None:
    card = (exported / "README.md").read_text()
    _, head, body = card.split("---\n", 2)
    Path("head.yaml").write_text(head)
    assert load_yaml(Path("head.yaml"))["tags"] == ["aigc", "image/dcgan", "image"]
    assert (exported / "samples" / "preview.png").is_file()
    assert "](samples/preview.png)" in body
    commands = [line for line in body.splitlines() if line.startswith("aigc ")]
    assert aigc(*commands[0].replace("THIS-FOLDER", str(exported)).split()[1:]).code == 0
    assert aigc(*commands[1].split()[1:], "--out", "again").code == 0
    first, again = contents(exported / "samples"), contents(Path("again"))
    assert first == again


def test_no_path_and_no_optimiser_leaves_the_machine(tmp_path, monkeypatch) -> None:
    photos = tmp_path / "secret" / "photos"
    photos.mkdir(parents=True)
    for number in range(4):
        Image.new("L", (32, 32), 60 * number).save(photos / f"{number}.png")
    command = ["aigc", "train", "image/dcgan", "--data-root", str(photos), f"--out={tmp_path}/run"]
    monkeypatch.setattr(sys, "argv", command)
    run = train(
        "image/dcgan",
        dataset="image-folder",
        data_root=photos,
        overrides={"model.width": 4, "dataset.options.size": 32},
        steps=1,
        batch_size=2,
        out=tmp_path / "run",
        progress=False,
    )
    exported = export_run(run, format="hf-folder", out=tmp_path / "exported").path
    for path in exported.rglob("*"):
        assert path.is_dir() or str(tmp_path).encode() not in path.read_bytes()
    card = (exported / "README.md").read_text()
    assert "aigc train image/dcgan --data-root photos --out=run" in card
    names = {path.name for path in exported.iterdir()}
    assert names == {
        "README.md", "aigc.yaml", "dataset.json", "environment.json", "manifest.json",
        "model.safetensors", "samples", "state.json",
    }  # fmt: skip


def change(path: Path, **values) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_a_changed_file_is_refused_and_nothing_is_left(aigc, exported, tmp_path) -> None:
    data = bytearray((exported / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (exported / "model.safetensors").write_bytes(data)
    done = aigc("import", exported, "--out", "imported")
    assert done.code == 2
    assert "model.safetensors is not what was exported" in done.err
    assert sorted(path.name for path in tmp_path.iterdir() if path.name[0] != "c") == ["exported"]


@pytest.mark.parametrize(
    "name",
    ["../stolen", "/etc/passwd", "parents/../x/config.yaml", "model.pt2", "parents/a/weights.pkl"],
)
def test_a_manifest_that_lists_anything_else_is_refused(aigc, exported, name) -> None:
    manifest = exported / "manifest.json"
    files = json.loads(manifest.read_text())["files"]
    change(manifest, files={**files, name: {"bytes": 1, "sha256": "0" * 64}})
    done = aigc("import", exported, "--out", "imported")
    assert done.code == 2
    assert "which no exported run has" in done.err
    assert not Path("imported").exists()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"step": -1}, "at 'step'"),
        ({"step": True}, "at 'step'"),
        ({"digest": "x"}, "not that of an exported run"),
        ({"files": {}}, "does not list"),
        ({"schema_version": 2}, "newer version"),
    ],
)
def test_a_damaged_manifest_is_refused(aigc, exported, values, said) -> None:
    change(exported / "manifest.json", **values)
    done = aigc("import", exported, "--out", "imported")
    assert done.code == 2
    assert said in done.err
    assert not Path("imported").exists()


def test_a_link_is_not_followed(exported, tmp_path) -> None:
    (exported / "dataset.json").rename(tmp_path / "elsewhere")
    (exported / "dataset.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="is a link"):
        import_run(exported, out=tmp_path / "imported")


def test_a_pickle_in_the_folder_is_never_opened(exported, tmp_path) -> None:
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "exploded"),)

    for name in ("model.pt2", "pytorch_model.bin", "samples/evil.pt"):
        (exported / name).write_bytes(pickle.dumps(Bomb()))
    import_run(exported, out=tmp_path / "imported")
    assert not (tmp_path / "exploded").exists()


def test_a_plugin_that_is_missing_is_named(aigc, exported) -> None:
    settings = exported / "aigc.yaml"
    settings.write_text(settings.read_text().replace("image/dcgan", "hologram/gan"))
    environment = exported / "environment.json"
    plugin = {"plugin": "hologram", "distribution": "aigc-hologram"}
    change(environment, needs={"recipe": plugin, "modality": plugin, "dataset": plugin})
    manifest = exported / "manifest.json"
    files = json.loads(manifest.read_text())["files"]
    for path in (settings, environment):
        files[path.name]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    change(manifest, files=files)
    done = aigc("import", exported, "--out", "imported")
    assert done.code == 2
    assert f"{exported} needs the recipe 'hologram/gan' of the plugin aigc-hologram" in " ".join(
        done.err.split()
    )
    assert "aigc plugins install aigc-hologram" in done.err
    assert not Path("imported").exists()


def test_weights_alone_are_those_of_the_generator(dcgan, tmp_path) -> None:
    path = export_run(dcgan, format="safetensors", out=tmp_path / "g.safetensors").path
    own = load_generator(dcgan).state_dict()
    found = load_file(path)
    assert found.keys() == own.keys()
    assert all(torch.equal(found[name], own[name]) for name in own)


@pytest.mark.parametrize("recipe", ["image/dcgan", "text/gpt"])
def test_a_script_draws_what_generate_draws(runs, tmp_path, recipe) -> None:
    run = runs(recipe)
    folder = export_run(run, format="script", out=tmp_path / "script").path
    command = [sys.executable, folder / "generate.py", "--count", "3", "--seed", "2"]
    subprocess.run([*command, "--out", tmp_path / "a"], check=True, cwd=tmp_path)
    made = generate_files(run, count=3, seed=2, metadata=False, out=tmp_path / "b")
    assert contents(tmp_path / "a") == {path.name: path.read_bytes() for path in made.files}
    assert "import pickle" not in (folder / "generate.py").read_text()


def test_a_script_says_what_it_cannot_hold(runs, tmp_path) -> None:
    run = runs("image/prior", parents={"autoencoder": runs("image/vqvae")})
    with pytest.raises(ConfigError, match="made from other runs"):
        export_run(run, format="script", out=tmp_path / "script")
    assert not (tmp_path / "script").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--format", "safetensor"], "Did you mean 'safetensors'?"),
        (["--format", "safetensors", "--out", "there"], "is there"),
        (["--format", "hf-folder", "--out", "."], "is not an empty folder"),
    ],
)
def test_bad_input_is_a_sentence_and_writes_nothing(aigc, dcgan, arguments, said) -> None:
    Path("there").write_text("mine")
    done = aigc("export", dcgan.path, *arguments)
    assert done.code == 2
    assert said in done.err
    assert Path("there").read_text() == "mine"


def test_who_takes_an_exported_folder_for_a_run_is_told_to_import_it(aigc, exported) -> None:
    for command in ("generate", "show"):
        done = aigc(command, exported)
        assert done.code == 2
        assert f"aigc import {exported}" in " ".join(done.err.split())


def test_a_folder_that_was_not_exported_is_refused(aigc, dcgan) -> None:
    assert "was not exported" in aigc("import", dcgan.path).err
    assert "no folder" in aigc("import", "nothing").err
    done = aigc("import", "hf://somebody/model")
    assert done.code == 2
    assert "Download it" in done.err


def test_a_private_seed_is_not_exported(tmp_path) -> None:
    overrides = {"trainer.privacy": {"noise_multiplier": 1.0, "clip_norm": 1.0}}
    seed = 987_654_321
    run = train(
        "image/vae",
        preset="tiny",
        steps=1,
        seed=seed,
        overrides=overrides,
        out=tmp_path / "run",
        progress=False,
    )
    folder = export_run(run, format="hf-folder", out=tmp_path / "exported").path
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix != ".safetensors":
            assert str(seed).encode() not in path.read_bytes()
    again = import_run(folder, out=tmp_path / "imported")
    assert torch.equal(generate(run, count=3), generate(again, count=3))


def session(path: Path):
    onnxruntime = pytest.importorskip("onnxruntime")
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("recipe", ["image/dcgan", "audio/wavegan", "image/vae"])
def test_onnx_gives_what_the_network_gives(runs, tmp_path, recipe) -> None:
    pytest.importorskip("onnxscript")
    path = export_run(runs(recipe), format="onnx", out=tmp_path / "g.onnx").path
    assert [found.name for found in tmp_path.iterdir() if found.name[:1] == "g"] == ["g.onnx"]
    onnx, generator = session(path), load_generator(runs(recipe), device="cpu")
    assert onnx.get_modelmeta().custom_metadata_map["recipe"] == recipe
    for count in (2, 5):
        latents = generator.sample_latents(count, rng=torch.Generator().manual_seed(1))
        (found,) = onnx.run(["samples"], {"latents": latents.numpy()})
        expected = generator(latents)
        assert torch.from_numpy(found).allclose(expected, rtol=0, atol=1e-5)
        assert float(expected.std()) > 0


def test_onnx_takes_labels(tmp_path) -> None:
    pytest.importorskip("onnxscript")
    run = train(
        "image/dcgan",
        preset="tiny",
        steps=1,
        overrides={"model.conditional": True},
        out=tmp_path / "run",
        progress=False,
    )
    onnx = session(export_run(run, format="onnx", out=tmp_path / "g.onnx").path)
    assert [given.name for given in onnx.get_inputs()] == ["latents", "label"]


def test_what_a_graph_cannot_hold_is_said(aigc, runs) -> None:
    done = aigc("export", runs("audio/specgan").path, "--format", "pt2", "--out", "g.pt2")
    assert done.code == 0, done.err
    assert "SpecGANGenerator.restore, which makes samples of it, is not part of the graph" in (
        " ".join(done.err.split())
    )
    assert "holds a pickle" in done.err
    done = aigc("export", runs("text/gpt").path, "--format", "pt2", "--out", "text.pt2")
    assert done.code == 2
    assert "draws in many steps" in done.err
    assert not Path("text.pt2").exists()


def test_pt2_is_a_program_of_torch(dcgan, tmp_path) -> None:
    path = export_run(dcgan, format="pt2", out=tmp_path / "g.pt2").path
    program = torch.export.load(path)  # our own file, a moment old
    generator = load_generator(dcgan, device="cpu")
    latents = generator.sample_latents(5, rng=torch.Generator().manual_seed(1))
    assert torch.allclose(program.module()(latents), generator(latents), rtol=0, atol=1e-5)


def test_a_graph_that_gives_something_else_is_not_written(dcgan, tmp_path, monkeypatch) -> None:
    from aigc_core.api import graphs

    monkeypatch.setattr(graphs, "TOLERANCE", -1.0)
    with pytest.raises(RunError, match="gives other samples"):
        export_run(dcgan, format="pt2", out=tmp_path / "g.pt2")
    assert not (tmp_path / "g.pt2").exists()
