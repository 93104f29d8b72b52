"""How much memory data may take: half of what is free, within all limits that hold here."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from pathlib import Path

from aigc_core.errors import ConfigError, shown

VARIABLE = "AIGC_DATA_MEMORY"
"""Environment variable that takes the place of what is measured, such as ``2G`` or ``500M``."""
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) *([kKMGT]?)(i?)B?")
_POWERS = {"": 0, "k": 1, "K": 1, "M": 2, "G": 3, "T": 4}
_UNLIMITED = 1 << 60
_UNKNOWN = 16 << 30


def data_budget() -> int:
    """Return how many bytes of data may be kept in memory.

    Raises:
        ConfigError: ``AIGC_DATA_MEMORY`` is set, and no size.
    """
    named = os.environ.get(VARIABLE)
    return parse_size(named, VARIABLE) if named else free_memory() // 2


def parse_size(text: str, where: str) -> int:
    """Return the bytes that ``2G``, ``500M`` (powers of 1,000) or ``1.5GiB`` (of 1,024) means.

    Raises:
        ConfigError: it is no size; names ``where`` it was given.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ConfigError(f"{where} is {shown(text)}, which is no size. Examples: 2G, 500M, 1.5GiB")
    number, prefix, binary = found.groups()
    return int(float(number) * (1024 if binary else 1000) ** _POWERS[prefix])


def sized(count: int) -> str:
    """Return a number of bytes for people, such as ``2.4 GB``."""
    for unit in ("kB", "MB"):
        if count < 999_950 * (1000 if unit == "MB" else 1):
            return f"{count / (1e6 if unit == 'MB' else 1e3):,.1f} {unit}"
    return f"{count / 1e9:,.1f} GB"


def free_memory(root: Path = Path("/")) -> int:
    """Return how many bytes this process may still use without being killed or swapping.

    The least of what the machine has, what each control group (cgroup v1 and v2) from the process's
    own upwards leaves, and what ``ulimit -v`` and ``ulimit -d`` leave. Memory that the kernel gives
    back by itself, such as cached files, counts as free. 16 GiB where nothing is known.

    Args:
        root: of the file system with ``proc`` and ``sys``.
    """
    known = [_machine(root), *_groups(root), *_process(root)]
    return max(0, min((bytes_ for bytes_ in known if bytes_ is not None), default=_UNKNOWN))


def _machine(root: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError, KeyError):
        return _table(root / "proc/meminfo")["MemAvailable"] * 1024
    with contextlib.suppress(AttributeError, ValueError, OSError):  # not Linux
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None


def _groups(root: Path) -> list[int]:
    """Return what each control group leaves."""
    found = []
    with contextlib.suppress(OSError, ValueError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":
                base, limit, used, cached = "", "memory.max", "memory.current", "inactive_file"
            elif "memory" in controllers.split(","):
                base, limit, used = "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
                cached = "total_inactive_file"
            else:
                continue
            top = root / "sys/fs/cgroup" / base
            here = top / path.lstrip("/")
            # In a container, the path may be one of the host's: only the top is there.
            for folder in dict.fromkeys((here, *here.parents, top)):
                if folder != top and top not in folder.parents:
                    continue
                with contextlib.suppress(OSError, ValueError):
                    most = int((folder / limit).read_text())  # "max": ValueError
                    now = int((folder / used).read_text())
                    freed = _table(folder / "memory.stat").get(cached, 0)
                    if most < _UNLIMITED:
                        found.append(most - max(0, now - freed))
    return found


def _process(root: Path) -> list[int]:
    """Return what limits of the process leave."""
    if sys.platform == "win32":
        return []
    import resource

    found = []
    with contextlib.suppress(OSError, ValueError, KeyError):
        used = _table(root / "proc/self/status")
        for limit, field in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
            most, _ = resource.getrlimit(limit)
            if most != resource.RLIM_INFINITY:
                found.append(most - used[field] * 1024)
    return found


def _table(path: Path) -> dict[str, int]:
    """Return the numbers in lines such as ``VmSize:  123 kB``."""
    rows = (line.split() for line in path.read_text().splitlines())
    return {row[0].rstrip(":"): int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}
