"""Trainings of nnlab for benchmarks: shipped configs, records in temporary folders, and timed steps."""

import contextlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from nnlab.chapters.experiments import EXPERIMENTS
from nnlab.data import DataSet
from nnlab.errors import Interrupted
from nnlab.lab.config import apply_sets, check, read_source
from nnlab.lab.sections import Data, Hardware, TrainingExperiment
from nnlab.lab.session import Session
from nnlab.lab.training_run import build_parts, train
from nnlab.record import Record


def shipped(name: str, *sets: str) -> TrainingExperiment:
    """A shipped config with some values set, and all its examples for training."""
    source = read_source(name)
    apply_sets(source, ["data.validation=0", *sets])
    config = check(source, EXPERIMENTS)
    assert isinstance(config, TrainingExperiment)
    return config


@contextlib.contextmanager
def recording(config: TrainingExperiment) -> Iterator[Record]:
    """Yields a started record in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        record = Record(Path(folder), config.experiment, "", {})
        record.start()
        yield record
        record.close()


@dataclass
class TimedSession(Session):
    """A session with one data set, which takes the time after every step and can end a training early.

    Attributes:
        data_set: used for every config.
        steps: to be timed, after a first one that is not.
        at: called after every step with the number of steps done.
    """

    data_set: DataSet | None = None
    steps: int = sys.maxsize
    at: Callable[[int], None] = lambda step: None
    stamps: list[float] = field(default_factory=list)

    def data(self, section: Data, hardware: Hardware) -> DataSet:
        assert self.data_set is not None
        return self.data_set

    def stop(self) -> bool:
        self.stamps.append(time.perf_counter())
        self.at(len(self.stamps))
        return len(self.stamps) > self.steps


def trainer_seconds(
    config: TrainingExperiment, data: DataSet, steps: int, at: Callable[[int], None] = lambda step: None
) -> float:
    """Seconds of so many steps of `nnlab train`, from the end of the first one on.

    Args:
        at: called after every step with the number of steps done.
    """
    session = TimedSession(data_set=data, steps=steps, at=at)
    parts = build_parts(config, session)
    with recording(config) as record, contextlib.suppress(Interrupted):
        train(config, parts, record, session)
    return session.stamps[-1] - session.stamps[0]
