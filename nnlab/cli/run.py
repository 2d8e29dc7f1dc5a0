"""From the command line to a run and back: what every command that runs an experiment shares."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from nnlab.config import Experiment


class Flag(NamedTuple):
    """An option that stands for one value of the config.

    Attributes:
        name: as the user types it.
        path: of the key.
        value: None where the user did not give it.
    """

    name: str
    path: tuple[str, ...]
    value: Any


def numbers(flag: str, text: str | None, kind: type[int] | type[float], example: str) -> list[Any] | None:
    """What a flag lists with commas between: 64,256 as [64, 256]; None where it was not given.

    Raises:
        InputError: a part is not a number of that kind.
    """
    from nnlab.errors import InputError

    if text is None:
        return None
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        wanted = "whole numbers" if kind is int else "numbers"
        raise InputError(f"{flag} {text}: must be {wanted} with commas between, such as {example}") from None


def run_config(
    config: str,
    sets: list[str],
    flags: Iterable[Flag],
    *,
    runs: Path,
    as_json: bool,
    quiet: bool,
    allow_custom_code: bool = False,
) -> None:
    """Runs a config once and reports."""
    from nnlab.cli.terminal import Terminal
    from nnlab.experiments import runner
    from nnlab.experiments.session import Session, Silence

    checked = checked_config(config, sets, flags)
    summary = runner.run(checked, runs, Session(Silence() if quiet else Terminal(), allow_custom_code))
    report(summary, as_json=as_json, quiet=quiet)


def checked_config(config: str, sets: list[str], flags: Iterable[Flag]) -> "Experiment":
    """The config of the command line: a flag beats --set, which beats the file.

    A flag that names a whole section, such as --data, starts it anew; --set and other flags then fill it.
    """
    from nnlab.config import apply_sets, check, read_source
    from nnlab.experiments import CONFIG_CLASSES

    source = read_source(config)
    given = [flag for flag in flags if flag.value is not None]
    for flag in given:
        if isinstance(flag.value, dict):
            source.override(flag.path, dict(flag.value), f"{flag.name} {_typed(flag.value)}")
    apply_sets(source, sets)
    for flag in given:
        path, value = flag.path, flag.value
        if isinstance(value, dict):
            path, value = (*path, "name"), value["name"]
        source.override(path, value, f"{flag.name} {_typed(flag.value)}".rstrip())
    source.values.setdefault("name", _name(source.where))
    return check(source, CONFIG_CLASSES)


def _typed(value: Any) -> str:
    """The value as the user typed it; nothing after a flag that takes none."""
    if value is True:
        return ""
    if isinstance(value, list):
        return ",".join(str(part) for part in value)
    return str(value["name"]) if isinstance(value, dict) else str(value)


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
    from nnlab.cli.lecture import tables as lecture_tables

    console = terminal.out()
    if summary.get("experiment") == "lecture" and summary.get("results"):
        lecture_tables(console, summary["results"])
        return
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
