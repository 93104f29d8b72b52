"""How much memory data may take, as machines, control groups and processes limit it."""

from pathlib import Path

import pytest

from aigc_core.errors import ConfigError
from aigc_core.storage.memory import data_budget, free_memory, parse_size, sized

resource = pytest.importorskip("resource")
GB = 10**9
V2 = ("memory.max", "memory.current", "inactive_file")
V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A file system of a machine with 8 GB of free memory."""
    put(tmp_path / "proc/meminfo", "MemTotal: 16000000 kB\nMemAvailable: 8000000 kB\n")
    put(tmp_path / "proc/self/status", "VmSize: 2000000 kB\nVmData: 1000000 kB\n")
    return tmp_path


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def group(folder: Path, names: tuple[str, str, str], limit: object, used: int, cached: int) -> None:
    put(folder / names[0], f"{limit}\n")
    put(folder / names[1], f"{used}\n")
    put(folder / "memory.stat", f"anon 1\n{names[2]} {cached}\n")


def test_without_control_groups_the_machine_decides(machine) -> None:
    assert free_memory(machine) == 8_000_000 * 1024


@pytest.mark.parametrize(
    ("line", "base", "names"),
    [("0::/job/step", "", V2), ("4:cpu,memory:/job/step", "memory", V1)],
    ids=["v2", "v1"],
)
def test_a_control_group_leaves_its_limit_without_what_is_used(machine, line, base, names) -> None:
    put(machine / "proc/self/cgroup", f"1:name=systemd:/\n{line}\n")
    top = machine / "sys/fs/cgroup" / base
    group(top / "job/step", names, 1 * GB, used=400_000_000, cached=100_000_000)
    assert free_memory(machine) == 700_000_000


def test_a_group_above_may_be_the_one_that_limits(machine) -> None:
    put(machine / "proc/self/cgroup", "0::/job/step\n")
    group(machine / "sys/fs/cgroup/job/step", V2, "max", used=1, cached=0)
    group(machine / "sys/fs/cgroup/job", V2, 2 * GB, used=GB, cached=0)
    assert free_memory(machine) == GB


def test_in_a_container_whose_path_is_the_hosts_the_top_counts(machine) -> None:
    put(machine / "proc/self/cgroup", "4:memory:/docker/0123\n")
    group(machine / "sys/fs/cgroup/memory", V1, GB, used=0, cached=0)
    assert free_memory(machine) == GB


def test_a_group_without_a_limit_does_not_limit(machine) -> None:
    put(machine / "proc/self/cgroup", "4:memory:/\n")
    group(machine / "sys/fs/cgroup/memory", V1, 2**63 - 4096, used=0, cached=0)
    assert free_memory(machine) == 8_000_000 * 1024


def test_a_limit_of_the_process_counts_without_what_it_uses(machine, monkeypatch) -> None:
    limits = {resource.RLIMIT_AS: resource.RLIM_INFINITY, resource.RLIMIT_DATA: 3_000_000 * 1024}
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (limits[kind], limits[kind]))
    assert free_memory(machine) == 2_000_000 * 1024


def test_where_nothing_is_left_it_is_zero_and_not_less(machine) -> None:
    put(machine / "proc/self/cgroup", "0::/job\n")
    group(machine / "sys/fs/cgroup/job", V2, GB, used=2 * GB, cached=0)
    assert free_memory(machine) == 0


def test_data_may_take_half_of_what_is_free_or_what_is_said(monkeypatch) -> None:
    monkeypatch.delenv("AIGC_DATA_MEMORY", raising=False)
    monkeypatch.setattr("aigc_core.storage.memory.free_memory", lambda: 10)
    assert data_budget() == 5
    monkeypatch.setenv("AIGC_DATA_MEMORY", "2G")
    assert data_budget() == 2 * GB


@pytest.mark.parametrize(
    ("text", "size"),
    [("2G", 2 * GB), ("500M", 500_000_000), ("1.5GiB", 3 * 2**29), ("64 kB", 64_000), ("12", 12)],
)
def test_sizes_as_people_write_them(text, size) -> None:
    assert parse_size(text, "it") == size


@pytest.mark.parametrize("text", ["", "much", "-1", "2X", "1e9"])
def test_what_is_no_size_is_a_sentence(text) -> None:
    with pytest.raises(ConfigError, match=r"IT is .*no size\. Examples: 2G"):
        parse_size(text, "IT")


def test_sizes_as_people_read_them() -> None:
    assert [sized(n) for n in (20_000, 3_200_000, 999_999, 40 * GB)] == [
        "20.0 kB",
        "3.2 MB",
        "1.0 MB",
        "40.0 GB",
    ]
