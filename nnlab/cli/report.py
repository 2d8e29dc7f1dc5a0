"""`nnlab report`: run folders as one page that needs no network."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from nnlab.record import Run


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders, or groups of seeds.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The page; without it report.html in the run folder.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="What stands above the page.")] = None,
) -> None:
    """Write one HTML page of run folders, in the lecture's order: claims, curves, figures, data, configs.

    It is one file without any address in it. Runs of one experiment stand side by side. Its path is the last
    line printed.
    """
    from nnlab.errors import InputError
    from nnlab.record import open_run

    found = [open_run(run) for run in dict.fromkeys(runs)]
    if out is None:
        if len(found) > 1:
            raise InputError("a page of several runs needs a name: --out page.html")
        out = found[0].folder / "report.html"
    elif out.exists():
        raise InputError(f"--out {out}: is there already; give another name, or remove it first")
    write_page(found, out, title)
    print(out)


def write_page(runs: "Sequence[Run]", out: Path, title: str | None = None) -> None:
    """Raises InputError where the file cannot be written."""
    from nnlab.errors import InputError
    from nnlab.record import replace_file
    from nnlab.report import build_page

    if title is None and len(runs) == 1 and runs[0].summary.get("experiment") == "lecture":
        title = "Feed-forward networks: the lecture, held against measurements"
    page = build_page(runs, title=title or "nnlab: " + ", ".join(run.folder.name for run in runs[:3]))
    try:
        replace_file(out, page.encode("utf-8", "replace"))
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror}") from None
