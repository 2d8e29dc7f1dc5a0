"""The recursions of order 1/m once more, in full tensors as in Roberts, Yaida & Hanin 2022, for two inputs.

Expectations are Gauss–Hermite sums, derivatives are moved to the Gaussian weight by Stein's identity:
⟨∂_μ f⟩ = ⟨y_μ f⟩ with y = K⁻¹z, and with the Hermite tensors of second and fourth order.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
NODES = 90


@dataclass(frozen=True)
class Statistics:
    """Limits and statistics at order 1/m of both inputs, (2, 2) each."""

    infinite: Array
    mean_correction: Array
    variance: Array
    nngp_correction: Array


def tanh_statistics(x: Array, depth: int, gain: float, sigma_b: float) -> Statistics:
    """Returns the statistics of a tanh network with σ_w² = gain, at the inputs x (2, d)."""
    covariance = gain * x @ x.T / x.shape[1] + sigma_b**2
    theta = covariance.copy()
    s1, r1 = np.zeros((2, 2)), np.zeros((2, 2))
    v, d, a, b, f = (np.zeros((2, 2, 2, 2)) for _ in range(5))
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    u = np.stack(np.meshgrid(nodes, nodes), axis=0).reshape(2, -1)
    w = np.outer(weights, weights).ravel() / weights.sum() ** 2
    for _ in range(depth):
        z = np.linalg.cholesky(covariance) @ u
        inverse = np.linalg.inv(covariance)
        y = inverse @ z
        yy = np.einsum("in,jn->ijn", y, y)
        i2 = inverse[:, :, None]
        second = yy - i2
        pairings = ("ij,kln->ijkln", "ik,jln->ijkln", "il,jkn->ijkln")
        fourth = np.einsum("ijn,kln->ijkln", yy, yy)
        for pairing in pairings:
            one, two = pairing.split("->")[0].split(",")
            fourth -= np.einsum(pairing, inverse, yy)
            fourth -= np.einsum(f"{two[:2]},{one}n->ijkln", inverse, yy)
            fourth += np.einsum(f"{one},{two[:2]}->ijkl", inverse, inverse)[..., None]
        phi, slope = np.tanh(z), 1 - np.tanh(z) ** 2
        values, slopes = np.einsum("in,jn->ijn", phi, phi), np.einsum("in,jn->ijn", slope, slope)
        omega = gain * (values + slopes * theta[:, :, None])
        g, h = values @ w, slopes @ w

        def bent(one: Array, hermite: Array = second, weight: Array = w) -> Array:
            return np.einsum("abn,ijn,n->abij", one, hermite, weight)

        def mean_shift(
            one: Array, hermite: Array = fourth, weight: Array = w, s: Array = s1, v: Array = v
        ) -> Array:
            curved = np.einsum("abn,ijkln,n,ijkl->ab", one, hermite, weight, v) / 8
            return np.einsum("abij,ij->ab", bent(one), s) / 2 + curved

        def spread(one: Array, two: Array, weight: Array = w) -> Array:
            return np.einsum("abn,cdn,n->abcd", one, two, weight) - np.multiply.outer(
                one @ weight, two @ weight
            )

        j, q, k = bent(values), bent(omega), bent(slopes)
        turned = np.einsum("an,cn,in,n->aci", slope, phi, y, w)  # ⟨∂_i(φ'_a φ_c)⟩
        new_s1 = gain * mean_shift(values)
        r1 = (
            new_s1 + gain * h * r1 + gain * theta * mean_shift(slopes)
            + gain * np.einsum("abij,abij->ab", k, d) / 2 + gain * np.einsum("abij,aibj->ab", k, f)
        )  # fmt: skip
        carried = gain * np.einsum("ab,abij,cdij->abcd", h, d, q) / 2
        a = (
            spread(omega, omega) + np.einsum("abij,ijkl,cdkl->abcd", q, v, q) / 4
            + carried + carried.transpose(2, 3, 0, 1) + gain**2 * np.einsum("ab,cd,abcd->abcd", h, h, a)
        )  # fmt: skip
        d = gain * (
            spread(omega, values) + np.einsum("abij,ijkl,cdkl->abcd", q, v, j) / 4
            + gain * np.einsum("ab,abij,cdij->abcd", h, d, j) / 2
        )  # fmt: skip
        f = gain**2 * (
            np.einsum("abn,cdn,n,ab->acbd", slopes, values, w, theta)
            + np.einsum("aci,bdj,aibj->acbd", turned, turned, f)
        )
        b = gain**2 * (
            np.einsum("abn,cdn,n,ab,cd->acbd", slopes, slopes, w, theta, theta)
            + np.einsum("ac,bd,acbd->acbd", h, h, b)
        )
        v = gain**2 * (spread(values, values) + np.einsum("abij,ijkl,cdkl->abcd", j, v, j) / 4)
        s1 = new_s1
        theta = gain * (g + h * theta) + sigma_b**2
        covariance = gain * g + sigma_b**2
    variance = np.einsum("abab->ab", a) + np.einsum("aabb->ab", b) + np.einsum("abba->ab", b)
    return Statistics(theta, r1, variance, s1)
