"""What a command leaves when a run has ended: tables, the summary as JSON, the page of a lecture."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from nnlab.lab.session import Session


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
    if summary.get("experiment") == "lecture" and summary.get("results"):
        _lecture_tables(console, summary["results"])
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


def leave_page(summary: dict[str, Any], session: "Session") -> None:
    """Writes the page of a finished lecture into its folder; other runs, and groups, have none."""
    from nnlab.chapters.pages import CHAPTERS
    from nnlab.page import write_page
    from nnlab.record import open_run

    if summary.get("experiment") != "lecture" or "seeds" in summary:
        return
    page = Path(summary["run_dir"]) / "report.html"
    write_page([open_run(page.parent)], CHAPTERS, page)
    session.reporter.say(f"the page: {page}")


def _lecture_tables(console: "Console", rows: list[dict[str, Any]]) -> None:
    """Every claim, and what was said otherwise."""
    console.print(_lecture_table(rows))
    for row in rows:
        if row["refuted"]:
            console.print(_refuted(row), markup=False)


def _lecture_table(rows: list[dict[str, Any]]) -> "Table":
    """Section, claim, predicted, measured, interval, verdict."""
    from rich.markup import escape

    from nnlab.cli.terminal import VERDICT_STYLES, interval, number, predicted, table

    shown = []
    for row in rows:
        style = VERDICT_STYLES.get(row["verdict"], "")
        verdict = f"[{style}]{row['verdict']}[/{style}]"
        if row["refuted"]:
            verdict = "refuted" if row["verdict"] == "FAIL" else f"{verdict}, said to be refuted"
        shown.append((
            escape(f"{row['section']} {row['sentence']}"), predicted(row["predicted"]),
            number(row["measured"]), interval(row["interval"]), verdict,
        ))  # fmt: skip
    return table("the lecture", ("claim", "predicted", "measured", "interval", "verdict"), shown)


def _refuted(row: dict[str, Any]) -> str:
    return (
        f"\n{row['section']} as said: {row['sentence']}\n    what holds: {row['holds']}\n"
        f"    as said under: {'; '.join(row['hypotheses'])}"
    )
