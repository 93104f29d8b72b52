"""Flows of pictures: by class, by text, or of nothing in particular."""

import json

import pytest
import torch

from aigc_core import ConfigError, Request, Run, generate, open_sampler, resume, train
from aigc_image.datasets.captioned_shapes import HELD_OUT
from aigc_image.flow import ImageFlow
from aigc_image.flow_config import FlowNetworkConfig

SMALL = {"model.width": 8, "model.blocks": 1, "engine.batch_size": 16}
WORDS = {
    **SMALL,
    "model.condition": "text",
    "dataset.options.count": 200,
    "dataset.options.size": 16,
    "engine.sample_count": 4,
}


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    return train(
        "image/flow",
        dataset="captioned-shapes",
        overrides=WORDS,
        steps=6,
        out=tmp_path_factory.mktemp("words") / "run",
        progress=False,
    )


@pytest.mark.parametrize(("patch", "multipliers"), [(1, (1,)), (2, (1, 2)), (4, (1, 1, 2))])
def test_a_velocity_has_the_picture_s_shape(patch: int, multipliers: tuple[int, ...]) -> None:
    config = FlowNetworkConfig(width=8, blocks=1, patch=patch, multipliers=multipliers)
    network = ImageFlow(config, 3, 32, classes=4)
    mixed, labels = torch.randn(2, 3, 32, 32), torch.tensor([0, 4])
    assert network(mixed, torch.rand(2), {"label": labels}).shape == (2, 3, 32, 32)


def test_a_text_is_what_a_picture_is_asked_for(aigc, words, tmp_path) -> None:
    about = json.loads(aigc("show", words.path, "--json").out)
    assert about["conditions"]["text"]["option"] == "--prompt TEXT"
    done = aigc(
        "generate", words.path, "--prompt", "a red circle", "--count", "2", "--out", tmp_path / "g",
        "--set", "guidance=2", "--set", "steps=2",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert sorted(p.name for p in (tmp_path / "g").glob("0*.png")) == ["000000.png", "000001.png"]


def test_without_out_a_prompt_draws_into_the_run(aigc, words) -> None:
    done = aigc("generate", words.path, "--prompt", "a red circle", "--set", "steps=1")
    assert done.code == 0, done.err
    assert "16 samples" in done.err


def test_a_text_in_python_is_its_bytes_and_changes_the_picture(words) -> None:
    sampler = open_sampler(words, device="cpu")
    steps = {"steps": 2}
    for name, parameter in sampler.generator.named_parameters():
        if name.endswith("conv_out.weight"):  # six steps have moved them from zero only a little
            torch.nn.init.normal_(parameter, std=0.2)
    first = sampler.samples(Request(count=2, prompt="a red circle", controls=steps))
    stored = torch.tensor([list(b"a red circle".ljust(40, b"\0"))], dtype=torch.int16)
    same = sampler.samples(Request(count=2, inputs={"text": stored}, controls=steps))
    other = sampler.samples(Request(count=2, prompt="two blue squares", controls=steps))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_a_listing_says_which_columns_a_dataset_has(aigc) -> None:
    rows = {row["dataset"]: row for row in json.loads(aigc("datasets", "--json").out)}
    assert rows["captioned-shapes"]["columns"] == {"text": "text"}
    assert rows["digits"]["columns"] == {}


def test_previews_and_evaluations_take_captions_from_held_out_rows(
    aigc, words, monkeypatch
) -> None:
    assert words.latest_preview is not None
    asked = []
    real = ImageFlow.sample

    def sample(self, count, *, conditions, **more):
        asked.append(conditions["text"])
        return real(self, count, conditions=conditions, **more)

    monkeypatch.setattr(ImageFlow, "sample", sample)
    done = aigc("evaluate", words.path, "--count", "8", "--split", "test")
    assert done.code == 0, done.err
    said = {bytes(row[row > 0].tolist()).decode() for row in asked[0][:8]}
    assert said <= {c.caption for c in HELD_OUT}


@pytest.mark.parametrize(
    ("arguments", "reported"),
    [
        (("--prompt", "x" * 41), "The text has 41 tokens, and at most 40 are taken"),
        (("--label", "circle"), "cannot be asked for 'circle'"),
        (("--input", "txt=a.txt"), "Did you mean 'text'?"),
        (("--input", "a.txt"), "a.txt cannot be read as text"),
        (
            ("--input", "a.wav"),
            "no condition that a.wav could be. Say which with: --input text=FILE",
        ),
        (("--set", "guidanse=2"), "Did you mean 'controls.guidance'?"),
        (("--set", "solver=rk4"), "controls.solver"),
        (("--set", "steps=0"), "controls.steps=0"),
        (("--interpolate",), "no latents"),
        (("--prompt", "a", "--stop", "b", "--count", "1"), "--stop goes with a prompt"),
    ],
)
def test_what_cannot_be_asked_is_a_sentence(aigc, words, arguments, reported: str) -> None:
    before = sorted(words.path.rglob("*"))
    done = aigc("generate", words.path, *arguments)
    assert (done.code, reported in " ".join(done.err.split())) == (2, True), done.err
    assert sorted(words.path.rglob("*")) == before


def test_data_without_captions_is_refused_before_a_folder_is_made(tmp_path) -> None:
    with pytest.raises(ConfigError) as raised:
        train(
            "image/flow",
            dataset="digits",
            overrides={**SMALL, "model.condition": "text"},
            steps=1,
            out=tmp_path / "run",
            progress=False,
        )
    assert str(raised.value).startswith(
        "image/flow with model.condition=text needs a column 'text', and this dataset has: "
        "samples, labels. Datasets that can have one: captioned-shapes, image-folder"
    )
    assert not (tmp_path / "run").exists()


def test_a_size_that_cannot_be_halved_is_refused(tmp_path) -> None:
    with pytest.raises(ConfigError, match="divisible by 64, and these have 32x32"):
        train(
            "image/flow",
            dataset="digits",
            overrides={**SMALL, "model.multipliers": [1] * 6},
            steps=1,
            out=tmp_path / "run",
            progress=False,
        )


def test_guidance_on_a_run_without_conditions_is_refused(tmp_path, aigc) -> None:
    run = train(
        "image/flow", dataset="digits", overrides=SMALL, steps=2, out=tmp_path / "run",
        progress=False,
    )  # fmt: skip
    done = aigc("generate", run.path, "--set", "guidance=2")
    assert (done.code, "guidance=2 needs a model with optional conditions" in done.err) == (2, True)
    assert not (run.path / "generated").exists()


def test_a_flow_of_words_resumes_to_the_same_bytes(tmp_path) -> None:
    def started(name: str, steps: int) -> Run:
        overrides = {**WORDS, "engine.schedule_steps": 6}
        return train(
            "image/flow",
            dataset="captioned-shapes",
            overrides=overrides,
            steps=steps,
            out=tmp_path / name,
            progress=False,
        )

    resumed = resume(started("broken", 3), steps=6, progress=False)
    drawn = [
        generate(run, count=3, prompt="a red circle", controls={"steps": 2}, device="cpu")
        for run in (resumed, started("whole", 6))
    ]
    assert drawn[0].shape == (3, 3, 16, 16)
    assert torch.equal(*drawn)


def test_captions_that_change_are_noticed_on_resume(words, aigc) -> None:
    done = aigc("resume", words.path, "--steps", "8", "--set", "dataset.options.count=300")
    assert done.code == 2
    assert "number of samples was 200" in done.err
