"""What only a GPU can show. Skipped, and counted as such, where there is none."""

import json

import pytest
import torch
from conftest import QUICK
from toys import toy_data, toy_trainer

import aigc_core.testing
from aigc_core import AdversarialConfig, Engine, EngineConfig
from aigc_core.api import Blueprint
from aigc_core.api.lineage import Origins
from aigc_core.config import Layer, resolve_config
from aigc_core.plugins import get_host

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def engine(**changes: object) -> Engine:
    settings = {"steps": 8, "batch_size": 16, "device": "cuda", "ema": 0.9} | changes
    trainer = toy_trainer(settings.pop("trainer", None))
    return Engine(trainer, {"samples": toy_data()}, EngineConfig(**settings))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    "trainer",
    [
        AdversarialConfig(),
        AdversarialConfig(critic_steps=3),
        AdversarialConfig(generator={"clip_grad_norm": 1.0}),
    ],
    ids=["plain", "critic-steps", "clipped"],
)
def test_a_step_never_waits_for_the_device(precision: str, trainer: AdversarialConfig) -> None:
    ours = engine(precision=precision, trainer=trainer)
    ours._train_step()  # allocations and kernel choices of the first step may wait
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(20):  # past the end of an epoch of 200 samples
            ours._train_step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_the_weights_start_the_same_as_on_a_cpu() -> None:
    on_gpu, on_cpu = engine().state().weights, engine(device="cpu").state().weights
    for name, value in on_cpu.items():
        assert torch.equal(on_gpu[name].cpu(), value)


def test_a_first_step_agrees_with_the_cpu() -> None:
    """Latents come from other generators, so the discriminator's real half is compared."""
    means = []
    for device in ("cpu", "cuda"):
        ours = engine(device=device, steps=1, precision="fp32", log_every=1)
        reported: dict[str, float] = {}

        class Take(aigc_core.EngineObserver):
            def metrics_logged(self, engine: Engine, metrics: dict[str, float]) -> None:
                reported.update(metrics)  # noqa: B023

        ours.add_observer(Take())
        ours.fit()
        means.append(reported["logits/real"])
    assert means[0] == pytest.approx(means[1], rel=1e-3, abs=1e-4)


def test_deterministic_runs_repeat_to_the_bit(monkeypatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    results = []
    for _ in range(2):
        ours = engine(deterministic=True)
        ours.fit()
        results.append({n: v.clone() for n, v in ours.state().weights.items()})
    for name, value in results[0].items():
        assert torch.equal(value, results[1][name]), name


def test_data_that_does_not_fit_stays_in_pinned_memory(monkeypatch) -> None:
    from aigc_core.engine import data

    monkeypatch.setattr(data, "_memory_for_data", lambda device: 0)
    ours = engine(precision="fp32")
    assert not ours.data.on_device
    ours.fit()
    monkeypatch.undo()
    fitting = engine(precision="fp32")
    assert fitting.data.on_device
    fitting.fit()
    for name, value in fitting.state().weights.items():
        torch.testing.assert_close(ours.state().weights[name], value, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("fits", [True, False])
def test_levels_of_sixteen_bits_are_the_same_as_on_a_cpu(monkeypatch, fits: bool) -> None:
    from aigc_core.engine import data
    from aigc_image.modality import ImageModality

    if not fits:
        monkeypatch.setattr(data, "_memory_for_data", lambda device: 0)
    store = aigc_core.testing.tiny_store((1, 28, 28), dtype="uint16")
    modality = ImageModality(store.spec)
    resident = data.ResidentData(store.arrays, torch.device("cuda"), {"samples": modality.to_model})
    assert resident.on_device == fits
    rows = torch.tensor([5, 0, 5])
    taken = resident.take(rows.to(resident.index_device))["samples"]
    assert taken.device.type == "cuda"
    assert torch.equal(modality.to_stored(taken).cpu(), store.arrays["samples"][rows])


def test_rows_from_disk_are_those_in_memory(tmp_path) -> None:
    from aigc_core.engine import data
    from aigc_core.storage import PackWriter, open_pack

    samples = torch.arange(64 * 6, dtype=torch.uint8).view(64, 2, 3)
    with PackWriter(tmp_path / "a.pack") as writer:
        writer.finish({"samples": samples, "labels": torch.arange(64)}, {})
    columns = dict(open_pack(tmp_path / "a.pack").columns)
    columns["labels"] = columns["labels"][:]
    packed = data.ResidentData(columns, torch.device("cuda"))
    assert packed.on_disk
    rows = [torch.randint(64, (16,), device=packed.index_device) for _ in range(20)]
    ahead = [packed.begin({"samples": chosen}) for chosen in rows]
    for chosen, fetch in zip(rows, ahead, strict=True):
        batch = packed.finish(fetch)
        assert batch["samples"].device.type == "cuda"
        assert torch.equal(batch["samples"].cpu(), samples[chosen])
        assert torch.equal(batch["labels"].cpu(), chosen)


def test_a_poisoned_batch_is_skipped_on_the_device() -> None:
    ours = engine(precision="fp32", ema=None)
    before = {n: v.clone() for n, v in ours.state().weights.items()}
    ours.data._transforms["samples"] = lambda samples: samples * float("nan")
    ours.fit(until_step=1)
    name = "discriminator.layers.0.weight"
    assert torch.equal(ours.state().weights[name], before[name])


def test_a_run_resumes_on_the_cpu(aigc, quick) -> None:
    options = [o for o in quick if o not in ("--device", "cpu")]
    assert aigc("train", "image/dcgan", *options, "--out", "run", "--device", "cuda").code == 0
    assert aigc("resume", "run", "--steps", 8, "--device", "cpu").code == 0
    assert json.loads(aigc("generate", "run", "--device", "cuda", "--json").out)["step"] == 8


def test_samples_of_a_seed_do_not_depend_on_the_count(tmp_path) -> None:
    run = aigc_core.train(
        "image/dcgan",
        dataset="digits",
        overrides=QUICK | {"engine.device": "cuda"},
        out=tmp_path / "run",
    )
    many = aigc_core.generate(run, count=130, device="cuda")
    assert torch.equal(many[:5], aigc_core.generate(run, count=5, device="cuda"))


RECIPES = sorted(get_host().recipes)


@pytest.mark.parametrize("conditional", [False, True], ids=["plain", "conditional"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_step_of_any_recipe_never_waits_for_the_device(
    recipe: str, conditional: bool, tmp_path
) -> None:
    host = get_host()
    settings = {"engine": {"device": "cuda"}}
    if conditional:
        settings["model"] = {"conditional": True}
    config = resolve_config(host, recipe, preset="tiny", layers=[Layer("test", settings)]).config
    spec = host.recipes[recipe]
    parents = {
        name: aigc_core.train(parent.recipes[0], preset="tiny", out=tmp_path / name, progress=False)
        for name, parent in spec.parents.items()
    }
    lineage = Origins.open(host, spec, parents, None, strict=False).lineage
    blueprint = Blueprint.of(host, config, lineage)
    store = blueprint.load()
    if conditional and not store.label_names:
        pytest.skip("the embedded data has no classes")
    parts = blueprint.parts(store, training=True)
    ours = Engine(
        parts.trainer,
        store.arrays,
        config.engine,
        transform=parts.transforms,
        streams=store.streams,
    )
    ours._train_step()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            ours._train_step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
