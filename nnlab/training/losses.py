"""Losses, divergences and regularizers, as on the slide.

P and p are target distributions, Q and q predicted ones, s scores (N, C), W weight matrices. Logarithms
are natural; everything is measured in nats.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

# --- distributions ----------------------------------------------------------------------------------


def entropy(p: Tensor) -> Tensor:
    """H(P) = −Σ p log p over the last axis, with 0 log 0 = 0. (…, C) → (…)."""
    return -torch.xlogy(p, p).sum(-1)


def cross_entropy_of(p: Tensor, q: Tensor) -> Tensor:
    """H(P, Q) = −Σ p log q over the last axis; infinite where q = 0 < p. (…, C) → (…)."""
    return -torch.xlogy(p, q).sum(-1)


def kl_divergence(p: Tensor, q: Tensor) -> Tensor:
    """D(P‖Q) = Σ p log(p/q) over the last axis, ≥ 0, and 0 only for P = Q. (…, C) → (…).

    H(P, Q) = H(P) + D(P‖Q). Source: Kullback and Leibler, "On information and sufficiency" (1951).
    """
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum(-1)


# --- losses of scores -------------------------------------------------------------------------------


def cross_entropy(
    scores: Tensor, targets: Tensor, label_smoothing: float = 0.0, class_weights: Tensor | None = None
) -> Tensor:
    """Mean over examples of −log P(Y = y|x), P = softmax(s), from scores and so without overflow.

    Args:
        scores: (N, C).
        targets: (N,) int64 labels, or (N, C) target distributions.
        label_smoothing: α; the targets become (1 − α) p + α/C.
        class_weights: (C,) w; the loss of an example of class y counts w_y times, and the mean is still
            over N, so that the losses of parts of a batch add up to that of the batch.
    """
    if class_weights is None:
        return F.cross_entropy(scores, targets, label_smoothing=label_smoothing)
    each = F.cross_entropy(scores, targets, label_smoothing=label_smoothing, reduction="none")
    return (example_weights(targets, class_weights.to(scores)) * each).mean()


def example_weights(targets: Tensor, class_weights: Tensor) -> Tensor:
    """The weight w_y of each example, (N,); under a target distribution (N, C) its mean Σ p_c w_c."""
    return class_weights[targets] if targets.ndim == 1 else targets @ class_weights


def balanced_weights(class_sizes: Tensor) -> Tensor:
    """N/(C n_c) for classes of n_c examples, (C,) float64: every class counts as much, all together N.

    Source: King and Zeng, "Logistic regression in rare events data" (2001), section 4.
    """
    return class_sizes.sum() / (len(class_sizes) * class_sizes.double())


def mean_one(weights: Tensor, class_sizes: Tensor) -> Tensor:
    """Class weights (C,) scaled so that their mean over the examples, Σ n_c w_c / N, is 1."""
    return weights * (class_sizes.sum() / (weights @ class_sizes.to(weights)))


def target_distribution(targets: Tensor, classes: int, label_smoothing: float = 0.0) -> Tensor:
    """Labels (N,) as distributions (N, C): (1 − α) on the label plus α/C everywhere, in float64."""
    p = F.one_hot(targets, classes).double() if targets.ndim == 1 else targets.double()
    return (1 - label_smoothing) * p + label_smoothing / classes


def kl_loss(
    scores: Tensor, targets: Tensor, label_smoothing: float = 0.0, class_weights: Tensor | None = None
) -> Tensor:
    """Mean over examples of D(P‖softmax(s)): the cross-entropy less H(P), with the same gradient.

    Its infimum is 0 also for soft targets, where the cross-entropy's is H(P). Arguments as of
    `cross_entropy`; the divergence of an example counts w_y times.
    """
    p = target_distribution(targets, scores.shape[1], label_smoothing)
    least = entropy(p)
    if class_weights is not None:
        least = example_weights(targets, class_weights.to(least)) * least
    return cross_entropy(scores, targets, label_smoothing, class_weights) - least.mean().to(scores.dtype)


def squared_error(outputs: Tensor, targets: Tensor, reduction: Literal["sum", "mean"] = "mean") -> Tensor:
    """`sum`: ½ Σ‖y − ȳ‖². `mean`: (1/2N) Σ‖y − ȳ‖².

    Args:
        outputs: y, (N, C).
        targets: ȳ, (N, C), or (N,) int64 labels, which stand for one-hot targets.
    """
    if not targets.is_floating_point():
        classes = torch.arange(outputs.shape[1], device=outputs.device)
        targets = (targets[:, None] == classes).to(outputs.dtype)  # F.one_hot is not for vmap
    total = 0.5 * (outputs - targets).square().sum()
    return total if reduction == "sum" else total / len(outputs)


@dataclass(frozen=True)
class Loss:
    """A loss of a batch, and how batches add up to the loss of a set.

    Attributes:
        name: as in the config.
        function: (outputs (N, C), targets) → scalar.
        reduction: `mean` averages over examples, `sum` adds over them.
        class_weights: (C,) the weights of the classes in it; None where all count the same.
    """

    name: str
    function: Callable[[Tensor, Tensor], Tensor]
    reduction: Literal["mean", "sum"] = "mean"
    class_weights: Tensor | None = None

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return self.function(outputs, targets)


def build_loss(
    name: str,
    *,
    label_smoothing: float = 0.0,
    reduction: Literal["sum", "mean"] = "mean",
    class_weights: Tensor | None = None,
) -> Loss:
    """The loss of that name: cross_entropy, kl or squared_error.

    Args:
        label_smoothing, class_weights: of the first two.
        reduction: of the last.
    """
    if name == "squared_error":
        return Loss(name, partial(squared_error, reduction=reduction), reduction)
    function = {"cross_entropy": cross_entropy, "kl": kl_loss}[name]
    with_options = partial(function, label_smoothing=label_smoothing, class_weights=class_weights)
    return Loss(name, with_options, class_weights=class_weights)


# --- regularizers -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Penalty:
    """λR(W) on weight matrices: its value, its gradient, and the proximal step of its kink.

    With R(W) = quadratic · ΣW² + absolute · Σ|W|, the three regularizers are (1, 0) for l2, (0, 1) for l1 and
    (β, 1) for the elastic net (Zou and Hastie, "Regularization and variable selection", 2005). There is no
    factor ½, and the subgradient of |W| at 0 is 0.
    Gradient steps on |W| oscillate around 0 and never reach it. With `proximal`, only the smooth part
    enters the gradient, and after W ← W − η∇ the step W ← sign(W) max(|W| − ηλ, 0) sets exact zeros
    (ISTA; Beck and Teboulle, "A fast iterative shrinkage-thresholding algorithm", 2009).
    """

    strength: float
    quadratic: float
    absolute: float
    proximal: bool = False

    def value(self, weights: Sequence[Tensor]) -> Tensor:
        """λR(W), a scalar."""
        terms = []
        if self.quadratic:
            terms.append(self.quadratic * torch.stack([w.square().sum() for w in weights]).sum())
        if self.absolute:
            terms.append(self.absolute * torch.stack([w.abs().sum() for w in weights]).sum())
        return self.strength * torch.stack(terms).sum()

    @torch.no_grad()
    def add_gradient_(self, weights: Sequence[Tensor]) -> None:
        """Adds the (sub)gradient 2λ · quadratic · W + λ · absolute · sign W to each weight's `grad`."""
        for w in weights:
            assert w.grad is not None
            if self.quadratic:
                w.grad.add_(w, alpha=2 * self.strength * self.quadratic)
            if self.absolute and not self.proximal:
                w.grad.add_(w.sign(), alpha=self.strength * self.absolute)

    @torch.no_grad()
    def shrink_(self, weights: Sequence[Tensor], lr: float) -> None:
        """The proximal step that follows a gradient step of size `lr`."""
        for w in weights:
            w.copy_(F.softshrink(w, lr * self.strength * self.absolute))


def build_penalty(name: str, strength: float, beta: float = 1.0, *, proximal: bool = False) -> Penalty | None:
    """The regularizer of that name (none, l2, l1, elastic_net) times λ = strength; None where it is 0."""
    if name == "none" or strength == 0:
        return None
    quadratic, absolute = {"l2": (1.0, 0.0), "l1": (0.0, 1.0), "elastic_net": (beta, 1.0)}[name]
    return Penalty(strength, quadratic, absolute, proximal)
