"""The data of a run: kept in its folder when it starts, and compared when anything reads them again."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from nnlab.data import DataSet
from nnlab.data.changes import compare
from nnlab.data.fingerprint import Fingerprint
from nnlab.data.image_reader import ImageReader
from nnlab.data.preprocessing import Preprocessing
from nnlab.data.reader import Reader
from nnlab.data.table import TableReader
from nnlab.errors import DataError, InputError, RunFolderError
from nnlab.record import Group, Record, Run, open_run, schema

READERS: tuple[type[Reader], ...] = (ImageReader, TableReader)
"""The classes of readers, known by their kinds."""

Say = Callable[[str], None]
Kept = TypeVar("Kept", bound=BaseModel)


@dataclass
class RunData:
    """Keeps and compares the data of the run that a record writes.

    Attributes:
        record: of the run.
        group: of the seeds that it is one of; all of them have one data set.
    """

    record: Record
    group: Group | None = None
    _before: Fingerprint | None = field(default=None, init=False)

    def keep(self, fingerprint: Fingerprint, data: DataSet | None, say: Say) -> None:
        """Compares the data with those of the run's start, or of its group; keeps them where it is new.

        The notes about a data set go into the summary.

        Args:
            fingerprint: of what was read.
            data: the data set, where it is one.
            say: told where the data are found at another place, and what cannot be compared.

        Raises:
            DataError: the data are other ones.
            RunFolderError: data.json is damaged.
        """
        before, folder = self.before()
        if before is not None:
            refuse_changed(before, fingerprint, folder, say)
        elif self.record.resumed:
            say(
                f"{self.record.folder}: has no {schema.DATA}, like all runs of earlier versions: whether its "
                "data are those that it started with cannot be told"
            )
        if self._before is None and (before is None or not self.record.resumed):
            self.record.keep_data(content_of(fingerprint, data))
        if data is not None:
            self.record.note(data.notes, more=self._before is not None)  # a resume reads everything again
        self._before = fingerprint

    def before(self) -> tuple[Fingerprint | None, Path | None]:
        """The fingerprint of what was read before, in this process, by the run or its group; whose folder."""
        if self._before is not None:
            return self._before, self.record.folder if self.record.started else None
        folders = [self.record.folder] if self.record.resumed else []
        if self.group is not None and self.group.started:
            folders += sorted(file.parent for file in self.group.folder.glob(f"s*/{schema.DATA}"))
        for folder in folders:
            kept = fingerprint_of(open_run(folder).data(), folder)
            if kept is not None:
                return kept, folder
        return None, None

    def missing(self, error: InputError) -> InputError:
        """The error of data that cannot be read, with the place that they were read from at the start."""
        before, folder = self.before()
        if before is None or before.path is None or not self.record.resumed:
            return error
        return DataError(
            f"{error}; {folder} was started with the data in {before.path}, and a relative path is relative "
            "to the folder in which the command is run"
        )


def content_of(fingerprint: Fingerprint, data: DataSet | None) -> dict[str, Any]:
    """Returns what data.json holds."""
    preprocessing = None if data is None else Preprocessing.of(data)
    reader = None if data is None or data.reader is None else data.reader.as_dict()
    return {
        "fingerprint": fingerprint.model_dump(),
        "reader": reader,
        "preprocessing": None if preprocessing is None else preprocessing.model_dump(),
    }


def fingerprint_of(content: Mapping[str, Any] | None, folder: Path) -> Fingerprint | None:
    """The fingerprint in the content of data.json; None where a run has none. Raises RunFolderError."""
    return None if content is None else _read(Fingerprint, content, "fingerprint", folder)


def preprocessing_of(run: Run) -> Preprocessing | None:
    """The preprocessing in a run's data.json; None where a run has none. Raises RunFolderError."""
    content = run.data()
    if content is None or content.get("preprocessing") is None:
        return None
    return _read(Preprocessing, content, "preprocessing", run.folder)


def reader_of(run: Run) -> Reader | None:
    """The reader in a run's data.json; None where it has none. Raises RunFolderError."""
    content = (run.data() or {}).get("reader")
    if content is None:
        return None
    try:
        return next(cls for cls in READERS if cls.kind == content["kind"]).from_dict(content)
    except StopIteration:
        raise damaged(run.folder, f"reader.kind: {content['kind']} is unknown") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(run.folder, f"reader: {error!r}") from None


def _read(cls: type[Kept], content: Mapping[str, Any], key: str, folder: Path) -> Kept:
    try:
        return cls.model_validate(content.get(key))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, (key, *first["loc"])))
        raise damaged(folder, f"{place}: {first['msg']}") from None


def damaged(folder: Path, problem: str) -> RunFolderError:
    """The error of a data.json that does not hold what it must."""
    return RunFolderError(
        f"{folder / schema.DATA}: is damaged: {problem}. Once this file is removed, the run goes on without "
        "a comparison of its data"
    )


def refuse_changed(
    before: Fingerprint, now: Fingerprint, folder: Path | None, say: Say, remedy: str | None = None
) -> None:
    """Raises DataError where the data that are read now are not those of a run; tells of a move.

    Args:
        folder: of the run; None where it has not started.
        remedy: the end of the message, where it is not about going on with the run.
    """
    changes, notes = compare(before, now)
    if changes:
        listed = "".join(f"\n  {change}" for change in changes)
        if folder is None:
            raise DataError(f"the data changed while they were read:{listed}\nStart the run again")
        again = f"nnlab train --config {shlex.quote(str(folder / schema.CONFIG))}"
        remedy = remedy or (
            "Its test examples may have been training examples. Put the data back as they were, or start a "
            f"new run: {again}"
        )
        raise DataError(f"{folder}: its data changed since they were read first:{listed}\n{remedy}")
    for note in notes:
        say(note)
