"""``aigc show``: what a run is and what it can be asked for; and many who ask at once."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from aigc_core import Request, open_sampler, train


@pytest.fixture(scope="module")
def conditional(tmp_path_factory):
    return train(
        "image/dcgan",
        preset="tiny",
        overrides={"model.conditional": True},
        steps=4,
        out=tmp_path_factory.mktemp("conditional") / "run",
        progress=False,
    )


def test_a_run_says_what_it_is_and_what_it_can_be_asked_for(aigc, conditional) -> None:
    shown = aigc("show", conditional.path).out
    assert "image/dcgan, trained on digits" in shown
    assert "step 4 of 4, complete" in shown
    assert "  --label CLASS            label, class: zero, one, two, three," in shown
    assert "nine; optional\n" in shown
    about = json.loads(aigc("show", conditional.path, "--json").out)
    assert about["conditions"]["label"]["classes"][7] == "seven"
    assert about["controls"]["properties"] == {}
    assert about["sample"]["shape"] == [1, 32, 32]


def test_controls_are_shown_with_their_meaning(aigc, tmp_path) -> None:
    run = train("text/gpt", preset="tiny", steps=1, out=tmp_path / "run", progress=False)
    shown = aigc("show", run.path).out
    assert "--prompt TEXT            prompt, text; optional" in shown
    assert "temperature=1.0          Divides the logits: below 1 more certain" in shown
    schema = json.loads(aigc("show", run.path, "--json").out)["controls"]
    assert schema["properties"]["top_p"]["maximum"] == 1


def test_a_folder_that_is_no_run_is_reported(aigc, tmp_path) -> None:
    done = aigc("show", tmp_path)
    assert done.code == 2
    assert "Error: " in done.err


def test_threads_that_ask_one_sampler_get_what_each_would_alone(conditional) -> None:
    """A network whose mode is switched for every request gave four threads wrong answers."""
    sampler = open_sampler(conditional, device="cpu")
    requests = [Request(count=5, seed=seed, label=seed % 10) for seed in range(48)]
    alone = [sampler.samples(request) for request in requests]
    before = {name: value.clone() for name, value in sampler.generator.state_dict().items()}
    state = torch.get_rng_state()
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(sampler.samples, requests))
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))
    assert all(torch.equal(before[n], v) for n, v in sampler.generator.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(module.training for module in sampler.generator.modules())
