"""Numbers as people type them: 2, 1e-3, and expressions without variables such as 2*pi and 1/3."""

import re

import numpy as np

from nnlab.expressions.algebras import FLOATS
from nnlab.expressions.errors import ExpressionError
from nnlab.expressions.faults import check_values
from nnlab.expressions.parser import parse
from nnlab.expressions.passes import forward, needed

FORM = "a number is such as -2, 1e-3, 1/3 or 2*pi"


def number_value(text: str, form: str = FORM) -> float:
    """Returns the value of an expression without variables.

    Raises:
        ExpressionError: what is none, or has no finite value.
    """
    if not text.strip():
        raise ExpressionError(f"a value is missing here: {form}", text, 0)
    if re.fullmatch(r"\s*[-+]*\.?(nan|inf|infinity)\s*", text, re.IGNORECASE):
        raise ExpressionError(f"{text.strip()} is not a finite number", text, 0)
    try:
        graph = parse(text, ())
    except ExpressionError as error:
        raise ExpressionError(f"{error.reason} ({form})", text, error.position) from None
    with np.errstate(all="ignore"):
        values = forward(graph, FLOATS, {})
    check_values(graph, values, needed(graph, FLOATS, values))
    return float(values[-1])
