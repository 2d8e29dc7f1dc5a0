"""`nnlab plot`: figures of finished runs once more, for a paper or a slide, without running anything."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from nnlab.cli.run import RunNames, RunsFolder

Figures = Annotated[
    list[str] | None,
    typer.Option(
        "--figure", metavar="NAME", help="Draw this figure; may be given again. Without it, all of them."
    ),
]


def plot(
    names: RunNames,
    figure: Figures = None,
    style: Annotated[
        Literal["paper", "slide"],
        typer.Option(
            help="paper: 3.3 or 7 inches wide, 8 to 9 points, the title as a caption. slide: 16:9, 18 points."
        ),
    ] = "paper",
    file_format: Annotated[
        Literal["pdf", "svg", "png", "pgf"] | None,
        typer.Option("--format", help="Of the files; without it pdf for a paper, png for a slide."),
    ] = None,
    width: Annotated[
        Literal["column", "full"] | None,
        typer.Option(help="Of a paper's figure: 3.3 or 7 inches. Without it, one panel gets a column."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The folder of the files; without it RUN/figures/STYLE."),
    ] = None,
    runs: RunsFolder = Path("runs"),
) -> None:
    """Draw the figures of runs again, in the size and font of a paper or a slide.

    The numbers are those that the run kept; nothing is computed again. Several runs of one experiment, or a
    group of seeds, become the median with a band: quartiles, or the whole range of fewer than four runs. A
    file that exists with another content is never replaced. The paths are printed, and captions on stderr.
    """
    import sys

    from nnlab.errors import InputError
    from nnlab.lab.redrawing import check_place, draw, keep, members
    from nnlab.plot.forms import FORMS
    from nnlab.record import find_run

    opened = [find_run(name, runs) for name in dict.fromkeys(names)]
    if width is not None and style != "paper":
        raise InputError(f"--width {width}: is for --style paper; a slide is 16:9")
    if out is None:
        if len(opened) > 1:
            raise InputError("the figures of several runs need a folder: --out DIR")
        out = check_place(opened[0], style)
    wide = None if width is None else width == "full"
    suffix = file_format or ("pdf" if style == "paper" else "png")
    drawn = draw(
        [one for run in opened for one in members(run)], figure or [], FORMS[style], suffix, wide=wide
    )
    for note in drawn.notes:
        print(note, file=sys.stderr)
    for name, path in keep(drawn.files, out):
        print(path)
        if name in drawn.captions:
            print(f"  {drawn.captions[name]}", file=sys.stderr)
