"""An experiment's surroundings (device, data, random numbers, messages, stopping), and its outcome."""

import signal
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Protocol

import torch

from nnlab.data import DataSet
from nnlab.data.fingerprint import Fingerprint
from nnlab.errors import DataError, InputError
from nnlab.lab.build import build_data
from nnlab.lab.run_data import RunData
from nnlab.lab.sections import Data, Experiment, Hardware
from nnlab.record import Group, Record
from nnlab.theory import Claim
from nnlab.training.distributed import World

Advance = Callable[[int, int, str], None]


class Reporter(Protocol):
    """Shows a person the progress of a run: lines of text, and a bar for each long step."""

    def say(self, message: str) -> None: ...

    def bar(self, title: str) -> AbstractContextManager[Advance]:
        """A bar that is moved by (done, total, a short text)."""


class Silence:
    """The reporter of notebooks, tests and `--quiet`."""

    def say(self, message: str) -> None:
        pass

    def bar(self, title: str) -> AbstractContextManager[Advance]:
        return nullcontext(lambda done, total, text: None)


@dataclass(frozen=True)
class Outcome:
    """The contents of a finished summary.

    Attributes:
        metrics: flat, named `train/loss`, `val/accuracy`, `test/accuracy`…
        results: rows of the experiment's table.
        claims: predictions, measurements and verdicts.
        model: the size of the one model that was trained: `parameters`, and `multiply_adds` of one example.
    """

    metrics: dict[str, float]
    results: Sequence[Mapping[str, Any]] = ()
    claims: list[Claim] = field(default_factory=list)
    model: dict[str, int] = field(default_factory=dict)


@dataclass
class Session:
    """Shared by the runs of one command; the members of a group of seeds share its data set too.

    Attributes:
        experiments: the config class of each experiment, needed to read the config of a run or a lesson.
        world: the processes that train together, of which this is one.
        run_data: keeps and compares the data of the run that goes on at the moment; None where none does.
    """

    reporter: Reporter = field(default_factory=Silence)
    allow_custom_code: bool = False
    world: World = field(default_factory=World)
    experiments: Mapping[str, type[Experiment]] = field(default_factory=dict, repr=False)
    stop_requested: bool = False
    run_data: RunData | None = None
    _data: dict[str, DataSet] = field(default_factory=dict, repr=False)
    _mentioned: set[str] = field(default_factory=set, repr=False)

    def mention(self, message: str) -> None:
        """Says something once, however many trainings of the session it is about."""
        if message not in self._mentioned and self.world.is_first:
            self._mentioned.add(message)
            self.reporter.say(message)

    def stop(self) -> bool:
        """Tells whether the run is to stop after this step."""
        return self.stop_requested

    def data(self, section: Data, hardware: Hardware) -> DataSet:
        """The data set on the device of the config; built once for equal sections."""
        device, dtype = self.device(hardware), dtype_of(hardware)
        key = f"{section!r} {device} {dtype}"
        if key not in self._data:
            downloads = getattr(section, "download", False)
            if downloads and not self.world.is_first:
                self.world.from_first()  # which has the files by then
            with self.reading():
                data = self._build(section, device, dtype)
            if downloads and self.world.is_first:
                self.world.from_first()
            for note in data.notes:
                self.reporter.say(note)
            self._data = {key: data}  # one set at a time: it may fill the memory
        data = self._data[key]
        if data.fingerprint is not None:
            self.keep(data.fingerprint, data)
        return data

    def keep(self, fingerprint: Fingerprint, data: DataSet | None = None) -> None:
        """Keeps what the data of the run are, or compares them with those of its start, or its group's.

        Args:
            fingerprint: of what was read.
            data: the data set, where it is one.

        Raises:
            DataError: they are other data.
        """
        if self.run_data is not None:
            self.run_data.keep(fingerprint, data, self.reporter.say)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Data are read: an error says where those of a run that goes on were when it started."""
        try:
            yield
        except InputError as error:
            raise (error if self.run_data is None else self.run_data.missing(error)) from None

    @contextmanager
    def running(self, record: Record, group: Group | None = None) -> Iterator[None]:
        """A run into a record: its data are kept and compared."""
        before, self.run_data = self.run_data, RunData(record, group)
        try:
            yield
        finally:
            self.run_data = before

    def device(self, hardware: Hardware) -> torch.device:
        """The device of the config; of several processes, each has a GPU of its own."""
        device = select_device(hardware)
        if self.world.alone or device.type == "cpu":
            return device
        if device.type == "mps":
            if hardware.device == "auto":
                return torch.device("cpu")
            raise InputError("training.device: mps cannot be used under torchrun; allowed here: auto, cpu")
        count = torch.cuda.device_count()
        if self.world.local_size > count:
            raise InputError(
                f"training.device: {hardware.device}: {self.world.local_size} processes want a GPU each, "
                f"this machine has {count}: start torchrun with --nproc-per-node {count}, or use --device cpu"
            )
        return torch.device("cuda", self.world.local_rank)

    def _build(self, section: Data, device: torch.device, dtype: torch.dtype) -> DataSet:
        with self.reporter.bar("reading images") as advance:
            try:
                return build_data(
                    section, device=device, dtype=dtype, progress=lambda done, total: advance(done, total, "")
                )
            except OSError as error:  # a disk that fails, a name that is too long
                raise DataError(f"data.name: {section.name} cannot be read: {error}") from None


def select_device(hardware: Hardware) -> torch.device:
    """The torch device; `auto` is CUDA, else MPS, else the CPU. Raises InputError if it is absent."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if hardware.device == "auto":
        available["mps"] &= hardware.precision != "float64"
        return torch.device(next(name for name, usable in available.items() if usable))
    if not available[hardware.device]:
        kind = {"cuda": "CUDA device that torch can use", "mps": "Apple GPU"}[hardware.device]
        others = ", ".join(["auto", "cpu", *(name for name in ("mps", "cuda") if available[name])])
        raise InputError(
            f"training.device: {hardware.device}: this machine has no {kind}; allowed here: {others}"
        )
    return torch.device(hardware.device)


def dtype_of(hardware: Hardware) -> torch.dtype:
    """The type of weights and data: mixed precision keeps both in float32."""
    return torch.float64 if hardware.precision == "float64" else torch.float32


def generator(seed: int, purpose: str, *indices: int) -> torch.Generator:
    """Random numbers for one purpose: how much another purpose draws does not move them.

    Args:
        seed: of the config.
        purpose: in a word or two.
        indices: such as width and member; each combination has a stream of its own, so that the members of
            two seeds have nothing in common.
    """
    purpose = "/".join([purpose, *map(str, indices)])
    return torch.Generator().manual_seed((seed * 0x9E3779B1 + zlib.crc32(purpose.encode())) % 2**63)


@contextmanager
def stoppable(session: Session) -> Iterator[None]:
    """SIGINT and SIGTERM ask the session to stop after the step; a second one interrupts at once.

    So does SIGHUP, which a terminal sends when it is closed, unless it is ignored (nohup).

    Under torchrun this holds to the end of the process: torchrun sends SIGTERM to all when one process has
    died, and the others must still be able to say so.
    """

    def request(number: int, frame: FrameType | None) -> None:
        if session.stop_requested:
            raise KeyboardInterrupt
        session.stop_requested = True

    signals = [signal.SIGINT, signal.SIGTERM]
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signals.append(signal.SIGHUP)
    try:
        before = {number: signal.signal(number, request) for number in signals}
    except ValueError:  # not the main thread: a notebook's worker; its owner has the signals
        yield
        return
    try:
        yield
    finally:
        if session.world.alone:
            for number, handler in before.items():
                signal.signal(number, handler)
