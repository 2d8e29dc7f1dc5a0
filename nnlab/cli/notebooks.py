"""`nnlab notebooks`: the notebooks that come with nnlab."""

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="List and copy the notebooks that come with nnlab.", no_args_is_help=True)


def shipped_notebooks() -> dict[str, Path]:
    """The shipped notebooks, by name."""
    folder = Path(__file__).parent.parent / "notebooks"
    return {path.stem: path for path in sorted(folder.glob("*.ipynb"))}


@app.command("list")
def list_() -> None:
    """The shipped notebooks, and what each of them shows."""
    from rich.markup import escape

    from nnlab.cli import terminal

    rows = [(escape(name), escape(_title(path))) for name, path in shipped_notebooks().items()]
    table = terminal.table("nnlab notebooks copy NAME", ("name", "what it shows"), rows)
    table.columns[1].justify = "left"
    terminal.out().print(table)


def _title(path: Path) -> str:
    """The heading in a notebook's first cell."""
    cell = json.loads(path.read_text("utf-8"))["cells"][0]
    return str(cell["source"][0]).lstrip("# ").strip()


@app.command()
def copy(name: str, destination: Annotated[Path | None, typer.Argument()] = None) -> None:
    """Copy a notebook, to run and change it. Never overwrites a file."""
    from nnlab.cli.shipped import copy_shipped

    print(copy_shipped("notebook", shipped_notebooks(), name, destination))
