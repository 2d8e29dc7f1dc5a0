"""The output of a command when a run has ended: tables, the summary as JSON, the page of a lecture."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from nnlab.lab.session import Session

ROWS, COLUMNS = 1_000, 40  # of a table; the others stay in the run folder


def report(summary: dict[str, Any], *, as_json: bool, quiet: bool) -> None:
    """The closing tables and, last, the run's folder; or the summary as one JSON object."""
    from nnlab.cli import terminal
    from nnlab.record import plain

    if as_json:
        terminal.print_json(plain({"schema_version": 1, **summary}))
        return
    if not quiet:
        tables(summary)
        _what_next(Path(summary["run_dir"]))
    terminal.print_line(summary["run_dir"])


def _what_next(folder: Path) -> None:
    """Says where the figures are, and which command makes the page."""
    from nnlab.cli import terminal
    from nnlab.record import schema

    if (folder / schema.FIGURES).is_dir():
        terminal.print_line(f"figures: {folder / schema.FIGURES}")
    if (folder / schema.SUMMARY).is_file() and not (folder / "report.html").exists():
        terminal.print_line(f"a page of it all: nnlab report {shlex.quote(str(folder))}")


def tables(summary: dict[str, Any]) -> None:
    """Metrics, results, claims and warnings of a summary, for a person to read."""
    from nnlab.cli import terminal

    console = terminal.out()
    if summary.get("experiment") == "lecture" and summary.get("results"):
        _lecture_tables(console, summary["results"])
    else:
        _own_tables(console, summary)
    for text in summary.get("warnings", []):
        console.print(f"warning: {text}", markup=False)


def _own_tables(console: "Console", summary: dict[str, Any]) -> None:
    from nnlab.cli import terminal

    if summary["metrics"]:
        console.print(_metrics_table(summary))
    rows = summary.get("results", [])
    if rows:
        columns = list(dict.fromkeys(key for row in rows for key in row))[:COLUMNS]
        cells = [[terminal.metric(c, row.get(c)) for c in columns] for row in rows[:ROWS]]
        console.print(terminal.table("results", columns, cells))
        if len(rows) > ROWS:
            console.print(f"{len(rows) - ROWS:,} more rows stand in summary.json", markup=False)
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
    """Every claim, and the sentences that do not hold as they stand."""
    from nnlab.cli.terminal import claims_table, verdict

    cells, refuted = [], []
    for row in rows:
        word = str(row.get("verdict"))
        judged = verdict(word)
        if row.get("refuted"):
            judged = "refuted" if word == "FAIL" else f"{judged}, listed as refuted"
            refuted.append(row)
        cells.append((f"{row.get('section', '')} {row.get('sentence', '')}", row, judged))
    console.print(claims_table("the lecture", cells))
    for row in refuted:
        hypotheses = row.get("hypotheses")
        where = "; ".join(map(str, hypotheses)) if isinstance(hypotheses, list) else ""
        place = str(row.get("place") or row.get("section", ""))
        said = f"{place} says" if place[-1:].isdigit() else place.capitalize()
        console.print(
            f"\n{said}: {row.get('sentence', '')}\n"
            f"    what holds: {row.get('holds', '')}\n    it holds for: {where}",
            markup=False,
        )
