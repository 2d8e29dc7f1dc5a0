"""The figures of the kernel experiment, and the arrays behind them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nnlab.chapters.kernels.claims import over_widths
from nnlab.chapters.kernels.figures.dynamics import loss_prediction, residual_error
from nnlab.chapters.kernels.figures.functions import functions_on_line
from nnlab.chapters.kernels.figures.kernels import feature_map as feature_map_figure
from nnlab.chapters.kernels.figures.kernels import kernel_images
from nnlab.chapters.kernels.figures.logits import logit_dynamics
from nnlab.chapters.kernels.figures.modes import mode_trajectories
from nnlab.chapters.kernels.figures.spectra import kernel_spectra
from nnlab.chapters.kernels.members import Comparison, Plan, loss_of, residuals_of
from nnlab.chapters.kernels.setup import KernelCNN, KernelCustom, KernelModel, Task
from nnlab.lab.drawing import numbers
from nnlab.lab.session import generator
from nnlab.ntk import MemoryLimitError, as_matrix, feature_map
from nnlab.plot.exponents import width_scaling
from nnlab.record import Record
from nnlab.theory import fit_exponent

FEATURES = 24  # coordinates of φ that are drawn
EXAMPLES = 6  # whose class probabilities are drawn


def draw(
    model: KernelModel, task: Task, plan: Plan, comparisons: Sequence[Comparison], record: Record
) -> None:
    """Everything but the step sizes and the circle."""
    done = [c for c in comparisons if not c.diverged]
    widest = [c for c in done if c.member.width == done[-1].member.width]
    _spectra(task, comparisons, record)
    _images(widest[0], task, record)
    _laws(model, comparisons, record)
    _errors(comparisons, record)
    if plan.loss == "squared_error":
        _trajectories(_first_of_width(comparisons, widest[0].member.width), task, plan, record)
    else:
        _logits(widest[0], task, plan, record)
    if task.grid is not None:
        _functions(task, plan, done, record)
        _features(model, task, plan, comparisons[0], record)


def _first_of_width(comparisons: Sequence[Comparison], width: int) -> Comparison:
    """The one whose linearization was trained too, whether it diverged or not."""
    return next(c for c in comparisons if c.member.width == width)


def _by_width(comparisons: Sequence[Comparison]) -> dict[int, list[Comparison]]:
    found: dict[int, list[Comparison]] = {}
    for comparison in comparisons:
        found.setdefault(comparison.member.width, []).append(comparison)
    return found


def _spectra(task: Task, comparisons: Sequence[Comparison], record: Record) -> None:
    """Of the outputs that were asked for; the limit has every eigenvalue once for each of them."""
    spectra = {
        width: np.stack([c.member.spectrum.eigenvalues for c in group])
        for width, group in _by_width(comparisons).items()
    }
    limit = comparisons[0].member.limit
    eigenvalues = None
    if limit is not None:
        copies = comparisons[0].member.spectrum.size // task.n
        each = torch.linalg.eigvalsh(limit).flip(0).repeat_interleave(copies)
        eigenvalues = numbers(each)
        record.save_arrays(**{"spectrum/limit": eigenvalues})
    record.save_arrays(**{f"spectrum/{width}": values for width, values in spectra.items()})
    threshold = max(c.member.spectrum.threshold for c in comparisons)
    record.save_figure(kernel_spectra(spectra, eigenvalues, threshold=threshold), "spectra")


def _images(comparison: Comparison, task: Task, record: Record) -> None:
    """H at the start and the end; with several outputs their mean, H summed over equal outputs over C."""
    assert comparison.kernel is not None
    start, end = (_mean_over_outputs(k) for k in (comparison.member.kernel, comparison.kernel))
    limit = comparison.member.limit
    arrays = {"kernel/start": start, "kernel/end": end}
    if limit is not None:
        arrays["kernel/limit"] = numbers(limit)
    record.save_arrays(**arrays)
    assert comparison.drift is not None
    verb = "hardly moves" if comparison.drift < 0.05 else "moves"
    title = f"At width {comparison.member.width} the kernel {verb}: ‖H − H₀‖ / ‖H₀‖ = {comparison.drift:.2g}"
    record.save_figure(kernel_images(start, end, arrays.get("kernel/limit"), title), "kernel")


def _mean_over_outputs(kernel: Tensor) -> np.ndarray:
    return numbers(kernel.double().diagonal(dim1=2, dim2=3).mean(-1))


def _laws(model: KernelModel, comparisons: Sequence[Comparison], record: Record) -> None:
    """Distance to the limit, drift and error of the prediction over the width."""
    laws = {}
    for name, measure in (
        ("‖H₀ − H∞‖/‖H∞‖", lambda c: c.member.distance_to_infinite),
        ("drift ‖H − H₀‖/‖H₀‖", lambda c: c.drift),
        ("prediction error", lambda c: c.residual_error),
    ):
        found = over_widths(comparisons, measure)
        if found is not None:
            fit = fit_exponent(*found)
            laws[name] = (*found, fit.slope, fit.interval)
            record.save_arrays(**{f"widths/{name.split()[0]}": found[1]})
    if laws:
        record.save_figure(width_scaling({_short(model): laws}, "relative distance"), "widths")


def _short(model: KernelModel) -> str:
    """The network in a few words, for a panel."""
    if isinstance(model, KernelCNN):
        return f"CNN, {model.depth} blocks"
    if isinstance(model, KernelCustom):
        return model.factory
    return f"{model.parameterization}, {model.depth} hidden layer{'s' * (model.depth > 1)}"


def _errors(comparisons: Sequence[Comparison], record: Record) -> None:
    """The distance from the prediction over training."""
    at = comparisons[0].at
    errors = {
        width: np.stack([numbers(c.errors[at]) for c in group])
        for width, group in _by_width(comparisons).items()
    }
    record.save_arrays(steps=np.array(at), **{f"error/{width}": rows for width, rows in errors.items()})
    record.save_figure(residual_error(np.array(at), errors), "residual_error")


def _trajectories(first: Comparison, task: Task, plan: Plan, record: Record) -> None:
    """Loss and modes of one network: each has a prediction of its own."""
    member, at = first.member, np.array(first.at)
    assert first.linearized is not None
    curves = {
        "flow": member.flow(task, plan, first.at),
        "descent": first.predicted[first.at],
        "network": residuals_of(first.trajectory, task)[first.at],
        "linearized": residuals_of(first.linearized, task)[first.at],
    }
    modes = {name: numbers(values @ member.modes.vectors).T for name, values in curves.items()}  # (nC, K)
    losses = {name: numbers(loss_of(values, plan, task)) for name, values in curves.items()}
    record.save_arrays(**{f"modes/{name}": values for name, values in modes.items()})
    record.save_arrays(**{f"loss/{name}": values for name, values in losses.items()})
    eigenvalues = numbers(member.modes.eigenvalues) / plan.divisor(task)
    record.save_arrays(**{"modes/eigenvalues": eigenvalues, "modes/lr": np.array(member.lr)})
    figure = mode_trajectories(
        at, eigenvalues, modes["flow"], modes["descent"], modes["network"], modes["linearized"], lr=member.lr
    )
    record.save_figure(figure, "modes")
    figure = loss_prediction(
        at, losses["descent"], losses["network"][None], losses["linearized"][None], losses["flow"]
    )
    record.save_figure(figure, "loss")


def _logits(comparison: Comparison, task: Task, plan: Plan, record: Record) -> None:
    """Class probabilities of a few examples."""
    member, targets = comparison.member, task.y.double().cpu().reshape(-1)

    def probabilities(residuals: Tensor) -> np.ndarray:
        scores = (residuals + targets).view(len(residuals), task.n, task.outputs)[:, :EXAMPLES]
        return numbers(scores.softmax(-1).permute(1, 2, 0))

    predicted = probabilities(member.flow(task, plan, comparison.at))
    measured = probabilities(residuals_of(comparison.trajectory, task)[comparison.at])
    t = member.lr * np.array(comparison.at)
    record.save_arrays(**{"logits/t": t, "logits/predicted": predicted, "logits/measured": measured})
    record.save_figure(logit_dynamics(t, predicted, measured), "probabilities")


def _functions(task: Task, plan: Plan, done: Sequence[Comparison], record: Record) -> None:
    """Network, linearization and kernel regression on the line, with a band over seeds."""
    assert task.grid is not None
    assert task.truth is not None
    panels: dict[str, Any] = {}
    for width, group in _by_width(done).items():
        kinds = {"network": _stack([c.grid for c in group])}
        kinds["linearization"] = _stack([c.linear_grid for c in group])
        if plan.loss == "squared_error":
            regressions = [c.member.regression(task) for c in group]
            kinds["kernel regression"] = _stack([None if r is None else r.predictions for r in regressions])
        panels[f"m = {width}"] = {name: values for name, values in kinds.items() if len(values)}
        record.save_arrays(**{f"functions/{width}/{k}": v for k, v in panels[f"m = {width}"].items()})
    x, truth, points, values = (
        numbers(v.double().cpu()[:, 0]) for v in (task.grid, task.truth, task.x, task.y)
    )
    record.save_arrays(**{"functions/x": x, "functions/target": truth})
    record.save_figure(functions_on_line(x, truth, points, values, panels), "functions")


def _stack(functions: Sequence[Tensor | None]) -> np.ndarray:
    """(S, g) of those that there are."""
    return np.array([numbers(f.double().cpu().reshape(-1)) for f in functions if f is not None])


def _features(model: KernelModel, task: Task, plan: Plan, comparison: Comparison, record: Record) -> None:
    """Some coordinates of φ for the narrowest network, and its Gram matrix beside the kernel."""
    member = comparison.member
    network = plan.network(model, member.width, task, member.seed)
    assert task.grid is not None
    try:
        over_grid = feature_map(network, task.grid, memory_limit=plan.memory_limit)[:, 0].double().cpu()
        features = feature_map(network, task.x, memory_limit=plan.memory_limit).double().cpu().flatten(0, 1)
    except MemoryLimitError:
        return  # the narrowest network is too wide to look at its features
    # features that are 0 everywhere, of units that no input reaches, say nothing
    alive = (over_grid.abs().amax(0) > 0).nonzero()[:, 0]
    chosen = alive[torch.randperm(len(alive), generator=generator(member.seed, "features"))[:FEATURES]]
    lines, gram = numbers(over_grid[:, chosen]), numbers(features @ features.T)
    x, kernel = numbers(task.grid.double().cpu()[:, 0]), numbers(as_matrix(member.kernel).double())
    record.save_arrays(**{"features/x": x, "features/lines": lines, "features/gram": gram})
    record.save_figure(feature_map_figure(x, lines, gram, kernel), "features")
