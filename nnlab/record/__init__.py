"""One run folder: written while the experiment runs, read back by anyone afterwards.

`Record` writes, `open_run` reads. Every JSON file is replaced as a whole, so that a reader, or a run that
is killed, never sees half of one; `metrics.jsonl` grows by one whole line at a time.
"""

import contextlib
import hashlib
import io
import json
import math
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from nnlab.errors import RunFolderError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nnlab.record.events import EventFile

if sys.platform != "win32":
    import fcntl

SCHEMA_VERSION = 1
STATUSES = ("running", "finished", "diverged", "interrupted", "failed")


# --- files ------------------------------------------------------------------------------------------


def replace_file(path: Path, content: bytes | memoryview) -> None:
    """Writes `path` as a whole or not at all: a temporary file beside it takes its name at the end."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def plain(value: object) -> Any:
    """`value` as JSON can hold it: numpy numbers become numbers, what is not finite becomes null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple | set):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)


def _json_bytes(content: Mapping[str, object]) -> bytes:
    whole = {"schema_version": SCHEMA_VERSION, **content}
    return (json.dumps(plain(whole), indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


class MetricsLog:
    """`metrics.jsonl`: one JSON object a line, in the file as soon as it is logged.

    After a resume, lines behind the last checkpoint are doubtful: the run will write them again. A
    checkpoint `accept`s the offset that it saw; the first new line cuts off what nobody accepted.
    The open file is locked, so that two processes never write one run.
    """

    def __init__(self, path: Path) -> None:
        self._file = _locked(path, "ab")
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
        if self._doubtful:
            self._file.truncate(self._accepted)
            self._doubtful = False
        line = (json.dumps(plain(row), allow_nan=False) + "\n").encode()
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

    def close(self) -> None:
        self._file.close()


def _locked(path: Path, mode: Literal["ab", "rb"]) -> io.FileIO:
    """The open file, which no other process can get in this way before it is closed."""
    file = open(path, mode, buffering=0)  # noqa: SIM115 - closed by who asked for it
    try:
        _lock(file)
    except BlockingIOError:
        file.close()
        raise RunFolderError(f"{path.parent}: another process is running this run right now") from None
    return file


def _lock(file: io.FileIO) -> None:
    if sys.platform == "win32":  # no flock there: nothing guards the folder
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        pass  # a file system without locks


def _is_locked(path: Path) -> bool:
    if sys.platform == "win32" or not path.exists():
        return False
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


# --- writing ----------------------------------------------------------------------------------------


def slug(name: str) -> str:
    """A run's name as part of a folder name: letters, digits, `_`, `-` and `.`, at most 60 of them."""
    return re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip("-.")[:60] or "run"


def new_folder(parent: Path, stem: str) -> Path:
    """Makes a folder that was not there: `stem`, else `stem-2`, `stem-3`… Safe when many start at once."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, 10_000):
            folder = parent / (stem if attempt == 1 else f"{stem}-{attempt}")
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                return folder
    except OSError as error:
        raise RunFolderError(
            f"{parent}: cannot make a run folder there ({error.strerror}); choose another with --runs DIR"
        ) from None
    raise RunFolderError(f"{parent}: holds 10,000 runs named {stem}; choose another folder with --runs DIR")


def check_writable(folder: Path) -> None:
    """Raises RunFolderError where a run could not make its folder inside `folder`; makes nothing."""
    existing = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not existing.is_dir():
        raise RunFolderError(f"{folder}: {existing} is a file, not a folder; choose another with --runs DIR")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise RunFolderError(
            f"{folder}: not writable ({existing} denies it); choose another folder with --runs DIR"
        )


class Record:
    """Writes one run folder.

    Nothing exists on disk before `start`, so that wrong input leaves no trace in `runs/`.

    Args:
        parent: the folder that holds the run's folder, or what makes it when the run starts.
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
        self._parent, self._stem, self._config_yaml, self._device = parent, stem, config_yaml, device
        self._folder: Path | None = None
        self._metrics: MetricsLog | None = None
        self._arrays: dict[str, np.ndarray] = {}
        self._board: EventFile | None = None
        self._board_steps: dict[str, int] = {}
        self._began = _now()
        self._seconds_before = 0.0
        self._found: bytes | None = None  # the summary that a resume found
        self.summary: dict[str, Any] = {
            **facts,
            "status": "running",
            "started": self._began.isoformat(timespec="seconds"),
            "wall_seconds": 0.0,
            "run_dir": None,
            "config_sha256": _sha256(config_yaml.encode()),
            "metrics": {},
            "results": [],
            "claims": [],
        }

    @classmethod
    def reopen(cls, folder: Path) -> "Record":
        """The record of a run that was cut off, to go on in the same folder.

        Raises:
            RunFolderError: another process runs it, or its config is no longer the one that it began with.
        """
        run = open_run(folder)
        record = cls(folder.parent, folder.name, run.config_text(), {})
        _check_unchanged(run)
        record._folder, record._found = folder, (folder / "summary.json").read_bytes()
        record._seconds_before = float(run.summary.get("wall_seconds") or 0.0)
        record._open_metrics()
        kept = ("predictions_sha256", "started")
        facts = {key: run.summary.get(key) for key in ("experiment", "name", "seed")}
        record.summary.update(facts | {k: run.summary[k] for k in kept if k in run.summary})
        record.summary.update(status="running", run_dir=str(folder), wall_seconds=record._seconds_before)
        record.write_summary()
        return record

    @property
    def started(self) -> bool:
        return self._folder is not None

    @property
    def folder(self) -> Path:
        if self._folder is None:
            raise RuntimeError("the record has not started: call start() once the input has proved good")
        return self._folder

    def start(self) -> None:
        """Makes the folder, with config, environment and a first summary. Once it is there, does nothing."""
        if self._folder is not None:
            return
        parent = self._parent() if callable(self._parent) else self._parent
        self._folder = new_folder(parent, self._stem)
        self.summary["run_dir"] = str(self._folder)
        self._open_metrics()
        replace_file(self._folder / "config.yaml", self._config_yaml.encode())
        self.write_summary()
        replace_file(self._folder / "environment.json", _json_bytes(environment(self._device)))

    def _open_metrics(self) -> None:
        try:
            self._metrics = MetricsLog(self.folder / "metrics.jsonl")
        except OSError as error:
            raise RunFolderError(f"{self.folder}: not writable ({error.strerror})") from None

    @property
    def metrics(self) -> MetricsLog:
        if self._metrics is None:
            raise RuntimeError("the record has not started: call start() once the input has proved good")
        return self._metrics

    def log(self, row: Mapping[str, Any]) -> None:
        """Appends one row to metrics.jsonl and shows its numbers to TensorBoard."""
        self.metrics.write(row)
        self._show(row)

    def _show(self, row: Mapping[str, Any]) -> None:
        """Event files for TensorBoard, thinned to 0.5% apart: a full-batch run has a row a step."""
        tag = "/".join(str(row[key]) for key in ("part", "split") if key in row)
        step = int(row.get("step", 0))
        if step < 200 or step >= 1.005 * self._board_steps.get(tag, 0):
            self._board_steps[tag] = step
            if self._board is None:
                from nnlab.record.events import EventFile

                self._board = EventFile(self.folder / "tensorboard", step)
            numbers = {
                f"{tag}/{key}": value
                for key, value in row.items()
                if key not in ("part", "split", "step", "epoch") and isinstance(value, int | float)
            }
            self._board.scalars(numbers, step)

    def history(self) -> list[dict[str, Any]]:
        """Every row logged so far, those of before a resume among them."""
        return list(_rows(self.folder / "metrics.jsonl", self.metrics.tell()))

    def predict(self, predictions: Mapping[str, object]) -> None:
        """Writes what the theory says before the run; its hash in the summary proves the order."""
        content = _json_bytes(predictions)
        replace_file(self.folder / "predictions.json", content)
        self.summary["predictions_sha256"] = _sha256(content)
        self.write_summary()

    def save_arrays(self, **arrays: Any) -> None:
        """Adds the numbers behind a figure to `arrays.npz`."""
        self._arrays.update({name: np.asarray(array) for name, array in arrays.items()})
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **self._arrays)  # type: ignore[arg-type]
        replace_file(self.folder / "arrays.npz", buffer.getvalue())

    def save_figure(self, figure: "Figure", name: str) -> None:
        """Draws `figures/NAME.png` and `figures/NAME.svg`."""
        from nnlab.plot.save import save

        folder = self.folder / "figures"
        folder.mkdir(exist_ok=True)
        save(figure, folder, name)

    def write_summary(self, **fields: object) -> None:
        """Sets fields of the summary and replaces summary.json."""
        self.summary.update(fields)
        self.summary["wall_seconds"] = round(self._seconds_before + (_now() - self._began).total_seconds(), 3)
        replace_file(self.folder / "summary.json", _json_bytes(self.summary))

    def finish(self, status: str, **fields: object) -> None:
        """Writes the last summary and closes every file. `status` is one of STATUSES."""
        try:
            if status == "finished":
                self.metrics.finish()
                if self._board is not None:
                    self._board.close()  # a full disk must show before the run says that it is finished
            self.write_summary(status=status, **fields)
        finally:
            self.close()

    def back_out(self) -> None:
        """Ends a resume that its input forbids: the summary is again what it was."""
        try:
            if self._found is not None:
                replace_file(self.folder / "summary.json", self._found)
        finally:
            self.close()

    @property
    def resumed(self) -> bool:
        return self._found is not None

    def close(self) -> None:
        if self._board is not None:
            with contextlib.suppress(OSError):
                self._board.close()
            self._board = None
        if self._metrics is not None:
            self._metrics.close()
            self._metrics = None


class Group:
    """The folder around the runs of one config over several seeds, with a summary of its own.

    Like a Record it makes nothing before its first member starts. Its config.yaml is locked as a run's
    metrics.jsonl is, so that two commands never go on with one group.
    """

    def __init__(
        self, runs: Path, stem: str, config_yaml: str, facts: Mapping[str, object], seeds: Sequence[int]
    ) -> None:
        self._runs, self._stem, self._config_yaml = runs, stem, config_yaml
        self._folder: Path | None = None
        self._lock: io.FileIO | None = None
        self._found: bytes | None = None  # the summary that a resume found
        self._began, self._seconds_before = _now(), 0.0
        self.seeds = list(seeds)
        self.summary: dict[str, Any] = {
            **facts,
            "status": "running",
            "started": self._began.isoformat(timespec="seconds"),
            "wall_seconds": 0.0,
            "run_dir": None,
            "config_sha256": _sha256(config_yaml.encode()),
            "seeds": self.seeds,
            "members": [],
            "metrics": {},
            "verdicts": {},
        }

    @classmethod
    def reopen(cls, run: "Run") -> "Group":
        """The group of a command that was cut off, to go on in the same folder. Raises as Record.reopen."""
        _check_unchanged(run)
        group = cls(run.folder.parent, run.folder.name, run.config_text(), {}, run.summary["seeds"])
        group._folder, group._found = run.folder, (run.folder / "summary.json").read_bytes()
        group._seconds_before = float(run.summary.get("wall_seconds") or 0.0)
        group.summary |= {**run.summary, "status": "running", "run_dir": str(run.folder)}
        group.summary.pop("message", None)
        group._hold()
        group.write_summary()
        return group

    def folder(self) -> Path:
        """The group's folder, made at the first call."""
        if self._folder is None:
            self._folder = new_folder(self._runs, self._stem)
            self.summary["run_dir"] = str(self._folder)
            replace_file(self._folder / "config.yaml", self._config_yaml.encode())
            self._hold()
            self.write_summary()
        return self._folder

    def _hold(self) -> None:
        self._lock = _locked(self.folder() / "config.yaml", "rb")

    def member(self, seed: int) -> Path | None:
        """The folder of the run with that seed, if it has started."""
        if self._folder is None:
            return None
        folder = self._folder / f"s{seed}"
        return folder if (folder / "summary.json").exists() else None

    def add(self, member: Path) -> None:
        if member.name not in self.summary["members"]:
            self.summary["members"].append(member.name)
        self.write_summary()

    def finish(self, status: str, **fields: object) -> None:
        """Writes the last summary. `status` is one of STATUSES."""
        try:
            self.write_summary(status=status, **fields)
        finally:
            self.close()

    @property
    def resumed(self) -> bool:
        return self._found is not None

    def back_out(self) -> None:
        """Ends a resume that its input forbids: the summary is again what it was."""
        try:
            if self._found is not None:
                replace_file(self.folder() / "summary.json", self._found)
        finally:
            self.close()

    def close(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def write_summary(self, **fields: object) -> None:
        if self._folder is None:
            return
        self.summary.update(fields)
        self.summary["wall_seconds"] = round(self._seconds_before + (_now() - self._began).total_seconds(), 3)
        replace_file(self._folder / "summary.json", _json_bytes(self.summary))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _check_unchanged(run: "Run") -> None:
    now = _sha256(run.config_text().encode())
    if run.summary.get("config_sha256", now) != now:
        file = run.folder / "config.yaml"
        raise RunFolderError(
            f"{file}: was changed since the run began, so that its checkpoints do not fit it; "
            f"start a new run: nnlab train --config {file}"
        )


def _now() -> datetime:
    return datetime.now().astimezone()


def stamp() -> str:
    """The time of day as folder names carry it: YYYYmmdd-HHMMSS."""
    return _now().strftime("%Y%m%d-%H%M%S")


def environment(device: str) -> dict[str, object]:
    """What the numbers of a run depend on beside its config."""
    names = ("nnlab", "torch", "torchvision", "numpy", "scipy", "scikit-learn")
    versions = {}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch is not None else None
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": versions,
        "device": device,
        "threads": threads,
        "git": _git_state(Path(__file__).parent),
    }


def _git_state(folder: Path) -> dict[str, object] | None:
    """Commit of the source tree and whether it was changed since; None where it is installed as a wheel."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        if not git("ls-files", "__init__.py"):
            return None  # a wheel inside somebody else's repository
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "-uno"))}
    except (OSError, subprocess.SubprocessError):
        return None


# --- reading ----------------------------------------------------------------------------------------


def _rows(path: Path, end: int | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a metrics file, up to `end` bytes or a torn last line."""
    if not path.exists():
        return
    with open(path, "rb") as file:
        for line in file.read(-1 if end is None else end).splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                return
            if isinstance(row, dict):
                yield row


@dataclass(frozen=True)
class Run:
    """A run folder as it is on disk, finished or not.

    >>> run = open_run("runs/classify/20260101-120000-softmax_digits-s0")      # doctest: +SKIP
    >>> run.summary["metrics"]["test/accuracy"]                                # doctest: +SKIP
    0.9667
    """

    folder: Path
    summary: dict[str, Any]

    @property
    def is_group(self) -> bool:
        return "members" in self.summary

    @property
    def status(self) -> str:
        """The summary's status; `killed` where it says running but no process holds the folder."""
        status = str(self.summary["status"])
        held = self.folder / ("config.yaml" if self.is_group else "metrics.jsonl")
        return "killed" if status == "running" and not _is_locked(held) else status

    def metrics(self, split: str | None = None) -> list[dict[str, Any]]:
        """Rows of metrics.jsonl, of one split or all; a torn last line is left out."""
        rows = _rows(self.folder / "metrics.jsonl")
        return [row for row in rows if split is None or row.get("split") == split]

    def arrays(self) -> dict[str, np.ndarray]:
        """The numbers behind the figures."""
        path = self.folder / "arrays.npz"
        if not path.exists():
            return {}
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}

    def config_text(self) -> str:
        return (self.folder / "config.yaml").read_text("utf-8")


def open_run(path: str | os.PathLike[str]) -> Run:
    """Reads a run folder. Raises RunFolderError where `path` is none."""
    folder = Path(path)
    if folder.name == "summary.json":
        folder = folder.parent
    file = folder / "summary.json"
    if not os.path.isdir(folder):  # unlike Path.is_dir, it takes a name that is too long
        raise RunFolderError(f"{path}: no such folder; `nnlab runs list` shows the runs")
    if not os.path.isfile(file):
        raise RunFolderError(f"{path}: is not a run folder: it has no summary.json")
    try:
        summary = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RunFolderError(f"{file}: cannot be read: {error}") from None
    if not _is_summary(summary):
        raise RunFolderError(f"{file}: is not the summary of a run")
    return Run(folder, summary)


def _is_summary(content: Any) -> bool:
    """Whether a JSON value has the form that readers of a summary count on."""
    if not isinstance(content, dict) or content.get("status") not in STATUSES:
        return False
    needed = {"name": str, "seed": int, "metrics": dict}
    forms = {"wall_seconds": int | float, "members": list, "seeds": list, "claims": list, "results": list}
    if not all(isinstance(content.get(key), form) for key, form in needed.items()):
        return False
    if not all(isinstance(content[key], form) for key, form in forms.items() if key in content):
        return False
    members, seeds = content.get("members", []), content.get("seeds", [])
    return (
        ("members" in content) == ("seeds" in content)
        and all(isinstance(name, str) for name in members)
        and all(isinstance(seed, int) for seed in seeds)
    )


def find_runs(runs: Path) -> Iterable[Run]:
    """Every run and group of runs under `runs`, oldest first; members of groups are not listed apart."""
    found = []
    for file in sorted(runs.glob("*/*/summary.json"), key=lambda f: (f.parent.name, str(f))):
        with contextlib.suppress(RunFolderError):
            found.append(open_run(file.parent))
    return found
