"""How operations and their local derivatives are written, as plain text and in TeX.

In a template {a} and {b} are the arguments, {f} the value, {g} the gradient that arrives, {n} the node's
parameter, {p} the power {a}^({n} − 1), and {k} the number of entries.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from nnlab.graph import Graph


@dataclass(frozen=True)
class Words:
    """An operation in words.

    Attributes:
        value: the operation.
        local: the local derivative in each argument. Where an operation mixes entries, what it passes on.
        symbol: what stands in its circle in a picture.
    """

    value: str
    local: tuple[str, ...]
    symbol: str


_WORDS: Mapping[str, Words] = {
    "add": Words("{a} + {b}", ("1", "1"), "+"),
    "subtract": Words("{a} − {b}", ("1", "−1"), "−"),
    "multiply": Words("{a} · {b}", ("{b}", "{a}"), "×"),
    "divide": Words("{a} / {b}", ("1/{b}", "−{f}/{b}"), "÷"),
    "negative": Words("−{a}", ("−1",), "−1×"),
    "integer_power": Words("{a}^{n}", ("{n} · {p}",), "x^{n}"),
    "real_power": Words("{a}^{n}", ("{n} · {p}",), "x^{n}"),
    "power": Words("{a}^{b}", ("{b} · {a}^({b} − 1)", "{f} · log {a}"), "^"),
    "sin": Words("sin {a}", ("cos {a}",), "sin"),
    "cos": Words("cos {a}", ("−sin {a}",), "cos"),
    "tan": Words("tan {a}", ("1 + {f}²",), "tan"),
    "exp": Words("exp {a}", ("{f}",), "exp"),
    "log": Words("log {a}", ("1/{a}",), "log"),
    "sqrt": Words("√{a}", ("1/(2{f})",), "√"),
    "tanh": Words("tanh {a}", ("1 − {f}²",), "tanh"),
    "sigmoid": Words("σ({a})", ("{f}(1 − {f})",), "σ"),
    "abs": Words("|{a}|", ("sign {a}",), "abs"),
    "relu": Words("relu {a}", ("1 if {a} > 0, else 0",), "relu"),
    "maximum": Words(
        "max({a}, {b})", ("1 if {a} > {b}, ½ if equal, else 0", "1 if {b} > {a}, ½ if equal, else 0"), "max"
    ),
    "minimum": Words(
        "min({a}, {b})", ("1 if {a} < {b}, ½ if equal, else 0", "1 if {b} < {a}, ½ if equal, else 0"), "min"
    ),
    "less": Words("{a} < {b}", ("", ""), "<"),
    "less_equal": Words("{a} ≤ {b}", ("", ""), "≤"),
    "where": Words("where({a}, {b}, {c})", ("", "1 if {a}, else 0", "0 if {a}, else 1"), "where"),
    "matmul": Words("{a} @ {b}", ("{g} {b}ᵀ", "{a}ᵀ {g}"), "@"),
    "transpose": Words("{a}ᵀ", ("{g}ᵀ",), "ᵀ"),
    "sum": Words("sum {a}", ("{g} to each entry",), "Σ"),
    "mean": Words("mean {a}", ("{g}/{k} to each entry",), "mean"),
    "softmax": Words("softmax {a}", ("{f} ∘ ({g} − {f}·{g})",), "softmax"),
    "logsumexp": Words("logsumexp {a}", ("{g} · softmax {a}",), "LSE"),
    "largest": Words("max {a}", ("{g} to the largest entry",), "max"),
    "smallest": Words("min {a}", ("{g} to the smallest entry",), "min"),
}

_TEX: Mapping[str, Words] = {
    "add": Words("{a} + {b}", ("1", "1"), ""),
    "subtract": Words("{a} - {b}", ("1", "-1"), ""),
    "multiply": Words(r"{a} \cdot {b}", ("{b}", "{a}"), ""),
    "divide": Words(r"{a} / {b}", ("1 / {b}", "-{f} / {b}"), ""),
    "negative": Words("-{a}", ("-1",), ""),
    "integer_power": Words("{a}^{{{n}}}", (r"{n} \cdot {p}",), ""),
    "real_power": Words("{a}^{{{n}}}", (r"{n} \cdot {p}",), ""),
    "power": Words("{a}^{{{b}}}", (r"{b} \cdot {a}^{{{b} - 1}}", r"{f} \cdot \log {a}"), ""),
    "sin": Words(r"\sin {a}", (r"\cos {a}",), ""),
    "cos": Words(r"\cos {a}", (r"-\sin {a}",), ""),
    "tan": Words(r"\tan {a}", ("1 + {f}^2",), ""),
    "exp": Words(r"\exp {a}", ("{f}",), ""),
    "log": Words(r"\log {a}", ("1 / {a}",), ""),
    "sqrt": Words(r"\sqrt{{{a}}}", (r"1 / (2 {f})",), ""),
    "tanh": Words(r"\tanh {a}", ("1 - {f}^2",), ""),
    "sigmoid": Words(r"\sigma({a})", ("{f} (1 - {f})",), ""),
    "abs": Words("|{a}|", (r"\mathrm{{sign}}\, {a}",), ""),
    "relu": Words(r"\mathrm{{relu}}\, {a}", (r"[{a} > 0]",), ""),
    "maximum": Words(
        r"\max({a}, {b})", (r"[{a} > {b}] + \tfrac12 [{a} = {b}]", r"[{b} > {a}] + \tfrac12 [{a} = {b}]"), ""
    ),
    "minimum": Words(
        r"\min({a}, {b})", (r"[{a} < {b}] + \tfrac12 [{a} = {b}]", r"[{b} < {a}] + \tfrac12 [{a} = {b}]"), ""
    ),
    "less": Words("{a} < {b}", ("", ""), ""),
    "less_equal": Words(r"{a} \le {b}", ("", ""), ""),
    "where": Words(r"\mathrm{{where}}({a}, {b}, {c})", ("", "[{a}]", r"[\mathrm{{not}}\ {a}]"), ""),
    "matmul": Words(r"{a}\, {b}", (r"{g}\, {b}^{{\top}}", r"{a}^{{\top}} {g}"), ""),
    "transpose": Words(r"{a}^{{\top}}", (r"{g}^{{\top}}",), ""),
    "sum": Words(r"\textstyle\sum {a}", (r"{g}\ \mathrm{{to\ each\ entry}}",), ""),
    "mean": Words(r"\mathrm{{mean}}\, {a}", (r"{g} / {k}\ \mathrm{{to\ each\ entry}}",), ""),
    "softmax": Words(r"\mathrm{{softmax}}\, {a}", (r"{f} \circ ({g} - {f}^{{\top}} {g})",), ""),
    "logsumexp": Words(r"\mathrm{{logsumexp}}\, {a}", (r"{g} \cdot \mathrm{{softmax}}\, {a}",), ""),
    "largest": Words(r"\max {a}", (r"{g}\ \mathrm{{to\ the\ largest}}",), ""),
    "smallest": Words(r"\min {a}", (r"{g}\ \mathrm{{to\ the\ smallest}}",), ""),
}


@dataclass(frozen=True)
class Notation:
    """One way of writing: the words of each operation, the names of a graph's nodes, numbers."""

    words: Mapping[str, Words]
    names: tuple[str, ...]
    tex: bool = False

    def operation(self, graph: Graph, index: int) -> str:
        """The node in terms of its arguments, such as `q1 · z`."""
        node = graph.nodes[index]
        if not node.arguments or node.exact is not None:
            return self.names[index]
        return self.words[node.operation].value.format(**self._parts(graph, index))

    def local(self, graph: Graph, index: int, position: int, gradient: str = "", entries: int = 1) -> str:
        """The local derivative in one argument, or for an operation that mixes entries what it passes on."""
        template = self.words[graph.nodes[index].operation].local[position]
        return template.format(**self._parts(graph, index), f=self.names[index], g=gradient, k=entries)

    def _parts(self, graph: Graph, index: int) -> dict[str, str]:
        node = graph.nodes[index]
        parts = {key: self._operand(graph, i) for key, i in zip("abc", node.arguments, strict=False)}
        if isinstance(node.parameter, int | Fraction):
            parts["n"] = self._exponent(Fraction(node.parameter))
            parts["p"] = self._power(parts["a"], Fraction(node.parameter) - 1)
        return parts

    def _operand(self, graph: Graph, index: int) -> str:
        name = self.names[index]
        return f"({name})" if name[0] in "-−" else name

    def _power(self, base: str, exponent: Fraction) -> str:
        if exponent == 1:
            return base
        shown = self._exponent(exponent)
        return f"{base}^{{{shown}}}" if self.tex else f"{base}^{shown}"

    def _exponent(self, value: Fraction) -> str:
        text = str(value)
        return text if self.tex or (value >= 0 and value.denominator == 1) else f"({text})"


def symbol(graph: Graph, index: int) -> str:
    """What stands in the circle of a node: its sign, with a constant operand in it: `+1`, `1/x`."""
    node = graph.nodes[index]
    words = _WORDS[node.operation]
    fixed = [not graph.varying[i] for i in node.arguments]
    if len(node.arguments) == 2 and any(fixed):
        texts = ["x" if not still else graph.term(i) for i, still in zip(node.arguments, fixed, strict=True)]
        return words.value.format(a=texts[0], b=texts[1]).replace(" ", "")
    return words.symbol.format(n=node.parameter).replace("^2", "²").replace("^3", "³")


def plain_notation(graph: Graph) -> Notation:
    """Nodes are q1, q2, …, or v1, v2, … beside a variable q…; the last one is f, if no variable is."""
    return Notation(_WORDS, _names(graph))


def tex_notation(graph: Graph) -> Notation:
    """As `plain_notation`, with the digits at the end of a name as an index."""
    return Notation(_TEX, tuple(_tex_name(name) for name in _names(graph)), tex=True)


def _names(graph: Graph) -> tuple[str, ...]:
    taken = set(graph.variables)
    letter = next((c for c in "qvuhst" if not any(name.startswith(c) for name in taken)), "node")
    names: list[str] = []
    count = 0
    for index, node in enumerate(graph.nodes):
        if node.operation == "variable":
            names.append(str(node.parameter))
        elif node.exact is not None or node.operation in ("number", "constant"):
            names.append(graph.term(index).replace("-", "−"))
        elif index == len(graph.nodes) - 1 and "f" not in taken:
            names.append("f")
        else:
            count += 1
            names.append(f"{letter}{count}")
    return tuple(names)


def _tex_name(name: str) -> str:
    """x0 as x_{0}, W_out as W_{out}; a longer word upright."""
    name = name.replace("−", "-")
    if name == "pi":
        return r"\pi"
    if not name[0].isalpha():
        return name
    head = name.rstrip("0123456789")
    head, _, rest = head.partition("_")
    index = (rest + name[len(name.rstrip("0123456789")) :]).replace("_", " ").strip()
    base = head if len(head) == 1 else rf"\mathrm{{{head}}}"
    return f"{base}_{{{index}}}" if index else base
