"""Tables: what is read from a csv file, and what is said about one that does not fit."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from nnlab.data import DataSet, load_csv
from nnlab.errors import DataError
from nnlab.lab import sections as config
from nnlab.lab.build import build_data


def write(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "table.csv"
    path.write_text(text, encoding=encoding)
    return path


def rows(count: int = 40) -> str:
    """Two features around a class that is their sign, and a number that is their sum."""
    rng = np.random.default_rng(0)
    lines = ["height,kind,width,total"]
    for k in range(count):
        a, b = rng.normal(size=2)
        lines.append(
            f"{a!r},{('cat', 'dog')[k % 2]},{b!r},{a + b!r}".replace("np.float64(", "").replace(")", "")
        )
    return "\n".join(lines) + "\n"


def load(path: Path, dtype: torch.dtype = torch.float64, **changes: object) -> DataSet:
    options = {"name": "csv", "path": str(path), "target": "kind", "validation": 0.25, "test": 0.2}
    section = config.CsvData.model_validate({**options, **changes})
    return build_data(section, device="cpu", dtype=dtype)


def without_kind(text: str) -> str:
    table = list(csv.DictReader(text.splitlines()))
    lines = [f"{row['height']},{row['width']},{row['total']}" for row in table]
    return "\n".join(["height,width,total", *lines])


def test_classification(tmp_path: Path) -> None:
    data = load(write(tmp_path, rows()), standardize=False)
    table = list(csv.DictReader(rows().splitlines()))
    expected = {tuple(float(r[c]) for c in ("height", "width", "total")): r["kind"] for r in table}
    assert data.validation is not None
    splits = (data.train, data.validation, data.test)
    assert [len(s) for s in splits] == [24, 8, 8]
    found = {
        tuple(x): data.class_names[y]
        for s in splits
        for x, y in zip(s.inputs.tolist(), s.targets.tolist(), strict=True)
    }
    assert found == expected
    assert [torch.bincount(s.targets).tolist() for s in splits] == [[12, 12], [4, 4], [4, 4]]
    assert (data.task, data.outputs, data.class_names) == ("classification", 2, ["cat", "dog"])


def test_regression(tmp_path: Path) -> None:
    path = write(tmp_path, without_kind(rows()))
    data = load(path, target="total", task="regression", standardize=False, standardize_target=False)
    assert (data.task, data.outputs, data.class_names, data.input_shape) == ("regression", 1, [], (2,))
    for split in (data.train, data.test):
        torch.testing.assert_close(split.targets, split.inputs.sum(1, keepdim=True), rtol=0, atol=1e-15)


def test_statistics_are_of_the_training_rows(tmp_path: Path) -> None:
    data, plain = (load(write(tmp_path, rows()), standardize=s) for s in (True, False))
    x = plain.train.inputs.numpy()
    np.testing.assert_allclose(data.mean, x.mean(0), rtol=1e-12)
    np.testing.assert_allclose(data.std, x.std(0), rtol=1e-12)
    np.testing.assert_allclose(
        data.test.inputs, (plain.test.inputs.numpy() - x.mean(0)) / x.std(0), rtol=1e-10
    )


def test_split_seed_decides_the_rows(tmp_path: Path) -> None:
    path = write(tmp_path, rows())
    first, again, other = load(path), load(path), load(path, split_seed=1)
    assert torch.equal(first.test.inputs, again.test.inputs)
    assert not torch.equal(first.test.inputs, other.test.inputs)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["10", "9", "-1.5"], ["-1.5", "9", "10"]),
        (["10", "9", "b"], ["10", "9", "b"]),
        (["None", "9", "10"], ["10", "9", "None"]),
    ],
)
def test_class_order(tmp_path: Path, labels: list[str], names: list[str]) -> None:
    text = "x,y\n" + "".join(f"{k},{label}\n" for k in range(4) for label in labels)
    raw = load_csv(write(tmp_path, text), target="y", task="classification", test=0.25, split_seed=0)
    assert raw.class_names == names


def test_quotes_blanks_and_a_byte_order_mark(tmp_path: Path) -> None:
    text = '"a, b", y \n 1 ," left, or so "\n\n2,right\n3, "left, or so"\n4,right\n'
    text = text.replace(', "left, or so"', ',"left, or so"')
    raw = load_csv(
        write(tmp_path, text, "utf-8-sig"), target="y", task="classification", test=0.5, split_seed=0
    )
    assert raw.class_names == ["left, or so", "right"]
    assert sorted([*raw.train.inputs.flatten().tolist(), *raw.test.inputs.flatten().tolist()]) == [1, 2, 3, 4]


BAD = {
    "text in a number column": (
        "x,kind\n1,a\ntall,b\n",
        r"table\.csv, line 3, column x: 'tall' is not a finite",
    ),
    "an empty cell": ("x,z,kind\n1,2,a\n1,,b\n", r"line 3, column z: an empty cell, in which a value is"),
    "nan": ("x,kind\n1,a\nnan,a\n", r"line 3, column x: 'nan' is not a finite"),
    "infinity": ("x,kind\n1,a\n-inf,a\n", r"line 3, column x: '-inf' is not a finite"),
    "digits grouped": ("x,kind\n1_000,a\n", r"line 2, column x: '1_000' is not a finite"),
    "too large": ("x,kind\n1e39,a\n", r"line 2, column x: 1e\+39 is beyond float32"),
    "a short row": ("x,z,kind\n1,2,a\n1,b\n", r"line 3: 2 cells, but the header names 3 columns"),
    "a long row": ("x,kind\n1,a,b\n", r"line 2: 3 cells, but the header names 2 columns"),
    "line after a quoted break": ('kind,x\n"a\nb",1\nc,bad\n', r"line 4, column x: 'bad'"),
    "twice the same name": ("x,x,kind\n1,2,a\n", r"line 1: two columns are named x"),
    "no name": (",x,kind\nfirst,2,a\n", r"line 1: column 1 has no name"),
    "no header": ("1,2,3\n4,5,6\n", r"line 1: it must name the columns, but holds only numbers: 1, 2, 3"),
    "no rows": ("x,kind\n\n", r"table\.csv: there is no row below the header"),
    "an empty file": ("", r"table\.csv: the file is empty"),
    "only the target": ("kind\na\nb\n", r"the target kind is the only column"),
    "no target": ("x,kinds\n1,a\n", r"data\.target: kind is no column of .*did you mean kinds\?"),
    "colons": ("x:kind\n1:a\n", r"data\.target: kind is no column.*separated by commas"),
    "an empty target": ("x,kind\n1,\n", r"line 2, column kind: the target is empty"),
    "an open quote": ('x,kind\n1,"a\n2,b\n', r"line 3: this is not a valid csv row"),
    "one class": ("x,kind\n1,a\n2,a\n3,a\n4,a\n5,a\n", r"only the class a"),
    "a quantity as class": ("x,kind\n1,0.5\n2,0.6\n3,0.7\n4,1.2\n5,9\n", r"set data\.task: regression"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_tables_are_named(tmp_path: Path, case: str) -> None:
    text, message = BAD[case]
    with pytest.raises(DataError, match=message) as caught:
        load(write(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_regression_target_must_be_a_number(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 2, column kind: 'cat' is not a finite number"):
        load(write(tmp_path, rows()), task="regression")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.path: .*none\.csv: no such file"):
        load(tmp_path / "none.csv")
    with pytest.raises(DataError, match=r"data\.path: .*: cannot be read: Is a directory"):
        load(tmp_path)
    with pytest.raises(DataError, match=r"table\.csv: this is no text in UTF-8"):
        load(write(tmp_path, "x,kind\n1,τρία\n", "iso8859-7"))


def test_too_few_rows_for_the_fractions(tmp_path: Path) -> None:
    text = "x,kind\n" + "".join(f"{k},{'ab'[k % 2]}\n" for k in range(4))
    with pytest.raises(DataError, match=r"data\.test: 0\.01 of 4 examples leaves no test example"):
        load(write(tmp_path, text), test=0.01)
    with pytest.raises(
        DataError, match=r"data\.test: 0\.9 of 4 examples leaves no training example of class a"
    ):
        load(write(tmp_path, text), test=0.9)
