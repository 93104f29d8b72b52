"""Hosts, folders and samples of a test's own."""

import os
import socket
import sys
import urllib.request
from pathlib import Path

import dots
import pytest
import torch

from aigc_core.errors import PluginError
from aigc_core.plugins import get_host
from aigc_core.testing import isolated_host, tiny_store, tmp_plugin
from aigc_core.testing.fixtures import aigc_folders, data_folders, no_network  # noqa: F401
from aigc_core.testing.process.isolation import own_folders


def test_a_host_with_exactly_these_plugins() -> None:
    class Observer:
        pass

    host = isolated_host(dots, Observer())
    assert [status.name for status in host.statuses] == ["dots", "observer"]
    assert list(host.recipes) == ["dots/gan", "dots/moments"]
    assert host.status("dots").module == "dots"


def test_such_a_host_does_not_discover() -> None:
    with pytest.raises(PluginError, match="holds only the plugins that it was given"):
        isolated_host().discover()


def test_a_plugin_that_is_there_for_a_while() -> None:
    before = get_host()
    with tmp_plugin(dots, "points") as host:
        assert get_host() is host
        assert [status.name for status in host.statuses] == ["points"]
        assert host.owner("recipe", "dots/gan") == "points"
    assert get_host() is before
    assert before.status("points") is None


def test_it_is_gone_after_an_error() -> None:
    before = get_host()
    with pytest.raises(KeyError), tmp_plugin(dots):
        raise KeyError
    assert get_host() is before


def test_a_plugin_beside_installed_ones() -> None:
    with tmp_plugin(dots, beside=("image",)) as host:
        assert [status.name for status in host.statuses] == ["image", "dots"]
        assert "digits" in host.datasets


def test_a_plugin_beside_one_that_is_not_installed() -> None:
    with (
        pytest.raises(PluginError, match=r"'imagine' is not installed. Did you mean 'image'\?"),
        tmp_plugin(dots, beside=("imagine",)),
    ):
        pass


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "int64", "float32"])
def test_a_tiny_store(dtype: str) -> None:
    store = tiny_store((3, 4), dtype=dtype, count=7, labels=2, units={"sample_rate_hz": 8000})
    samples = store.arrays["samples"]
    assert samples.shape == (7, 3, 4)
    assert samples.dtype == getattr(torch, dtype)
    assert len(samples.unique()) > 50
    assert store.arrays["labels"].tolist() == [0, 1, 0, 1, 0, 1, 0]
    assert store.label_names == ("0", "1")
    assert store.spec.units == {"sample_rate_hz": 8000}
    assert torch.equal(samples, tiny_store((3, 4), dtype=dtype, count=7).arrays["samples"])


def test_folders_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIGC_DATA_DIR", "mine")
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    here, environment, path = Path.cwd(), dict(os.environ), list(sys.path)
    with own_folders(tmp_path / "a"):
        assert Path.cwd() == tmp_path / "a" / "work"
        assert os.environ["AIGC_CACHE_DIR"] == str(tmp_path / "a" / "cache")
        assert os.environ["AIGC_CONFIG_DIR"] == str(tmp_path / "a" / "config")
        assert "AIGC_DATA_DIR" not in os.environ
        assert sys.path[0] == str(here)
        sys.path.insert(0, "/new")
    assert (Path.cwd(), dict(os.environ), list(sys.path)) == (here, environment, ["/new", *path])


def test_the_fixtures(aigc_folders, data_folders) -> None:  # noqa: F811
    assert Path.cwd() == aigc_folders.work
    assert data_folders.root is None
    assert str(data_folders.cache) == os.environ["AIGC_CACHE_DIR"]


def test_no_network(no_network) -> None:  # noqa: F811
    with pytest.raises(OSError, match=r"Name or service not known|Network is unreachable"):
        urllib.request.urlopen("http://localhost:9", timeout=5)
    with socket.socket() as unconnected:
        with pytest.raises(OSError, match="Network is unreachable"):
            unconnected.connect(("127.0.0.1", 9))
        assert unconnected.connect_ex(("127.0.0.1", 9)) != 0


def test_the_network_is_back_afterwards() -> None:
    assert socket.socket.connect.__qualname__ != "no_network.<locals>.refuse"
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()


def test_importing_it_is_light() -> None:
    import subprocess

    code = (
        "import sys, aigc_core.testing; sys.exit('torch' in sys.modules or 'pytest' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
