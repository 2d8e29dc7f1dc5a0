"""`nnlab approx`: universal approximation, with its settings as flags."""

from pathlib import Path
from typing import Annotated

import typer


def approx(
    bins: Annotated[str | None, typer.Option(help="Numbers of bins, such as 5,10,50.")] = None,
    target: Annotated[
        str | None, typer.Option(help="An expression in x, a name such as runge, or a CSV file of points.")
    ] = None,
    epsilon: Annotated[
        float | None, typer.Option(help="The largest error allowed: the number of bins follows.")
    ] = None,
    config: Annotated[str, typer.Option(help="A YAML file or shipped config of the experiment.")] = "approx",
    interval: Annotated[str | None, typer.Option(help="Where to approximate, such as 0,1.")] = None,
    construction: Annotated[str | None, typer.Option(help="staircase, towers or hats.")] = None,
    heights: Annotated[str | None, typer.Option(help="midpoint or left.")] = None,
    steepness: Annotated[str | None, typer.Option(help="w of each step, or hard.")] = None,
    activation: Annotated[str | None, typer.Option(help="sigmoid, tanh, ripple or step.")] = None,
    output: Annotated[str | None, typer.Option(help="identity or sigmoid.")] = None,
    lipschitz: Annotated[
        float | None, typer.Option(help="L, where you know better than the program.")
    ] = None,
    parts: Annotated[
        str | None, typer.Option(help="Some of perceptron,steps,bins,surface,sums; all by default.")
    ] = None,
    sets: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override any other value.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The first seed of what is trained.")] = None,
    runs: Annotated[Path, typer.Option(help="The folder that run folders go to.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON on stdout.")] = False,
    quiet: Annotated[bool, typer.Option(help="No progress and no tables: only the run folder.")] = False,
) -> None:
    """Approximate functions by constructed networks, with a proof of how far each is off.

    The last line printed is the run's folder.
    """
    from nnlab.cli.run import Flag, numbers, run_config

    flags = [
        Flag("--bins", ("bins",), numbers("--bins", bins, int, "5,10,50")),
        Flag("--target", ("target",), target),
        Flag("--epsilon", ("epsilon",), epsilon),
        Flag("--interval", ("interval",), numbers("--interval", interval, float, "0,1")),
        Flag("--construction", ("construction",), construction),
        Flag("--heights", ("heights",), heights),
        Flag("--steepness", ("steepness",), _number(steepness)),
        Flag("--activation", ("activation",), activation),
        Flag("--output", ("output",), output),
        Flag("--lipschitz", ("lipschitz",), lipschitz),
        Flag("--parts", ("parts",), None if parts is None else parts.split(",")),
        Flag("--seed", ("seed",), seed),
    ]
    run_config(config, sets or [], flags, runs=runs, as_json=as_json, quiet=quiet)


def _number(text: str | None) -> float | str | None:
    """A number where it is one; the config says what else is allowed."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return text
