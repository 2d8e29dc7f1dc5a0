"""Posteriors from two kernels: against weights' own equations, samples, scikit-learn, mpmath and networks."""

import logging
import math
import subprocess
import sys
from pathlib import Path

import mpmath
import numpy as np
import pytest
import scipy.linalg
import torch
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF
from torch import Tensor

from nnlab.ntk.dynamics.flow import gradient_flow
from nnlab.ntk.errors import KernelError, MemoryLimitError, NonFiniteError
from nnlab.ntk.infinite.kernel import infinite_ntk
from nnlab.ntk.regression.posterior import Gaussian, posterior

FLOAT = torch.float64
N, NEW, P, C = 5, 4, 12, 2


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=FLOAT, generator=torch.Generator().manual_seed(seed))


def close(found: Tensor, expected: Tensor, tolerance: float = 1e-10) -> None:
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


class Linear:
    """f = φ(x)ᵀw with w ~ N(0, I), of which gradient flow trains the first `trained` weights."""

    def __init__(self, trained: int = P, points: int = N + NEW) -> None:
        self.features = draw(points, P) / math.sqrt(P)
        self.mask = torch.diag(torch.tensor([1.0] * trained + [0.0] * (P - trained), dtype=FLOAT))
        self.y = draw(N, C, seed=1)
        self.kernels = self.features @ self.features.T, self.features @ self.mask @ self.features.T

    def trained(self, t: float, ridge: float) -> tuple[Tensor, Tensor]:
        """Mean and covariance at new points, from the flow of the weights: w(t) = M w₀ + m.

        ẇ = −S (Φᵀ(Φw − y) + ridge·(w − w₀)) with the mask S, linear in (w, w₀, 1), by one exponential.
        """
        phi, s = self.features[:N], self.mask
        generator = torch.zeros(2 * P + C, 2 * P + C, dtype=FLOAT)
        generator[:P, :P] = -s @ (phi.T @ phi + ridge * torch.eye(P, dtype=FLOAT))
        generator[:P, P : 2 * P] = ridge * s
        generator[:P, 2 * P :] = s @ phi.T @ self.y  # of the two outputs, each with its constant 1
        flow = torch.from_numpy(scipy.linalg.expm(t * generator.numpy()))
        by_start, constant = flow[:P, :P] + flow[:P, P : 2 * P], flow[:P, 2 * P :]
        reach = self.features[N:] @ by_start
        return self.features[N:] @ constant, reach @ reach.T


# --- linear models, for which all of it is exact ----------------------------------------------------


@pytest.mark.parametrize("trained", [P, 7, 3])
@pytest.mark.parametrize("ridge", [0.0, 0.2])
@pytest.mark.parametrize("t", [0.0, 0.1, 3.0, 200.0])
def test_the_ensemble_is_what_the_weights_do(trained: int, ridge: float, t: float) -> None:
    """All weights trained (Θ = K), some of them, and so few that Θ is singular."""
    model = Linear(trained)
    found = posterior(model.kernels, model.y, t, ridge).ensemble
    mean, covariance = model.trained(t, ridge)
    close(found.mean, mean)
    close(found.covariance, covariance)
    close(found.std, covariance.diagonal().sqrt()[:, None].expand(NEW, C), 1e-8)


@pytest.mark.parametrize("trained", [P, 7, 3])
@pytest.mark.parametrize("ridge", [0.0, 0.2])
def test_the_limit_is_a_late_time(trained: int, ridge: float) -> None:
    model = Linear(trained)
    found = posterior(model.kernels, model.y, None, ridge)
    assert found.ntk_rank == (N if ridge else min(N, trained))
    assert found.singular == (trained < N and ridge == 0)
    for t in (1e5, 1e12, 1e18, 1e300):  # rounding of the zero eigenvalues of Θ grows with t up to 1/threshold
        late = posterior(model.kernels, model.y, t, ridge).ensemble
        assert ((late.mean - found.ensemble.mean).abs() <= late.mean_error + 1e-10).all()
        moved = (late.covariance - found.ensemble.covariance).diagonal().abs()
        assert (moved <= late.variance_error + 1e-10).all()
        singular = trained < N and ridge == 0
        assert (late.mean_error < (1.0 if singular and t == 1e12 else 1e-7)).all()


def test_if_all_is_trained_the_limit_is_the_process_without_noise() -> None:
    model = Linear()
    found = posterior(model.kernels, model.y)
    close(found.ensemble.mean, found.nngp.mean, 1e-11)
    close(found.ensemble.covariance, found.nngp.covariance, 1e-11)
    ridged = posterior(model.kernels, model.y, ridge=0.2)
    close(ridged.ensemble.mean, ridged.nngp.mean, 1e-12)
    # to the process the ridge is noise, and it pulls networks to their start: their means alone agree
    assert (ridged.nngp.std - ridged.ensemble.std).abs().max() > 1e-3


def test_samples_of_trained_models() -> None:
    """Each from its own start by `gradient_flow`: within 4 standard errors, of 4 means and 10 covariances.

    The largest of 14 normal deviations is above 4 with probability 1e-3; of covariances the standard error is
    √((Σᵢᵢ Σⱼⱼ + Σᵢⱼ²)/n), Isserlis' theorem.
    """
    model, n_samples = Linear(7), 4000
    start = model.features @ draw(P, n_samples, seed=3)
    theta, y = model.kernels[1], model.y[:, :1]
    t = 2.0
    trained = gradient_flow(theta[:N, :N], start[:N] - y, t, H_xt=theta[N:, :N], f0_x=start[N:].contiguous())
    expected = posterior(model.kernels, y, t).ensemble
    error = expected.std[:, 0] / math.sqrt(n_samples)
    assert ((trained.mean(1) - expected.mean[:, 0]).abs() < 4 * error).all()
    variances = expected.covariance.diagonal()
    errors = ((variances[:, None] * variances + expected.covariance.square()) / n_samples).sqrt()
    assert ((torch.cov(trained) - expected.covariance).abs() < 4 * errors).all()
    prior, process = model.kernels[0][N:, N:], posterior(model.kernels, y).nngp.covariance
    for rival in (prior, process):  # which these samples tell from it
        assert ((torch.cov(trained) - rival).abs() > 8 * errors).any()


# --- other programs ---------------------------------------------------------------------------------


@pytest.mark.parametrize("noise", [1e-6, 0.1])
def test_the_process_with_noise_is_that_of_scikit_learn(noise: float) -> None:
    x, new, y = np.linspace(-1, 1, 8)[:, None], np.linspace(-1.5, 1.5, 6)[:, None], draw(8, 1).numpy()
    rbf = RBF(0.5)
    reference = GaussianProcessRegressor(rbf, alpha=noise, optimizer=None).fit(x, y[:, 0])
    mean, covariance = reference.predict(new, return_cov=True)
    kernel = rbf(np.concatenate([x, new]))
    found = posterior((kernel, kernel), torch.from_numpy(y), ridge=noise).nngp
    np.testing.assert_allclose(found.mean[:, 0], mean, rtol=0, atol=1e-8)
    np.testing.assert_allclose(found.covariance, covariance, rtol=0, atol=1e-9)


def test_rounding_of_a_nearly_singular_kernel_is_told() -> None:
    """A smooth kernel of 8 points, λmin = 1e-11 λmax: variances in 50 digits are within the errors told."""
    x = np.linspace(0, 1, 8)
    new = np.array([0.03, 0.5, 1.3, 2.0])
    points = np.concatenate([x, new])
    width = 0.6
    kernel = np.exp(-((points[:, None] - points) ** 2) / (2 * width**2))
    found = posterior((kernel, kernel), torch.sin(torch.from_numpy(x)))
    with mpmath.workdps(50):
        exact = mpmath.matrix(12, 12)
        for i in range(12):
            for j in range(12):
                exact[i, j] = mpmath.exp(
                    -((mpmath.mpf(points[i]) - points[j]) ** 2) / (2 * mpmath.mpf(width) ** 2)
                )
        weights = exact[8:, :8] * exact[:8, :8] ** -1
        schur = exact[8:, 8:] - weights * exact[:8, 8:]
        variances = [float(schur[i, i]) for i in range(4)]
    for gaussian in (found.nngp, found.ensemble):
        actual = (gaussian.covariance.diagonal() - torch.tensor(variances, dtype=FLOAT)).abs()
        assert (actual <= gaussian.variance_error).all()
        assert (gaussian.variance_error < 1e-3).all()
        assert gaussian.variance_error[3] > 1e-8  # beyond the points they count
        values = [float(v) for v in weights * mpmath.matrix([mpmath.sin(point) for point in x])]
        assert ((gaussian.mean - torch.tensor(values, dtype=FLOAT)).abs() <= gaussian.mean_error).all()
        assert (gaussian.mean_error < 1e-2).all()
    assert found.nngp_rank == 8


# --- limits and layouts -----------------------------------------------------------------------------


def test_time_zero_is_the_prior_and_small_times_are_the_first_step() -> None:
    model = Linear(7)
    prior, theta = model.kernels
    found = posterior(model.kernels, model.y, [0.0, 1e-6]).ensemble
    assert not found.mean[0].any()
    assert torch.equal(found.covariance[0], prior[N:, N:].triu() + prior[N:, N:].triu(1).T)
    torch.testing.assert_close(found.mean[1], 1e-6 * theta[N:, :N] @ model.y, rtol=1e-5, atol=0)
    slope = (found.covariance[1] - found.covariance[0]) / 1e-6
    step = theta[N:, :N] @ prior[:N, N:]
    torch.testing.assert_close(slope, -step - step.T, rtol=0, atol=1e-5)


def test_a_training_point_asked_for_again_is_known() -> None:
    x = draw(N, 3)
    kernels = infinite_ntk(torch.cat([x, x[:2]]), depth=2)
    y = draw(N, C, seed=1)
    found = posterior(kernels, y)
    for gaussian in (found.nngp, found.ensemble):
        close(gaussian.mean, y[:2], 1e-10)
        assert (gaussian.covariance.diagonal() <= gaussian.variance_error).all()
        assert (gaussian.covariance.diagonal() >= 0).all()
        assert (gaussian.variance_error < 1e-11).all()
        assert torch.equal(gaussian.covariance, gaussian.covariance.T)


def test_layouts() -> None:
    """(n,), (n, C), times and full kernels, each against the plain one."""
    model = Linear(7)
    times = torch.tensor([0.3, 2.0])
    rows = posterior(model.kernels, model.y, times, 0.1)
    assert rows.ensemble.mean.shape == rows.ensemble.std.shape == (2, NEW, C)
    assert rows.ensemble.covariance.shape == (2, NEW, NEW)
    assert (rows.nngp.mean.shape, rows.nngp.covariance.shape) == ((NEW, C), (NEW, NEW))
    nngp, ntk = model.kernels
    flat = posterior((nngp.numpy(), ntk.numpy()), model.y[:, 0].contiguous(), 2.0, 0.1)
    assert flat.ensemble.mean.shape == flat.ensemble.std.shape == (NEW,)
    close(flat.ensemble.mean, rows.ensemble.mean[1, :, 0], 1e-12)
    close(flat.ensemble.std, rows.ensemble.std[1, :, 0], 1e-10)
    one = torch.eye(C, dtype=FLOAT)
    full = posterior((nngp[..., None, None] * one, ntk[..., None, None] * one), model.y, times, 0.1)
    for found, expected in ((full.ensemble, rows.ensemble), (full.nngp, rows.nngp)):
        close(found.mean, expected.mean, 1e-12)
        close(found.covariance, expected.covariance[..., None, None] * one, 1e-12)
        close(found.std, expected.std, 1e-10)
        close(found.variance_error[..., 0], found.variance_error[..., 1], 1e-12)


def test_outputs_that_depend_on_each_other() -> None:
    """Full kernels of random features, against the matrix with the example index outermost as one output."""
    features = draw(6, C, 2 * P)
    mask = torch.arange(2 * P) < 9
    nngp, ntk = (torch.einsum("icp,jdp->ijcd", f, f) for f in (features, features * mask))
    y = draw(4, C, seed=1)
    found = posterior((nngp, ntk), y, [0.02, 0.3])
    first, second = (kernel.permute(0, 2, 1, 3).reshape(12, 12) for kernel in (nngp, ntk))
    flat = posterior((first, second), y.reshape(-1), [0.02, 0.3])
    for ours, expected in ((found.nngp, flat.nngp), (found.ensemble, flat.ensemble)):
        close(ours.mean.flatten(-2), expected.mean, 1e-12)
        close(ours.std.flatten(-2), expected.std, 1e-12)
        turned = ours.covariance.transpose(-3, -2)  # n_x, C, n_x, C
        close(turned.flatten(-4, -3).flatten(-2), expected.covariance, 1e-12)


def test_what_is_not_learned_is_told(caplog: pytest.LogCaptureFixture) -> None:
    model = Linear(3)
    phi = model.features[:N] @ model.mask
    missed = float((model.y - phi @ torch.linalg.pinv(phi) @ model.y).norm())
    with caplog.at_level(logging.INFO, logger="nnlab.ntk"):
        found = posterior(model.kernels, model.y)
    assert (found.nngp_rank, found.ntk_rank, found.singular) == (N, 3, True)
    assert found.nngp_unlearned == 0
    assert found.ntk_unlearned == pytest.approx(missed, rel=1e-10)
    assert "posterior: ntk: 2 of 5 modes are not learned" in caplog.text
    assert "nngp" not in caplog.text


# --- networks ---------------------------------------------------------------------------------------

WIDTH, NETWORKS, SIGMA_B = 512, 256, 1.0


def train_networks(
    x: Tensor, new: Tensor, y: Tensor, times: list[float], step: float, seed: int
) -> list[Tensor]:
    """(M, n_x) outputs of relu networks with one hidden layer, each from its own start, at the times.

    The flow of ½Σ(f − y)² in the ntk parameterization, by the fourth-order Runge-Kutta rule, with gradients
    by hand: z = √2 W x + σ_b b, f = √(2/m) a·relu(z) + σ_b c, all of a, W, b and c from N(0, 1).
    """
    generator = torch.Generator().manual_seed(seed)
    shapes = ((NETWORKS, WIDTH), (NETWORKS, WIDTH), (NETWORKS, WIDTH), (NETWORKS, 1))
    state = [torch.randn(shape, dtype=FLOAT, generator=generator) for shape in shapes]
    root, scale = math.sqrt(2), math.sqrt(2 / WIDTH)

    def hidden(w: Tensor, b: Tensor, at: Tensor) -> Tensor:
        return root * w[..., None] * at + SIGMA_B * b[..., None]  # (M, m, n)

    def outputs(weights: list[Tensor], at: Tensor) -> Tensor:
        w, b, a, c = weights
        return scale * torch.einsum("km,kmn->kn", a, hidden(w, b, at).relu()) + SIGMA_B * c

    def slope(weights: list[Tensor]) -> list[Tensor]:
        w, b, a, c = weights
        z = hidden(w, b, x)
        h = z.relu()
        rest = (y - scale * torch.einsum("km,kmn->kn", a, h) - SIGMA_B * c)[:, None]  # (M, 1, n)
        back = scale * a[..., None] * (z > 0) * rest
        return [
            root * (back * x).sum(2),
            SIGMA_B * back.sum(2),
            scale * (h * rest).sum(2),
            SIGMA_B * rest.sum(2),
        ]

    def moved(by: list[Tensor], amount: float) -> list[Tensor]:
        return [weight + amount * change for weight, change in zip(state, by, strict=True)]

    found, now = [], 0.0
    for t in times:
        while now < t - step / 2:
            k1 = slope(state)
            k2 = slope(moved(k1, step / 2))
            k3 = slope(moved(k2, step / 2))
            k4 = slope(moved(k3, step))
            mixed = [(p + 2 * q + 2 * r + s) / 6 for p, q, r, s in zip(k1, k2, k3, k4, strict=True)]
            state, now = moved(mixed, step), now + step
        found.append(outputs(state, new))
    return found


def variance_ratio(outputs: Tensor, predicted: Gaussian) -> tuple[float, float]:
    """The mean over new points of sample variance over predicted variance, and its standard error.

    It is a mean over networks of independent numbers, the mean squared distances in units of the prediction;
    their own spread gives the error, whatever the correlation between points.
    """
    variances = predicted.covariance.diagonal()
    each = ((outputs - outputs.mean(0)).square() / variances).mean(1) * len(outputs) / (len(outputs) - 1)
    return float(each.mean()), float(each.std()) / math.sqrt(len(outputs))


def test_an_ensemble_of_networks_is_the_ensemble() -> None:
    """256 relu networks of width 512 on the line, early and near the end of their training.

    Means lie within 3 standard errors at all of 5 points, at both times: of 10 normal deviations one is
    beyond with a probability of at most 10 · 0.0027, and the seed is fixed. The targets are small since
    finite width moves the means by O(1/m) times their size, which for large ones is more than the error of
    256 samples. The 99.7 % interval of the variance ratio holds 1, and neither the posterior of the process
    nor the prior.
    """
    x = torch.tensor([-1.0, -0.3, 0.4, 1.0], dtype=FLOAT)
    new = torch.tensor([-1.6, -0.65, 0.05, 0.7, 1.6], dtype=FLOAT)
    y = 0.3 * torch.sin(3 * x)
    kernels = infinite_ntk(torch.cat([x, new])[:, None], depth=1, sigma_w=math.sqrt(2), sigma_b=SIGMA_B)
    times = [0.5, 12.0]
    for t, outputs in zip(times, train_networks(x, new, y, times, 0.1, seed=0), strict=True):
        found = posterior(kernels, y, t)
        error = found.ensemble.std / math.sqrt(NETWORKS)
        assert ((outputs.mean(0) - found.ensemble.mean).abs() < 3 * error).all()
        assert (outputs.mean(0).abs() > 8 * error).any()  # of the prior, whose mean is 0
        ratio, error_of_ratio = variance_ratio(outputs, found.ensemble)
        assert abs(ratio - 1) < 3 * error_of_ratio
        for rival in (found.nngp.covariance, kernels[0][4:, 4:]):
            expected = float((rival.diagonal() / found.ensemble.covariance.diagonal()).mean())
            assert abs(ratio - expected) > 3 * error_of_ratio


# --- what is refused --------------------------------------------------------------------------------


def test_kernels_that_are_none_are_refused() -> None:
    model = Linear(7)
    for position, name in enumerate(("nngp", "ntk")):
        for place in (0, N):  # among the training points, and only together with a new one
            kernels = [kernel.clone() for kernel in model.kernels]
            kernels[position][place, place] -= 1.5
            message = (
                "H has the eigenvalue -" if place == 0 else f"the {name} kernel has a negative eigenvalue"
            )
            with pytest.raises(KernelError, match=message):
                posterior((kernels[0], kernels[1]), model.y, 1.0)


def test_wrong_arguments_are_named() -> None:
    model = Linear()
    kernels, y = model.kernels, model.y
    for targets in (draw(N + NEW, C), draw(N + NEW + 1, C), draw(0, C), torch.tensor(1.0)):
        with pytest.raises(KernelError, match="of 9 points: the first ones are the training points"):
            posterior(kernels, targets)
    with pytest.raises(KernelError, match="times start at 0"):
        posterior(kernels, y, [1.0, -1.0])
    with pytest.raises(KernelError, match="ridge -1"):
        posterior(kernels, y, ridge=-1.0)
    with pytest.raises(KernelError, match="must be a pair"):
        posterior((*kernels, kernels[0]), y)  # type: ignore[arg-type]
    with pytest.raises(KernelError, match=r"\(9, 9\) and the ntk \(8, 8\)"):
        posterior((kernels[0], kernels[1][:8, :8]), y)
    with pytest.raises(KernelError, match=r"y has the shape \(5, 2, 1\)"):
        posterior(kernels, y[..., None])
    full = kernels[0][:, :, None, None] * torch.eye(3, dtype=FLOAT)
    with pytest.raises(KernelError, match=r"y has the shape \(5, 2\).* or \(5, 3\)"):
        posterior((full, full), y)
    with pytest.raises(KernelError, match="not symmetric"):
        posterior((kernels[0] + torch.ones(9, 9).triu(1), kernels[1]), y)
    with pytest.raises(NonFiniteError, match="y holds"):
        posterior(kernels, y * math.nan)
    with pytest.raises(NonFiniteError, match="t holds"):
        posterior(kernels, y, math.inf)
    with pytest.raises(NonFiniteError, match="kernel"):
        posterior((kernels[0] * math.inf, kernels[1]), y)


# --- memory -----------------------------------------------------------------------------------------

MEASURE = """
import re, sys
import torch
from nnlab.bench.timing import megabytes
from nnlab.ntk import MemoryLimitError, posterior

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(0)
size, train, times = map(int, sys.argv[1:])

def kernel(n):
    features = torch.randn(n, n + 50, generator=generator, dtype=torch.float64) / n**0.5
    return features @ features.T

def arguments(n, of):
    y = torch.randn(of, 2, generator=generator, dtype=torch.float64)
    return (kernel(n), kernel(n)), y, [1.0 + k for k in range(times)], 0.1

posterior(*arguments(40, 30))  # loads what loads late
large = arguments(size, train)
try:
    posterior(*large, memory_limit=10**6)
except MemoryLimitError as error:
    needed = float(re.search(r"([0-9.]+) MiB do", str(error))[1]) * 2**20
held = megabytes(lambda: posterior(*large, memory_limit=int(1.001 * needed)))
print(round(1e6 * held), round(needed))
"""


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/status").is_file() or "RssAnon" not in Path("/proc/self/status").read_text(),
    reason="the system does not say how much anonymous memory a process holds",
)
@pytest.mark.parametrize(("size", "train", "times"), [(1000, 850, 1), (900, 300, 5)])
def test_anonymous_memory_stays_within_the_limit(size: int, train: int, times: int) -> None:
    """What the message names suffices, within the 20 MiB of the libraries' own buffers."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(size), str(train), str(times)],
        capture_output=True,
        text=True,
        check=True,
    )
    held, needed = map(int, done.stdout.split())
    assert needed / 8 < held < needed + 20 * 2**20


def test_a_limit_that_does_not_hold_the_matrices_is_refused() -> None:
    K = torch.eye(6, dtype=torch.float64)
    y = torch.ones(4, dtype=torch.float64)
    with pytest.raises(MemoryLimitError, match=r"limit of 100 bytes .* 4 training and 2 new rows.* do$"):
        posterior((K, K), y, memory_limit=100)
    with pytest.raises(KernelError, match="memory_limit: 'much': must be a positive number of bytes"):
        posterior((K, K), y, memory_limit="much")  # type: ignore[arg-type]
