"""`nnlab backprop`: an expression as a computational graph, its gradients spelled out and checked."""

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

DIGITS = 4
"""Significant digits in tables and LaTeX, if no others are chosen."""


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


COMMAND = ExpressionCommand


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
        str | None, typer.Option(metavar="RUN", help="The trained network of a run, on one example.")
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
    torch: Annotated[
        bool, typer.Option("--torch", help="Check against torch.autograd in any case; it takes time to load.")
    ] = False,
    digits: Annotated[
        int | None, typer.Option(min=1, max=17, help="Significant digits: 4 by default, 3 in a picture.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON on stdout.")] = False,
) -> None:
    """Backpropagate through an expression or a network: every node, every gradient, checked twice.

    Each gradient is held against central differences in float64, and against torch.autograd where these
    leave a question: at kinks, and for large arrays.
    """
    from nnlab.cli.files import check_places
    from nnlab.errors import InputError

    sources = {"EXPRESSION": expression, "--example": example, "--config": config, "--model": model}
    named = [name for name, value in sources.items() if value is not None]
    if len(named) != 1:
        raise InputError(
            f"give one of EXPRESSION, --example, --config and --model, not {' and '.join(named) or 'none'}: "
            'nnlab backprop "(x + y) * z" --at x=-2,y=5,z=-4'
        )
    of_network = config is not None or model is not None
    not_for_network = {"--at": at is not None, "--fuse": fuse, "--png": png, "--svg": svg}
    places = {"--png": png, "--svg": svg, "--latex": latex}
    files = {flag: path for flag, path in places.items() if path is not None}
    misplaced = {
        "--set goes with --config": sets is not None and config is None,
        "--torch is for an expression; a network is always held against torch.autograd": torch and of_network,
        "--row goes with --config or --model": row is not None and not of_network,
        "--steps is for reading; --json has every step": steps and as_json,
        "--digits is for reading; --json has every digit": digits is not None and as_json and not files,
        **{
            f"{flag} is for an expression, not for a network": used and of_network
            for flag, used in not_for_network.items()
        },
    }
    for reason, holds in misplaced.items():
        if holds:
            raise InputError(reason)
    check_places(files)
    if of_network:
        _network(config, model, sets or [], row or 0, files, steps=steps, digits=digits, as_json=as_json)
    else:
        _expression(
            expression, at or [], example, files, fuse=fuse, steps=steps, torch=torch, digits=digits,
            as_json=as_json,
        )  # fmt: skip


def _expression(
    text: str | None, at: Sequence[str], example: str | None, files: Mapping[str, Path], *, fuse: bool,
    steps: bool, torch: bool, digits: int | None, as_json: bool,
) -> None:  # fmt: skip
    """Builds, checks, writes and shows the worksheet of an expression."""
    if "numpy" not in sys.modules:  # whose threads take longer to start than a worksheet takes
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from nnlab.chapters.backpropagation.checks import check
    from nnlab.chapters.backpropagation.terminal import heading, show_worksheet
    from nnlab.chapters.backpropagation.values import graph_at, read_values
    from nnlab.chapters.backpropagation.worksheet import build, with_sigmoids
    from nnlab.cli import terminal
    from nnlab.errors import CheckFailed

    values = read_values(at)
    worked = table = None
    if example is not None:
        from nnlab.chapters.backpropagation.examples import example_at, example_table

        worked = example_at(example, values)
        text, values, table = worked.expression, dict(worked.at), example_table(worked)
    graph = graph_at((text or "").strip(), list(values))
    sheet = build(with_sigmoids(graph) if fuse else graph, values)
    checks = check(sheet, torch=torch)
    contents: dict[str, bytes] = {}
    pictures = [flag for flag in ("--png", "--svg") if flag in files]
    if pictures:
        from nnlab.chapters.backpropagation import picture
        from nnlab.expressions.signs import plain
        from nnlab.plot.save import render

        for flag in pictures:
            figure = picture.computational_graph(sheet, plain(heading(sheet)), digits or picture.DIGITS)
            contents[flag] = render(figure, flag.removeprefix("--"), "graph")
    if "--latex" in files:
        from nnlab.chapters.backpropagation.latex import latex

        contents["--latex"] = latex(sheet, digits or DIGITS, checks=checks, table=table).encode()

    def show() -> None:
        console = terminal.out()
        if worked is not None:
            console.print(worked.sentence, markup=False)
        show_worksheet(console, sheet, checks, table, steps=steps, digits=digits or DIGITS)

    def as_object() -> dict[str, Any]:
        from nnlab.chapters.backpropagation.as_json import worksheet_json

        return worksheet_json(sheet, checks, table)

    _deliver(files, contents, as_object() if as_json else show)
    if not checks.agree:
        raise CheckFailed("the gradients above disagree with those of torch.autograd or central differences")


def _network(
    config: str | None, run: str | None, sets: list[str], row: int, files: Mapping[str, Path], *,
    steps: bool, digits: int | None, as_json: bool,
) -> None:  # fmt: skip
    """Builds, checks, writes and shows the worksheet of a network."""
    from nnlab.chapters.backpropagation.as_json import network_json
    from nnlab.chapters.backpropagation.latex import network_latex
    from nnlab.chapters.backpropagation.network_experiment import of_config, of_run
    from nnlab.chapters.backpropagation.terminal import show_network
    from nnlab.cli import terminal
    from nnlab.cli.run import checked_config, folder_of, new_session
    from nnlab.errors import CheckFailed

    if config is not None:
        title, sheet = of_config(checked_config(config, sets, []), row, new_session())
    else:
        assert run is not None
        title, sheet = of_run(folder_of(run, Path("runs")), row, new_session())
    contents = {flag: network_latex(sheet, title, digits or DIGITS).encode() for flag in files}

    def show() -> None:
        console = terminal.out()
        console.print(title, markup=False)
        show_network(console, sheet, steps=steps, digits=digits or DIGITS)

    _deliver(files, contents, network_json(sheet, title) if as_json else show)
    if not sheet.agrees:
        raise CheckFailed("the gradients above disagree with those of torch.autograd")


def _deliver(
    files: Mapping[str, Path], contents: Mapping[str, bytes], output: dict[str, Any] | Callable[[], None]
) -> None:
    """Writes the files, then prints a worksheet as JSON, or lets it print itself."""
    from nnlab.cli.files import write

    write(files, contents)
    if isinstance(output, dict):
        from nnlab.cli import terminal
        from nnlab.record import plain

        terminal.print_json(plain(output))
        return
    output()
    for path in files.values():
        print(f"wrote {path}", file=sys.stderr)
