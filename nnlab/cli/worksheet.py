"""What `nnlab backprop` shows: tables, one step after the other, JSON, and the files that it writes."""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from nnlab.chapters.backpropagation.build import Edge, Worksheet
    from nnlab.chapters.backpropagation.checks import Check, Checks
    from nnlab.chapters.backpropagation.examples import Example
    from nnlab.chapters.backpropagation.examples import Table as Facts
    from nnlab.expressions.costs import Cost

DISAGREE = "[bold red]DISAGREE[/bold red]"
DIGITS = 4
"""Of numbers in tables and LaTeX, if nothing else is wanted."""
NARROW = 110
"""In a terminal with fewer letters in a row, the local derivative stands above what is passed on."""
ROWS = 200
"""A longer table shows its first and last rows; --json has all."""


def expression(
    text: str | None, at: Sequence[str], example: str | None, *, fuse: bool, steps: bool,
    files: Mapping[str, Path], digits: int | None, as_json: bool,
) -> None:  # fmt: skip
    """Builds, checks, shows and writes the worksheet of an expression; `files` go by their flags."""
    from nnlab.chapters.backpropagation.build import build
    from nnlab.chapters.backpropagation.checks import check
    from nnlab.chapters.backpropagation.examples import example_table, find_example
    from nnlab.chapters.backpropagation.fuse import with_sigmoids
    from nnlab.chapters.backpropagation.inputs import graph_at, read_values
    from nnlab.cli.files import check_places
    from nnlab.errors import CheckFailed
    from nnlab.record import plain

    check_places(files)
    values = read_values(at)
    worked = None if example is None else find_example(example).with_values(values)
    if worked is not None:
        text, values = worked.expression, dict(worked.at)
    graph = graph_at((text or "").strip(), list(values))
    sheet = build(with_sigmoids(graph) if fuse else graph, values)
    checks = check(sheet)
    table = None if worked is None else example_table(worked)
    _write(sheet, checks, table, files, digits)
    if as_json:
        print(json.dumps(plain(_as_json(sheet, checks, table)), ensure_ascii=False, allow_nan=False))
    else:
        _show(sheet, checks, worked, table, steps=steps, digits=digits or DIGITS)
        for path in files.values():
            print(f"wrote {path}", file=sys.stderr)
    if not checks.agree:
        raise CheckFailed("the gradients above disagree with those of torch.autograd or central differences")


def _show(
    sheet: "Worksheet", checks: "Checks", worked: "Example | None", table: "Facts | None", *, steps: bool,
    digits: int,
) -> None:  # fmt: skip
    """Everything but the files, for a reader."""
    from nnlab.cli import terminal

    console = terminal.out()
    if worked is not None:
        console.print(worked.sentence, markup=False)
    if steps:
        _go_through(Pager(console), sheet, digits)
    else:
        console.print(_graph_table(sheet, digits, narrow=console.width < NARROW))
    console.print(_gradient_table(sheet, checks, digits))
    _notes(console, sheet, checks, digits)
    if table is not None:
        console.print(_example_table(table, digits))


# --- tables ---


def _graph_table(sheet: "Worksheet", digits: int, *, narrow: bool = False) -> Table:
    """One row per node, and below it one per edge: evaluation order down, the backward pass on the right."""
    from nnlab.chapters.backpropagation.numbers import array, truth
    from nnlab.chapters.backpropagation.sentences import rule

    made = Table(title=escape(_heading(sheet)), title_justify="left", show_edge=False)
    shaped = any(sheet.shapes)
    arrived = f"gradient {sheet.notation.gradient('node')}"
    for column in ("node", "operation", *(["shape"] if shaped else []), "value", arrived):
        made.add_column(column, overflow="fold")
    last = ["local derivative", "gradient passed on"]
    for column in [", ".join(last)] if narrow else last:
        made.add_column(column, overflow="fold")
    for line in _ends(sheet.lines):
        if line is None:
            made.add_row("…")
            continue
        operation = "given" if line.is_given else line.operation
        value = truth(line.value) if line.is_condition else array(line.value, digits)
        gradient = "-" if line.gradient is None else array(line.gradient, digits)
        shape = [str(line.value.shape) if line.value.shape else ""] if shaped else []
        cells = [line.name, operation, *shape, value, gradient]
        passed = [
            [_derivative(sheet, line.name, edge, digits), rule(sheet, line, edge, digits)]
            for edge in line.edges
        ]
        for both in passed or [["", ""]]:
            ours = ["\n".join(filter(None, dict.fromkeys(both)))] if narrow else both
            made.add_row(*map(escape, [*cells, *ours]))
            cells = [""] * len(cells)
    return made


def _derivative(sheet: "Worksheet", name: str, edge: "Edge", digits: int) -> str:
    """∂name/∂argument with its value; empty where it is a matrix."""
    from nnlab.chapters.backpropagation.sentences import local

    told = local(edge, digits)
    return f"{sheet.notation.partial(name, sheet.notation.names[edge.argument])} = {told}" if told else ""


def _gradient_table(sheet: "Worksheet", checks: "Checks", digits: int) -> Table:
    """The gradient of each variable beside torch's, and beside central differences."""
    from nnlab.chapters.backpropagation.numbers import array, number
    from nnlab.cli import terminal

    rows = []
    for check in _ends(checks.variables):
        if check is None:
            rows.append(["…", "", "", "", "", "", ""])
            continue
        gradient = sheet.gradients[check.variable]
        kinked = [d for d in check.differences if d.bends or (d.variable, d.entry) in checks.sides]
        telling = [d for d in check.differences if d.tells and d not in kinked]
        missing = "at a kink" if kinked else "-"
        worst = max(telling, key=lambda d: abs(d.derivative - gradient[d.entry]), default=None)
        rows.append([
            escape(sheet.notation.gradient(check.variable)),
            escape(array(gradient, digits)),
            escape(array(check.autograd, digits)),
            "-" if math.isnan(check.autograd_error) else number(check.autograd_error, 2),
            missing if worst is None else number(abs(worst.derivative - float(gradient[worst.entry])), 2),
            "-" if worst is None else f"±{number(worst.error, 2)} at h = {number(worst.step, 2)}",
            _verdict(check),
        ])  # fmt: skip
    columns = (
        "gradient", "backpropagation", "torch.autograd", "relative difference", "off central difference",
        "its own error", "verdict",
    )  # fmt: skip
    return terminal.table(f"{sheet.notation.result} = {number(sheet.value, digits)}", columns, rows)


def _verdict(check: "Check") -> str:
    if not check.agrees:
        return DISAGREE
    if not check.unchecked:
        return "agree"
    if check.autograd.size == 1:
        return "not checked"
    return f"{'agree, ' if check.checked else ''}{check.unchecked:,} of {check.autograd.size:,} not checked"


def _notes(console: Console, sheet: "Worksheet", checks: "Checks", digits: int) -> None:
    """What is off beside the gradients, kinks, entries without differences, and what each mode costs."""
    from nnlab.chapters.backpropagation.notes import notes
    from nnlab.expressions.costs import forward_cost, reverse_cost

    if not checks.value_agrees:
        console.print(f"the value beside torch's: {_off(checks.value_error)}")
    if not checks.forward_agrees:
        console.print(f"forward mode beside backpropagation: {_off(checks.forward_error)}")
    for line in notes(sheet, checks, sheet.notation, digits):
        console.print(line, markup=False)
    checked = sum(len(check.differences) for check in checks.variables)
    entries = sum(array.size for array in sheet.at.values())
    if checked < entries:
        console.print(
            f"central differences: {checked:,} of {entries:,} entries, drawn at random", markup=False
        )
    reverse, forward = (_cost(cost(sheet.graph, sheet.shapes)) for cost in (reverse_cost, forward_cost))
    console.print(f"the whole gradient: reverse mode {reverse}; forward mode {forward}", markup=False)


def _cost(cost: "Cost") -> str:
    return (
        f"{_plural(cost.passes, 'pass', 'passes')}, "
        f"{_plural(cost.multiply_adds, 'multiply-add', 'multiply-adds')}, "
        f"{_plural(cost.stored, 'value', 'values')} kept"
    )


def _off(error: float) -> str:
    from nnlab.chapters.backpropagation.numbers import number

    return f"relative difference {number(error, 2)}, {DISAGREE}"


def _example_table(table: "Facts", digits: int) -> Table:
    from nnlab.chapters.backpropagation.numbers import array
    from nnlab.cli import terminal

    rows = [
        [escape(cell if isinstance(cell, str) else array(cell, digits)) for cell in row] for row in table.rows
    ]
    return terminal.table(table.title, table.columns, rows)


# --- one step after the other ---


class Pager:
    """Says lines; where a person sits at the terminal, it waits between the steps, up to a q."""

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


def _go_through(pager: Pager, sheet: "Worksheet", digits: int) -> None:
    """The backward pass, one node at a time; in a terminal each waits for Enter."""
    from nnlab.chapters.backpropagation.numbers import array, truth
    from nnlab.chapters.backpropagation.sentences import rule

    notation = sheet.notation
    pager.say(_heading(sheet))
    for line in sheet.lines:
        operation = "" if line.is_given else f"{line.operation} = "
        value = truth(line.value) if line.is_condition else array(line.value, digits)
        pager.say(f"  {line.name} = {operation}{value}")
    start = f"the backward pass begins at the result, {array(sheet.lines[-1].value, digits)}"
    pager.say(f"{notation.gradient(notation.result)} = 1: {start}")
    steps = [line for line in reversed(sheet.lines) if line.edges]
    last_use = {edge.argument: line.index for line in steps for edge in line.edges}
    inputs = {line.index: line for line in sheet.lines if not line.edges}
    for number, line in enumerate(steps, 1):
        pager.wait(f"[{number} of {len(steps)}] Enter: next node, q: all others ")
        assert line.gradient is not None
        pager.say(f"{line.name} = {line.operation}: {array(line.gradient, digits)} arrives")
        for edge in line.edges:
            derivative = _derivative(sheet, line.name, edge, digits)
            if derivative:
                pager.say(f"  local derivative {derivative}")
            pager.say(f"  passes on {rule(sheet, line, edge, digits)}")
        for index in dict.fromkeys(edge.argument for edge in line.edges):
            target = inputs.get(index)
            if target is not None and target.gradient is not None and last_use[index] == line.index:
                pager.say(f"  complete: {notation.gradient(target.name)} = {array(target.gradient, digits)}")


# --- files and JSON ---


def _write(
    sheet: "Worksheet", checks: "Checks", table: "Facts | None", files: Mapping[str, Path], digits: int | None
) -> None:
    from nnlab.cli.files import write
    from nnlab.plot.save import render

    contents: dict[str, bytes] = {}
    pictures = [flag for flag in ("--png", "--svg") if flag in files]
    if pictures:
        from nnlab.chapters.backpropagation import layout
        from nnlab.chapters.backpropagation.figures import computational_graph

        circles, wires = layout.layout(sheet, digits or layout.DIGITS)
        for flag in pictures:
            figure = computational_graph(_heading(sheet), circles, wires, sheet.notation.result)
            contents[flag] = render(figure, flag.removeprefix("--"), "graph")
    if "--latex" in files:
        from nnlab.chapters.backpropagation.latex import latex

        contents["--latex"] = latex(sheet, digits or DIGITS, checks=checks, table=table).encode()
    write(files, contents)


def _as_json(sheet: "Worksheet", checks: "Checks", table: "Facts | None") -> dict[str, Any]:
    from dataclasses import asdict

    from nnlab.expressions.costs import forward_cost, reverse_cost

    names = sheet.notation.names
    nodes = [
        {
            "name": line.name,
            "operation": line.kind,
            "formula": line.operation,
            "shape": list(line.value.shape),
            "value": line.value.tolist(),
            "gradient": None if line.gradient is None else line.gradient.tolist(),
            "edges": [
                {
                    "argument": names[edge.argument],
                    "local": edge.local,
                    "derivative": None if edge.derivative is None else edge.derivative.tolist(),
                    "passed": edge.passed.tolist(),
                }
                for edge in line.edges
            ],
        }
        for line in sheet.lines
    ]
    facts = [] if table is None else [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    return {
        "schema_version": 1,
        "expression": sheet.graph.text,
        "value": sheet.value,
        "gradients": {name: gradient.tolist() for name, gradient in sheet.gradients.items()},
        "nodes": nodes,
        "checks": {
            "agree": checks.agree,
            "checked": all(not check.unchecked for check in checks.variables),
            "variables": {
                check.variable: {
                    "autograd": check.autograd.tolist(),
                    "autograd_error": check.autograd_error,
                    "differences": [asdict(found) for found in check.differences],
                    "agrees": check.agrees,
                    "checked": check.checked,
                }
                for check in checks.variables
            },
            "value_error": checks.value_error,
            "forward_mode_error": checks.forward_error,
            "kinks": [
                {"node": names[kink.index], "sentence": kink.sentence, "certain": kink.is_certain}
                for kink in checks.kinks
            ],
            "sides": [
                {"variable": variable, "entry": list(entry), **asdict(sides)}
                for (variable, entry), sides in checks.sides.items()
            ],
        },
        "costs": {
            "forward": asdict(forward_cost(sheet.graph, sheet.shapes)),
            "reverse": asdict(reverse_cost(sheet.graph, sheet.shapes)),
        },
        **({"example": facts} if facts else {}),
    }


# --- words ---


def _ends(items: Sequence[Any]) -> list[Any]:
    """All of them, or the first and last with a None between."""
    half = ROWS // 2
    return list(items) if len(items) <= ROWS else [*items[:half], None, *items[-half:]]


def _heading(sheet: "Worksheet") -> str:
    return f"{sheet.notation.result} = {_shortened(sheet.graph.text)}"


def _shortened(text: str, limit: int = 120) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else f"{flat[: limit - 20]} … {flat[-17:]}"


def _plural(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"
