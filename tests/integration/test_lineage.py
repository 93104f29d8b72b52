"""Runs that are made from other runs: parents, initial weights, frozen parts, adapters."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from aigc_core import (
    ConfigError,
    ConfigModel,
    LatentGenerator,
    OptimizerConfig,
    ParentSpec,
    Phase,
    RecipeContext,
    RecipeSpec,
    RunError,
    Trainer,
    find_runs,
    generate,
    hookimpl,
    load_generator,
    open_run,
    resume,
    train,
)
from aigc_core.networks import Frozen
from aigc_core.plugins import PluginStatus, get_host

pytest.importorskip("aigc_image")
pytest.importorskip("aigc_text")

QUICK = {"engine.device": "cpu", "engine.batch_size": 8, "engine.checkpoint.every": 2}


class Empty(ConfigModel):
    size: int = 6


class Decoder(LatentGenerator):
    latent_shape = (6,)

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 1024)
        self.norm = nn.BatchNorm1d(1024)

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.norm(self.layer(latents)).tanh().view(-1, 1, 32, 32)


class Prior(LatentGenerator):
    """Maps other latents to those of a decoder that was trained before."""

    latent_shape = (4,)

    def __init__(self, decoder: LatentGenerator) -> None:
        super().__init__()
        self.layer = nn.Linear(4, decoder.latent_shape[0])
        self.decoder = Frozen(decoder)

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.decoder(self.layer(latents))


class Fitting(Trainer):
    def __init__(self, generator: LatentGenerator) -> None:
        self._generator = generator

    def networks(self) -> Mapping[str, nn.Module]:
        return {"generator": self._generator}

    def generator(self) -> LatentGenerator:
        return self._generator

    def phases(self) -> Sequence[Phase]:
        return [Phase("fit", ("generator",), self._loss, OptimizerConfig(lr=0.01))]

    def _loss(self, batch, state) -> Tensor:
        samples = batch["samples"]
        latents = state.randn(len(samples), *self._generator.latent_shape)
        return (self._generator(latents) - samples).square().mean()


def build_base(context: RecipeContext) -> Fitting:
    return Fitting(Decoder())


def build_prior(context: RecipeContext) -> Fitting:
    parent = context.parents["decoder"]
    assert parent.label_names[7] == "seven"
    assert parent.modality.sample_shape == context.sample_shape
    assert not any(p.requires_grad for p in parent.generator.parameters())
    return Fitting(Prior(parent.generator))


class Plugin:
    @hookimpl
    def aigc_register_recipes(self) -> list[RecipeSpec]:
        common = {
            "summary": "",
            "model": f"{__name__}:Empty",
            "trainer": "aigc_core:ConfigModel",
            "dataset": "digits",
            "defaults": {"engine": {"steps": 4, "ema": 0.5, "sample_count": 4}},
        }
        needs = ParentSpec(recipes=("image/decoder", "image/onion"), summary="what draws")
        return [
            RecipeSpec(name="image/decoder", build=f"{__name__}:build_base", **common),
            RecipeSpec(
                name="image/onion",
                build=f"{__name__}:build_prior",
                parents={"decoder": needs},
                **common,
            ),
            RecipeSpec(
                name="image/over-vae",
                build=f"{__name__}:build_prior",
                parents={"decoder": ParentSpec(recipes=("image/vae",), summary="what draws")},
                **common,
            ),
        ]


@pytest.fixture(scope="module", autouse=True)
def plugin():
    host = get_host()
    host.register(Plugin(), PluginStatus("lineage", __name__))
    assert host.status("lineage").error is None
    yield
    host.manager.unregister(name="lineage")
    status = host.status("lineage")
    host.statuses.remove(status)
    host.registered.forget(status)


def trained(recipe: str, out: str, **more):
    overrides = QUICK | more.pop("overrides", {})
    return train(recipe, out=out, overrides=overrides, progress=False, **more)


def weights(run: str | Path, step: int) -> dict[str, Tensor]:
    path = Path(run) / "checkpoints" / f"step-{step:06d}" / "weights.safetensors"
    return safetensors.torch.load_file(path)


def test_a_run_keeps_what_it_needs_of_its_parent_and_never_looks_for_it_again(aigc) -> None:
    trained("image/decoder", "base")
    keep = {"engine.checkpoint.keep": 9}
    whole = trained("image/onion", "whole", parents={"decoder": "base"}, overrides=keep)
    part = trained("image/onion", "part", parents={"decoder": "base"}, overrides=keep)
    assert not any("decoder" in name for name in weights("whole", 4))  # stored once, not each time
    shutil.rmtree("part/checkpoints/step-000004")  # as if it had been killed
    shutil.rmtree("base")
    assert aigc("resume", "part").code == 0
    before, after = weights("whole", 4), weights("part", 4)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(generate(whole, count=4), generate(part, count=4))
    about = json.loads(aigc("show", "part", "--json").out)["parents"]["decoder"]
    assert (about["recipe"], about["step"]) == ("image/decoder", 4)
    assert about["run"].endswith("/base")
    assert [run.path.name for run in find_runs(".")] == ["part", "whole"]
    assert {p.name for p in Path("part/parents/decoder/checkpoints/step-000004").iterdir()} == {
        "manifest.json",
        "state.json",
        "weights.safetensors",
    }


def test_a_frozen_parent_does_not_change_while_its_child_learns(aigc) -> None:
    base = trained("image/decoder", "base")
    child = trained("image/onion", "child", parents={"decoder": base})
    drawn = load_generator(child).decoder.module
    for name, value in load_generator(base).state_dict().items():
        assert torch.equal(drawn.state_dict()[name], value), name


def test_parents_may_have_parents_and_checkpoints_can_be_chosen(aigc) -> None:
    trained("image/decoder", "base", overrides={"engine.checkpoint.keep": 9})
    trained("image/onion", "middle", parents={"decoder": "base@2"})
    outer = trained("image/onion", "outer", parents={"decoder": "middle"})
    for gone in ("base", "middle"):
        Path(gone).rename(f"{gone}-elsewhere")
    drawn = generate(outer, count=2)
    assert drawn.shape == (2, 1, 32, 32)
    inner = load_generator(outer).decoder.module.decoder.module.state_dict()
    kept = weights("base-elsewhere", 2)
    assert torch.equal(inner["layer.weight"], kept["ema.layer.weight"])
    assert Path("outer/parents/decoder/parents/decoder/config.yaml").is_file()
    Path("middle-elsewhere").rename("middle")
    assert json.loads(Path("middle/parents/decoder/dataset.json").read_text())["count"]
    assert open_run("middle").config["parents"]["decoder"]["step"] == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "image/onion needs a trained run of image/decoder or image/onion as its 'decoder'"),
        (("--parent", "decoders=base"), "no parent 'decoders'. Did you mean 'decoder'?"),
        (("--parent", "decoder"), "it takes NAME=RUN"),
        (("--parent", "decoder=nowhere"), "no run"),
        (("--parent", "decoder=base@3"), "step 3"),
        (("--parent", "decoder=vae"), "vae is of image/vae"),
        (("--parent", "decoder=base", "--strict-init"), "--strict-init goes with --init-from"),
        (
            ("--parent", "decoder=base", "--parent", "decoder=vae"),
            "--parent decoder is given twice: base and vae",
        ),
    ],
)
def test_a_parent_that_cannot_be_one_is_refused_before_a_folder_is_made(
    aigc, arguments, sentence: str
) -> None:
    trained("image/decoder", "base")
    if arguments == ("--parent", "decoder=vae"):
        trained("image/vae", "vae", preset="tiny", steps=1)
    done = aigc("train", "image/onion", *arguments, "--out", "child")
    assert done.code == 2, done
    assert sentence in " ".join(done.err.split())
    assert not Path("child").exists()


def test_a_private_parent_is_kept_without_its_seed() -> None:
    pytest.importorskip("dp_accounting")
    private = {"trainer.privacy.epsilon": 8, "engine.steps": 2}
    runs = [trained("image/vae", name, preset="tiny", overrides=private) for name in ("a", "b")]
    seeds = [run.config["engine"]["seed"] for run in runs]
    assert min(seeds) > 2**20  # drawn at random: nobody gave one
    assert seeds[0] != seeds[1]
    chosen = trained("image/vae", "c", preset="tiny", overrides=private, seed=7)
    assert chosen.config["engine"]["seed"] == 7

    trained("image/over-vae", "child", parents={"decoder": "a"})
    kept = Path("child/parents/decoder")
    assert str(seeds[0]) not in "".join(
        path.read_text(errors="replace") for path in kept.rglob("*") if path.is_file()
    )
    assert generate("child", count=1).shape[0] == 1
    resume("child", steps=6)


def test_a_recipe_without_parents_takes_none(aigc) -> None:
    trained("image/decoder", "base")
    done = aigc("train", "image/vae", "--preset", "tiny", "--parent", "decoder=base", "--out", "x")
    assert done.code == 2
    assert "image/vae has no parent 'decoder'" in done.err


@pytest.mark.parametrize("damage", ["config", "gone", "link"])
def test_a_parent_that_was_changed_is_refused(aigc, damage: str) -> None:
    trained("image/decoder", "base")
    trained("image/onion", "child", parents={"decoder": "base"})
    kept = Path("child/parents/decoder")
    if damage == "config":
        text = (kept / "config.yaml").read_text()
        (kept / "config.yaml").write_text(text.replace("seed: 0", "seed: 1"))
    elif damage == "gone":
        shutil.rmtree(kept)
    else:
        shutil.rmtree(kept)
        kept.symlink_to(Path("base").absolute())
    for command in ("generate", "resume"):
        done = aigc(command, "child", *(("--steps", 6) if command == "resume" else ()))
        assert done.code == 2, done
        assert "parents/decoder" in done.err
        assert "Traceback" not in done.err


@pytest.mark.parametrize("name", ["../../base", "decoder/../..", "/etc", "", "decoder\\n"])
def test_a_parent_whose_name_leads_out_of_the_run_is_refused(aigc, name: str) -> None:
    trained("image/decoder", "base")
    trained("image/onion", "child", parents={"decoder": "base"})
    config = Path("child/config.yaml")
    text = config.read_text()
    config.write_text(text.replace("parents:\n  decoder:", f'parents:\n  "{name}":'))
    assert config.read_text() != text
    done = aigc("generate", "child")
    assert done.code == 2
    assert "is damaged, at 'parents' or 'initial'" in done.err


# Initial weights


def test_training_starts_from_the_weights_of_a_run_as_far_as_they_fit(aigc) -> None:
    base = trained("image/vae", "base", preset="tiny", steps=4)
    done = aigc(
        *("train", "image/vae", "--preset", "tiny", "--steps", 1, "--device", "cpu"),
        *("--init-from", "base", "--out", "again"),
        *("--set", "trainer.optimizer.lr=1e-9", "--set", "trainer.optimizer.final_lr=0"),
    )
    assert done.code == 0, done.err
    assert "Starting from" in done.err
    assert "missing" not in done.err
    before, after = weights(base.path, 4), weights("again", 1)
    for name, value in before.items():
        assert torch.allclose(value, after[name], atol=1e-6), name

    done = aigc(
        *("train", "image/vae", "--preset", "tiny", "--steps", 1, "--device", "cpu"),
        *("--set", "model.latent_size=5", "--init-from", "base", "--out", "other"),
    )
    assert done.code == 0, done.err
    assert "have another shape there, and start at random" in done.err


def test_averaged_weights_are_what_training_starts_from_and_a_file_will_do(aigc) -> None:
    trained("image/decoder", "base")
    kept = weights("base", 4)
    again = trained("image/decoder", "again", init_from="base", steps=1)
    start = safetensors.torch.load_file("again/initial.safetensors")
    assert torch.equal(start["generator.layer.weight"], kept["ema.layer.weight"])
    assert not torch.equal(start["generator.layer.weight"], kept["generator.layer.weight"])
    plain = {n.removeprefix("ema."): v for n, v in kept.items() if n.startswith("ema.")}
    safetensors.torch.save_file(plain, "plain.safetensors")
    from_file = trained("image/decoder", "from_file", init_from="plain.safetensors", steps=1)
    a, b = weights(again.path, 1), weights(from_file.path, 1)
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_run_that_stopped_before_its_first_checkpoint_starts_from_the_same_weights(aigc) -> None:
    trained("image/decoder", "base")
    trained("image/decoder", "whole", init_from="base")
    trained("image/decoder", "part", init_from="base")
    shutil.rmtree("base")
    for folder in Path("part/checkpoints").iterdir():
        shutil.rmtree(folder)
    assert aigc("resume", "part").code == 0
    a, b = weights("whole", 4), weights("part", 4)
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_weights_that_learned_other_tokens_are_a_warning_or_an_error(aigc) -> None:
    for name, letters in (("first", "abc"), ("second", "xyz")):
        Path(name).mkdir()
        Path(name, "text.txt").write_text(letters * 3000)
    data = ("--dataset", "text-files", "--set", "dataset.options.tokenizer=characters")
    common = ("train", "text/gpt", "--preset", "tiny", "--steps", 2, "--device", "cpu", *data)
    assert aigc(*common, "--data-root", "first", "--out", "base").code == 0
    other = (*common, "--data-root", "second", "--init-from", "base")
    done = aigc(*other, "--out", "child")
    assert done.code == 0, done.err
    assert "its samples have another tokenizer" in " ".join(done.err.split())
    done = aigc(*other, "--strict-init", "--out", "strict")
    assert done.code == 2
    assert "its samples have another tokenizer. That does not fit" in " ".join(done.err.split())
    assert not Path("strict").exists()
    again = (*common, "--data-root", "first", "--init-from", "base", "--strict-init")
    assert aigc(*again, "--out", "again").code == 0


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("nowhere", "no run"),
        ("nothing.safetensors", "There is no file nothing.safetensors"),
        ("text.safetensors", "is no usable safetensors file"),
        ("other.safetensors", "Nothing in other.safetensors fits this model: it has 'generator.a'"),
        ("half.safetensors", "does not fit as --strict-init asks: "),
    ],
)
def test_weights_that_cannot_be_used_are_refused_before_a_folder_is_made(
    aigc, given: str, sentence: str
) -> None:
    Path("text.safetensors").write_text("hello, this is no safetensors file")
    safetensors.torch.save_file({"a": torch.zeros(2)}, "other.safetensors")
    half = {"generator.layer.bias": torch.zeros(1024), "generator.b": torch.zeros(1)}
    safetensors.torch.save_file(half, "half.safetensors")
    strict = ("--strict-init",) if given == "half.safetensors" else ()
    done = aigc("train", "image/decoder", "--init-from", given, *strict, "--out", "child")
    assert done.code == 2, done
    assert sentence in " ".join(done.err.split())
    assert not Path("child").exists()


def test_initial_weights_that_were_changed_are_refused(aigc) -> None:
    trained("image/decoder", "base")
    trained("image/decoder", "child", init_from="base", steps=2)
    path = Path("child/initial.safetensors")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    done = aigc("resume", "child", "--steps", 4)
    assert done.code == 2
    assert "is not what the run began with" in done.err


# Frozen parts


def test_what_is_frozen_does_not_learn_and_keeps_its_statistics(aigc) -> None:
    trained("image/decoder", "base")
    start = weights("base", 4)
    freeze = {"engine.freeze": ["generator.norm"], "engine.ema": None}
    child = trained("image/decoder", "child", init_from="base", overrides=freeze)
    after = weights(child.path, 4)
    for name in after:
        same = torch.equal(after[name], start[f"ema.{name.removeprefix('generator.')}"])
        assert same == name.startswith("generator.norm."), name
    again = trained("image/decoder", "again", init_from="base", overrides=freeze, steps=2)
    resume(again, steps=4, progress=False)
    assert all(torch.equal(after[name], weights("again", 4)[name]) for name in after)


@pytest.mark.parametrize(
    ("freeze", "sentence"),
    [
        (["generator.norms"], "engine.freeze names 'generator.norms', which is not there"),
        (["*"], "has no parameter to train"),
        (["generator.layer.*", "generator.norm"], "Freeze less with engine.freeze"),
    ],
)
def test_what_cannot_be_frozen_is_a_sentence(freeze: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence.replace("*", r"\*")):
        trained("image/decoder", "child", overrides={"engine.freeze": freeze})
    assert not Path("child").exists()


# Adapters

LORA = {"engine.lora": {"rank": 2, "alpha": 4.0}}


def test_a_run_with_adapters_saves_them_alone_and_draws_from_the_sum(aigc) -> None:
    base = trained("text/gpt", "base", preset="tiny", steps=2)
    run = trained("text/gpt", "child", preset="tiny", steps=4, init_from=base, overrides=LORA)
    saved = weights("child", 4)
    assert saved
    parameters = {name for name in saved if ".parametrizations.weight.0." in name}
    assert all(saved[name].numel() == 1 for name in saved.keys() - parameters), saved.keys()
    network = load_generator(run)
    start = safetensors.torch.load_file("child/initial.safetensors")
    changed = 0
    for name, value in network.state_dict().items():
        before = start[f"generator.{name}"]
        key = f"generator.{name.removesuffix('weight')}parametrizations.weight.0"
        if name.endswith("weight") and f"{key}.up" in saved:
            up, down = saved[f"{key}.up"], saved[f"{key}.down"]
            before = before + 2.0 * (up @ down).view_as(before)
            changed += 1
        assert torch.allclose(value, before, atol=1e-6), name
    assert changed > 4


def test_adapters_survive_a_resume_and_the_end_of_their_base(aigc) -> None:
    often = LORA | {"engine.ema": 0.9, "engine.checkpoint.keep": 9}
    trained("image/vae", "base", preset="tiny", steps=2)
    for name in ("whole", "part"):
        trained("image/vae", name, preset="tiny", steps=4, init_from="base", overrides=often)
    shutil.rmtree("base")
    shutil.rmtree("part/checkpoints/step-000004")
    assert aigc("resume", "part").code == 0
    a, b = weights("whole", 4), weights("part", 4)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert torch.equal(generate("whole", count=3), generate("part", count=3))
    done = aigc("generate", "part", "--reconstruct", "--count", 2, "--out", "made")
    assert done.code == 0, done.err


def test_at_first_adapters_change_nothing() -> None:
    base = trained("image/vae", "base", preset="tiny", steps=2)
    slow = LORA | {"trainer.optimizer.lr": 1e-12, "trainer.optimizer.final_lr": 0}
    child = trained("image/vae", "child", preset="tiny", steps=1, init_from=base, overrides=slow)
    images = [generate(run, count=4).int() for run in (base, child)]
    assert (images[0] - images[1]).abs().max() <= 1


@pytest.mark.parametrize(
    ("init", "lora", "sentence"),
    [
        (None, {"rank": 2}, "engine.lora adapts weights that were trained before"),
        ("base", {"rank": 2, "targets": ["encoder.nothing"]}, "matches no linear layer"),
        ("base", {"rank": 0}, "rank"),
        ("narrow", {"rank": 2}, "learns nothing but adapters, and .* would stay"),
    ],
)
def test_adapters_that_cannot_be_are_a_sentence(init, lora, sentence: str) -> None:
    if init is not None:
        narrow = {"model.latent_size": 5} if init == "narrow" else {}
        trained("image/vae", init, preset="tiny", steps=1, overrides=narrow)
    with pytest.raises((ConfigError, RunError), match=sentence):
        trained("image/vae", "x", preset="tiny", init_from=init, overrides={"engine.lora": lora})
    assert not Path("x").exists()
