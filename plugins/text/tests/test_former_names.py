"""Checkpoints of before parameters had the field's names are read as those of today."""

import re
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from aigc_core import Run, generate, resume, train
from aigc_core.runs.manifest import describe_files

FORMER = {
    r"token_embedding": "token_vectors",
    r"position_embedding": "position_vectors",
    r"label_embedding": "label_vectors",
    r"attention\.qkv": "queries_keys_values",
    r"attention\.attention_out": "attention_out",
    r"mlp_norm": "feed_norm",
    r"mlp\.mlp_": "feed_",
}
SETTINGS = {
    "engine.steps": 4,
    "engine.checkpoint.every": 2,
    "engine.ema": 0.9,
    "engine.device": "cpu",
    "engine.precision": "fp32",
}


def with_former_names(run: Run) -> None:
    for folder in run.checkpoints.iterdir():
        for name in ("weights", "state"):
            path = folder / f"{name}.safetensors"
            renamed = {}
            for key, tensor in load_file(path).items():
                for now, before in FORMER.items():
                    key = re.sub(now, before, key)
                renamed[key] = tensor
            save_file(renamed, path)
        files = {f.name: f.read_bytes() for f in folder.iterdir() if f.name != "manifest.json"}
        (folder / "manifest.json").write_text(describe_files(files))


def weights(run: Run, step: int) -> dict[str, torch.Tensor]:
    return load_file(run.checkpoints / f"step-{step:06d}" / "weights.safetensors")


def test_a_run_with_former_names_generates_and_resumes_as_one_with_todays(tmp_path: Path) -> None:
    run = train(
        "text/gpt",
        preset="tiny",
        overrides=SETTINGS,
        out=tmp_path / "today",
        progress=False,
    )
    former = Run(shutil.copytree(run.path, tmp_path / "former"))
    with_former_names(former)
    assert "generator.blocks.0.queries_keys_values.weight" in weights(former, 4)
    assert torch.equal(generate(former, count=2), generate(run, count=2))
    for each in (run, former):
        resume(each, steps=6, progress=False)
    today, read = weights(run, 6), weights(former, 6)
    assert today.keys() == read.keys()
    assert "generator.token_embedding.weight" in today
    assert "ema.blocks.0.mlp.mlp_in.weight" in today
    assert all(torch.equal(today[name], read[name]) for name in today)
