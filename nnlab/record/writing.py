"""Writes run folders, one process at a time."""

import contextlib
import errno
import hashlib
import io
import json
import os
import re
import shlex
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from nnlab.errors import Interrupted, RunFolderError
from nnlab.files import DISK_FULL, replace_file, sync
from nnlab.record import schema
from nnlab.record.environment import environment
from nnlab.record.figures import Call, Kept, call_of, described, json_of
from nnlab.record.folders import new_folder, now, open_locked, take_over
from nnlab.record.reading import Rows, open_run

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
        if path.is_symlink():
            raise RunFolderError(
                f"{path}: is a link, and a run writes to its own folder alone; remove the link"
            )
        self._path = path
        self._file = open_locked(path, "ab")
        self._accepted = 0
        self._doubtful = self._file.tell() > 0

    def tell(self) -> int:
        """Bytes of the file that are certain."""
        return self._accepted

    def accept(self, offset: int, fields: Collection[str] = ()) -> None:
        """Says that the first `offset` bytes are certain, as a checkpoint remembers them.

        Args:
            offset: where a row ends.
            fields: that every row has.

        Raises:
            RunFolderError: the file was changed: it is too short, or holds lines that no training writes.
        """
        if offset > os.fstat(self._file.fileno()).st_size:
            raise RunFolderError(
                f"{self._file.name}: is shorter than its checkpoint remembers; it was changed by someone else"
            )
        rows = Rows(self._path, offset)
        if not all(_is_logged(row, fields) for row in rows) or rows.unreadable:
            raise RunFolderError(
                f"{self._file.name}: holds lines that no training writes; it was changed by someone else"
            )
        self._accepted = offset

    def offset_of_last_row(self) -> int:
        """Bytes of the file before its last whole line."""
        content = self._path.read_bytes()
        return content.rstrip(b"\n").rfind(b"\n") + 1

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

    def sync(self) -> None:
        """Waits until every line is on the disk, where a checkpoint that counts on them may follow.

        Raises:
            FileNotFoundError: the file is no longer at its path, since somebody moved the folder.
        """
        if not os.path.samestat(os.stat(self._path), os.fstat(self._file.fileno())):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self._path))
        sync(self._file)

    def close(self) -> None:
        self._file.close()


NEXT_CONFIG = "config_next_sha256"
"""The field of the summary while config.yaml is replaced: the hash of what is to come."""


def _is_logged(row: Mapping[str, object], fields: Collection[str]) -> bool:
    """Tells whether a row has these fields, and numbers in all but its names."""
    if not all(name in row for name in fields):
        return False
    return all(
        isinstance(value, str)
        if key in ("part", "split")
        else value is None or isinstance(value, int | float)
        for key, value in row.items()
    )


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
        self._config_before: str | None = None  # of one that goes on with another config
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

    @classmethod
    def tidy(cls, folder: Path) -> None:
        """Removes what processes that were killed left half written in the folder of a finished run."""
        again = cls(folder.parent, folder.name, "", {})
        again._folder = folder
        try:
            again._hold()
            take_over(folder)
        except RunFolderError:  # in use, or not ours to write
            pass
        finally:
            again.close()

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
        """Makes the folder, with config and a first summary, unless it exists. Returns it.

        The folder appears with all of its first files at once: whenever the process is killed, there is no
        folder or one that can be resumed.
        """
        if self._folder is None:
            parent = self._parent() if callable(self._parent) else self._parent
            self._folder = new_folder(parent, self._stem, self._fill)
            self.summary["run_dir"] = str(self._folder)
            self._hold()
        return self._folder

    def _fill(self, folder: Path) -> None:
        """Writes the first files into a folder that has no name yet, the summary last."""
        for name, content in self._first_files().items():
            replace_file(folder / name, content)
        self._write_summary_to(folder)

    def _first_files(self) -> dict[str, bytes]:
        return {schema.CONFIG: self._config_yaml.encode()}

    @classmethod
    def reopen(cls, folder: Path, changed: str | None = None) -> Self:
        """Goes on with a run, or a group of runs, that was cut off, in the same folder.

        What processes that were killed left half written in it is removed.

        Args:
            folder: of the run.
            changed: the config that it goes on with, as YAML, also where it was finished; left out, its own.

        Raises:
            RunFolderError: another process runs it or has finished it, its config is no longer the one that
                it began with, or a folder in it is a link to elsewhere.
        """
        open_run(folder)
        again = cls(folder.parent, folder.name, (folder / schema.CONFIG).read_text("utf-8"), {})
        again._folder = folder
        again._hold()
        try:
            again._go_on(finished=changed is not None)
            if changed is not None:
                again._change_config(changed)
        except BaseException:
            again.close()
            raise
        return again

    def _go_on(self, *, finished: bool = False) -> None:
        """Takes over what the processes before wrote, now that the lock keeps others from writing more."""
        folder = self.folder
        self._summary_before, before = (folder / schema.SUMMARY).read_bytes(), open_run(folder).summary
        if before["status"] == "finished" and not finished:
            raise RunFolderError(f"{folder}: another process has just finished this run")
        own = self.summary["config_sha256"]
        if own not in (before.get("config_sha256", own), before.get(NEXT_CONFIG)):
            file = folder / schema.CONFIG
            raise RunFolderError(
                f"{file}: was changed since the run began, so that its checkpoints do not fit it; "
                f"start a new run: nnlab train --config {shlex.quote(str(file))}"
            )
        take_over(folder)
        self._seconds_before = float(before.get("wall_seconds") or 0.0)
        self.summary |= {key: before[key] for key in schema.KEPT if key in before}
        self.write_summary(run_dir=str(folder))

    def _change_config(self, changed: str) -> None:
        """Replaces config.yaml; whenever the process is killed, the summary has the hash of what is there."""
        own, self._config_yaml = self._config_yaml, changed
        if self._config_before is None:
            self._config_before = own
        sha256 = _sha256(changed.encode())
        self.write_summary(**{NEXT_CONFIG: sha256})
        replace_file(self.folder / schema.CONFIG, changed.encode())
        self._hold_again()
        del self.summary[NEXT_CONFIG]
        self.write_summary(config_sha256=sha256)

    def _hold_again(self) -> None:
        """Takes the lock once more, where it was on the file that is replaced."""
        return

    def write_summary(self, **fields: object) -> None:
        """Sets fields of the summary and replaces summary.json; before `start` it does nothing."""
        if self._folder is None:
            return
        self.summary.update(fields)
        self._write_summary_to(self._folder)

    def _write_summary_to(self, folder: Path) -> None:
        """Writes the summary, without the folder's own place: it may be moved, and its readers know it."""
        self.summary["wall_seconds"] = round(self._seconds_before + (now() - self._began).total_seconds(), 3)
        written = {key: value for key, value in self.summary.items() if key != "run_dir"}
        replace_file(folder / schema.SUMMARY, schema.json_bytes(written))

    def finish(self, status: schema.Status, **fields: object) -> None:
        """Writes the last summary and closes every file."""
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
            if self._config_before is not None:
                self._change_config(self._config_before)
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
        self._data: bytes | None = None  # of data.json
        self._metrics: MetricsLog | None = None
        self._kept = Kept()
        self._calls: dict[str, Call] = {}
        self._work: list[tuple[str, Callable[[], None]]] = []
        self._drawing = False
        self.axes: Mapping[str, str] = {}  # pattern of names of arrays -> their axes and units
        self._board: EventFile | None = None
        self._board_steps: dict[str, int] = {}
        self.summary |= {"results": [], "claims": []}

    def _first_files(self) -> dict[str, bytes]:
        files = super()._first_files() | {schema.ENVIRONMENT: schema.json_bytes(environment(self._device))}
        return files if self._data is None else files | {schema.DATA: self._data}

    def keep_data(self, content: Mapping[str, object]) -> None:
        """Writes `data.json`, what the run's data are; of a run that has not started, when it starts."""
        self._data = schema.json_bytes(content, indent=None)
        if self.started:
            replace_file(self.folder / schema.DATA, self._data)

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
        if self._board is None:
            self._open_board()
        else:
            self._show(self._board, row)

    def _open_board(self) -> None:
        """Begins the event file with every row so far: it has what metrics.jsonl has, also after a resume."""
        from nnlab.record.events import EventFile

        self._board = EventFile(self.folder / schema.TENSORBOARD)
        for row in self.history():
            self._show(self._board, row)
        self._board.take_place()

    def _show(self, board: "EventFile", row: Mapping[str, Any]) -> None:
        tag = "/".join(str(row[key]) for key in ("part", "split") if key in row)
        step = int(row.get("step", 0))
        if step < 200 or step >= 1.005 * self._board_steps.get(tag, 0):
            self._board_steps[tag] = step
            numbers = {
                f"{tag}/{key}": value
                for key, value in row.items()
                if key not in ("part", "split", "step", "epoch") and isinstance(value, int | float)
            }
            board.scalars(numbers, step)

    def history(self) -> list[dict[str, Any]]:
        """Every row logged so far, those of before a resume among them."""
        return list(Rows(self.folder / schema.METRICS, self.metrics.tell()))

    def predict(self, predictions: Mapping[str, object]) -> None:
        """Writes what the theory says before the run; its hash in the summary proves the order."""
        content = schema.json_bytes(predictions)
        replace_file(self.folder / schema.PREDICTIONS, content)
        self.write_summary(predictions_sha256=_sha256(content))

    def warn(self, text: str) -> None:
        """Adds a sentence to the summary's warnings, once: what went wrong without ending the run."""
        warnings = self.summary.setdefault("warnings", [])
        if text not in warnings:
            warnings.append(text)

    def note(self, texts: Iterable[str], *, more: bool = True) -> None:
        """Puts what was found in the data into the summary's notes, each sentence once.

        Args:
            texts: sentences.
            more: whether those that are there stay.
        """
        before = self.summary.pop("notes", [])
        if notes := list(dict.fromkeys([*(before if more else ()), *texts])):
            self.summary["notes"] = notes

    def save_arrays(self, **arrays: Any) -> None:
        """Adds numbers to `arrays.npz`: those behind a figure, and those that widgets read."""
        for name, array in arrays.items():
            self._kept.save(name, array)
        if not self._drawing:
            self._write_arrays()

    def _write_arrays(self) -> None:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **self._kept.arrays)  # type: ignore[arg-type]
        replace_file(self.folder / schema.ARRAYS, buffer.getvalue())

    def figure(
        self, name: str, function: "Callable[..., Figure]", /, *arguments: Any, **keywords: Any
    ) -> None:
        """Queues a figure, which `draw` draws when the run's numbers are safe.

        The call is kept in `figures.json` and `arrays.npz`, so that it can be repeated.

        Args:
            name: of its files, `figures/NAME.png` and `figures/NAME.svg`.
            function: a public function of `nnlab.plot` or of a chapter's `figures` that returns a figure.
            *arguments: of the function: arrays, numbers, texts, and what is made of them.
            **keywords: likewise.
        """
        try:
            self._calls[name] = call_of(name, function, arguments, keywords, self._kept)
        except Exception as error:  # a figure never costs a run
            self._undrawn(name, error, "")

    def later(self, name: str, prepare: Callable[[], None]) -> None:
        """Queues work that figures alone need, which may call `save_arrays` and `figure`.

        Its failure is a warning.

        Args:
            name: of the figure, for the warning.
            prepare: called by `draw`, in the order of the calls.
        """
        self._work.append((name, prepare))

    def complete(self, **fields: object) -> None:
        """Completes metrics.jsonl, and writes fields of the summary: all but the figures is safe."""
        self.metrics.finish()
        self.write_summary(**fields)

    def draw(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Draws the figures that were queued. One that fails becomes a warning.

        Args:
            stop: asked before each figure; True ends it.

        Raises:
            Interrupted: `stop` said so.
            OSError: the disk is full.
        """
        self._drawing = True
        try:
            for name, prepare in self._work:
                with self._forgiving(name, "its numbers could not be computed"):
                    prepare()
            if self._calls:
                with self._forgiving("all", "the numbers could not be kept"):
                    self._write_calls()
            for name, call in self._calls.items():
                if stop():
                    raise Interrupted(f"interrupted before the figure {name} was drawn")
                with self._forgiving(name, f"its numbers are kept: nnlab plot RUN --figure {name} draws it"):
                    self.save_figure(call.draw(self._kept.arrays), name)
        finally:
            self._drawing = False
            self._work.clear()

    def _write_calls(self) -> None:
        self._write_arrays()
        axes = described(list(self._kept.arrays), self.axes, self._calls)
        replace_file(self.folder / schema.FIGURE_CALLS, json_of(self._calls, axes))

    @contextlib.contextmanager
    def _forgiving(self, name: str, consequence: str) -> Iterator[None]:
        """Makes a warning of an error; a full disk and an interruption end the run, and can be resumed."""
        try:
            yield
        except Exception as error:
            if isinstance(error, Interrupted) or _disk_is_full(error) or _disk_is_full(error.__cause__):
                raise
            self._undrawn(name, error, consequence)

    def _undrawn(self, name: str, error: Exception, consequence: str) -> None:
        reason = " ".join(str(error).split())[:300] or "no reason given"
        text = f"figure {name} could not be drawn ({type(error).__name__}: {reason})"
        self.warn(f"{text}; {consequence}" if consequence else text)

    def save_figure(self, figure: "Figure", name: str) -> None:
        """Writes `figures/NAME.png` and `figures/NAME.svg`."""
        from nnlab.plot.save import save

        (self.folder / schema.FIGURES).mkdir(exist_ok=True)  # not the folder around it, which may have moved
        save(figure, self.folder / schema.FIGURES, name)

    def finish(self, status: schema.Status, **fields: object) -> None:
        """Writes the last summary and closes every file; figures of a run that ends early can be drawn."""
        if status != "finished" and self._calls:
            with contextlib.suppress(Exception):
                self._write_calls()
        super().finish(status, **fields)

    def _complete(self) -> None:
        self.metrics.finish()
        if self._board is None and self.resumed and self.metrics.tell():
            self._open_board()
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

    def _hold_again(self) -> None:
        before = self._lock
        self._hold()
        if before is not None:
            before.close()

    @property
    def seeds(self) -> list[int]:
        return list(self.summary["seeds"])

    def member(self, seed: int) -> Path | None:
        """The folder of the run with that seed, if it has started; of several, one that has finished."""
        if self._folder is None:
            return None
        named = re.compile(rf"s{seed}(-\d+)?")
        with os.scandir(self._folder) as entries:
            names = sorted(entry.name for entry in entries if named.fullmatch(entry.name))
        runs = [
            open_run(self._folder / name) for name in names if (self._folder / name / schema.SUMMARY).exists()
        ]
        return min(runs, key=lambda run: run.status != "finished").folder if runs else None

    def add(self, member: Path) -> None:
        """Notes a member that has run, in the place of any other of its seed."""
        seed = member.name.partition("-")[0]
        before = [member.name if name.partition("-")[0] == seed else name for name in self.summary["members"]]
        self.write_summary(members=list(dict.fromkeys([*before, member.name])))

    def close(self) -> None:
        """Gives the folder free."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _disk_is_full(error: BaseException | None) -> bool:
    return isinstance(error, OSError) and error.errno in DISK_FULL


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
