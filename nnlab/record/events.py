"""Writes TensorBoard's event files, in the thread that calls.

torch's SummaryWriter hands each event to a thread of its own: that costs ten times as much a number, and on
a full disk the thread dies with a traceback beside the run's own message.
"""

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

FLUSH_SECONDS = 5.0
"""The time between two moments at which a running TensorBoard sees the new numbers."""


class EventFile:
    """One new event file in `folder`, which is made where it is missing.

    What earlier files of the folder hold, those of a run that was cut off, TensorBoard forgets.

    Args:
        folder: the argument of `tensorboard --logdir`, or a folder inside it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._before = list(folder.glob("events.out.tfevents.*"))
        now = time.time()
        name = f"events.out.tfevents.{int(now):010d}.{socket.gethostname()}.{os.getpid()}.{time.time_ns()}"
        self._file = open(folder / name, "xb")  # noqa: SIM115 - closed by close()
        self._records = RecordWriter(self._file)
        self._flushed_at = now
        start = SessionLog(status=SessionLog.START)
        self._write(Event(wall_time=now, file_version="brain.Event:2"))
        self._write(Event(wall_time=now, step=0, session_log=start))

    def take_place(self) -> None:
        """Removes the earlier files, once this one holds what they held."""
        self._file.flush()
        for file in self._before:
            file.unlink(missing_ok=True)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Adds numbers of one step, by their tags."""
        now = time.time()
        scalars = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        self._write(Event(wall_time=now, step=step, summary=Summary(value=scalars)))
        if now - self._flushed_at >= FLUSH_SECONDS:
            self._file.flush()
            self._flushed_at = now

    def _write(self, event: Event) -> None:
        self._records.write(event.SerializeToString())

    def close(self) -> None:
        """Writes what is left. Raises OSError where the disk is full; the file is closed all the same."""
        self._file.close()
