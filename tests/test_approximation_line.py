"""Short cuts of the certificate on the line give the same bounds as the long way."""

import numpy as np
import pytest

from nnlab.approximation import build_bins, certify, certify_boxes, make_target, random_features
from nnlab.approximation import certificate as module


@pytest.mark.parametrize("text", ["sin(2*pi*x)", "abs(x - 0.31)", "sqrt(x)", "where(x < 0.3, 0, 1)"])
@pytest.mark.parametrize("bins", [7, 300])
def test_cells_in_pairs(text: str, bins: int, monkeypatch: pytest.MonkeyPatch) -> None:
    target = make_target(text)
    network = build_bins(target, bins).network
    alone = certify(network, target, relative=1e-8)
    monkeypatch.setattr(module, "MANY", 1)
    paired = certify(network, target, relative=1e-8)
    assert paired.boxes != alone.boxes or text.startswith("sin")  # it did go another way
    assert paired.lower <= alone.upper
    assert alone.lower <= paired.upper
    assert paired.upper == pytest.approx(alone.upper, rel=2e-8)
    assert paired.complete


@pytest.mark.parametrize("relative", [0.05, 1e-4])
def test_weights_that_cancel(relative: float) -> None:
    """Saturation is judged by the gap that is asked for, not by the size of single weights."""
    target = make_target("lecture")
    network = random_features(target, 8, np.random.default_rng(0))
    weights = np.abs(network.weights()[-1][0]).max()
    found = certify(network, target, relative=relative)
    assert found.complete
    assert found.upper - found.lower <= 1.01 * relative * found.lower
    assert weights > 10 * found.upper  # else nothing cancels
    boxes = certify_boxes(network, target, [0.0], [1.0], relative=1e-3)
    assert boxes.lower <= found.upper
    assert found.lower <= boxes.upper
