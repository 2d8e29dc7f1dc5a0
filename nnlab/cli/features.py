"""`nnlab features`: what a trained network looks for, and what it makes of any image."""

from pathlib import Path
from typing import Annotated

import typer

from nnlab.cli.run import AsJson, CustomCode, Quiet, RunName, RunsFolder, folder_of, new_session


def features(
    run: RunName,
    image: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A PNG or JPEG image of any size to classify; may be repeated."),
    ] = None,
    runs: RunsFolder = Path("runs"),
    as_json: AsJson = False,
    quiet: Quiet = False,
    allow_custom_code: CustomCode = False,
) -> None:
    """Draw filters, activation maps and classes of a run that trained a classifier of images.

    For its test images or your own.

    Everything goes into a new folder, RUN/features/<time>: the run's own files stay as they are. Its path is
    the last line printed.
    """
    from nnlab.chapters.convolution.redraw import draw_again
    from nnlab.cli.summary import report

    session = new_session(quiet=quiet, plain=as_json, allow_custom_code=allow_custom_code)
    summary = draw_again(folder_of(run, runs), image or [], session)
    report(summary, as_json=as_json, quiet=quiet)
