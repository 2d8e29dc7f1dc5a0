"""`nnlab runs`: lists, shows and compares runs."""

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nnlab.errors import InputError

if TYPE_CHECKING:
    from nnlab.record import Run

app = typer.Typer(help="List, show and compare runs.", no_args_is_help=True)
RunsFolder = Annotated[Path, typer.Option("--runs", help="The folder that holds the run folders.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]


@app.command("list")
def list_(runs: RunsFolder = Path("runs"), as_json: AsJson = False) -> None:
    """Every run, oldest first."""
    from rich.markup import escape

    from nnlab.cli import terminal
    from nnlab.record import find_runs

    if not runs.is_dir():
        raise InputError(f"{runs}: no such folder; runs go to runs/ or to where --runs DIR says")
    stored = find_runs(runs)
    if as_json:
        print(json.dumps([run.summary | {"status": run.status} for run in stored], ensure_ascii=False))
        return
    rows = [
        (
            escape(str(run.folder)),
            run.status,
            escape(_seeds(run)),
            _headline(run),
            f"{run.summary.get('wall_seconds') or 0:.0f} s",
        )
        for run in stored
    ]
    terminal.out().print(
        terminal.table(f"{len(rows)} runs", ("run", "status", "seeds", "result", "time"), rows)
    )


def _seeds(run: "Run") -> str:
    seeds = run.summary.get("seeds")
    return f"{seeds[0]}-{seeds[-1]}" if seeds else str(run.summary.get("seed"))


def _headline(run: "Run") -> str:
    """The one number that a list has room for."""
    from nnlab.cli import terminal

    metrics = run.summary["metrics"]
    for name in ("test/accuracy", "test/loss", "train/loss"):
        if name in metrics:
            return f"{name} {terminal.metric(name, metrics[name])}"
    counts = run.summary.get("verdicts") or {
        c["name"]: {c["verdict"]: 1} for c in run.summary.get("claims", [])
    }
    passed = sum(set(verdicts) == {"PASS"} for verdicts in counts.values())
    return f"{passed} of {len(counts)} claims pass" if counts else ""


@app.command()
def show(run: Path, as_json: AsJson = False) -> None:
    """One run: metrics, results, claims and files."""
    from nnlab.cli.summary import report
    from nnlab.record import open_run

    stored = open_run(run)
    summary = stored.summary | {"status": stored.status, "run_dir": str(stored.folder)}
    if as_json:
        print(json.dumps(summary, ensure_ascii=False))
        return
    print(f"{summary['name']}: {summary['status']}, started {summary.get('started')}")
    if summary.get("message"):
        print(summary["message"])
    inside = stored.folder / "runs"  # a lecture's, each with a folder of its own
    pictures = sorted(file for file in stored.folder.rglob("*.png") if not file.is_relative_to(inside))
    for file in [*stored.folder.glob("report.html"), *pictures]:
        print(file)
    report(summary, as_json=False, quiet=False)


@app.command()
def compare(
    runs: list[Path],
    as_json: AsJson = False,
    png: Annotated[Path | None, typer.Option(help="Draw the validation curves into this new file.")] = None,
) -> None:
    """Many runs side by side: where their configs differ, and their results.

    Runs of one config that differ in the seed alone are joined: mean ± 95% interval. Of runs with the same
    config and seed only the last counts.
    """
    from rich.markup import escape

    from nnlab.cli import terminal
    from nnlab.record import open_run
    from nnlab.theory import over_seeds

    if png is not None:
        _check_new(png)
    sets = _by_config([member for run in runs for member in _members(open_run(run))])
    labels = _labels([_flat(members[0]) for members in sets])
    names = list(dict.fromkeys(n for ms in sets for m in ms for n in m.summary["metrics"]))
    joined = [
        {n: over_seeds([m.summary["metrics"].get(n) for m in members]) for n in names} for members in sets
    ]
    if as_json:
        rows = [
            {"label": label, "runs": [str(m.folder) for m in members], "metrics": metrics}
            for label, members, metrics in zip(labels, sets, joined, strict=True)
        ]
        print(json.dumps(rows, ensure_ascii=False))
    else:
        rows_shown = [
            [escape(label), str(len(members)), *(terminal.metric(n, m[n]) for n in names)]
            for label, members, m in zip(labels, sets, joined, strict=True)
        ]
        terminal.out().print(terminal.table("", ("config", "seeds", *names), rows_shown))
    if png is not None:
        for path in _draw(labels, sets, png):
            print(path, file=sys.stderr if as_json else sys.stdout)


def _members(run: "Run") -> "list[Run]":
    from nnlab.record import open_run

    if not run.is_group:
        return [run]
    return [open_run(run.folder / name) for name in run.summary["members"]]


def _flat(run: "Run") -> dict[str, str]:
    """The config as dotted keys, without the seed and the name."""
    from nnlab.lab.config import source_from_file
    from nnlab.record import schema

    def walk(prefix: str, value: Any) -> dict[str, str]:
        if isinstance(value, dict) and value:
            return {k: v for key, item in value.items() for k, v in walk(f"{prefix}.{key}", item).items()}
        return {prefix.removeprefix("."): json.dumps(value)}

    values = source_from_file(run.folder / schema.CONFIG).values
    return walk("", {key: value for key, value in values.items() if key not in ("seed", "name")})


def _by_config(runs: "list[Run]") -> "list[list[Run]]":
    """Runs with equal configs together, one of each seed, in the order of their first."""
    sets: dict[str, dict[int, Run]] = defaultdict(dict)
    for run in runs:
        of_config, seed = sets[json.dumps(_flat(run), sort_keys=True)], run.summary["seed"]
        if seed not in of_config or run.summary["metrics"]:
            of_config[seed] = run
    return [list(of_config.values()) for of_config in sets.values()]


def _labels(configs: list[dict[str, str]]) -> list[str]:
    """A label for each config: the keys in which it differs from the others, with its values."""
    keys = list(dict.fromkeys(key for config in configs for key in config))
    different = [key for key in keys if len({config.get(key) for config in configs}) > 1]
    return [
        ", ".join(f"{key}={config[key].strip(chr(34))}" for key in different if key in config)
        or "the same config"
        for config in configs
    ]


def _check_new(png: Path) -> None:
    if png.is_dir():
        raise InputError(f"--png {png}: is a folder; name a new file")
    for file in (png.with_suffix(".png"), png.with_suffix(".svg")):
        if file.exists():
            raise InputError(f"--png {png}: {file} exists already; name another file")


def _draw(labels: list[str], sets: "list[list[Run]]", png: Path) -> list[Path]:
    import numpy as np

    from nnlab.plot.curves import compare_curves
    from nnlab.plot.save import save

    histories = {}
    for label, members in zip(labels, sets, strict=True):
        curves = [{row["epoch"]: row["loss"] for row in m.metrics("val")} for m in members]
        epochs = sorted(set.intersection(*(set(c) for c in curves)) if curves else set())
        if epochs:
            values = np.array([[c[e] for c in curves] for e in epochs], dtype=float)
            histories[label] = {"epoch": np.array(epochs), "loss": values.mean(1)}
    if not histories:
        raise InputError("none of these runs has a validation curve to draw")
    figure = compare_curves(histories, "Validation loss")
    return save(figure, png.parent, png.stem)
