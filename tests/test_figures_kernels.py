"""Figures of kernels show the eigenvalues, matrices and features that they were given."""

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nnlab.chapters.kernels.figures.kernels import (
    circle_harmonics,
    feature_map,
    kernel_images,
    kernel_spectra,
)
from nnlab.plot.style import INK, PALETTE
from tests.figure_checks import assert_finite_limits, assert_readable, data, lines, marks, texts, title

Array = NDArray[np.float64]


def symmetric(size: int, seed: int) -> Array:
    matrix = np.random.default_rng(seed).normal(size=(size, size))
    return matrix + matrix.T


def descending(matrix: Array) -> Array:
    """The eigenvalues of a symmetric matrix, the largest first."""
    eigenvalues: Array = np.linalg.eigvalsh(matrix)[::-1].astype(np.float64)
    return eigenvalues


def gram(size: int, features: int, seed: int) -> Array:
    """(size, size), positive definite where there are at least as many features."""
    phi = np.random.default_rng(seed).normal(size=(size, features)) / np.sqrt(features)
    return phi @ phi.T


# --- spectra --------------------------------------------------------------------------------------------


def test_spectra_show_medians_bands_and_the_limit() -> None:
    falling = np.exp2(-np.arange(5.0))
    limit = 1.5 * falling
    spectra = {64: np.outer([1, 2, 4], falling), 256: np.outer([1.4, 1.5, 1.7], falling)}
    figure = kernel_spectra(spectra, limit, threshold=1e-12)
    axes = figure.axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "log")
    index = np.arange(1, 6)
    narrow, wide, dashed = (data(line) for line in lines(axes))
    for line, expected in ((narrow, 2 * falling), (wide, 1.5 * falling), (dashed, limit)):
        np.testing.assert_allclose(line, np.stack([index, expected], axis=1))
    assert lines(axes)[2].get_color() == INK
    corners = axes.findobj(PolyCollection)[0].get_paths()[0].vertices
    for i, value in zip(index, falling, strict=True):
        for end in (value, 4 * value):
            assert np.isclose(corners, [i, end]).all(axis=1).any()
    assert {"m = 64", "m = 256", "m → ∞"} <= set(texts(figure))
    assert "smallest to largest of 3 seeds" in figure.get_supxlabel()


def test_spectra_measure_the_distance_to_the_limit() -> None:
    limit = np.array([4.0, 2, 1])
    spectra = {16: np.outer([0.9, 1.1, 1.2], limit), 64: np.outer([0.99, 1.01, 1.05], limit)}
    figure = kernel_spectra(spectra, limit, threshold=1e-12)
    right = figure.axes[1]
    assert (right.get_xscale(), right.get_yscale()) == ("log", "log")
    medians = data(lines(right)[0])  # (1 + c)‖λ∞‖ is |c| away
    np.testing.assert_allclose(medians, [[16, 0.1], [64, 0.01]])
    reach = [data(line) for line in lines(right)[1::2]]
    np.testing.assert_allclose(reach, [[[16, 0.1], [16, 0.2]], [[64, 0.01], [64, 0.05]]])
    assert title(figure) == (
        "Every kernel is positive definite, λₘᵢₙ ≥ 0.9; "
        "its distance from the limit falls from 10.0 % (m = 16) to 1.0 % (m = 64)"
    )


def test_the_distance_of_spectra_is_at_most_that_of_the_kernels() -> None:
    limit, kernels = symmetric(6, 0), [symmetric(6, seed) for seed in (1, 2)]
    spectra = {m: descending(kernel)[None] for m, kernel in zip((4, 8), kernels, strict=True)}
    figure = kernel_spectra(spectra, descending(limit), threshold=1e-12)
    shown = data(lines(figure.axes[1])[0])[:, 1]
    between = [np.linalg.norm(kernel - limit) / np.linalg.norm(limit) for kernel in kernels]
    assert np.all(shown > 0)
    assert np.all(shown <= between)


def test_eigenvalues_that_are_not_positive_are_marked_and_counted() -> None:
    values = np.array([[3.0, 1e-3, 0.0, -1e-17], [3.0, 2e-3, 1e-17, -2e-17]])
    figure = kernel_spectra({64: values}, threshold=1e-15)
    (axes,) = figure.axes
    assert "▼ λ ≤ 0: 3 of 8" in axes.get_xlabel()
    (below,) = marks(axes)
    assert list(data(below)[:, 0]) == [4]
    assert title(figure) == "Only 2 of 4 eigenvalues are above zero: the kernel is singular"
    assert "zero but for rounding" in texts(figure)
    assert axes.patches  # the grey zone


def test_definiteness_is_judged_per_width_against_the_threshold() -> None:
    spectra = {m: np.array([[2.0, low]]) for m, low in ((16, 1e-8), (64, 0.3), (256, 0.4))}
    every = title(kernel_spectra(spectra, threshold=1e-15))
    assert every == "Every kernel is positive definite, λₘᵢₙ ≥ 1·10⁻⁸"
    judged = kernel_spectra(spectra, threshold=1e-6)
    assert title(judged) == "The kernel is positive definite from m = 64 on, λₘᵢₙ ≥ 0.3"
    strict = kernel_spectra(spectra, threshold=0.35)
    assert title(strict) == "The kernel is positive definite from m = 256 on, λₘᵢₙ ≥ 0.4"
    odd = kernel_spectra({16: spectra[64], 64: spectra[16]}, threshold=1e-6)
    assert "at some widths only" in title(odd)


def test_many_eigenvalues_get_a_logarithmic_index() -> None:
    figure = kernel_spectra({64: 1.0 / np.arange(1, 200)[None]}, threshold=1e-9)
    assert figure.axes[0].get_xscale() == "log"


@pytest.mark.parametrize("limited", [False, True])
def test_spectra_of_eight_widths_stay_readable(limited: bool) -> None:
    kernels = {
        2**k: np.stack([np.linalg.eigvalsh(gram(32, 2**k, seed))[::-1] for seed in range(3)])
        for k in range(4, 12)
    }
    limit = np.ones(32) if limited else None
    assert_readable(kernel_spectra(kernels, limit, threshold=1e-14))


# --- matrices -------------------------------------------------------------------------------------------


def images(figure: Figure) -> list[Array]:
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]


def test_kernels_share_a_scale_and_the_difference_has_its_own() -> None:
    start, limit = gram(6, 50, 0), gram(6, 50, 1)
    end = start + 0.1 * gram(6, 3, 2)
    figure = kernel_images(start, end, limit, "The kernel moves")
    for shown, expected in zip(images(figure), (limit, start, end, end - start), strict=True):
        np.testing.assert_array_equal(shown, expected)
    scales = [axes.images[0].get_clim() for axes in figure.axes[:4]]
    largest = max(float(np.abs(kernel).max()) for kernel in (start, end, limit))
    assert len(set(scales[:3])) == 1
    assert scales[0][1] == pytest.approx(largest)
    assert scales[3] == (-np.abs(end - start).max(), np.abs(end - start).max())
    assert title(figure) == "The kernel moves"
    assert_readable(figure)


def test_kernels_with_negative_entries_have_zero_in_the_middle() -> None:
    signed = np.array([[2.0, -1.5], [-1.5, 2.0]])
    figure = kernel_images(signed, signed, None, "Signed")
    assert figure.axes[0].images[0].get_clim() == (-2, 2)
    slightly = np.array([[2.0, -0.1], [-0.1, 2.0]])
    assert kernel_images(slightly, slightly, None, "Slightly").axes[0].images[0].get_clim() == (-0.1, 2)


def test_large_kernels_are_thinned() -> None:
    start = np.zeros((1300, 1300))
    start[1, 1] = 3.0
    end = start.copy()
    end[1, 1] = 6.0  # not among the examples that are shown
    figure = kernel_images(start, end, None, "Large")
    assert [image.shape for image in images(figure)] == [(434, 434)] * 3
    assert figure.axes[0].images[0].get_clim() == (0, 6)
    assert figure.axes[0].get_xlabel() == "example j (1 of 3 shown)"


def test_the_feature_map_shows_features_and_both_matrices() -> None:
    x = np.linspace(-1, 1, 9)
    features = np.maximum(0, x[:, None] - np.array([-0.5, 0.0, 0.5]))
    inner = features @ features.T
    direct = inner.copy()
    direct[0, -1] += 0.25
    figure = feature_map(x, features, inner, direct)
    left = figure.axes[0]
    shown = [data(line) for line in lines(left) if len(data(line)) == 9]
    for line, feature in zip(shown, features.T, strict=True):
        np.testing.assert_array_equal(line, np.stack([x, feature], axis=1))
    for shown_image, expected in zip(images(figure), (inner, direct), strict=True):
        np.testing.assert_array_equal(shown_image, expected)
    assert title(figure).endswith(f"are H to within 0.25 of {np.abs(direct).max():.3g}")
    assert left.get_title(loc="left").startswith("3 of the features\n")
    assert_readable(figure)
    assert title(feature_map(x, features, inner, inner)).endswith("are exactly H")


# --- the circle -----------------------------------------------------------------------------------------


def arc_cosine_modes(bias: float, modes: int, points: int = 128) -> Array:
    """Eigenvalues of the kernel of one hidden ReLU layer on evenly spaced points, by Fourier transform."""
    angle = 2 * np.pi * np.arange(points) / points
    cosine = (np.cos(angle) + bias) / (1 + bias)
    theta = np.arccos(np.clip(cosine, -1, 1))
    nngp = (1 + bias) * (np.sin(theta) + (np.pi - theta) * cosine) / (2 * np.pi)
    ntk = nngp + (1 + bias) * cosine * (np.pi - theta) / (2 * np.pi)
    return np.fft.fft(ntk).real[:modes] / points


def test_odd_modes_without_bias_lie_on_the_edge() -> None:
    k = np.arange(1.0, 16)
    without, with_bias = arc_cosine_modes(0.0, 16)[1:], arc_cosine_modes(0.5, 16)[1:]
    figure = circle_harmonics(k, without, with_bias, 0.2)
    left, right = figure.axes
    assert {axes.get_xscale() for axes in figure.axes} == {"log"}
    even, odd = [line for line in lines(left) if line.get_color() == PALETTE[0]]
    np.testing.assert_allclose(data(even), np.stack([k[1::2], without[1::2]], axis=1))
    np.testing.assert_allclose(data(odd), [[1, without[0]]])  # k ≥ 3 vanish
    (edge,) = [line for line in left.lines if line.get_transform() != left.transData]
    assert list(data(edge)[:, 0]) == [3, 5, 7, 9, 11, 13, 15]
    assert set(data(edge)[:, 1]) == {0}
    assert "▼ zero but for rounding" in left.get_xlabel()
    assert even.get_markerfacecolor() != odd.get_markerfacecolor()
    biased = np.concatenate([data(line) for line in lines(left) if line.get_color() == PALETTE[1]])
    np.testing.assert_allclose(biased[np.argsort(biased[:, 0])], np.stack([k, with_bias], axis=1))
    scaled = np.concatenate([data(line) for line in lines(right) if line.get_color() == PALETTE[1]])
    np.testing.assert_allclose(scaled[np.argsort(scaled[:, 0]), 1], k**2 * with_bias)
    assert [0.2, 0.2] in [list(data(line)[:, 1]) for line in right.lines]
    assert "predicted limit 0.2" in texts(figure)
    assert title(figure) == (
        f"Without bias the odd modes k ≥ 3 vanish; with bias k²λₖ is {225 * with_bias[14]:.3g} at k = 15"
    )
    assert_readable(figure)


def test_odd_modes_that_do_not_vanish_are_said_to_be_there() -> None:
    k = np.arange(1.0, 6)
    modes = np.array([1.0, 0.5, 0.25, 0.1, 0.2])
    figure = circle_harmonics(k, modes, modes, 1.0)
    assert title(figure).startswith("Without bias the odd modes k ≥ 3 reach 0.25 of the largest mode")
    assert "▼" not in figure.axes[0].get_xlabel()


# --- strange numbers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [[0.0], [1.0, 0.0, -1.0], [1e100, 1.0, 1e-320]])
def test_strange_numbers_are_drawn_without_a_warning(values: list[float]) -> None:
    x = np.array(values)
    spectra, square = np.tile(x, (2, 1)), np.outer(np.sign(x), np.ones(len(x)))
    strange = [
        kernel_spectra({16: spectra, 64: spectra}, np.abs(x), threshold=1e-9),
        kernel_spectra({16: spectra}, threshold=0.0),
        kernel_images(square, square, square, "Strange"),
        feature_map(np.arange(len(x), dtype=float), np.outer(x, [1.0, 0.5]), square, square),
    ]
    for figure in strange:
        assert_finite_limits(figure)
