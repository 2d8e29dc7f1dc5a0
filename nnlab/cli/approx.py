"""`nnlab approx`: universal approximation, with its settings as flags."""

import re
from pathlib import Path
from typing import Annotated

import typer

from nnlab.cli.run import AsJson, Flag, Quiet, Runs, Sets, numbers, run_config
from nnlab.errors import InputError


def approx(
    bins: Annotated[str | None, typer.Option(help="Numbers of bins, such as 5,10,50.")] = None,
    target: Annotated[
        str | None, typer.Option(help="An expression in x, a name such as runge, or a CSV file of points.")
    ] = None,
    epsilon: Annotated[
        str | None, typer.Option(help="The largest error allowed; the number of bins follows from it.")
    ] = None,
    config: Annotated[str, typer.Option(help="A YAML file or shipped config of the experiment.")] = "approx",
    interval: Annotated[
        str | None, typer.Option(help="The interval on which to approximate, such as 0,1 or 0,2*pi.")
    ] = None,
    construction: Annotated[str | None, typer.Option(help="Built as staircase, towers or hats.")] = None,
    heights: Annotated[str | None, typer.Option(help="Heights from each midpoint or left end.")] = None,
    steepness: Annotated[str | None, typer.Option(help="Steepness w of each step, or hard.")] = None,
    activation: Annotated[
        str | None, typer.Option(help="Activation of the steps, such as tanh or step.")
    ] = None,
    output: Annotated[str | None, typer.Option(help="Output activation: identity or sigmoid.")] = None,
    lipschitz: Annotated[
        str | None, typer.Option(help="The Lipschitz constant L; by default it is computed.")
    ] = None,
    parts: Annotated[
        str | None, typer.Option(help="Which of perceptron,steps,bins,surface,sums to run; all by default.")
    ] = None,
    sets: Sets = None,
    seed: Annotated[int | None, typer.Option(help="The seed of all that is random.")] = None,
    runs: Runs = Path("runs"),
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Approximate functions by networks built by formula, each with a certified bound on its error.

    The last line printed is the run's folder.
    """

    flags = [
        Flag("--bins", ("bins",), numbers("--bins", bins, int, "5,10,50")),
        Flag("--target", ("target",), target),
        Flag("--epsilon", ("epsilon",), epsilon),
        Flag("--interval", ("interval",), _ends(interval)),
        Flag("--construction", ("construction",), construction),
        Flag("--heights", ("heights",), heights),
        Flag("--steepness", ("steepness",), steepness),
        Flag("--activation", ("activation",), activation),
        Flag("--output", ("output",), output),
        Flag("--lipschitz", ("lipschitz",), lipschitz),
        Flag("--parts", ("parts",), None if parts is None else parts.split(",")),
        Flag("--seed", ("seed",), seed),
    ]
    run_config(config, sets or [], flags, runs=runs, as_json=as_json, quiet=quiet)


def _ends(text: str | None) -> list[str] | None:
    """The ends of an interval, typed as 0,1 or 0..1, with or without brackets; the config reads them.

    Raises:
        InputError: there are not two of them.
    """
    if text is None:
        return None
    inside = text.strip()
    if inside[:1] + inside[-1:] in ("[]", "()"):
        inside = inside[1:-1]
    ends = re.split(r",|;|\.\.", inside)
    if len(ends) != 2:
        raise InputError(
            f"--interval {text}: must be two numbers with a comma between, such as 0,1 or 0,2*pi; decimal "
            "numbers have a point"
        )
    return ends
