"""Both worksheets as JSON: everything that they hold, to all digits."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from nnlab.chapters.backpropagation.checks import Checks
from nnlab.chapters.backpropagation.examples import Table
from nnlab.chapters.backpropagation.network_worksheet import Gradient, NetworkSheet
from nnlab.chapters.backpropagation.sentences import kink_sentence
from nnlab.chapters.backpropagation.worksheet import Worksheet
from nnlab.expressions.passes import forward_cost, reverse_cost

if TYPE_CHECKING:
    from torch import Tensor


def worksheet_json(sheet: Worksheet, checks: Checks, table: Table | None) -> dict[str, Any]:
    """Returns the worksheet of an expression, with arrays and floats of any value."""
    names = sheet.notation.names
    nodes = [
        {
            "name": line.name,
            "operation": line.kind,
            "formula": line.operation,
            "shape": line.value.shape,
            "value": line.value,
            "gradient": line.gradient,
            "edges": [
                {
                    "argument": names[edge.argument],
                    "local": edge.local,
                    "derivative": edge.derivative,
                    "passed": edge.passed,
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
        "gradients": sheet.gradients,
        "nodes": nodes,
        "checks": {
            "agree": checks.agree,
            "checked": all(not check.unchecked for check in checks.variables),
            "variables": {fields.pop("variable"): fields for fields in map(asdict, checks.variables)},
            "value_error": checks.value_error,
            "forward_mode_error": checks.forward_error,
            "kinks": [
                {
                    "node": names[index],
                    "sentence": kink_sentence(sheet, index, sheet.notation),
                    "certain": is_certain,
                }
                for index, is_certain in checks.kinks.items()
            ],
            "sides": [
                {"variable": variable, "entry": entry, **asdict(sides)}
                for (variable, entry), sides in checks.sides.items()
            ],
        },
        "costs": {
            "forward": asdict(forward_cost(sheet.graph, sheet.shapes)),
            "reverse": asdict(reverse_cost(sheet.graph, sheet.shapes)),
        },
        **({"example": facts} if facts else {}),
    }


def network_json(sheet: NetworkSheet, title: str) -> dict[str, Any]:
    """Returns the worksheet of a network, which the title names."""

    def facts(formula: str, value: "Tensor") -> dict[str, Any]:
        return {"formula": formula, "shape": list(value.shape), "norm": float(value.norm())}

    def of_gradient(gradient: Gradient) -> dict[str, Any]:
        return {**facts(gradient.formula, gradient.value), "error": gradient.error}

    return {
        "schema_version": 1,
        "network": title,
        "loss": sheet.loss,
        "layers": [
            {
                "layer": step.layer,
                "value": {"name": step.name, **facts(step.formula, step.value)},
                "gradient": {"name": step.gradient_name, **of_gradient(step.gradient)},
                "parameters": {name: of_gradient(gradient) for name, gradient in step.parameters.items()},
                "error": step.error,
            }
            for step in sheet.steps
        ],
        "input_gradient": of_gradient(sheet.input_gradient),
        "error": sheet.error,
    }
