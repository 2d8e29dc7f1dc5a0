"""`nnlab notebooks`: the notebooks that come with nnlab."""

import json
from pathlib import Path
from typing import Annotated

import typer

from nnlab.cli.shipped import copy_shipped, list_shipped

app = typer.Typer(help="List and copy the notebooks that come with nnlab.", no_args_is_help=True)


def shipped_notebooks() -> dict[str, Path]:
    """The shipped notebooks, by name."""
    folder = Path(__file__).parent.parent / "notebooks"
    return {path.stem: path for path in sorted(folder.glob("*.ipynb"))}


@app.command("list")
def list_() -> None:
    """The shipped notebooks, and what each of them shows."""
    list_shipped("nnlab notebooks copy", {name: _title(path) for name, path in shipped_notebooks().items()})


def _title(path: Path) -> str:
    """The heading in a notebook's first cell."""
    cell = json.loads(path.read_text("utf-8"))["cells"][0]
    return str(cell["source"][0]).lstrip("# ").strip()


@app.command()
def copy(name: str, destination: Annotated[Path | None, typer.Argument()] = None) -> None:
    """Copy a notebook, to run and change it. Never overwrites a file."""
    print(copy_shipped("notebook", shipped_notebooks(), name, destination))
