"""`nnlab features`: what a trained network looks for, and what it makes of any image."""

from pathlib import Path
from typing import Annotated

import typer

from nnlab.cli.run import AsJson, CustomCode, Quiet, new_session


def features(
    run: Annotated[Path, typer.Argument(help="The folder of a run that trained a classifier of images.")],
    image: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A PNG or JPEG image of any size to classify; may be repeated."),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    allow_custom_code: CustomCode = False,
) -> None:
    """Draw the filters, activation maps and classes of a finished run, for its test images or your own.

    Everything goes into a new folder, RUN/features/<time>: the run's own files stay as they are. Its path is
    the last line printed.
    """
    from nnlab.chapters.convolution.redraw import draw_again
    from nnlab.cli.summary import report

    summary = draw_again(run, image or [], new_session(quiet=quiet, allow_custom_code=allow_custom_code))
    report(summary, as_json=as_json, quiet=quiet)
