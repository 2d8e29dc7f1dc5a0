"""The figures of the kernel experiment, and the arrays behind them."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from nnlab.chapters.kernels import moments, schema
from nnlab.chapters.kernels.figures.functions import functions_on_line
from nnlab.chapters.kernels.figures.kernels import feature_map as feature_map_figure
from nnlab.chapters.kernels.figures.kernels import kernel_images, kernel_spectra
from nnlab.chapters.kernels.figures.training import (
    class_probabilities,
    loss_prediction,
    mode_trajectories,
    residual_error,
)
from nnlab.chapters.kernels.members import Comparison, Study
from nnlab.chapters.kernels.setup import KernelCNN, KernelCustom, KernelModel
from nnlab.lab.session import generator
from nnlab.ntk import MemoryLimitError, as_matrix, feature_map
from nnlab.plot.powerlaws import scaling_laws
from nnlab.record import Record
from nnlab.record.arrays import under
from nnlab.theory import fit_exponent

FEATURES = 24  # coordinates of φ that are drawn
EXAMPLES = 6  # whose class probabilities are drawn


def draw(study: Study, comparisons: Sequence[Comparison], record: Record) -> None:
    """Every figure but those of the step sizes, the circle and the infinite ensemble."""
    done = [c for c in comparisons if c.kernel is not None]
    widest = done[-1].member.width
    record.later("spectra", partial(_spectra, study, comparisons, record))
    first_done = next(c for c in done if c.member.width == widest)
    record.later("kernel", partial(_images, first_done, record))
    record.later("widths", partial(_laws, study.model, comparisons, record))
    record.later("residual_error", partial(_errors, study, comparisons, record))
    if study.loss == "squared_error":
        # the first of a width, whose linearization was trained too, whether it diverged or not
        first = next(c for c in comparisons if c.member.width == widest)
        record.later("modes", partial(_trajectories, study, first, record))
    else:
        record.later("probabilities", partial(_probabilities, study, first_done, record))
    if study.task.grid is not None:
        record.later("moments", partial(_moments, study, comparisons, record))
        record.later("functions", partial(_functions, study, done, record))
        record.later("features", partial(_features, study, comparisons[0], record))


def _array(values: Tensor) -> np.ndarray:
    """The values in float64."""
    array: np.ndarray = values.double().numpy(force=True)
    return array


def _by_width(comparisons: Sequence[Comparison]) -> dict[int, list[Comparison]]:
    groups: dict[int, list[Comparison]] = {}
    for comparison in comparisons:
        groups.setdefault(comparison.member.width, []).append(comparison)
    return groups


def _spectra(study: Study, comparisons: Sequence[Comparison], record: Record) -> None:
    """Spectra of the outputs that were asked for; the limit has every eigenvalue once for each of them."""
    spectra = {
        width: np.stack([c.member.spectrum.eigenvalues for c in group])
        for width, group in _by_width(comparisons).items()
    }
    member, limit = comparisons[0].member, None
    if member.limit is not None:
        copies = member.spectrum.size // study.task.n
        limit = torch.linalg.eigvalsh(member.limit).flip(0).repeat_interleave(copies).numpy(force=True)
        record.save_arrays(**{"spectrum/limit": limit})
    record.save_arrays(**{f"spectrum/{width}": values for width, values in spectra.items()})
    threshold = max(c.member.spectrum.threshold for c in comparisons)
    record.figure("spectra", kernel_spectra, spectra, limit, threshold=threshold)


def _images(comparison: Comparison, record: Record) -> None:
    """H at the start and the end; with several outputs their mean, H summed over equal outputs over C."""
    member, drift = comparison.member, comparison.drift
    assert comparison.kernel is not None
    assert drift is not None
    start, end = (
        _array(kernel.double().diagonal(dim1=2, dim2=3).mean(-1))
        for kernel in (member.kernel, comparison.kernel)
    )
    arrays = {"kernel/start": start, "kernel/end": end}
    if member.limit is not None:
        arrays["kernel/limit"] = member.limit.numpy(force=True)
    record.save_arrays(**arrays)
    verb = "hardly moves" if drift < 0.05 else "moves"
    title = f"At width {member.width} the kernel {verb}: ‖H − H₀‖ / ‖H₀‖ = {drift:.2g}"
    record.figure("kernel", kernel_images, start, end, arrays.get("kernel/limit"), title)


def _laws(model: KernelModel, comparisons: Sequence[Comparison], record: Record) -> None:
    """Distance to the limit, drift and error of the prediction over the width."""
    laws = {}
    for name, measure in (
        ("‖H₀ − H∞‖/‖H∞‖", lambda c: c.member.distance_to_infinite),
        ("drift ‖H − H₀‖/‖H₀‖", lambda c: c.drift),
        ("prediction error", lambda c: c.residual_error),
    ):
        values = over_widths(comparisons, measure)
        if values is not None:
            fit = fit_exponent(*values)
            laws[name] = (*values, fit.slope, fit.interval)
            record.save_arrays(**{f"widths/{name.split()[0]}": values[1]})
    if laws:
        record.figure("widths", scaling_laws, {_short(model): laws}, "relative distance")


def over_widths(
    comparisons: Sequence[Comparison], measure: Callable[[Comparison], float | None]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Widths (K,) and values (K, S); None where there is one width alone, or a value is missing."""
    widths = sorted({c.member.width for c in comparisons})
    rows = [[measure(c) for c in comparisons if c.member.width == width] for width in widths]
    usable = all(value is not None and math.isfinite(value) and value > 0 for row in rows for value in row)
    if len(widths) < 2 or not usable:
        return None
    return np.array(widths), np.array(rows, dtype=np.float64)


def _short(model: KernelModel) -> str:
    """The network in a few words, for a panel."""
    if isinstance(model, KernelCNN):
        return f"CNN, {model.depth} blocks"
    if isinstance(model, KernelCustom):
        return model.factory
    return f"{model.parameterization}, {model.depth} hidden layer{'s' * (model.depth > 1)}"


def _errors(study: Study, comparisons: Sequence[Comparison], record: Record) -> None:
    """The distance from the prediction over training."""
    steps = np.array(study.recorded)
    errors = {
        width: np.stack([c.errors[study.recorded].numpy(force=True) for c in group])
        for width, group in _by_width(comparisons).items()
    }
    record.save_arrays(**{schema.STEPS: steps, **{f"error/{width}": rows for width, rows in errors.items()}})
    record.figure("residual_error", residual_error, steps, errors)


def _trajectories(study: Study, first: Comparison, record: Record) -> None:
    """Loss and modes of one network: each network has a prediction of its own."""
    member, steps = first.member, study.recorded
    assert first.linearized is not None
    curves = {
        schema.FLOW: member.flow(steps),
        "descent": first.predicted[steps],
        schema.NETWORK: first.measured[steps],
        "linearized": first.linearized[steps],
    }
    modes = {name: (u @ member.modes.vectors).numpy(force=True).T for name, u in curves.items()}  # (nC, K)
    losses = {name: study.losses(u).numpy(force=True) for name, u in curves.items()}
    eigenvalues = member.modes.eigenvalues.numpy(force=True) / study.divisor
    vectors = member.modes.vectors.numpy(force=True)
    arrays = {
        **modes,
        schema.EIGENVALUES: eigenvalues,
        schema.VECTORS: vectors,
        schema.LR: np.array(member.lr),
    }
    record.save_arrays(**under(schema.MODES, arrays), **under("loss", losses))
    if member.grid_kernel is not None and study.task.outputs == 1:
        record.save_arrays(**{schema.ON_GRID: _array(member.grid_kernel[:, :, 0, 0])})
    at = np.array(steps)
    record.figure("modes", mode_trajectories, at, eigenvalues, modes, lr=member.lr)
    record.figure("loss", loss_prediction, at, losses)


def _probabilities(study: Study, comparison: Comparison, record: Record) -> None:
    """Class probabilities of a few examples."""
    member, task = comparison.member, study.task
    targets = task.y.double().cpu().reshape(-1)

    def probabilities(residuals: Tensor) -> np.ndarray:
        scores = (residuals + targets).view(len(residuals), task.n, task.outputs)[:, :EXAMPLES]
        return _array(scores.softmax(-1).permute(1, 2, 0))

    predicted = probabilities(member.flow(study.recorded))
    measured = probabilities(comparison.measured[study.recorded])
    t = member.lr * np.array(study.recorded)
    record.save_arrays(**under("logits", {"t": t, "predicted": predicted, "measured": measured}))
    record.figure("probabilities", class_probabilities, t, predicted, measured)


def _moments(study: Study, comparisons: Sequence[Comparison], record: Record) -> None:
    """One network of each width, at some steps of its training."""
    kept = {c.member.width: c.moments for c in comparisons if c.moments is not None}
    record.save_arrays(**moments.saved(moments.moments_of(study.steps), kept))


def _functions(study: Study, done: Sequence[Comparison], record: Record) -> None:
    """Network, linearization and kernel regression on the line, with a band over seeds."""
    x, target, points = study.task.on_line
    learned = {}
    for width, group in _by_width(done).items():
        kinds: dict[str, list[Tensor | None]] = {
            "network": [c.grid for c in group],
            "linearization": [c.linear_grid for c in group],
            "kernel regression": [r.predictions for c in group if (r := c.member.regression) is not None],
        }
        learned[width] = {
            name: np.stack([_array(f.reshape(-1)) for f in functions if f is not None])
            for name, functions in kinds.items()
            if any(f is not None for f in functions)
        }
        record.save_arrays(**under(f"functions/{width}", learned[width]))
    record.save_arrays(**under("functions", {"x": x, "target": target, "points": np.column_stack(points)}))
    record.figure("functions", functions_on_line, x, target, points, learned)


def _features(study: Study, comparison: Comparison, record: Record) -> None:
    """Some coordinates of φ for the narrowest network, and its Gram matrix beside the kernel."""
    member, task = comparison.member, study.task
    network = study.network(member.width, member.number)
    assert task.grid is not None
    try:
        over_grid = feature_map(network, task.grid, memory_limit=study.memory_limit)[:, 0].double().cpu()
        features = feature_map(network, task.x, memory_limit=study.memory_limit).double().cpu().flatten(0, 1)
    except MemoryLimitError:
        return  # the narrowest network is too wide to look at its features
    # features that are 0 everywhere, of units that no input reaches, say nothing
    alive = (over_grid.abs().amax(0) > 0).nonzero()[:, 0]
    chosen = alive[
        torch.randperm(len(alive), generator=generator(study.seed, "features", member.number))[:FEATURES]
    ]
    x, lines, gram = _array(task.grid[:, 0]), _array(over_grid[:, chosen]), _array(features @ features.T)
    record.save_arrays(**under("features", {"x": x, "lines": lines, "gram": gram}))
    record.figure("features", feature_map_figure, x, lines, gram, _array(as_matrix(member.kernel)))
