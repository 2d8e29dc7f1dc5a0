"""Backpropagation on paper: an expression with all its values and gradients, and where they come from.

graph = parse("(x + y) * z", ("x", "y", "z"), tensors=True)
sheet = build(graph, {"x": -2, "y": 5, "z": -4})
sheet.value, sheet.gradients
"""

from nnlab.worksheet.build import Edge, Line, Worksheet, build

__all__ = ["Edge", "Line", "Worksheet", "build"]
