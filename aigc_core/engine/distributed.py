"""Several processes that train as one: which of them this is, and what they do together.

PyTorch's launcher (``torchrun``, or ``aigc train --nproc``) starts them and says by environment
variables who is who. One process does everything here by itself, at no cost, and never imports
``torch.distributed``. No signal handler may call any of this: a collective within one deadlocks.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import logging
import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from aigc_core.config import EngineConfig
from aigc_core.errors import AigcError, ConfigError, Terminated, TrainingError
from aigc_core.workers import started_processes

T = TypeVar("T")
_PATIENCE = datetime.timedelta(hours=24)
"""How long processes wait for the first one, which may be downloading data."""
_ARRIVAL_S = 1800


class Processes:
    """The processes of a training; this class alone stands for a single one."""

    rank = 0
    """Which of them this is, from 0."""
    size = 1
    """How many there are."""

    @property
    def first(self) -> bool:
        """Whether this is the process that writes, observes and speaks."""
        return self.rank == 0

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all processes; the same bytes in each of them.

        Args:
            tensors: on one device, of the same shapes and types in every process.
        """

    def total(self, tensor: Tensor) -> Tensor:
        """Return a tensor's sum over all processes; any derivative of it is one of that sum."""
        return tensor

    def largest(self, numbers: Sequence[int]) -> list[int]:
        """Return the largest of each number over all processes."""
        return list(numbers)

    def from_first(self, make: Callable[[], T]) -> T:
        """Return what ``make`` returns in the first process, where alone it is called.

        It should be JSON data. What it raises is raised there, and ends the others silently.
        """
        return make()

    @contextlib.contextmanager
    def in_turn(self) -> Iterator[None]:
        """Run a block in the first process, and then in the others: they find what it prepared.

        If it fails there, the others end silently.
        """
        yield


class _Joined(Processes):
    """Several processes, connected by Gloo; tensors on GPUs are summed by NCCL."""

    def __init__(self) -> None:
        import torch.distributed as dist

        self._dist = dist
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self._nccl: Any = None

    def sum(self, tensors: Sequence[Tensor]) -> None:
        by_type: dict[torch.dtype, list[Tensor]] = {}
        for tensor in tensors:
            by_type.setdefault(tensor.dtype, []).append(tensor)
        with torch.no_grad(), _explained():
            for alike in by_type.values():  # nearly always float32 alone: one all-reduce
                flat = torch.cat([tensor.reshape(-1) for tensor in alike])
                self._dist.all_reduce(flat, group=self._group(flat.device))
                pieces = torch.split(flat, [tensor.numel() for tensor in alike])
                sums = [p.view(t.shape) for p, t in zip(pieces, alike, strict=True)]
                torch._foreach_copy_(alike, sums)

    def _group(self, device: torch.device) -> Any:
        if device.type != "cuda":
            return None  # Gloo's
        if self._nccl is None:
            self._nccl = self._dist.new_group(backend="nccl")
        return self._nccl

    def total(self, tensor: Tensor) -> Tensor:
        from torch.distributed.nn.functional import all_reduce

        with _explained():
            group = self._group(tensor.device)
            found: Tensor = all_reduce(tensor, group=group)  # type: ignore[no-untyped-call]
        return found

    def largest(self, numbers: Sequence[int]) -> list[int]:
        found = torch.tensor(list(numbers))
        with _explained():
            self._dist.all_reduce(found, op=self._dist.ReduceOp.MAX)
        return [int(number) for number in found.tolist()]

    def from_first(self, make: Callable[[], T]) -> T:
        if not self.first:
            said = self._hear()
            if "error" in said:
                raise Terminated(said["error"])
            found: T = said["made"]
            return found
        with self._telling_of_errors():
            made = make()
        self._say({"made": made})
        return made

    @contextlib.contextmanager
    def in_turn(self) -> Iterator[None]:
        if not self.first:
            self.from_first(lambda: None)
            yield
            return
        with self._telling_of_errors():
            yield
        self.from_first(lambda: None)

    @contextlib.contextmanager
    def _telling_of_errors(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            code = error.exit_code if isinstance(error, AigcError) else 1
            with contextlib.suppress(TrainingError):
                self._say({"error": code})
            raise

    def _say(self, message: dict[str, Any]) -> None:
        data = torch.frombuffer(bytearray(json.dumps(message).encode()), dtype=torch.uint8)
        with _explained():
            self._dist.broadcast(torch.tensor([len(data)]), 0)
            self._dist.broadcast(data, 0)

    def _hear(self) -> dict[str, Any]:
        length = torch.zeros(1, dtype=torch.int64)
        with _explained():
            self._dist.broadcast(length, 0)
            data = torch.empty(int(length), dtype=torch.uint8)
            self._dist.broadcast(data, 0)
        message: dict[str, Any] = json.loads(bytes(data.tolist()))
        return message


def check_divides(config: EngineConfig, processes: int) -> None:
    """Check that processes can share a batch.

    Raises:
        ConfigError: they cannot; names the nearest sizes that they can share.
    """
    parts = config.accumulate * processes
    if config.batch_size % parts:
        below = config.batch_size // parts * parts
        sizes = " or ".join(str(size) for size in (below, below + parts) if size)
        each = f" with accumulate={config.accumulate}" if config.accumulate > 1 else ""
        raise ConfigError(
            f"engine.batch_size={config.batch_size} is that of all processes together, and "
            f"{processes} of them{each} cannot share it evenly. Set engine.batch_size={sizes}."
        )


_current = Processes()


def current() -> Processes:
    """Return the processes that this one trains with."""
    return _current


@contextlib.contextmanager
def joined() -> Iterator[Processes]:
    """Join the other processes for a block, if a launcher started several; else be alone.

    Raises:
        ConfigError: the launcher's environment variables are not complete.
        TrainingError: the other processes cannot be reached.
    """
    global _current
    if started_processes() == 1 or _current.size > 1:
        yield _current
        return
    for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        if not os.environ.get(name):
            raise ConfigError(
                f"WORLD_SIZE={os.environ['WORLD_SIZE']} says that this is one of several "
                f"processes, and {name} is not set. Start them with torchrun, or unset WORLD_SIZE."
            )
    import torch.distributed as dist
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    local = int(os.environ["LOCAL_RANK"])
    if torch.cuda.is_available() and local < torch.cuda.device_count():
        torch.cuda.set_device(local)
    with _explained():
        store, rank, size = next(rendezvous("env://", timeout=_PATIENCE))
        store = PrefixStore(_new_name(store, rank, size), store)
        dist.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=_PATIENCE)
    before, _current = _current, _Joined()
    logger = logging.getLogger("aigc")
    level = logger.level
    if not _current.first:
        logger.setLevel(logging.ERROR)  # notes and warnings are the first one's
    try:
        yield _current
    finally:
        _current = before
        logger.setLevel(level)
        dist.destroy_process_group()


def _new_name(store: Any, rank: int, size: int) -> str:
    """Return a name that all processes agree on, and none that they replace has used.

    After a restart, torchrun's store still has the addresses of the processes before. So each asks
    the first by a name of its own, and is answered under that name: what is found is never old.
    """
    own = uuid.uuid4().hex
    if rank:
        store.set(f"aigc/asks/{rank}", own)
        name: str = store.get(f"aigc/answer/{own}").decode()  # waits for it
        store.set(f"aigc/heard/{name}/{rank}", "")
        return name
    others, deadline = set(range(1, size)), time.monotonic() + _ARRIVAL_S
    while others:
        for other in sorted(others):
            if store.check([f"aigc/heard/{own}/{other}"]):
                others.remove(other)
            elif store.check([f"aigc/asks/{other}"]):  # perhaps still that of one before
                asked = store.get(f"aigc/asks/{other}").decode()
                store.set(f"aigc/answer/{asked}", own)
        if time.monotonic() > deadline:
            raise TrainingError(
                f"Of {size} processes, {len(others)} did not arrive within half an hour: "
                f"process {min(others)}, say."
            )
        time.sleep(0.01)
    return own


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Turn a collective's failure into a sentence."""
    try:
        yield
    except RuntimeError as error:
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise TrainingError(
            "Another process of this training has ended or cannot be reached; its own message "
            f"says why. (This is process {os.environ.get('RANK')}: {why[:200]})"
        ) from error
