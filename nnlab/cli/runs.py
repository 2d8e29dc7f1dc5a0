"""`nnlab runs`: lists, shows and compares runs."""

import os
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeGuard

import typer

from nnlab.cli.run import Json, RunName, RunNames, RunsFolder
from nnlab.errors import InputError

if TYPE_CHECKING:
    from nnlab.errors import RunFolderError
    from nnlab.lab.source import Source
    from nnlab.record import Run

app = typer.Typer(help="List, show and compare runs.", no_args_is_help=True)
COLUMNS = ("run", "status", "seeds", "result", "time")
DAMAGED = "damaged"
"""The status of a folder whose summary cannot be used."""
LARGEST = 1e100
"""A number beyond it is not drawn."""


@app.command("list")
def list_(runs: RunsFolder = Path("runs"), as_json: Json = False) -> None:
    """Every run, oldest first; those whose folder is damaged are marked."""
    from nnlab.cli import terminal
    from nnlab.record.finding import opened, run_folders

    if not os.path.isdir(runs):
        raise InputError(f"{runs}: no such folder; runs go to runs/ or to where --runs DIR says")
    folders = run_folders(runs)
    if as_json:  # one at a time: there may be many
        terminal.print_json_list(_listed(folder, opened(folder)) for folder in folders)
    else:
        rows = _rows(runs, folders)
        damaged = sum(status == DAMAGED for _, status, *_ in rows)
        title = f"{len(rows)} runs" + (f", {damaged} of them {DAMAGED}" if damaged else "")
        terminal.print_table(title, COLUMNS, rows)


def _rows(runs: Path, folders: list[Path]) -> list[tuple[str, ...]]:
    """The rows of the table; those of runs that have ended are kept for the next time."""
    from nnlab.cli.index import Index
    from nnlab.record import Run
    from nnlab.record.finding import opened

    index, rows = Index(runs, len(COLUMNS) - 1), []
    for folder in folders:
        row = index.row(folder)
        if row is None:
            run = opened(folder)
            row = _row(folder, run)[1:]
            if isinstance(run, Run) and not run.is_group and run.summary["status"] != "running":
                index.keep(folder, row)
        rows.append((str(folder), *row))
    index.write()
    return rows


def _reason(folder: Path, error: "RunFolderError") -> str:
    return str(error).removeprefix(f"{folder}{os.sep}")


def _listed(folder: Path, run: "Run | RunFolderError") -> dict[str, Any]:
    """A run as JSON: its summary and folder, and what in it is damaged."""
    from nnlab.record import Run

    if not isinstance(run, Run):
        return {"run_dir": str(folder), "status": DAMAGED, "message": _reason(folder, run)}
    faults = run.members()[1] if run.is_group else []
    marks = {"damaged_members": faults} if faults else {}
    return run.summary | {"status": run.status, "run_dir": str(folder)} | marks


def _row(folder: Path, run: "Run | RunFolderError") -> tuple[str, ...]:
    from nnlab.record import Run

    if not isinstance(run, Run):
        return str(folder), DAMAGED, "", _reason(folder, run), ""
    result = _headline(run)
    if run.is_group and (faults := run.members()[1]):
        result = f"{result}; {len(faults)} of {len(run.summary['members'])} members {DAMAGED}".lstrip("; ")
    return str(folder), run.status, _seeds(run), result, f"{run.summary.get('wall_seconds') or 0:.0f} s"


def _seeds(run: "Run") -> str:
    seeds = run.summary.get("seeds")
    return f"{seeds[0]}-{seeds[-1]}" if seeds else str(run.summary.get("seed"))


def _headline(run: "Run") -> str:
    """The one number that a list has room for."""
    from nnlab.cli import terminal
    from nnlab.lab.comparing import claims_that_pass, headline

    metric = headline(run.summary)
    if metric is not None:
        return f"{metric[0]} {terminal.metric(*metric)}"
    passed, count = claims_that_pass(run.summary)
    return f"{passed} of {count} claims pass" if count else ""


@app.command()
def show(run: RunName, runs: RunsFolder = Path("runs"), as_json: Json = False) -> None:
    """One run: metrics, results, claims, warnings, notes about its data, and files."""
    from nnlab.cli import terminal
    from nnlab.cli.summary import tables
    from nnlab.record import find_run

    stored = find_run(run, runs)
    summary = _listed(stored.folder, stored)
    if as_json:
        terminal.print_json(summary)
        return
    terminal.print_line(f"{summary['name']}: {summary['status']}, started {summary.get('started')}")
    for text in (summary.get("message"), *summary.get("damaged_members", [])):
        if text:
            terminal.print_line(text)
    for file in [*stored.folder.glob("report.html"), *stored.pictures()]:
        terminal.print_line(file)
    tables(summary)
    members = stored.members()[0][:1] if stored.is_group else [stored]  # a group has one data set
    for note in (text for member in members for text in member.summary.get("notes", [])):
        terminal.print_line(f"note: {note}")
    terminal.print_line(stored.folder)


@app.command()
def compare(
    names: RunNames,
    runs: RunsFolder = Path("runs"),
    as_json: Json = False,
    png: Annotated[Path | None, typer.Option(help="Draw the validation curves into this new file.")] = None,
) -> None:
    """Many runs side by side: where their configs differ, and their results.

    Runs of one config that differ in the seed alone are joined: mean ± 95% interval. Of runs with the same
    config and seed only the last counts.
    """
    from nnlab.cli import terminal
    from nnlab.record import find_run

    if png is not None:
        _check_new(png)
    configs, sets = _by_config([member for name in names for member in _members(find_run(name, runs))])
    labels = _labels(configs)
    columns = list(dict.fromkeys(n for ms in sets for m in ms for n in m.summary["metrics"]))
    joined = [{n: _over_seeds(n, members) for n in columns} for members in sets]
    if as_json:
        terminal.print_json(
            [
                {"label": label, "runs": [str(m.folder) for m in members], "metrics": metrics}
                for label, members, metrics in zip(labels, sets, joined, strict=True)
            ]
        )
    else:
        rows = [
            [label, str(len(members)), *(terminal.metric(n, m[n]) for n in columns)]
            for label, members, m in zip(labels, sets, joined, strict=True)
        ]
        terminal.print_table(f"{len(rows)} configs", ("config", "seeds", *columns), rows)
    if png is not None:
        for path in _draw(labels, sets, png):
            print(path, file=sys.stderr if as_json else sys.stdout)


def _members(run: "Run") -> "list[Run]":
    """The runs of a group that can be read, with a message on the others."""
    from nnlab.cli.terminal import Terminal

    members, faults = run.members()
    for fault in faults:
        Terminal().say(f"left out: {fault}")
    if not members:
        raise InputError(f"{run.folder}: this group has no run yet that could be compared")
    return members


def _over_seeds(name: str, members: "list[Run]") -> dict[str, Any]:
    import numpy as np

    from nnlab.record import plain
    from nnlab.theory import over_seeds

    values = [member.summary["metrics"].get(name) for member in members]
    with np.errstate(over="ignore", invalid="ignore"):  # of numbers that are hardly finite
        joined = over_seeds([value if isinstance(value, int | float) else None for value in values])
    spread: dict[str, Any] = plain(joined)
    return spread


def _by_config(runs: "list[Run]") -> "tuple[list[dict[str, str]], list[list[Run]]]":
    """The different configs, and the runs of each, one of each seed, in the order of their first."""
    import json

    configs: dict[str, dict[str, str]] = {}
    sets: dict[str, dict[int, Run]] = defaultdict(dict)
    for run, config in zip(runs, _flat(runs), strict=True):
        key, seed = json.dumps(config, sort_keys=True), run.summary["seed"]
        configs.setdefault(key, config)
        if seed not in sets[key] or run.summary["metrics"]:
            sets[key][seed] = run
    return list(configs.values()), [list(members.values()) for members in sets.values()]


def _flat(runs: "list[Run]") -> list[dict[str, str]]:
    """The configs as dotted keys, without the seed and the name.

    Where they have different keys, one may be of an earlier version: then defaults are filled in.
    """
    from nnlab.lab import comparing
    from nnlab.lab.config import source_of_run
    from nnlab.record import schema

    sources = [source_of_run(run.folder / schema.CONFIG) for run in runs]
    flat = [comparing.flat(source.values) for source in sources]
    if len({frozenset(config) for config in flat}) > 1:
        flat = [comparing.flat(_filled(source)) for source in sources]
    return [{key: text for key, text in config.items() if key not in ("seed", "name")} for config in flat]


def _filled(source: "Source") -> dict[str, Any]:
    """The values of a config with every default; as they are, where they are no config of this version."""
    from nnlab.chapters.experiments import EXPERIMENTS
    from nnlab.errors import ConfigError
    from nnlab.lab.config import check

    try:
        return check(source, EXPERIMENTS).model_dump(mode="json")
    except ConfigError:
        return source.values


def _labels(configs: list[dict[str, str]]) -> list[str]:
    """A label for each config: the keys in which it differs from the others, with its values."""
    from nnlab.lab.comparing import differing

    different = differing(configs)
    return [
        ", ".join(f"{key}={config[key].strip(chr(34))}" for key in different if key in config)
        or "the same config"
        for config in configs
    ]


def _check_new(png: Path) -> None:
    if os.path.isdir(png):
        raise InputError(f"--png {png}: is a folder; name a new file")
    for file in (png.with_suffix(".png"), png.with_suffix(".svg")):
        if os.path.lexists(file):
            raise InputError(f"--png {png}: {file} exists already; name another file")


def _draw(labels: list[str], sets: "list[list[Run]]", png: Path) -> list[Path]:
    import numpy as np

    from nnlab.plot.curves import compare_curves
    from nnlab.plot.save import save

    histories = {}
    for label, members in zip(labels, sets, strict=True):
        curves = [_validation(member) for member in members]
        epochs = sorted(set.intersection(*(set(c) for c in curves)) if curves else set())
        if epochs:
            values = np.array([[c[e] for c in curves] for e in epochs], dtype=float)
            histories[label] = {"epoch": np.array(epochs), "loss": values.mean(1)}
    if not histories:
        raise InputError("none of these runs has a validation curve to draw")
    try:
        return save(compare_curves(histories, "Validation loss"), png.parent, png.stem)
    except OSError as error:
        raise InputError(f"--png {png}: cannot be written: {error.strerror}") from None


def _validation(run: "Run") -> dict[float, float]:
    """Epoch -> validation loss, of the rows that can be drawn."""
    from nnlab.cli.terminal import Terminal

    rows, curve = run.rows(), dict[float, float]()
    for row in rows:
        epoch, loss = row.get("epoch"), row.get("loss")
        if row.get("split") == "val" and _drawable(epoch) and _drawable(loss):
            curve[float(epoch)] = float(loss)
    if rows.unreadable:
        Terminal().say(f"{run.folder}: {rows.unreadable:,} lines of metrics.jsonl cannot be read")
    return curve


def _drawable(number: Any) -> TypeGuard[float]:
    return isinstance(number, int | float) and abs(number) < LARGEST
