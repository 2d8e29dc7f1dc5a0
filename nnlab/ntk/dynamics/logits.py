"""Gradient flow and gradient descent on the cross-entropy with a constant kernel.

Scores are (nC,), the example index outermost, or (n, C). With a kernel (n, n) of one output scores (n, C)
move by H ⊗ I_C, which is not formed.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.integrate
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnlab.ntk.dynamics.modes import (
    Form,
    Numbers,
    Reduction,
    divisor,
    examples_of,
    new_points,
    numbers,
    square_matrix,
)
from nnlab.ntk.errors import KernelError
from nnlab.ntk.spectral.tiles import Kernel


class LogitFlow(NamedTuple):
    """Scores along gradient flow or gradient descent on a cross-entropy.

    Attributes:
        train: (nC,) or (n, C) as the scores at the start; (K, …) for K times or numbers of steps.
        new: likewise (n_xC,) or (n_x, C), or (K, …), at the new points; None without any.
    """

    train: Tensor
    new: Tensor | None


def logit_flow(
    H: Kernel,
    f0: Tensor,
    y: Tensor,
    t: Numbers,
    *,
    reduction: Reduction = "sum",
    H_xt: Kernel | None = None,
    f0_x: Tensor | None = None,
    tolerance: float = 1e-10,
) -> LogitFlow:
    """Computes scores f(t) of ḟ = −H (softmax f − y), the gradient flow of Σ cross-entropies.

    No closed form is known. Integrated in a(t) = ∫ (y − softmax f) dt, with f = f₀ + H a and
    f_x = f_x(0) + H_x a, so that new points cost nothing, by LSODA, which changes between Adams and the
    implicit BDF formulas as the modes' speeds, which lie decades apart, require (Petzold 1983).

    Args:
        H: (n, n, C, C), (nC, nC), or (n, n) if f₀ is (n, C), for H ⊗ I_C. In any case the integration holds a
            few times (nC)² numbers.
        f0: (nC,) or (n, C) scores at time 0.
        y: labels (n,) as integers, or probabilities (n, C).
        t: a time, or (K,) times from 0 on, in any order.
        reduction: of the loss; `mean` is the mean over examples.
        H_xt: (n_x, n, C, C), (n_xC, nC), or (n_x, n) with a kernel (n, n).
        f0_x: (n_xC,), or (n_x, C) as f₀ is, with `H_xt`.
        tolerance: of the error per step in a, relative, and absolute in units of 1/λmax.

    Raises:
        KernelError: shapes that do not fit, labels out of range, times below 0, or the integration failed.
        NonFiniteError: NaN or infinity.
    """
    matrix = square_matrix(H)
    form, start, target = _begin(H, matrix, f0, y)
    times = numbers("t", t)
    if bool((times < 0).any()):
        raise KernelError(f"logit_flow: t {t}: times start at 0")
    cross = new_points(H_xt, f0_x, matrix)
    scale = divisor(reduction, len(target))
    kernel = _Product(matrix.cpu().numpy() / scale, form.repeated)
    moved = _integrate(kernel, start.cpu().numpy().reshape(-1), target, times.reshape(-1).numpy(), tolerance)
    change = torch.from_numpy(moved).to(matrix.device) / scale  # (K, nC)
    if form.repeated:
        change = change.view(len(change), *target.shape)
    train = start + (matrix @ change if form.repeated else change @ matrix)
    train = form.restore(train).reshape(*times.shape, *f0.shape)
    if cross is None or f0_x is None:
        return LogitFlow(train, None)
    new = form.take("f0_x", f0_x, len(cross), cross.device)
    new = new + (cross @ change if form.repeated else change @ cross.T)
    return LogitFlow(train, form.restore(new).reshape(*times.shape, *f0_x.shape))


def logit_descent(
    H: Kernel,
    f0: Tensor,
    y: Tensor,
    lr: float,
    steps: Sequence[int],
    *,
    reduction: Reduction = "sum",
    H_xt: Kernel | None = None,
    f0_x: Tensor | None = None,
) -> LogitFlow:
    """Computes scores of f ← f − ηH (softmax f − y), gradient descent on Σ cross-entropies, step by step.

    Args:
        H, f0, y, reduction, H_xt, f0_x: as for `logit_flow`.
        lr: η.
        steps: K numbers of steps from 0 on, in any order.

    Returns:
        (K, nC) or (K, n, C) scores, as f₀ is; and at new points, as f0_x is.

    Raises:
        KernelError: shapes that do not fit, or labels out of range.
        NonFiniteError: NaN or infinity in H or f₀.
    """
    matrix = square_matrix(H)
    form, scores, labels = _begin(H, matrix, f0, y)
    target = torch.from_numpy(labels).to(matrix.device)
    cross = new_points(H_xt, f0_x, matrix)
    rate = lr / divisor(reduction, len(target))
    moved = torch.zeros_like(scores)  # Σ (softmax f − y) over the steps
    kept, wanted = {}, set(steps)
    for step in range(max(wanted) + 1):
        if step in wanted:
            kept[step] = scores, moved
        wrong = (scores.view_as(target).softmax(1) - target).reshape(scores.shape)
        scores, moved = scores - rate * (matrix @ wrong), moved + wrong
    train = form.restore(torch.stack([kept[step][0] for step in steps]))
    if cross is None or f0_x is None:
        return LogitFlow(train, None)
    start = form.take("f0_x", f0_x, len(cross), cross.device)
    new = form.restore(torch.stack([start - rate * (cross @ kept[step][1]) for step in steps]))
    return LogitFlow(train, new.reshape(len(steps), *f0_x.shape))


def _begin(H: Kernel, matrix: Tensor, f0: Tensor, y: Tensor) -> tuple[Form, Tensor, NDArray[np.float64]]:
    """The form of the scores, the scores as the kernel multiplies them, and the labels as (n, C)."""
    examples = examples_of(H, None)
    form = Form.of("f0", f0, len(matrix), examples)
    start = form.take("f0", f0, len(matrix), matrix.device)
    target = _targets(y, start.numel())
    expected = len(f0) if form.outputs is not None else examples
    if expected is not None and len(target) != expected:
        raise KernelError(
            f"logit_flow: y has the shape {tuple(y.shape)} and the scores are of {expected} examples; it "
            f"must be integer labels ({expected},) or probabilities ({expected}, {start.numel() // expected})"
        )
    return form, start, target


class _Product(NamedTuple):
    """A kernel (nC, nC), or (n, n) that is `repeated` for every output."""

    matrix: NDArray[np.float64]
    repeated: bool

    def times(self, a: NDArray[np.float64]) -> NDArray[np.float64]:
        """Multiplies it with (nC,) numbers."""
        rows = a.reshape(len(self.matrix), -1) if self.repeated else a
        return np.asarray((self.matrix @ rows).reshape(-1))

    def softmax_slopes(self, p: NDArray[np.float64]) -> NDArray[np.float64]:
        """Computes S H (nC, nC), where S has the blocks diag(p) − p pᵀ of probabilities (n, C)."""
        if self.repeated:
            blocks = p[:, :, None] * (np.eye(p.shape[1]) - p[:, None, :])
            slopes = np.einsum("ncd,nj->ncjd", blocks, self.matrix)
        else:
            rows = self.matrix.reshape(*p.shape, -1)
            mean = np.einsum("nc,ncj->nj", p, rows)
            slopes = p[:, :, None] * (rows - mean[:, None])
        return np.asarray(slopes.reshape(p.size, p.size))


def _integrate(
    kernel: _Product,
    start: NDArray[np.float64],
    target: NDArray[np.float64],
    times: NDArray[np.float64],
    tolerance: float,
) -> NDArray[np.float64]:
    """a (K, nC) at the times, for ȧ = y − softmax(f₀ + H a), a(0) = 0."""

    def probabilities(a: NDArray[np.float64]) -> NDArray[np.float64]:
        scores = (start + kernel.times(a)).reshape(target.shape)
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    def slope(_: float, a: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((target - probabilities(a)).reshape(-1))

    def jacobian(_: float, a: NDArray[np.float64]) -> NDArray[np.float64]:
        return -kernel.softmax_slopes(probabilities(a))

    moments, back = np.unique(times, return_inverse=True)
    if moments[-1] == 0:
        return np.zeros((len(times), len(start)))
    scale = float(np.linalg.norm(kernel.matrix, 2)) or 1.0
    solution = scipy.integrate.solve_ivp(
        slope,
        (0.0, float(moments[-1])),
        np.zeros(len(start)),
        method="LSODA",
        t_eval=moments,
        jac=jacobian,
        rtol=tolerance,
        atol=tolerance / scale,
    )
    if not solution.success:
        raise KernelError(f"logit_flow: the integration stopped: {solution.message}")
    return np.asarray(solution.y.T[back.reshape(-1)])


def _targets(y: Tensor, size: int) -> NDArray[np.float64]:
    """Converts labels or probabilities to (n, C)."""
    if y.ndim == 2 and y.numel() == size and y.is_floating_point():
        target = y.detach().to("cpu", torch.float64)
        if bool((target < 0).any()) or not torch.allclose(target.sum(1), torch.ones(len(y)).double()):
            raise KernelError("logit_flow: y: every row of probabilities must be at least 0 and sum to 1")
    elif y.ndim == 1 and len(y) and size % len(y) == 0 and not (y.is_floating_point() or y.is_complex()):
        classes = size // len(y)
        if int(y.min()) < 0 or int(y.max()) >= classes:
            raise KernelError(
                f"logit_flow: y: labels are 0 … {classes - 1}; found {int(y.min())} … {int(y.max())}"
            )
        target = torch.nn.functional.one_hot(y.detach().cpu().long(), classes).to(torch.float64)
    else:
        raise KernelError(
            f"logit_flow: y has the shape {tuple(y.shape)} and the type {y.dtype}; it must be integer labels "
            f"(n,) or probabilities (n, C), with nC = {size}"
        )
    return np.asarray(target.numpy())
