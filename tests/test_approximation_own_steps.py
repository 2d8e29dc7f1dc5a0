"""Steps that others add, between limits other than 0 and 1: their certificates against a dense grid."""

import dataclasses
import math

import numpy as np
import pytest
import scipy.special
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnlab.approximation import bins as bins_module
from nnlab.approximation import network as network_module
from nnlab.approximation import steps as steps_module
from nnlab.approximation.bins import build_bins
from nnlab.approximation.certificate import certify
from nnlab.approximation.network import ScalarNetwork
from nnlab.approximation.targets import make_target
from nnlab.models.activations import ACTIVATIONS, ELEMENTWISE, STEP_ACTIVATIONS
from nnlab.rigorous.activations import Step

WAVE = 0.2 * math.sqrt(0.5) * math.exp(-0.5)  # the largest 0.2 z e^{−z²}


def shifted_wave(z: Tensor) -> Tensor:
    """φ = 4U − 1 with U(z) = σ(2z) + 0.2 z e^{−z²}: from −1 to 3, and not monotone."""
    near = z.clamp(-30, 30)
    return 4 * (torch.sigmoid(2 * z) + 0.2 * near * torch.exp(-near.square())) - 1


def wave_unit(z: NDArray[np.float64]) -> NDArray[np.float64]:
    near = np.clip(z, -30, 30)
    return np.asarray(scipy.special.expit(2 * z) + 0.2 * near * np.exp(-near * near))


def wave_tail(z: NDArray[np.float64]) -> NDArray[np.float64]:
    wave = np.where(z < math.sqrt(0.5), WAVE, 0.2 * np.minimum(z, 30) * np.exp(-(np.minimum(z, 30) ** 2)))
    return np.asarray((scipy.special.expit(-2 * z) + wave) * (1 + 1e-14) + 2.0**-1070)


@pytest.fixture
def wave(monkeypatch: pytest.MonkeyPatch) -> str:
    """A step with limits other than 0 and 1, as a contributor would add it."""
    step = Step(
        unit=wave_unit,
        tail=wave_tail,
        decay=lambda z: math.exp(-2 * z) + 0.2 * z * math.exp(-z * z),
        distance="",
        why="",
        value=wave_unit,
        expression="sigmoid(2*z) + 0.2*z*exp(-z^2)",
    )
    row = dataclasses.replace(
        ACTIVATIONS["ripple"], name="wave", function=shifted_wave, limits=(-1.0, 3.0), step=step
    )
    for table in (ACTIVATIONS, ELEMENTWISE):
        monkeypatch.setitem(table, "wave", row)
    for module in (bins_module, steps_module):
        monkeypatch.setattr(module, "STEP_ACTIVATIONS", (*STEP_ACTIVATIONS, "wave"))
    monkeypatch.setattr(network_module, "ACTIVATIONS", (*network_module.ACTIVATIONS, "wave"))
    return "wave"


@pytest.mark.parametrize("count", [3, 20])
@pytest.mark.parametrize("steepness", [7.0, 90.0])
def test_steps_between_other_limits_are_certified_as_they_are(
    wave: str, count: int, steepness: float
) -> None:
    target = make_target("sin(2*pi*x)")
    network = build_bins(target, count, activation=wave, steepness=steepness).network
    x = np.linspace(0, 1, 20_001)
    error = np.abs(network.values(x[:, None]) - np.sin(2 * np.pi * x)).max()
    certificate = certify(network, target, relative=1e-4)
    assert certificate.complete
    assert certificate.lower * (1 - 1e-9) <= error + 2e-4
    assert error <= certificate.upper


def test_single_units_between_other_limits_and_of_negative_weight(wave: str) -> None:
    target = make_target("0*x + 1")
    hidden = np.array([[40.0], [-15.0], [0.0]]), np.array([-20.0, 3.0, 0.5])
    network = ScalarNetwork([hidden, (np.array([[0.7, -0.4, 0.9]]), np.array([0.1]))], wave)
    x = np.linspace(0, 1, 20_001)
    error = np.abs(network.values(x[:, None]) - 1).max()
    certificate = certify(network, target, relative=1e-4)
    assert error <= certificate.upper
    assert certificate.upper <= error * (1 + 1e-3)
