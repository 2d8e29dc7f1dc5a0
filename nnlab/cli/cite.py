"""`nnlab cite`: what a work that uses some runs cites, as BibTeX."""

from pathlib import Path

from nnlab.cli.run import Json, RunNames, RunsFolder


def cite(names: RunNames, runs: RunsFolder = Path("runs"), as_json: Json = False) -> None:
    """Print BibTeX of the lab, in the version that ran, and of the sources of the runs' claims.

    A comment names the source of each claim, or says that it is elementary.
    """
    from nnlab.cli import terminal
    from nnlab.lab import citing
    from nnlab.record import find_run

    citation = citing.cite([find_run(name, runs) for name in dict.fromkeys(names)])
    if as_json:
        terminal.print_json(citation.as_dict())
    else:
        terminal.print_line(citation.bibtex())
