"""`nnlab report`: run folders as one page that needs no network."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders, or groups of seeds.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The page; without it report.html in the run folder.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="The title of the page.")] = None,
) -> None:
    """Write one HTML page of run folders, in the lecture's order: claims, curves, figures, data, configs.

    It is one file without any address in it. Runs of one experiment stand side by side. Its path is the last
    line printed.
    """
    from nnlab.chapters.pages import CHAPTERS
    from nnlab.errors import InputError
    from nnlab.page import write_page
    from nnlab.record import open_run

    opened = [open_run(run) for run in dict.fromkeys(runs)]
    if out is None:
        if len(opened) > 1:
            raise InputError("a page of several runs needs a name: --out page.html")
        out = opened[0].folder / "report.html"
    elif out.exists():
        raise InputError(f"--out {out}: exists already; give another name, or remove it first")
    write_page(opened, CHAPTERS, out, title)
    print(out)
