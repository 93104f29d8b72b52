"""Clips by flow matching and by a GAN: shapes, conditions, and what cannot be trained."""

import logging
from pathlib import Path

import av
import pytest
import torch
from PIL import Image

from aigc_core import Request, Run, generate, open_sampler, resume, train
from aigc_core.cli import main
from aigc_core.errors import ConfigError
from aigc_video.axes import ChannelsFirst
from aigc_video.flow import FIRST, NO_FRAME, VideoFlow
from aigc_video.flow_config import FlowNetworkConfig

CPU = {"engine.device": "cpu", "engine.precision": "fp32"}
FEW_STEPS = {"steps": 2}


def trained(folder: Path, recipe: str, steps: int = 4, **overrides) -> Run:
    settings = {**CPU, "engine.schedule_steps": 4, **overrides}
    return train(
        recipe, preset="tiny", steps=steps, overrides=settings, out=folder / "run", progress=False
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained(tmp_path_factory.mktemp("flow"), "video/flow")


def network(frame_shape: tuple[int, ...] | None = (1, 32, 32), **settings) -> VideoFlow:
    torch.manual_seed(0)
    config = FlowNetworkConfig(width=8, multipliers=(1, 2), blocks=1, **settings)
    made = VideoFlow(config, ChannelsFirst((8, 1, 16, 16)), 10, frame_shape)
    for name, parameter in made.named_parameters():
        if name.endswith("out.weight"):
            torch.nn.init.normal_(parameter, std=0.1)  # they begin at zero, and hide the rest
    return made.eval()


def given(count: int, **changes) -> dict[str, torch.Tensor]:
    nothing = network().nothing
    return {name: nothing(name, count, torch.device("cpu")) for name in ("label", FIRST)} | changes


@pytest.mark.parametrize("patch", [(1, 1), (2, 2), (1, 4), (4, 2)])
def test_the_network_s_answer_depends_on_class_and_first_frame(patch: tuple[int, int]) -> None:
    made = network(patch_frames=patch[0], patch=patch[1])
    mixed, times = torch.randn(2, 1, 8, 16, 16), torch.rand(2)
    before = made(mixed, times, given(2))
    assert before.shape == mixed.shape
    frame = torch.zeros(2, 1, 32, 32)
    for change in ({"label": torch.tensor([3, 4])}, {FIRST: frame}):
        assert (made(mixed, times, given(2, **change)) - before).abs().amax((1, 2, 3, 4)).min() > 0
    assert (given(2)[FIRST] == NO_FRAME).all()


def test_the_border_of_a_first_frame_is_no_part_of_it() -> None:
    made = network()
    mixed, times = torch.randn(1, 1, 8, 16, 16), torch.rand(1)
    frame = torch.full((1, 1, 32, 32), -1.0)  # images of 16 pixels, in a border of 8
    bordered = frame.clone()
    bordered[..., :8, :] = 0.5
    answers = [made(mixed, times, given(1, **{FIRST: value})) for value in (frame, bordered)]
    assert torch.equal(*answers)
    inside = frame.clone()
    inside[..., 8, 8] = 0.5
    assert not torch.equal(made(mixed, times, given(1, **{FIRST: inside})), answers[0])


def test_a_first_frame_that_is_given_is_kept_to_the_byte(run: Run) -> None:
    sampler = open_sampler(run, device="cpu")
    frames = torch.randint(0, 256, (3, 1, 16, 16), dtype=torch.uint8)
    asked = Request(count=3, label="seven", inputs={FIRST: frames}, controls=FEW_STEPS)
    found = sampler.columns(asked)["samples"]
    assert found.shape == (3, 8, 1, 16, 16)
    assert torch.equal(found[:, 0], frames)
    free = sampler.columns(Request(count=3, label="seven", controls=FEW_STEPS))["samples"]
    assert not torch.equal(found[:, 1:], free[:, 1:])  # the rest follows it


def test_a_clip_does_not_depend_on_how_many_are_drawn(run: Run) -> None:
    few = generate(run, count=2, controls=FEW_STEPS, device="cpu")
    many = generate(run, count=18, controls=FEW_STEPS, device="cpu")
    assert torch.equal(few, many[:2])


@pytest.mark.parametrize("recipe", ["video/flow", "video/gan"])
def test_it_resumes_to_the_same_bytes(recipe: str, tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole", recipe)
    half = trained(tmp_path / "half", recipe, steps=2)
    again = resume(half, steps=4, progress=False)
    options = {"count": 2, "device": "cpu"}
    assert torch.equal(generate(again, **options), generate(whole, **options))


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["aigc", *map(str, arguments)])
    try:
        main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_from_the_command_line_a_picture_becomes_a_video(
    run: Run, tmp_path: Path, monkeypatch, capfd
) -> None:
    picture = tmp_path / "seven.png"
    Image.new("RGB", (40, 20), (255, 255, 255)).save(picture)
    for format in ("mp4", "gif"):
        out = tmp_path / format
        code = command(monkeypatch, "generate", run.path, "--input", picture, "--count", "2",
                       "--format", format, "--set", "steps=2", "--out", out)  # fmt: skip
        assert code == 0, capfd.readouterr().err
        with av.open(str(out / f"000001.{format}")) as container:
            frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
        assert len(frames) == 8
        assert frames[0].min() > 250  # white, as the picture


@pytest.mark.parametrize(
    ("recipe", "settings", "message"),
    [
        ("video/flow", {"dataset.options.frames": 6}, "whose frames are divisible by 4"),
        ("video/flow", {"dataset.options.size": 18}, "whose sides are divisible by 4"),
        ("video/gan", {"dataset.options.size": 24}, "square clips of 16, 32, 64"),
        ("video/gan", {"dataset.options.frames": 6}, "divisible by 4, and these have 6"),
        ("video/gan", {"trainer.gradient_penalty": 10}, "model.discriminator_normalization"),
    ],
)
def test_what_cannot_be_trained_is_a_sentence(recipe, settings, message, tmp_path) -> None:
    with pytest.raises(ConfigError, match=message):
        trained(tmp_path, recipe, **settings)
    assert not (tmp_path / "run").exists()


def test_data_without_first_frames_is_refused_by_name() -> None:
    from aigc_core import RecipeContext, SampleSpec
    from aigc_video.flow import build
    from aigc_video.flow_config import VideoFlowConfig

    context = RecipeContext(
        model=FlowNetworkConfig(first_frame=True),
        trainer=VideoFlowConfig(),
        sample_shape=(8, 1, 16, 16),
        spec=SampleSpec(shape=(8, 1, 16, 16), dtype="uint8", units={"frame_rate_hz": 8}),
        label_count=0,
    )
    with pytest.raises(ConfigError, match=r"model\.first_frame=true needs a column 'first_frame'"):
        build(context)


@pytest.mark.parametrize("change", [{}, {"discriminator_normalization": "layer"}])
def test_a_gan_makes_each_class_and_can_do_without_batch_normalisation(change, tmp_path) -> None:
    settings = {f"model.{name}": value for name, value in change.items()}
    if change:
        settings |= {"trainer.loss": "wasserstein", "trainer.gradient_penalty": 10}
    made = trained(tmp_path, "video/gan", **settings)
    clips = generate(made, count=20, device="cpu")
    assert (clips.shape, clips.dtype) == ((20, 8, 1, 16, 16), torch.uint8)
    of_class = generate(made, count=20, label="four", device="cpu")
    assert not torch.equal(clips, of_class)


def test_a_folder_of_colour_videos_is_trained_on(write_video, tmp_path: Path, caplog) -> None:
    caplog.set_level(logging.ERROR, "aigc")
    rng = torch.Generator().manual_seed(0)
    for name in ("a/one", "a/two", "b/three"):
        frames = torch.randint(0, 256, (24, 32, 32, 3), generator=rng, dtype=torch.uint8)
        write_video(tmp_path / "videos" / f"{name}.mp4", frames.numpy())
    made = train(
        "video/flow",
        preset="tiny",
        steps=2,
        overrides={
            **CPU,
            "dataset.name": "video-folder",
            "dataset.root": str(tmp_path / "videos"),
            "dataset.options": {"size": 16, "frames": 8},
        },
        out=tmp_path / "run",
        progress=False,
    )
    assert generate(made, count=1, label="b", controls=FEW_STEPS, device="cpu").shape == (
        1, 8, 3, 16, 16,
    )  # fmt: skip
