"""The output of a command when a run has ended: tables, the summary as JSON, the page of a lecture."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

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
                "results", columns, [[terminal.metric(c, row.get(c)) for c in columns] for row in rows]
            )
        )
    claims = summary.get("claims")
    if claims:
        rows = [(claim["sentence"], claim, terminal.verdict(claim["verdict"])) for claim in claims]
        console.print(terminal.claims_table("claims", rows))
    for name, counts in summary.get("verdicts", {}).items():
        console.print(f"claim {name}: " + ", ".join(f"{n} {v}" for v, n in counts.items()), markup=False)


def _metrics_table(summary: dict[str, Any]) -> Any:
    """Splits down, metrics across; metrics without a split have a row of their own."""
    from rich.markup import escape

    from nnlab.cli import terminal

    metrics: dict[str, Any] = summary["metrics"]
    pairs = [(name.rpartition("/")[0] or "run", name.rpartition("/")[2]) for name in metrics]
    columns = list(dict.fromkeys(metric for _, metric in pairs))
    splits = list(dict.fromkeys(split for split, _ in pairs))
    cells = dict(zip(pairs, metrics.values(), strict=True))

    def cell(split: str, metric: str) -> str:
        value = cells.get((split, metric))
        return "" if value is None else terminal.metric(metric, value)

    title = f"{summary['name']}, seed {summary['seed']}"
    if "seeds" in summary:
        title = f"{summary['name']}, mean ± 95% interval over {len(summary['seeds'])} seeds"
    rows = [[split, *(cell(split, metric) for metric in columns)] for split in splits]
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
    """Every claim, and the sentences of the lecture that do not hold as they were said."""
    from nnlab.cli.terminal import claims_table, verdict

    cells = []
    for row in rows:
        judged = verdict(row["verdict"])
        if row["refuted"]:
            judged = "refuted" if row["verdict"] == "FAIL" else f"{judged}, listed as refuted"
        cells.append((f"{row['section']} {row['sentence']}", row, judged))
    console.print(claims_table("the lecture", cells))
    for row in rows:
        if row["refuted"]:
            console.print(
                f"\n{row['section']} as said: {row['sentence']}\n    what holds: {row['holds']}\n"
                f"    as said under: {'; '.join(row['hypotheses'])}",
                markup=False,
            )
