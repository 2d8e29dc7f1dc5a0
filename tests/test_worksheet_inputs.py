"""Values for the variables of a worksheet: as they are typed, from YAML, from NPZ, and what is refused."""

import contextlib
import os
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnlab.chapters.backpropagation.stored_values import MAX_ENTRIES
from nnlab.chapters.backpropagation.values import graph_at, read_values, typed_values
from nnlab.errors import InputError
from nnlab.expressions import ExpressionError

LONG = "a" * 5000


def refusal(*given_: str | Path) -> str:
    with pytest.raises(InputError) as caught:
        read_values([str(part) for part in given_])
    return str(caught.value)


# --- typed ---


def test_values_are_read_from_text_yaml_and_npz(tmp_path: Path) -> None:
    yaml_file, npz = tmp_path / "values.yaml", tmp_path / "more.npz"
    yaml_file.write_text("x: [1, 2.5, 1e-3]\nW: [[1, 2], [3, 4]]\n")
    np.savez(npz, s=np.float32(2.0), n=np.array([1, 2]))
    result = read_values(["a=-2,b=1/3,c=[1,-2],M=[[1,2],[3,4]]", str(yaml_file), str(npz)])
    assert float(result["b"]) == 1 / 3
    assert result["c"].tolist() == [1.0, -2.0]
    assert result["M"].shape == result["W"].shape == (2, 2)
    assert result["x"].tolist() == [1.0, 2.5, 1e-3]
    assert float(result["s"]) == 2.0
    assert result["n"].dtype == np.float64


@settings(max_examples=200)
@given(
    st.dictionaries(
        st.from_regex("[A-Za-z][A-Za-z0-9_]{0,3}", fullmatch=True),
        st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)
        | st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=3),
        min_size=1, max_size=4,
    ),
    st.sampled_from(["", " ", "  "]),
)  # fmt: skip
def test_what_python_writes_is_read_back_to_the_last_bit(
    values: dict[str, float | list[float]], space: str
) -> None:
    text = f"{space},{space}".join(f"{name}{space}={space}{value!r}" for name, value in values.items())
    assert typed_values(text) == list(values.items())


@pytest.mark.parametrize(
    ("text", "words", "position"),
    [
        ("x=", "a value is missing here", 2),
        ("x=[]", "a value is missing here", 3),
        ("x=[1,]", "a value is missing here", 5),
        ("x=[1,,2]", "a value is missing here", 5),
        ("x=,y=1", "a value is missing here", 2),
        ("x=1,", "a name, = and a value are expected here", 4),
        ("x=1,5", "a decimal number has a point: 1.5", 4),
        ("x=1,y", "a name, = and a value are expected here", 4),
        ("x=1,,y=2", "a name, = and a value are expected here", 4),
        (",x=1", "a name, = and a value are expected here", 0),
        ("x==1", "this = stands inside a value", 2),
        ("x=1 y=2", "this = stands inside a value: separate variables by commas, such as x=1,y=2", 5),
        ("x=[1,y=2]", "this = stands inside a value", 6),
        ("x=[1,2)", ") stands where a comma or ] is expected", 6),
        ("x=[1,2", "the end stands where a comma or ] is expected", 6),
        ("x=[[1,2],[3,4]", "the end stands where a comma or ] is expected", 14),
        ("x=1]", "] stands where a comma or the end is expected", 3),
        ("x=1)", ") stands where a comma or the end is expected", 3),
        ("x=[1]2", "2 stands where a comma or the end is expected", 5),
        ("x=[[[1]]]", "a matrix is the list of its rows", 4),
        ("x=(1,2)", "a comma may only separate the arguments of a function", 4),
        ("x=2*[1,2]", "ends where a number, a name or ( is expected (a value is such as", 4),
        ("x=[1 2]", "an operator is missing before '2'", 5),
        ("x=[1;2]", "';' cannot be in an expression: write ,", 4),
        ("x={1}", "'{' cannot be in an expression", 2),
        ("x=1/0", "division by zero: 1 / 0", 2),
        ("y=1,x=[1,3/(1-1)]", "division by zero: 3 / 0", 9),
        ("x=log(-1)", "log has no value at -1", 2),
        ("x=exp(1000)", "overflow: exp at 1000", 2),
        ("x=nan", "nan is not a finite number", 2),
        ("x=+-inf", "+-inf is not a finite number", 2),
        ("x=[1,-Infinity]", "-Infinity is not a finite number", 5),
        ("x=1e400", "1e400 is too large for float64", 2),
        ("x=foo", "unknown name foo", 2),
        ("x=True", "unknown name True", 2),
        ("x=2ⁿ", "'ⁿ' (U+207F) cannot be in an expression: write ^n", 3),
        ("x=1_000", "'_' cannot be in an expression", 3),
        ("1x=2", "'1x' cannot be the name of a variable", 0),
        ("y=1, __class__=2", "'__class__' cannot be the name of a variable", 4),
        ("х=1", "'х' (U+0445) cannot be the name of a variable", 0),
        ("x y=2", "'x y' cannot be the name of a variable", 0),
        ("=2", "'' cannot be the name of a variable", 0),
    ],
)  # fmt: skip
def test_a_mistyped_value_is_pointed_at(text: str, words: str, position: int) -> None:
    with pytest.raises(ExpressionError) as caught:
        typed_values(text)
    assert words in caught.value.reason
    assert (caught.value.text, caught.value.position) == (text, position)
    assert refusal(text) == f"--at: {caught.value}"


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        (["x"], "--at x: must be such as x=-2,y=5, or a .yaml or .npz file"),
        ([""], "--at '': must be such as"),
        ([LONG], "aaa...: must be such as"),
        (["x=1,x=2"], "gives x twice"),
        (["x=1", "x=2"], "gives x twice"),
        (["x=[1,[2]]"], "--at x: must be a number, a list of numbers, or a list of rows of equal length"),
        (["x=[[1,2],[3]]"], "--at x: must be a number, a list of numbers, or a list of rows of equal length"),
        (["missing.yaml"], "--at missing.yaml: cannot be read: there is no such file"),
        (["W=missing.npz"], "--at W=missing.npz: cannot be read: there is no such file"),
        ([LONG + ".npz"], "aaa...: cannot be read: there is no such file"),
    ],
)
def test_values_that_do_not_fit_are_refused(given_: list[str], words: str) -> None:
    assert words in refusal(*given_)


@settings(max_examples=300)
@given(st.text(alphabet="xyeE=,[]()+-*/ 0129.:;infa^<{}\"'_х−", max_size=20))
def test_reading_raises_nothing_but_input_errors(text: str) -> None:
    with contextlib.suppress(InputError):
        result = read_values([text])
        assert result
        assert all(np.all(np.isfinite(value)) and value.ndim <= 2 for value in result.values())


# --- YAML ---


@pytest.mark.parametrize(
    ("content", "value"),
    [
        ("x: 1e5\n", 1e5),
        ("x: 1E-3\n", 1e-3),
        ("x: 1/3\n", 1 / 3),
        ("x: 010\n", 10.0),
        ("x: '2'\n", 2.0),
        ("x: !!float 3\n", 3.0),
        ("x: &a [1, 2]\n", [1.0, 2.0]),
        ("\ufeffx: [[1,\r\n  2]]\r\n", [[1.0, 2.0]]),
    ],
)
def test_numbers_in_yaml_are_what_they_look_like(tmp_path: Path, content: str, value: object) -> None:
    path = tmp_path / "a.YAML"
    path.write_bytes(content.encode())
    assert read_values([str(path)])["x"].tolist() == value


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "must hold names with their values"),
        ("- 1\n- 2\n", "must hold names with their values"),
        ("x: 1\nx: 2\n", "line 2: this is not valid YAML: the key x stands twice"),
        ("x: 1:30\n", "x: ':' cannot be in an expression"),
        ("x: on\n", "x: unknown name on"),
        ("x: yes\n", "x: unknown name yes"),
        ("x: [1, a]\n", "x: unknown name a"),
        ("x: 1,5\n", "x: a decimal number has a point: write 1.5"),
        ("x: 1/0\n", "x: division by zero: 1 / 0"),
        ("x: [1, .nan]\n", "x: .nan is not a finite number"),
        ("x: -.inf\n", "x: -.inf is not a finite number"),
        ("x:\n", "x: a value is such as -2, 1/3, [1,2] or [[1,2],[3,4]], not ''"),
        ("x: []\n", "[[1,2],[3,4]], not []"),
        ("x: {y: 1}\n", "not {'y': '1'}"),
        ("x: [[1, 2], [3]]\n", "rows of equal length"),
        ("x: [[[1]]]\n", "rows of equal length"),
        ("x: !!binary aGVsbG8=\n", "not b'hello'"),
        ("x: !!python/object/apply:os.getcwd []\n", "line 1: this is not valid YAML"),
        ("x: !!int ''\n", "this is not valid YAML"),
        ("x: [1, 2\n", "this is not valid YAML"),
        ("x: 1\n---\nx: 2\n", "this is not valid YAML"),
        ("\x00\x01", "this is not valid YAML"),
        ("x: &a [1, *a]\n", "*a stands inside &a"),
        ("x: " + "[" * 2000 + "]" * 2000, "nested deeper than 50 levels"),
        (
            "\n".join(["v: &a0 [1]", *(f"v{i}: &a{i} [{f'*a{i - 1}, ' * 9}1]" for i in range(1, 13))]),
            "more than 100,000 values",
        ),
        ("1: 2\n", "'1' cannot be the name of a variable"),
        ("х: 2\n", "'х' cannot be the name of a variable"),
        ("a b: 2\n", "'a b' cannot be the name of a variable"),
    ],
    ids=lambda v: v[:25],
)  # fmt: skip
def test_yaml_without_numbers_is_refused(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(content)
    message = refusal(path)
    assert message.startswith(f"--at {path}"[:70])
    assert words in message


def test_what_is_no_text_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "folder.npz").mkdir()
    for name in ("pipe.yaml", "folder.npz"):
        assert "cannot be read: is no regular file" in refusal(tmp_path / name)
    (tmp_path / "binary.yaml").write_bytes(bytes(range(256)))
    (tmp_path / "wide.yaml").write_bytes("x: 1\n".encode("utf-16"))
    for name in ("binary.yaml", "wide.yaml"):
        assert "cannot be read: 'utf-8' codec" in refusal(tmp_path / name)


# --- NPZ ---


def member(header: str, body: bytes = b"", version: int = 1) -> bytes:
    """An array as numpy stores it, with a header of one's own."""
    text = header.encode() + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + body


def header(shape: str) -> str:
    return f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}"


def write_zip(path: Path, content: bytes, name: str = "x.npy", method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.array([{"a": 1}], dtype=object), "x holds object"),
        (np.array([1j]), "x holds complex128"),
        (np.array([True]), "x holds bool"),
        (np.array(["a"]), "x holds <U1"),
        (np.array(["2020"], dtype="M8[D]"), "x holds datetime64[D]"),
        (np.zeros(2, dtype=[("a", "f8")]), "x holds [('a', '<f8')]"),
        (np.array([[1.0, 2.0], [3.0, np.nan]]), "x[1][1] is nan, which is not a finite number"),
        (np.array(-np.inf), "x is -inf, which is not a finite number"),
        (np.zeros(0), "x has the shape (0,)"),
        (np.zeros((0, 3)), "x has the shape (0, 3)"),
        (np.zeros((1, 1, 1)), "x has the shape (1, 1, 1)"),
        (np.zeros(MAX_ENTRIES + 1, np.int8), "x has the shape (1000001,)"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_arrays_that_are_no_numbers_are_refused(tmp_path: Path, value: np.ndarray, words: str) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=value)
    assert words in refusal(tmp_path / "a.npz")


def test_arrays_of_any_real_type_are_read(tmp_path: Path) -> None:
    values: dict[str, Any] = {
        "a": np.uint8(200), "b": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "c": np.array([1, -2], ">i8"),
        "d": np.float16(0.5), "e": np.longdouble(3), "f": np.zeros(MAX_ENTRIES),
    }  # fmt: skip
    np.savez(tmp_path / "a.npz", **values)
    result = read_values([str(tmp_path / "a.npz")])
    assert list(result) == list(values)
    assert all(np.array_equal(result[name], values[name]) for name in values)
    assert {value.dtype for value in result.values()} == {np.dtype(np.float64)}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (member(header("(1000000000000,)")), "x has the shape (1000000000000,)"),  # 8 TB that are not there
        (member(header("(-2, -3)")), "x has the shape (-2, -3)"),
        (member(header("(10**12,)")), "is damaged, or not an NPZ file of numbers"),
        (member(header("(10,)"), b"123"), "is damaged"),
        (member(header("(1,)"), b"12345678", version=9), "is damaged"),
        (member(header("(1,)") + " " * 10**7, b"12345678", version=2), "is damaged"),
        (b"hello", "is damaged"),
        (bytes(300 * 2**20), "holds 300 MiB unpacked; at most 256 are read"),
    ],
    ids=["large", "negative", "computed", "short", "version", "header", "text", "bomb"],
)
def test_an_array_is_not_believed(tmp_path: Path, content: bytes, words: str) -> None:
    assert words in refusal(write_zip(tmp_path / "a.npz", content))


def test_damaged_archives_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    whole = write_zip(path, member(header("()"), b"\0" * 8), method=zipfile.ZIP_STORED).read_bytes()
    assert float(read_values([str(path)])["x"]) == 0
    directory = whole.index(b"PK\x01\x02")
    changed = {
        "nothing": b"",
        "text": b"no zip",
        "cut": whole[:-30],
        "checksum": whole[: directory - 1] + b"\1" + whole[directory:],
        "encrypted": whole[:6] + b"\1" + whole[7 : directory + 8] + b"\1" + whole[directory + 9 :],
        "method": whole[:8] + b"\x63" + whole[9 : directory + 10] + b"\x63" + whole[directory + 11 :],
    }
    for how, content in changed.items():
        path.write_bytes(content)
        assert "is damaged, or not an NPZ file of numbers: " in refusal(path), how
    write_zip(path, member(header("()"), b"\0" * 8), name="a b.npy")
    assert "'a b' cannot be the name of a variable" in refusal(path)


# --- an expression and its variables ---


def test_names_are_held_against_values() -> None:
    assert graph_at("x*y + pi + sum(x)", ["x", "y"]).variables == ("x", "y")
    with pytest.raises(ExpressionError, match=r"x1 has no value \(did you mean x0\?\)"):
        graph_at("x0*x1", ["x0"])
    with pytest.raises(InputError, match="gives z, which the expression does not have; its variables: x"):
        graph_at("x", ["x", "z"])
    assert "constant" not in [node.operation for node in graph_at("e + x", ["e", "x"]).nodes]


@pytest.mark.parametrize(
    ("text", "names", "reason", "position"),
    [
        ("(", ["x"], "the expression ends where", 1),
        ("(x", ["x", "y"], "this ( is never closed", 0),
        ("x(2)", ["x"], "an operator is missing before '(': write x*(…)", 1),
        ("x(2)", ["y"], "unknown function x", 0),
        ("x y", ["x"], "an operator is missing before 'y': write x*y", 2),
        ("2x", ["y"], "an operator is missing before 'x': write 2*x", 1),
        ("x + sum", ["x"], "sum is a function: write sum(…)", 4),
        ("x[0]", ["x"], "'[' cannot be in an expression: a vector or matrix is a variable", 1),
        ("x + yy", ["x", "y"], "yy has no value (did you mean y?)", 4),
    ],
)
def test_what_cannot_be_read_is_told_before_what_has_no_value(
    text: str, names: list[str], reason: str, position: int
) -> None:
    with pytest.raises(ExpressionError) as caught:
        graph_at(text, names)
    assert caught.value.reason.startswith(reason)
    assert caught.value.position == position
