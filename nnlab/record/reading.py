"""Reads run folders, finished or not, whoever made them: what is damaged is a RunFolderError or a note."""

import html
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nnlab import display
from nnlab.errors import RunFolderError
from nnlab.files import read_whole
from nnlab.record import schema
from nnlab.record.arrays import read_arrays
from nnlab.record.folders import is_locked

if TYPE_CHECKING:
    from torch import nn

JSON_BYTES = 32 * 2**20
"""The largest summary, and other file of JSON, that is read."""
ROW_BYTES = 2**20
"""The longest line of metrics.jsonl that is read."""


@dataclass(frozen=True, repr=False)
class Run:
    """A run folder, or the folder of a group of runs, as it is on disk.

    >>> run = open_run("runs/classify/20260101-120000-softmax_digits-s0")      # doctest: +SKIP
    >>> run.summary["metrics"]["test/accuracy"]                                # doctest: +SKIP
    0.9667

    Attributes:
        folder: its path.
        summary: the fields of summary.json, see `nnlab.record.summary`; `run_dir` is the folder's path.
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
        held = self.folder / (schema.CONFIG if self.is_group else schema.METRICS)
        return "killed" if status == "running" and not is_locked(held) else status

    def file(self, name: str, limit: int | None = None) -> Path | None:
        """Returns the path of a file of the run; None where there is none that may be read.

        That is a regular file inside the folder once links are followed, of at most `limit` bytes.
        """
        path = self.folder / name
        try:
            inside = path.is_file() and path.resolve().is_relative_to(self.folder.resolve())
            return path if inside and (limit is None or path.stat().st_size <= limit) else None
        except (OSError, ValueError, RuntimeError):
            return None

    def members(self) -> tuple[list["Run"], list[str]]:
        """Returns the runs of a group in their order, and a sentence on each that cannot be read.

        Of a run that is no group it is the run itself.
        """
        if not self.is_group:
            return [self], []
        members, faults = [], []
        for name in self.summary["members"]:
            if os.path.basename(name) != name or self.file(f"{name}/{schema.SUMMARY}") is None:
                faults.append(f"{name}: is no run of this group, or its folder is gone")
                continue
            try:
                members.append(open_run(self.folder / name))
            except RunFolderError as error:
                faults.append(str(error))
        return members, faults

    def pictures(self) -> list[Path]:
        """Returns the PNG files of the run's figures, of its members, and of `nnlab features`.

        Not those of the runs inside a lecture, and nothing that a link leads to.
        """
        files = []
        for place, folders, names in os.walk(self.folder):
            if Path(place) == self.folder:
                folders[:] = [name for name in folders if name != "runs"]
            paths = (Path(place, name) for name in names if name.endswith(".png"))
            files += [path for path in paths if path.is_file() and not path.is_symlink()]
        return sorted(files)

    def rows(self) -> "Rows":
        """Returns the rows of metrics.jsonl, to be read one after the other."""
        return Rows(self.folder / schema.METRICS)

    def metrics(self, split: str | None = None) -> list[dict[str, Any]]:
        """Rows of metrics.jsonl, of one split or all; lines that are none, as a torn one, are left out."""
        return [row for row in self.rows() if split is None or row.get("split") == split]

    def arrays(self) -> dict[str, np.ndarray]:
        """The numbers behind the figures. Raises RunFolderError where their file is damaged."""
        path = self.folder / schema.ARRAYS
        return read_arrays(path) if path.exists() else {}

    def data(self) -> dict[str, Any] | None:
        """Returns what `data.json` holds on the run's data; None for a run of before there was one.

        Raises:
            RunFolderError: the file is damaged.
        """
        path = self.folder / schema.DATA
        if not os.path.lexists(path):
            return None
        if self.file(schema.DATA) is None:
            raise RunFolderError(f"{path}: is no file, or a link that leads out of the run folder")
        content = read_json(path)
        if not isinstance(content, dict):
            raise RunFolderError(f"{path}: does not say what the run's data are: it holds no mapping")
        return content

    @property
    def class_names(self) -> list[str]:
        """The names of the classes in the order of the model's outputs; none for a regression."""
        preprocessing = (self.data() or {}).get("preprocessing")
        names = preprocessing.get("class_names") if isinstance(preprocessing, dict) else None
        return list(map(str, names)) if isinstance(names, list) else []

    def model(self, *, device: str = "cpu", allow_custom_code: bool = False) -> "nn.Module":
        """Returns the one model that the run trained, at its best weights and in evaluation mode.

        It takes examples as the training had them, standardized; `predict` takes them as they are.

        Args:
            device: where it goes: auto, cpu, cuda or mps.
            allow_custom_code: whether a custom model may run its own code.

        Raises:
            RunFolderError: a group of runs, a run that trained no single model, or damaged files.
        """
        from nnlab.lab.prediction import model_of

        return model_of(self, device=device, allow_custom_code=allow_custom_code)

    def predict(self, examples: Any, *, device: str = "cpu", allow_custom_code: bool = False) -> np.ndarray:
        """Returns what the run's model predicts for examples in raw units, by the run's preprocessing.

        Args:
            examples: an array or tensor: (N, features) in the order of the run's columns, or images
                (N, C, H, W), of one channel also (N, H, W), with values as in their files; or a DataFrame,
                whose columns are matched by their names.
            device: on which the model computes: auto, cpu, cuda or mps.
            allow_custom_code: whether a custom model may run its own code.

        Returns:
            (N, C) float64: probabilities of the `class_names` in their order, or values in original units. A
            classifier trained by squared error gives its outputs, which estimate the probabilities but need
            not lie in [0, 1].

        Raises:
            InputError: examples of another shape or type, or with values that are not finite.
            RunFolderError: as of `model`.
        """
        from nnlab.lab.prediction import predict_array

        return predict_array(self, examples, device=device, allow_custom_code=allow_custom_code)

    def config_text(self) -> str:
        return (self.folder / schema.CONFIG).read_text("utf-8")

    def _title(self) -> str:
        kind = f"group of {len(self.summary['seeds'])} seeds" if self.is_group else "run"
        return f"{kind} {self.summary['name']!r} ({self.summary.get('experiment')}, {self.status})"

    def __repr__(self) -> str:
        return f"<{self._title()} in {str(self.folder)!r}>"

    def _repr_html_(self) -> str:
        summary = self.summary
        text = f"<p><b>{html.escape(self._title())}</b><br>{html.escape(str(self.folder))}</p>"
        if summary["metrics"]:
            text += display.table(("metric", "value"), summary["metrics"].items())
        columns = ("sentence", "predicted", "measured", "interval", "verdict")
        claims = summary.get("claims")
        if claims:
            text += display.table(columns, ([claim.get(key) for key in columns] for claim in claims))
        verdicts = summary.get("verdicts")
        if verdicts:
            counts = ((name, ", ".join(f"{n} {v}" for v, n in c.items())) for name, c in verdicts.items())
            text += display.table(("claim", "verdicts"), counts)
        return text


class Rows:
    """The rows of a metrics file, one after the other, whatever its size.

    Attributes:
        unreadable: lines that were no row, as the last reading counted them.
    """

    def __init__(self, path: Path, end: int | None = None) -> None:
        """Args: `end`: the number of bytes to read, if not all."""
        self.unreadable = 0
        self._path, self._end = path, end

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Raises RunFolderError where the file is there, but cannot be opened."""
        self.unreadable = 0
        if not os.path.isfile(self._path):
            return
        try:
            with open(self._path, "rb") as file:
                for line in _lines(file, self._end):
                    row = row_of(line)
                    if row is not None:
                        yield row
                    elif not line.isspace():
                        self.unreadable += 1
        except OSError as error:
            raise RunFolderError(f"{self._path}: cannot be read: {error.strerror}") from None


def _lines(file: Any, end: int | None) -> Iterator[bytes]:
    """The lines of a file up to `end` bytes; of one that is too long only the start, which is no row."""
    left = os.fstat(file.fileno()).st_size if end is None else end
    while left > 0 and (line := file.readline(min(left, ROW_BYTES))):
        left -= len(line)
        yield line
        while left > 0 and len(line) == ROW_BYTES and not line.endswith(b"\n"):
            line = file.readline(min(left, ROW_BYTES))
            left -= len(line)


def row_of(line: bytes) -> dict[str, Any] | None:
    """The row of a line; None where it is none: names and numbers or texts, not nested."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or any(isinstance(value, dict | list) for value in row.values()):
        return None
    return row


def read_json(path: Path) -> Any:
    """Returns the value of a JSON file; numbers that JSON lacks, NaN and infinities, become None.

    Raises:
        RunFolderError: it is missing, no file, larger than JSON_BYTES, or not JSON.
    """
    try:
        return json.loads(read_whole(path, JSON_BYTES), parse_constant=lambda name: None)
    except OSError as error:
        raise RunFolderError(f"{path}: cannot be read: {error.strerror or error}") from None
    except RecursionError:
        raise RunFolderError(f"{path}: cannot be read: it is nested too deeply") from None
    except ValueError as error:  # no JSON, no UTF-8, a number of more than 4,300 digits
        raise RunFolderError(f"{path}: cannot be read: {error}") from None


def open_run(path: str | os.PathLike[str]) -> Run:
    """Reads a run folder. Raises RunFolderError where `path` is none, or its summary is damaged."""
    from nnlab.record.summary import fault  # pydantic; here, as most of what writes runs needs none

    folder = Path(path)
    if folder.name == schema.SUMMARY:
        folder = folder.parent
    file = folder / schema.SUMMARY
    try:
        summary = read_json(file)
    except RunFolderError:
        if not os.path.isdir(folder):  # unlike Path.is_dir, it takes a name that is too long
            raise RunFolderError(f"{path}: no such folder; `nnlab runs list` shows the runs") from None
        if not os.path.isfile(file):
            raise RunFolderError(f"{path}: is not a run folder: it has no summary.json") from None
        raise
    problem = fault(summary)
    if problem is not None:
        raise RunFolderError(f"{file}: is not the summary of a run: {problem}")
    return Run(folder, summary | {"run_dir": str(folder)})
