"""One network for every subset of columns."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from aigc_joint.config import JointControls, JointNetworkConfig, JointTrainingConfig
from aigc_joint.flow import AsItIs, JointFlow, JointFlowTrainer, Plan
from torch import Tensor

from aigc_core import (
    Request,
    Run,
    StepState,
    generate,
    open_sampler,
    resume,
    train,
)

NAMES = ("samples", "sound", "text")
SMALL = JointNetworkConfig(width=8, blocks=1, trunk=16, layers=1)


@pytest.mark.parametrize(
    ("sides", "plan"),
    [
        ((32, 32), (2, 2)),
        ((64, 64), (4, 2)),
        ((5,), (1, 1)),
        ((1024,), (4, 3)),
        ((8, 16, 16), (2, 2)),
        ((28, 28), (2, 2)),
        ((33, 33), (1, 1)),  # nothing can be halved
    ],
)
def test_what_is_large_becomes_patches_and_levels(sides, plan) -> None:
    assert Plan.of(sides, 256, 64) == plan


def three_columns() -> JointFlow:
    torch.manual_seed(0)
    shapes = {"samples": (1, 8, 8), "sound": (2, 16), "text": (3,)}
    return JointFlow(SMALL, {name: AsItIs(shape) for name, shape in shapes.items()})


def test_columns_of_any_number_of_sides_see_each_other() -> None:
    network = three_columns()
    mixed = {"samples": torch.randn(2, 1, 8, 8), "sound": torch.randn(2, 2, 16)}
    mixed["text"] = torch.randn(2, 3, 1)
    for parameter in network.parameters():  # the last layers start at zero, and hide all else
        torch.nn.init.normal_(parameter, std=0.2)
    times = {name: torch.full((2,), 0.5) for name in mixed}
    before = network(mixed, times)
    assert {n: v.shape for n, v in before.items()} == {n: v.shape for n, v in mixed.items()}
    for changed in mixed:
        now = network({**mixed, changed: mixed[changed] + 1}, times)
        assert all(not torch.equal(now[name], before[name]) for name in mixed)


def test_values_come_back_within_their_bounds() -> None:
    form = AsItIs((4,), (-1.0, 1.0))
    assert form(torch.zeros(2, 4)).shape == (2, 4, 1)
    assert form.restore(torch.full((2, 4, 1), 3.0)).tolist() == [[1.0] * 4] * 2


class Flow(JointFlow):
    """Knows that all columns are equal, and shows what it was asked."""

    def __init__(self) -> None:
        super().__init__(SMALL, {name: AsItIs((4,)) for name in ("samples", "other", "third")})
        self.asked: list[dict[str, float]] = []

    def forward(
        self, mixed: Mapping[str, Tensor], times: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        chunks = len(next(iter(times.values()))) // 5
        for chunk in range(chunks):
            self.asked.append({n: round(float(t[5 * chunk]), 3) for n, t in times.items()})
        # what a column that is given says, everywhere; nothing given: 3
        rows = len(next(iter(times.values())))
        target = torch.full((rows, 4, 1), 3.0)
        for name, value in mixed.items():
            target = torch.where((times[name] == 1).view(-1, 1, 1), value, target)
        return {
            n: (target - v) / (1 - times[n]).clamp(min=1e-3).view(-1, 1, 1)
            for n, v in mixed.items()
        }


def drawn(network: JointFlow, given: Mapping[str, Tensor], **controls) -> Mapping[str, Tensor]:
    return network.sample(
        5,
        rng=torch.Generator().manual_seed(0),
        conditions=given,
        controls=JointControls(**{"steps": 4, "solver": "euler", **controls}),
    )


def test_what_is_given_is_kept_and_the_rest_follows_it() -> None:
    network = Flow()
    given = torch.full((5, 4), 7.0)
    found = drawn(network, {"other": given}, guidance=1)
    assert torch.equal(found["other"], given)
    for name in ("samples", "third"):
        torch.testing.assert_close(found[name], given)
    assert network.asked == [{"samples": t, "other": 1.0, "third": t} for t in (0, 0.25, 0.5, 0.75)]
    torch.testing.assert_close(drawn(network, {}, guidance=1)["third"], torch.full((5, 4), 3.0))


def test_guidance_moves_each_column_away_from_what_it_is_alone() -> None:
    network = Flow()
    found = drawn(network, {"other": torch.full((5, 4), 7.0)}, guidance=2, steps=1)
    # alone a column would be 3; given 7, twice the difference: 3 + 2 * (7 - 3)
    torch.testing.assert_close(found["samples"], torch.full((5, 4), 11.0))
    assert network.asked == [
        {"samples": 0.0, "other": 1.0, "third": 0.0},
        {"samples": 0.0, "other": 0.0, "third": 0.0},
        {"samples": 0.0, "other": 0.0, "third": 0.0},
    ]


def test_columns_are_given_alone_and_learned_as_often_as_is_said() -> None:
    trainer = JointFlowTrainer(three_columns(), JointTrainingConfig(given=0.4, alone=0.3))
    rng = torch.Generator().manual_seed(0)
    state = StepState(0, 0, 1, rng, {}, lambda name, value: None)
    times, learned = trainer._times(20_000, state)
    moments, parts = torch.stack(list(times.values())), torch.stack(list(learned.values()))
    alone = (moments == 0).sum(0) == 2
    assert alone.double().mean() == pytest.approx(0.3, abs=0.01)
    assert torch.equal(alone, (moments == 0).any(0))
    for name in NAMES:
        given = (times[name] == 1)[~alone]
        assert given.double().mean() == pytest.approx(0.4 - 0.4**3, abs=0.01)
        assert torch.equal(learned[name], (times[name] > 0) & (times[name] < 1))
        assert learned[name].double().mean() == pytest.approx(trainer._share, abs=0.01)
    assert bool(parts.any(0).all())  # of every sample something
    common = moments.where(parts, moments.where(parts, -1.0).amax(0))
    assert torch.equal(common, common[:1].expand_as(common))  # at one time


@pytest.mark.parametrize("count", [1, 2, 3])
def test_of_any_number_of_columns_something_is_learned(count: int) -> None:
    network = JointFlow(SMALL, {name: AsItIs((4,)) for name in NAMES[:count]})
    trainer = JointFlowTrainer(network, JointTrainingConfig(given=0.9, alone=0.1))
    state = StepState(0, 0, 1, torch.Generator().manual_seed(0), {}, lambda name, value: None)
    _, learned = trainer._times(20_000, state)
    for mask in learned.values():
        assert mask.double().mean() == pytest.approx(trainer._share, abs=0.01)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("joint") / "run"
    return train("joint/flow", preset="tiny", overrides=CPU, out=folder, progress=False)


CPU = {"engine.device": "cpu", "engine.precision": "fp32"}


def test_every_direction_can_be_asked_for(run: Run) -> None:
    sampler = open_sampler(run, device="cpu")
    everything = sampler.columns(Request(count=3, controls={"steps": 2}))
    assert list(everything) == ["samples", "sound", "text"]
    names = list(everything)
    for mask in range(1, 7):
        given = {n: everything[n] for bit, n in enumerate(names) if mask >> bit & 1}
        asked = Request(count=3, seed=1, inputs=given, controls={"steps": 2})
        found = sampler.columns(asked)
        for name, value in found.items():
            assert torch.equal(value, everything[name]) == (name in given)


def test_a_sample_does_not_depend_on_how_many_are_drawn(run: Run) -> None:
    few = generate(run, count=2, prompt="seven", device="cpu")
    many = generate(run, count=20, prompt="seven", device="cpu")
    assert torch.equal(few, many[:2])


def test_it_resumes_to_the_same_bytes(run: Run, tmp_path: Path) -> None:
    half = train(
        "joint/flow",
        preset="tiny",
        overrides={**CPU, "engine.schedule_steps": 10},
        steps=5,
        out=tmp_path / "half",
        progress=False,
    )
    again = resume(half, steps=10, progress=False)
    given = {"prompt": "two", "count": 2, "device": "cpu"}
    assert torch.equal(generate(again, **given), generate(run, **given))


def test_from_the_command_line_a_file_finds_its_column(aigc, run: Run, tmp_path: Path) -> None:
    first = aigc("generate", run.path, "--prompt", "seven", "--want", "image,audio", "--count", "1",
                 "--json")  # fmt: skip
    files = [Path(name) for name in json.loads(first.out)["files"]]
    assert sorted(path.suffix for path in files) == [".png", ".wav"]
    for path in files:
        done = aigc("generate", run.path, "--input", path, "--want", "text", "--count", "1",
                    "--out", tmp_path / path.suffix[1:])  # fmt: skip
        assert done.code == 0, done.err
        assert (tmp_path / path.suffix[1:] / "000000.txt").exists()


def test_arrays_of_several_outputs_are_files_of_their_own_in_any_order(
    aigc, run: Run, tmp_path: Path
) -> None:
    for want in ("audio,image", "image,audio"):
        out = tmp_path / want
        done = aigc("generate", run.path, "--want", want, "--format", "npy", "--count", "2",
                    "--out", out, "--set", "steps=1")  # fmt: skip
        assert done.code == 0, done.err
        shapes = {path.name: np.load(path).shape for path in out.glob("*.npy")}
        assert shapes == {"samples.npy": (2, 1, 16, 16), "sound.npy": (2, 1, 1024)}


@pytest.mark.parametrize(
    ("arguments", "reported"),
    [
        (("--prompt", "seventeen"), "has 9 tokens, and at most 5 are taken"),
        (("--want", "video"), "makes no 'video'. Valid: audio, image, samples, sound, text."),
        (("--input", "a.xyz"), "no condition that a.xyz could be. Say which with: --input"),
        (("--input", "no.wav"), "There is no file no.wav"),
        (("--set", "guidance=-1"), "controls.guidance"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_a_sentence(aigc, run: Run, arguments, reported: str) -> None:
    done = aigc("generate", run.path, *arguments)
    assert (done.code, reported in " ".join(done.err.split())) == (2, True), done.err


def test_the_losses_of_a_batch_in_parts_are_those_of_the_whole(monkeypatch) -> None:
    """Columns are learned in some rows only, and rows have to weigh the same in every part."""
    flow = three_columns()
    trainer = JointFlowTrainer(flow, JointTrainingConfig())
    batch = {name: torch.randn(32, *flow.representations[name].sample_shape) for name in NAMES}
    noise = {tuple(flow.shape_of(name)): torch.randn(32, *flow.shape_of(name)) for name in NAMES}
    rng = torch.Generator().manual_seed(1)
    times, learned = trainer._times(32, StepState(0, 0, 1, rng, {}, lambda name, value: None))

    def losses(first: int, last: int) -> dict[str, Tensor]:
        rows = slice(first, last)
        cut = [{name: values[rows] for name, values in found.items()} for found in (times, learned)]
        monkeypatch.setattr(trainer, "_times", lambda count, state: cut)
        state = SimpleNamespace(randn=lambda *shape: noise[shape[1:]][rows])
        return trainer._errors({name: values[rows] for name, values in batch.items()}, state)

    whole, parts = losses(0, 32), [losses(0, 8), losses(8, 32)]
    assert len({int(mask[:8].sum()) for mask in learned.values()}) > 1
    for name, value in whole.items():
        torch.testing.assert_close(0.25 * parts[0][name] + 0.75 * parts[1][name], value)


def test_what_is_given_decides_what_is_drawn() -> None:
    """Two columns whose signs agree: each is learned from the other, and both together."""
    torch.manual_seed(0)
    config = JointNetworkConfig(width=16, blocks=1, trunk=32, layers=2)
    flow = JointFlow(config, {"samples": AsItIs((1, 4, 4)), "sound": AsItIs((2, 4))})
    trainer = JointFlowTrainer(flow, JointTrainingConfig())
    optimizer = torch.optim.Adam(flow.parameters(), 3e-3)
    rng = torch.Generator().manual_seed(0)

    def rows(count: int) -> dict[str, Tensor]:
        signs = torch.randint(2, (count,), generator=rng) * 2.0 - 1
        noise = [0.1 * torch.randn(count, size, generator=rng) for size in (16, 8)]
        pattern = torch.tensor([1.0, -1.0]).repeat(8)
        return {
            "samples": (signs[:, None] * pattern + noise[0]).view(count, 1, 4, 4),
            "sound": (signs[:, None] + noise[1]).view(count, 2, 4),
        }

    for step in range(300):
        state = StepState(step, 0, 1, rng, {}, lambda name, value: None)
        optimizer.zero_grad()
        torch.stack(list(trainer._loss(rows(64), state).values())).sum().backward()
        optimizer.step()

    def sides(drawn: Mapping[str, Tensor]) -> dict[str, Tensor]:
        pattern = torch.tensor([1.0, -1.0]).repeat(8)
        return {
            "samples": (drawn["samples"].flatten(1) * pattern).mean(1).sign(),
            "sound": drawn["sound"].flatten(1).mean(1).sign(),
        }

    controls, held_out = JointControls(steps=10, guidance=1), rows(200)
    for given in ({"samples"}, {"sound"}, set()):
        conditions = {name: held_out[name] for name in given}
        found = sides(flow.sample(200, rng=rng, conditions=conditions, controls=controls))
        agree = (found["samples"] == found["sound"]).float().mean()
        assert agree > 0.95, f"given {given}: {float(agree):.0%} agree"
