"""Both worksheets in a terminal: tables, or the backward pass one step after the other."""

import math
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nnlab.chapters.backpropagation.checks import AUTOGRAD_TOLERANCE, Check, Checks
from nnlab.chapters.backpropagation.network_worksheet import Gradient, NetworkSheet, is_short
from nnlab.chapters.backpropagation.notation import format_array, format_number, format_truth
from nnlab.chapters.backpropagation.sentences import kink_notes, local, network_notes, rule
from nnlab.chapters.backpropagation.worksheet import Line, Worksheet
from nnlab.expressions.passes import Cost, forward_cost, reverse_cost

if TYPE_CHECKING:
    from torch import Tensor

    from nnlab.chapters.backpropagation.examples import Table as ExampleTable

DISAGREE = "[bold red]DISAGREE[/bold red]"
NARROW = 110
"""Letters in a row: in a narrower terminal the local derivative stands above the gradient passed on."""
ROWS = 200
"""A longer table shows its first and last rows; --json has all."""


class Pager:
    """Prints lines; where a person sits at the terminal, it waits between the steps, up to a q."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._waits = sys.stdin.isatty() and console.is_terminal

    def say(self, line: str) -> None:
        self._console.print(line, markup=False)

    def wait(self, prompt: str) -> None:
        if self._waits:
            try:
                self._waits = self._console.input(prompt, markup=False).strip().lower() != "q"
            except EOFError:  # Ctrl-D
                self._waits = False


def _table(title: str, columns: Iterable[str], rows: Iterable[Sequence[str]], *, left: int) -> Table:
    """Builds a table of ready strings; the first `left` columns are flush left, the others right."""
    table = Table(title=escape(title), title_justify="left", show_edge=False, pad_edge=False)
    for position, column in enumerate(columns):
        table.add_column(escape(column), justify="left" if position < left else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _ends(items: Sequence[Any]) -> list[Any]:
    """Returns all of them, or the first and last with a None between."""
    half = ROWS // 2
    return list(items) if len(items) <= ROWS else [*items[:half], None, *items[-half:]]


# --- an expression ---


def show_worksheet(
    console: Console, sheet: Worksheet, checks: Checks, table: "ExampleTable | None", *, steps: bool,
    digits: int,
) -> None:  # fmt: skip
    """Prints an expression's graph, its gradients beside those of the checks, and remarks on both.

    With `steps`, the backward pass node by node, which waits for Enter in a terminal.
    """
    if steps:
        _go_through(Pager(console), sheet, digits)
    else:
        console.print(_graph_table(sheet, digits, is_narrow=console.width < NARROW))
    console.print(_gradient_table(sheet, checks, digits))
    for what, error in (
        ("the value beside torch's", checks.value_error),
        ("forward mode beside backpropagation", checks.forward_error),
    ):
        if error is not None and not error <= AUTOGRAD_TOLERANCE:  # NaN disagrees
            console.print(f"{what}: relative difference {format_number(error, 2)}, {DISAGREE}")
    for line in [*kink_notes(sheet, checks, sheet.notation, digits), *_effort(sheet, checks)]:
        console.print(line, markup=False)
    if table is not None:
        rows = [
            [escape(cell if isinstance(cell, str) else format_array(cell, digits)) for cell in row]
            for row in table.rows
        ]
        console.print(_table(table.title, table.columns, rows, left=1))


def heading(sheet: Worksheet) -> str:
    """Returns `f = ` and the expression, a long one shortened in its middle."""
    text = " ".join(sheet.graph.text.split())
    return f"{sheet.notation.result} = {text if len(text) <= 120 else f'{text[:100]} … {text[-17:]}'}"


def _graph_table(sheet: Worksheet, digits: int, *, is_narrow: bool) -> Table:
    """Builds one row per node, and one per edge: evaluation order down, the backward pass on the right."""
    has_arrays = any(sheet.shapes)
    columns = ["node", "operation", *["shape"] * has_arrays, "value"]
    columns.append(f"gradient {sheet.notation.gradient('node')}")
    last = ["local derivative", "gradient passed on"]
    columns += [", ".join(last)] if is_narrow else last
    rows = []
    for line in _ends(sheet.lines):
        if line is None:
            rows.append(["…"])
            continue
        operation = "given" if line.is_given else line.operation
        gradient = "-" if line.gradient is None else format_array(line.gradient, digits)
        shape = [str(line.value.shape) if line.value.shape else ""] if has_arrays else []
        cells = [line.name, operation, *shape, _value(line, digits), gradient]
        edges = [[local(sheet, line, e, digits), rule(sheet, line, e, digits)] for e in line.edges]
        for both in edges or [["", ""]]:
            ends = ["\n".join(filter(None, dict.fromkeys(both)))] if is_narrow else both
            rows.append(list(map(escape, [*cells, *ends])))
            cells = [""] * len(cells)
    return _table(heading(sheet), columns, rows, left=len(columns))


def _value(line: Line, digits: int) -> str:
    return format_truth(line.value) if line.is_condition else format_array(line.value, digits)


def _gradient_table(sheet: Worksheet, checks: Checks, digits: int) -> Table:
    """Sets the gradient of each variable beside central differences, and beside torch's if it was asked."""
    rows = []
    for check in _ends(checks.variables):
        if check is None:
            rows.append(["…"])
            continue
        gradient = sheet.gradients[check.variable]
        kinked = [d for d in check.differences if d.bends or (d.variable, d.entry) in checks.sides]
        telling = [d for d in check.differences if math.isfinite(d.derivative) and d not in kinked]
        distance, error = "at a kink" if kinked else "-", "-"
        if telling:
            worst = max(telling, key=lambda d: abs(d.derivative - gradient[d.entry]))
            distance = format_number(abs(worst.derivative - float(gradient[worst.entry])), 2)
            error = f"±{format_number(worst.error, 2)} at h = {format_number(worst.step, 2)}"
        of_torch = []
        if check.autograd is not None:
            gap = "-" if math.isnan(check.autograd_error) else format_number(check.autograd_error, 2)
            of_torch = [escape(format_array(check.autograd, digits)), gap]
        names = map(escape, (sheet.notation.gradient(check.variable), format_array(gradient, digits)))
        rows.append([*names, *of_torch, distance, error, _verdict(check)])
    torch_columns = ["torch.autograd", "relative difference"] if checks.asked_torch else []
    ends = ["central difference: off by", "error estimate", "verdict"]
    columns = ["gradient", "backpropagation", *torch_columns, *ends]
    return _table(f"{sheet.notation.result} = {format_number(sheet.value, digits)}", columns, rows, left=1)


def _verdict(check: Check) -> str:
    if not check.agrees:
        return DISAGREE
    if not check.unchecked:
        return "agree"
    if check.entries == 1:
        return "not checked"
    return f"{'agree, ' if check.checked else ''}{check.unchecked:,} of {check.entries:,} not checked"


def _effort(sheet: Worksheet, checks: Checks) -> list[str]:
    """Says how many entries have differences, and what the gradient costs in either mode."""
    checked = sum(len(check.differences) for check in checks.variables)
    entries = sum(array.size for array in sheet.at.values())
    reverse, forward = (_cost(cost(sheet.graph, sheet.shapes)) for cost in (reverse_cost, forward_cost))
    lines = [f"the whole gradient: reverse mode {reverse}; forward mode {forward}"]
    if checked < entries:
        lines.insert(0, f"central differences: {checked:,} of {entries:,} entries, drawn at random")
    return lines


def _cost(cost: Cost) -> str:
    counts = (
        (cost.passes, "pass", "passes"),
        (cost.multiply_adds, "multiply-add", "multiply-adds"),
        (cost.stored, "value", "values"),
    )
    return ", ".join(f"{count:,} {one if count == 1 else many}" for count, one, many in counts) + " kept"


def _go_through(pager: Pager, sheet: Worksheet, digits: int) -> None:
    notation = sheet.notation
    pager.say(heading(sheet))
    for line in sheet.lines:
        operation = "" if line.is_given else f"{line.operation} = "
        pager.say(f"  {line.name} = {operation}{_value(line, digits)}")
    start = f"the backward pass begins at the result, {format_array(sheet.lines[-1].value, digits)}"
    pager.say(f"{notation.gradient(notation.result)} = 1: {start}")
    steps = [line for line in reversed(sheet.lines) if line.edges]
    last_use = {edge.argument: line.index for line in steps for edge in line.edges}
    inputs = {line.index: line for line in sheet.lines if not line.edges}
    for number, line in enumerate(steps, 1):
        pager.wait(f"[{number} of {len(steps)}] Enter: next node, q: all others ")
        assert line.gradient is not None
        pager.say(f"{line.name} = {line.operation}: {format_array(line.gradient, digits)} arrives")
        for edge in line.edges:
            if derivative := local(sheet, line, edge, digits):
                pager.say(f"  local derivative {derivative}")
            pager.say(f"  passes on {rule(sheet, line, edge, digits)}")
        for index in dict.fromkeys(edge.argument for edge in line.edges):
            target = inputs.get(index)
            if target is not None and target.gradient is not None and last_use[index] == line.index:
                gradient = format_array(target.gradient, digits)
                pager.say(f"  complete: {notation.gradient(target.name)} = {gradient}")


# --- a network ---


def show_network(console: Console, sheet: NetworkSheet, *, steps: bool, digits: int) -> None:
    """Prints the values of a network's layers, their gradients, and the result of the check.

    With `steps`, the backward pass layer by layer, which waits for Enter in a terminal.
    """
    if steps:
        _go_through_layers(Pager(console), sheet, digits)
    else:
        rows = [
            list(map(escape, [layer, name, how or "given", *_size(value, digits)]))
            for layer, name, how, value in sheet.values
        ]
        size = ["shape", "norm", "entries"]
        console.print(_table("forward", ["layer", "value", "computed as", *size], rows, left=3))
        columns = ["layer", "gradient", "computed as", *size, "relative difference"]
        rows = [
            [*map(escape, [layer, name, g.formula, *_size(g.value, digits)]), format_number(g.error, 2)]
            for layer, name, g in sheet.gradients
        ]
        console.print(_table(f"backward: L = {format_number(sheet.loss, digits)}", columns, rows, left=3))
    for line in network_notes(sheet):
        console.print(line, markup=False)


def _size(value: "Tensor", digits: int) -> list[str]:
    """Returns shape, norm, and the entries where they are few."""
    entries = format_array(value.numpy(), digits) if is_short(value) else ""
    return ["×".join(map(str, value.shape)), format_number(float(value.norm()), digits), entries]


def _go_through_layers(pager: Pager, sheet: NetworkSheet, digits: int) -> None:
    def say(name: str, gradient: Gradient) -> None:
        shape, norm, entries = _size(gradient.value, digits)
        pager.say(f"{name} = {gradient.formula}: {shape}, norm {norm}{f', {entries}' if entries else ''}")

    names = " → ".join(["x", *(step.name for step in sheet.steps)])
    pager.say(f"forward: {names}; L = {format_number(sheet.loss, digits)}")
    for count, step in enumerate(reversed(sheet.steps), 1):
        pager.wait(f"[{count} of {len(sheet.steps)}] Enter: next layer, q: all others ")
        pager.say(f"{step.layer}: {step.name} = {step.formula}")
        say(f"  {step.gradient_name}", step.gradient)
        for name, gradient in step.parameters.items():
            say(f"  ∂L/∂{name}", gradient)
    say("∂L/∂x", sheet.input_gradient)
