"""A reply's bytes are those that ``aigc generate`` gives, whoever else asks at the same time."""

import base64
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aigc_core.api import Request, Sampler
from aigc_serve.testing import Running

REQUESTS = 48


def expected(sampler: Sampler, request: Request) -> dict[str, list[bytes]]:
    """The files of a request, drawn alone."""
    columns = sampler.columns(request)
    modalities = sampler.parts.modalities
    return {
        column: [modalities[column].encoded(one, modalities[column].formats[0]) for one in stored]
        for column, stored in columns.items()
    }


def files_of(reply: dict[str, Any]) -> dict[str, list[bytes]]:
    return {
        column: [
            item.encode() if output["encoding"] == "utf-8" else base64.b64decode(item)
            for item in output["items"]
        ]
        for column, output in reply["outputs"].items()
    }


def a_request(sampler: Sampler, chance: random.Random, image: Path) -> tuple[dict, Request]:
    """Something that can be asked of a run: as a client says it, and as the library does."""
    conditions = sampler.validator.describe()["conditions"]
    fields: dict[str, Any] = {
        "count": chance.choice([1, 1, 2, 3, 9]),
        "seed": chance.randrange(2**40),
    }
    given = dict(fields)
    if "label" in conditions and chance.random() < 0.7:
        given["label"] = fields["label"] = chance.choice(conditions["label"]["classes"])
    if sampler.validator.continues_text and chance.random() < 0.5:
        given["prompt"] = fields["prompt"] = "ab"
    if "temperature" in sampler.generator.controls.model_fields:
        given["controls"] = fields["controls"] = {"temperature": chance.choice([0.5, 1.0])}
    if "steps" in sampler.generator.controls.model_fields:
        given["controls"] = fields["controls"] = {"steps": 2}
    if conditions.get("input", {}).get("required"):
        data = base64.b64encode(image.read_bytes()).decode()
        fields["inputs"] = {"input": {"data": data, "type": "png"}}
        given["inputs"] = {"input": image}
    return fields, Request(**given)


def test_mixed_requests_at_the_same_time(
    quiet: Running, samplers: dict[str, Sampler], tmp_path: Path
) -> None:
    chance = random.Random(1)
    image = tmp_path / "image.png"
    modality = samplers["translate"].modality
    pixels = torch.arange(modality.spec.shape[-1] ** 2 * modality.spec.shape[0]) % 251
    stored = pixels.reshape(modality.spec.shape).to(torch.uint8)
    image.write_bytes(modality.encoded(stored, "png"))
    known = list(quiet.pool.models)
    names = [*known, *chance.choices(known, k=REQUESTS - len(known))]
    asked = [(name, *a_request(samplers[name], chance, image)) for name in names]

    def ask(one: tuple[str, dict, Request]) -> dict[str, list[bytes]]:
        reply = quiet.post("/aigc/v1/generate", {"model": one[0], **one[1]})
        assert reply.status == 200, reply.body
        assert reply.json["seed"] == one[2].seed
        return files_of(reply.json)

    with ThreadPoolExecutor(16) as clients:
        found = list(clients.map(ask, asked))
    same = [
        files == expected(samplers[name], request)
        for files, (name, _, request) in zip(found, asked, strict=True)
    ]
    assert sum(same) == REQUESTS, [a for a, is_same in zip(asked, same, strict=True) if not is_same]


def test_networks_are_what_they_were(quiet: Running, samplers: dict[str, Sampler]) -> None:
    """Statistics of batch normalisation, above all; and nothing is in training mode."""
    for name, model in quiet.pool.models.items():
        now, before = model.sampler.generator, samplers[name].generator.state_dict()
        assert not any(module.training for module in now.modules())
        assert all(torch.equal(before[key], value) for key, value in now.state_dict().items())
        assert set(model.sampler.trainer.networks()) == {"generator"}  # no discriminator is kept


def test_the_command_line_gives_them_too(
    quiet: Running, runs: dict[str, Path], tmp_path: Path, monkeypatch
) -> None:
    from aigc_core.cli import main

    out = tmp_path / "out"
    command = ["aigc", "generate", runs["gan"], "--count", 5, "--seed", 11, "--format", "npy"]
    command += ["--out", out, "--device", "cpu"]
    monkeypatch.setattr("sys.argv", [str(word) for word in command])
    with pytest.raises(SystemExit, match="0"):
        main()
    stored = torch.from_numpy(np.load(out / "samples.npy"))
    fields = {"model": "gan", "prompt": "", "n": 5, "seed": 11}
    reply = quiet.post("/v1/images/generations", fields).json
    modality = quiet.pool.models["gan"].sampler.modality
    files = [base64.b64decode(one["b64_json"]) for one in reply["data"]]
    assert files == [modality.encoded(one, "png") for one in stored]
