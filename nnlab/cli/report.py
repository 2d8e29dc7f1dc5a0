"""`nnlab report`: run folders as one page that needs no network."""

import os
from pathlib import Path
from typing import Annotated

import typer

from nnlab.cli.run import RunNames, RunsFolder


def report(
    names: RunNames,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The page; without it report.html in the run folder.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="The title of the page.")] = None,
    runs: RunsFolder = Path("runs"),
) -> None:
    """Write one HTML page of run folders, in the lecture's order: claims, curves, figures, data, configs.

    It is one file without any address in it. Runs of one experiment stand side by side. Its path is the last
    line printed.
    """
    from nnlab.chapters.pages import CHAPTERS
    from nnlab.cli.terminal import print_line
    from nnlab.errors import InputError
    from nnlab.page import write_page
    from nnlab.record import find_run

    opened = list({run.folder: run for run in (find_run(name, runs) for name in names)}.values())
    if out is None:
        if len(opened) > 1:
            raise InputError("a page of several runs needs a name: --out page.html")
        out = opened[0].folder / "report.html"
    elif os.path.lexists(out):  # unlike Path.exists, it takes a name that is too long
        raise InputError(f"--out {out}: exists already; give another name, or remove it first")
    write_page(opened, CHAPTERS, out, title)
    print_line(out)
