"""`nnlab configs`: the configs that come with nnlab, and checks for your own."""

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="List, show, copy and check configs; print their JSON schema.", no_args_is_help=True)


@app.command("list")
def list_() -> None:
    """The shipped configs, and what each of them shows."""
    from rich.markup import escape

    from nnlab.cli import terminal
    from nnlab.lab.config import shipped_configs

    rows = [(escape(name), escape(_about(path))) for name, path in shipped_configs().items()]
    table = terminal.table("nnlab train --config NAME", ("name", "what it shows"), rows)
    table.columns[1].justify = "left"
    terminal.out().print(table)


def _about(path: Path) -> str:
    """The comment on the second line; the first one holds the command."""
    lines = path.read_text("utf-8").splitlines()
    return lines[1].removeprefix("#").strip() if len(lines) > 1 and lines[1].startswith("#") else ""


@app.command()
def show(name: str) -> None:
    """Print a config."""
    from nnlab.lab.config import read_source

    print(read_source(name).text, end="")


@app.command()
def copy(name: str, destination: Annotated[Path | None, typer.Argument()] = None) -> None:
    """Copy a shipped config, to change it. Never overwrites a file."""
    from nnlab.cli.shipped import copy_shipped
    from nnlab.lab.config import shipped_configs

    print(copy_shipped("config", shipped_configs(), name, destination))


@app.command("check")
def check_(configs: list[str]) -> None:
    """Check configs without running them."""
    from nnlab.chapters.experiments import EXPERIMENTS
    from nnlab.lab.config import check, read_source

    for config in configs:
        check(read_source(config), EXPERIMENTS)
        print(f"{config}: good")


@app.command()
def schema() -> None:
    """Print the JSON schema of a config, for editors that complete and check YAML."""
    from nnlab.chapters.experiments import EXPERIMENTS
    from nnlab.lab.config import json_schema

    print(json.dumps(json_schema(EXPERIMENTS), indent=2, ensure_ascii=False))
