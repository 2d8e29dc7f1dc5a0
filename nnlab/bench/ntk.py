"""`nnlab bench ntk`: tangent kernels by layer beside the contraction of Jacobians, and at sizes beyond it."""

import statistics
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nnlab.bench import plain_ntk
from nnlab.bench.memory import megabytes
from nnlab.bench.pairs import interleaved, seconds_of, spread
from nnlab.lab.session import Reporter
from nnlab.models import MLP
from nnlab.ntk import empirical_ntk

INPUTS, EXAMPLES = 8, 64
WIDTHS = (1024, 2048)
HUGE_WIDTH = 16_384  # 268 million parameters: the Jacobian of 64 examples would take 69 GB

Row = dict[str, Any]


def bench_ntk(pairs: int, reporter: Reporter) -> tuple[str, list[Row]]:
    """Two hidden layers, d = 8, n = 64, one output, float32.

    Args:
        pairs: interleaved timings of each.

    Returns:
        The source of the other program, and a row per width.
    """
    rows = [_against_jacobians(width, pairs, reporter) for width in WIDTHS]
    return Path(plain_ntk.__file__).read_text("utf-8"), [*rows, _huge(HUGE_WIDTH)]


def _model(width: int) -> tuple[MLP, Tensor]:
    generator = torch.Generator().manual_seed(0)
    model = MLP(INPUTS, [width, width], 1, "relu", parameterization="ntk", generator=generator)
    return model, torch.randn(EXAMPLES, INPUTS, generator=generator)


def _against_jacobians(width: int, pairs: int, reporter: Reporter) -> Row:
    model, x = _model(width)
    params = {name: parameter.detach() for name, parameter in model.named_parameters()}

    def ours(verify: bool = True) -> Tensor:
        return empirical_ntk(model, x, verify=verify)  # type: ignore[return-value]

    def theirs() -> Tensor:
        return plain_ntk.jacobian_contraction(model, params, x, x)

    difference = (ours() - theirs()).norm() / theirs().norm()  # also warms both up
    assert difference < 1e-4, f"the two programs disagree by {difference}"
    times = interleaved(
        lambda: seconds_of(ours), lambda: seconds_of(theirs), pairs, reporter, f"width {width}"
    )
    checked = interleaved(
        lambda: seconds_of(ours), lambda: seconds_of(lambda: ours(False)), pairs, reporter, "its check"
    )
    ratios = [other / own for own, other in times]
    return {
        "width": width,
        "nnlab_ms": 1e3 * statistics.median(own for own, _ in times),
        "jacobians_ms": 1e3 * statistics.median(other for _, other in times),
        **spread("speedup", ratios),
        "check": statistics.median(own / bare - 1 for own, bare in checked),
        "nnlab_mb": megabytes(ours),
        "jacobians_mb": megabytes(theirs),
    }


def _huge(width: int) -> Row:
    """One kernel where the Jacobian fits no memory; its weights are in the peak of `nnlab_mb`."""
    seconds = 0.0

    def build_and_compute() -> None:
        nonlocal seconds
        model, x = _model(width)
        began = time.perf_counter()
        empirical_ntk(model, x)
        seconds = time.perf_counter() - began

    peak = megabytes(build_and_compute)
    absent = dict.fromkeys(("jacobians_ms", "speedup", "speedup_low", "speedup_high", "check"))
    return {"width": width, "nnlab_ms": 1e3 * seconds, **absent, "nnlab_mb": peak, "jacobians_mb": None}
