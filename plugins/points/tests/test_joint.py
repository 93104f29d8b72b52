"""Clouds as a column among others: ``joint/flow`` takes them as sets, from a word and to a word."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import trimesh

from aigc_core import (
    Column,
    Dataset,
    DatasetSpec,
    Request,
    Run,
    SampleSpec,
    SampleStore,
    generate_files,
    hookimpl,
    open_sampler,
    train,
)
from aigc_core.plugins import PluginStatus, get_host
from aigc_pointclouds.datasets.solids import Solids
from aigc_pointclouds.options import SolidsOptions

joint = pytest.importorskip("aigc_joint.flow")
pytest.importorskip("aigc_image")
pytest.importorskip("aigc_text")

LENGTH = len("cylinder")
TEXT = SampleSpec(
    shape=(LENGTH,),
    dtype="int16",
    units={"vocabulary_size": 256},
    assets={"tokenizer": '{"kind": "bytes"}'},
)


class SolidsInWords(Dataset):
    """Solids, each with its shadow from above, 16 x 16 pixels, and its word."""

    def prepare(self) -> None: ...

    def load(self, split: str) -> SampleStore:
        solids = Solids(SolidsOptions(points=48, count=80), self.folders).load(split)
        clouds, labels = solids.arrays["samples"], solids.arrays["labels"]
        places = (clouds[..., [0, 2]] * 7.5 + 7.5).round().long().clamp(0, 15)  # (B, N, 2)
        pictures = torch.zeros(len(clouds), 256, dtype=torch.uint8)
        pictures.scatter_(1, places[..., 0] * 16 + places[..., 1], 255)
        words = [list(name.encode().ljust(LENGTH, b"\0")) for name in solids.label_names]
        return SampleStore(
            arrays={
                "samples": pictures.view(-1, 1, 16, 16),
                "points": clouds,
                "text": torch.tensor(words, dtype=torch.int16)[labels],
            },
            spec=SampleSpec(shape=(1, 16, 16), dtype="uint8"),
            columns={
                "points": Column(modality="point-cloud", spec=solids.spec),
                "text": Column(modality="text", spec=TEXT),
            },
        )


class Plugin:
    @hookimpl
    def aigc_register_datasets(self) -> list[DatasetSpec]:
        return [
            DatasetSpec(
                name="solids-in-words",
                modality="image",
                summary="",
                code=f"{__name__}:SolidsInWords",
                splits=("train", "test"),
                columns={"points": "point-cloud", "text": "text"},
                embedded=True,
            )
        ]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    host = get_host()
    host.register(Plugin(), PluginStatus("solids-in-words", __name__))
    overrides = {
        "dataset.name": "solids-in-words",
        "engine.device": "cpu",
        "engine.precision": "fp32",
    }
    yield train(
        "joint/flow",
        preset="tiny",
        overrides=overrides,
        out=tmp_path_factory.mktemp("joint") / "run",
        progress=False,
    )
    host.manager.unregister(name="solids-in-words")
    status = host.status("solids-in-words")
    assert status is not None
    host.statuses.remove(status)
    host.registered.forget(status)


def test_clouds_are_drawn_from_a_word_and_words_from_a_cloud(run: Run, tmp_path: Path) -> None:
    made = generate_files(
        run, count=2, prompt="torus", want=("point-cloud",), out=tmp_path / "clouds", device="cpu"
    )
    assert [path.suffix for path in made.files] == [".ply", ".ply"]
    (cloud,) = trimesh.load_scene(made.files[0]).dump()
    assert len(cloud.vertices) == 48
    words = generate_files(
        run,
        count=1,
        inputs={"points": str(made.files[0])},
        want=("text", "image"),
        out=tmp_path / "words",
        device="cpu",
    )
    assert sorted(path.suffix for path in words.files) == [".png", ".txt"]


def test_what_is_given_of_a_cloud_comes_back_as_it_was(run: Run) -> None:
    sampler = open_sampler(run, device="cpu")
    first = sampler.columns(Request(count=2))
    again = sampler.columns(Request(count=2, seed=1, inputs={"points": first["points"]}))
    assert torch.equal(again["points"], first["points"])
    assert not torch.equal(again["samples"], first["samples"])


def test_the_order_of_a_cloud_s_points_means_nothing_to_any_column() -> None:
    class Set(joint.AsItIs):
        ordered = False

    config = joint.JointNetworkConfig(width=8, blocks=1, trunk=16, layers=1)
    torch.manual_seed(0)
    network = joint.JointFlow(config, {"samples": joint.AsItIs((1, 8, 8)), "points": Set((3, 20))})
    for parameter in network.parameters():  # the last layers start at zero, and hide all else
        torch.nn.init.normal_(parameter.requires_grad_(False), std=0.2)
    mixed = {"samples": torch.randn(2, 1, 8, 8), "points": torch.randn(2, 3, 20)}
    times = {name: torch.full((2,), 0.5) for name in mixed}
    order = torch.randperm(20)
    before = network(mixed, times)
    after = network({**mixed, "points": mixed["points"][..., order]}, times)
    close = {"rtol": 1e-3, "atol": 1e-3}
    torch.testing.assert_close(after["points"], before["points"][..., order], **close)
    torch.testing.assert_close(after["samples"], before["samples"], **close)
    moved = network({**mixed, "points": mixed["points"] + 1}, times)
    assert not torch.allclose(moved["samples"], before["samples"], **close)
