"""Writes run folders, one process at a time."""

import contextlib
import hashlib
import io
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from nnlab.errors import RunFolderError
from nnlab.files import replace_file
from nnlab.record import schema
from nnlab.record.environment import environment
from nnlab.record.folders import new_folder, now, open_locked
from nnlab.record.reading import open_run, read_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nnlab.record.events import EventFile


class MetricsLog:
    """`metrics.jsonl`: one JSON object a line, in the file as soon as it is logged.

    After a resume, lines behind the last checkpoint are doubtful: the run will write them again. A
    checkpoint `accept`s the offset that it saw; the first new line cuts off what nobody accepted.
    The open file is locked, so that two processes never write one run.
    """

    def __init__(self, path: Path) -> None:
        self._file = open_locked(path, "ab")
        self._accepted = 0
        self._doubtful = self._file.tell() > 0

    def tell(self) -> int:
        """Bytes of the file that are certain."""
        return self._accepted

    def accept(self, offset: int) -> None:
        """Says that the first `offset` bytes are certain, as a checkpoint remembers them."""
        if offset > os.fstat(self._file.fileno()).st_size:
            raise RunFolderError(
                f"{self._file.name}: is shorter than its checkpoint remembers; it was changed by someone else"
            )
        self._accepted = offset

    def write(self, row: Mapping[str, object]) -> None:
        self.finish()
        line = (json.dumps(schema.plain(row), allow_nan=False) + "\n").encode()
        written = 0
        try:
            while written < len(line):
                written += self._file.write(line[written:])
        except OSError:
            self._file.truncate(self._accepted)  # no torn line on a full disk
            raise
        self._accepted += len(line)

    def finish(self) -> None:
        """Ends the file where the certain part ends."""
        if self._doubtful:
            self._file.truncate(self._accepted)
            self._doubtful = False

    def close(self) -> None:
        self._file.close()


class _Folder(ABC):
    """A folder with a config and a summary, which one process holds while it writes.

    Nothing exists on disk before `start`, so that wrong input leaves no trace in `runs/`.
    """

    def __init__(
        self, parent: Path | Callable[[], Path], stem: str, config_yaml: str, facts: Mapping[str, object]
    ) -> None:
        self._parent, self._stem, self._config_yaml = parent, stem, config_yaml
        self._folder: Path | None = None
        self._began, self._seconds_before = now(), 0.0
        self._summary_before: bytes | None = None  # of a run that is resumed
        self.summary: dict[str, Any] = {
            **facts,
            "status": "running",
            "started": self._began.isoformat(timespec="seconds"),
            "wall_seconds": 0.0,
            "run_dir": None,
            "config_sha256": _sha256(config_yaml.encode()),
            "metrics": {},
        }

    def __repr__(self) -> str:
        place = self._folder or f"{self._stem}, not started"
        return f"<{type(self).__name__} {self.summary.get('name')!r} ({self.summary['status']}) in {place}>"

    @abstractmethod
    def _hold(self) -> None:
        """Takes the lock of the folder. Raises RunFolderError where another process has it."""

    @abstractmethod
    def close(self) -> None:
        """Closes every file, and gives the folder free."""

    @property
    def started(self) -> bool:
        return self._folder is not None

    @property
    def resumed(self) -> bool:
        return self._summary_before is not None

    @property
    def folder(self) -> Path:
        if self._folder is None:
            raise RuntimeError("the record has not started: call start() once the input has proved good")
        return self._folder

    def start(self) -> Path:
        """Makes the folder, with config and a first summary, unless it exists. Returns it."""
        if self._folder is None:
            parent = self._parent() if callable(self._parent) else self._parent
            self._folder = new_folder(parent, self._stem)
            self.summary["run_dir"] = str(self._folder)
            replace_file(self._folder / schema.CONFIG, self._config_yaml.encode())
            self._hold()
            self.write_summary()
        return self._folder

    @classmethod
    def reopen(cls, folder: Path) -> Self:
        """Goes on with a run, or a group of runs, that was cut off, in the same folder.

        Raises:
            RunFolderError: another process runs it, or its config is no longer the one that it began with.
        """
        before = open_run(folder).summary
        again = cls(folder.parent, folder.name, (folder / schema.CONFIG).read_text("utf-8"), {})
        if before.get("config_sha256", again.summary["config_sha256"]) != again.summary["config_sha256"]:
            file = folder / schema.CONFIG
            raise RunFolderError(
                f"{file}: was changed since the run began, so that its checkpoints do not fit it; "
                f"start a new run: nnlab train --config {file}"
            )
        again._folder, again._summary_before = folder, (folder / schema.SUMMARY).read_bytes()
        again._seconds_before = float(before.get("wall_seconds") or 0.0)
        again._hold()
        again.summary |= {key: before[key] for key in schema.KEPT if key in before}
        again.write_summary(run_dir=str(folder))
        return again

    def write_summary(self, **fields: object) -> None:
        """Sets fields of the summary and replaces summary.json; before `start` it does nothing."""
        if self._folder is None:
            return
        self.summary.update(fields)
        self.summary["wall_seconds"] = round(self._seconds_before + (now() - self._began).total_seconds(), 3)
        replace_file(self._folder / schema.SUMMARY, schema.json_bytes(self.summary))

    def finish(self, status: str, **fields: object) -> None:
        """Writes the last summary and closes every file. `status` is one of STATUSES."""
        try:
            if status == "finished":
                self._complete()
            self.write_summary(status=status, **fields)
        finally:
            self.close()

    def _complete(self) -> None:
        """Completes the other files; a full disk must show before the run says that it is finished."""
        return

    def back_out(self) -> None:
        """Ends a resume that its input forbids: the summary is again what it was."""
        try:
            if self._summary_before is not None:
                replace_file(self.folder / schema.SUMMARY, self._summary_before)
        finally:
            self.close()


class Record(_Folder):
    """Writes one run folder, which does not exist before `start`.

    Args:
        parent: the folder that holds the run's folder, or a function that makes it when the run starts.
        stem: the name that the run's folder gets, if it is free.
        config_yaml: the resolved config, written to `config.yaml`.
        facts: the summary's first fields: experiment, name, seed.
        device: the device's name, for `environment.json`.
    """

    def __init__(
        self,
        parent: Path | Callable[[], Path],
        stem: str,
        config_yaml: str,
        facts: Mapping[str, object],
        device: str = "cpu",
    ) -> None:
        super().__init__(parent, stem, config_yaml, facts)
        self._device = device
        self._metrics: MetricsLog | None = None
        self._arrays: dict[str, np.ndarray] = {}
        self._board: EventFile | None = None
        self._board_steps: dict[str, int] = {}
        self.summary |= {"results": [], "claims": []}

    def start(self) -> Path:
        """Makes the folder, with config, environment and a first summary, unless it exists. Returns it."""
        if self._folder is None:
            super().start()
            replace_file(self.folder / schema.ENVIRONMENT, schema.json_bytes(environment(self._device)))
        return self.folder

    def _hold(self) -> None:
        self._metrics = MetricsLog(self.folder / schema.METRICS)

    @property
    def metrics(self) -> MetricsLog:
        if self._metrics is None:
            raise RuntimeError("the record has not started: call start() once the input has proved good")
        return self._metrics

    def log(self, row: Mapping[str, Any]) -> None:
        """Appends one row to metrics.jsonl and its numbers to the event file of TensorBoard.

        The event file is thinned to steps 0.5% apart: a full-batch run has a row a step.
        """
        self.metrics.write(row)
        tag = "/".join(str(row[key]) for key in ("part", "split") if key in row)
        step = int(row.get("step", 0))
        if step < 200 or step >= 1.005 * self._board_steps.get(tag, 0):
            self._board_steps[tag] = step
            if self._board is None:
                from nnlab.record.events import EventFile

                self._board = EventFile(self.folder / schema.TENSORBOARD, step)
            numbers = {
                f"{tag}/{key}": value
                for key, value in row.items()
                if key not in ("part", "split", "step", "epoch") and isinstance(value, int | float)
            }
            self._board.scalars(numbers, step)

    def history(self) -> list[dict[str, Any]]:
        """Every row logged so far, those of before a resume among them."""
        return list(read_rows(self.folder / schema.METRICS, self.metrics.tell()))

    def predict(self, predictions: Mapping[str, object]) -> None:
        """Writes what the theory says before the run; its hash in the summary proves the order."""
        content = schema.json_bytes(predictions)
        replace_file(self.folder / schema.PREDICTIONS, content)
        self.write_summary(predictions_sha256=_sha256(content))

    def save_arrays(self, **arrays: Any) -> None:
        """Adds the numbers behind a figure to `arrays.npz`."""
        self._arrays.update({name: np.asarray(array) for name, array in arrays.items()})
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **self._arrays)  # type: ignore[arg-type]
        replace_file(self.folder / schema.ARRAYS, buffer.getvalue())

    def save_figure(self, figure: "Figure", name: str) -> None:
        """Draws `figures/NAME.png` and `figures/NAME.svg`."""
        from nnlab.plot.save import save

        save(figure, self.folder / schema.FIGURES, name)

    def _complete(self) -> None:
        self.metrics.finish()
        if self._board is not None:
            self._board.close()

    def close(self) -> None:
        """Closes every file, and gives the folder free."""
        if self._board is not None:
            with contextlib.suppress(OSError):
                self._board.close()
            self._board = None
        if self._metrics is not None:
            self._metrics.close()
            self._metrics = None


class Group(_Folder):
    """Writes the folder around the runs of one config over several seeds, with a summary of its own.

    Its config.yaml is locked as a run's metrics.jsonl is, so that two commands never go on with one group.

    Args:
        parent, stem, facts: as of `Record`.
        config_yaml: the resolved config of the first seed.
        seeds: of the members.
    """

    def __init__(
        self,
        parent: Path,
        stem: str,
        config_yaml: str,
        facts: Mapping[str, object],
        seeds: Sequence[int] = (),
    ) -> None:
        super().__init__(parent, stem, config_yaml, facts)
        self._lock: io.FileIO | None = None
        self.summary |= {"seeds": list(seeds), "members": [], "verdicts": {}}

    def _hold(self) -> None:
        self._lock = open_locked(self.folder / schema.CONFIG, "rb")

    @property
    def seeds(self) -> list[int]:
        return list(self.summary["seeds"])

    def member(self, seed: int) -> Path | None:
        """The folder of the run with that seed, if it has started."""
        if self._folder is None:
            return None
        folder = self._folder / f"s{seed}"
        return folder if (folder / schema.SUMMARY).exists() else None

    def add(self, member: Path) -> None:
        """Notes a member that has run."""
        if member.name not in self.summary["members"]:
            self.summary["members"].append(member.name)
        self.write_summary()

    def close(self) -> None:
        """Gives the folder free."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
