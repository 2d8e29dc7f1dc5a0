"""`nnlab lecture`: every experiment of the lecture, and a verdict on every sentence."""

from pathlib import Path
from typing import Annotated

import typer

from nnlab.cli.run import AsJson, Flag, Quiet, Runs, checked_config, new_session


def lecture(
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="POINT", help="Only this point, such as weight_change; may be repeated."),
    ] = None,
    list_: Annotated[
        bool, typer.Option("--list", help="List the points and lessons, without running any.")
    ] = False,
    beyond: Annotated[
        bool, typer.Option("--beyond", help="The statements beyond the lecture, in place of its own.")
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="More seeds, widths and steps.")] = False,
    seed: Annotated[int | None, typer.Option(help="The seed of every experiment.")] = None,
    runs: Runs = Path("runs"),
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Run the whole lecture offline: about five minutes on two cores, and a verdict on every sentence.

    It leaves a page, report.html in the run's folder, which is the last line printed. Exit code 1 where a
    claim fails that is not listed as refuted.
    """
    if list_:
        _list(as_json, beyond)
        return
    from nnlab.chapters.lecture.experiment import unexpected
    from nnlab.cli.summary import leave_page, report
    from nnlab.errors import ExperimentError
    from nnlab.lab import runner

    flags = [
        Flag("--only", ("only",), only or None),
        Flag("--beyond", ("beyond",), beyond or None),
        Flag("--full", ("full",), full or None),
        Flag("--seed", ("seed",), seed),
    ]
    config = checked_config("lecture", [], flags)
    session = new_session(quiet=quiet, plain=as_json)
    summary = runner.run(config, runs, session)
    leave_page(summary, session)
    report(summary, as_json=as_json, quiet=quiet)
    failed = unexpected(summary["results"])
    if failed:
        raise ExperimentError(f"{len(failed)} of {len(summary['results'])} claims fail: {', '.join(failed)}")


_COLUMNS = ("section", "point", "lesson", "config", "sentence")


def _list(as_json: bool, beyond: bool) -> None:
    """Prints every point: its section, its name for --only, its lesson and its sentence."""
    from nnlab.chapters.lecture import beyond as statements
    from nnlab.chapters.lecture import plan

    chapter = statements if beyond else plan
    rows = [
        (p.section, p.name, p.lesson, chapter.LESSONS[p.lesson].config, p.sentence) for p in chapter.POINTS
    ]
    from nnlab.cli import terminal

    if as_json:
        points = [dict(zip(_COLUMNS, row, strict=True)) for row in rows]
        terminal.print_json({"schema_version": 1, "points": points})
        return
    from rich.markup import escape

    title = f"nnlab lecture{' --beyond' * beyond} --only POINT"
    grid = terminal.table(title, _COLUMNS, [list(map(escape, row)) for row in rows])
    for column in grid.columns:
        column.justify = "left"
    terminal.out().print(grid)
