"""What an interpreter and a notebook show of results: short, with shapes and ranges, escaped."""

import doctest
import math
from typing import Any

import numpy as np
import torch

from nnlab import display
from nnlab.approximation import build_bins, certify, make_target
from nnlab.ntk import kernel_regression, spectrum


def test_examples_in_docstrings() -> None:
    result = doctest.testmod(display)
    assert result.attempted > 0
    assert result.failed == 0


def test_results_are_short_and_say_shape_and_range() -> None:
    kernel = torch.diag(torch.arange(1.0, 41.0, dtype=torch.float64))
    result_of_kernel: Any = spectrum(kernel)  # its table comes from a decorator, which no type tells of
    assert "eigenvalues=(40,) of float64, 1 to 40" in repr(result_of_kernel)
    assert "<td>(40,) of float64, 1 to 40</td>" in result_of_kernel._repr_html_()
    target = make_target("sin(2*pi*x)")
    histogram = build_bins(target, 1000)
    for result in (
        result_of_kernel,
        histogram,
        certify(histogram.network, target),
        kernel_regression(kernel, kernel[:1], None, kernel[0], 0.1),
    ):
        assert len(repr(result)) < 1_500
        assert repr(result).startswith(type(result).__name__)


def test_what_is_shown_of_a_value() -> None:
    assert display.describe(np.array([math.nan, 1.0])) == "[nan, 1.0]"
    assert display.describe(torch.zeros(0, 3)) == "(0, 3) of float32"
    assert display.describe("x" * 1000).endswith("…")
    assert "&lt;script&gt;" in display.table(("<script>",), [])
