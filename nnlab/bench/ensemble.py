"""`nnlab bench ensemble`: many seeds of a small network as one batched computation, beside one at a time."""

import inspect
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nnlab.bench.timing import Result, Row, interleaved, seconds_of, timed
from nnlab.errors import ExperimentError
from nnlab.lab.session import Reporter
from nnlab.models import MLP
from nnlab.training.descent import spaced_steps
from nnlab.training.ensemble import Ensemble, descend, weight_change

WIDTHS = (16, 32, 64, 128, 256, 512, 1024, 2048)
SEEDS = 16
POINTS = 10
STEPS = {512: 40, 1024: 20, 2048: 10}  # of one timing; 100 of the narrower ones
PAIRS = {512: 7, 1024: 5, 2048: 3}  # at most: a pair takes many seconds
PRECISIONS = (torch.float64, torch.float32)


# --- the other program ------------------------------------------------------------------------------


def network(width: int) -> nn.Sequential:
    """Two hidden ReLU layers on the line."""
    return nn.Sequential(
        nn.Linear(1, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1)
    )


def train_alone(
    model: nn.Module, x: Tensor, y: Tensor, lr: float, steps: int, record: Sequence[int]
) -> list[list[float]]:
    """Gradient descent on ½Σ(y − ȳ)² of one network; loss and relative weight changes at some steps.

    Without torch.optim and .backward(), which take longer for so small a network.
    """
    parameters = list(model.parameters())
    start = [p.detach().clone() for p in parameters]
    rows = []
    for step in range(steps + 1):
        loss = 0.5 * (model(x) - y).square().sum()
        if step in record:
            rows.append([loss.item(), *relative_changes(parameters, start)])
        if step < steps:
            gradients = torch.autograd.grad(loss, parameters)
            with torch.no_grad():
                for p, gradient in zip(parameters, gradients, strict=True):
                    p.sub_(gradient, alpha=lr)
    return rows


@torch.no_grad()
def relative_changes(parameters: Sequence[Tensor], start: Sequence[Tensor]) -> list[float]:
    """‖w − w₀‖/‖w₀‖ of all parameters, then of each weight matrix."""
    moved = torch.stack([(p - q).norm() for p, q in zip(parameters, start, strict=True)])
    lengths = torch.stack([q.norm() for q in start])
    weights = [i for i, p in enumerate(parameters) if p.ndim == 2]
    values: list[float] = [float(moved.norm() / lengths.norm()), *(moved / lengths)[weights].tolist()]
    return values


def train_one_after_the_other(
    models: Sequence[nn.Module], x: Tensor, y: Tensor, lr: float, steps: int, record: Sequence[int]
) -> Tensor:
    """(S, K, 1 + 1 + layers): the recorded rows of each network."""
    rows = [train_alone(model, x, y, lr, steps, record) for model in models]
    return torch.tensor(rows, dtype=torch.float64)


OTHER = (network, train_alone, relative_changes, train_one_after_the_other)


# --- the comparison ---------------------------------------------------------------------------------


def bench_ensemble(pairs: int, reporter: Reporter) -> Result:
    """The training of the experiment weight_change at every precision and width, from the same starts.

    Raises:
        ExperimentError: the two programs compute different numbers.
    """
    source = "\n\n".join(inspect.getsource(function) for function in OTHER)
    return source, [_case(width, dtype, pairs, reporter) for dtype in PRECISIONS for width in WIDTHS]


def _case(width: int, dtype: torch.dtype, pairs: int, reporter: Reporter) -> Row:
    steps = STEPS.get(width, 100)
    record = spaced_steps(steps, max(2, steps // 8))
    x = torch.linspace(-1, 1, POINTS, dtype=torch.float64)[:, None]
    y = torch.sin(torch.pi * x).to(dtype)
    x = (x / x.std(correction=0)).to(dtype)
    generators = [torch.Generator().manual_seed(seed) for seed in range(SEEDS)]
    nets = [MLP(1, [width] * 2, 1, "relu", sigma_b=1.0, generator=g).to(dtype) for g in generators]
    lr = 0.01 / width  # a third of the largest stable one: λmax grows with the width

    def ours() -> Tensor:
        result = descend(
            Ensemble.from_models(nets), x, y, lr=lr, steps=steps, record=record, observe=weight_change
        )
        observed = result.observed
        columns = (result.loss[..., None], observed["change"][..., None], observed["layer_change"])
        return torch.cat(columns, 2)

    def theirs() -> tuple[Tensor, float]:
        models = [network(width).to(dtype) for _ in nets]  # a training changes them; not timed
        for model, net in zip(models, nets, strict=True):
            parameters = net.state_dict().values()
            model.load_state_dict(dict(zip(model.state_dict(), parameters, strict=True)))
        return timed(lambda: train_one_after_the_other(models, x, y, lr, steps, record))

    one, two, tolerance = ours(), theirs()[0], 1e-8 if dtype == torch.float64 else 1e-2  # also warms both up
    precision = str(dtype).removeprefix("torch.")
    if not torch.allclose(one, two, rtol=tolerance, atol=tolerance * 1e-3):
        raise ExperimentError(
            f"nnlab bench ensemble: width {width}, {precision}: the two programs differ by up to "
            f"{float((one - two).abs().max()):.3g}"
        )
    title = f"width {width}, {precision}"
    rounds = min(pairs, PAIRS.get(width, pairs))
    times = interleaved(lambda: seconds_of(ours), lambda: theirs()[1], rounds, reporter, title)
    columns = times.per_step(steps) | times.speedup()
    return {"precision": precision, "width": width, "seeds": SEEDS, **columns, "pairs": rounds}
