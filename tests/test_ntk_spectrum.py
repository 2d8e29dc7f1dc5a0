"""The spectrum of a kernel: all of it, the top of it from disk, what it says and what it leaves open."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from nnlab.ntk.errors import KernelError, MemoryLimitError, NonFiniteError
from nnlab.ntk.infinite.kernel import infinite_ntk
from nnlab.ntk.spectral import spectrum as in_spectrum
from nnlab.ntk.spectral import tiles
from nnlab.ntk.spectral.spectrum import leading_eigenvalues, spectrum
from nnlab.ntk.spectral.tiles import Tiles

EPS = np.finfo(np.float64).eps
MIB = 2**20


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def with_eigenvalues(values: np.ndarray, seed: int = 0) -> np.ndarray:
    """A random symmetric matrix that has them."""
    q = np.linalg.qr(rng(seed).standard_normal((len(values), len(values))))[0]
    matrix = (q * values) @ q.T
    return (matrix + matrix.T) / 2


def decaying(n: int) -> np.ndarray:
    """One dominating eigenvalue and a power law behind it, as kernels of images have."""
    return np.concatenate([[300.0], 20.0 * np.arange(1, n) ** -1.5])


def full_kernel(n: int, outputs: int) -> np.ndarray:
    """(n, n, C, C), from random features φ_c(x)."""
    features = rng().standard_normal((n, outputs, 50))
    return np.einsum("icp,jdp->ijcd", features, features)


# --- all eigenvalues --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("as_tensor", [True, False])
def test_all_eigenvalues_are_those_of_numpy(
    dtype: type, as_tensor: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiles, "TILE_SIDE", 64)  # read in several tiles
    matrix: np.ndarray = with_eigenvalues(decaying(150)).astype(dtype)
    matrix = np.triu(matrix) + np.triu(matrix, 1).T
    found = spectrum(torch.from_numpy(matrix) if as_tensor else matrix)
    expected = np.linalg.eigvalsh(matrix.astype(np.float64))[::-1]
    assert found.complete
    assert found.size == 150
    assert found.eigenvalues.dtype == np.float64
    assert (np.abs(found.eigenvalues - expected) <= found.error_bounds).all()
    assert found.error_bounds.max() == pytest.approx(150 * EPS * 300, rel=1e-6)
    assert found.lambda_max == found.eigenvalues[0]
    assert found.lambda_min == found.eigenvalues[-1]
    assert found.trace == pytest.approx(matrix.trace(dtype=np.float64), rel=1e-12)


def test_in_place_where_a_copy_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The decomposition by LAPACK, which takes no copy, agrees with that by torch."""
    matrix = with_eigenvalues(decaying(200))
    monkeypatch.setattr(in_spectrum, "EXTRA", 50_000)
    monkeypatch.setattr(torch.linalg, "eigvalsh", lambda *_, **__: pytest.fail("takes a copy"))
    found = spectrum(matrix, memory_limit=8 * 200**2 + 60_000)
    assert found.complete
    assert (np.abs(found.eigenvalues - decaying(200)) < 200 * EPS * 300).all()


def test_a_full_kernel_has_the_example_index_outermost() -> None:
    kernel = full_kernel(12, 3)
    flat = np.zeros((36, 36))
    for i in range(12):
        for j in range(12):
            flat[3 * i : 3 * i + 3, 3 * j : 3 * j + 3] = kernel[i, j]
    expected = np.linalg.eigvalsh(flat)[::-1]
    np.testing.assert_allclose(spectrum(kernel).eigenvalues, expected, rtol=0, atol=1e-11)
    top = leading_eigenvalues(Tiles(kernel), 5, 10 * MIB)
    np.testing.assert_allclose(top.eigenvalues, expected[:5], rtol=1e-10)


def test_tiles_are_the_matrix() -> None:
    kernel = full_kernel(10, 3)
    tiles = Tiles(torch.from_numpy(kernel))
    flat = torch.from_numpy(kernel).permute(0, 2, 1, 3).reshape(30, 30)
    seen = torch.zeros(30, 30, dtype=torch.float64)
    for rows, columns in tiles.pairs(side=10):
        seen[tiles.place(rows), tiles.place(columns)] = tiles.read(rows, columns)
    assert torch.equal(seen.triu(), flat.triu())


# --- what they say ----------------------------------------------------------------------------------


def test_definiteness_has_a_threshold_of_n_epsilon_lambda_max() -> None:
    for smallest, verdict in ((1e-3, "positive definite"), (0.0, "semidefinite"), (-1e-3, "indefinite")):
        found = spectrum(with_eigenvalues(np.array([2.0, 1.0, smallest])))
        assert found.definiteness == verdict
        assert found.threshold == pytest.approx(3 * EPS * 2)
        assert found.condition == (pytest.approx(2000) if verdict == "positive definite" else math.inf)
        assert found.rank == (2 if smallest == 0 else 3)


def test_the_threshold_is_that_of_the_arithmetic_behind_the_kernel() -> None:
    """1e-5 of λmax is an eigenvalue in float64, and noise in a kernel of 1000 float32 numbers a row."""
    values = np.concatenate([[1.0], np.full(999, 1e-5)])
    matrix = with_eigenvalues(values)
    assert spectrum(matrix).definiteness == "positive definite"
    single = spectrum(matrix, computed_in=torch.float32)
    assert single.definiteness == "semidefinite"
    assert single.threshold == pytest.approx(1000 * 2.0**-23)
    assert single.rank == 1
    assert spectrum(matrix.astype(np.float32)).threshold == pytest.approx(single.threshold)


def test_parallel_points_without_bias_give_a_singular_kernel_and_no_error() -> None:
    x = torch.tensor([[1.0, 2.0], [2.0, 4.0], [-1.0, 0.5]])
    assert spectrum(infinite_ntk(x, depth=1, sigma_b=0.0)[1]).definiteness == "semidefinite"
    assert spectrum(infinite_ntk(x, depth=1, sigma_b=0.1)[1]).definiteness == "positive definite"


def test_effective_rank_is_the_stable_rank_of_the_features() -> None:
    features = rng().standard_normal((20, 7))
    expected = np.linalg.norm(features) ** 2 / np.linalg.norm(features, 2) ** 2
    assert spectrum(features @ features.T).effective_rank == pytest.approx(expected)
    assert spectrum(np.eye(9)).effective_rank == pytest.approx(9)
    assert spectrum(np.zeros((4, 4))).effective_rank == 0


def test_the_zero_kernel_is_semidefinite() -> None:
    found = spectrum(np.zeros((4, 4)))
    assert (found.definiteness, found.rank, found.condition) == ("semidefinite", 0, math.inf)


# --- the largest ones, from disk --------------------------------------------------------------------


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory: pytest.TempPathFactory) -> tuple[np.memmap, np.ndarray]:
    """A float32 kernel of 1500 rows, and its eigenvalues in float64."""
    matrix = with_eigenvalues(decaying(1500)).astype(np.float32)
    matrix = np.triu(matrix) + np.triu(matrix, 1).T
    path = tmp_path_factory.mktemp("kernel") / "h.npy"
    np.save(path, matrix)
    return np.load(path, mmap_mode="r"), np.linalg.eigvalsh(matrix.astype(np.float64))[::-1]


def test_the_top_of_a_kernel_that_does_not_fit(on_disk: tuple[np.memmap, np.ndarray]) -> None:
    kernel, expected = on_disk
    found = spectrum(kernel, memory_limit=8 * MIB, k=10)
    assert not found.complete
    assert found.eigenvalues.shape == (10,)
    assert (np.abs(found.eigenvalues - expected[:10]) <= found.error_bounds).all()
    assert (found.error_bounds <= 1e-6 * found.eigenvalues).all()
    np.testing.assert_allclose(found.eigenvalues, expected[:10], rtol=1e-11)  # far below their bounds
    assert found.readings <= 8
    assert (found.lambda_min, found.condition, found.rank) == (None, None, None)
    assert found.definiteness == "unknown"
    assert found.effective_rank == pytest.approx(expected.sum() / expected[0], rel=1e-6)


def test_error_bounds_are_residuals_of_true_eigenvalues() -> None:
    """Stopped early, each bound still holds an eigenvalue, and is not far above the error's square root."""
    matrix = with_eigenvalues(decaying(400))
    for readings in (2, 3, 4):
        found = leading_eigenvalues(Tiles(matrix), 10, 50 * MIB, max_readings=readings)
        assert found.readings == readings
        nearest = np.abs(decaying(400)[:, None] - found.eigenvalues.numpy()).min(axis=0)
        assert (nearest <= found.residuals.numpy() + 1e-12).all()
    assert found.residuals.max() > 1e-6 * found.eigenvalues.min()  # it was early


def test_a_small_basis_starts_again_and_ends_at_the_same_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_spectrum, "OVERSAMPLING", 3)
    values = np.concatenate([[50.0], np.linspace(10, 1, 399)])  # hardly a gap
    matrix = with_eigenvalues(values)
    share = in_spectrum._share

    def tight(size: int, k: int, memory_limit: int) -> in_spectrum._Room:
        room = share(size, k, memory_limit)
        return in_spectrum._Room(4 * room.block, room.block, 64)

    monkeypatch.setattr(in_spectrum, "_share", tight)
    found = leading_eigenvalues(Tiles(matrix), 5, 100 * MIB)
    assert found.readings > 8  # so it did start again
    np.testing.assert_allclose(found.eigenvalues, values[:5], rtol=1e-9)


@pytest.mark.parametrize(
    "values",
    [
        np.concatenate([[3.0, 2.0], np.zeros(98)]),  # rank 2
        np.ones(100),
        np.concatenate([np.full(60, 2.0), np.full(40, 1.0)]),  # more often than a block is wide
        np.zeros(100),
        np.concatenate([[1.0, 0.5], np.full(98, -2.0)]),
    ],
)
def test_degenerate_kernels(values: np.ndarray) -> None:
    found = leading_eigenvalues(Tiles(with_eigenvalues(values)), 4, 10 * MIB)
    np.testing.assert_allclose(found.eigenvalues, values[:4], rtol=0, atol=1e-12)


def test_what_is_in_the_space_already_gives_no_new_vectors() -> None:
    """Of two vectors in the span of Q and one outside only the latter is left, orthogonal to Q."""
    q = torch.from_numpy(np.linalg.qr(rng().standard_normal((50, 10)))[0].T.copy())
    inside, outside = torch.from_numpy(rng(1).standard_normal((2, 10))) @ q, torch.ones(1, 50).double()
    assert len(in_spectrum._next_block(q, inside, 1e-12)) == 0
    new = in_spectrum._next_block(q, torch.cat([inside, 1e-6 * outside]), 1e-12)
    assert new.shape == (1, 50)
    together = torch.cat([q, new])
    torch.testing.assert_close(together @ together.T, torch.eye(11).double(), rtol=0, atol=1e-14)


def test_negative_curvature_that_was_seen_is_said() -> None:
    """A Rayleigh quotient below 0 proves it, whatever else a partial spectrum does not know."""
    values = np.concatenate([[3.0], np.linspace(1, 0.1, 598), [-2.0]])
    found = spectrum(with_eigenvalues(values), memory_limit=4 * MIB, k=4)
    assert not found.complete
    assert found.definiteness == "indefinite"


def test_progress_runs_to_its_end(on_disk: tuple[np.memmap, np.ndarray]) -> None:
    for limit in (8 * MIB, 200 * MIB):
        told: list[tuple[int, int]] = []
        spectrum(on_disk[0], memory_limit=limit, k=3, progress=lambda *step, told=told: told.append(step))
        assert [done for done, _ in told] == list(range(1, len(told) + 1))
        assert all(done <= total for done, total in told)
    assert told[-1][0] == told[-1][1]


MEASURE = """
import sys
import numpy as np, torch
from nnlab.bench.timing import megabytes
from nnlab.ntk import spectrum

torch.set_num_threads(1)

spectrum(np.eye(50) + 1)  # loads what loads late
kernel, limit = np.load(sys.argv[1], mmap_mode="r"), int(sys.argv[2])
found = []
held = megabytes(lambda: found.append(spectrum(kernel, memory_limit=limit)))
print(found[0].complete, found[0].eigenvalues[0], round(1e6 * held))
"""


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/status").is_file() or "RssAnon" not in Path("/proc/self/status").read_text(),
    reason="the system does not say how much anonymous memory a process holds",
)
@pytest.mark.parametrize(("n", "limit", "complete"), [(6000, 48 * MIB, False), (3000, 108 * MIB, True)])
def test_anonymous_memory_stays_within_the_limit(tmp_path: Path, n: int, limit: int, complete: bool) -> None:
    """6000² float32 numbers take 144 MB, 3000² float64 ones 72 MB, once but not twice within 108 MiB.

    The libraries' own buffers, which differ with the processor (13 MB were seen), may add 20 MiB.
    """
    kernel = np.lib.format.open_memmap(tmp_path / "h.npy", mode="w+", dtype=np.float32, shape=(n, n))
    features = (rng().standard_normal((n, 30)) * 0.7 ** np.arange(30)).astype(np.float32)
    for start in range(0, n, 500):
        kernel[start : start + 500] = features[start : start + 500] @ features.T
    kernel.flush()
    expected = np.linalg.eigvalsh(features.T.astype(np.float64) @ features)[-1]
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path / "h.npy"), str(limit)],
        capture_output=True,
        text=True,
        check=True,
    )
    found_complete, largest, held = done.stdout.split()
    assert found_complete == str(complete)
    assert float(largest) == pytest.approx(expected, rel=1e-5)
    assert int(held) < limit + 20 * MIB
    assert int(held) > limit / 8  # the measurement measures


# --- what is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [None, 8 * MIB])
def test_bad_kernels_are_named(limit: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "TILE_SIDE", 128)  # more than one tile
    n = 300
    kernel = with_eigenvalues(decaying(n))
    for value in (math.nan, math.inf):
        broken = kernel.copy()
        broken[-1, 3] = value
        with pytest.raises(NonFiniteError, match="between examples"):
            spectrum(broken, limit, k=3)
    skew = kernel.copy()
    skew[-1, 3] += 1e-3
    with pytest.raises(KernelError, match=r"not symmetric.*differ by up to 0\.001"):
        spectrum(skew, limit, k=3)


def test_rounding_is_no_asymmetry() -> None:
    kernel = with_eigenvalues(decaying(50)).astype(np.float32)
    kernel[3, 7] *= 1 + 2**-22
    assert spectrum(kernel).complete


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (np.zeros((3, 4)), r"shape \(3, 4\)"),
        (np.zeros((3, 3, 2)), r"take one output"),
        (np.zeros((3, 3, 2, 1)), r"shape \(3, 3, 2, 1\)"),
        (np.zeros((0, 0)), r"shape \(0, 0\)"),
        (np.zeros((3, 3), dtype=int), "type int64"),
        (torch.zeros(3, 3, dtype=torch.complex64), "type torch.complex64"),
    ],
)
def test_wrong_shapes_and_types_are_named(kernel: np.ndarray | Tensor, message: str) -> None:
    with pytest.raises(KernelError, match=message):
        spectrum(kernel)


def test_too_little_memory_says_how_much_is_needed() -> None:
    kernel = np.eye(2000)
    with pytest.raises(MemoryLimitError, match=r"limit of 1 MiB .* (\d+\.?\d*) MiB do") as error:
        spectrum(kernel, memory_limit=MIB, k=5)
    needed = float(str(error.value).rsplit("; ", 1)[1].split()[0])
    assert not spectrum(kernel, memory_limit=int(1.01 * needed * MIB), k=5).complete


def test_k_is_a_number_of_eigenvalues() -> None:
    with pytest.raises(KernelError, match="k 0"):
        spectrum(np.eye(3), k=0)
    assert len(spectrum(np.eye(1200), memory_limit=64 * MIB, k=2000).eigenvalues) == 1200
