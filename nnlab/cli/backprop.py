"""`nnlab backprop`: an expression as a computational graph, its gradients spelled out and checked."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand


class ExpressionCommand(TyperCommand):
    """A command whose argument may begin with a minus sign: of its options all but -h have two."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        takers = {
            name for option in self.params if not getattr(option, "is_flag", True) for name in option.opts
        }
        spaced = [
            f" {word}" if re.match("-[^-]", word) and word != "-h" and before not in takers else word
            for before, word in pairwise(["", *args])
        ]
        return super().parse_args(ctx, spaced)


def backprop(
    expression: Annotated[
        str | None, typer.Argument(help='Such as "(x + y) * z" or "logsumexp(W @ x) - sum(y * (W @ x))".')
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option(metavar="VALUES", help="x=-2,W=[[1,2],[3,4]], or a YAML or NPZ file; may be repeated."),
    ] = None,
    example: Annotated[
        str | None, typer.Option(help="A worked example of the lecture: sum, neuron, scores or logsumexp.")
    ] = None,
    config: Annotated[
        str | None, typer.Option(help="The network of a config, with its first weights, on one example.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(metavar="RUN", help="The trained network of a run, on one example.")
    ] = None,
    row: Annotated[
        int | None,
        typer.Option("--row", min=0, help="With --config or --model: which test example, if not 0."),
    ] = None,
    sets: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="With --config: override a value.")
    ] = None,
    fuse: Annotated[
        bool, typer.Option("--fuse", help="Take 1/(1 + exp(-a)) as one node, the sigmoid.")
    ] = False,
    steps: Annotated[
        bool, typer.Option("--steps", help="Go through the backward pass node by node.")
    ] = False,
    png: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the graph into a new PNG file.")
    ] = None,
    svg: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the graph into a new SVG file.")
    ] = None,
    latex: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the worksheet into a new LaTeX file.")
    ] = None,
    digits: Annotated[
        int | None, typer.Option(min=1, max=17, help="Significant digits shown, if not 4, or 3 in a picture.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON on stdout.")] = False,
) -> None:
    """Backpropagate through an expression or a network: every node, every gradient, checked twice.

    Each gradient is held against torch.autograd and against central differences in float64.
    """
    from nnlab.cli import network_worksheet, worksheet
    from nnlab.errors import InputError

    sources = {"EXPRESSION": expression, "--example": example, "--config": config, "--model": model}
    given = [name for name, value in sources.items() if value is not None]
    if len(given) != 1:
        raise InputError(
            f"give one of EXPRESSION, --example, --config and --model, not {' and '.join(given) or 'none'}: "
            'nnlab backprop "(x + y) * z" --at x=-2,y=5,z=-4'
        )
    wanted = {"--png": png, "--svg": svg, "--latex": latex}
    files = {flag: path for flag, path in wanted.items() if path is not None}
    of_network = config is not None or model is not None
    not_for_network = {"--at": at is not None, "--fuse": fuse, "--png": png, "--svg": svg}
    misplaced = {
        "--set goes with --config": sets is not None and config is None,
        "--row goes with --config or --model": row is not None and not of_network,
        "--steps is for reading; --json has every step": steps and as_json,
        "--digits is for reading; --json has every digit": digits is not None and as_json and not files,
        **{
            f"{flag} is for an expression, not for a network": given and of_network
            for flag, given in not_for_network.items()
        },
    }
    for reason, holds in misplaced.items():
        if holds:
            raise InputError(reason)
    if of_network:
        network_worksheet.network(
            config, model, sets or [], row or 0, steps=steps, latex=latex, digits=digits, as_json=as_json
        )
    else:
        worksheet.expression(
            expression, at or [], example, fuse=fuse, steps=steps, files=files, digits=digits, as_json=as_json
        )
