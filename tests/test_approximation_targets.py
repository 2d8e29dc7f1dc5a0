"""Targets: names, expressions, and tables of points with straight lines between them."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nnlab.approximation.bins import build_bins
from nnlab.approximation.certificate import certify
from nnlab.approximation.targets import NAMED, PointsTarget, make_target, read_points
from nnlab.errors import InputError
from nnlab.expressions import DomainError, ExpressionError

Array = NDArray[np.float64]

CLOSED_FORMS: dict[str, Any] = {
    "lecture": lambda x: 0.5 + np.sin(2 * np.pi * x) / 4 + np.sin(7 * np.pi * x + 1) / 10,
    "line": lambda x: x,
    "sine": lambda x: np.sin(2 * np.pi * x),
    "tent": lambda x: np.interp(x, [0, 0.5, 1], [0, 1, 0]),
    "runge": lambda x: 1 / (1 + (10 * x - 5) ** 2),
    "parabola": lambda x: 1 - (2 * x - 1) ** 2,
    "bump": lambda x: np.exp(-((x - 0.5) ** 2) * 50),
    "weierstrass": lambda x: np.sum([2.0**-k * np.cos(3.0**k * np.pi * x) for k in range(8)], axis=0),
    "step": lambda x: np.heaviside(x - 0.5, 1.0),
    "root": lambda x: x**0.5,
}
PLANES: dict[str, Any] = {
    "hill": lambda x, y: np.sin(np.pi * x) * np.sin(np.pi * y),
    "ripples": lambda x, y: np.cos(np.pi * (x + y * y)) ** 2,
}


def column(*x: float) -> Array:
    return np.array(x, np.float64)[:, None]


# --- names and expressions ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMED)
def test_named_targets(name: str) -> None:
    rng = np.random.default_rng(0)
    target = make_target(name)
    x = rng.uniform(0, 1, (200, target.dimension))
    expected = CLOSED_FORMS[name](x[:, 0]) if name in CLOSED_FORMS else PLANES[name](*x.T)
    assert target.dimension == (1 if name in CLOSED_FORMS else 2)
    assert target.text == name
    assert np.abs(target.values(x) - expected).max() < 1e-12


@pytest.mark.parametrize(
    ("text", "dimension", "expected"),
    [
        ("x", None, 1), ("x1", None, 1), ("x1", 1, 1), ("x2", None, 2), ("x1*x4", None, 4), ("x1", 3, 3),
        ("3", None, 1), ("3", 2, 2), (" sine ", None, 1), ("hill", 2, 2), ("hill", 3, 3),
        ("max(x1, x3)", 3, 3),
    ],
)  # fmt: skip
def test_dimension(text: str, dimension: int | None, expected: int) -> None:
    """The highest index that occurs, or what is asked for if it is not less."""
    target = make_target(text, dimension)
    assert target.dimension == expected
    lo, hi = np.full((5, expected), 0.25), np.full((5, expected), 0.75)
    value, partials = target.slopes(lo, hi)
    assert target.values(lo).shape == value.lo.shape == value.hi.shape == (5,)
    assert [p.lo.shape for p in partials] == [(5,)] * expected
    assert np.all(value.holds(target.values(lo)))
    assert np.all(target.enclose(lo, hi).holds(target.values(hi)))
    assert target.knots(0.0, 1.0).shape == (0,)


def test_x_and_x1_are_the_same_on_the_line() -> None:
    points = column(*np.linspace(-1, 1, 9))
    assert np.array_equal(make_target("x^2 - x").values(points), make_target("x1^2 - x1").values(points))


@pytest.mark.parametrize(
    ("text", "dimension", "message"),
    [
        ("x2", 1, "has the variable x2, but the dimension is 1"),
        ("hill", 1, "has the variable x2, but the dimension is 1"),
        ("x", 2, "unknown name x"),
        ("x1 + x", None, "unknown name x"),
        ("x5", None, "unknown name x5"),
        ("x0", None, "unknown name x0"),
        ("y", None, "unknown name y"),
        ("sine + 1", None, "names a whole expression"),
        ("", None, "empty|missing|expected"),
        ("sin(", None, "ends|missing|expected"),
    ],
)
def test_expressions_that_are_refused(text: str, dimension: int | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_target(text, dimension)


def test_an_expression_error_points_at_the_character() -> None:
    with pytest.raises(ExpressionError) as error:
        make_target("sin(x) + foo")
    assert error.value.position == 9


def test_values_outside_the_domain_are_not_numbers() -> None:
    """Whoever builds on a target refuses them by name; here nothing warns."""
    assert np.isnan(make_target("log(x)").values(column(-1.0))).all()
    assert np.isinf(make_target("1/x").values(column(0.0))).all()
    assert issubclass(DomainError, InputError)


# --- files of points ------------------------------------------------------------------------------------


def written(folder: Path, content: str | bytes, name: str = "points.csv") -> str:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


READABLE: dict[str, str | bytes] = {
    "header": "x,y\n0,0\n1,2\n",
    "no header": "0,0\n1,2\n",
    "byte order mark and header": "\ufeffx,y\n0,0\n1,2\n",
    "byte order mark": "\ufeff0,0\n1,2\n",
    "empty lines": "\n\n0,0\n\n1,2\n\n",
    "unsorted": "1,2\n0,0\n",
    "Windows": "x,y\r\n0,0\r\n1,2\r\n",
    "no last newline": "0,0\n1,2",
    "quotes": '"x","y"\n"0","0"\n"1","2"\n',
    "spaces": " 0 , 0 \n 1 , 2.0e0 \n",
    "y first": "y,x\n0,0\n2,1\n",
    "Y first, quoted, with semicolons": '"Y";"X"\n0;0\n2;1\n',
    "y first, and x called otherwise": "y,time\n0,0\n2,1\n",
    "x second, and y called otherwise": "voltage\tx\n0\t0\n2\t1\n",
    "x first, and y called otherwise": "x,f(x)\n0,0\n1,2\n",
    "names that say nothing": "time,voltage\n0,0\n1,2\n",
    "others beside x and y": "id,y,note,x\n7,0,a,0\n8,2,,1\n",
    "semicolons": "x;y\n0;0\n1;2\n",
    "semicolons without a header": "0;0\n1;2\n",
    "semicolons and decimal commas": "x;y\n0,0;0\n1,0;2,00\n",
    "decimal points and semicolons": "x;y\n0.0;0\n1.0;2.00\n",
    "tabs": "x\ty\n0\t0\n1\t2\n",
    "tabs and decimal commas": "0,0\t0,0\n1,0\t2,0\n",
    "blanks": "0 0\n 1   2.0\n",
    "blanks below a comment": "# x y\n0 0\n1 2\n",
    "blanks and decimal commas": "0,0 0,0\n1,0 2,0\n",
    "Excel's first line": "sep=;\nx;y\n0;0\n1;2\n",
    "empty rows at the end": "x;y\n0;0\n1;2\n;\n ; \n",
    "a true minus sign": "x,y\n0,−0\n1,2\n",
    "UTF-16": "\ufeffx\ty\r\n0\t0\r\n1\t2\r\n".encode("utf-16-le"),
}


@pytest.mark.parametrize("content", READABLE.values(), ids=READABLE)
def test_files_of_points(content: str | bytes, tmp_path: Path) -> None:
    path = written(tmp_path, content)
    target = make_target(path)
    assert isinstance(target, PointsTarget)
    assert (target.text, target.dimension) == (path, 1)
    assert (target.x.tolist(), target.y.tolist()) == ([0.0, 1.0], [0.0, 2.0])
    assert target.values(column(0.0, 0.25, 1.0)).tolist() == [0.0, 0.5, 2.0]


DAMAGED = {
    "duplicate": ("0,0\n1,1\n0,5\n", "x = 0 stands twice"),
    "nan": ("0,0\n1,nan\n", "line 2: 1,nan"),
    "nan x": ("0,0\nnan,1\n", "line 2"),
    "infinite": ("0,0\n1,inf\n", "line 2: 1,inf"),
    "too large": ("0,0\n1,1e999\n", "line 2"),
    "nan in front": ("nan,nan\n0,0\n1,1\n", "line 1"),
    "one point": ("x,y\n0,0\n", "has 1 points"),
    "no point": ("x,y\n", "has 0 points"),
    "empty": ("", "has 0 points"),
    "three columns": ("0,0,0\n1,1,1\n", "line 1: 0,0,0"),
    "one column": ("x\n0\n1\n", "line 2: 0"),
    "trailing comma": ("0,0,\n1,1,\n", "line 1"),
    "commas twice": ("0,0,1,5\n1,0,2,5\n", "line 1: four numbers, or two with decimal commas?"),
    "commas twice below a header": ("x,y\n0,5,1,5\n1,5,2,5\n", "line 2: four numbers"),
    "thousands": ("x;y\n1,000;2,500\n2,000;3,500\n", "line 2: 1,000 may be 1.000 or 1000"),
    "a word in a named column": ("y,x\n0,0\nabc,1\n", "line 3: abc,1: abc in column 1 is no finite number"),
    "an empty cell": ("y,x\n0,0\n1,\n", "line 3: 1,: an empty cell in column 2 is no finite number"),
    "x twice": ("x,x,y\n0,0,0\n1,1,1\n", "the header names x twice"),
    "semicolons once": ("0;0\n1,1\n", "line 1"),
    "words": ("0,0\na,b\n", "line 2: a,b"),
    "half a header": ("x,1\n0,0\n", "line 1: x,1"),
    "two headers": ("x,y\nm,s\n0,0\n1,1\n", "line 2: m,s"),
    "missing": ("0,0\n1,\n", "line 2: 1,"),
    "no text": (b"x,y\xff\n0,0\n1,1\n", "cannot be read"),
    "zeros": (b"\x00" * 64, ""),
    "endless field": ("0," + "1" * 200_000 + "\n1,1\n", "cannot be read"),
}


@pytest.mark.parametrize(("content", "message"), DAMAGED.values(), ids=DAMAGED)
def test_damaged_files_are_refused_with_the_place(content: str | bytes, message: str, tmp_path: Path) -> None:
    path = written(tmp_path, content)
    with pytest.raises(InputError) as error:
        make_target(path)
    assert path in str(error.value)
    assert message in str(error.value)
    assert len(str(error.value)) < 400 + len(path)


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    for name in ("folder.csv", "missing.csv", "no/such/folder.csv", "x" * 3000 + ".csv"):
        with pytest.raises(InputError, match="target"):
            make_target(str(tmp_path / name))
    for name in ("~nobody-by-this-name/points.csv", "a\0b.csv"):
        with pytest.raises(InputError, match="target"):
            make_target(name)


def test_other_endings_are_files_as_well(tmp_path: Path) -> None:
    for name in ("points.tsv", "points.txt", "points.DAT"):
        target = make_target(written(tmp_path, "y\tx\n0\t0\n2\t1\n", name))
        assert target.values(column(0.5)).tolist() == [1.0]


def test_variables_are_pasted_with_their_indices() -> None:
    target = make_target("x₁·x₂ + ⌊x₁⌋")
    assert target.dimension == 2
    assert target.values(np.array([[0.5, 3.0], [1.0, 2.0]])).tolist() == [1.5, 3.0]


def test_a_table_is_a_function_of_one_variable(tmp_path: Path) -> None:
    path = written(tmp_path, "0,0\n1,1\n", "Points.CSV")
    assert make_target(f" {path} ", 1).dimension == 1
    with pytest.raises(InputError, match="a function of one variable, not 2"):
        make_target(path, 2)


# --- points against brute force -------------------------------------------------------------------------

heights = st.floats(-100, 100, allow_subnormal=False)
gaps = st.one_of(st.floats(1e-3, 2), st.sampled_from([0.25, 1e-9]))


@st.composite
def tables(draw: st.DrawFn) -> PointsTarget:
    y = np.array(draw(st.lists(heights, min_size=2, max_size=9)))
    steps = draw(st.lists(gaps, min_size=len(y) - 1, max_size=len(y) - 1))
    return PointsTarget("table", np.concatenate([[0.0], np.cumsum(steps)]) - draw(st.floats(0, 3)), y)


def exact(target: PointsTarget, x: float) -> np.longdouble:
    """The line through the neighbours, in extended precision."""
    i = min(max(int(np.searchsorted(target.x, x, "right")) - 1, 0), len(target.x) - 2)
    a, b, f_a, f_b = (np.longdouble(v) for v in (*target.x[i : i + 2], *target.y[i : i + 2]))
    return f_a + (f_b - f_a) * ((np.longdouble(x) - a) / (b - a))


parts = st.floats(0, 1)


@given(tables(), st.lists(st.tuples(parts, parts), min_size=1, max_size=6), st.booleans())
@settings(max_examples=200, deadline=None)
def test_enclosures_of_points_are_the_ranges(
    target: PointsTarget, ends: list[tuple[float, float]], at_knots: bool
) -> None:
    """Never less than all values and chords in a cell, and never more than the knots and ends make of it."""
    low, high = target.x[0], target.x[-1]
    cells = np.sort(np.clip(low + np.array(ends) * (high - low), low, high), axis=1)
    if at_knots:
        cells = target.x[np.searchsorted(target.x, cells, "left").clip(0, len(target.x) - 1)]
    a, b = cells[:, :1], cells[:, 1:]
    value, (steep,) = target.slopes(a, b)
    same = target.enclose(a, b)
    assert np.array_equal(same.lo, value.lo)
    assert np.array_equal(same.hi, value.hi)
    size = 1 + np.abs(target.y).max()
    for i, (left, right) in enumerate(cells):
        knots = target.x[(left <= target.x) & (target.x <= right)]
        places = np.unique(np.concatenate([[left, right], knots]))
        f = np.array([exact(target, float(x)) for x in places])
        assert value.lo[i] <= f.min() + 1e-16 * size
        assert f.max() <= value.hi[i] + 1e-16 * size
        assert f.min() - value.lo[i] < 1e-12 * size
        assert value.hi[i] - f.max() < 1e-12 * size
        chords = np.diff(f) / np.diff(places.astype(np.longdouble))
        room = 1e-15 * size / max(float(np.diff(places).min(initial=np.inf)), 1e-300)
        assert np.all((steep.lo[i] <= chords + room) & (chords - room <= steep.hi[i]))
        inside = target.values(np.linspace(left, right, 20)[:, None])
        assert np.all((value.lo[i] - 1e-13 * size <= inside) & (inside <= value.hi[i] + 1e-13 * size))


def test_slopes_of_points_are_those_of_the_pieces_that_a_cell_touches() -> None:
    target = PointsTarget("table", np.array([0.0, 1.0, 3.0, 4.0]), np.array([0.0, 2.0, 0.0, 5.0]))
    lo, hi = column(0.0, 0.5, 1.0, 1.5, 0.5, 3.0, 3.5), column(1.0, 1.5, 3.0, 2.0, 3.5, 3.0, 3.5)
    _, (steep,) = target.slopes(lo, hi)
    assert steep.lo == pytest.approx([2, -1, -1, -1, -1, 5, 5], abs=1e-14)
    assert steep.hi == pytest.approx([2, 2, -1, -1, 5, 5, 5], abs=1e-14)


def test_points_are_met_and_knots_lie_inside() -> None:
    x = np.array([0.0, 0.1, 0.3, 1 / 3, 1.0])
    target = PointsTarget("table", x, np.array([0.1, 0.7, -0.2, 1e-3, 5.0]))
    found = target.enclose(x[:, None], x[:, None])
    assert np.all(found.holds(target.y))
    assert np.all(found.width <= 4.5e-16 * np.abs(target.y) * 2)
    assert np.array_equal(target.values(x[:, None]), target.y)
    assert target.knots(0.0, 1.0).tolist() == [0.1, 0.3, 1 / 3]
    assert target.knots(0.1, 0.3).tolist() == []
    assert target.knots(-1.0, 2.0).tolist() == x.tolist()


def test_beyond_the_last_point_values_and_enclosures_are_of_one_function() -> None:
    target = PointsTarget("table", np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    x = column(-1.0, 2.0)
    found = target.enclose(x, x)
    assert np.all(found.holds(target.values(x)))


def test_hats_on_the_points_themselves_are_exact(tmp_path: Path) -> None:
    """Five equally spaced points and four hats: the same function, and the certificate says so."""
    target = read_points(written(tmp_path, "x,y\n0,1\n0.25,-1\n0.5,0.5\n0.75,2\n1,0\n"))
    found = certify(build_bins(target, 4, construction="hats").network, target)
    assert found.upper < 1e-12
    stairs = certify(build_bins(target, 4).network, target)
    assert stairs.lower == pytest.approx(
        1, rel=1e-8
    )  # half of the largest change, from 1 to −1 or from 2 to 0
    assert math.isclose(stairs.upper, 1, rel_tol=1e-8)
