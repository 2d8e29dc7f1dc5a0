"""How operations and their local derivatives are written, as plain text and in TeX.

Every operation has a name of its own, so that a formula has one operation, and its operands are names and
literals. In a template {a}, {b} and {c} are the arguments, {f} the value, {g} the gradient that arrives, {n}
the node's exponent, {p} the power {a}^({n} − 1), and {k} the number of entries. A literal with a sign stands
in parentheses at {a}, and without them at {a!s}. A vector is a column, so that the product `v @ A` is Aᵀv.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, count

from nnlab.chapters.backpropagation.numbers import number
from nnlab.expressions import Graph
from nnlab.expressions.shapes import Shape

LONG = 10**15
"""Exponents from here on are written as powers of ten."""


@dataclass(frozen=True)
class Words:
    """An operation in words.

    Attributes:
        value: the operation.
        local: the local derivative in each argument. Where an operation mixes entries, what it passes on.
        symbol: what stands in its circle in a picture; with places {a} and {b} where order matters.
    """

    value: str
    local: tuple[str, ...]
    symbol: str = ""


_WORDS: Mapping[str, Words] = {
    "add": Words("{a} + {b}", ("1", "1"), "+"),
    "subtract": Words("{a} − {b}", ("1", "−1"), "{a}−{b}"),
    "multiply": Words("{a} · {b}", ("{b!s}", "{a!s}"), "×"),
    "multiply arrays": Words("{a} ∘ {b}", ("{b}", "{a}"), "∘"),
    "divide": Words("{a} / {b}", ("1/{b}", "−{f}/{b}"), "{a}÷{b}"),
    "negative": Words("−{a}", ("−1",), "−1×"),
    "integer_power": Words("{a}^{n}", ("{n} · {p}",), "{a}{n}"),
    "real_power": Words("{a}^{n}", ("{n} · {p}",), "{a}{n}"),
    "power": Words("{a}^{b}", ("{b} · {a}^({b} − 1)", "{f} · log {a}"), "{a}^{b}"),
    "power of arrays": Words("{a}^{b}", ("{b} ∘ {a}^({b} − 1)", "{f} ∘ log {a}"), "{a}^{b}"),
    "sin": Words("sin {a}", ("cos {a}",), "sin"),
    "cos": Words("cos {a}", ("−sin {a}",), "cos"),
    "tan": Words("tan {a}", ("1 + {f}²",), "tan"),
    "exp": Words("exp {a}", ("{f}",), "exp"),
    "log": Words("log {a}", ("1/{a}",), "log"),
    "sqrt": Words("√{a}", ("1/(2{f})",), "√"),
    "tanh": Words("tanh {a}", ("1 − {f}²",), "tanh"),
    "sigmoid": Words("σ({a!s})", ("{f}(1 − {f})",), "σ"),
    "abs": Words("|{a!s}|", ("sign {a}",), "abs"),
    "relu": Words("relu {a}", ("1 if {a!s} > 0, else 0",), "relu"),
    "maximum": Words(
        "max({a!s}, {b!s})",
        ("1 if {a!s} > {b!s}, ½ if equal, else 0", "1 if {b!s} > {a!s}, ½ if equal, else 0"),
        "max",
    ),
    "minimum": Words(
        "min({a!s}, {b!s})",
        ("1 if {a!s} < {b!s}, ½ if equal, else 0", "1 if {b!s} < {a!s}, ½ if equal, else 0"),
        "min",
    ),
    "less": Words("{a!s} < {b!s}", ("", ""), "{a!s}<{b!s}"),
    "less_equal": Words("{a!s} ≤ {b!s}", ("", ""), "{a!s}≤{b!s}"),
    "where": Words(
        "where({a!s}, {b!s}, {c!s})", ("", "1 if {a}, else 0", "0 if {a}, else 1"), "{a!s}?{b!s}:{c!s}"
    ),
    "matmul": Words("{a} @ {b}", ("{g} {b}ᵀ", "{a}ᵀ {g}"), "{a}@{b}"),
    "matmul of vectors": Words("{a} @ {b}", ("{g} · {b}", "{g} · {a}"), "{a}@{b}"),
    "matmul from a vector": Words("{a} @ {b}", ("{b} {g}", "{a} ({g})ᵀ"), "{a}@{b}"),
    "transpose": Words("{a}ᵀ", ("({g})ᵀ",), "ᵀ"),
    "transpose a vector": Words("transpose {a}", ("{g}",), "ᵀ"),
    "sum": Words("sum {a}", ("{g} to each entry",), "Σ"),
    "mean": Words("mean {a}", ("1/{k} · {g} to each entry",), "mean"),
    "softmax": Words("softmax {a}", ("{f} ∘ ({g} − {f}ᵀ {g})",), "softmax"),
    "softmax of rows": Words("softmax {a}", ("{f} ∘ ({g} − row sums of {f} ∘ {g})",), "softmax"),
    "logsumexp": Words("logsumexp {a}", ("{g} · softmax {a}",), "LSE"),
    "logsumexp of rows": Words("logsumexp {a}", ("diag({g}) softmax {a}",), "LSE"),
    "largest": Words("max {a}", ("{g} to the largest entry",), "max"),
    "smallest": Words("min {a}", ("{g} to the smallest entry",), "min"),
}

_TEX: Mapping[str, Words] = {
    "add": Words("{a} + {b}", ("1", "1")),
    "subtract": Words("{a} - {b}", ("1", "-1")),
    "multiply": Words(r"{a} \cdot {b}", ("{b!s}", "{a!s}")),
    "multiply arrays": Words(r"{a} \circ {b}", ("{b}", "{a}")),
    "divide": Words(r"{a} / {b}", ("1 / {b}", "-{f} / {b}")),
    "negative": Words("-{a}", ("-1",)),
    "integer_power": Words("{a}^{{{n}}}", (r"{n} \cdot {p}",)),
    "real_power": Words("{a}^{{{n}}}", (r"{n} \cdot {p}",)),
    "power": Words("{a}^{{{b!s}}}", (r"{b} \cdot {a}^{{{b} - 1}}", r"{f} \cdot \log {a}")),
    "power of arrays": Words("{a}^{{{b!s}}}", (r"{b} \circ {a}^{{{b} - 1}}", r"{f} \circ \log {a}")),
    "sin": Words(r"\sin {a}", (r"\cos {a}",)),
    "cos": Words(r"\cos {a}", (r"-\sin {a}",)),
    "tan": Words(r"\tan {a}", ("1 + {f}^2",)),
    "exp": Words(r"\exp {a}", ("{f}",)),
    "log": Words(r"\log {a}", ("1 / {a}",)),
    "sqrt": Words(r"\sqrt{{{a!s}}}", (r"1 / (2 {f})",)),
    "tanh": Words(r"\tanh {a}", ("1 - {f}^2",)),
    "sigmoid": Words(r"\sigma({a!s})", ("{f} (1 - {f})",)),
    "abs": Words("|{a!s}|", (r"\mathrm{{sign}}\, {a}",)),
    "relu": Words(r"\mathrm{{relu}}\, {a}", (r"[{a!s} > 0]",)),
    "maximum": Words(
        r"\max({a!s}, {b!s})",
        (r"[{a!s} > {b!s}] + \tfrac12 [{a!s} = {b!s}]", r"[{b!s} > {a!s}] + \tfrac12 [{a!s} = {b!s}]"),
    ),
    "minimum": Words(
        r"\min({a!s}, {b!s})",
        (r"[{a!s} < {b!s}] + \tfrac12 [{a!s} = {b!s}]", r"[{b!s} < {a!s}] + \tfrac12 [{a!s} = {b!s}]"),
    ),
    "less": Words("{a!s} < {b!s}", ("", "")),
    "less_equal": Words(r"{a!s} \le {b!s}", ("", "")),
    "where": Words(r"\mathrm{{where}}({a!s}, {b!s}, {c!s})", ("", "[{a}]", r"[\mathrm{{not}}\ {a}]")),
    "matmul": Words(r"{a}\, {b}", (r"{g}\, {b}^{{\top}}", r"{a}^{{\top}} {g}")),
    "matmul of vectors": Words(r"{a}^{{\top}} {b}", (r"{g} \cdot {b}", r"{g} \cdot {a}")),
    "matmul from a vector": Words(r"{b}^{{\top}} {a}", (r"{b}\, {g}", r"{a}\, ({g})^{{\top}}")),
    "transpose": Words(r"{a}^{{\top}}", (r"({g})^{{\top}}",)),
    "transpose a vector": Words(r"\mathrm{{transpose}}\, {a}", ("{g}",)),
    "sum": Words(r"\textstyle\sum {a}", (r"{g}\ \mathrm{{to\ each\ entry}}",)),
    "mean": Words(r"\mathrm{{mean}}\, {a}", (r"1/{k} \cdot {g}\ \mathrm{{to\ each\ entry}}",)),
    "softmax": Words(r"\mathrm{{softmax}}\, {a}", (r"{f} \circ ({g} - {f}^{{\top}} {g})",)),
    "softmax of rows": Words(
        r"\mathrm{{softmax}}\, {a}", (r"{f} \circ ({g} - \mathrm{{row\ sums\ of}}\ {f} \circ {g})",)
    ),
    "logsumexp": Words(r"\mathrm{{logsumexp}}\, {a}", (r"{g} \cdot \mathrm{{softmax}}\, {a}",)),
    "logsumexp of rows": Words(
        r"\mathrm{{logsumexp}}\, {a}", (r"\mathrm{{diag}}({g})\, \mathrm{{softmax}}\, {a}",)
    ),
    "largest": Words(r"\max {a}", (r"{g}\ \mathrm{{to\ the\ largest}}",)),
    "smallest": Words(r"\min {a}", (r"{g}\ \mathrm{{to\ the\ smallest}}",)),
}


def _form(operation: str, shapes: Sequence[Shape]) -> str:
    """Under what an operation's words stand: products and transposes depend on the shapes of arguments.

    >>> _form("matmul", [(2, 3), (3,)]), _form("matmul", [(2,), (2, 3)])
    ('matmul', 'matmul from a vector')
    """
    match operation, *map(len, shapes):
        case "matmul", 1, 1:
            return "matmul of vectors"
        case "matmul", 1, 2:
            return "matmul from a vector"
        case "multiply", (1 | 2), (1 | 2):
            return "multiply arrays"
        case "power", *axes if any(axes):
            return "power of arrays"
        case "transpose", (0 | 1):
            return "transpose a vector"
        case (("softmax" | "logsumexp"), 2):
            return f"{operation} of rows"
    return operation


@dataclass(frozen=True)
class Notation:
    """One way of writing: the words of each operation, the names of a graph's nodes, gradients.

    Attributes:
        table: the words of each operation.
        shapes: of each node.
        names: of each node; of a literal the number itself.
        result: what the value of the whole expression is called.
        tex: whether this is TeX.
    """

    table: Mapping[str, Words]
    shapes: tuple[Shape, ...]
    names: tuple[str, ...]
    result: str
    tex: bool = False

    def words(self, graph: Graph, index: int) -> Words:
        """Those of a node's operation."""
        node = graph.nodes[index]
        return self.table[_form(node.operation, [self.shapes[i] for i in node.arguments])]

    def operation(self, graph: Graph, index: int) -> str:
        """The node in terms of its arguments, such as `q1 · z`."""
        if not graph.nodes[index].arguments or is_literal(graph, index):
            return self.names[index]
        return self.words(graph, index).value.format(**self._parts(graph, index))

    def local(self, graph: Graph, index: int, position: int, entries: int = 1) -> str:
        """The local derivative in one argument, or for an operation that mixes entries what it passes on."""
        name, template = self.names[index], self.words(graph, index).local[position]
        return template.format(**self._parts(graph, index), f=name, g=self.gradient(name), k=entries)

    def partial(self, name: str, by: str) -> str:
        """∂name/∂by."""
        return rf"\partial {name} / \partial {by}" if self.tex else f"∂{name}/∂{by}"

    def gradient(self, name: str) -> str:
        """That of the result in a node, ∂f/∂name."""
        return self.partial(self.result, name)

    def formula(self, text: str) -> str:
        """A formula inside a sentence."""
        return f"${text}$" if self.tex else text

    def number(self, text: str) -> str:
        """A number inside a sentence, of those that `numbers.number` writes."""
        return self.formula(tex_number(text.replace("−", "-"))) if self.tex else text

    def _parts(self, graph: Graph, index: int) -> dict[str, str]:
        node = graph.nodes[index]
        parts = dict(zip("abc", (_operand(self.names[i]) for i in node.arguments), strict=False))
        if isinstance(node.parameter, int | Fraction):
            parts["n"] = _exponent(Fraction(node.parameter), self.tex)
            parts["p"] = self._power(parts["a"], Fraction(node.parameter) - 1)
        return parts

    def _power(self, base: str, exponent: Fraction) -> str:
        if exponent == 1:
            return base
        shown = _exponent(exponent, self.tex)
        return f"{base}^{{{shown}}}" if self.tex else f"{base}^{shown}"


class _Signed(str):
    """A literal with a sign in it, such as −1 or 1.5 · 10³."""

    __slots__ = ()

    def __format__(self, _: str) -> str:
        return f"({self!s})"


def _operand(name: str) -> str:
    return _Signed(name) if any(sign in name for sign in "-−^") else name


def _exponent(value: Fraction, tex: bool) -> str:
    """A short fraction as such, any other as a decimal number; in plain text in parentheses if need be."""
    text = str(value) if value.denominator < 100 and abs(value) < LONG else repr(float(value))
    if tex:
        return tex_number(text)
    return f"({text})".replace("-", "−") if re.search("[-/e]", text) else text


# --- names ---


def is_literal(graph: Graph, index: int) -> bool:
    """Whether a node is a number, or a constant such as pi, with or without a minus sign."""
    node = graph.nodes[index]
    if node.operation == "negative":
        node = graph.nodes[node.arguments[0]]
    return node.operation in ("number", "constant")


def plain_notation(graph: Graph, shapes: tuple[Shape, ...]) -> Notation:
    """Nodes are q1, q2, …, or v1, v2, … beside a variable q…; the result is f, or g beside a variable f."""
    names, result = _names(graph)
    shown = (name or _literal(graph, index) for index, name in enumerate(names))
    return Notation(_WORDS, shapes, tuple(shown), result)


def tex_notation(graph: Graph, shapes: tuple[Shape, ...]) -> Notation:
    """As `plain_notation`, with the digits at the end of a name as an index."""
    names, result = _names(graph)
    tex = _tex_names({*filter(None, names), result})
    shown = (tex[name] if name else _literal(graph, index, tex=True) for index, name in enumerate(names))
    return Notation(_TEX, shapes, tuple(shown), tex[result], tex=True)


def _names(graph: Graph) -> tuple[list[str], str]:
    """The name of each node, empty for literals, and that of the result."""
    taken, last = set(graph.variables), len(graph.nodes) - 1
    letter = _first(*"qvuhst", word="node", taken=taken, alone=False)
    result = _first(*"fgF", word="result", taken=taken, alone=True)
    names: list[str] = []
    numbers = count(1)
    for index, node in enumerate(graph.nodes):
        if node.operation == "variable":
            names.append(str(node.parameter))
        elif is_literal(graph, index):
            names.append("")
        else:
            names.append(result if index == last else f"{letter}{next(numbers)}")
    return names, result


def _first(*candidates: str, word: str, taken: set[str], alone: bool) -> str:
    """The first candidate that is no variable, and, unless it stands alone, that no variable begins with."""
    return next(
        name
        for name in chain(candidates, (word + "_" * length for length in count()))
        if not any(variable == name if alone else variable.startswith(name) for variable in taken)
    )


def _tex_names(names: Iterable[str]) -> dict[str, str]:
    """x0 and x_0 as x with an index, W_out likewise, unless two names would then look alike."""
    short = {name: _indexed(name) for name in names}
    times = Counter(short.values())
    return {name: tex if times[tex] == 1 else _typed(name) for name, tex in short.items()}


def _indexed(name: str) -> str:
    match = re.fullmatch("([A-Za-z]+)(?:_?([0-9]+)|_([A-Za-z]+))?", name)
    if match is None:
        return _typed(name)
    base, digits, word = match.groups()
    letters = base if len(base) == 1 else _breakable("mathrm", base)
    index = digits or (rf"\mathrm{{{word}}}" if word else "")
    return f"{letters}_{{{index}}}" if index else letters


def _typed(name: str) -> str:
    return _breakable("mathtt", name).replace("_", r"\_")


def _breakable(font: str, word: str) -> str:
    """A word of a formula; a long one may go on in the next line, of the page and of the document."""
    return "\\allowbreak\n".join(rf"\{font}{{{piece}}}" for piece in re.findall(".{1,12}", word))


# --- numbers ---


def _literal(graph: Graph, index: int, *, tex: bool = False) -> str:
    node = graph.nodes[index]
    if node.operation == "negative":
        return ("-" if tex else "−") + _literal(graph, node.arguments[0], tex=tex)
    if isinstance(node.parameter, Fraction):
        text = repr(float(node.parameter)).removesuffix(".0")  # the shortest that is the same float
        return tex_number(text) if tex else text.replace("-", "−")
    return r"\pi" if tex and node.parameter == "pi" else str(node.parameter)


def tex_number(text: str) -> str:
    r"""A number as Python writes it, in TeX.

    >>> print(tex_number("-1.5e-07"), tex_number("1e+20"))
    -1.5 \cdot 10^{-7} 10^{20}
    """
    mantissa, _, exponent = text.partition("e")
    if not exponent:
        return mantissa.replace("inf", r"\infty").replace("nan", r"\mathrm{nan}")
    power = rf"10^{{{int(exponent)}}}"
    return mantissa.replace("1", power) if mantissa in ("1", "-1") else rf"{mantissa} \cdot {power}"


# --- in a picture ---


def symbol(notation: Notation, graph: Graph, index: int, digits: int) -> tuple[str, tuple[str, ...]]:
    """What stands in the circle of a node, and at the wire of each of its arguments.

    A sign such as + or exp; with literals in it, and where the order of the arguments matters, a formula
    with places for those that have wires: 1÷□, or ①−② with ① and ② at the wires.
    """
    node = graph.nodes[index]
    words, wired = notation.words(graph, index), [not is_literal(graph, i) for i in node.arguments]
    is_formula = "{" in words.symbol
    if all(wired) and not is_formula:
        return words.symbol, ("",) * len(wired)
    marks = iter("□" if sum(wired) == 1 else "①②③")
    places = [
        next(marks) if wire else _short(graph, i, digits)
        for i, wire in zip(node.arguments, wired, strict=True)
    ]
    template = words.symbol if is_formula else words.value
    text = template.format(**dict(zip("abc", map(_operand, places), strict=False)), n=_raised(node.parameter))
    at_wires = (place if wire and sum(wired) > 1 else "" for place, wire in zip(places, wired, strict=True))
    return re.sub(r"(?<=\W) | (?=\W)", "", text), tuple(at_wires)


def _short(graph: Graph, index: int, digits: int) -> str:
    """A literal to so many digits as the values in a picture have."""
    exact = graph.nodes[index].exact
    return _literal(graph, index) if exact is None else number(float(exact), digits)


def _raised(exponent: object) -> str:
    if isinstance(exponent, int) and abs(exponent) < LONG:
        return str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"^{_exponent(Fraction(exponent), tex=False)}" if isinstance(exponent, int | Fraction) else ""
