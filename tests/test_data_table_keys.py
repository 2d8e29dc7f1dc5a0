"""What the keys of a table do: which rows and columns go where, and what is learned from which rows."""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnlab.data import DataSet, read_csv
from nnlab.data.splits import hold_out
from nnlab.data.table import TableReader
from nnlab.errors import DataError
from nnlab.lab import sections as config
from nnlab.lab.build import build_data


def load(path: Path, **keys: Any) -> DataSet:
    defaults = {"name": "csv", "path": str(path), "target": "y", "validation": 0.25, "standardize": False}
    section = config.CsvData.model_validate({**defaults, **keys})
    return build_data(section, device="cpu", dtype=torch.float64)


def write(path: Path, names: list[str], rows: Sequence[Sequence[object]]) -> Path:
    path.write_text("\n".join([",".join(names), *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def splits(data: DataSet) -> dict[str, torch.Tensor]:
    assert data.validation is not None
    return {"train": data.train.inputs, "validation": data.validation.inputs, "test": data.test.inputs}


# --- splits -----------------------------------------------------------------------------------------


def patients(folder: Path, visits: int = 5, people: int = 24) -> Path:
    rng = np.random.default_rng(3)
    rows: list[list[object]] = [
        [person + 100, rng.normal(), f"P{person:02d}", "sick" if person % 3 else "well"]
        for person in range(people)
        for _ in range(visits)
    ]
    return write(folder / "patients.csv", ["code", "pulse", "patient", "y"], rows)


def test_no_group_is_in_two_splits(tmp_path: Path) -> None:
    for seed in range(20):
        data = load(patients(tmp_path), group="patient", split_seed=seed)
        parts = {name: set(x[:, 0].tolist()) for name, x in splits(data).items()}
        assert data.input_shape == (2,)
        for a, b in itertools.combinations(parts.values(), 2):
            assert not a & b
        assert sum(len(x) for x in splits(data).values()) == 120
        assert abs(len(data.test) - 24) <= 5
        assert abs(len(data.validation or []) - 0.25 * 96) <= 5
        shares = torch.bincount(data.test.targets) / len(data.test)
        assert shares[0] == pytest.approx(2 / 3, abs=0.2)
        notes = "\n".join(data.notes)
        assert "test: " in notes
        assert "of 24 whole groups" in notes
        assert "validation: " in notes


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 2)), min_size=2, max_size=60),
    percent=st.integers(5, 60),
    seed=st.integers(0, 1000),
)
def test_groups_are_held_out_whole(rows: list[tuple[int, int]], percent: int, seed: int) -> None:
    groups, strata = torch.tensor(rows).T
    total = torch.bincount(strata)
    sizes = [torch.bincount(strata[groups == group], minlength=len(total)) for group in groups.unique()]
    if all(bool(((size == total) & (total > 0)).any()) for size in sizes):  # each has a class of its own
        with pytest.raises(DataError, match="none can be held out"):
            hold_out(strata, percent / 100, split_seed=seed, purpose="test", groups=groups)
        return
    kept, held = hold_out(strata, percent / 100, split_seed=seed, purpose="test", groups=groups)
    assert sorted([*kept.tolist(), *held.tolist()]) == list(range(len(rows)))
    assert len(held) > 0
    assert not set(groups[kept].tolist()) & set(groups[held].tolist())
    assert set(strata[kept].tolist()) == set(strata.tolist())
    again = hold_out(strata, percent / 100, split_seed=seed, purpose="test", groups=groups)[1]
    assert torch.equal(again, held)


@pytest.mark.parametrize(
    ("rows", "keys", "message"),
    [
        (["1,p,u", "2,,v"], {}, "column g: the group is missing in line 3"),
        (["1,p,u", "2,NA,v", "3,q,u", "4,NULL,v"], {}, "column g: the group is missing in lines 3, 5;"),
        (["1,p,u", "2,p,v"], {}, "every row of column g is of the group p"),
        (["1,p,u", "2,q,v"], {}, "none can be held out, since every class needs a training example"),
        (["1,p,u", "2,q,v"], {"group": "h"}, r"data\.group: h is no column"),
        (["1,p,u", "2,q,v"], {"group": "y"}, r"data\.group: y is the target"),
        (["1,p,u", "2,q,v"], {"columns": ["a", "g"]}, r"data\.columns: g is the column of data\.group"),
    ],
)
def test_groups_that_do_not_work(tmp_path: Path, rows: list[str], keys: dict[str, Any], message: str) -> None:
    path = write(tmp_path / "t.csv", ["a", "g", "y"], [row.split(",") for row in rows])
    with pytest.raises(DataError, match=message):
        load(path, **{"group": "g", **keys})


def test_a_number_target_can_be_stratified(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = np.exp(rng.normal(size=200) * 3)
    path = write(tmp_path / "t.csv", ["a", "y"], [[k * k, v] for k, v in enumerate(values)])
    keys: dict[str, Any] = {"task": "regression", "standardize_target": False}
    edges = torch.tensor(np.quantile(values, np.linspace(0, 1, 11)[1:-1]))
    for seed in range(5):
        data = load(path, stratify=True, split_seed=seed, **keys)
        for split, size in ((data.test, 4), (data.validation, 4)):
            assert split is not None
            assert (
                torch.bincount(torch.bucketize(split.targets[:, 0], edges), minlength=10).tolist()
                == [size] * 10
            )
    plain, left_out = load(path, stratify=False, **keys), load(path, **keys)
    assert torch.equal(plain.test.inputs, left_out.test.inputs)


def test_classes_need_not_be_stratified(tmp_path: Path) -> None:
    rows: list[list[object]] = [[k * k, "uv"[k % 2]] for k in range(40)]
    path = write(tmp_path / "t.csv", ["a", "y"], rows)
    counts = {
        tuple(torch.bincount(load(path, stratify=s, split_seed=k).test.targets, minlength=2).tolist())
        for k in range(8)
        for s in (True, None)
    }
    assert counts == {(4, 4)}
    free = {
        tuple(torch.bincount(load(path, stratify=False, split_seed=k).test.targets, minlength=2).tolist())
        for k in range(8)
    }
    assert len(free) > 1


def test_a_test_table_of_its_own(tmp_path: Path) -> None:
    rows: list[list[object]] = [[k, k * k % 7, "r", "uv"[k % 2]] for k in (3, 5, 9, 1, 8, 2, 4, 6)]
    path = write(tmp_path / "train.csv", ["a", "b", "c", "y"], rows)
    (tmp_path / "test.csv").write_text("y;c;extra;b;a\nv;r;x;1,5;7\nu;g;x;2,5;0\nu;r;;3;4\n")
    data = load(path, test=str(tmp_path / "test.csv"), text="one_hot", validation=0.0)
    assert len(data.train) == 8
    assert data.test.inputs.tolist() == [[7, 1.5, 1], [0, 2.5, 1], [4, 3, 1]]
    assert [data.class_names[k] for k in data.test.targets] == ["v", "u", "u"]
    notes = "\n".join(data.notes)
    assert "test.csv: columns that were no features are passed over: extra" in notes
    assert (
        "test.csv, column c: categories that the training table does not have count as none: g (1)" in notes
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,y\n1,u\n", r"data\.test: the training needs 2 features: b is no column of .*test\.csv"),
        ("a,b\n1,2\n", r"data\.target: y is no column of .*test\.csv"),
        (
            "a,b,y\n1,2,w\n",
            r"test\.csv, line 2, column y: 'w' is no class of the training table, which has u, v",
        ),
        ("a,b,y\n1,tall,u\n", r"test\.csv, line 2, column b: 'tall' is not a finite number"),
        ("a,b,y\n1,,u\n", r"test\.csv, line 2, column b: an empty cell"),
        ("a,b,y\n1,2,\n", r"test\.csv, line 2, column y: the target is empty"),
        ("a,b,y\n", r"test\.csv: there is no row below the header line"),
        (None, r"data\.test: .*/test\.csv: no such file"),
    ],
)
def test_a_test_table_that_does_not_fit(tmp_path: Path, text: str | None, message: str) -> None:
    path = write(tmp_path / "train.csv", ["a", "b", "y"], [[k, k * k, "uv"[k % 2]] for k in range(8)])
    if text is not None:
        (tmp_path / "test.csv").write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        load(path, test=str(tmp_path / "test.csv"))
    assert str(tmp_path) in str(caught.value)


def test_the_training_table_is_no_test_table(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", ["a", "y"], [[k, "uv"[k % 2]] for k in range(8)])
    (tmp_path / "link.csv").symlink_to(path)
    with pytest.raises(DataError, match=r"data\.test: .*link\.csv is the training table"):
        load(path, test=str(tmp_path / "link.csv"))


def test_groups_and_a_test_table(tmp_path: Path) -> None:
    rows: list[list[object]] = [[k, f"P{k // 4}", "uv"[k % 2]] for k in range(16)]
    path = write(tmp_path / "train.csv", ["a", "p", "y"], rows)
    keys: dict[str, Any] = {"group": "p", "test": str(tmp_path / "test.csv")}
    write(tmp_path / "test.csv", ["a", "p", "y"], [[7, "P9", "u"]])
    assert load(path, **keys).test.inputs.tolist() == [[7]]
    write(tmp_path / "test.csv", ["a", "p", "y"], [[7, "P9", "u"], [8, "P2", "v"]])
    with pytest.raises(DataError, match=r"data\.group: P2 in both .*test\.csv and the training table"):
        load(path, **keys)
    write(tmp_path / "test.csv", ["a", "y"], [[7, "u"]])
    assert "test.csv has no column p: its groups may be those" in "\n".join(load(path, **keys).notes)


def test_equal_rows_in_training_and_test_are_counted(tmp_path: Path) -> None:
    rows: list[list[object]] = [[k % 10, "uv"[k % 10 % 2]] for k in range(60)]
    data = load(write(tmp_path / "t.csv", ["a", "y"], rows), validation=0.0)
    train = {tuple(x) for x in torch.cat([data.train.inputs, data.train.targets[:, None]], 1).tolist()}
    twice = sum(
        tuple(x) in train for x in torch.cat([data.test.inputs, data.test.targets[:, None]], 1).tolist()
    )
    assert f"{twice} of 12 test rows equal a training row" in "\n".join(data.notes)
    different = write(tmp_path / "d.csv", ["a", "y"], [[k * k, "uv"[k % 2]] for k in range(60)])
    assert "equal a training row" not in "\n".join(load(different).notes)


def test_a_class_without_a_test_row_is_named(tmp_path: Path) -> None:
    rows = [[k * k, "uv"[k % 2]] for k in range(30)] + [[77, "rare"]]
    data = load(write(tmp_path / "t.csv", ["a", "y"], rows), validation=0.0)
    assert "the test has no row of the class rare" in data.notes


# --- what is learned from the training rows alone ---------------------------------------------------


def test_means_are_of_the_training_rows_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    rows: list[list[object]] = [
        [k, "" if k % 3 == 0 else float(rng.normal()) * 10, ("", "r", "g", "b")[rng.integers(4)], "uv"[k % 2]]
        for k in range(60)
    ]
    path = write(tmp_path / "t.csv", ["k", "x", "c", "y"], rows)
    data = load(path, missing="mean", text="one_hot")
    train = {int(k): row for k, *row in data.train.inputs.tolist()}
    x = np.array([float(str(r[1])) for r in rows if r[0] in train and r[1] != ""])
    c = np.array([[r[2] == name for name in "bgr"] for r in rows if r[0] in train and r[2] != ""])
    for split in splits(data).values():
        for k, value, *colour in split.tolist():
            _, raw_x, raw_c, _ = rows[int(k)]
            assert value == pytest.approx(x.mean() if raw_x == "" else float(str(raw_x)), rel=1e-14)
            expected = c.mean(0) if raw_c == "" else [float(raw_c == name) for name in "bgr"]
            assert colour == pytest.approx(expected, rel=1e-14)
    others = {k: v for k, v in enumerate(rows) if k not in train}
    for row in others.values():
        row[1] = 1e6
    write(path, ["k", "x", "c", "y"], rows)
    changed = load(path, missing="mean", text="one_hot")
    torch.testing.assert_close(changed.train.inputs, data.train.inputs, rtol=0, atol=0)


def test_what_is_constant_in_training_counts_for_nothing(tmp_path: Path) -> None:
    rows: list[list[object]] = [[k, 5, "uv"[k % 2]] for k in range(8)]
    path = write(tmp_path / "train.csv", ["a", "b", "y"], rows)
    write(tmp_path / "test.csv", ["a", "b", "y"], [[1, 5, "u"], [2, 900, "v"]])
    data = load(path, test=str(tmp_path / "test.csv"), standardize=True)
    assert data.test.inputs[:, 1].tolist() == [0, 0]
    notes = "\n".join(data.notes)
    assert "column b is 5 in every training row" in notes
    assert "column b is constant in the training rows and differs in 1 other; it counts for nothing" in notes
    new = data.reader.read(tmp_path / "test.csv") if data.reader else None
    assert new is not None
    assert new.inputs[:, 1].tolist() == [5, 5]
    assert "counts for nothing" in "\n".join(new.notes)


def test_a_test_row_too_far_away_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "train.csv", ["a", "y"], [[f"{k}e-30", "uv"[k % 2]] for k in range(8)])
    write(tmp_path / "test.csv", ["a", "y"], [["1e9", "u"]])
    with pytest.raises(DataError, match=r"column a: it cannot be standardized: a row lies 1e\+09 from"):
        load(path, test=str(tmp_path / "test.csv"), standardize=True)
    write(tmp_path / "test.csv", ["a", "y"], [["1e5", "u"]])  # 4e34 deviations away, within float32
    assert load(path, test=str(tmp_path / "test.csv"), standardize=True).test.inputs.isfinite().all()


def test_small_spreads_are_standardized_or_named(tmp_path: Path) -> None:
    kelvin = [[2000 + k, 288.15 + k * 1e-9, "uv"[k % 2]] for k in range(20)]
    data = load(write(tmp_path / "t.csv", ["year", "kelvin", "y"], kelvin), standardize=True, validation=0.0)
    both = torch.cat([data.train.inputs, data.test.inputs])
    torch.testing.assert_close(both[:, 0], both[:, 1], rtol=0, atol=1e-4)  # 288.15 + 1e-9 has 4 digits of it
    section = config.CsvData(name="csv", path=str(tmp_path / "t.csv"), target="y", standardize=False)
    raw = build_data(section, device="cpu", dtype=torch.float32)
    assert "column kelvin: its values are about 288 and differ by about" in "\n".join(raw.notes)
    assert "float32 rounds away; set data.standardize: true" in "\n".join(raw.notes)


# --- new tables -------------------------------------------------------------------------------------


@pytest.fixture
def reader(tmp_path: Path) -> TableReader:
    rows: list[list[object]] = [
        [k * 0.1 if k else "", "yes" if k % 3 else "no", k % 2 == 0, f"{k % 2}.0"] for k in range(40)
    ]
    path = write(tmp_path / "train.csv", ["x", "c", "t", "y"], rows)
    data = load(path, missing="mean", text="one_hot")
    assert isinstance(data.reader, TableReader)
    stored = TableReader.from_dict(json.loads(json.dumps(data.reader.as_dict())))
    assert stored == data.reader
    return stored


def test_new_rows_are_read_by_the_names_of_their_columns(tmp_path: Path, reader: TableReader) -> None:
    (tmp_path / "new.csv").write_text("t;more;x;c\ntrue;a;1,5;maybe\n;;;\nFALSE;b;;yes\n")
    new = reader.read(tmp_path / "new.csv")
    (mean,) = reader.columns[0].means
    assert new.targets is None
    assert new.labels == ["1", "2"]
    assert new.inputs.tolist() == [[1.5, 0, 0, 1], [mean, 0, 1, 0]]
    notes = "\n".join(new.notes)
    assert "more" in notes
    assert "maybe (1)" in notes


@pytest.mark.parametrize(
    ("text", "targets", "note"),
    [
        ("x,c,t,y\n1,no,true,1\n2,no,true,00\n", [1, 0], None),
        ("x,c,t,y\n1,no,true,1\n2,no,true,\n", None, "the target is missing in line 3; no metrics"),
        ("x,c,t,y\n1,no,true,7\n", None, "line 2, column y: '7' is no class of the training table"),
    ],
)
def test_targets_of_new_rows(
    tmp_path: Path, reader: TableReader, text: str, targets: list[int] | None, note: str | None
) -> None:
    (tmp_path / "new.csv").write_text(text)
    new = reader.read(tmp_path / "new.csv")
    assert (None if new.targets is None else new.targets.tolist()) == targets
    assert note is None or note in "\n".join(new.notes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x,c\n1,no\n", r"needs 3 features: t is no column of .*new\.csv"),
        ("c,y\nno,1\n", r"needs 3 features \(and 1 more of its features\): x is no column"),
        ("x,c,t\n1,no,maybe\n", r"new\.csv, line 2, column t: 'maybe'"),
        ("x,c,t\n1,no,1\n", r"new\.csv, line 2, column t: '1' is neither true nor false"),
        ("x,c,t\n1 cm,no,true\n", r"new\.csv, line 2, column x: '1 cm'"),
        ("x,c,t\n1,no\n", r"new\.csv, line 2: 2 cells"),
        ("", r"new\.csv: the file is empty"),
    ],
)
def test_new_rows_that_do_not_fit(tmp_path: Path, reader: TableReader, text: str, message: str) -> None:
    (tmp_path / "new.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        reader.read(tmp_path / "new.csv")


def test_a_mark_that_new_rows_do_not_tell_is_that_of_the_training(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("a;y\n" + "".join(f"{k},5;{'uv'[k % 2]}\n" for k in range(10)))
    data = load(tmp_path / "train.csv")
    (tmp_path / "new.csv").write_text("a;y\n1,234;u\n")
    assert data.reader is not None
    assert data.reader.read(tmp_path / "new.csv").inputs.tolist() == [[1.234]]


def test_texts_among_new_quantities_only_forbid_metrics(tmp_path: Path) -> None:
    path = write(tmp_path / "train.csv", ["a", "y"], [[k, k * k] for k in range(20)])
    data = load(path, task="regression")
    (tmp_path / "new.csv").write_text("a,y\n1,2\n3,unknown\n")
    assert data.reader is not None
    new = data.reader.read(tmp_path / "new.csv")
    assert new.targets is None
    assert new.inputs.tolist() == [[1], [3]]
    assert "line 3, column y: 'unknown' is not a finite number" in "\n".join(new.notes)
    with pytest.raises(DataError, match="line 3, column y: 'unknown' is not a finite number"):
        load(path, task="regression", test=str(tmp_path / "new.csv"))


def test_a_changed_reader_is_refused(reader: TableReader) -> None:
    content = reader.as_dict()
    changes: list[dict[str, Any]] = [
        {"columns": 3}, {"columns": [{"name": "x"}]}, {"task": "other"}, {"target": None}, {"more": 1},
        {"classes": [1]}, {"decimal": ";"}, {"missing": "guess"}, {"separator": ";"}, {"encoding": "utf-9"},
        {"columns": []}, {"target": "x"}, {"columns": [{**content["columns"][0], "means": [1.0, 2.0]}]},
        {"columns": [{**content["columns"][0], "means": [float("nan")]}]},
    ]  # fmt: skip
    for change in changes:
        with pytest.raises(ValueError, match="validation error"):
            TableReader.from_dict({**content, **change})


def test_many_odd_groups_are_a_few_notes(tmp_path: Path) -> None:
    rows: list[list[object]] = [[k, f"{k // 2}{'.0' * (k % 2)}", "uv"[k // 2 % 2]] for k in range(60)]
    data = load(write(tmp_path / "t.csv", ["a", "g", "y"], rows), group="g")
    odd = [note for note in data.notes if "are one number" in note]
    assert len(odd) == 5
    assert odd[-1].endswith("(and 25 more like this)")


def test_numbers_as_categories_classes_and_groups_have_the_mark_of_their_table(tmp_path: Path) -> None:
    lines = [f"{k % 3},0;{k},25;{k // 4},5;{k % 2},0" for k in range(24)]
    (tmp_path / "t.csv").write_text("\n".join(["c;a;g;y", *lines]))
    keys: dict[str, Any] = {"categories": ["c"], "group": "g", "test": str(tmp_path / "test.csv")}
    (tmp_path / "test.csv").write_text("c,a,g,y\n1.0,2.25,7.5,1.0\n2,1.5,7.5,0\n")
    data = load(tmp_path / "t.csv", **keys)
    assert data.test.inputs.tolist() == [[0, 1, 0, 2.25], [0, 0, 1, 1.5]]
    assert data.test.targets.tolist() == [1, 0]
    assert "count as none" not in "\n".join(data.notes)
    (tmp_path / "test.csv").write_text("c,a,g,y\n1.0,2.25,3.5,1.0\n")
    with pytest.raises(DataError, match=r"data\.group: 3\.5 in both"):
        load(tmp_path / "t.csv", **keys)


def test_a_mark_that_the_training_table_decides_is_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a;y\n1,5;u\n2,25;v\n")
    raw = read_csv(tmp_path / "t.csv", target="y", task="classification")
    assert raw.reader is not None
    (tmp_path / "new.csv").write_text('a,y\n"1,200",u\n')
    new = raw.reader.read(tmp_path / "new.csv")
    assert new.inputs.tolist() == [[1.2]]
    assert "line 2, column a: 1,200 is read as 1.2, by the decimal mark of the training" in "\n".join(
        new.notes
    )
    (tmp_path / "new.csv").write_text("a;y\n1,250;u\n1,5;v\n")
    assert "is read as" not in "\n".join(raw.reader.read(tmp_path / "new.csv").notes)
    (tmp_path / "new.csv").write_text("a;y\n;u\n")
    with pytest.raises(DataError, match=r"For that, data\.missing must be set in the training"):
        raw.reader.read(tmp_path / "new.csv")
