"""The computational graph of an expression: its operations in evaluation order, equal ones shared."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import TypeAlias

Parameter: TypeAlias = str | int | Fraction | None
"""The parameter of an operation: the name of a variable or constant, a number, an exponent; None without."""


@dataclass(frozen=True)
class Node:
    """One operation.

    Attributes:
        operation: its name in the table `nnlab.expressions.operations.OPERATIONS`, or `variable`, `number`,
            `constant`.
        arguments: indices of the nodes that it is applied to, all smaller than its own.
        parameter: see `Parameter`.
        span: (start, end) of the text that it comes from; of the first place where it is shared.
        exact: its value where that is known as a fraction: numbers, and short arithmetic with them.
    """

    operation: str
    arguments: tuple[int, ...]
    parameter: Parameter
    span: tuple[int, int]
    exact: Fraction | None = None


@dataclass(frozen=True, eq=False)
class Graph:
    """An expression as nodes in evaluation order: each comes after its arguments, the result is the last.

    Attributes:
        text: the expression.
        variables: names that may occur in it, in order.
        nodes: the operations; two places of the text that compute the same share one.
    """

    text: str
    variables: tuple[str, ...]
    nodes: tuple[Node, ...]

    def term(self, index: int) -> str:
        """Returns the text that a node comes from."""
        start, end = self.nodes[index].span
        return self.text[start:end]

    @cached_property
    def last_uses(self) -> tuple[tuple[int, ...], ...]:
        """Per node, the nodes whose values are used up once it is computed: a long sum keeps few arrays."""
        last = {argument: index for index, node in enumerate(self.nodes) for argument in node.arguments}
        free: list[list[int]] = [[] for _ in self.nodes]
        for argument, index in last.items():
            free[index].append(argument)
        return tuple(map(tuple, free))

    @cached_property
    def varying(self) -> tuple[bool, ...]:
        """Per node, True where it depends on a variable."""
        varying: list[bool] = []
        for node in self.nodes:
            varying.append(node.operation == "variable" or any(varying[i] for i in node.arguments))
        return tuple(varying)

    def used(self) -> tuple[str, ...]:
        """Returns the variables that occur, in the order of `variables`."""
        occurring = {node.parameter for node in self.nodes if node.operation == "variable"}
        return tuple(name for name in self.variables if name in occurring)


class GraphBuilder:
    """Collects nodes and shares equal ones: a node is known by operation, arguments and parameter."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._known: dict[tuple[str, tuple[int, ...], Parameter], int] = {}

    def add(
        self,
        operation: str,
        arguments: Sequence[int] = (),
        parameter: Parameter = None,
        span: tuple[int, int] = (0, 0),
        exact: Fraction | None = None,
    ) -> int:
        """Returns the index of the node, which is new or shared."""
        key = (operation, tuple(arguments), parameter)
        if key not in self._known:
            self._known[key] = len(self.nodes)
            self.nodes.append(Node(operation, tuple(arguments), parameter, span, exact))
        return self._known[key]

    def graph(self, text: str, variables: Sequence[str], result: int) -> Graph:
        """Returns the graph of the nodes that `result` needs, renumbered."""
        needed = {result}
        for index in range(result, -1, -1):
            if index in needed:
                needed.update(self.nodes[index].arguments)
        new = {old: fresh for fresh, old in enumerate(sorted(needed))}
        kept = [self.nodes[old] for old in sorted(needed)]
        nodes = tuple(replace(node, arguments=tuple(new[i] for i in node.arguments)) for node in kept)
        return Graph(text, tuple(variables), nodes)
