"""`nnlab configs`: the configs that come with nnlab, and checks for your own."""

import json
from pathlib import Path
from typing import Annotated

import typer

from nnlab.cli.shipped import copy_shipped, list_shipped

app = typer.Typer(help="List, show, copy and check configs; print their JSON schema.", no_args_is_help=True)


@app.command("list")
def list_() -> None:
    """The shipped configs, and what each of them shows."""
    from nnlab.lab.config import about, shipped_configs

    list_shipped("nnlab train --config", {name: about(path) for name, path in shipped_configs().items()})


@app.command()
def show(name: str) -> None:
    """Print a config."""
    from nnlab.lab.config import read_source

    print(read_source(name).text, end="")


@app.command()
def copy(name: str, destination: Annotated[Path | None, typer.Argument()] = None) -> None:
    """Copy a shipped config, to change it. Never overwrites a file."""
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
