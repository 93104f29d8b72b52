"""Times reading batches from disk, packing a folder of pictures, and the end of an epoch.

python benchmarks/data.py --gigabytes 4 --images 5000

Writes its data to the folder for temporary files, and removes them. Each way of reading starts with
none of the data in memory: the system is told to forget it, as it does by itself when data are
larger than memory.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from aigc_core import DataFolders
from aigc_core.engine.data import ResidentData
from aigc_core.engine.feed import Feed
from aigc_core.engine.order import ShuffledOrder
from aigc_core.storage import PackedArray, PackWriter, open_pack, rows
from aigc_core.storage.packs import HEADER_BYTES
from aigc_image.datasets.folder import ImageFolder
from aigc_image.options import ImageFolderOptions

SHAPE = (3, 64, 64)
ROW_BYTES = 3 * 64 * 64
BATCH = 64
STEP_S = 0.05
"""How long a step computes, where reading happens beside it."""
CPU = torch.device("cpu")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--gigabytes", type=float, default=4.0)
    parser.add_argument("--batches", type=int, default=200)
    parser.add_argument("--images", type=int, default=5000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        reading(Path(folder) / "a.pack", int(given.gigabytes * 1e9 / ROW_BYTES), given.batches)
    with tempfile.TemporaryDirectory() as folder:
        packing(Path(folder), given.images)
    ending(16_000_000)


def reading(folder: Path, count: int, batches: int) -> None:
    """Read random batches in several ways."""
    with PackWriter(folder) as writer:
        for _ in range(0, count, 20_000):
            noise = np.random.default_rng(0).integers(0, 256, (20_000, *SHAPE), np.uint8)
            writer.append({"samples": torch.from_numpy(noise)})
            writer.end_shard(None)
        writer.finish({"samples": writer.array("samples")}, {})
    os.sync()
    samples = open_pack(folder).columns["samples"]
    maps = [
        np.memmap(s.path, np.uint8, "r", HEADER_BYTES, (s.rows, *SHAPE))
        for s in samples.reader.segments
    ]

    def mapped(chosen: Tensor) -> Tensor:
        found = np.empty((len(chosen), *SHAPE), np.uint8)
        for place, row in enumerate(chosen.tolist()):
            found[place] = maps[row // 20_000][row % 20_000]
        return torch.from_numpy(found)

    print(f"{samples.nbytes / 1e9:.1f} GB, rows of {ROW_BYTES:,} bytes, batches of {BATCH}\n")
    print("| way | ms a batch, median | 90th percentile | bytes of the disk / bytes wanted |")
    print("|---|---:|---:|---:|")
    random = iter(torch.randint(len(samples), (10 * batches, BATCH)))
    ways: dict[str, Callable[[Tensor], Tensor]] = {
        "memory map": mapped,
        "preadv, 16 threads": lambda chosen: samples[chosen],
    }
    for name, read in ways.items():
        show(
            name,
            samples,
            [timed(lambda r=read: r(next(random))) for _ in forgotten(samples, batches)],
        )
    rows.THREADS = 1
    show(
        "preadv, one after another",
        samples,
        [timed(lambda: samples[next(random)]) for _ in forgotten(samples, batches)],
    )
    rows.THREADS = 16
    feed = Feed(
        ResidentData({"samples": samples}, CPU),
        {"samples": ShuffledOrder(len(samples), 0, CPU)},
        BATCH,
    )
    waits = []
    for step in forgotten(samples, batches):
        waits.append(timed(lambda s=step: feed.batch(s * BATCH, BATCH)))
        time.sleep(STEP_S)
    show(f"an engine's wait, steps of {1e3 * STEP_S:.0f} ms", samples, waits)


def forgotten(samples: PackedArray, batches: int) -> range:
    """Let the system forget what it holds of the files, and start counting."""
    for segment in samples.reader.segments:
        with segment.path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    forgotten.before = from_disk()  # type: ignore[attr-defined]
    return range(batches)


def from_disk() -> int:
    """Return how many bytes this process made the disk read."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("read_bytes"))


def timed(do: Callable[[], object]) -> float:
    """Return how many milliseconds something takes."""
    started = time.perf_counter()
    do()
    return 1e3 * (time.perf_counter() - started)


def show(name: str, samples: PackedArray, times: list[float]) -> None:
    """Print a row of the table."""
    read = from_disk() - forgotten.before  # type: ignore[attr-defined]
    wanted = len(times) * BATCH * ROW_BYTES
    tenth = statistics.quantiles(times, n=10)[-1]
    print(f"| {name} | {statistics.median(times):.1f} | {tenth:.1f} | {read / wanted:.2f} |")


def packing(folder: Path, count: int) -> None:
    """Pack a folder of small JPEGs."""
    random = np.random.default_rng(0)
    (folder / "pictures").mkdir()
    for number in range(count):
        small = Image.fromarray(random.integers(0, 255, (4, 4, 3), np.uint8))
        data = io.BytesIO()
        small.resize((64, 64), Image.Resampling.BILINEAR).save(data, "JPEG")
        (folder / "pictures" / f"{number:06}.jpg").write_bytes(data.getvalue())
    options, folders = ImageFolderOptions(size=64), DataFolders(folder / "pictures", folder)
    first = timed(ImageFolder(options, folders).prepare)
    again = timed(ImageFolder(options, folders).prepare)
    cores = len(os.sched_getaffinity(0))
    print(f"\nPacking {count:,} JPEGs of 64 x 64 on {cores} cores: {1e3 * count / first:,.0f} /s")
    print(f"Opening the same again: {again / 1e3:.2f} s")


def ending(count: int) -> None:
    """Walk over the end of an epoch."""
    order = ShuffledOrder(count, 0, CPU)
    order.indices(0, BATCH)
    alone = timed(lambda: ShuffledOrder(count, 1, CPU).indices(0, BATCH))
    order.indices(count // 2, BATCH)
    time.sleep(3 * alone / 1e3)
    longest = max(
        timed(lambda p=position: order.indices(p, BATCH))
        for position in range(count - 100 * BATCH, count + 100 * BATCH, BATCH)
    )
    print(
        f"\nAn order of {count:,}: made in {alone:,.0f} ms; "
        f"longest wait at an epoch's end {longest:.2f} ms"
    )


if __name__ == "__main__":
    main()
