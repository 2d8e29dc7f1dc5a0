"""`nnlab lecture`: every experiment of the lecture, and a verdict on every sentence."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from nnlab.experiments.session import Session


def lecture(
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="CLAIM", help="Only this point, such as weight_change; may be repeated."),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="More seeds, widths and steps.")] = False,
    seed: Annotated[int | None, typer.Option(help="The seed of every experiment.")] = None,
    runs: Annotated[Path, typer.Option(help="The folder that run folders go to.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON on stdout.")] = False,
    quiet: Annotated[bool, typer.Option(help="No progress and no tables: only the run folder.")] = False,
) -> None:
    """Run the whole lecture offline: about four minutes on two cores, and a verdict on every sentence.

    It leaves a page, report.html in the run's folder, which is the last line printed. Exit code 1 where a
    claim fails that is not listed as refuted.
    """
    from nnlab.cli.run import Flag, checked_config, report
    from nnlab.cli.terminal import Terminal
    from nnlab.errors import ExperimentError
    from nnlab.experiments import runner
    from nnlab.experiments.lecture import unexpected
    from nnlab.experiments.session import Session, Silence

    flags = [
        Flag("--only", ("only",), only or None),
        Flag("--full", ("full",), full or None),
        Flag("--seed", ("seed",), seed),
    ]
    config = checked_config("lecture", [], flags)
    session = Session(Silence() if quiet else Terminal())
    summary = runner.run(config, runs, session)
    leave_page(summary, session)
    report(summary, as_json=as_json, quiet=quiet)
    failed = unexpected(summary["results"])
    if failed:
        raise ExperimentError(f"{len(failed)} of {len(summary['results'])} claims fail: {', '.join(failed)}")


def leave_page(summary: dict[str, Any], session: "Session") -> None:
    """Writes the page of a finished lecture into its folder; other runs, and groups, have none."""
    from nnlab.cli.report import write_page
    from nnlab.record import open_run

    if summary.get("experiment") != "lecture" or "seeds" in summary:
        return
    page = Path(summary["run_dir"]) / "report.html"
    write_page([open_run(page.parent)], page)
    session.reporter.say(f"the page: {page}")


def tables(console: "Console", rows: list[dict[str, Any]]) -> None:
    """Every claim, and what was said otherwise."""
    console.print(_table(rows))
    for row in rows:
        if row["refuted"]:
            console.print(_refuted(row), markup=False)


def _table(rows: list[dict[str, Any]]) -> "Table":
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
