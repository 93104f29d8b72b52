"""A network that does not care for the order of points, nor for their number."""

from pathlib import Path

import pytest
import torch
import trimesh

from aigc_core import Run, generate, generate_files, train
from aigc_core.errors import ConfigError
from aigc_pointclouds.flow import CloudFlow
from aigc_pointclouds.flow_config import CloudControls, FlowNetworkConfig

CPU = {"engine.device": "cpu", "engine.precision": "fp32"}


@pytest.fixture(scope="module")
def network() -> CloudFlow:
    """A network whose last layer does not hide all else: it starts at zero."""
    torch.manual_seed(0)
    found = CloudFlow(FlowNetworkConfig(width=16, layers=3, tokens=4), points=20, classes=2).eval()
    for parameter in found.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return found.requires_grad_(False)


def test_points_that_change_places_change_places_in_the_result_alone(network: CloudFlow) -> None:
    clouds, times = torch.randn(3, 20, 3), torch.rand(3)
    given = {"label": torch.tensor([0, 1, 2])}
    order = torch.randperm(20)
    before = network(clouds, times, given)
    assert float(before.std()) > 0.1
    torch.testing.assert_close(network(clouds[:, order], times, given), before[:, order])


def test_every_point_sees_the_others_its_time_and_its_class(network: CloudFlow) -> None:
    clouds, times = torch.randn(1, 20, 3), torch.tensor([0.5])
    label = {"label": torch.tensor([0])}
    before = network(clouds, times, label)[0, 0]
    moved = clouds.clone()
    moved[0, 19] += 1
    for changed in (
        network(moved, times, label),
        network(clouds, times + 0.3, label),
        network(clouds, times, {"label": torch.tensor([1])}),
    ):
        assert not torch.allclose(changed[0, 0], before)


def test_drawing_follows_the_noise_whatever_its_order(
    network: CloudFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = torch.randn(2, 20, 3)
    order = torch.randperm(20)
    given = {"label": torch.tensor([0, 1])}
    drawn = []
    for start in (noise, noise[:, order]):
        monkeypatch.setattr(torch, "randn", lambda *_, start=start, **__: start)
        controls = CloudControls(steps=3, guidance=2)
        drawn.append(network.sample(2, rng=torch.Generator(), conditions=given, controls=controls))
    torch.testing.assert_close(drawn[1], drawn[0][:, order], rtol=1e-3, atol=1e-3)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("clouds") / "run"
    return train("point-cloud/flow", preset="tiny", overrides=CPU, out=folder, progress=False)


@pytest.mark.parametrize("points", [None, 1, 30, 500])
def test_clouds_may_be_drawn_with_any_number_of_points(run: Run, points: int | None) -> None:
    drawn = generate(
        run, count=2, label="torus", controls={"points": points, "steps": 2}, device="cpu"
    )
    assert drawn.shape == (2, points or 64, 3)
    assert drawn.isfinite().all()
    assert drawn.abs().max() <= 1


def test_a_larger_cloud_becomes_a_file_of_that_many_points(run: Run, tmp_path: Path) -> None:
    controls = {"points": 90, "steps": 2}
    made = generate_files(
        run, count=2, controls=controls, format="glb", out=tmp_path / "made", device="cpu"
    )
    assert [path.suffix for path in made.files] == [".glb", ".glb"]
    for path in made.files:
        (cloud,) = trimesh.load_scene(path).dump()
        assert len(cloud.vertices) == 90


def test_a_class_that_is_not_there_is_refused_with_the_nearest(run: Run) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'torus'"):
        generate(run, count=1, label="tours", device="cpu")


@pytest.mark.parametrize(
    ("overrides", "reported"),
    [
        ({"model.width": 18}, r"model\.width=18 is not divisible by 4"),
        ({"model.tokens": 0}, r"model\.tokens"),
        ({"dataset.options.points": 0}, "points"),
    ],
)
def test_settings_that_do_not_fit_are_refused_before_anything_is_made(
    overrides: dict[str, int], reported: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=reported):
        train("point-cloud/flow", preset="tiny", overrides={**CPU, **overrides},
              out=tmp_path / "run", progress=False)  # fmt: skip
    assert not (tmp_path / "run").exists()


def test_classes_need_labels(tmp_path: Path) -> None:
    trimesh.creation.icosphere().export(tmp_path / "ball.ply")
    with pytest.raises(ConfigError, match=r"model\.condition=class needs data with labels"):
        train("point-cloud/flow", preset="tiny", data_root=tmp_path, out=tmp_path / "run",
              overrides={**CPU, "dataset.name": "mesh-folder", "dataset.options": {"points": 32}},
              progress=False)  # fmt: skip
