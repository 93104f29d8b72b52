"""Generated files say how they were made, and `aigc show` reads that."""

import hashlib
import json
import shlex
import shutil

import pytest
import torch

from aigc_core import generate_files, open_sampler, train
from aigc_core.api.made_by import origin_of

FORMATS = [
    ("image/dcgan", "png"),
    ("audio/wavegan", "wav"),
    ("audio/wavegan", "flac"),
    ("text/gpt", "txt"),
    ("video/gan", "mp4"),
    ("video/gan", "gif"),
    ("point-cloud/flow", "ply"),
    ("point-cloud/flow", "glb"),
    ("image/dcgan", "npy"),
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One run of each recipe, trained when it is asked for."""
    found = {}

    def run_of(recipe):
        if recipe not in found:
            out = tmp_path_factory.mktemp("runs") / "run"
            found[recipe] = train(recipe, preset="tiny", steps=2, out=out, progress=False)
        return found[recipe]

    return run_of


@pytest.fixture
def dcgan(runs):
    return runs("image/dcgan")


@pytest.mark.parametrize(("recipe", "format"), FORMATS)
def test_a_file_says_who_made_it_and_the_command_makes_the_same_bytes(
    aigc, runs, tmp_path, recipe, format
) -> None:
    run = runs(recipe)
    made = generate_files(run, count=3, seed=7, format=format, out=tmp_path / "a")
    shown = json.loads(aigc("show", made.files[-1], "--json").out)
    assert shown["recipe"] == recipe
    assert shown["request"] == {"kind": "samples", "count": 3, "seed": 7, "format": format}
    weights = run.checkpoints / "step-000002" / "weights.safetensors"
    assert shown["run"]["digest"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert shown["run"]["step"] == 2
    command = aigc("show", made.files[-1]).out.splitlines()[-1]
    words = shlex.split(command)
    assert words[0] == "aigc"
    words[2] = str(run.path)  # it lies outside of ./runs
    assert aigc(*words[1:], "--out", tmp_path / "b").code == 0
    first = {path.name: path.read_bytes() for path in sorted((tmp_path / "a").iterdir())}
    assert first == {path.name: path.read_bytes() for path in sorted((tmp_path / "b").iterdir())}


@pytest.mark.parametrize(("recipe", "format"), FORMATS[:-1])
def test_a_note_changes_no_sample(runs, tmp_path, recipe, format) -> None:
    run = runs(recipe)
    noted = generate_files(run, count=2, format=format, out=tmp_path / "noted")
    plain = generate_files(run, count=2, format=format, out=tmp_path / "plain", metadata=False)
    assert sorted(p.name for p in (tmp_path / "plain").iterdir()) == sorted(
        {path.name for path in (tmp_path / "noted").iterdir() if path.suffix != ".json"}
    )
    modality = open_sampler(run, device="cpu").modality
    for a, b in zip(noted.files, plain.files, strict=True):
        assert torch.equal(modality.read(a), modality.read(b))
        assert b"made_by" not in b.read_bytes()
        assert torch.equal(modality.adapt(a), modality.adapt(b))


def test_the_manifest_holds_every_file_and_its_digest(dcgan, tmp_path) -> None:
    generate_files(dcgan, count=2, out=tmp_path / "made")
    manifest = json.loads((tmp_path / "made" / "manifest.json").read_text())
    assert list(manifest["files"]) == ["000000.png", "000001.png", "preview.png"]
    for name, entry in manifest["files"].items():
        data = (tmp_path / "made" / name).read_bytes()
        assert entry["sha256"] == hashlib.sha256(data).hexdigest()
    assert str(tmp_path) not in json.dumps(manifest)
    assert origin_of(tmp_path / "made").record["request"]["count"] == 2


def test_the_run_is_found_again_by_its_digest(aigc, tmp_path) -> None:
    run = train("image/dcgan", preset="tiny", steps=1, progress=False)  # below ./runs
    made = generate_files(run, count=1)
    moved = tmp_path / "moved.png"
    moved.write_bytes(made.files[0].read_bytes())
    shown = aigc("show", moved).out
    assert f"step 1 of {run.path.relative_to(tmp_path)}" in shown
    assert f"aigc generate {run.path.relative_to(tmp_path)} --checkpoint 1 " in shown


def test_everything_that_was_asked_for_is_in_the_command(aigc, runs, tmp_path) -> None:
    run = runs("text/gpt")
    prompt = "What's\nthat? 'Tis"
    asked = ["--count", "2", "--prompt", prompt, "--tokens", "5", "--set", "temperature=0.5"]
    assert aigc("generate", run.path, *asked, "--out", tmp_path / "a").code == 0
    words = shlex.split(origin_of(tmp_path / "a" / "000001.txt").command)
    assert words[words.index("--prompt") + 1] == prompt
    assert {"tokens=5", "temperature=0.5"} <= set(words)


def test_what_a_command_cannot_give_is_said(aigc, runs, tmp_path) -> None:
    prompt = torch.zeros(1, 4, dtype=torch.int16)
    generate_files(runs("text/gpt"), count=1, inputs={"prompt": prompt}, out=tmp_path / "a")
    done = aigc("show", tmp_path / "a" / "000000.txt")
    assert done.code == 0
    assert "No command makes it again" in done.out


def test_data_beside_its_reconstruction_is_not_said_to_be_made(aigc, tmp_path) -> None:
    run = train("image/vae", preset="tiny", steps=1, out=tmp_path / "run", progress=False)
    made = generate_files(run, kind="reconstructions", count=1, out=tmp_path / "pairs")
    files = json.loads((tmp_path / "pairs" / "manifest.json").read_text())["files"]
    assert files["000000.png"]["made_by"] == "data"
    assert "made_by" not in files["000001.png"]
    assert aigc("show", made.files[0]).code == 2
    assert "--reconstruct" in origin_of(made.files[1]).command


def test_the_chinese_label_stands_where_the_guides_put_it(dcgan, runs, tmp_path) -> None:
    def label(recipe, format):
        out = tmp_path / format
        made = generate_files(
            runs(recipe), count=1, format=format, out=out, mark="cn", producer="A & B"
        )
        data, found = made.files[0].read_bytes(), json.loads(origin_of(made.files[0]).label)
        assert list(found) == [
            "Label", "ContentProducer", "ProduceID", "ReservedCode1", "ContentPropagator",
            "PropagateID", "ReservedCode2",
        ]  # fmt: skip
        assert (found["Label"], found["ContentProducer"]) == ("1", "A & B")
        return data

    assert b"<TC260:AIGC>{&quot;Label&quot;:&quot;1&quot;" in label("image/dcgan", "png")
    assert b"AIGC" in label("audio/wavegan", "wav")
    assert b'AIGC={"Label":"1"' in label("audio/wavegan", "flac")
    assert b"mdtaAIGC" in label("video/gan", "mp4")
    assert b"XMP DataXMP" in label("video/gan", "gif")
    assert b'comment AIGC {"Label":"1"' in label("point-cloud/flow", "ply")
    label("text/gpt", "txt")
    assert json.loads((tmp_path / "txt" / "000000.txt.json").read_text())["AIGC"]["Label"] == "1"


def test_other_programs_read_the_notes(runs, tmp_path) -> None:
    """Pillow, libsndfile and FFmpeg find them in their usual places."""
    av, sound = pytest.importorskip("av"), pytest.importorskip("soundfile")
    image = pytest.importorskip("PIL.Image")
    made = {
        format: generate_files(
            runs(recipe), count=1, format=format, out=tmp_path / format, mark="cn", producer="A"
        ).files[0]
        for recipe, format in FORMATS[:7]
    }
    with image.open(made["png"]) as picture:
        picture.load()
        assert json.loads(picture.text["Comment"])["recipe"] == "image/dcgan"
        assert "TC260:AIGC" in picture.text["XML:com.adobe.xmp"]
    with image.open(made["gif"]) as picture:
        picture.seek(picture.n_frames - 1)
    with sound.SoundFile(made["wav"]) as file:
        assert json.loads(file.comment)["recipe"] == "audio/wavegan"
    with sound.SoundFile(made["flac"]) as file:
        assert json.loads(file.comment)["recipe"] == "audio/wavegan"
    with av.open(str(made["mp4"])) as video:
        assert json.loads(video.metadata["comment"])["recipe"] == "video/gan"
        assert json.loads(video.metadata["AIGC"])["Label"] == "1"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--mark", "cm", "--producer", "A"], "Did you mean 'cn'?"),
        (["--mark", "cn"], "--producer NAME"),
        (["--mark", "cn", "--producer", "A", "--no-metadata"], "leave --no-metadata out"),
        (["--producer", "A"], "goes with --mark cn"),
    ],
)
def test_marks_that_do_not_go_together_are_refused(aigc, dcgan, tmp_path, options, said) -> None:
    done = aigc("generate", dcgan.path, *options, "--out", tmp_path / "made")
    assert done.code == 2
    assert said in done.err
    assert not (tmp_path / "made").exists()


def test_a_file_that_says_nothing_is_reported(aigc, dcgan, tmp_path) -> None:
    made = generate_files(dcgan, count=1, out=tmp_path / "made", metadata=False)
    done = aigc("show", made.files[0])
    assert done.code == 2
    assert "does not say that aigc made it" in done.err
    assert aigc("show", made.files[0], "--checkpoint", "1").code == 2


@pytest.mark.parametrize(
    "change",
    [
        {"run": []},
        {"run": {"step": "1"}},
        {"request": {"inputs": []}},
        {"request": None},
        {"made_by": "me"},
    ],
)
def test_a_note_of_another_form_is_no_note(dcgan, tmp_path, aigc, change) -> None:
    generate_files(dcgan, count=1, format="npy", out=tmp_path / "made")
    sidecar = tmp_path / "made" / "samples.npy.json"
    sidecar.write_text(json.dumps({**json.loads(sidecar.read_text()), **change}))
    (tmp_path / "made" / "manifest.json").unlink()
    assert aigc("show", tmp_path / "made" / "samples.npy").code == 2


def test_a_hostile_note_puts_no_option_of_its_own_into_the_command(dcgan, tmp_path) -> None:
    generate_files(dcgan, count=1, format="npy", out=tmp_path / "made")
    sidecar = tmp_path / "made" / "samples.npy.json"
    record = json.loads(sidecar.read_text())
    record["run"] |= {"name": "--out=/", "digest": "0"}
    record["request"] |= {"seed": "0; rm -rf /", "label": "$(id)"}
    sidecar.write_text(json.dumps(record))
    words = shlex.split(origin_of(tmp_path / "made" / "samples.npy").command)
    assert words[2] == "RUN"
    assert words[words.index("--seed") + 1] == "0; rm -rf /"
    assert words[words.index("--label") + 1] == "$(id)"


def test_a_run_beside_the_files_is_found(aigc, dcgan, tmp_path) -> None:
    shutil.copytree(dcgan.path, tmp_path / "digits")
    generate_files("digits", count=1, seed=7, out="drawn")
    said = aigc("show", "drawn/000000.png")
    assert said.out.splitlines()[-1].startswith("  aigc generate digits --checkpoint 2 ")
