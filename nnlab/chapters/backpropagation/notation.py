"""Numbers, operations and their local derivatives as they are written, in plain text and in TeX.

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

import numpy as np
from numpy.typing import NDArray

from nnlab.display import raised
from nnlab.expressions import Graph
from nnlab.expressions.shapes import Shape

Array = NDArray[np.float64]

ENTRIES = 12
"""Entries of an array that are written out; a larger one is described by its shape and norm."""
WRITTEN_OUT = 1e9
"""Numbers below it have no power of ten: all digits before the decimal point are shown."""
LONG = 10**15
"""Exponents from here on are written as powers of ten."""

# --- numbers ---


def python_number(value: float, digits: int) -> str:
    """Returns a number to that many significant digits, as Python writes it.

    >>> [python_number(x, 3) for x in (0.73106, 12345.678, -1001.0, 0.0000123, 2e9, -0.0)]
    ['0.731', '12346', '-1001', '1.23e-05', '2e+09', '0']
    """
    text = f"{value + 0.0:.{digits}g}"
    return f"{value:.0f}" if "e+" in text and abs(value) < WRITTEN_OUT else text


def format_number(value: float, digits: int = 4) -> str:
    """Returns a number as `python_number` does, with a true minus sign.

    >>> [format_number(x) for x in (-4.0, 0.7310585786, 1e-7, 123456.0, 1.5e20)]
    ['−4', '0.7311', '1e−07', '123456', '1.5e+20']
    """
    return python_number(value, digits).replace("-", "−")


def tex_number(text: str) -> str:
    r"""Returns a number that Python has written in TeX.

    >>> print(tex_number("-1.5e-07"), tex_number("1e+20"))
    -1.5 \cdot 10^{-7} 10^{20}
    """
    mantissa, _, exponent = text.partition("e")
    if not exponent:
        return mantissa.replace("inf", r"\infty").replace("nan", r"\mathrm{nan}")
    power = rf"10^{{{int(exponent)}}}"
    return mantissa.replace("1", power) if mantissa in ("1", "-1") else rf"{mantissa} \cdot {power}"


def distinct_numbers(values: Sequence[float], digits: int = 4) -> list[str]:
    """Returns numbers with so many digits that those that differ look different.

    >>> [distinct_numbers((1/3, 0.33334)), distinct_numbers((1.0, 1.0, 3.0))]
    [['0.33333', '0.33334'], ['1', '1', '3']]
    """
    for precision in range(digits, 18):
        texts = [format_number(value, precision) for value in values]
        if len({*texts}) == len({*values}):
            break
    return texts


def format_array(value: Array, digits: int = 4) -> str:
    """Returns a number, a vector or a matrix; of one with many entries the shape and the norm.

    >>> format_array(np.array([[1.0, 2.0], [0.5, -4.0]]))
    '[1, 2; 0.5, −4]'
    """
    if value.ndim == 0:
        return format_number(float(value), digits)
    if value.size > ENTRIES:
        return f"{value.shape}, norm {format_number(float(np.linalg.norm(value)), digits)}"
    rows = value if value.ndim == 2 else value[None]
    return "[" + "; ".join(", ".join(format_number(float(x), digits) for x in row) for row in rows) + "]"


def format_truth(value: Array) -> str:
    """Returns the value of a comparison in words: it is 1 where it holds, and −1 or 0 where it does not."""
    words = ["true" if x > 0 else "false" for x in value.reshape(-1)]
    return words[0] if value.ndim == 0 else f"[{', '.join(words)}]"


# --- operations ---


@dataclass(frozen=True)
class Words:
    """The templates of an operation.

    Attributes:
        value: the operation.
        local: the local derivative in each argument. Where an operation mixes entries, what it passes on.
        symbol: the sign in its circle in a picture; with places {a} and {b} where order matters.
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
    "log10": Words("log10 {a}", ("1/({a!s} · ln 10)",), "log10"),
    "log2": Words("log2 {a}", ("1/({a!s} · ln 2)",), "log2"),
    "log1p": Words("log1p {a}", ("1/(1 + {a!s})",), "log1p"),
    "expm1": Words("expm1 {a}", ("exp {a}",), "expm1"),
    "sinh": Words("sinh {a}", ("cosh {a}",), "sinh"),
    "cosh": Words("cosh {a}", ("sinh {a}",), "cosh"),
    "asinh": Words("asinh {a}", ("1/√({a}² + 1)",), "asinh"),
    "acosh": Words("acosh {a}", ("1/√({a}² − 1)",), "acosh"),
    "atanh": Words("atanh {a}", ("1/(1 − {a}²)",), "atanh"),
    "arcsin": Words("arcsin {a}", ("1/√(1 − {a}²)",), "arcsin"),
    "arccos": Words("arccos {a}", ("−1/√(1 − {a}²)",), "arccos"),
    "arctan": Words("arctan {a}", ("1/(1 + {a}²)",), "arctan"),
    "cbrt": Words("∛{a}", ("1/(3 · {f}²)",), "∛"),
    "erf": Words("erf {a}", ("2/√π · exp(−{a}²)",), "erf"),
    "softplus": Words("softplus {a}", ("σ({a!s})",), "softplus"),
    "floor": Words("⌊{a!s}⌋", ("0",), "⌊{a!s}⌋"),
    "ceil": Words("⌈{a!s}⌉", ("0",), "⌈{a!s}⌉"),
    "signum": Words("sign {a}", ("0",), "sign"),
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

_TO_TEX = (
    (r"1 if (.*), ½ if equal, else 0", r"[\1] + \\tfrac12 [{a!s} = {b!s}]"),
    (r"1 if (.*), else 0", r"[\1]"),
    (r"0 if (.*), else 1", r"[\\mathrm{{not}}\\ \1]"),
    (r" to the (\w+) entry", r"\\ \\mathrm{{to\\ the\\ \1}}"),
    (r" to each entry", r"\\ \\mathrm{{to\\ each\\ entry}}"),
    (r"\} (?=[({])", r"}\\, "),
    (r"row sums of ", r"\\mathrm{{row\\ sums\\ of}}\\ "),
    (r"\blog(10|2)\b", r"\\log_{{\1}}"),
    (r"\b(sinh?|cosh?|tanh?|arcsin|arccos|arctan|exp|log|ln|max|min)\b", r"\\\1"),
    (r"√π", r"\\sqrt{{\\pi}}"),
    (r"√\(([^()]*)\)", r"\\sqrt{{\1}}"),
    (r"∛\{a\}", r"\\sqrt[3]{{{a!s}}}"),
    (r"⌊", r"\\lfloor "), (r"⌋", r"\\rfloor"), (r"⌈", r"\\lceil "), (r"⌉", r"\\rceil"),
    (r"\bsum\b", r"\\textstyle\\sum"),
    (r"(?<!\\)\b((?:[a-z]{3,}|expm|log)1?p?) (?=\{)", r"\\mathrm{{\1}}\\, "),  # relu, sign, mean, log1p, …
    (r"\b(diag|where)(?=\()", r"\\mathrm{{\1}}"),
    (r"√\{a\}", r"\\sqrt{{{a!s}}}"),
    (r"\^\{(\w)\}", r"^{{{\1!s}}}"),
    (r"\^\((.*)\)$", r"^{{\1}}"),
    (r" @ ", r"\\, "),
    (r"−", "-"), (r"·", r"\\cdot"), (r"∘", r"\\circ"), (r"²", "^2"), (r"ᵀ", r"^{{\\top}}"), (r"≤", r"\\le"),
    (r"σ", r"\\sigma"),
)  # fmt: skip
"""Patterns of the templates above, and what stands for them in TeX, in the order of replacement."""


def _tex(template: str) -> str:
    for pattern, replacement in _TO_TEX:
        template = re.sub(pattern, replacement, template)
    return template


_TEX: Mapping[str, Words] = {
    **{name: Words(_tex(words.value), tuple(map(_tex, words.local))) for name, words in _WORDS.items()},
    "matmul of vectors": Words(r"{a}^{{\top}} {b}", (r"{g} \cdot {b}", r"{g} \cdot {a}")),
    "matmul from a vector": Words(r"{b}^{{\top}} {a}", (r"{b}\, {g}", r"{a}\, ({g})^{{\top}}")),
}


def _form(operation: str, shapes: Sequence[Shape]) -> str:
    """Returns the key of an operation's templates, which for products and transposes depends on shapes.

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
    """A way of writing: templates of the operations, names of a graph's nodes, gradients.

    Attributes:
        graph: the expression.
        shapes: of each node.
        names: of each node; of a literal the number itself.
        result: the name of the value of the whole expression.
        tex: True for TeX, False for plain text.
    """

    graph: Graph
    shapes: tuple[Shape, ...]
    names: tuple[str, ...]
    result: str
    tex: bool

    def words(self, index: int) -> Words:
        """Returns the templates of a node's operation."""
        node, table = self.graph.nodes[index], _TEX if self.tex else _WORDS
        return table[_form(node.operation, [self.shapes[i] for i in node.arguments])]

    def operation(self, index: int) -> str:
        """Returns a node in terms of its arguments, such as `q1 · z`."""
        if not self.graph.nodes[index].arguments or is_literal(self.graph, index):
            return self.names[index]
        return self.words(index).value.format(**self._parts(index))

    def local(self, index: int, position: int, entries: int) -> str:
        """Returns the local derivative in one argument, or what an operation that mixes entries passes on."""
        name, template = self.names[index], self.words(index).local[position]
        return template.format(**self._parts(index), f=name, g=self.gradient(name), k=entries)

    def partial(self, name: str, by: str) -> str:
        """Returns ∂name/∂by."""
        return rf"\partial {name} / \partial {by}" if self.tex else f"∂{name}/∂{by}"

    def gradient(self, name: str) -> str:
        """Returns ∂f/∂name, the gradient of the result in a node."""
        return self.partial(self.result, name)

    def formula(self, text: str) -> str:
        """Returns a formula as it stands in a sentence."""
        return f"${text}$" if self.tex else text

    def numeral(self, text: str) -> str:
        """Returns a text of `format_number` as it stands in a sentence."""
        return self.formula(tex_number(text.replace("−", "-"))) if self.tex else text

    def _parts(self, index: int) -> dict[str, str]:
        node = self.graph.nodes[index]
        parts = dict(zip("abc", (_operand(self.names[i]) for i in node.arguments), strict=False))
        if isinstance(node.parameter, int | Fraction):
            exponent = Fraction(node.parameter)
            less = _exponent(exponent - 1, self.tex)
            power = f"^{{{less}}}" if self.tex else f"^{less}"
            parts |= {
                "n": _exponent(exponent, self.tex),
                "p": f"{parts['a']}{'' if exponent == 2 else power}",
            }
        return parts


class _Signed(str):
    """A literal with a sign in it, such as −1 or 1.5 · 10³."""

    __slots__ = ()

    def __format__(self, _: str) -> str:
        return f"({self!s})"


def _operand(name: str) -> str:
    return _Signed(name) if any(sign in name for sign in "-−^") else name


def _exponent(value: Fraction, tex: bool) -> str:
    """Writes a short fraction as such, others as decimal numbers; in plain text in parentheses if need be."""
    text = str(value) if value.denominator < 100 and abs(value) < LONG else repr(float(value))
    if tex:
        return tex_number(text)
    return f"({text})".replace("-", "−") if re.search("[-/e]", text) else text


# --- names ---


def is_literal(graph: Graph, index: int) -> bool:
    """True for a number, or a constant such as pi, with or without a minus sign."""
    node = graph.nodes[index]
    if node.operation == "negative":
        node = graph.nodes[node.arguments[0]]
    return node.operation in ("number", "constant")


def notation_of(graph: Graph, shapes: tuple[Shape, ...], *, tex: bool = False) -> Notation:
    """Names the nodes of a graph whose values have these shapes.

    They are q1, q2, …, or v1, v2, … beside a variable q…; the result is f, or g beside a variable f. In TeX
    the digits at the end of a name are its index.
    """
    names, result = _names(graph)
    written = _tex_names({*filter(None, names), result}) if tex else {name: name for name in [*names, result]}
    texts = (written[name] if name else _literal(graph, i, tex=tex) for i, name in enumerate(names))
    return Notation(graph, shapes, tuple(texts), written[result], tex)


def _names(graph: Graph) -> tuple[list[str], str]:
    """Returns the name of each node, empty for literals, and that of the result."""
    in_use, last = set(graph.variables), len(graph.nodes) - 1
    letter = _first(*"qvuhst", word="node", in_use=in_use, alone=False)
    result = _first(*"fgF", word="result", in_use=in_use, alone=True)
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


def _first(*candidates: str, word: str, in_use: set[str], alone: bool) -> str:
    """Returns the first candidate that is no variable and, if not alone, that no variable begins with."""
    return next(
        name
        for name in chain(candidates, (word + "_" * length for length in count()))
        if not any(variable == name if alone else variable.startswith(name) for variable in in_use)
    )


def _tex_names(names: Iterable[str]) -> dict[str, str]:
    """Writes x0 and x_0 as x with an index, and W_out likewise, unless two names would then look alike."""
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
    """Sets a word of a formula; a long one may go on in the next line, of the page and of the document."""
    return "\\allowbreak\n".join(rf"\{font}{{{piece}}}" for piece in re.findall(".{1,12}", word))


def _literal(graph: Graph, index: int, *, tex: bool = False) -> str:
    node = graph.nodes[index]
    if node.operation == "negative":
        return ("-" if tex else "−") + _literal(graph, node.arguments[0], tex=tex)
    if isinstance(node.parameter, Fraction):
        text = repr(float(node.parameter)).removesuffix(".0")  # the shortest that is the same float
        return tex_number(text) if tex else text.replace("-", "−")
    return r"\pi" if tex and node.parameter == "pi" else str(node.parameter)


# --- in a picture ---


def symbol(notation: Notation, index: int, digits: int) -> tuple[str, tuple[str, ...]]:
    """Returns the text in the circle of a node, and the mark at the wire of each of its arguments.

    A sign such as + or exp; with literals in it, and where the order of the arguments matters, a formula
    with places for those that have wires: 1÷□, or ①−② with ① and ② at the wires.
    """
    graph, node = notation.graph, notation.graph.nodes[index]
    words, wired = notation.words(index), [not is_literal(graph, i) for i in node.arguments]
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
    """Returns a literal to as many digits as the values in a picture have."""
    exact = graph.nodes[index].exact
    return _literal(graph, index) if exact is None else format_number(float(exact), digits)


def _raised(exponent: object) -> str:
    if isinstance(exponent, int) and abs(exponent) < LONG:
        return raised(str(exponent))
    return f"^{_exponent(Fraction(exponent), tex=False)}" if isinstance(exponent, int | Fraction) else ""
