"""Kernel regression by modes, by a Cholesky factor and from a file: against each other and plain solvers."""

import logging
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from nnlab.ntk.dynamics.modes import decompose
from nnlab.ntk.errors import KernelError, MemoryLimitError, NonFiniteError
from nnlab.ntk.infinite.kernel import infinite_ntk
from nnlab.ntk.regression.kernel_regression import MAX_READINGS, kernel_regression, solve
from nnlab.ntk.spectral.tiles import Tiles

FLOAT = torch.float64
EPS = torch.finfo(FLOAT).eps
KIB, MIB = 2**10, 2**20
N, NEW, C = 400, 7, 3


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=FLOAT, generator=torch.Generator().manual_seed(seed))


def with_eigenvalues(values: Tensor) -> Tensor:
    basis = torch.linalg.qr(draw(len(values), len(values))).Q
    matrix = (basis * values) @ basis.T
    return (matrix + matrix.T) / 2


class Problem:
    """The tangent kernel of an infinitely wide network at random points in 10 dimensions."""

    def __init__(self) -> None:
        x = draw(N + NEW, 10)
        kernel = infinite_ntk(x, depth=2)[1]
        self.H, self.H_xt = kernel[:N, :N].contiguous(), kernel[N:, :N].contiguous()
        self.y, self.f0, self.f0_x = draw(N, C, seed=1), draw(N, C, seed=2), draw(NEW, C, seed=3)
        self.largest = float(torch.linalg.eigvalsh(self.H)[-1])

    def solved(self, ridge: float) -> tuple[Tensor, Tensor]:
        """Weights and predictions by LU."""
        w = torch.linalg.solve(self.H + ridge * torch.eye(N, dtype=FLOAT), self.y - self.f0)
        return w, self.f0_x + self.H_xt @ w


@pytest.fixture(scope="module")
def problem() -> Problem:
    return Problem()


def distance(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


# --- three ways -------------------------------------------------------------------------------------


@pytest.mark.parametrize("relative", [1e-1, 1e-4, 1e-8])
def test_a_factor_gives_what_the_modes_give(problem: Problem, relative: float) -> None:
    """Each is backward stable: they differ by N ε times the condition of H + ridge at the most."""
    ridge = relative * problem.largest
    start = problem.f0, problem.f0_x
    by_modes = kernel_regression(decompose(problem.H), problem.H_xt, start, problem.y, ridge)
    found = kernel_regression(problem.H, problem.H_xt, start, problem.y, ridge)
    assert (by_modes.method, found.method) == ("modes", "cholesky")
    assert (found.rank, found.singular, found.unlearned, found.error_bound) == (N, False, 0.0, None)
    smallest = float(torch.linalg.eigvalsh(problem.H)[0]) + ridge
    tolerance = N * EPS * (problem.largest + ridge) / smallest
    assert distance(found.predictions, by_modes.predictions) < tolerance
    assert distance(found.residuals, by_modes.residuals) < tolerance
    weights, predictions = problem.solved(ridge)
    assert distance(found.predictions, predictions) < tolerance
    residuals = problem.f0 + problem.H @ weights - problem.y
    torch.testing.assert_close(found.residuals, residuals, rtol=0, atol=1e-9)


@pytest.mark.parametrize("limit", [200 * KIB, 400 * KIB, MIB])
@pytest.mark.parametrize("relative", [1e-1, 1e-6])
def test_a_kernel_that_does_not_fit_is_read_from_its_file(
    problem: Problem, relative: float, limit: int, tmp_path: Path
) -> None:
    """400² float64 numbers take 1.2 MiB. The bound holds, and predictions are as close as it says."""
    ridge = relative * problem.largest
    np.save(tmp_path / "h.npy", problem.H.numpy())
    kernel = np.load(tmp_path / "h.npy", mmap_mode="r")
    start = problem.f0, problem.f0_x
    found = kernel_regression(kernel, problem.H_xt, start, problem.y, ridge, memory_limit=limit)
    weights, predictions = problem.solved(ridge)
    assert found.method == "conjugate gradients"
    assert (found.rank, found.singular) == (N, False)
    assert found.error_bound is not None
    assert found.error_bound < 1e-9 * float((problem.y - problem.f0).norm()) / ridge
    assert float((-found.residuals / ridge - weights).norm()) <= found.error_bound
    rows = problem.H_xt.norm(dim=1, keepdim=True)
    assert ((found.predictions - predictions).abs() <= found.error_bound * rows).all()
    assert distance(found.predictions, predictions) < 1e-8


def test_a_tensor_that_maps_a_file_and_a_file_of_float32(problem: Problem, tmp_path: Path) -> None:
    single = problem.H.numpy().astype(np.float32)
    np.save(tmp_path / "h.npy", single)
    kernel = torch.from_numpy(np.load(tmp_path / "h.npy", mmap_mode="r+"))
    ridge = 1e-2 * problem.largest
    found = kernel_regression(kernel, problem.H_xt, None, problem.y, ridge, memory_limit=400 * KIB)
    assert found.method == "conjugate gradients"
    by_modes = kernel_regression(decompose(torch.from_numpy(single)), problem.H_xt, None, problem.y, ridge)
    assert distance(found.predictions, by_modes.predictions) < 1e-8


def test_leading_modes_that_are_divided_out_save_readings(problem: Problem) -> None:
    ridge, sides = 1e-3 * problem.largest, problem.y.T.contiguous()
    found = [solve(Tiles(problem.H), sides, ridge, limit) for limit in (160 * KIB, MIB)]
    assert found[1].readings < 0.8 * found[0].readings
    for solution in found:
        expected = torch.linalg.solve(problem.H + ridge * torch.eye(N, dtype=FLOAT), problem.y).T
        assert float((solution.weights - expected).norm()) <= solution.error_bound


def test_right_hand_sides_of_all_sizes_and_none(problem: Problem) -> None:
    """Each ends by itself: one of zeros at once, one in a leading mode early."""
    vectors = torch.linalg.eigh(problem.H).eigenvectors
    ridge = 1e-3 * problem.largest
    sides = torch.stack([torch.zeros(N, dtype=FLOAT), vectors[:, -1], 1e-200 * draw(N), 1e100 * draw(N)])
    found = solve(Tiles(problem.H), sides, ridge, MIB)
    assert found.weights[0].tolist() == [0.0] * N
    for row, side in zip(found.weights[1:], sides[1:], strict=True):
        residual = side - problem.H @ row - ridge * row
        assert residual.abs().max() <= 2.1e-10 * side.abs().max() * math.sqrt(N)


def test_full_kernels_and_every_layout(problem: Problem) -> None:
    """(n, n, C, C) with rows and flat, and (n, n) for every output, by all three ways."""
    features, features_x = draw(40, C, 50), draw(5, C, 50, seed=1)
    H = torch.einsum("icp,jdp->ijcd", features, features)
    H_xt = torch.einsum("icp,jdp->ijcd", features_x, features)
    y = draw(40, C, seed=2)
    flat = features.reshape(-1, 50)
    inverse = torch.linalg.inv(flat @ flat.T + 0.5 * torch.eye(120, dtype=FLOAT))
    expected = features_x.reshape(-1, 50) @ flat.T @ inverse @ y.reshape(-1)
    for kernel, limit in ((decompose(H), None), (H, None), (H, 80 * KIB)):
        rows = kernel_regression(kernel, H_xt, None, y, 0.5, limit)
        alone = kernel_regression(kernel, H_xt, None, y.reshape(-1), 0.5, limit)
        assert (rows.predictions.shape, rows.residuals.shape) == ((5, C), (40, C))
        assert torch.equal(rows.predictions.reshape(-1), alone.predictions)
        assert torch.equal(rows.residuals.reshape(-1), alone.residuals)
        assert distance(alone.predictions, expected) < 1e-8
    assert kernel_regression(H, H_xt, None, y, 0.5, 80 * KIB).method == "conjugate gradients"
    for ridge in (0.0, 0.1):
        together = kernel_regression(problem.H, problem.H_xt, None, problem.y, ridge)
        for c in range(C):
            alone = kernel_regression(problem.H, problem.H_xt, None, problem.y[:, c].contiguous(), ridge)
            assert distance(together.predictions[:, c], alone.predictions) < 1e-9
            assert together.rank == alone.rank


def test_new_points_are_read_in_pieces(problem: Problem) -> None:
    many = problem.H[:, :].repeat(3, 1)  # 1200 new points: 3.7 MiB
    found = kernel_regression(problem.H, many, None, problem.y, 1.0, 400 * KIB)
    rows = found.residuals + problem.y  # f at the training points
    torch.testing.assert_close(found.predictions, rows.repeat(3, 1), rtol=0, atol=1e-6)
    assert kernel_regression(problem.H, problem.H_xt[:0], None, problem.y, 1.0).predictions.shape == (0, C)


# --- which way --------------------------------------------------------------------------------------


def test_without_a_ridge_or_with_a_tiny_one_the_eigenvalues_decide() -> None:
    """A Cholesky factor of a kernel of rank 3 may exist by rounding; it does not tell the rank."""
    features = draw(50, 3)
    H = features @ features.T
    for ridge in (0.0, 1e-16):
        found = kernel_regression(H, H[:4], None, draw(50, seed=1), ridge)
        assert (found.method, found.rank, found.singular) == ("modes", 3, True)
    found = kernel_regression(H.float(), H[:4], None, draw(50, seed=1), 1e-5)  # below 50 ε₃₂ λmax
    assert (found.method, found.rank) == ("modes", 3)
    assert kernel_regression(H, H[:4], None, draw(50, seed=1), 1e-5).method == "cholesky"


def test_negative_eigenvalues_that_the_ridge_explains() -> None:
    H = with_eigenvalues(
        torch.cat([torch.linspace(3, 1, 39, dtype=FLOAT), torch.tensor([-0.3], dtype=FLOAT)])
    )
    y = draw(40, seed=1)
    found = kernel_regression(H, H[:4], None, y, 0.5)
    assert found.method == "cholesky"
    expected = H[:4] @ torch.linalg.solve(H + 0.5 * torch.eye(40, dtype=FLOAT), y)
    torch.testing.assert_close(found.predictions, expected, rtol=0, atol=1e-11)
    with pytest.raises(KernelError, match=r"eigenvalue -0\.3"):
        kernel_regression(H, H[:4], None, y, 0.2)
    # the ridge cancels it, so that the mode is lost; a factor may exist all the same
    for ridge in (0.3, 0.3 + 1e-15, 0.3 - 1e-15):
        found = kernel_regression(H, H[:4], None, y, ridge)
        assert (found.method, found.rank, found.singular) == ("modes", 39, True)


def test_what_is_not_learned_is_told(caplog: pytest.LogCaptureFixture) -> None:
    features = draw(8, 3)
    H, y, f0 = features @ features.T, draw(8, 2, seed=1), draw(8, 2, seed=2)
    projector = torch.eye(8, dtype=FLOAT) - features @ torch.linalg.pinv(features)
    with caplog.at_level(logging.INFO, logger="nnlab.ntk"):
        found = kernel_regression(H, H[:4], (f0, f0[:4]), y)
    missed = float((projector @ (y - f0)).norm())
    assert found.unlearned == pytest.approx(missed, rel=1e-10)
    assert found.residuals.norm() == pytest.approx(missed, rel=1e-10)
    assert "5 of 8 modes are not learned" in caplog.text
    assert f"they hold {missed:.3g}" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="nnlab.ntk"):
        assert kernel_regression(H, H[:4], (f0, f0[:4]), y, 0.1).unlearned == 0
    assert caplog.text == ""


# --- what is refused --------------------------------------------------------------------------------


def test_too_little_memory_says_what_is_needed(problem: Problem) -> None:
    with pytest.raises(MemoryLimitError, match=r"does not hold the eigendecomposition.* 400 rows.*MiB do"):
        kernel_regression(problem.H, problem.H_xt, None, problem.y, memory_limit=MIB)
    with pytest.raises(
        MemoryLimitError, match=r"3 right-hand sides of 400 numbers; ([\d.]+) KiB do"
    ) as error:
        kernel_regression(problem.H, problem.H_xt, None, problem.y, 1.0, memory_limit=50 * KIB)
    needed = float(str(error.value).rsplit("; ", 1)[1].split()[0])
    limit = int(1.01 * needed * KIB)
    assert kernel_regression(problem.H, problem.H_xt, None, problem.y, 1.0, limit).error_bound is not None


def test_a_ridge_that_takes_too_many_readings_is_named(problem: Problem) -> None:
    sides = problem.y.T.contiguous()
    with pytest.raises(KernelError, match=r"relative residual of .* after 5 readings.*ridge above"):
        solve(Tiles(problem.H), sides, 1e-3, MIB, max_readings=5)
    hard = with_eigenvalues(torch.logspace(0, -11, 800, dtype=FLOAT))
    with pytest.raises(KernelError, match=rf"after {MAX_READINGS} readings"):
        kernel_regression(hard, hard[:3], None, draw(800, seed=1), 1e-11, memory_limit=160 * KIB)
    with pytest.raises(KernelError, match="lost in the rounding"):
        kernel_regression(problem.H, problem.H_xt, None, problem.y, 1e-13, memory_limit=MIB)


@pytest.mark.parametrize("last", [-3.0, -0.01])
def test_negative_curvature_is_refused_when_it_is_met(last: float) -> None:
    values = torch.cat([torch.linspace(3, 1, 399, dtype=FLOAT), torch.tensor([last], dtype=FLOAT)])
    H = with_eigenvalues(values)
    with pytest.raises(KernelError, match=r"H has an eigenvalue of -.* or below"):
        kernel_regression(H, H[:3], None, draw(400, seed=1), 0.02, memory_limit=MIB)


def test_bad_kernels_and_values_are_named(problem: Problem) -> None:
    for limit in (None, MIB):
        skew, broken = problem.H.clone(), problem.H.clone()
        skew[-1, 3] += 1e-3
        broken[-1, 3] = math.nan
        with pytest.raises(KernelError, match="not symmetric"):
            kernel_regression(skew, problem.H_xt, None, problem.y, 1.0, limit)
        with pytest.raises(NonFiniteError, match="kernel"):
            kernel_regression(broken, problem.H_xt, None, problem.y, 1.0, limit)
        with pytest.raises(NonFiniteError, match="H_xt"):
            kernel_regression(problem.H, problem.H_xt * math.inf, None, problem.y, 1.0, limit)
        with pytest.raises(NonFiniteError, match="y"):
            kernel_regression(problem.H, problem.H_xt, None, problem.y * math.nan, 1.0, limit)
    with pytest.raises(KernelError, match=r"y has the shape \(7, 3\)"):
        kernel_regression(problem.H, problem.H_xt, None, problem.y[:NEW], 1.0)
    with pytest.raises(KernelError, match=r"f0\[1\] has the shape \(7, 1\); it must be \(7, 3\)"):
        kernel_regression(problem.H, problem.H_xt, (problem.f0, problem.f0_x[:, :1]), problem.y, 1.0)
    with pytest.raises(KernelError, match=r"H_xt has the shape \(400, 7\)"):
        kernel_regression(problem.H, problem.H_xt.T, None, problem.y, 1.0)


# --- memory -----------------------------------------------------------------------------------------

MEASURE = """
import sys
import numpy as np, torch
from nnlab.bench.timing import megabytes
from nnlab.ntk import kernel_regression

torch.set_num_threads(1)

kernel, limit = np.load(sys.argv[1], mmap_mode="r"), int(sys.argv[2])
small, y = np.eye(50) + 1, torch.ones(len(kernel), 2, dtype=torch.float64)
for room in (2**30, 30_000):  # loads what loads late
    kernel_regression(small, small[:2], None, y[:50], 1.0, room)
ridge, found = 1e-2 * float(kernel[:500, :500].trace()), []
held = megabytes(lambda: found.append(kernel_regression(kernel, kernel[:500], None, y, ridge, limit)))
found = found[0]
mismatch = (found.predictions - y[:500] - found.residuals[:500]).abs().max()
print(found.method.split()[0], float(mismatch), round(1e6 * held))
"""


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/status").is_file() or "RssAnon" not in Path("/proc/self/status").read_text(),
    reason="the system does not say how much anonymous memory a process holds",
)
@pytest.mark.parametrize(
    ("n", "limit", "method"), [(5000, 48 * MIB, "conjugate"), (2000, 38 * MIB, "cholesky")]
)
def test_anonymous_memory_stays_within_the_limit(tmp_path: Path, n: int, limit: int, method: str) -> None:
    """5000² float32 numbers take 100 MB, 2000² float64 ones 32 MB, once but not twice within 38 MiB.

    The libraries' own buffers, which differ with the processor, may add 20 MiB.
    """
    kernel = np.lib.format.open_memmap(tmp_path / "h.npy", mode="w+", dtype=np.float32, shape=(n, n))
    features = (np.random.default_rng(0).standard_normal((n, 30)) * 0.7 ** np.arange(30)).astype(np.float32)
    for start in range(0, n, 500):
        kernel[start : start + 500] = features[start : start + 500] @ features.T
    kernel.flush()
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path / "h.npy"), str(limit)],
        capture_output=True,
        text=True,
        check=True,
    )
    found, mismatch, held = done.stdout.split()
    assert found == method
    assert float(mismatch) < 1e-6  # f at training points, from the predictions and from the residuals
    assert int(held) < limit + 20 * MIB
    assert int(held) > limit / 8  # the measurement measures
