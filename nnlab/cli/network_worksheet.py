"""What `nnlab backprop --config` and `--model` show: a network's layers, forward and back."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from torch import Tensor

    from nnlab.chapters.backpropagation.network import Gradient, NetworkSheet


def network(
    config: str | None, run: Path | None, sets: list[str], row: int, *, steps: bool, latex: Path | None,
    digits: int | None, as_json: bool,
) -> None:  # fmt: skip
    """Builds, checks, shows and writes the worksheet of a network."""
    from nnlab.chapters.backpropagation.network_experiment import of_config, of_run
    from nnlab.cli.files import check_places, write
    from nnlab.cli.run import checked_config, new_session
    from nnlab.cli.worksheet import DIGITS
    from nnlab.errors import CheckFailed

    files = {} if latex is None else {"--latex": latex}
    check_places(files)
    if config is not None:
        sentence, sheet = of_config(checked_config(config, sets, []), row, new_session())
    else:
        assert run is not None
        sentence, sheet = of_run(run, row, new_session())
    if files:
        from nnlab.chapters.backpropagation.network_latex import network_latex

        notes = [*_legend(sheet), _verdict(sheet)]
        write(files, {"--latex": network_latex(sheet, sentence, notes, digits or DIGITS).encode()})
    if as_json:
        print(json.dumps(_as_json(sentence, sheet), ensure_ascii=False, allow_nan=False))
    else:
        _show(sentence, sheet, steps=steps, digits=digits or DIGITS)
        for path in files.values():
            print(f"wrote {path}", file=sys.stderr)
    if not sheet.agrees:
        raise CheckFailed("the gradients above disagree with those of torch.autograd")


def _show(sentence: str, sheet: "NetworkSheet", *, steps: bool, digits: int) -> None:
    """The worksheet, for a reader."""
    from nnlab.cli import terminal, worksheet

    console = terminal.out()
    console.print(sentence, markup=False)
    if steps:
        _go_through(worksheet.Pager(console), sheet, digits)
    else:
        console.print(_forward_table(sheet, digits))
        console.print(_backward_table(sheet, digits))
    for line in _legend(sheet):
        console.print(line, markup=False)
    console.print(_verdict(sheet), markup=False)


def _forward_table(sheet: "NetworkSheet", digits: int) -> Table:
    from nnlab.cli import terminal

    rows = [["example", "x", "given", *_sized(sheet.inputs, digits)]]
    rows += [[s.layer, s.name, s.formula, *_sized(s.value, digits)] for s in sheet.steps]
    columns = ("layer", "value", "computed as", "shape", "norm", "entries")
    return _left(terminal.table("forward", columns, [list(map(escape, row)) for row in rows]))


def _backward_table(sheet: "NetworkSheet", digits: int) -> Table:
    """From the loss down to the example: what arrives at each layer's result, and what its weights get."""
    from nnlab.chapters.backpropagation.numbers import number
    from nnlab.cli import terminal

    def row(layer: str, name: str, found: "Gradient") -> list[str]:
        return [layer, name, found.formula, *_sized(found.value, digits), number(found.error, 2)]

    rows = []
    for step in reversed(sheet.steps):
        rows.append(row(step.layer, step.gradient_name, step.gradient))
        rows += [row("", f"∂L/∂{name}", found) for name, found in step.parameters.items()]
    rows.append(row("example", "∂L/∂x", sheet.input_gradient))
    columns = ("layer", "gradient", "computed as", "shape", "norm", "entries", "off autograd")
    title = f"backward: L = {number(sheet.loss, digits)}"
    return _left(terminal.table(title, columns, [list(map(escape, row)) for row in rows]))


def _left(table: Table) -> Table:
    """Formulas read from the left."""
    for column in table.columns[:3]:
        column.justify = "left"
    return table


def _sized(value: "Tensor", digits: int) -> list[str]:
    """Shape, norm, and the entries where they are few."""
    from nnlab.chapters.backpropagation.numbers import array, number

    few = value.numel() <= 6 and value.ndim == 1
    shape = "×".join(map(str, value.shape))
    return [shape, number(float(value.norm()), digits), array(value.numpy(), digits) if few else ""]


def _legend(sheet: "NetworkSheet") -> list[str]:
    formulas = " ".join(step.formula for step in sheet.steps)
    lines = []
    if "P(" in formulas:
        lines.append(
            "P(h): a column for every place, with the pixels under the filters there; Pᵀ adds up what "
            "arrives at a pixel from all its places"
        )
    if "√(s² + ε)" in formulas:
        lines.append("μ, s²: the running mean and variance of batch norm")
    return lines


def _verdict(sheet: "NetworkSheet") -> str:
    from nnlab.chapters.backpropagation.network import TOLERANCE
    from nnlab.chapters.backpropagation.numbers import number

    word = "agree with" if sheet.agrees else "DISAGREE with"
    return (
        f"all gradients {word} torch.autograd in float64: largest relative difference "
        f"{number(sheet.error, 2)} (allowed {number(TOLERANCE, 2)}); of the loss alone, without a penalty on "
        "the weights"
    )


def _go_through(pager: Any, sheet: "NetworkSheet", digits: int) -> None:
    """The backward pass, one layer at a time."""
    from nnlab.chapters.backpropagation.numbers import number

    way = " → ".join(["x", *(step.name for step in sheet.steps)])
    pager.say(f"forward: {way}; L = {number(sheet.loss, digits)}")
    for count, step in enumerate(reversed(sheet.steps), 1):
        pager.wait(f"[{count} of {len(sheet.steps)}] Enter: next layer, q: all others ")
        pager.say(f"{step.layer}: {step.name} = {step.formula}")
        pager.say(f"  {step.gradient_name} = {_told(step.gradient, digits)}")
        for name, found in step.parameters.items():
            pager.say(f"  ∂L/∂{name} = {_told(found, digits)}")
    pager.say(f"∂L/∂x = {_told(sheet.input_gradient, digits)}")


def _told(found: "Gradient", digits: int) -> str:
    shape, norm, entries = _sized(found.value, digits)
    return f"{found.formula}: {shape}, norm {norm}" + (f", {entries}" if entries else "")


def _as_json(sentence: str, sheet: "NetworkSheet") -> dict[str, Any]:
    def facts(formula: str, value: "Tensor") -> dict[str, Any]:
        return {"formula": formula, "shape": list(value.shape), "norm": float(value.norm())}

    def gradient(found: "Gradient") -> dict[str, Any]:
        return {**facts(found.formula, found.value), "error": found.error}

    return {
        "schema_version": 1,
        "network": sentence,
        "loss": sheet.loss,
        "layers": [
            {
                "layer": step.layer,
                "value": {"name": step.name, **facts(step.formula, step.value)},
                "gradient": {"name": step.gradient_name, **gradient(step.gradient)},
                "parameters": {name: gradient(found) for name, found in step.parameters.items()},
                "error": step.error,
            }
            for step in sheet.steps
        ],
        "input_gradient": gradient(sheet.input_gradient),
        "error": sheet.error,
    }
