"""Full-batch gradient descent of many networks of one shape, as one batched computation.

A small network leaves a processor idle: a training step is some thirty calls, each of them longer in being
called than in computing. Here S networks, usually the seeds of one experiment, take each step together: their
parameters are stacked, and every call works on all of them. Each network follows the same path as alone.

A layer z = a·W h + c·b (`nnlab.models.parameterization`) is stored as one matrix P = [Wᵀ; bᵀ], which meets
the extended input q = [h, c/a]: with δ = ∂L/∂z,

    z = a·q P,    ∂L/∂P = a·qᵀ δ,    ∂L/∂h = a·δ W,

one matrix product each; descent adds the second one, scaled, to P and never holds a gradient. The loss is the
squared error, ½Σ‖y − ȳ‖² or (1/2N)Σ‖y − ȳ‖².
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from nnlab.errors import InputError, Interrupted
from nnlab.models import MLP, Activation, get_activation, layer_multipliers

TOGETHER = 10**7
"""Bytes of parameters and activations that step together on a CPU.

In steps of 16 seeds of two hidden layers, a seed with 0.5 MB of parameters takes 0.55 of its time alone, one
with 8 MB takes up to 1.4 of it; with few seeds, or single precision, the gain lasts to larger networks.
What no longer stays in the cache between the three uses of a step gains nothing from company.
"""

CHECK = 16  # steps between two looks at which members have stopped: on a GPU a look waits for it

GROUP = 2**30  # bytes of members that are built at once: their start, their end, and what steps
LARGEST = 2**32  # bytes that a single member may take

Reduction = Literal["sum", "mean"]
Observe = Callable[["Ensemble", "Ensemble"], Mapping[str, Tensor]]


@dataclass(frozen=True)
class StackedLayer:
    """One linear layer z = a·W h + c·b of S networks.

    Attributes:
        parameters: (S, in + 1, out), Wᵀ above bᵀ; (S, in, out) without bias.
        inputs: in.
        weight_multiplier: a.
        bias_multiplier: c.
    """

    parameters: Tensor
    inputs: int
    weight_multiplier: float
    bias_multiplier: float

    @property
    def weight(self) -> Tensor:
        """W, (S, out, in), a view."""
        return self.parameters[:, : self.inputs].mT

    @property
    def bias(self) -> Tensor | None:
        """b, (S, out), a view."""
        return self.parameters[:, -1] if self.parameters.shape[1] > self.inputs else None


@dataclass(frozen=True)
class Ensemble:
    """S multilayer perceptrons of one shape.

    Attributes:
        layers: from the input on, the output layer last.
        activation: φ between them.
    """

    layers: tuple[StackedLayer, ...]
    activation: Activation

    @classmethod
    def from_models(cls, models: Sequence[MLP]) -> "Ensemble":
        """Copies the parameters of S models that differ in their random numbers only."""
        columns = zip(*([*model.hidden, model.output] for model in models), strict=True)
        if len(set(models[0].activations)) > 1:
            raise InputError("an ensemble has one activation for all of its hidden layers")
        name, phi = next(zip(models[0].activations, models[0].phis, strict=True), ("relu", None))
        return cls(tuple(map(_stack, columns)), get_activation(name, getattr(phi, "pieces", 1)))

    def __len__(self) -> int:
        return len(self.layers[0].parameters)

    def to(self, dtype: torch.dtype) -> "Ensemble":
        """The ensemble in another number format."""
        return self._with(lambda parameters: parameters.to(dtype))

    def members(self, index: Tensor | slice) -> "Ensemble":
        """Some of the members: a slice is a view, indices or a mask make a copy."""
        return self._with(lambda parameters: parameters[index])

    def copy(self) -> "Ensemble":
        return self._with(torch.clone)

    def _with(self, change: Callable[[Tensor], Tensor]) -> "Ensemble":
        return replace(
            self, layers=tuple(replace(layer, parameters=change(layer.parameters)) for layer in self.layers)
        )

    @torch.no_grad()
    def outputs(self, x: Tensor) -> Tensor:
        """f(x) of every member, (n, …) to (S, n, C)."""
        return Pass(self, x).forward()

    @torch.no_grad()
    def tangent_kernel(self, x: Tensor, other: "Ensemble | None" = None) -> Tensor:
        """H(x, x') = J(x) J(x')ᵀ over all parameters of each member, without a Jacobian.

        By layers, H = Σ_l (A Aᵀ) ∘ (G Gᵀ), where A = a·q holds the layer's extended inputs and G the
        derivatives of the outputs in its z.

        Args:
            x: (n, …).
            other: with the J of the same members at other parameters in place of the second one.

        Returns:
            (S, nC, nC), the example index outermost.
        """
        outputs = self.layers[-1].parameters.shape[2]
        kernel = torch.zeros((), dtype=x.dtype, device=x.device)
        mine = self._factors(x)
        for (a, g), (b, h) in zip(mine, mine if other is None else other._factors(x), strict=True):
            gram = (a @ b.mT).repeat_interleave(outputs, 1).repeat_interleave(outputs, 2)
            kernel = kernel + gram * (g @ h.mT)
        return kernel

    def _factors(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        """A (S, n, in + 1) and G (S, nC, out) of every layer."""
        at = Pass(self, x)
        scores = at.forward()
        members, n, outputs = scores.shape
        signals: list[list[Tensor]] = [[] for _ in self.layers]
        for c in range(outputs):
            signal = torch.zeros_like(scores)
            signal[..., c] = 1
            for i in range(len(self.layers) - 1, -1, -1):
                signals[i].append(signal.clone())
                signal = at.pull_back(i, signal) if i else signal
        return [
            (layer.weight_multiplier * q, torch.stack(columns, 2).reshape(members, n * outputs, -1))
            for layer, q, columns in zip(self.layers, at.inputs, signals, strict=True)
        ]


def _stack(layers: Sequence[nn.Linear]) -> StackedLayer:
    a, c = layer_multipliers(layers[0])
    first = layers[0].weight
    rows = layers[0].in_features + (layers[0].bias is not None)
    parameters = first.new_empty(len(layers), rows, layers[0].out_features)
    stacked = StackedLayer(parameters, layers[0].in_features, a, c)
    with torch.no_grad():
        for member, layer in enumerate(layers):
            stacked.parameters[member, : stacked.inputs].copy_(layer.weight.T)  # this way round in blocks
            if stacked.bias is not None:
                stacked.bias[member].copy_(layer.bias)
    return stacked


# --- forward and backward ---------------------------------------------------------------------------


class Pass:
    """Forward and backward passes of all members over the same examples, in buffers that are made once.

    Args:
        ensemble: whose parameters are read at every pass, and changed by `descend`.
        x: (n, …) examples of d numbers each.

    Attributes:
        inputs: q of each layer, (S, n, in + 1), with a last column c/a for the bias.
        scores: z of each layer, (S, n, out).
    """

    def __init__(self, ensemble: Ensemble, x: Tensor) -> None:
        self.layers, self.activation = ensemble.layers, ensemble.activation
        shape = (len(ensemble), len(x))
        self.inputs = [layer.parameters.new_empty(*shape, layer.parameters.shape[1]) for layer in self.layers]
        for q, layer in zip(self.inputs, self.layers, strict=True):
            if layer.bias is not None:
                q[..., -1] = layer.bias_multiplier / layer.weight_multiplier
        self.scores = [layer.parameters.new_empty(*shape, layer.parameters.shape[2]) for layer in self.layers]
        self._values = [q[..., : layer.inputs] for q, layer in zip(self.inputs, self.layers, strict=True)]
        self._weights = [layer.weight for layer in self.layers]  # (S, out, in)
        self._signals = [torch.empty_like(h) for h in self._values]  # ∂L/∂h, as contiguous as z
        self._is_relu = self.activation.name == "relu"
        self._values[0].copy_(x.flatten(1))

    def forward(self) -> Tensor:
        """The outputs (S, n, C), in a buffer that the next pass overwrites."""
        last = len(self.layers) - 1
        for i, layer in enumerate(self.layers):
            z = self.scores[i]
            torch.baddbmm(z, self.inputs[i], layer.parameters, beta=0, alpha=layer.weight_multiplier, out=z)
            if i < last and self._is_relu:
                torch.clamp_min(z, 0, out=self._values[i + 1])
            elif i < last:
                self._values[i + 1].copy_(_in_rows(self.activation.function, z))
        return self.scores[-1]

    def pull_back(self, i: int, signal: Tensor) -> Tensor:
        """∂L/∂z of the layer before i, from that of layer i, (S, n, out); in a buffer."""
        h = self._signals[i]
        torch.baddbmm(h, signal, self._weights[i], beta=0, alpha=self.layers[i].weight_multiplier, out=h)
        z = self.scores[i - 1]
        if self._is_relu:
            # the kernel that autograd calls: several times faster than multiplying by the mask z > 0
            torch.ops.aten.threshold_backward.grad_input(h, z, 0, grad_input=h)
            return h
        if self.activation.pieces > 1:
            h = h.repeat_interleave(self.activation.pieces, dim=2)
        return h.mul_(_in_rows(self.activation.derivative, z))

    def descend(self, signal: Tensor) -> None:
        """Adds a·qᵀ δ to the parameters of every layer.

        Args:
            signal: −η ∂L/∂z of the output layer, (S, n, C).
        """
        for i in range(len(self.layers) - 1, -1, -1):
            before = self.pull_back(i, signal) if i else signal  # with the weights as they were
            layer = self.layers[i]
            layer.parameters.baddbmm_(self.inputs[i].mT, signal, alpha=layer.weight_multiplier)
            signal = before


def _in_rows(function: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """An activation of (N, …) tensors for (S, n, …); maxout's pieces stand in the second dimension there."""
    return torch.unflatten(function(z.flatten(0, 1)), 0, z.shape[:2])


# --- descent ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Descent:
    """S trainings. Everything but the ensemble is on the CPU; losses are in the reduction that was asked for.

    Attributes:
        ensemble: the members where they ended.
        steps: (S,) steps that each took.
        start_loss: (S,).
        final_loss: (S,), not finite where the member diverged.
        highest_loss: (S,) over all steps.
        recorded: K steps.
        loss: (S, K) at the recorded steps; a member that has stopped keeps its last value.
        observed: by name, (S, K, …), likewise.
    """

    ensemble: Ensemble
    steps: Tensor
    start_loss: Tensor
    final_loss: Tensor
    highest_loss: Tensor
    recorded: tuple[int, ...]
    loss: Tensor
    observed: dict[str, Tensor]

    @property
    def diverged(self) -> Tensor:
        """(S,) true where the loss is no longer finite."""
        return ~self.final_loss.isfinite()


@torch.no_grad()
def descend(
    ensemble: Ensemble,
    x: Tensor,
    y: Tensor,
    *,
    lr: float | Tensor,
    steps: int,
    reduction: Reduction = "sum",
    loss_fraction: float = 0.0,
    record: Sequence[int] = (),
    observe: Observe | None = None,
    stop: Callable[[], bool] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Descent:
    """Plain gradient descent of every member on the squared error over all examples.

    Each member stops by itself: where its loss is at most `loss_fraction` of its start, where it is no longer
    a number, or after `steps`. The others go on.

    Args:
        ensemble: the start; it is left as it is.
        x: (N, …) examples, of the ensemble's type and device.
        y: (N, C) targets ȳ, or (S, N, C), those of each member.
        lr: η, one number or (S,).
        steps: at most.
        reduction: `sum` is ½Σ‖y − ȳ‖², `mean` is (1/2N)Σ‖y − ȳ‖², over the N examples.
        loss_fraction: of the loss at the start, where a member stops.
        record: steps at which loss and observations are kept, from 0 (the start) to `steps`.
        observe: takes some members and the same members at the start; returns tensors (members, …).
        stop: asked after every step; True raises Interrupted.
        progress: takes (members' steps done, in all) now and then.

    Raises:
        Interrupted: `stop` said so.
        InputError: the targets have another shape.
    """
    outputs = ensemble.layers[-1].parameters.shape[2]
    if y.shape not in ((len(x), outputs), (len(ensemble), len(x), outputs)):
        raise InputError(f"targets must have the shape (N, C) = ({len(x)}, {outputs}), not {tuple(y.shape)}")
    targets = y.expand(len(ensemble), *y.shape[-2:])
    lrs = torch.as_tensor(lr, dtype=x.dtype, device=x.device).expand(len(ensemble))
    scale = 0.5 if reduction == "sum" else 0.5 / len(x)  # of Σ‖y − ȳ‖²
    log = _Log(ensemble, sorted(set(record)), scale, observe)
    size = _together(ensemble, len(x))
    for first in range(0, len(ensemble), size):
        index = torch.arange(first, min(first + size, len(ensemble)), device=x.device)
        members = log.descent.ensemble.members(slice(first, first + size))
        part = _Part(members, index, x, targets[index], -2 * scale * lrs[index], loss_fraction)
        for step in range(steps + 1):
            log.at(step, part)
            if step % CHECK == 0:
                if progress is not None:
                    progress(first * steps + len(index) * step, len(ensemble) * steps)
                going = part.going()
                count = int(going.sum())
                if count == 0:
                    break
                if 2 * count <= len(going):  # those that have stopped leave when they are half of the company
                    log.finished(step, part.of(~going))
                    part = part.of(going)
            if step < steps:
                part.step()
                if stop is not None and stop():
                    raise Interrupted(f"stopped after step {step + 1} of {steps}")
        log.finished(step, part)
    if progress is not None:
        progress(len(ensemble) * steps, len(ensemble) * steps)
    return log.descent


def _together(ensemble: Ensemble, examples: int) -> int:
    """Members that step together: as many as TOGETHER bytes hold on a CPU, else all."""
    parameters = [layer.parameters[0] for layer in ensemble.layers]
    if parameters[0].device.type != "cpu":
        return len(ensemble)
    numbers = sum(p.numel() + 3 * examples * p.shape[1] for p in parameters)
    return max(1, TOGETHER // (numbers * parameters[0].element_size()))


class _Part:
    """Members that step together.

    Their places in the ensemble are `index`, (s,). Their parameters are views of its own, until some members
    leave and the rest `is_apart`. `squares`, `start`, `target` and `highest` are (s,) values of Σ‖y − ȳ‖².
    """

    def __init__(
        self, members: Ensemble, index: Tensor, x: Tensor, y: Tensor, factor: Tensor, loss_fraction: float
    ) -> None:
        self.members, self.index, self._loss_fraction = members, index, loss_fraction
        self._factor = factor  # of the residuals, −η or −η/N, and 0 for a member that has stopped
        self._x, self._y = x, y
        self._pass = Pass(members, x)
        self._residual = self._pass.forward() - y  # (s, n, C)
        self.squares = self._residual.square().sum((1, 2))
        self.start, self.highest = self.squares, self.squares.clone()
        self.target = loss_fraction * self.start
        self.steps = torch.zeros_like(index)
        self.is_apart = False

    def step(self) -> None:
        """One step of every member that goes on, and the losses after it."""
        self._factor.mul_(self.squares > self.target)  # stops at NaN too, which is not above anything
        self.steps += self._factor != 0
        self._pass.descend(self._residual.mul_(self._factor[:, None, None]))
        torch.sub(self._pass.forward(), self._y, out=self._residual)
        self.squares = self._residual.square().sum((1, 2))
        torch.fmax(self.highest, self.squares, out=self.highest)

    def going(self) -> Tensor:
        """(s,) true for each that would take another step."""
        return (self._factor != 0) & (self.squares > self.target)

    def of(self, mask: Tensor) -> "_Part":
        """The members of a mask, with parameters and buffers of their own."""
        factor = self._factor[mask]
        members = self.members.members(mask)
        part = _Part(members, self.index[mask], self._x, self._y[mask], factor, self._loss_fraction)
        for name in ("squares", "start", "target", "highest", "steps"):
            setattr(part, name, getattr(self, name)[mask])
        part.is_apart = True
        return part


class _Log:
    """The training of each member, gathered on the CPU.

    A value that is written at one recorded step stands for all later ones until it is overwritten, so that a
    member that stops keeps its last.
    """

    def __init__(
        self, start: Ensemble, recorded: Sequence[int], scale: float, observe: Observe | None
    ) -> None:
        self._start, self._scale = start, scale
        self._observe: Observe = observe or (lambda members, start: {})
        none = torch.full((len(start),), torch.nan, dtype=torch.float64)
        curves = torch.full((len(start), len(recorded)), torch.nan, dtype=torch.float64)
        steps = torch.zeros(len(start), dtype=torch.int64)
        self.descent = Descent(
            start.copy(), steps, none, none.clone(), none.clone(), tuple(recorded), curves, {}
        )

    def at(self, step: int, part: _Part) -> None:
        if step in self.descent.recorded:
            self._write(part, self.descent.recorded.index(step))

    def finished(self, step: int, part: _Part) -> None:
        """Members that take no further step."""
        end, index = self.descent, part.index.cpu()
        later = [k for k, recorded in enumerate(end.recorded) if recorded > step]
        if later:
            self._write(part, later[0])
        if part.is_apart:
            for mine, theirs in zip(end.ensemble.layers, part.members.layers, strict=True):
                mine.parameters[part.index] = theirs.parameters
        end.steps[index] = part.steps.cpu()
        for losses, squares in (
            (end.start_loss, part.start), (end.final_loss, part.squares), (end.highest_loss, part.highest),
        ):  # fmt: skip
            losses[index] = self._scale * squares.cpu().double()

    def _write(self, part: _Part, k: int) -> None:
        end, index = self.descent, part.index.cpu()
        end.loss[index, k:] = self._scale * part.squares.double().cpu()[:, None]
        first, count = int(part.index[0]), len(part.index)
        are_neighbours = int(part.index[-1]) - first == count - 1  # of which an ensemble has a view
        start = self._start.members(slice(first, first + count) if are_neighbours else part.index)
        for name, value in self._observe(part.members, start).items():
            if name not in end.observed:
                shape = (*end.loss.shape, *value.shape[1:])
                end.observed[name] = torch.full(shape, torch.nan, dtype=torch.float64)
            end.observed[name][index, k:] = value.double().cpu()[:, None]


def weight_change(now: Ensemble, start: Ensemble) -> dict[str, Tensor]:
    """Returns the distance of the parameters from their start, to be passed to `descend` as `observe`.

    Returns:
        `change`: ‖w − w₀‖/‖w₀‖ of the vector of all parameters, (S,). `layer_change`: ‖W − W₀‖_F/‖W₀‖_F of
        the weight matrix of each layer, (S, L).
    """
    pairs = [(n.parameters, s.parameters, s.inputs) for n, s in zip(now.layers, start.layers, strict=True)]
    moved = [now_l - start_l for now_l, start_l, _ in pairs]
    whole = _norm(moved) / _norm([start_l for _, start_l, _ in pairs])
    by_layer = [
        _norm([d[:, :inputs]]) / _norm([start_l[:, :inputs]])
        for d, (_, start_l, inputs) in zip(moved, pairs, strict=True)
    ]
    return {"change": whole, "layer_change": torch.stack(by_layer, 1)}


def _norm(parts: Sequence[Tensor]) -> Tensor:
    """(S,) norms of vectors that come in parts (S, …)."""
    lengths = torch.stack([torch.linalg.vector_norm(part, dim=(1, 2)) for part in parts])
    total: Tensor = torch.linalg.vector_norm(lengths, dim=0)
    return total


# --- memory -----------------------------------------------------------------------------------------


def mlp_parameters(width: int, depth: int, *, bias: bool, pieces: int = 1) -> int:
    """p of a network from one input to one output with `depth` hidden layers of one width."""
    hidden = (1 + bias) + (depth - 1) * (width + bias)  # weights that enter a piece of a unit
    return hidden * width * pieces + width + bias


def check_memory(needed: int, what: str, advice: str) -> None:
    """Raises InputError where one member needs more than LARGEST bytes.

    Args:
        needed: bytes of its start, its end and what steps.
        what: the key of the config that asks for it, with its value.
        advice: what to do, as the end of a sentence.
    """
    if needed > LARGEST:
        raise InputError(
            f"{what}: start, end and a step of one such network take {needed / 1e9:.3g} GB, and at most "
            f"{LARGEST / 1e9:.3g} GB are allowed; {advice}"
        )


def in_parts(members: int, needed: int) -> Iterator[range]:
    """Members 0, 1, … in parts that fit into GROUP bytes, each of them needing so many."""
    size = max(1, GROUP // needed)
    return (range(first, min(first + size, members)) for first in range(0, members, size))
