"""One network: its kernel at the start, what that predicts, and what training then does."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nnlab.chapters.kernels.moments import Moments, are_kept, moments_of
from nnlab.chapters.kernels.setup import KernelMLP, KernelModel, Task, build_network
from nnlab.ntk import (
    KernelRegression,
    Modes,
    NonFiniteError,
    Spectrum,
    decompose,
    empirical_ntk,
    gradient_descent,
    gradient_flow,
    half_lives,
    infinite_ntk,
    kernel_regression,
    linearize,
    logit_descent,
    logit_flow,
    max_step,
    spectrum,
)
from nnlab.training.descent import Function, Trajectory, follow, spaced_steps
from nnlab.training.losses import cross_entropy, squared_error

RECORDED = 60  # steps at which curves are kept, about equally spaced on a logarithmic axis
TINY = 1e-300  # in place of a norm that is 0, where everything that it would divide is 0 too


@dataclass(frozen=True)
class Study:
    """The networks of a run, the examples that they learn, and how they train.

    Attributes:
        model: of every network, but for its width.
        task: the examples.
        loss: its name.
        reduction: of the loss over the examples.
        lr_fraction: η in units of the η_max of each network.
        steps: of gradient descent.
        memory_limit: of one kernel, in bytes; None for a quarter of the free memory.
        outputs: indices of the scores that the spectra are of; None for all.
        allow_custom_code: lets a custom model run its factory.
        seed: of the run.
    """

    model: KernelModel
    task: Task
    loss: Literal["squared_error", "cross_entropy"]
    reduction: Literal["sum", "mean"]
    lr_fraction: float
    steps: int
    memory_limit: int | None = None
    outputs: list[int] | None = None
    allow_custom_code: bool = False
    seed: int = 0

    def network(self, width: int, number: int) -> nn.Module:
        """Builds a network at its random start, independent of all with another number or width."""
        allow = self.allow_custom_code
        return build_network(self.model, width, self.task, self.seed, number, allow_custom_code=allow)

    @property
    def recorded(self) -> list[int]:
        """The steps at which curves are kept: 0, 1, … `steps`, ever more rarely."""
        return spaced_steps(self.steps, RECORDED)

    @property
    def divisor(self) -> int:
        """The divisor of the sum over the examples, and so of the kernel: 1, or n for the mean."""
        return self.task.n if self.reduction == "mean" else 1

    def objective(self, scores: Tensor) -> Tensor:
        """The loss of scores (n, C)."""
        if self.loss == "squared_error":
            return squared_error(scores, self.task.y, self.reduction)
        assert self.task.labels is not None
        return self.task.n / self.divisor * cross_entropy(scores, self.task.labels)

    def losses(self, residuals: Tensor) -> Tensor:
        """(K,) losses of residuals (K, nC) f − ȳ."""
        if self.loss == "squared_error":
            return residuals.square().sum(1) / 2 / self.divisor
        assert self.task.labels is not None
        scores = (residuals + _flat(self.task.y)).view(len(residuals), self.task.n, -1)
        each = [cross_entropy(step, self.task.labels.cpu()) for step in scores]
        return torch.stack(each) * (self.task.n / self.divisor)

    def residuals(self, trajectory: Trajectory) -> Tensor:
        """f − ȳ at every step, (steps + 1, nC) in float64 on the CPU."""
        outputs = trajectory.outputs.double().cpu()
        return outputs.reshape(len(outputs), -1) - _flat(self.task.y)

    @cached_property
    def limit(self) -> Tensor | None:
        """H∞ (n, n) of one output, for an mlp in the ntk parameterization; maxout has none."""
        model = self.model
        if (
            not isinstance(model, KernelMLP)
            or model.parameterization != "ntk"
            or model.activation == "maxout"
        ):
            return None
        _, kernel = infinite_ntk(build_network(model, 1, self.task, 0), self.task.x)
        return kernel.cpu()


def kernel_of(
    network: nn.Module,
    study: Study,
    x1: Tensor,
    x2: Tensor | None,
    params: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """The full kernel (n₁, n₂, C, C) on the CPU, within the study's memory limit."""
    return empirical_ntk(network, x1, x2, params=params, memory_limit=study.memory_limit).cpu()


# --- before training --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Member:
    """A network at its start.

    Attributes:
        study: the study that it belongs to.
        width: m.
        number: of the network among those of its width, from 0 on.
        parameters: p.
        kernel: H₀ (n, n, C, C), on the CPU.
        grid_kernel: (g, n, C, C) between the grid and the examples, or None.
        modes: of H₀.
        spectrum: of H₀, or of the outputs that were asked for.
        limit: H∞ (n, n) of one output, where it is known.
        start: f₀ (n, C) at the examples.
        grid_start: (g, C) f₀ at the grid, or None.
        lr: η.
        max_lr: η_max = 2/λmax(H₀), infinite where H₀ is 0.
    """

    study: Study
    width: int
    number: int
    parameters: int
    kernel: Tensor
    grid_kernel: Tensor | None
    modes: Modes
    spectrum: Spectrum
    limit: Tensor | None
    start: Tensor
    grid_start: Tensor | None
    lr: float
    max_lr: float

    def residuals(self, steps: Sequence[int]) -> Tensor:
        """u_k = (I − ηH₀)ᵏ u₀ (K, nC); with cross-entropy f − ȳ along the same steps, softmax f for f."""
        study, task = self.study, self.study.task
        if study.loss == "squared_error":
            return gradient_descent(self.modes, self.u0, self.lr, steps, reduction=study.reduction, n=task.n)
        assert task.labels is not None
        labels = task.labels.cpu()
        scores = logit_descent(
            self.kernel, _flat(self.start), labels, self.lr, steps, reduction=study.reduction
        )
        return scores.train - _flat(task.y)

    def flow(self, steps: Sequence[int]) -> Tensor:
        """u(ηk) = e^{−H₀ηk} u₀ (K, nC); with cross-entropy f − ȳ along the integrated flow."""
        study, task = self.study, self.study.task
        times = [self.lr * step for step in steps]
        if study.loss == "squared_error":
            return gradient_flow(self.modes, self.u0, times, reduction=study.reduction, n=task.n)
        assert task.labels is not None
        labels = task.labels.cpu()
        flow = logit_flow(self.kernel, _flat(self.start), labels, times, reduction=study.reduction)
        return flow.train - _flat(task.y)

    @cached_property
    def u0(self) -> Tensor:
        """u₀ = f₀ − ȳ, (nC,)."""
        return _flat(self.start) - _flat(self.study.task.y)

    @cached_property
    def distance_to_infinite(self) -> float | None:
        """‖H₀ − H∞‖/‖H∞‖, H∞ being the same for every output and 0 between two."""
        if self.limit is None:
            return None
        outputs = self.kernel.shape[2]
        infinite = self.limit[:, :, None, None] * torch.eye(outputs, dtype=self.limit.dtype)
        return float((self.kernel.double() - infinite).norm() / infinite.norm())

    @cached_property
    def regression(self) -> KernelRegression | None:
        """The function that training ends at if the kernel stays, on the grid."""
        if self.grid_kernel is None or self.grid_start is None:
            return None
        start = _flat(self.start), _flat(self.grid_start)
        return kernel_regression(self.modes, self.grid_kernel, start, _flat(self.study.task.y))

    def predictions(self) -> dict[str, Any]:
        """The predictions that are written down before anything trains."""
        study, eigenvalues = self.study, self.modes.eigenvalues
        residuals = self.residuals(study.recorded)
        written = {
            "width": self.width, "network": self.number, "lr": self.lr, "eta_max": self.max_lr,
            "eigenvalues": eigenvalues.tolist(),
            "half_lives": half_lives(eigenvalues, study.reduction, study.task.n).tolist(),
            "residuals": residuals.tolist(),
            "residuals_in_flow": self.flow(study.recorded).tolist(),
            "loss": study.losses(residuals).tolist(),
        }  # fmt: skip
        if self.regression is not None:
            assert study.task.grid is not None
            written["grid"] = study.task.grid[:, 0].tolist()
            written["kernel_regression"] = self.regression.predictions.tolist()
        return written


def _flat(values: Tensor) -> Tensor:
    """(n, C) as (nC,) in float64 on the CPU."""
    return values.double().cpu().reshape(-1)


def prepare(study: Study, width: int, number: int) -> Member:
    """The kernel of a network at its start, and everything that follows from it alone."""
    network, task = study.network(width, number), study.task
    kernel = kernel_of(network, study, task.x, None)
    modes = decompose(kernel, computed_in=task.x.dtype)
    of_interest = kernel
    if study.outputs is not None:
        of_interest = kernel[:, :, study.outputs][:, :, :, study.outputs]
    largest = max_step(modes.eigenvalues, study.reduction, task.n)
    with torch.no_grad():
        start = network(task.x)
        grid_start = None if task.grid is None else network(task.grid).cpu()
    return Member(
        study=study,
        width=width,
        number=number,
        parameters=sum(p.numel() for p in network.parameters() if p.requires_grad),
        kernel=kernel,
        grid_kernel=None if task.grid is None else kernel_of(network, study, task.grid, task.x),
        modes=modes,
        spectrum=spectrum(of_interest, computed_in=task.x.dtype),
        limit=study.limit,
        start=start.cpu(),
        grid_start=grid_start,
        lr=study.lr_fraction * largest if math.isfinite(largest) else study.lr_fraction,
        max_lr=largest,
    )


# --- training ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """A network after training, beside what was predicted.

    Attributes:
        member: the network at its start.
        measured: (steps + 1, nC) residuals f − ȳ at every step.
        linearized: those of its linearization, where that was trained too.
        kernel: H at the end, or None where training diverged, or came so far that H overflows.
        grid: (g, C) the function it learned, on the grid.
        linear_grid: the same of the linearization.
        moments: of the training, where the linearization was trained too and they are kept.
    """

    member: Member
    measured: Tensor
    linearized: Tensor | None
    kernel: Tensor | None
    grid: Tensor | None
    linear_grid: Tensor | None
    moments: Moments | None = None

    @cached_property
    def predicted(self) -> Tensor:
        """(steps + 1, nC) residuals at every step, as H₀ predicts them."""
        return self.member.residuals(range(self.member.study.steps + 1))

    @cached_property
    def errors(self) -> Tensor:
        """(steps + 1,) distance of the measured from the predicted residuals over ‖u₀‖.

        With cross-entropy it is over the distance that the predicted scores cover. NaN, from a network that
        diverged, counts as infinitely far.
        """
        u0 = self.member.u0
        is_squared = self.member.study.loss == "squared_error"
        scale = u0.norm() if is_squared else (self.predicted - u0).norm(dim=1).max()
        errors = (self.measured - self.predicted).norm(dim=1) / scale.clamp(min=TINY)
        return torch.nan_to_num(errors, nan=math.inf, posinf=math.inf)

    @cached_property
    def losses(self) -> tuple[Tensor, Tensor]:
        """(K,) measured and (K,) predicted losses at the recorded steps."""
        study = self.member.study
        measured, predicted = (study.losses(u[study.recorded]) for u in (self.measured, self.predicted))
        return measured, predicted

    @property
    def residual_error(self) -> float:
        """The largest error over all steps."""
        return float(self.errors.max())

    @property
    def drift(self) -> float | None:
        """‖H(w) − H₀‖/‖H₀‖ at the end."""
        if self.kernel is None:
            return None
        return float((self.kernel - self.member.kernel).norm() / self.member.kernel.norm())

    def row(self) -> dict[str, Any]:
        """A line of the table of results."""
        member, (measured, predicted) = self.member, self.losses
        return {
            "width": member.width, "network": member.number, "parameters": member.parameters,
            "lambda_min": member.spectrum.lambda_min, "lambda_max": member.spectrum.lambda_max,
            "rank": member.spectrum.rank, "eta_max": member.max_lr,
            "distance_to_infinite": member.distance_to_infinite, "kernel_drift": self.drift,
            "residual_error": self.residual_error, "train_loss": float(measured[-1]),
            "predicted_loss": float(predicted[-1]),
        }  # fmt: skip

    def log_rows(self) -> list[dict[str, Any]]:
        """Loss and prediction at the recorded steps."""
        part = f"width {self.member.width}, network {self.member.number}"
        columns = self.member.study.recorded, *(losses.tolist() for losses in self.losses)
        return [
            {"part": part, "split": "train", "step": step, "loss": loss, "predicted_loss": predicted}
            for step, loss, predicted in zip(*columns, strict=True)
        ]


def compare(member: Member, *, linear: bool, stop: Callable[[], bool]) -> Comparison:
    """Trains the network, and with `linear` its linearization too, at the member's step size."""
    study, task = member.study, member.study.task
    network = study.network(member.width, member.number)
    function, start = as_function(network)
    settings: dict[str, Any] = {"lr": member.lr, "steps": study.steps, "stop": stop}
    tangent = linearize(network) if linear else None
    moments = None if tangent is None else _moments(study, network, function, tangent)
    watch = (None, None) if moments is None else (moments.watch, moments.watch_linearization)
    trajectory = follow(function, start, task.x, study.objective, observe=watch[0], **settings)
    linearized = None
    if tangent is not None:
        linearized = follow(tangent, start, task.x, study.objective, observe=watch[1], **settings)
    return Comparison(
        member=member,
        measured=study.residuals(trajectory),
        linearized=None if linearized is None else study.residuals(linearized),
        kernel=_kernel_at_the_end(network, study, trajectory),
        grid=_on_grid(function, trajectory, task),
        linear_grid=_on_grid(tangent, linearized, task),
        moments=moments,
    )


def _moments(study: Study, network: nn.Module, function: Function, tangent: Function) -> Moments | None:
    """Where its moments are to be kept; None for a training whose moments are not."""
    task = study.task
    if task.grid is None or not are_kept(study.model, task.n, task.outputs):
        return None
    steps = moments_of(study.steps)
    return Moments(network, function, tangent, task.x, task.grid, steps, study.memory_limit)


def _kernel_at_the_end(network: nn.Module, study: Study, trajectory: Trajectory) -> Tensor | None:
    if trajectory.diverged is not None:
        return None
    try:
        return kernel_of(network, study, study.task.x, None, trajectory.parameters)
    except NonFiniteError:  # on its way to infinity: outputs that are squared in H
        return None


def _on_grid(function: Function | None, trajectory: Trajectory | None, task: Task) -> Tensor | None:
    """(g, C) the learned function, where there is a grid and training did not diverge."""
    if function is None or trajectory is None or task.grid is None or trajectory.diverged is not None:
        return None
    with torch.no_grad():
        return function(trajectory.parameters, task.grid).cpu()


def as_function(network: nn.Module) -> tuple[Function, dict[str, Tensor]]:
    """The network as a function of its parameters and of examples, and the parameters at the start."""

    def function(w: Mapping[str, Tensor], x: Tensor) -> Tensor:
        scores: Tensor = functional_call(network, dict(w), (x,))
        return scores

    return function, {n: value.detach() for n, value in network.named_parameters() if value.requires_grad}
