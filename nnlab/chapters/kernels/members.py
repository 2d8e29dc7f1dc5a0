"""One network: its kernel at the start, what that predicts, and what training then does."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

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
class Plan:
    """How every network is built and trains."""

    loss: Literal["squared_error", "cross_entropy"]
    reduction: Literal["sum", "mean"]
    lr_fraction: float
    steps: int
    memory_limit: int | None
    outputs: list[int] | None
    allow_custom_code: bool = False

    def network(self, model: KernelModel, width: int, task: Task, seed: int) -> nn.Module:
        """The network of a width at its random start."""
        return build_network(model, width, task, seed, allow_custom_code=self.allow_custom_code)

    def objective(self, task: Task) -> Callable[[Tensor], Tensor]:
        """From scores (n, C) to the loss."""
        if self.loss == "squared_error":
            return lambda scores: squared_error(scores, task.y, self.reduction)
        labels = task.labels
        assert labels is not None
        times = task.n / self.divisor(task)
        return lambda scores: times * cross_entropy(scores, labels)

    def divisor(self, task: Task) -> int:
        """Of the sum over the examples, and so of the kernel: 1, or n for the mean."""
        return task.n if self.reduction == "mean" else 1


def recorded_steps(steps: int) -> list[int]:
    """0, 1, … `steps`, ever more rarely."""
    return spaced_steps(steps, RECORDED)


# --- before training --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Member:
    """A network at its start.

    Attributes:
        width: m.
        seed: of its random start.
        parameters: p.
        kernel: H₀ (n, n, C, C), on the CPU.
        grid_kernel: (g, n, C, C) between the grid and the examples, or None.
        modes: of H₀.
        spectrum: of H₀, or of the outputs that were asked for.
        limit: H∞ (n, n) of one output, where it is known.
        start: f₀ (n, C) at the examples.
        grid_start: (g, C) f₀ at the grid, or None.
        lr: η.
    """

    width: int
    seed: int
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

    def residuals(self, task: Task, plan: Plan, steps: Sequence[int]) -> Tensor:
        """u_k = (I − ηH₀)ᵏ u₀ (K, nC); with cross-entropy f − ȳ along the same steps, softmax f for f."""
        if plan.loss == "squared_error":
            return gradient_descent(
                self.modes, self.u0(task), self.lr, steps, reduction=plan.reduction, n=task.n
            )
        assert task.labels is not None
        scores = logit_descent(
            self.kernel, _flat(self.start), task.labels.cpu(), self.lr, steps, reduction=plan.reduction
        )
        return scores - _flat(task.y)

    def flow(self, task: Task, plan: Plan, steps: Sequence[int]) -> Tensor:
        """u(ηk) = e^{−H₀ηk} u₀ (K, nC); with cross-entropy f − ȳ along the integrated flow."""
        times = [self.lr * step for step in steps]
        if plan.loss == "squared_error":
            return gradient_flow(self.modes, self.u0(task), times, reduction=plan.reduction, n=task.n)
        assert task.labels is not None
        found = logit_flow(self.kernel, _flat(self.start), task.labels.cpu(), times, reduction=plan.reduction)
        return found.train - _flat(task.y)

    def u0(self, task: Task) -> Tensor:
        """u₀ = f₀ − ȳ, (nC,)."""
        return _flat(self.start) - _flat(task.y)

    @cached_property
    def distance_to_infinite(self) -> float | None:
        """‖H₀ − H∞‖/‖H∞‖, H∞ being the same for every output and 0 between two."""
        if self.limit is None:
            return None
        outputs = self.kernel.shape[2]
        infinite = self.limit[:, :, None, None] * torch.eye(outputs, dtype=self.limit.dtype)
        return float((self.kernel.double() - infinite).norm() / infinite.norm())

    def regression(self, task: Task) -> KernelRegression | None:
        """The function that training ends at if the kernel stays, on the grid."""
        if self.grid_kernel is None or self.grid_start is None:
            return None
        start = _flat(self.start), _flat(self.grid_start)
        return kernel_regression(self.modes, self.grid_kernel, start, _flat(task.y))

    def predictions(self, task: Task, plan: Plan) -> dict[str, Any]:
        """What is written down before anything trains."""
        at = recorded_steps(plan.steps)
        eigenvalues = self.modes.eigenvalues
        regression = self.regression(task) if plan.loss == "squared_error" else None
        residuals = self.residuals(task, plan, at)
        found = {
            "width": self.width, "seed": self.seed, "lr": self.lr, "eta_max": self.max_lr,
            "eigenvalues": eigenvalues.tolist(),
            "half_lives": half_lives(eigenvalues, plan.reduction, task.n).tolist(),
            "residuals": residuals.tolist(),
            "residuals_in_flow": self.flow(task, plan, at).tolist(),
            "loss": loss_of(residuals, plan, task).tolist(),
        }  # fmt: skip
        if regression is not None:
            assert task.grid is not None
            found["grid"] = task.grid[:, 0].tolist()
            found["kernel_regression"] = regression.predictions.tolist()
        return found


def _flat(values: Tensor) -> Tensor:
    """(n, C) as (nC,) in float64 on the CPU."""
    return values.double().cpu().reshape(-1)


def loss_of(residuals: Tensor, plan: Plan, task: Task) -> Tensor:
    """(K,) losses of residuals (K, nC) f − ȳ."""
    if plan.loss == "squared_error":
        return residuals.square().sum(1) / 2 / plan.divisor(task)
    labels = task.labels
    assert labels is not None
    scores = (residuals + _flat(task.y)).view(len(residuals), task.n, -1)
    each = [cross_entropy(step, labels.cpu()) for step in scores]
    return torch.stack(each) * (task.n / plan.divisor(task))


def prepare(
    network: nn.Module,
    width: int,
    seed: int,
    limit: Callable[[], Tensor | None],
    task: Task,
    plan: Plan,
) -> Member:
    """The kernel of a network at its start, and everything that follows from it alone."""
    kernel = kernel_of(network, task.x, None, plan)
    modes = decompose(kernel, computed_in=task.x.dtype)
    of_interest = kernel
    if plan.outputs is not None:
        of_interest = kernel[:, :, plan.outputs][:, :, :, plan.outputs]
    largest = max_step(modes.eigenvalues, plan.reduction, task.n)
    with torch.no_grad():
        start = network(task.x)
        grid_start = None if task.grid is None else network(task.grid).cpu()
    return Member(
        width=width,
        seed=seed,
        parameters=sum(p.numel() for p in network.parameters() if p.requires_grad),
        kernel=kernel,
        grid_kernel=None if task.grid is None else kernel_of(network, task.grid, task.x, plan),
        modes=modes,
        spectrum=spectrum(of_interest, computed_in=task.x.dtype),
        limit=limit(),
        start=start.cpu(),
        grid_start=grid_start,
        lr=plan.lr_fraction * largest if math.isfinite(largest) else plan.lr_fraction,
        max_lr=largest,
    )


def kernel_of(
    network: nn.Module, x1: Tensor, x2: Tensor | None, plan: Plan, params: Mapping[str, Tensor] | None = None
) -> Tensor:
    """The full kernel on the CPU, within the plan's memory limit."""
    found = empirical_ntk(network, x1, x2, params=params, memory_limit=plan.memory_limit)
    assert isinstance(found, Tensor)
    return found.cpu()


def limit_kernel(model: KernelModel, task: Task) -> Tensor | None:
    """H∞ (n, n) of one output, for fully connected networks in the ntk parameterization; maxout has none."""
    if not isinstance(model, KernelMLP) or model.parameterization != "ntk" or model.activation == "maxout":
        return None
    _, kernel = infinite_ntk(build_network(model, 1, task, 0), task.x)
    return kernel.cpu()


# --- training ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """A network after training, beside what was predicted.

    Attributes:
        member: the network at its start.
        trajectory: its outputs at every step.
        linearized: those of its linearization, where that was trained too.
        kernel: H at the end, or None where training diverged, or came so far that H overflows.
        grid: (g, C) the function it learned, on the grid.
        linear_grid: the same of the linearization.
        predicted: (steps + 1, nC) residuals at every step.
        errors: (steps + 1,) distance of the measured from the predicted residuals over ‖u₀‖; with
            cross-entropy over the way of the predicted scores.
        losses: (K,) at the recorded steps.
        predicted_losses: (K,) likewise.
        at: the K recorded steps.
    """

    member: Member
    trajectory: Trajectory
    linearized: Trajectory | None
    kernel: Tensor | None
    grid: Tensor | None
    linear_grid: Tensor | None
    predicted: Tensor
    errors: Tensor
    losses: Tensor
    predicted_losses: Tensor
    at: list[int]

    @property
    def diverged(self) -> bool:
        """Whether there is no end to look at."""
        return self.kernel is None

    @property
    def residual_error(self) -> float:
        """The largest over all steps."""
        return float(self.errors.max())

    @property
    def drift(self) -> float | None:
        """‖H(w) − H₀‖/‖H₀‖ at the end."""
        if self.kernel is None:
            return None
        return float((self.kernel - self.member.kernel).norm() / self.member.kernel.norm())

    def row(self) -> dict[str, Any]:
        """A line of the table of results."""
        member = self.member
        return {
            "width": member.width, "seed": member.seed, "parameters": member.parameters,
            "lambda_min": member.spectrum.lambda_min, "lambda_max": member.spectrum.lambda_max,
            "rank": member.spectrum.rank, "eta_max": member.max_lr,
            "distance_to_infinite": member.distance_to_infinite, "kernel_drift": self.drift,
            "residual_error": self.residual_error, "train_loss": float(self.losses[-1]),
            "predicted_loss": float(self.predicted_losses[-1]),
        }  # fmt: skip

    def log_rows(self) -> list[dict[str, Any]]:
        """Loss and prediction at the recorded steps."""
        part = f"width {self.member.width}, seed {self.member.seed}"
        return [
            {"part": part, "split": "train", "step": step, "loss": loss, "predicted_loss": predicted}
            for step, loss, predicted in zip(
                self.at, self.losses.tolist(), self.predicted_losses.tolist(), strict=True
            )
        ]


def compare(
    member: Member, network: nn.Module, task: Task, plan: Plan, *, linear: bool, stop: Callable[[], bool]
) -> Comparison:
    """Trains the network, and with `linear` its linearization too, at the member's step size."""
    function, start = as_function(network)
    settings: dict[str, Any] = {"lr": member.lr, "steps": plan.steps, "stop": stop}
    objective = plan.objective(task)
    trajectory = follow(function, start, task.x, objective, **settings)
    tangent = linearize(network) if linear else None
    linearized = None if tangent is None else follow(tangent, start, task.x, objective, **settings)
    at = recorded_steps(plan.steps)
    measured = residuals_of(trajectory, task)
    predicted = member.residuals(task, plan, range(plan.steps + 1))
    return Comparison(
        member=member,
        trajectory=trajectory,
        linearized=linearized,
        kernel=_kernel_at_the_end(network, task, plan, trajectory),
        grid=_on_grid(function, trajectory, task),
        linear_grid=_on_grid(tangent, linearized, task),
        predicted=predicted,
        errors=_errors(member.u0(task), measured, predicted, plan),
        losses=loss_of(measured[at], plan, task),
        predicted_losses=loss_of(predicted[at], plan, task),
        at=at,
    )


def _kernel_at_the_end(network: nn.Module, task: Task, plan: Plan, trajectory: Trajectory) -> Tensor | None:
    if trajectory.diverged is not None:
        return None
    try:
        return kernel_of(network, task.x, None, plan, trajectory.parameters)
    except NonFiniteError:  # on its way to infinity: outputs that are squared in H
        return None


def _on_grid(function: Function | None, trajectory: Trajectory | None, task: Task) -> Tensor | None:
    """(g, C) what was learned, where there is a grid and training did not diverge."""
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


def residuals_of(trajectory: Trajectory, task: Task) -> Tensor:
    """f − ȳ at every step, (steps + 1, nC) in float64 on the CPU."""
    outputs = trajectory.outputs.double().cpu()
    return outputs.reshape(len(outputs), -1) - _flat(task.y)


def _errors(u0: Tensor, measured: Tensor, predicted: Tensor, plan: Plan) -> Tensor:
    """NaN, from a network that diverged, counts as infinitely far."""
    scale = u0.norm() if plan.loss == "squared_error" else (predicted - u0).norm(dim=1).max()
    errors = (measured - predicted).norm(dim=1) / scale.clamp(min=TINY)
    return torch.nan_to_num(errors, nan=math.inf, posinf=math.inf)
