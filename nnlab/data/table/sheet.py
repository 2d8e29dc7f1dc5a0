"""A table as text: its encoding, its separator, its header line, and its rows with their line numbers."""

import codecs
import csv
import difflib
import io
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nnlab.data.table.cells import is_number
from nnlab.errors import DataError, suggest

Separator = Literal["comma", "semicolon", "tab", "pipe", "space"]

SEPARATORS: dict[Separator, str] = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "space": " "}
"""The separators by the names that the key `separator` has for them."""

_GUESSED = (",", ";", "\t", "|")  # a blank is never taken for a separator unasked

_TRIED = 100  # rows that a guess of the separator looks at

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins like UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_OTHER_FILES = (
    (b"PK\x03\x04", "an Excel workbook or a zip archive; save the sheet as CSV UTF-8"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook; save the sheet as CSV UTF-8"),
    (b"\x1f\x8b", "compressed with gzip; unpack it"),
    (b"PAR1", "a Parquet file; write it as CSV"),
    (b"SQLite format 3", "a database; export the table as CSV"),
    (b"version https://git-lfs", "a pointer of Git LFS and not the table; fetch it with `git lfs pull`"),
    (b"<!DOCTYPE", "a page of HTML and not the table; download the file itself"),
    (b"<html", "a page of HTML and not the table; download the file itself"),
)


@dataclass(frozen=True, eq=False)
class Sheet:
    """A table whose header line has been understood.

    Attributes:
        path: absolute.
        names: of the columns, with single blanks inside; a column may have an empty one.
        delimiter: between two cells.
        header: the number of the header line.
        format: what is unusual about the file, in words.
        text: of the file, in UTF-8.
    """

    path: Path
    names: list[str]
    delimiter: str
    header: int
    format: tuple[str, ...]
    text: bytes

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Returns the line number and the cells of every row that is not empty, as many as there are names.

        Raises:
            DataError: naming a row that has too few or too many cells, or is no row.
        """
        width = len(self.names)
        for line, row in _records(self.path, self.text, self.delimiter):
            if line <= self.header or not any(row):
                continue
            if len(row) != width and (len(row) < width or any(row[width:])):
                raise DataError(self._misfit(line, row))
            if row[0] == self.names[0] and row[:width] == self.names:
                raise DataError(f"{self.path}, line {line}: it repeats the header line; remove it")
            yield line, row[:width]

    def _misfit(self, line: int, row: list[str]) -> str:
        width = len(self.names)
        hint = "every row needs as many cells as the header"
        others = [d for d in _GUESSED if d != self.delimiter and self._cells(line, d) == width]
        if others:
            hint = f"it has {width} where {_word(others[0])} separates them: use one separator everywhere"
        elif self.delimiter == "," and len(row) > width:
            hint = (
                "a cell that holds a comma, such as a decimal comma, must stand in quotes, or semicolons "
                "must separate the cells"
            )
        if not others and len(row) == width + 1:
            hint += "; or the header lacks a name, as it does for the row names of R"
        cells = f"{len(row)} cell{'s' * (len(row) != 1)}"
        return f"{self.path}, line {line}: {cells}, but the header names {width} columns; {hint}"

    def _cells(self, line: int, delimiter: str) -> int:
        records = _records(self.path, self.text, delimiter)
        try:
            return next((len(row) for at, row in records if at >= line), 0)
        except DataError:
            return 0


def open_sheet(
    path: Path,
    wanted: Sequence[str],
    *,
    separator: Separator | None = None,
    encoding: str | None = None,
    key: str | None = None,
) -> Sheet:
    """Reads the file and finds out how it is written.

    What separates the cells is told by the key, or a first line `sep=;`, or by the header line: no two
    separators can both set a name apart.

    Args:
        wanted: names of columns, of which the header holds at least the first.
        separator: a key of SEPARATORS; None to find out.
        encoding: a codec's name; None to find out.
        key: the key of the config that names the file, if one does.

    Raises:
        DataError: naming file, place and remedy where this is no table or could be two different ones.
    """
    path = Path(os.path.abspath(path))
    raw = _read(path, "" if key is None else f"{key}: ")
    text, remarks = _decoded(path, raw, encoding)
    skipped, named = _separator_line(path, text)
    delimiter = named if separator is None else SEPARATORS[separator]
    if delimiter is None:
        delimiter = _guess(path, text, wanted, skipped)
    line, header = _header(path, text, delimiter, skipped)
    _check_header(path, line, header)
    if delimiter != ",":
        remarks = (f"cells separated by {_word(delimiter)}", *remarks)
    return Sheet(path, header, delimiter, line, remarks, text)


def missing_column(sheet: Sheet, key: str, name: str) -> DataError:
    """Returns the error for a column that the header does not name, with the likeliest reason."""
    path, names = sheet.path, sheet.names
    problem = f"{key}: {name} is no column of {path}; {_nearest(name, [n for n in names if n])}"
    below = _line_that_holds(sheet, name)
    if below is not None:
        return DataError(
            f"{problem}. Line {below} names it: remove what stands above that line, which must come first"
        )
    if sum(is_number(n) for n in names) > len(names) / 2:
        return DataError(
            f"{problem}. Line {sheet.header} looks like data: the first line must name the columns"
        )
    if len(names) == 1:
        blanks = "; where blanks separate the cells, set data.separator: space" if " " in names[0] else ""
        return DataError(
            f"{problem} (the columns must be separated by commas, semicolons, tabs or |{blanks})"
        )
    return DataError(problem)


def _nearest(name: str, names: Sequence[str], most: int = 20) -> str:
    """The end of a message: the names, or of many the nearest ones."""
    if len(names) <= most:
        return suggest(name, names)
    near = difflib.get_close_matches(name, names, n=5, cutoff=0.5) or list(names[:5])
    return f"{suggest(name, near)}, … ({len(names):,} columns)"


def _line_that_holds(sheet: Sheet, name: str) -> int | None:
    for delimiter in _GUESSED:
        try:
            for count, (line, row) in enumerate(_records(sheet.path, sheet.text, delimiter)):
                if count > _TRIED:
                    break
                if line > sheet.header and len(row) > 1 and name in row:
                    return line
        except DataError:
            continue
    return None


# --- bytes ------------------------------------------------------------------------------------------


def _read(path: Path, begin: str) -> bytes:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{begin}{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{begin}{path}: cannot be read: {error.strerror}") from None
    for first, what in _OTHER_FILES:
        if raw[: len(first)].lower() == first.lower():
            raise DataError(f"{path}: this is {what}")
    return raw


def _decoded(path: Path, raw: bytes, key: str | None) -> tuple[bytes, tuple[str, ...]]:
    """The text in UTF-8, and a remark where the file is written otherwise."""
    codec = _encoding(path, raw) if key is None else key
    remarks: tuple[str, ...] = ()
    try:
        text = raw.decode(codec)
        plain = text.removeprefix("\ufeff").encode()
    except UnicodeError as error:
        place = _byte_place(raw, getattr(error, "start", None))
        if key is not None:
            reason = getattr(error, "reason", error)
            raise DataError(f"data.encoding: {path} cannot be read as {key}: {reason}{place}") from None
        if codec != "utf-8":
            raise DataError(f"{path}: this is no text in {codec.upper()}{place}; save it as UTF-8") from None
        text, remarks = _western(path, raw, place)
        plain = text.encode()
    else:
        if key is None and not codec.startswith("utf-8"):
            remarks = (f"text in {codec.upper()}",)
    if b"\0" in plain:
        raise DataError(f"{path}: it holds zeros between the letters, as no table does; save it as UTF-8")
    return plain, remarks


def _encoding(path: Path, raw: bytes) -> str:
    """The codec that the first bytes or the zeros among the bytes tell, else UTF-8."""
    codec = next((codec for mark, codec in _MARKS if raw.startswith(mark)), None)
    if codec is None and b"\0" in raw:
        codec = _unmarked_utf16(path, raw)
    return codec or "utf-8"


def _unmarked_utf16(path: Path, raw: bytes) -> str:
    for first, codec in ((0, "utf-16-be"), (1, "utf-16-le")):
        if len(raw) % 2 == 0 and raw[first::2].count(0) > 0.9 * len(raw) / 2:
            return codec
    raise DataError(f"{path}: it holds bytes that are zero, as no table does; save it as CSV in UTF-8")


def _western(path: Path, raw: bytes, place: str) -> tuple[str, tuple[str, ...]]:
    """The text in Windows-1252, which extends Latin-1, where it can be nothing else that is likely."""
    remedy = "save it as UTF-8, or name its encoding by data.encoding, such as cp1252 or cp1251"
    if re.search(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}", raw):
        raise DataError(f"{path}: this is UTF-8 with a damaged letter{place}; {remedy}")
    try:
        text = raw.decode("cp1252")
    except UnicodeDecodeError:
        raise DataError(f"{path}: this is no text in UTF-8{place}; {remedy}") from None
    if re.search(rb"[\x80-\xff]{3}", raw):
        raise DataError(f"{path}: this is no text in UTF-8, nor in a Western alphabet{place}; {remedy}")
    words = list(dict.fromkeys(w for w in re.split(r"[^\w°²³µ€%]+", text) if not w.isascii()))[:3]
    return text, (f"text in Windows-1252 and not UTF-8 ({', '.join(words)}); data.encoding decides",)


def _byte_place(raw: bytes, start: int | None) -> str:
    if start is None:
        return ""
    newline = b"\n" if b"\n" in raw else b"\r"
    begin = raw.rfind(newline, 0, start) + 1
    end = raw.find(newline, start)
    line = raw[begin : end if end >= 0 else len(raw)].decode("latin-1").strip("\r")
    at = start - begin
    word = re.split(r"[,;\t|]", line[:at])[-1] + re.split(r"[,;\t|]", line[at:])[0]
    return f" in line {raw.count(newline, 0, start) + 1}, character {at + 1} ({word[:40]!r})"


# --- lines ------------------------------------------------------------------------------------------


def _records(path: Path, text: bytes, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The line at which each record begins, and its cells without blanks around them."""
    lines = io.TextIOWrapper(io.BytesIO(text), encoding="utf-8", newline="")
    reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=delimiter != "\t")
    while True:
        begin = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise DataError(
                f"{path}, line {reader.line_num}: this is not a valid csv row: {error}; a quote that opens "
                f"must be closed, and the row begins in line {begin}"
            ) from None
        if row is None:
            return
        yield begin, [cell.strip() for cell in row]


def _separator_line(path: Path, text: bytes) -> tuple[int, str | None]:
    """The number of lines that Excel's `sep=` takes, 0 or 1, and the separator that it names."""
    with io.TextIOWrapper(io.BytesIO(text), encoding="utf-8", newline="") as lines:
        first = lines.readline()
    match = re.fullmatch(r'\s*"?sep=(.)"?[\s;,]*', first, re.IGNORECASE)
    if match is None:
        return 0, None
    if match[1] not in SEPARATORS.values():
        raise DataError(
            f"{path}, line 1: {first.strip()} names a separator that is none of , ; | tab and blank; "
            "write the table with one of these"
        )
    return 1, match[1]


def _header(path: Path, text: bytes, delimiter: str, skipped: int) -> tuple[int, list[str]]:
    """Line number and names; empty names at the end, as spreadsheets leave them, are no columns."""
    for line, row in _records(path, text, delimiter):
        if line > skipped and any(row):
            while not row[-1]:
                row.pop()
            return line, [" ".join(name.split()) for name in row]
    raise DataError(f"{path}: the file is empty; its first line must name the columns")


def _guess(path: Path, text: bytes, wanted: Sequence[str], skipped: int) -> str:
    headers = {}
    problem: DataError | None = None
    for delimiter in _GUESSED:
        try:
            headers[delimiter] = _header(path, text, delimiter, skipped)[1]
        except DataError as error:
            problem = problem or error
    if not headers:
        assert problem is not None
        raise problem

    def rank(delimiter: str) -> tuple[int, bool, int]:
        names = headers[delimiter]
        present = sum(name in names for name in wanted) if len(names) > 1 else 0
        return present, _fits(path, text, delimiter, skipped, len(names)), len(names)

    best = max(headers, key=rank)
    return best if len(headers[best]) > 1 else ","


def _fits(path: Path, text: bytes, delimiter: str, skipped: int, width: int) -> bool:
    """True where the first rows have as many cells as the header."""
    try:
        for count, (line, row) in enumerate(_records(path, text, delimiter)):
            if count > _TRIED:
                break
            if line > skipped and any(row) and (len(row) < width or any(row[width:])):
                return False
    except DataError:
        return False
    return True


def _check_header(path: Path, line: int, names: list[str]) -> None:
    place = f"{path}, line {line}"
    if all(is_number(name) for name in names):
        raise DataError(f"{place}: it must name the columns, but holds only numbers: {', '.join(names[:5])}")
    for k, name in enumerate(names):
        if name and name in names[:k]:
            raise DataError(
                f"{place}: two columns are named {name} ({names.index(name) + 1} and {k + 1}); "
                "names must differ"
            )


def _word(delimiter: str) -> str:
    return {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a |", " ": "blanks"}[delimiter]
