"""`nnlab view`: runs as they grow, and the playground, in a browser."""

import os
from pathlib import Path
from typing import Annotated

import typer


def view(
    runs: Annotated[
        Path, typer.Argument(metavar="[RUNS]", help="The folder that holds the run folders.")
    ] = Path("runs"),
    port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="The port; without it a free one from 8765 on.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Another address to listen on: then other machines can reach the lab.")
    ] = "127.0.0.1",
    browser: Annotated[bool, typer.Option(help="Open a browser, where there is a display.")] = True,
) -> None:
    """Look at runs as they grow, compare them, start new ones, and play, in a browser. Ctrl-C ends it.

    It prints the address, whose token nobody else on the machine has, and serves on this machine alone.
    Looking at a run never changes it.
    """
    from nnlab.cli.terminal import Terminal
    from nnlab.errors import InputError
    from nnlab.live.serve import has_display, is_local, serve

    if os.path.lexists(runs) and not os.path.isdir(runs):
        raise InputError(f"{runs}: is no folder; give the folder that holds the run folders")
    if (runs / "summary.json").exists():
        raise InputError(f"{runs}: is a run; give the folder that holds the run folders, such as runs")
    say = Terminal().say
    if not is_local(host):
        say(
            f"warning: --host {host}: whoever reaches this machine and has the token can start runs here, "
            "and nothing is encrypted on the way. In an open network, ssh -L is safer"
        )
    serve(runs, host, port, browser=browser and has_display(), say=say)
