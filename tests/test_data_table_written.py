"""Tables written at random in the ways of many programs: each is read back exactly, or refused as unclear."""

import io
import re
import tempfile
from pathlib import Path

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnlab.data import read_csv
from nnlab.errors import DataError

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "cp1252")

numbers = st.one_of(
    st.integers(-(10**6), 10**6).map(str),
    st.floats(-1e6, 1e6, allow_nan=False).map(lambda v: f"{v:.3f}"),
    st.floats(-1e6, 1e6, allow_nan=False).map(repr),
    st.floats(0, 1, allow_nan=False).map(lambda v: f"{v:.6g}"),
)
words = (
    st.text("abcäöß XYZ-_/'", min_size=1, max_size=6).filter(lambda s: s.strip() == s).map(lambda s: f"w{s}")
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[list[str]], list[str], bytes]:
    """Features and labels as texts, with decimal points, and the bytes of a file that holds them."""
    columns, rows = draw(st.integers(1, 4)), draw(st.integers(1, 8))
    features = [[draw(numbers) for _ in range(columns)] for _ in range(rows)]
    labels = [draw(words) for _ in range(rows)]
    separator = draw(st.sampled_from(",;\t|"))
    comma = draw(st.booleans())
    quoted = draw(st.booleans()) or (comma and separator == ",")
    file = io.StringIO()
    if draw(st.booleans()) and separator != "\t":
        file.write(f"sep={separator}\r\n")

    def write(cells: list[str]) -> None:
        end = separator * draw(st.integers(0, 2)) if separator != " " else ""
        file.write(separator.join(f'"{c}"' if quoted else c for c in cells) + end + "\r\n")

    def number(text: str) -> str:
        return text.replace(".", ",") if comma else text

    index = draw(st.booleans())
    write([*([""] if index else []), *(f"c{k}" for k in range(columns)), "y"])
    for k, (row, label) in enumerate(zip(features, labels, strict=True)):
        if draw(st.integers(0, 5)) == 0:
            file.write(draw(st.sampled_from(["\r\n", f"{separator * columns}\r\n", "  \r\n"])))
        write([*([str(k)] if index else []), *map(number, row), label])
    return features, labels, file.getvalue().encode(draw(st.sampled_from(ENCODINGS)))


@settings(max_examples=250, deadline=None)
@given(tables())
def test_what_was_written_is_read(table: tuple[list[list[str]], list[str], bytes]) -> None:
    features, labels, content = table
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        path.write_bytes(content)
        try:
            raw = read_csv(path, target="y", task="classification")
        except DataError as error:
            assert re.search(r"may be .* set data\.decimal|UTF-8", str(error)), error  # noqa: PT017
            return
    expected = torch.tensor([[float(cell) for cell in row] for row in features], dtype=torch.float64)
    assert torch.equal(raw.train.inputs, expected)
    assert [raw.class_names[k] for k in raw.train.targets] == labels
