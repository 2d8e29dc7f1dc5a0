"""Several processes that train one model, each on its share of every batch, as torchrun starts them.

All of them draw the same order and the same augmentation, from the same generator, so that a batch is the
same whatever their number; each computes the gradient of its share, and DistributedDataParallel averages
the gradients. The first process alone reads the command line and writes; the others train what it says.
"""

import inspect
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from nnlab.errors import ExperimentError

Model = Callable[[Tensor], Tensor]
Store = Any  # torch.distributed.Store, which torch does not declare

PATIENCE = timedelta(minutes=10)
"""The longest wait for a process that is alive but silent. One that has died is noticed at once."""

CPU = torch.device("cpu")

_NEW_NAME = "forward_sync_buffers" in inspect.signature(DistributedDataParallel).parameters  # torch 2.14
_OWN_BUFFERS: dict[str, Any] = {"forward_sync_buffers" if _NEW_NAME else "broadcast_buffers": False}


class Share(NamedTuple):
    """The examples of a batch that one process takes.

    Attributes:
        part: where they are in the batch.
        counted: how many of them count. 0 where there were fewer examples than processes: as every process
            takes part in every average, one that is left without computes on all of them, at no weight.
    """

    part: slice
    counted: int


@dataclass(frozen=True)
class World:
    """The processes of one training, as one of them sees it. `World()` is a process alone.

    Every method but `share` and `weight` is a meeting: it returns when all processes have called it.

    Attributes:
        rank: of this process, from 0.
        size: how many there are.
        local_rank: of this process on its machine: the number of its GPU.
        local_size: how many there are on this machine.
        store: holds a few words that all can read, also those of a process that has died.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    store: Store = None

    @property
    def alone(self) -> bool:
        return self.store is None

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def __str__(self) -> str:
        return f"rank {self.rank} of {self.size}"

    # --- shares ---

    def share(self, examples: int) -> Share:
        """This process's share of a batch of so many. The sizes of two shares differ by 1 at most."""
        start, stop = examples * self.rank // self.size, examples * (self.rank + 1) // self.size
        return Share(slice(start, stop), stop - start) if stop > start else Share(slice(0, examples), 0)

    def weight(self, share: Share, examples: int, reduction: str) -> float:
        """The factor of a share's loss with which the average over processes is the whole batch's loss.

        With nᵣ of n examples in process r of R, L = Σ nᵣ/n Lᵣ = (1/R) Σ (nᵣ R/n) Lᵣ for a mean, and
        L = Σ Lᵣ = (1/R) Σ R Lᵣ for a sum.
        """
        if reduction == "sum":
            return float(self.size) if share.counted else 0.0
        return share.counted * self.size / examples

    # --- meetings ---

    def parallel(self, model: Model) -> Model:
        """The model with the first process's parameters and buffers; its gradients will be averages."""
        if self.alone:
            return model
        # Statistics of batch norm stay with their process: they do not enter a training step.
        return DistributedDataParallel(model, **_OWN_BUFFERS)

    def take_buffers_(self, model: nn.Module) -> None:
        """Gives every process the first one's running statistics, so that all evaluate the same model."""
        if not self.alone:
            for buffer in model.buffers():
                dist.broadcast(buffer, 0)

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """The tensors, on the CPU and of one shape, of all processes, by rank."""
        if self.alone:
            return [tensor]
        tensors = [torch.empty_like(tensor) for _ in range(self.size)]
        dist.all_gather(tensors, tensor)
        return tensors

    def sum(self, values: Sequence[float]) -> list[float]:
        """Added up over the processes in the order of their ranks: to the last bit the same in all."""
        if self.alone:
            return list(values)
        total: list[float] = sum(self.gather(torch.tensor(values, dtype=torch.float64))).tolist()  # type: ignore[union-attr]
        return total

    def any(self, *flags: bool) -> list[bool]:
        """True for each flag that one process at least has raised."""
        return [count > 0 for count in self.sum(flags)]

    def from_first(self, value: Any = None) -> Any:
        """The first process's value, in every process."""
        if self.alone:
            return value
        held = [value]
        dist.broadcast_object_list(held, src=0, device=CPU)
        return held[0]


def quiet(model: Model) -> AbstractContextManager[None]:
    """While gradients of micro-batches add up: only the last one is worth an average over processes."""
    return model.no_sync() if isinstance(model, DistributedDataParallel) else nullcontext()


# --- coming together, and parting -------------------------------------------------------------------


@contextmanager
def together() -> Iterator[World]:
    """The processes that torchrun started, from their meeting to their parting; else a process alone.

    Leaving it ends the work of the others, however the first one's ended. Let a process that has met others
    end by os._exit: the threads of gloo now and then abort one that ends in the ordinary way.
    """
    if not dist.is_torchelastic_launched():  # torchrun did not start this process
        yield World()
        return
    world = _join(_store())
    try:
        yield world
    except BaseException:
        dismiss()
        raise
    with suppress(RuntimeError):  # of a process that died when its work was done
        world.from_first()


def dismiss() -> None:
    """Says that the first process has ended, or is about to say why it does: the others may go."""
    with suppress(RuntimeError):  # torchrun itself is gone, and the others with it
        _store().set("ended", "1")


def called() -> World | None:
    """The world for a process that is not the first, once the first one opens it; None if it never will."""
    store = _store()
    while not store.check(["begun"]):
        if store.check(["ended"]):
            return None
        time.sleep(0.05)
    return _join(store)


def _store() -> Store:
    """The agent's store, which outlives the processes, in the part that belongs to this attempt."""
    store, _, _ = next(iter(rendezvous("env://", timeout=PATIENCE)))
    return dist.PrefixStore("nnlab", store)  # type: ignore[attr-defined]


def _join(store: Store) -> World:
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    rank, size, local_rank, local_size = (int(os.environ[name]) for name in names)
    backend = "gloo"
    if torch.cuda.is_available() and local_rank < torch.cuda.device_count():
        torch.cuda.set_device(local_rank)
        backend = "cpu:gloo,cuda:nccl"
    if rank == 0:
        store.set("begun", "1")
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=PATIENCE)
    return World(rank, size, local_rank, local_size, store)


# --- when one is lost -------------------------------------------------------------------------------


class WorkerError(ExperimentError):
    """Another process of the training has ended before its time."""


def lost(world: World, error: BaseException) -> WorkerError | None:
    """The error to report where `error` came of another process's end; None where it did not."""
    text = " ".join(str(error).split())
    telling = isinstance(error, dist.DistError) or re.search(
        "gloo|nccl|connection (closed|reset)|broken pipe", text, re.IGNORECASE
    )
    if world.alone or not isinstance(error, RuntimeError) or not telling:
        return None
    if world.store.check(["error"]):
        return WorkerError(world.store.get("error").decode())
    # the part of a message of gloo that a reader understands
    reason = re.sub(r"^\[[^\]]*\]\s*", "", text).partition(". This is typically")[0][:200]
    return WorkerError(f"another process of this training has ended, or no longer answers ({reason})")


def report(world: World, message: str) -> None:
    """Leaves word of this process's end for the first one to find; the first word counts."""
    if world.store.add("errors", 1) == 1:
        world.store.set("error", f"{world}: {message}")


def unheard(world: World, seconds: float = 3.0) -> bool:
    """True where the first process says nothing within so many seconds, and this one is to speak for all."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if world.store.check(["ended"]):
            return False
        time.sleep(0.05)
    return bool(world.store.add("spoken", 1) == 1)
