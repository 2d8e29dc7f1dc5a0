"""`nnlab cite`: what a work that uses some runs cites, as BibTeX."""

from pathlib import Path
from typing import Annotated

import typer


def cite(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders, or groups of seeds.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Print BibTeX of the lab, in the version that ran, and of the sources of the runs' claims.

    A comment names the source of each claim, or says that it is elementary.
    """
    import json

    from nnlab.lab import citing
    from nnlab.record import open_run

    citation = citing.cite([open_run(run) for run in dict.fromkeys(runs)])
    print(json.dumps(citation.as_dict(), ensure_ascii=False, indent=2) if as_json else citation.bibtex())
