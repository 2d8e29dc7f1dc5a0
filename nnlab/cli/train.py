"""`nnlab train`: any experiment's YAML, run into a folder of its own."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nnlab.errors import InputError

if TYPE_CHECKING:
    from nnlab.config import Experiment


def train(
    config: Annotated[
        str | None, typer.Option(help="A YAML file, or the name of a shipped config (nnlab configs list).")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with a run that was cut off, in its own folder.")
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override one value, such as optimizer.lr=0.05."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The run's seed.")] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Run so many seeds; report mean and 95% interval.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.")] = None,
    runs: Annotated[Path, typer.Option(help="The folder that run folders go to.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON on stdout.")] = False,
    quiet: Annotated[bool, typer.Option(help="No progress and no tables: only the run folder.")] = False,
    allow_custom_code: Annotated[
        bool, typer.Option("--allow-custom-code", help="Let model.name: custom run your factory.")
    ] = False,
) -> None:
    """Run an experiment: train, measure, draw its figures, judge its claims.

    The last line printed is the run's folder.
    """
    if (config is None) == (resume is None):
        raise InputError("nnlab train needs one of --config FILE|NAME and --resume RUN")
    if resume is not None and (sets or seed is not None or seeds is not None or device is not None):
        raise InputError(
            "--resume goes on with the run's own config: leave out --set, --seed, --seeds and --device"
        )
    from nnlab.cli.terminal import Terminal
    from nnlab.experiments import runner
    from nnlab.experiments.session import Session, Silence

    session = Session(Silence() if quiet else Terminal(), allow_custom_code)
    if resume is not None:
        summary = runner.resume(resume, session)
    else:
        assert config is not None
        checked = _checked(config, sets or [], seed, device)
        if seeds is None:
            summary = runner.run(checked, runs, session)
        else:
            summary = runner.run_seeds(checked, seeds, runs, session)
    report(summary, as_json=as_json, quiet=quiet)


def _checked(config: str, sets: list[str], seed: int | None, device: str | None) -> "Experiment":
    """The config of the command line: a flag beats --set, which beats the file."""
    from nnlab.config import apply_sets, check, read_source
    from nnlab.experiments import CONFIG_CLASSES

    source = read_source(config)
    apply_sets(source, sets)
    if seed is not None:
        source.override(("seed",), seed, f"--seed {seed}")
    if device is not None:
        source.override(("training", "device"), device, f"--device {device}")
    source.values.setdefault("name", _name(source.where))
    return check(source, CONFIG_CLASSES)


def _name(file: str) -> str:
    """The run's name after its config file's: at most 200 characters, all of which can be printed."""
    return "".join(character if character.isprintable() else "?" for character in Path(file).stem)[:200]


def report(summary: dict[str, Any], *, as_json: bool, quiet: bool) -> None:
    """The closing tables and, last, the run's folder; or the summary as one JSON object."""
    from nnlab.record import plain

    if as_json:
        print(json.dumps(plain({"schema_version": 1, **summary}), ensure_ascii=False))
        return
    if not quiet:
        _tables(summary)
    print(summary["run_dir"])


def _tables(summary: dict[str, Any]) -> None:
    from nnlab.cli import terminal

    console = terminal.out()
    if summary["metrics"]:
        console.print(_metrics_table(summary))
    rows = summary.get("results", [])
    if rows:
        columns = list(dict.fromkeys(key for row in rows for key in row))
        console.print(
            terminal.table(
                "results", columns, [[terminal.percent(c, row.get(c)) for c in columns] for row in rows]
            )
        )
    if summary.get("claims"):
        console.print(terminal.claims_table(summary["claims"]))
    for name, counts in summary.get("verdicts", {}).items():
        console.print(f"claim {name}: " + ", ".join(f"{n} {v}" for v, n in counts.items()), markup=False)


def _metrics_table(summary: dict[str, Any]) -> Any:
    """Splits down, metrics across; what belongs to no split stands in a row of its own."""
    from rich.markup import escape

    from nnlab.cli import terminal

    metrics: dict[str, Any] = summary["metrics"]
    pairs = [(name.rpartition("/")[0] or "run", name.rpartition("/")[2]) for name in metrics]
    columns = list(dict.fromkeys(metric for _, metric in pairs))
    splits = list(dict.fromkeys(split for split, _ in pairs))
    cells = dict(zip(pairs, metrics.values(), strict=True))

    def shown(split: str, metric: str) -> str:
        value = cells.get((split, metric))
        if isinstance(value, dict):
            return terminal.spread(value, metric)
        return "" if value is None else terminal.percent(metric, value)

    title = f"{summary['name']}, seed {summary['seed']}"
    if "seeds" in summary:
        title = f"{summary['name']}, mean ± 95% interval over {len(summary['seeds'])} seeds"
    rows = [[split, *(shown(split, metric) for metric in columns)] for split in splits]
    return terminal.table(escape(title), ["", *columns], rows)
