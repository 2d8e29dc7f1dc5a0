"""Modules as people write them, each with what its tangent kernel has to be: right, or refused with a reason.

They are written for use, not for the package: layers are called on transposed, flattened, sorted or repeated
examples, weights are used past the module that holds them, hooks change results, states change. The kernel
that they are held against goes one example and one score at a time, by nothing but autograd.
"""

import math
import random
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, parametrize, prune
from torch.utils.checkpoint import checkpoint

Inputs = Callable[[int, int], Tensor]

# What an error says: whatever else is in its message, the reader must learn what is wrong with the model.
MIXES = r"mix|batch|other examples"
RANDOM = r"random"
CHANGES = r"random|state|chang|call"


@dataclass(frozen=True)
class Member:
    """A module and what is known of it.

    Attributes:
        kind: what is unusual about it, one of KINDS.
        build: makes it, the same at every call, in float64, and in evaluation mode unless it is about that.
        inputs: (n, seed) to n examples.
        expected: `right` if its kernel has to equal the looped one; `refused` if a KernelError has to say
            that there is none; `either` where both are honest.
        message: what an error has to match.
        sizes: how many examples to take, for x1 and x2.
        smooth: whether autograd gives the derivative, as finite differences would find it.
        tolerance: of the kernel's relative error in the Frobenius norm.
        writes: attributes that its own forward pass sets.
    """

    kind: str
    build: Callable[[], nn.Module]
    inputs: Inputs
    expected: Literal["right", "refused", "either"]
    message: str
    sizes: tuple[int, int]
    smooth: bool
    tolerance: float
    writes: frozenset[str]


ZOO: dict[str, Member] = {}

KINDS = (
    "first axis", "hooks", "mixed", "random", "integers", "recurrent", "attention", "norms", "convolutions",
    "tied", "experts", "stateful", "in place", "unusual", "networks",
)  # fmt: skip


# --- the reference ----------------------------------------------------------------------------------


def looped(model: nn.Module, x1: Tensor, x2: Tensor) -> Tensor:
    """The kernel (n₁, n₂, C, C): one example at a time, one backward pass for each of its scores."""
    j1 = gradients(model, x1)
    j2 = j1 if x2 is x1 else gradients(model, x2)
    return torch.einsum("icp,jkp->ijck", j1, j2)


def gradients(model: nn.Module, x: Tensor) -> Tensor:
    """(n, C, p) of the parameters that require gradients; a complex number counts as two real ones."""
    parameters = trained(model)
    rows = []
    with torch.enable_grad():
        for example in x:
            scores = model(example[None].clone()).flatten()
            rows.append(torch.stack([_gradient(score, parameters) for score in scores]))
    return torch.stack(rows)


def trained(model: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def _gradient(score: Tensor, parameters: list[nn.Parameter]) -> Tensor:
    if not score.requires_grad:
        return torch.zeros(sum(p.numel() * (2 if p.is_complex() else 1) for p in parameters)).double()
    parts = torch.autograd.grad(score, parameters, retain_graph=True, materialize_grads=True)
    return torch.cat([flat(part.to_dense()).double() for part in parts])


def flat(tensor: Tensor) -> Tensor:
    return (torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor).flatten()


# --- how members are made ---------------------------------------------------------------------------


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def reals(*shape: int) -> Inputs:
    return lambda n, seed: torch.randn((n, *shape), generator=seeded(seed), dtype=torch.float64)


def tokens(count: int, *shape: int) -> Inputs:
    return lambda n, seed: torch.randint(count, (n, *shape), generator=seeded(seed))


def distinct_tokens(count: int, length: int) -> Inputs:
    """No token twice in an example."""

    def draw(n: int, seed: int) -> Tensor:
        generator = seeded(seed)
        return torch.stack([torch.randperm(count, generator=generator)[:length] for _ in range(n)])

    return draw


def pixels(*shape: int) -> Inputs:
    return lambda n, seed: torch.randint(256, (n, *shape), generator=seeded(seed), dtype=torch.uint8)


def settled(make: Callable[..., nn.Module], seed: int = 7) -> nn.Module:
    """The module in float64, every parameter moved off its initial value, every statistic of a norm random.

    A matrix moves by a part of what keeps its results of the size of its inputs.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = make().double().eval()
    generator = seeded(seed)

    def normal(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator, dtype=torch.float64)

    with torch.no_grad():
        for parameter in model.parameters():
            if isinstance(parameter, nn.UninitializedParameter):
                continue
            inputs = parameter[0].numel() if parameter.ndim > 1 else 1
            parameter.add_(normal(parameter), alpha=0.3 / math.sqrt(inputs))
            if parameter.is_complex():
                parameter.add_(normal(parameter) * 1j, alpha=0.3 / math.sqrt(inputs))
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.copy_(0.3 * normal(buffer))
            if name.endswith("running_var"):
                buffer.copy_(0.5 + torch.rand(buffer.shape, generator=generator, dtype=torch.float64))
    return model


def add(
    kind: str,
    name: str,
    make: Callable[..., nn.Module],
    inputs: Inputs,
    *,
    expected: Literal["right", "refused", "either"] = "right",
    message: str = "",
    sizes: tuple[int, int] = (5, 3),
    smooth: bool = True,
    tolerance: float = 1e-8,
    writes: tuple[str, ...] = (),
    training: bool = False,
) -> None:
    """Takes a module in; `training` puts it in training mode.

    `make` is called without arguments: those of a lambda in a loop only keep what the loop is at.
    """
    assert name not in ZOO
    assert kind in KINDS

    def build() -> nn.Module:
        return settled(make).train(training)

    ZOO[name] = Member(kind, build, inputs, expected, message, sizes, smooth, tolerance, frozenset(writes))


def zoo(kind: str, inputs: Inputs, **what: Any) -> Callable[[Any], Any]:
    """Takes in the class or function below, under its own name."""

    def enter(make: Any) -> Any:
        add(kind, make.__name__, make, inputs, **what)
        return make

    return enter


def mlp(*widths: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for d, m in pairwise(widths):
        layers += [nn.Linear(d, m), nn.Tanh()]
    return nn.Sequential(*layers[:-1])


class Wrapped(nn.Module):
    """A function of a body and of examples, for variants that differ in one line."""

    def __init__(self, function: Callable[..., Tensor], **parts: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


# --- the first axis is not what it seems ------------------------------------------------------------


class SequenceFirst(nn.Module):
    """Time is the first axis inside, as in the older sequence models."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.mix, self.head = nn.Linear(3, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:  # (n, T, d)
        h = x.transpose(0, 1)
        h = torch.tanh(self.embed(h))
        h = h + torch.tanh(self.mix(h))
        return self.head(h.mean(0))


add("first axis", "SequenceFirst, as many steps as examples", SequenceFirst, reals(5, 3))
add("first axis", "SequenceFirst, other steps than examples", SequenceFirst, reals(7, 3))


class DeepONet(nn.Module):
    def __init__(self, points: int, head: bool) -> None:
        super().__init__()
        self.branch, self.trunk = mlp(4, 10, 6), mlp(1, 10, 6)
        self.register_buffer("grid", torch.linspace(0, 1, points)[:, None])
        self.bias = nn.Parameter(torch.zeros(1))
        self.head = nn.Linear(points, 3) if head else nn.Identity()

    def forward(self, u: Tensor) -> Tensor:
        return self.head(self.branch(u) @ self.trunk(self.grid).T + self.bias)


add("first axis", "DeepONet, three points", lambda: DeepONet(3, False), reals(4), sizes=(3, 3))
add("first axis", "DeepONet, five points and a head", lambda: DeepONet(5, True), reals(4))
add("first axis", "DeepONet, other points than examples", lambda: DeepONet(8, True), reals(4))


class ClassEmbeddings(nn.Module):
    """CLIP-like: an image's score is its product with the projected embedding of a class."""

    def __init__(self, learned: bool) -> None:
        super().__init__()
        self.encoder, self.project = mlp(4, 9, 6), nn.Linear(5, 6)
        embeddings = torch.randn(3, 5)
        if learned:
            self.classes = nn.Parameter(embeddings)
        else:
            self.register_buffer("classes", embeddings)
        self.logit_scale = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor) -> Tensor:
        images = F.normalize(self.encoder(x), dim=-1)
        texts = F.normalize(self.project(self.classes), dim=-1)
        return self.logit_scale.exp() * images @ texts.T


add("first axis", "class embeddings, learned", lambda: ClassEmbeddings(True), reals(4), sizes=(3, 3))
add("first axis", "class embeddings, fixed", lambda: ClassEmbeddings(False), reals(4), sizes=(3, 2))


@zoo("first axis", reals(4))
class Prototypes(nn.Module):
    """Five prototypes go through the same encoder as the examples."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = mlp(4, 8, 6)
        self.prototypes = nn.Parameter(torch.randn(5, 4))
        self.vote = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        distance = torch.cdist(self.encoder(x), self.encoder(self.prototypes))
        return self.vote(torch.exp(-(distance**2)))


@zoo("first axis", reals(5, 4))
class OverPositions(nn.Module):
    """A layer over as many positions as there are examples."""

    def __init__(self) -> None:
        super().__init__()
        self.channels, self.positions, self.head = nn.Linear(4, 6), nn.Linear(5, 5), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.channels(x))
        h = h + torch.tanh(self.positions(h.permute(2, 0, 1))).permute(1, 2, 0)
        return self.head(h.mean(1))


class PerFrame(nn.Module):
    """A video classifier: a CNN on each frame, frames in the axis of examples."""

    def __init__(self) -> None:
        super().__init__()
        self.cnn = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2))
        self.head = nn.Linear(16, 3)

    def forward(self, video: Tensor) -> Tensor:  # (n, T, C, H, W)
        n, t = video.shape[:2]
        h = self.cnn(video.reshape(n * t, *video.shape[2:]))
        return self.head(h.reshape(n, t, -1).mean(1))


add("first axis", "PerFrame", PerFrame, reals(5, 1, 6, 6))
add("first axis", "PerFrame, one frame", PerFrame, reals(1, 1, 6, 6))
add(
    "first axis", "frames first",
    lambda: Wrapped(
        lambda m, x: m.head(m.cnn(x.transpose(0, 1).flatten(0, 1)).view(x.shape[1], x.shape[0], -1).amax(0)),
        cnn=nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten()), head=nn.Linear(64, 3),
    ),
    reals(3, 1, 6, 6),
)  # fmt: skip
add(
    "first axis", "convolution over the transposed",
    lambda: Wrapped(
        lambda m, x: m.head(torch.tanh(m.conv(x.transpose(1, 2))).mean(-1)),
        conv=nn.Conv1d(3, 6, 3), head=nn.Linear(6, 3),
    ),
    reals(5, 3),
)  # fmt: skip
add(
    "first axis", "pointwise convolution, examples along its length",
    lambda: Wrapped(
        lambda m, x: m.head(torch.tanh(m.conv(x.T[None]))[0].T), conv=nn.Conv1d(4, 6, 1), head=nn.Linear(6, 3)
    ),
    reals(4),
)  # fmt: skip
add(
    "first axis", "an axis before the examples",
    lambda: Wrapped(lambda m, x: m.b(torch.tanh(m.a(x[None])))[0], a=nn.Linear(4, 6), b=nn.Linear(6, 3)),
    reals(4),
)  # fmt: skip
add(
    "first axis", "columns are examples",
    lambda: Wrapped(
        lambda m, x: (m.b.weight @ torch.tanh(m.a.weight @ x.T + m.a.bias[:, None]) + m.b.bias[:, None]).T,
        a=nn.Linear(4, 6), b=nn.Linear(6, 3),
    ),
    reals(4),
)  # fmt: skip
add(
    "first axis", "a linear layer over time, features first",
    lambda: Wrapped(
        lambda m, x: m.head(torch.tanh(m.time(x.permute(2, 0, 1))).mean(-1).T),
        time=nn.Linear(5, 5), head=nn.Linear(6, 3),
    ),
    reals(5, 6),
)  # fmt: skip
add(
    "first axis", "positions flattened into the examples",
    lambda: Wrapped(
        lambda m, x: m.head(torch.relu(m.fc(x.reshape(-1, x.shape[-1]))).view(len(x), -1)),
        fc=nn.Linear(4, 6), head=nn.Linear(18, 3),
    ),
    reals(3, 4),
)  # fmt: skip


@zoo("first axis", reals(6, 3))
class DeepSets(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.phi, self.rho = mlp(3, 8, 8), mlp(8, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.rho(torch.tanh(self.phi(x)).sum(dim=-2))


class GraphConvolutions(nn.Module):
    """Signals on one fixed graph, as many nodes as examples."""

    adjacency: Tensor

    def __init__(self, by_einsum: bool) -> None:
        super().__init__()
        edges = torch.tensor([[0, 1], [1, 2], [2, 3], [3, 4], [0, 4], [1, 3]])
        adjacency = torch.eye(5)
        adjacency[edges[:, 0], edges[:, 1]] = adjacency[edges[:, 1], edges[:, 0]] = 1
        self.register_buffer("adjacency", adjacency / adjacency.sum(1, keepdim=True))
        self.first, self.second = nn.Linear(3, 8), nn.Linear(8, 3)
        self.by_einsum = by_einsum

    def propagate(self, h: Tensor) -> Tensor:
        return torch.einsum("uv,nvd->nud", self.adjacency, h) if self.by_einsum else self.adjacency @ h

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.propagate(self.first(x)))
        return self.propagate(self.second(h)).mean(1)


add("first axis", "graph convolutions", lambda: GraphConvolutions(False), reals(5, 3))
add("first axis", "graph convolutions by einsum", lambda: GraphConvolutions(True), reals(5, 3))


@zoo("first axis", reals(5, 3))
class GraphNodesFirst(nn.Module):
    """Nodes in the first axis, as message-passing code has them; the messages gathered by index."""

    source: Tensor
    target: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.message, self.update, self.head = nn.Linear(6, 8), nn.Linear(11, 8), nn.Linear(8, 3)
        self.register_buffer("source", torch.tensor([0, 1, 2, 3, 4, 0]))
        self.register_buffer("target", torch.tensor([1, 2, 3, 4, 0, 2]))

    def forward(self, x: Tensor) -> Tensor:
        h = x.transpose(0, 1)
        messages = torch.tanh(self.message(torch.cat([h[self.source], h[self.target]], -1)))
        summed = torch.zeros(5, len(x), 8, dtype=x.dtype).index_add(0, self.target, messages)
        return self.head(torch.tanh(self.update(torch.cat([h, summed], -1))).mean(0))


class ByHand(nn.Module):
    """Weights as plain parameters, and some way of multiplying by them."""

    def __init__(self, multiply: Callable[[Tensor, Tensor], Tensor], transposed: bool = False) -> None:
        super().__init__()
        shapes = ((6, 4), (3, 6)) if transposed else ((4, 6), (6, 3))
        self.first, self.second = (nn.Parameter(torch.randn(s) / 2) for s in shapes)
        self.shift = nn.Parameter(torch.randn(6))
        self.multiply = multiply

    def forward(self, x: Tensor) -> Tensor:
        return self.multiply(torch.tanh(self.multiply(x, self.first) + self.shift), self.second)


for _name, _multiply in {
    "x @ W": lambda x, w: x @ w,
    "einsum": lambda x, w: torch.einsum("ni,io->no", x, w),
    "einsum with an ellipsis": lambda x, w: torch.einsum("...i,io->...o", x, w),
    "tensordot": lambda x, w: torch.tensordot(x, w, dims=1),
    "addmm": lambda x, w: torch.addmm(torch.zeros(w.shape[1], dtype=x.dtype), x, w),
    "broadcast and summed": lambda x, w: (x[:, :, None] * w).sum(1),
    "baddbmm": lambda x, w: torch.baddbmm(
        torch.ones(len(x), 1, 1, dtype=x.dtype), x[:, None], w.expand(len(x), -1, -1)
    )[:, 0],
    "vmap inside": lambda x, w: torch.vmap(lambda e: e @ w)(x),
}.items():
    add("first axis", _name, lambda multiply=_multiply: ByHand(multiply), reals(4))
for _name, _multiply in {
    "W @ x[..., None]": lambda x, w: (w @ x[..., None])[..., 0],
    "F.linear of a parameter": F.linear,
    "F.conv1d of a parameter": lambda x, w: F.conv1d(x[:, :, None], w[:, :, None])[:, :, 0],
}.items():
    add("first axis", _name, lambda multiply=_multiply: ByHand(multiply, transposed=True), reals(4))
add(
    "first axis", "F.linear with the layer's weight",
    lambda: Wrapped(
        lambda m, x: F.linear(torch.tanh(F.linear(x, m.a.weight, m.a.bias)), m.b.weight, m.b.bias),
        a=nn.Linear(4, 6), b=nn.Linear(6, 3),
    ),
    reals(4),
)  # fmt: skip
add(
    "first axis", "called, and its weight used beside",
    lambda: Wrapped(
        lambda m, x: m.b(torch.tanh(m.a(x))) + 0.5 * x @ m.a.weight.T @ m.b.weight.T,
        a=nn.Linear(4, 6), b=nn.Linear(6, 3),
    ),
    reals(4),
)  # fmt: skip
add(
    "first axis", "weight penalty among the scores",
    lambda: Wrapped(
        lambda m, x: m.b(torch.tanh(m.a(x))) - 0.1 * m.a.weight.square().sum(),
        a=nn.Linear(4, 6), b=nn.Linear(6, 3),
    ),
    reals(4),
)  # fmt: skip
add(
    "first axis", "nn.Bilinear",
    lambda: Wrapped(lambda m, x: m.pair(x[:, :3], torch.tanh(m.a(x))), a=nn.Linear(5, 4),
                    pair=nn.Bilinear(3, 4, 3)),
    reals(5),
)  # fmt: skip
add(
    "first axis", "F.bilinear",
    lambda: Wrapped(lambda m, x: F.bilinear(x, x, m.pair.weight, m.pair.bias), pair=nn.Bilinear(4, 4, 3)),
    reals(4),
)  # fmt: skip
for _name, _each in {
    "stacked one by one": lambda m, x: torch.stack([m.net(e) for e in x]),
    "concatenated one by one": lambda m, x: torch.cat([m.net(e[None]) for e in x]),
    "in chunks of two": lambda m, x: torch.cat([m.net(chunk) for chunk in x.split(2)]),
    "in chunks, last one first": lambda m, x: torch.cat([m.net(c) for c in reversed(x.split(1))]).flip(0),
    "examples and their mirror images": lambda m, x: (
        m.net(torch.cat([x, x.flip(1)])).view(2, len(x), 3).mean(0)
    ),
    "each example repeated": lambda m, x: (
        m.net(
            torch.repeat_interleave(x, 2, dim=0) * torch.tensor([1.0, -0.5]).double().repeat(len(x))[:, None]
        )
        .view(len(x), 2, 3)
        .sum(1)
    ),
    "from the last example to the first": lambda m, x: m.net(x.flip(0)).flip(0),
    "one step to the side and back": lambda m, x: m.net(x.roll(1, 0)).roll(-1, 0),
    "a first example of zeros goes along": lambda m, x: m.net(torch.cat([torch.zeros_like(x[:1]), x]))[1:],
    "compared with a baseline": lambda m, x: m.net(x) - m.net(torch.zeros_like(x[:1])),
    "every score twice": lambda m, x: m.net(x).repeat(2, 1)[: len(x)],
}.items():
    add("first axis", _name, lambda each=_each: Wrapped(each, net=mlp(4, 7, 3)), reals(4))


@zoo("first axis", reals(3, 6, 6))
class ModulatedConvolution(nn.Module):
    """StyleGAN's: a kernel per example, all of them in one convolution with as many groups."""

    def __init__(self) -> None:
        super().__init__()
        self.style = nn.Linear(3, 3)
        self.weight = nn.Parameter(torch.randn(4, 3, 3, 3) / 5)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        n = len(x)
        style = 1 + self.style(x.mean((2, 3)))
        weight = self.weight * style[:, None, :, None, None]
        weight = weight * torch.rsqrt(weight.square().sum((2, 3, 4), keepdim=True) + 1e-8)
        h = F.conv2d(x.reshape(1, n * 3, 6, 6), weight.reshape(n * 4, 3, 3, 3), padding=1, groups=n)
        return self.head(torch.relu(h.view(n, 4, 6, 6)).mean((2, 3)))


# --- hooks, and layers that are no longer what their class says -------------------------------------


def hooked(change: Callable[..., Any], before: bool = False, **how: Any) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        model = mlp(4, 6, 6, 3)
        register = model[2].register_forward_pre_hook if before else model[2].register_forward_hook
        register(change, **how)
        return model

    return make


add("hooks", "hook clamps", hooked(lambda m, i, o: o.clamp(-0.4, 0.4)), reals(4))
add("hooks", "hook scales", hooked(lambda m, i, o: 3 * o), reals(4))
add("hooks", "hook takes softmax", hooked(lambda m, i, o: 6 * o.softmax(-1)), reals(4))
add("hooks", "hook adds the input", hooked(lambda m, i, o: o + i[0]), reals(4))
add("hooks", "hook scales in place", hooked(lambda m, i, o: o.mul_(2)), reals(4))
add("hooks", "hook only looks", hooked(lambda m, i, o: None), reals(4))
add("hooks", "hook uses the weight", hooked(lambda m, i, o: o + m.weight.sum(1)), reals(4))
add("hooks", "hook with keywords", hooked(lambda m, i, k, o: o**2, with_kwargs=True), reals(4))
add("hooks", "hook before normalizes", hooked(lambda m, i: F.normalize(i[0], dim=-1), before=True), reals(4))
add("hooks", "hook before scales", hooked(lambda m, i: (2 * i[0],), before=True), reals(4))
add(
    "hooks", "hook before with keywords",
    hooked(lambda m, i, k: ((i[0] + 1,), k), before=True, with_kwargs=True), reals(4),
)  # fmt: skip


@zoo("hooks", reals(4))
def hook_on_the_model() -> nn.Module:
    model = mlp(4, 6, 3)
    model.register_forward_hook(lambda m, i, o: o.log_softmax(-1))
    return model


@zoo("hooks", reals(4))
def hook_on_the_last_layer() -> nn.Module:
    model = mlp(4, 6, 3)
    model[-1].register_forward_hook(lambda m, i, o: o.sinh())
    return model


@zoo("hooks", reals(4))
def hook_adds_a_parameter_of_its_layer() -> nn.Module:
    model = mlp(4, 6, 3)
    model[0].shift = nn.Parameter(torch.zeros(6))
    model[0].register_forward_hook(lambda m, i, o: o + m.shift)
    return model


@zoo("hooks", reals(4), expected="either")
def hook_adds_a_parameter_it_holds_itself() -> nn.Module:
    """The hook sees the parameter and not its name in the module."""
    model, shift = mlp(4, 6, 3), nn.Parameter(torch.zeros(6).double())
    model.register_parameter("shift", shift)
    model[0].register_forward_hook(lambda m, i, o: o + shift)
    return model


@zoo("hooks", reals(4), expected="either", smooth=False)
def backward_hook_scales_gradients() -> nn.Module:
    model = mlp(4, 6, 6, 3)

    def halved(module: nn.Module, inner: Any, outer: Any) -> tuple[Tensor | None, ...]:
        return tuple(g if g is None else g / 2 for g in inner)

    model[2].register_full_backward_hook(halved)
    return model


@zoo("hooks", reals(4))
def backward_hook_only_looks() -> nn.Module:
    model = mlp(4, 6, 6, 3)
    model[2].register_full_backward_hook(lambda m, gi, go: None)
    return model


@zoo("hooks", reals(4), expected="either", smooth=False)
def gradient_of_a_result_is_clipped() -> nn.Module:
    """By the norm over all examples together, where several go through at once."""

    def clipped(model: Any, x: Tensor) -> Tensor:
        h = model.a(x)
        if h.requires_grad:
            h.register_hook(lambda g: g * (0.1 / g.norm()).clamp(max=1))
        return model.b(torch.tanh(h))

    return Wrapped(clipped, a=nn.Linear(4, 6), b=nn.Linear(6, 3))


@zoo("hooks", reals(4), expected="either", smooth=False)
def part_of_a_weight_is_frozen_by_a_gradient_hook() -> nn.Module:
    model = mlp(4, 6, 3)
    mask = (torch.arange(6) > 2).double()[:, None]
    model.get_parameter("0.weight").register_hook(lambda g: g * mask)
    return model


@zoo("hooks", reals(4))
def forward_replaced_on_the_instance() -> nn.Module:
    model = mlp(4, 6, 6, 3)
    layer: Any = model[2]
    layer.forward = lambda h: torch.sin(nn.Linear.forward(layer, h))
    return model


@zoo("hooks", reals(4))
def forward_replaced_by_one_without_its_weight() -> nn.Module:
    model = mlp(4, 6, 6, 3)
    model[2].forward = lambda h: 2 * h
    return model


add(
    "hooks", "called by keyword",
    lambda: Wrapped(lambda m, x: m.b(input=torch.tanh(m.a(input=x))), a=nn.Linear(4, 6), b=nn.Linear(6, 3)),
    reals(4),
)  # fmt: skip
add(
    "hooks", "forward called, past the hooks",
    lambda: Wrapped(
        lambda m, x: m.b.forward(torch.tanh(m.a.forward(x))), a=nn.Linear(4, 6), b=nn.Linear(6, 3)
    ),
    reals(4),
)  # fmt: skip
add(
    "hooks", "forward called once, and the module once",
    lambda: Wrapped(
        lambda m, x: m.b(torch.tanh(m.c(torch.tanh(m.c.forward(m.a(x)))))),
        a=nn.Linear(4, 6), c=nn.Linear(6, 6), b=nn.Linear(6, 3),
    ),
    reals(4),
)  # fmt: skip


class CosineLinear(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * F.linear(F.normalize(x, dim=-1), F.normalize(self.weight, dim=-1), self.bias)


class ScaledByItself(nn.Linear):
    def __init__(self, d: int, m: int) -> None:
        super().__init__(d, m)
        self.gain = nn.Parameter(torch.ones(m))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.gain


class RenamedLinear(nn.Linear):
    """No change at all."""


class StandardizedConv(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        w = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        w = w / (w.std((1, 2, 3), keepdim=True) + 1e-5)
        return F.conv2d(x, w / 5, self.bias, self.stride, self.padding, self.dilation, self.groups)


for _class in (CosineLinear, ScaledByItself, RenamedLinear):
    add(
        "hooks", _class.__name__,
        lambda c=_class: nn.Sequential(c(4, 6), nn.Tanh(), c(6, 6), nn.Tanh(), c(6, 3)), reals(4),
    )  # fmt: skip


class Symmetric(nn.Module):
    def forward(self, w: Tensor) -> Tensor:
        return w.triu() + w.triu(1).transpose(-1, -2)


class LowRankUpdate(nn.Module):
    """A parametrization with parameters of its own."""

    def __init__(self, m: int, d: int) -> None:
        super().__init__()
        self.down, self.up = nn.Parameter(torch.randn(2, d) / 2), nn.Parameter(torch.zeros(m, 2))

    def forward(self, w: Tensor) -> Tensor:
        return w + self.up @ self.down


def _by_old_style(change: Callable[[nn.Module], nn.Module]) -> Callable[[nn.Module], nn.Module]:
    def quietly(module: nn.Module) -> nn.Module:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return change(module)

    return quietly


def _symmetric(layer: nn.Module) -> nn.Module:
    parametrize.register_parametrization(layer, "weight", Symmetric())
    return layer


def _low_rank(layer: nn.Linear) -> nn.Module:
    parametrize.register_parametrization(layer, "weight", LowRankUpdate(*layer.weight.shape))
    layer.get_parameter("parametrizations.weight.original").requires_grad_(False)
    return layer


def _pruned_for_good(layer: nn.Module) -> nn.Module:
    prune.l1_unstructured(layer, "weight", amount=0.5)
    return prune.remove(layer, "weight")


for _name, _change in {
    "weight norm": parametrizations.weight_norm,
    "weight norm, old": _by_old_style(nn.utils.weight_norm),
    "spectral norm": parametrizations.spectral_norm,
    "spectral norm, old": _by_old_style(nn.utils.spectral_norm),
    "orthogonal": parametrizations.orthogonal,
    "symmetric": _symmetric,
    "low rank by parametrization": _low_rank,
    "pruned by size": lambda layer: prune.l1_unstructured(layer, "weight", amount=0.5),
    "pruned by rows": lambda layer: prune.ln_structured(layer, "weight", amount=2, n=2, dim=0),
    "pruned in weight and bias": lambda layer: prune.random_unstructured(
        prune.l1_unstructured(layer, "bias", amount=2), "weight", amount=4
    ),
    "pruned for good": _pruned_for_good,
}.items():
    add(
        "hooks", _name,
        lambda change=_change: nn.Sequential(nn.Linear(4, 6), nn.Tanh(), change(nn.Linear(6, 6)), nn.Tanh(),
                                             nn.Linear(6, 3)),
        reals(4),
    )  # fmt: skip


class LoRA(nn.Module):
    def __init__(self, base: nn.Linear, rank: int = 2) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.A = nn.Parameter(torch.randn(rank, base.in_features) / 2)
        self.B = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + (x @ self.A.T @ self.B.T) * 0.5


add("hooks", "LoRA", lambda: nn.Sequential(LoRA(nn.Linear(4, 8)), nn.Tanh(), LoRA(nn.Linear(8, 3))), reals(4))


@zoo("hooks", reals(4))
class MaskedLinear(nn.Linear):
    """MADE's: a fixed mask on the weight."""

    mask: Tensor

    def __init__(self) -> None:
        super().__init__(4, 3)
        self.register_buffer("mask", torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0]]))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(torch.tanh(x), self.mask * self.weight, self.bias)


# --- examples that are mixed ------------------------------------------------------------------------


def _only_one_and_two(h: Tensor) -> Tensor:
    if len(h) < 3:
        return h
    return torch.cat([h[:1], h[2:3], h[1:2], h[3:]])


def _previous(h: Tensor) -> Tensor:
    return torch.cat([h[:1], h[1:] - h[:-1]])


for _name, _mix in {
    "minus the previous example": _previous,
    "cumulative sum over examples": lambda h: h.cumsum(0),
    "softmax over examples": lambda h: 4 * h.softmax(0),
    "minus the mean of the batch": lambda h: h - h.mean(0),
    "plus a little of the batch's mean": lambda h: h + 1e-4 * (h.mean(0) - h),
    "standardized by the batch": lambda h: (h - h.mean(0)) / (h.std(0, unbiased=False) + 0.1),
    "sorted over examples": lambda h: h.sort(0).values,
    "examples one and two exchanged": _only_one_and_two,
    "mean of more than four examples": lambda h: h - h.mean(0) if len(h) > 4 else h,
    "over the batch's maximum": lambda h: h / h.abs().max(),
    "over the batch's norm": lambda h: 4 * h / h.norm(),
    "next example's": lambda h: h.roll(1, 0),
    "attention between examples": lambda h: (h @ h.T).softmax(-1) @ h,
    "last example's": lambda h: h + 0.1 * h[-1],
    "layer norm over everything": lambda h: F.layer_norm(h, h.shape),
    "pairs of examples averaged": lambda h: torch.cat(
        [p.mean(0, True).expand(len(p), -1) for p in h.split(2)]
    ),
    "clipped by the batch's quantile": lambda h: h.clamp(max=h.quantile(0.4)),
    "by the number of examples": lambda h: h / len(h),
    "a choice by the whole batch": lambda h: h if h[:, 0].mean() > 0 else -h,
    "the wrong reshape": lambda h: h.view(len(h), 2, 4).reshape(2, len(h), 4).transpose(0, 1).flatten(1),
}.items():
    add(
        "mixed", _name,
        lambda mix=_mix: Wrapped(
            lambda m, x: m.head(torch.tanh(mix(m.body(x)))), body=nn.Linear(4, 8), head=nn.Linear(8, 3)
        ),
        reals(4), expected="refused", message=MIXES,
    )  # fmt: skip
add(
    "mixed", "values alone, gradients of the batch",
    lambda: Wrapped(
        lambda m, x: (lambda h: m.head(torch.tanh(h - h.mean(0) / 2 + h.mean(0).detach() / 2)))(m.body(x)),
        body=nn.Linear(4, 8), head=nn.Linear(8, 3),
    ),
    reals(4), expected="either", message=f"{MIXES}|autograd", smooth=False,
)  # fmt: skip
add(
    "mixed", "batch norm without statistics",
    lambda: nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8, track_running_stats=False), nn.Linear(8, 3)),
    reals(4), expected="refused", message=MIXES,
)  # fmt: skip
add(
    "mixed", "batch norm in training",
    lambda: nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3)),
    reals(4), expected="refused", message=MIXES + "|training", training=True,
)  # fmt: skip
add(
    "mixed", "F.batch_norm of the batch",
    lambda: Wrapped(
        lambda m, x: m.head(F.batch_norm(m.body(x), None, None, training=True)),
        body=nn.Linear(4, 8), head=nn.Linear(8, 3),
    ),
    reals(4), expected="refused", message=MIXES + "|training|one example",
)  # fmt: skip
for _name, _cell in {"LSTM": nn.LSTM, "GRU": nn.GRU, "RNN": nn.RNN}.items():
    add(
        "mixed", f"{_name} that takes examples for time",
        lambda cell=_cell: Wrapped(
            lambda m, x: m.head(m.cell(x)[0][:, -1]), cell=cell(3, 6), head=nn.Linear(6, 3)
        ),
        reals(4, 3), expected="refused", message=MIXES,
    )  # fmt: skip
add(
    "mixed", "nn.MultiheadAttention that takes examples for time",
    lambda: Wrapped(
        lambda m, x: m.head(m.attention(x, x, x)[0].mean(1)),
        attention=nn.MultiheadAttention(4, 2), head=nn.Linear(4, 3),
    ),
    reals(5, 4), expected="refused", message=MIXES,
)  # fmt: skip
add(
    "mixed", "scores of examples in columns",
    lambda: Wrapped(lambda m, x: m.net(x).T, net=mlp(4, 6, 3)),
    reals(4), expected="refused", message=MIXES + r"|\(3, ", sizes=(3, 3),
)  # fmt: skip
add(
    "mixed", "one score for the whole batch",
    lambda: Wrapped(lambda m, x: m.net(x).sum(0), net=mlp(4, 6, 3)),
    reals(4), expected="refused", message=MIXES + r"|\(3,\)", sizes=(3, 3),
)  # fmt: skip


# --- randomness -------------------------------------------------------------------------------------


class StochasticDepth(nn.Module):
    """Drops a branch for some examples, whatever the mode."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.branch, self.head = nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.embed(x))
        h = torchvision.ops.stochastic_depth(torch.tanh(self.branch(h)), 0.5, "row", training=True) + h
        return self.head(h)


def _numpy_noise(h: Tensor) -> Tensor:
    return h + 1e-3 * torch.from_numpy(np.random.default_rng().normal(size=h.shape))


add("random", "StochasticDepth", StochasticDepth, reals(4), expected="refused", message=RANDOM)
for _name, _disturb in {
    "a little noise": lambda h: h + 1e-6 * torch.randn_like(h),
    "functional dropout left on": lambda h: F.dropout(h, 0.3),
    "alpha dropout left on": lambda h: F.alpha_dropout(h, 0.3, training=True),
    "features in random order": lambda h: h[:, torch.randperm(h.shape[1])],
    "a noisy gate for all": lambda h: h * torch.rand(()),
    "Gumbel softmax": lambda h: F.gumbel_softmax(h),
    "noise from Python's random": lambda h: h + 1e-3 * random.gauss(0, 1),
    "noise from numpy": _numpy_noise,
    "Bernoulli in place": lambda h: h * torch.empty_like(h).bernoulli_(0.5),
}.items():
    add(
        "random", _name,
        lambda disturb=_disturb: Wrapped(
            lambda m, x: m.head(torch.tanh(disturb(m.body(x)))), body=nn.Linear(4, 8), head=nn.Linear(8, 3)
        ),
        reals(4), expected="refused", message=RANDOM,
    )  # fmt: skip


@zoo("random", reals(4), expected="refused", message=RANDOM)
class ReparametrizedCode(nn.Module):
    """A variational bottleneck that draws in evaluation, too, from a generator of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.encode, self.decode = nn.Linear(4, 8), nn.Linear(4, 3)
        self.generator = torch.Generator().manual_seed(0)

    def forward(self, x: Tensor) -> Tensor:
        mean, log_variance = self.encode(x).chunk(2, -1)
        noise = torch.randn(mean.shape, generator=self.generator, dtype=mean.dtype)
        return self.decode(mean + 0.1 * noise * torch.exp(log_variance / 2))


for _name, _layer in {
    "nn.Dropout in training": nn.Dropout(0.2),
    "nn.AlphaDropout in training": nn.AlphaDropout(0.2),
    "nn.RReLU in training": nn.RReLU(),
}.items():
    add(
        "random", _name,
        lambda layer=_layer: nn.Sequential(nn.Linear(4, 8), layer, nn.Linear(8, 3)),
        reals(4), expected="refused", message=RANDOM, training=True,
    )  # fmt: skip
add(
    "random", "dropout inside attention in training",
    lambda: Wrapped(
        lambda m, x: m.head(m.layer(x).mean(1)),
        layer=nn.TransformerEncoderLayer(4, 2, 8, 0.3, batch_first=True), head=nn.Linear(4, 3),
    ),
    reals(5, 4), expected="refused", message=RANDOM, training=True,
)  # fmt: skip
add(
    "random", "dropout inside an LSTM in training",
    lambda: Wrapped(
        lambda m, x: m.head(m.lstm(x)[0][:, -1]),
        lstm=nn.LSTM(3, 6, 2, batch_first=True, dropout=0.4), head=nn.Linear(6, 3),
    ),
    reals(4, 3), expected="refused", message=RANDOM, training=True,
)  # fmt: skip
add(
    "random", "dropout of nothing in training",
    lambda: nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.0), nn.Tanh(), nn.Linear(8, 3)),
    reals(4), training=True,
)  # fmt: skip
add(
    "random", "features shuffled and put back",
    lambda: Wrapped(
        lambda m, x: (lambda h, p: m.head(torch.tanh(h[:, p])[:, p.argsort()]))(m.body(x), torch.randperm(8)),
        body=nn.Linear(4, 8), head=nn.Linear(8, 3),
    ),
    reals(4), expected="either", message=RANDOM,
)  # fmt: skip


# --- integers ---------------------------------------------------------------------------------------


class BagOfWords(nn.Module):
    def __init__(self, **how: Any) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(11, 6, **how), mlp(6, 7, 3)

    def forward(self, words: Tensor) -> Tensor:
        return self.head(self.embedding(words).mean(1))


add("integers", "tokens", BagOfWords, tokens(11, 5))
add("integers", "tokens, sparse gradients", lambda: BagOfWords(sparse=True), tokens(11, 5))
add("integers", "tokens with padding", lambda: BagOfWords(padding_idx=0), tokens(11, 5), smooth=False)
add(
    "integers", "frequencies scale gradients, no token twice",
    lambda: BagOfWords(scale_grad_by_freq=True), distinct_tokens(11, 5), expected="either",
)  # fmt: skip
add(
    "integers", "frequencies scale gradients",
    lambda: BagOfWords(scale_grad_by_freq=True), tokens(4, 5), expected="either", smooth=False,
)  # fmt: skip
add("integers", "a norm limit out of reach", lambda: BagOfWords(max_norm=100.0), tokens(11, 5))
add(
    "integers", "a norm limit that changes the weight",
    lambda: BagOfWords(max_norm=1.0), tokens(11, 5), expected="either", smooth=False,
)  # fmt: skip
add(
    "integers", "one token for an example",
    lambda: nn.Sequential(nn.Embedding(11, 6), nn.Tanh(), nn.Linear(6, 3)), tokens(11),
)  # fmt: skip
add("integers", "a table of scores", lambda: nn.Embedding(11, 3), tokens(11))
add(
    "integers", "pairs of tokens",
    lambda: Wrapped(
        lambda m, x: m.head(torch.tanh(m.users(x[:, 0]) * m.items(x[:, 1]))),
        users=nn.Embedding(11, 6), items=nn.Embedding(11, 6), head=nn.Linear(6, 3),
    ),
    tokens(11, 2),
)  # fmt: skip
add(
    "integers", "one-hot tokens",
    lambda: Wrapped(lambda m, x: m.net(F.one_hot(x, 7).double().flatten(1)), net=mlp(21, 8, 3)), tokens(7, 3),
)  # fmt: skip
for _name, _how in {
    "sum": {"mode": "sum"}, "mean": {"mode": "mean"}, "max": {"mode": "max"},
    "sum, sparse": {"mode": "sum", "sparse": True},
}.items():  # fmt: skip
    add(
        "integers", f"bag by {_name}",
        lambda how=_how: nn.Sequential(nn.EmbeddingBag(11, 6, **how), nn.Tanh(), nn.Linear(6, 3)),
        tokens(11, 5),
    )  # fmt: skip


@zoo("integers", tokens(11, 5))
class FlatBags(nn.Module):
    """All tokens in one row, and where each example's begin."""

    def __init__(self) -> None:
        super().__init__()
        self.bag, self.head = nn.EmbeddingBag(11, 6, mode="mean"), nn.Linear(6, 3)

    def forward(self, words: Tensor) -> Tensor:
        offsets = torch.arange(len(words)) * words.shape[1]
        return self.head(torch.tanh(self.bag(words.flatten(), offsets)))


for _name, _scale in {
    "float() / 255": lambda x: x.float() / 255,
    "double() / 255": lambda x: x.double() / 255,
    "to the weight's type": None,
}.items():

    def _scaled(model: Any, x: Tensor, scale: Any = _scale) -> Tensor:
        real = x / 255 if scale is None else scale(x)
        return model.net(real.to(model.net[0].weight.dtype) - 0.5)

    add(
        "integers", f"bytes of images, {_name}",
        lambda scaled=_scaled: Wrapped(
            scaled, net=nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
        ),
        pixels(1, 6, 6),
    )  # fmt: skip


@zoo("integers", tokens(11, 5))
class NextWord(nn.Module):
    """Embedding and output share a weight; three of the eleven words are looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.body = nn.Embedding(11, 6), nn.Linear(6, 6)
        self.output = nn.Linear(6, 11, bias=False)
        self.output.weight = self.embedding.weight

    def forward(self, words: Tensor) -> Tensor:
        h = self.embedding(words).mean(1)
        return self.output(h + torch.tanh(self.body(h)))[:, :3]


@zoo("integers", tokens(11, 5))
class MaskedMean(nn.Module):
    """Token 0 is padding, left out of the mean."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(11, 6), nn.Linear(6, 3)

    def forward(self, words: Tensor) -> Tensor:
        there = (words != 0).double()[..., None]
        return self.head(torch.tanh((self.embedding(words) * there).sum(1) / there.sum(1).clamp(min=1)))


@zoo("integers", tokens(2, 6))
class Bits(nn.Module):
    """A Boolean input."""

    def __init__(self) -> None:
        super().__init__()
        self.on, self.off, self.head = (
            nn.Parameter(torch.randn(6)),
            nn.Parameter(torch.randn(6)),
            mlp(6, 6, 3),
        )

    def forward(self, bits: Tensor) -> Tensor:
        return self.head(torch.where(bits.bool(), self.on, self.off))


# --- recurrent networks -----------------------------------------------------------------------------


class Recurrent(nn.Module):
    def __init__(self, cell: Callable[..., nn.RNNBase], **how: Any) -> None:
        super().__init__()
        self.first = how.get("batch_first", False)
        self.cell = cell(3, 6, **how)
        width = how.get("proj_size", 6) * (2 if how.get("bidirectional") else 1)
        self.head = nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        if self.first:
            return self.head(self.cell(x)[0][:, -1])
        return self.head(self.cell(x.transpose(0, 1))[0].mean(0))


for _name, _cell, _how in [
    ("RNN, tanh", nn.RNN, {"batch_first": True}),
    ("RNN, relu", nn.RNN, {"batch_first": True, "nonlinearity": "relu"}),
    ("RNN, without bias", nn.RNN, {"batch_first": True, "bias": False}),
    ("GRU", nn.GRU, {"batch_first": True}),
    ("LSTM", nn.LSTM, {"batch_first": True}),
    ("LSTM, both ways", nn.LSTM, {"batch_first": True, "bidirectional": True}),
    ("LSTM, two layers", nn.LSTM, {"batch_first": True, "num_layers": 2}),
    ("LSTM, projected", nn.LSTM, {"batch_first": True, "proj_size": 4}),
    ("LSTM, time first", nn.LSTM, {}),
    ("GRU, time first, both ways", nn.GRU, {"bidirectional": True}),
]:
    add("recurrent", _name, lambda c=_cell, how=_how: Recurrent(c, **how), reals(5, 3))


class Stepped(nn.Module):
    """A loop over time with a cell, from a learned first state."""

    def __init__(self, cell: type[nn.Module]) -> None:
        super().__init__()
        self.cell, self.head = cell(3, 6), nn.Linear(6, 3)
        self.start = nn.Parameter(torch.zeros(6))

    def forward(self, x: Tensor) -> Tensor:
        h = self.start.expand(len(x), -1)
        state = (h, torch.zeros_like(h)) if isinstance(self.cell, nn.LSTMCell) else h
        for step in x.unbind(1):
            state = self.cell(step, state)
        return self.head(state[0] if isinstance(state, tuple) else state)


for _cell in (nn.RNNCell, nn.GRUCell, nn.LSTMCell):
    add("recurrent", _cell.__name__, lambda c=_cell: Stepped(c), reals(5, 3))


@zoo("recurrent", reals(5, 3))
class Elman(nn.Module):
    """By hand, of two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.i2h, self.h2h, self.h2o = nn.Linear(3, 6), nn.Linear(6, 6, bias=False), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.zeros(x.shape[0], 6, dtype=x.dtype)
        for t in range(x.shape[1]):
            h = torch.tanh(self.i2h(x[:, t]) + self.h2h(h))
        return self.h2o(h)


@zoo("recurrent", reals(5, 3))
class StateSpace(nn.Module):
    """A diagonal linear recurrence, as a convolution by FFT."""

    def __init__(self) -> None:
        super().__init__()
        self.log_decay, self.mix = nn.Parameter(torch.linspace(-1, 1, 6)), nn.Linear(3, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        t = torch.arange(x.shape[1], dtype=x.dtype)
        kernel = torch.exp(-torch.exp(self.log_decay)[:, None] * t)
        u = self.mix(x).transpose(1, 2)
        size = 2 * x.shape[1]
        y = torch.fft.irfft(torch.fft.rfft(u, size) * torch.fft.rfft(kernel, size), size)[..., : x.shape[1]]
        return self.head(torch.tanh(y[..., -1]))


# --- attention --------------------------------------------------------------------------------------


class Attending(nn.Module):
    def __init__(self, causal: bool = False, weights: bool = False, **how: Any) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, **how)
        self.embed, self.head = nn.Linear(3, 8), nn.Linear(8, 3)
        self.first, self.causal, self.weights = how.get("batch_first", False), causal, weights

    def forward(self, x: Tensor) -> Tensor:
        h = self.embed(x if self.first else x.transpose(0, 1))
        mask = torch.ones(x.shape[1], x.shape[1]).triu(1).bool() if self.causal else None
        y, _ = self.attention(h, h, h, attn_mask=mask, need_weights=self.weights)
        return self.head((h + y).mean(1 if self.first else 0))


for _name, _how in {
    "nn.MultiheadAttention": {"batch_first": True},
    "nn.MultiheadAttention, time first": {},
    "nn.MultiheadAttention, causal": {"batch_first": True, "causal": True},
    "nn.MultiheadAttention, weights wanted": {"batch_first": True, "weights": True},
    "nn.MultiheadAttention, bias of keys": {"batch_first": True, "add_bias_kv": True},
    "nn.MultiheadAttention, zeros attended": {"batch_first": True, "add_zero_attn": True},
    "nn.MultiheadAttention, without bias": {"batch_first": True, "bias": False},
}.items():
    add("attention", _name, lambda how=_how: Attending(**how), reals(5, 3))


class CrossAttention(nn.Module):
    """Learned queries look at the example; or the example looks at a learned memory."""

    def __init__(self, queries: bool) -> None:
        super().__init__()
        self.learned = nn.Parameter(torch.randn(5, 8 if queries else 4))
        dims = {"kdim": 3, "vdim": 3} if queries else {"kdim": 4, "vdim": 4}
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True, **dims)
        self.embed, self.head, self.queries = nn.Linear(3, 8), nn.Linear(8, 3), queries

    def forward(self, x: Tensor) -> Tensor:
        learned = self.learned.expand(len(x), -1, -1)
        asked, told = (learned, x) if self.queries else (self.embed(x), learned)
        return self.head(self.attention(asked, told, told, need_weights=False)[0].mean(1))


add("attention", "learned queries", lambda: CrossAttention(True), reals(5, 3))
add("attention", "learned memory", lambda: CrossAttention(False), reals(5, 3))


@zoo("attention", tokens(7, 6))
class PaddingMask(nn.Module):
    """Keys whose token is 0 are not looked at; the first token is never one."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(7, 8), nn.Linear(8, 3)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, words: Tensor) -> Tensor:
        h = self.embedding(words)
        padding = words == 0
        padding = torch.cat([torch.zeros_like(padding[:, :1]), padding[:, 1:]], 1)
        return self.head(self.attention(h, h, h, key_padding_mask=padding, need_weights=False)[0].mean(1))


for _norm_first in (True, False):
    for _activation in ("gelu", "relu"):
        add(
            "attention",
            f"nn.TransformerEncoderLayer, {_activation}, norm {'first' if _norm_first else 'last'}",
            lambda f=_norm_first, a=_activation: Wrapped(
                lambda m, x: m.head(m.layer(m.embed(x)).mean(1)),
                embed=nn.Linear(3, 8), head=nn.Linear(8, 3),
                layer=nn.TransformerEncoderLayer(8, 2, 12, activation=a, batch_first=True, norm_first=f),
            ),
            reals(5, 3),
        )  # fmt: skip
add(
    "attention", "nn.TransformerEncoder, time first",
    lambda: Wrapped(
        lambda m, x: m.head(m.encoder(m.embed(x.transpose(0, 1)))[0]),
        embed=nn.Linear(3, 8), head=nn.Linear(8, 3),
        encoder=nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 12), 2, nn.LayerNorm(8),
                                      enable_nested_tensor=False),
    ),
    reals(5, 3),
)  # fmt: skip
add(
    "attention", "nn.TransformerEncoder",
    lambda: Wrapped(
        lambda m, x: m.head(m.encoder(m.embed(x))[:, 0]),
        embed=nn.Linear(3, 8), head=nn.Linear(8, 3),
        encoder=nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 12, batch_first=True), 2,
                                      enable_nested_tensor=False),
    ),
    reals(5, 3),
)  # fmt: skip
add(
    "attention", "nn.TransformerDecoderLayer",
    lambda: Wrapped(
        lambda m, x: m.head(m.decoder(m.embed(x[:, :2]), m.embed(x[:, 2:])).mean(1)),
        embed=nn.Linear(3, 8), head=nn.Linear(8, 3),
        decoder=nn.TransformerDecoderLayer(8, 2, 12, batch_first=True),
    ),
    reals(5, 3),
)  # fmt: skip


class CausalSelfAttention(nn.Module):
    def __init__(self, d: int, heads: int) -> None:
        super().__init__()
        self.c_attn, self.c_proj, self.heads = nn.Linear(d, 3 * d), nn.Linear(d, d), heads

    def forward(self, x: Tensor) -> Tensor:
        n, t, d = x.shape
        q, k, v = (
            part.view(n, t, self.heads, d // self.heads).transpose(1, 2)
            for part in self.c_attn(x).split(d, dim=2)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.c_proj(y.transpose(1, 2).contiguous().view(n, t, d))


add(
    "attention", "F.scaled_dot_product_attention",
    lambda: Wrapped(lambda m, x: m.head(m.attend(x)[:, -1]), attend=CausalSelfAttention(8, 2),
                    head=nn.Linear(8, 3)),
    reals(5, 8),
)  # fmt: skip


@zoo("attention", reals(5, 8))
class SoftmaxByHand(nn.Module):
    """One head, heads and positions by einsum, a bias for each relative position."""

    distance: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(8, 8, bias=False) for _ in range(3))
        self.relative = nn.Parameter(torch.zeros(9, 2))
        distance = torch.arange(5)[:, None] - torch.arange(5) + 4
        self.register_buffer("distance", distance, persistent=False)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (layer(x).unflatten(-1, (2, 4)) for layer in (self.q, self.k, self.v))
        weights = torch.einsum("nihd,njhd->nhij", q, k) / 2 + self.relative[self.distance].permute(2, 0, 1)
        return self.head(torch.einsum("nhij,njhd->nihd", weights.softmax(-1), v).flatten(2).mean(1))


class ClassToken(nn.Module):
    """A learned first token, and positions from a parameter or a table."""

    def __init__(self, table: bool, repeated: bool) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, 8))
        self.embed, self.attend, self.head = nn.Linear(3, 8), CausalSelfAttention(8, 2), nn.Linear(8, 3)
        if table:
            self.positions = nn.Embedding(5, 8)
        else:
            self.pos_embed = nn.Parameter(torch.zeros(1, 5, 8))
        self.table, self.repeated = table, repeated

    def forward(self, x: Tensor) -> Tensor:
        n = len(x)
        token = self.cls_token.repeat(n, 1, 1) if self.repeated else self.cls_token.expand(n, -1, -1)
        h = torch.cat([self.embed(x), token], 1)
        h = h + (self.positions(torch.arange(5)) if self.table else self.pos_embed)
        return self.head(self.attend(h)[:, -1])


add("attention", "class token, learned positions", lambda: ClassToken(False, False), reals(4, 3))
add("attention", "class token, a table of positions", lambda: ClassToken(True, True), reals(4, 3))


@zoo("attention", reals(5, 8))
class LinearAttention(nn.Module):
    """Causal, with cumulative sums over time."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.head = nn.Linear(8, 24), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, -1)
        q, k = F.elu(q) + 1, F.elu(k) + 1
        state = torch.einsum("ntd,nte->ntde", k, v).cumsum(1)
        y = torch.einsum("ntd,ntde->nte", q, state) / (q * k.cumsum(1)).sum(-1, keepdim=True)
        return self.head(y[:, -1])


@zoo("attention", reals(5, 8))
class PooledByQuery(nn.Module):
    """A learned query scores positions, which are summed by their softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.value = nn.Parameter(torch.randn(8)), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return (self.value(x) * (x @ self.query).softmax(1)[..., None]).sum(1)


# --- norms and scales -------------------------------------------------------------------------------


class RMS(nn.Module):
    def __init__(self, d: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(d))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)


class LearnedSwish(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.tensor(1.0))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.beta * x)


class Gain(nn.Module):
    def __init__(self, *shape: int, first: float = 1.0) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full(shape, first))

    def forward(self, x: Tensor) -> Tensor:
        return self.gamma * x


class Residual(nn.Module):
    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*parts)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


for _name, _make in {
    "BatchNorm1d": lambda: nn.BatchNorm1d(6),
    "BatchNorm1d, no scale": lambda: nn.BatchNorm1d(6, affine=False),
    "LayerNorm": lambda: nn.LayerNorm(6),
    "LayerNorm without bias": lambda: nn.LayerNorm(6, bias=False),
    "nn.RMSNorm": lambda: nn.RMSNorm(6),
    "RMS": lambda: RMS(6),
    "GroupNorm of features": lambda: nn.GroupNorm(2, 6),
    "PReLU, one slope": nn.PReLU,
    "PReLU, a slope for each": lambda: nn.PReLU(6),
    "learned gain": Gain,
    "LayerScale": lambda: Residual(nn.Linear(6, 6), nn.Tanh(), Gain(6, first=0.1)),
    "ReZero": lambda: Residual(nn.Linear(6, 6), nn.ReLU(), Gain(first=0.0)),
    "Swish, learned": LearnedSwish,
    "GLU": lambda: nn.Sequential(nn.Linear(6, 12), nn.GLU()),
    "softmax inside": lambda: nn.Softmax(-1),
    "maxout": lambda: Wrapped(
        lambda m, x: m.pieces(x).unflatten(1, (6, 2)).amax(-1), pieces=nn.Linear(6, 12)
    ),
}.items():
    add(
        "norms", _name,
        lambda make=_make: nn.Sequential(nn.Linear(4, 6), make(), nn.Tanh(), nn.Linear(6, 3)), reals(4),
    )  # fmt: skip


class SqueezeExcite(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(c, 2), nn.Linear(2, c)

    def forward(self, x: Tensor) -> Tensor:
        s = torch.sigmoid(self.up(torch.relu(self.down(x.mean((2, 3))))))
        return x * s[:, :, None, None]


for _name, _make in {
    "BatchNorm2d": lambda: nn.BatchNorm2d(4),
    "BatchNorm2d before a ReLU in place": lambda: nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(inplace=True)),
    "LayerNorm of images": lambda: nn.LayerNorm([4, 6, 6]),
    "GroupNorm": lambda: nn.GroupNorm(2, 4),
    "InstanceNorm2d": lambda: nn.InstanceNorm2d(4, affine=True),
    "LocalResponseNorm": lambda: nn.LocalResponseNorm(3, alpha=1.0),
    "PReLU of channels": lambda: nn.PReLU(4),
    "weight-standardized": lambda: StandardizedConv(4, 4, 3, padding=1),
    "SqueezeExcite": lambda: SqueezeExcite(4),
    "gain per channel": lambda: Gain(4, 1, 1),
    "torchvision's frozen norm": lambda: torchvision.ops.FrozenBatchNorm2d(4),
}.items():
    add(
        "norms", _name,
        lambda make=_make: nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1), make(), nn.SiLU(), nn.Flatten(), nn.Linear(144, 3)
        ),
        reals(2, 6, 6),
    )  # fmt: skip
add(
    "norms", "BatchNorm3d",
    lambda: nn.Sequential(nn.Conv3d(1, 3, 2), nn.BatchNorm3d(3), nn.ReLU(), nn.Flatten(), nn.Linear(24, 3)),
    reals(1, 3, 3, 3),
)  # fmt: skip


@zoo("norms", reals(6))
class FiLM(nn.Module):
    """Half of the input says how to scale and shift the features of the other half."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.film, self.head = nn.Linear(3, 8), nn.Linear(3, 16), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        gamma, beta = self.film(x[:, 3:]).chunk(2, -1)
        return self.head(torch.relu((1 + gamma) * self.body(x[:, :3]) + beta))


# --- convolutions -----------------------------------------------------------------------------------


def images(*layers: nn.Module, features: int) -> nn.Module:
    return nn.Sequential(*layers, nn.Tanh(), nn.Flatten(), nn.Linear(features, 3))


for _name, _make in {
    "Conv2d": lambda: images(nn.Conv2d(2, 4, 3), features=64),
    "Conv2d, groups": lambda: images(nn.Conv2d(2, 4, 3, groups=2), features=64),
    "Conv2d, depthwise separable": lambda: images(
        nn.Conv2d(2, 4, 3, groups=2, bias=False), nn.Conv2d(4, 5, 1), features=80
    ),
    "Conv2d, groups, one position": lambda: images(
        nn.Conv2d(2, 4, 3), nn.Tanh(), nn.Conv2d(4, 6, 4, groups=2), features=6
    ),
    "Conv2d, depthwise, one position": lambda: images(
        nn.Conv2d(2, 4, 4, stride=2),
        nn.Tanh(),
        nn.Conv2d(4, 4, 3, 2, 1, groups=4),
        nn.Tanh(),
        nn.Conv2d(4, 6, 1),
        features=6,
    ),
    "Conv2d, dilation": lambda: images(nn.Conv2d(2, 4, 3, dilation=2), features=16),
    "Conv2d, stride": lambda: images(nn.Conv2d(2, 4, 3, stride=2, padding=1), features=36),
    "Conv2d, oblong": lambda: images(
        nn.Conv2d(2, 4, (3, 1), stride=(1, 2), padding=(0, 1), dilation=(2, 1)), features=32
    ),
    "Conv2d, same": lambda: images(nn.Conv2d(2, 4, (3, 5), padding="same"), features=144),
    "Conv2d, valid": lambda: images(nn.Conv2d(2, 4, 3, padding="valid"), features=64),
    "Conv2d, circular": lambda: images(nn.Conv2d(2, 4, 3, padding=1, padding_mode="circular"), features=144),
    "Conv2d, reflect": lambda: images(nn.Conv2d(2, 4, 3, padding=1, padding_mode="reflect"), features=144),
    "Conv2d, replicate": lambda: images(
        nn.Conv2d(2, 4, 3, padding=2, padding_mode="replicate"), features=256
    ),
    "ConvTranspose2d": lambda: images(
        nn.Conv2d(2, 4, 3), nn.ReLU(), nn.ConvTranspose2d(4, 2, 3, stride=2, output_padding=1), features=200
    ),
    "ConvTranspose2d, groups": lambda: images(nn.ConvTranspose2d(2, 4, 2, groups=2), features=196),
    "pixel shuffle": lambda: images(nn.Conv2d(2, 4, 3), nn.PixelShuffle(2), features=64),
    "pixel unshuffle": lambda: images(nn.PixelUnshuffle(2), nn.Conv2d(8, 4, 2), features=16),
    "max pool": lambda: images(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.MaxPool2d(2), features=16),
    "average pool": lambda: images(nn.Conv2d(2, 4, 3), nn.AvgPool2d(2), features=16),
    "adaptive pools": lambda: images(
        nn.Conv2d(2, 4, 3), nn.AdaptiveMaxPool2d(3), nn.Conv2d(4, 4, 1), nn.AdaptiveAvgPool2d(1), features=4
    ),
    "fractional pool": lambda: images(nn.Conv2d(2, 4, 3), nn.LPPool2d(2, 2), features=16),
    "upsampled, nearest": lambda: images(nn.Upsample(scale_factor=2), nn.Conv2d(2, 2, 3), features=200),
    "upsampled, bilinear": lambda: images(
        nn.Conv2d(2, 2, 3), nn.Upsample(scale_factor=2, mode="bilinear"), features=128
    ),
    "channel shuffle": lambda: images(
        nn.Conv2d(2, 4, 3, groups=2), nn.ChannelShuffle(2), nn.Conv2d(4, 4, 3, groups=2), features=16
    ),
    "padding layers": lambda: images(
        nn.ZeroPad2d(1), nn.Conv2d(2, 4, 3), nn.ReflectionPad2d(1), nn.Conv2d(4, 2, 3), features=72
    ),
    "strided convolution that leaves a row out": lambda: images(nn.Conv2d(2, 4, 3, stride=2), features=16),
}.items():
    add("convolutions", _name, _make, reals(2, 6, 6))
add(
    "convolutions", "channels last in memory",
    lambda: images(nn.Conv2d(2, 4, 3), features=64).to(memory_format=torch.channels_last), reals(2, 6, 6),
)  # fmt: skip
add(
    "convolutions", "Conv1d and ConvTranspose1d",
    lambda: images(nn.Conv1d(2, 4, 3, stride=2), nn.ReLU(), nn.ConvTranspose1d(4, 2, 3), features=12),
    reals(2, 9),
)  # fmt: skip
add(
    "convolutions", "causal Conv1d",
    lambda: Wrapped(
        lambda m, x: m.head(torch.relu(m.conv(F.pad(x, (4, 0))))[..., -1]),
        conv=nn.Conv1d(2, 4, 3, dilation=2), head=nn.Linear(4, 3),
    ),
    reals(2, 7),
)  # fmt: skip
add("convolutions", "Conv3d", lambda: images(nn.Conv3d(1, 3, 2, stride=2), features=24), reals(1, 4, 4, 4))
add(
    "convolutions", "Conv3d, same, circular",
    lambda: images(nn.Conv3d(1, 2, 3, padding="same", padding_mode="circular"), features=54),
    reals(1, 3, 3, 3),
)  # fmt: skip
add(
    "convolutions", "convolution of one image given without its channel",
    lambda: Wrapped(lambda m, x: m.net(x.unsqueeze(1)), net=images(nn.Conv2d(1, 4, 3), features=64)),
    reals(6, 6),
)  # fmt: skip
add(
    "convolutions", "one convolution twice",
    lambda: Wrapped(
        lambda m, x: m.head(torch.tanh(m.conv(torch.relu(m.conv(x)))).flatten(1)),
        conv=nn.Conv2d(2, 2, 3, padding=1), head=nn.Linear(72, 3),
    ),
    reals(2, 6, 6),
)  # fmt: skip
add(
    "convolutions", "one convolution at two scales",
    lambda: Wrapped(
        lambda m, x: m.head(torch.cat([m.conv(h).amax((2, 3)) for h in (x, F.avg_pool2d(x, 2))], 1)),
        conv=nn.Conv2d(2, 4, 3), head=nn.Linear(8, 3),
    ),
    reals(2, 6, 6),
)  # fmt: skip
add(
    "convolutions", "by unfold",
    lambda: Wrapped(
        lambda m, x: m.head(torch.tanh(m.fc(F.unfold(x, 3).transpose(1, 2))).flatten(1)),
        fc=nn.Linear(18, 4), head=nn.Linear(64, 3),
    ),
    reals(2, 6, 6),
)  # fmt: skip
add(
    "convolutions", "positions into examples and a linear layer",
    lambda: Wrapped(
        lambda m, x: m.head(torch.tanh(m.fc(x.permute(0, 2, 3, 1).reshape(-1, 2))).view(len(x), -1)),
        fc=nn.Linear(2, 3), head=nn.Linear(108, 3),
    ),
    reals(2, 6, 6),
)  # fmt: skip


@zoo("convolutions", reals(4), expected="refused", message="(?i)lazy|uninitialized")
def lazy_linear() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.Sequential(nn.LazyLinear(6), nn.Tanh(), nn.Linear(6, 3))


@zoo("convolutions", reals(2, 6, 6), expected="refused", message="(?i)lazy|uninitialized")
def lazy_convolution() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.LazyConv2d(3, 4), nn.Flatten())


@zoo("convolutions", reals(4))
def lazy_linear_after_a_first_call() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = nn.Sequential(nn.LazyLinear(6), nn.Tanh(), nn.LazyLinear(3))
    model(torch.zeros(1, 4))
    return model


# --- tied weights -----------------------------------------------------------------------------------


@zoo("tied", reals(4))
class TwoLinearsOneWeight(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.head = nn.Linear(4, 6), nn.Linear(4, 6), nn.Linear(6, 3)
        self.right.weight = self.left.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.left(x)) * torch.sigmoid(self.right(x.flip(1))))


@zoo("tied", reals(4))
class TiedBiases(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.head = nn.Linear(4, 6), nn.Linear(4, 6), nn.Linear(6, 3)
        self.right.bias = self.left.bias

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.left(x)) + torch.sin(self.right(x)))


class TiedAutoencoder(nn.Module):
    def __init__(self, by_module: bool) -> None:
        super().__init__()
        self.encoder, self.out_bias = nn.Linear(3, 5), nn.Parameter(torch.zeros(3))
        self.by_module = by_module

    def forward(self, x: Tensor) -> Tensor:
        h = self.encoder(x) if self.by_module else F.linear(x, self.encoder.weight, self.encoder.bias)
        return F.linear(torch.tanh(h), self.encoder.weight.t(), self.out_bias)


add("tied", "autoencoder", lambda: TiedAutoencoder(True), reals(3))
add("tied", "autoencoder by F.linear", lambda: TiedAutoencoder(False), reals(3))
add(
    "tied", "one layer at several depths",
    lambda: (
        lambda layer: nn.Sequential(nn.Linear(4, 6), nn.Tanh(), layer, nn.Tanh(), layer, nn.Tanh(), layer,
                                    nn.Tanh(), nn.Linear(6, 3))
    )(nn.Linear(6, 6)),
    reals(4),
)  # fmt: skip
add(
    "tied", "one layer for input and output",
    lambda: (lambda layer: nn.Sequential(layer, nn.Tanh(), layer))(nn.Linear(3, 3)), reals(3),
)  # fmt: skip
add(
    "tied", "a weight as matrix and as convolution",
    lambda: Wrapped(
        lambda m, x: m.head(
            torch.tanh(m.fc(x.mean(-1))) + torch.tanh(F.conv1d(x, m.fc.weight[:, :, None])).amax(-1)
        ),
        fc=nn.Linear(4, 6), head=nn.Linear(6, 3),
    ),
    reals(4, 7),
)  # fmt: skip


@zoo("tied", reals(4))
class WeightUnderTwoNames(nn.Module):
    """Under the model itself, too."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.head = nn.Linear(4, 6), nn.Linear(6, 3)
        self.kernel = self.fc.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.fc(x)) + torch.sin(x @ self.kernel.T))


@zoo("tied", reals(4))
def module_under_two_names() -> nn.Module:
    model = Wrapped(lambda m, x: m.head(m.b(torch.tanh(m.a(m.embed(x))))), embed=nn.Linear(4, 6))
    model.a = nn.Linear(6, 6)
    model.b, model.head = model.a, nn.Linear(6, 3)
    return model


@zoo("tied", reals(4), expected="either")
class HiddenModule(nn.Module):
    """The layers are in a plain list; only their parameters are registered."""

    def __init__(self) -> None:
        super().__init__()
        body = mlp(4, 6, 3).double()
        self.hidden = [body]
        self.weights = nn.ParameterList(body.parameters())

    def forward(self, x: Tensor) -> Tensor:
        return self.hidden[0](x)


@zoo("tied", reals(2, 4))
class Siamese(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.head = mlp(4, 8, 6), nn.Linear(6, 3)

    def forward(self, pair: Tensor) -> Tensor:
        return self.head((self.encoder(pair[:, 0]) - self.encoder(pair[:, 1])).abs())


# --- experts and choices by data --------------------------------------------------------------------


class HardExperts(nn.Module):
    """Each example goes to the expert that its gate likes best, scaled by how much it does."""

    def __init__(self, by_where: bool) -> None:
        super().__init__()
        self.gate, self.experts = nn.Linear(4, 3), nn.ModuleList(mlp(4, 6, 3) for _ in range(3))
        self.by_where = by_where

    def forward(self, x: Tensor) -> Tensor:
        weights = self.gate(x).softmax(-1)
        choice = weights.argmax(-1)
        out = torch.zeros(len(x), 3, dtype=x.dtype)
        for index, expert in enumerate(self.experts):
            chosen = choice == index
            if self.by_where:
                out = torch.where(chosen[:, None], weights[:, index, None] * expert(x), out)
            elif chosen.any():
                out[chosen] = weights[chosen, index, None] * expert(x[chosen])
        return out


add("experts", "top expert by index", lambda: HardExperts(False), reals(4))
add("experts", "top expert by where", lambda: HardExperts(True), reals(4))


@zoo("experts", reals(4))
class SoftExperts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate, self.experts = nn.Linear(4, 3), nn.ModuleList(mlp(4, 6, 3) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        answers = torch.stack([expert(x) for expert in self.experts], 1)
        return (self.gate(x).softmax(-1)[..., None] * answers).sum(1)


@zoo("experts", reals(4))
class StackedExperts(nn.Module):
    """One product for all experts, which are in the first axis; as many as examples."""

    def __init__(self) -> None:
        super().__init__()
        self.weights, self.gate = nn.Parameter(torch.randn(5, 4, 3) / 2), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        answers = torch.bmm(x.expand(5, -1, -1), self.weights)
        return torch.einsum("end,ne->nd", torch.tanh(answers), self.gate(x).softmax(-1))


@zoo("experts", reals(6, 4))
class TokenExperts(nn.Module):
    """Tokens of all examples are flattened, the best two experts of each found, and results scattered."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.experts = nn.Linear(4, 4), nn.ModuleList(mlp(4, 5, 4) for _ in range(4))
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        flat_x = x.reshape(-1, 4)
        weights, chosen = self.gate(flat_x).softmax(-1).topk(2, dim=-1)
        out = torch.zeros_like(flat_x)
        for index, expert in enumerate(self.experts):
            row, slot = torch.where(chosen == index)
            out.index_add_(0, row, expert(flat_x[row]) * weights[row, slot, None])
        return self.head(out.view_as(x).mean(1))


@zoo("experts", reals(4))
class EarlyExit(nn.Module):
    """Examples that are clear after the first layer leave; the others go on."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.exit = nn.Linear(4, 6), nn.Linear(6, 3)
        self.second, self.head = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.first(x))
        scores = self.exit(h)
        unclear = scores.detach().softmax(-1).amax(-1) < 0.45
        if not unclear.any():
            return scores
        later = self.head(torch.tanh(self.second(h[unclear])))
        return scores.masked_scatter(unclear[:, None].expand(-1, 3), later)


add(
    "experts", "two branches and torch.where",
    lambda: Wrapped(lambda m, x: torch.where(x[:, :1] > 0, m.a(x), m.b(x)), a=mlp(4, 6, 3), b=mlp(4, 5, 3)),
    reals(4),
)  # fmt: skip


@zoo("experts", reals(4))
class SortedByKey(nn.Module):
    """Examples sorted, processed, and put back where they were."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(4, 6, 3)

    def forward(self, x: Tensor) -> Tensor:
        order = x[:, 0].argsort()
        return self.net(x[order])[order.argsort()]


@zoo("experts", tokens(7, 6))
class PackedByLength(nn.Module):
    """Sequences end at the first 0; sorted by length, packed, and put back."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.gru, self.head = nn.Embedding(7, 5), nn.GRU(5, 6), nn.Linear(6, 3)

    def forward(self, words: Tensor) -> Tensor:
        lengths = 1 + (words[:, 1:] != 0).long().cumprod(1).sum(1)
        packed = nn.utils.rnn.pack_padded_sequence(
            self.embedding(words), lengths, batch_first=True, enforce_sorted=False
        )
        return self.head(self.gru(packed)[1][0])


@zoo("experts", reals(4))
class Halves(nn.Module):
    """Positive and negative examples apart, as ragged batches."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.plus, self.minus = nn.Linear(4, 6), nn.Linear(6, 3), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.embed(x))
        positive = x[:, 0] > 0
        scores = torch.cat([self.plus(h[positive]), self.minus(h[~positive])])
        return scores[torch.cat([positive.nonzero()[:, 0], (~positive).nonzero()[:, 0]]).argsort()]


@zoo("experts", reals(4))
class UntilConverged(nn.Module):
    """A loop with a number of steps for each example, by its own residual."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.step, self.head = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        u = self.embed(x)
        h = torch.zeros_like(u)
        for _ in range(20):
            moved = torch.tanh(self.step(h) / 3 + u)
            going = (moved - h).detach().norm(dim=-1, keepdim=True) > 0.05
            if not going.any():
                break
            h = torch.where(going, moved, h)
        return self.head(h)


# --- states -----------------------------------------------------------------------------------------


@zoo("stateful", reals(4))
class CountsCalls(nn.Module):
    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(4, 6, 3)
        self.register_buffer("calls", torch.tensor(0))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.net(x)


@zoo("stateful", reals(4))
class CountsExamples(nn.Module):
    """In a plain number, and in a buffer that is replaced."""

    total: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.net, self.seen = mlp(4, 6, 3), 0
        self.register_buffer("total", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.seen += len(x)
        self.total = self.total + len(x)
        return self.net(x)


@zoo("stateful", reals(4))
class Remembers(nn.Module):
    """Its last activation, for a plot; an attribute that is there from the start."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 6), nn.Linear(6, 3)
        self.last: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        self.last = torch.tanh(self.a(x))
        return self.b(self.last)


@zoo("stateful", reals(4), writes=("features",))
class RemembersOnTheWay(nn.Module):
    """In an attribute that the first call makes."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        self.features = {"hidden": torch.tanh(self.a(x))}
        return self.b(self.features["hidden"])


@zoo("stateful", reals(4))
class RecordsActivations(nn.Module):
    """By a hook, in a list that grows."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(4, 6, 3)
        self.records: list[Tensor] = []
        self.net[0].register_forward_hook(lambda m, i, o: self.records.append(o.detach()))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class RunningMean(nn.Module):
    """Subtracts a running mean, which moves in training."""

    mean: Tensor

    def __init__(self, used: bool) -> None:
        super().__init__()
        self.a, self.b, self.used = nn.Linear(4, 6), nn.Linear(6, 3), used
        self.register_buffer("mean", torch.zeros(6))

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        if self.training:
            self.mean.mul_(0.9).add_(0.1 * h.detach().mean(0))
        return self.b(torch.tanh(h - self.mean if self.used else h))


add("stateful", "running mean, at rest", lambda: RunningMean(True), reals(4))
add("stateful", "running mean, never used", lambda: RunningMean(False), reals(4), training=True)
add(
    "stateful", "running mean, moving",
    lambda: RunningMean(True), reals(4), training=True, expected="refused", message=f"{CHANGES}|{MIXES}",
)  # fmt: skip


@zoo("stateful", reals(4), expected="refused", message=f"{CHANGES}|{MIXES}")
class Anneals(nn.Module):
    """A temperature that falls with every call."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.temperature = mlp(4, 6, 3), 4.0

    def forward(self, x: Tensor) -> Tensor:
        self.temperature = max(1e-3, 0.9 * self.temperature)
        return self.net(x) * self.temperature


@zoo("stateful", reals(4), expected="refused", message=f"{CHANGES}|{MIXES}")
class CarriesItsState(nn.Module):
    """A recurrent state that the next call starts from."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.GRUCell(4, 6), nn.Linear(6, 3)
        self.state: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        state = self.state.mean(0).expand(len(x), -1) if self.state is not None else None
        h = self.cell(x, state)
        self.state = h.detach()
        return self.head(h)


@zoo("stateful", reals(5, 8), writes=("cosine", "sine"))
class CachedRotation(nn.Module):
    """Rotary positions, whose tables the first call makes and keeps."""

    cosine: Tensor
    sine: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.qk, self.head = nn.Linear(8, 16), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        if getattr(self, "cosine", None) is None or self.cosine.shape[0] < x.shape[1]:
            angle = torch.arange(x.shape[1], dtype=x.dtype)[:, None] / 10 ** torch.arange(4, dtype=x.dtype)
            self.cosine, self.sine = angle.cos(), angle.sin()
        q, k = (self.rotated(part) for part in self.qk(x).chunk(2, -1))
        return self.head(((q @ k.transpose(1, 2)).softmax(-1) @ x).mean(1))

    def rotated(self, h: Tensor) -> Tensor:
        a, b = h.chunk(2, -1)
        return torch.cat([a * self.cosine - b * self.sine, a * self.sine + b * self.cosine], -1)


@zoo("stateful", reals(5, 4))
class MaskMadeOnDemand(nn.Module):
    """A buffer that the first call fills, by register_buffer."""

    mask: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.v, self.head = nn.Linear(4, 6), nn.Linear(6, 3)
        self.register_buffer("mask", None, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.mask is None:
            self.register_buffer("mask", torch.ones(x.shape[1], x.shape[1]).tril(), persistent=False)
        assert self.mask is not None
        return self.head(
            torch.tanh((self.mask / self.mask.sum(1, keepdim=True)).to(x.dtype) @ self.v(x))[:, -1]
        )


# --- in place ---------------------------------------------------------------------------------------


def _sliced(model: Any, x: Tensor) -> Tensor:
    h = model.a(x)
    h[:, :2] = 0.5
    h[:, 2] *= 3
    return model.b(torch.tanh(h))


def _residual(model: Any, x: Tensor) -> Tensor:
    h = model.a(x)
    h += model.c(x)
    h.relu_()
    return model.b(h)


def _input_changed_later(model: Any, x: Tensor) -> Tensor:
    h = torch.tanh(model.a(x)).clone()
    y = model.d(h.clone())
    h += y
    return model.b(h)


def _assembled(model: Any, x: Tensor) -> Tensor:
    h = torch.empty(len(x), 6, dtype=x.dtype)
    h[:, ::2] = model.a(x)[:, :3]
    h[:, 1::2] = model.c(x)[:, 3:]
    return model.b(torch.tanh(h))


def _through_a_view(model: Any, x: Tensor) -> Tensor:
    h = model.a(x)
    h.view(-1).mul_(2)
    h.t().add_(0.3)
    left, _ = h.tensor_split(2, dim=1)
    left.tanh_()
    return model.b(h)


def _result_changed(model: Any, x: Tensor) -> Tensor:
    scores = model.b(torch.tanh(model.a(x)))
    scores -= scores.mean(-1, keepdim=True)
    return scores


def _masked(model: Any, x: Tensor) -> Tensor:
    return model.b(model.a(x).masked_fill_(x[:, :1] > 0.5, 0.3).sigmoid_())


def _own_input(model: Any, x: Tensor) -> Tensor:
    x.sub_(0.3).mul_(2)
    return model.b(torch.tanh(model.a(x)))


def _relu_twice(model: Any, x: Tensor) -> Tensor:
    h = F.relu(model.a(x), inplace=True)
    return model.b(F.leaky_relu_(model.d(h), 0.1))


for _name, _step in {
    "slices set": _sliced,
    "a residual added": _residual,
    "a layer's input changed later": _input_changed_later,
    "features assembled": _assembled,
    "changed through a view": _through_a_view,
    "the scores changed": _result_changed,
    "masked fill": _masked,
    "activations in place": _relu_twice,
}.items():
    add(
        "in place", _name,
        lambda step=_step: Wrapped(step, a=nn.Linear(4, 6), c=nn.Linear(4, 6), d=nn.Linear(6, 6),
                                   b=nn.Linear(6, 3)),
        reals(4),
    )  # fmt: skip
add(
    "in place", "its own input changed",
    lambda: Wrapped(_own_input, a=nn.Linear(4, 6), b=nn.Linear(6, 3)), reals(4), expected="either",
)  # fmt: skip
add(
    "in place", "nn.ReLU(inplace=True) after every layer",
    lambda: nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.ReLU(inplace=True), nn.BatchNorm2d(4), nn.ReLU6(inplace=True), nn.Flatten(),
        nn.Linear(64, 8), nn.Hardswish(inplace=True), nn.Linear(8, 3),
    ),
    reals(2, 6, 6),
)  # fmt: skip


# --- unusual parameters, functions and outputs ------------------------------------------------------


class FourierLayer(nn.Module):
    """A Fourier neural operator's layer: complex weights, one matrix for each low frequency."""

    def __init__(self, complex_weights: bool, dtype: torch.dtype = torch.complex128) -> None:
        super().__init__()
        weights = torch.randn(2, 4, 3, dtype=torch.complex128) / 2
        if complex_weights:
            self.spectral = nn.Parameter(weights.to(dtype))
        else:
            self.pairs = nn.Parameter(torch.view_as_real(weights).double().contiguous())
        self.skip, self.head = nn.Conv1d(2, 4, 1), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        weights = self.spectral if hasattr(self, "spectral") else torch.view_as_complex(self.pairs)
        frequencies = torch.fft.rfft(x)[..., :3].to(weights.dtype)
        y = torch.fft.irfft(torch.einsum("nck,cok->nok", frequencies, weights), n=x.shape[-1])
        return self.head(torch.tanh(y + self.skip(x)).mean(-1))


add(
    "unusual", "complex weights", lambda: FourierLayer(True), reals(2, 8),
    expected="either", message="spectral",
)  # fmt: skip
add(
    "unusual", "complex weights of half the precision", lambda: FourierLayer(True, torch.complex64),
    reals(2, 8), expected="either", message="spectral", smooth=False, tolerance=1e-5,
)  # fmt: skip
add("unusual", "pairs of real numbers as complex weights", lambda: FourierLayer(False), reals(2, 8))


@zoo("unusual", reals(4))
class UnusedParameter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net, self.spare, self.extra = mlp(4, 6, 3), nn.Linear(4, 4), nn.Parameter(torch.zeros(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


@zoo("unusual", reals(4))
def frozen_parameters() -> nn.Module:
    model = mlp(4, 6, 6, 3)
    model[0].requires_grad_(False)
    model[2].bias.requires_grad_(False)
    model[4].weight.requires_grad_(False)
    return model


@zoo("unusual", reals(4), smooth=False)
class DetachedTrunk(nn.Module):
    """A linear probe: gradients stop before the head."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.head = mlp(4, 6, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.trunk(x).detach())


@zoo("unusual", reals(4), smooth=False)
class NoGradTrunk(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.head = mlp(4, 6, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            h = self.trunk(x)
        return self.head(h)


@zoo("unusual", reals(4))
class HeadPerScore(nn.Module):
    """A body in common, a head for each score, and one score that no parameter has to do with."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.heads = nn.Linear(4, 6), nn.ModuleDict({"a": nn.Linear(6, 1), "b": mlp(6, 4, 1)})

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.body(x))
        return torch.cat([self.heads["a"](h), self.heads["b"](h), x[:, :1]], -1)


@zoo("unusual", reals(4))
class DeadUnits(nn.Module):
    """Every ReLU is off: only the head's bias is left."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.body(x) - 100))


@zoo("unusual", reals(4))
class Flat(nn.Module):
    """No gradient at all: the scores are signs."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(4, 6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sign(self.net(x))


class Cube(torch.autograd.Function):
    """As before there was setup_context."""

    @staticmethod
    def forward(ctx: Any, h: Tensor) -> Tensor:
        ctx.save_for_backward(h)
        return h**3

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (h,) = ctx.saved_tensors
        return 3 * h**2 * g


class Scaled(torch.autograd.Function):
    """A product with a weight, with setup_context and a rule that vmap can make."""

    generate_vmap_rule = True

    @staticmethod
    def forward(h: Tensor, weight: Tensor) -> Tensor:
        return h @ weight

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor]:
        h, weight = ctx.saved_tensors
        return g @ weight.T, h.T @ g


class Sine(torch.autograd.Function):
    """With setup_context and no rule for vmap."""

    @staticmethod
    def forward(h: Tensor) -> Tensor:
        return torch.sin(h)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g * torch.cos(ctx.saved_tensors[0])


class StraightThrough(torch.autograd.Function):
    """Rounds; the gradient goes by as if it had not."""

    @staticmethod
    def forward(ctx: Any, h: Tensor) -> Tensor:
        return (2 * h).round() / 2

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g


for _name, _function, _smooth in [
    ("function of its own, old style", Cube.apply, True),
    ("function of its own, new style", Sine.apply, True),
    ("straight-through rounding", StraightThrough.apply, False),
    ("straight-through by detach", lambda h: h + (h.round() - h).detach(), False),
    ("gradient reversed", lambda h: 2 * h.detach() - h, False),
]:
    add(
        "unusual", _name,
        lambda function=_function: Wrapped(
            lambda m, x: m.b(function(m.a(x))), a=nn.Linear(4, 6), b=nn.Linear(6, 3)
        ),
        reals(4), smooth=_smooth,
    )  # fmt: skip


@zoo("unusual", reals(4))
class FunctionOfAWeight(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight, self.head = nn.Parameter(torch.randn(4, 6) / 2), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(Scaled.apply(x, self.weight)))


add(
    "unusual", "checkpointed",
    lambda: Wrapped(
        lambda m, x: m.head(checkpoint(m.body, m.embed(x), use_reentrant=False)),
        embed=nn.Linear(4, 6), body=mlp(6, 8, 6), head=nn.Linear(6, 3),
    ),
    reals(4),
)  # fmt: skip
add(
    "unusual", "checkpointed, reentrant",
    lambda: Wrapped(
        lambda m, x: m.head(checkpoint(m.body, m.embed(x), use_reentrant=True)),
        embed=nn.Linear(4, 6), body=mlp(6, 8, 6), head=nn.Linear(6, 3),
    ),
    reals(4), expected="refused", message="checkpoint|reentrant|requires_grad=True",
)  # fmt: skip


@zoo("unusual", reals(4))
class FunctionalCallInside(nn.Module):
    """The layers are a template; their weights are made of parameters of the model."""

    def __init__(self) -> None:
        super().__init__()
        self.template = mlp(4, 6, 3).requires_grad_(False)
        self.deltas = nn.ParameterDict(
            {name.replace(".", "_"): torch.zeros_like(p) for name, p in self.template.named_parameters()}
        )

    def forward(self, x: Tensor) -> Tensor:
        moved = {n: p + self.deltas[n.replace(".", "_")] for n, p in self.template.named_parameters()}
        return torch.func.functional_call(self.template, moved, (x,))


@zoo("unusual", reals(4))
class Lists(nn.Module):
    """No layers, only parameters in a list."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.ParameterList(torch.randn(s) / 2 for s in ((4, 6), (6, 6), (6, 3)))
        self.shifts = nn.ParameterList(torch.zeros(s) for s in (6, 6, 3))

    def forward(self, x: Tensor) -> Tensor:
        for w, b in zip(self.weights, self.shifts, strict=True):
            x = torch.tanh(x @ w + b)
        return x


@zoo("unusual", reals(4))
class OneScalar(nn.Module):
    """A single number as parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.rate = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor) -> Tensor:
        return torch.exp(-self.rate * x[:, :3] ** 2)


@zoo("unusual", reals(2, 6, 6))
def scores_as_images_of_one_pixel() -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 4))


@zoo("unusual", reals(2, 6, 6))
def scores_pooled_to_one_pixel() -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 1), nn.AdaptiveAvgPool2d(1))


@zoo("unusual", reals(4))
class SingleBuffers(nn.Module):
    """Statistics of the data in float32, in a model of float64."""

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(4, 6, 3)
        self.register_buffer("shift", torch.tensor([0.1, -0.2, 0.3, 0.0]))
        self.register_buffer("scale", torch.tensor([0.7, 1.3, 0.9, 1.1]))

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        super()._apply(fn, recurse)
        self.shift, self.scale = self.shift.float(), self.scale.float()
        return self

    def forward(self, x: Tensor) -> Tensor:
        return self.net((x - self.shift) * self.scale)


@zoo("unusual", reals(4), expected="either")
class ForceOfAnEnergy(nn.Module):
    """The scores are a gradient in the input, by autograd.grad."""

    def __init__(self) -> None:
        super().__init__()
        self.energy = mlp(4, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            (force,) = torch.autograd.grad(self.energy(x).sum(), x, create_graph=True)
        return -force[:, :3]


@zoo("unusual", reals(4))
class ForceByFunc(nn.Module):
    """The same by torch.func, example by example."""

    def __init__(self) -> None:
        super().__init__()
        self.energy = mlp(4, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        return -torch.vmap(torch.func.grad(lambda e: self.energy(e)[0]))(x)[:, :3]


@zoo("unusual", reals(3))
class ImplicitSolve(nn.Module):
    """Scores solve a system that depends on the example."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix, self.right = nn.Linear(3, 9), nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        a = 3 * torch.eye(3, dtype=x.dtype) + torch.tanh(self.matrix(x)).view(-1, 3, 3)
        return torch.linalg.solve(a, self.right(x))


add(
    "unusual", "one matrix inverted for all",
    lambda: Wrapped(
        lambda m, x: m.b(torch.linalg.solve(3 * torch.eye(6).double() + m.c.weight, torch.tanh(m.a(x)).T).T),
        a=nn.Linear(4, 6), c=nn.Linear(6, 6), b=nn.Linear(6, 3),
    ),
    reals(4),
)  # fmt: skip
add(
    "unusual", "the input three times",
    lambda: Wrapped(
        lambda m, x: m.b(torch.cat([torch.tanh(m.a(x)), x], -1)) * x[:, :1], a=nn.Linear(4, 6),
        b=nn.Linear(10, 3),
    ),
    reals(4),
)  # fmt: skip
add(
    "unusual", "features sorted and the largest kept",
    lambda: Wrapped(
        lambda m, x: m.b(m.a(x).sort(-1).values + 2 * m.a(x).topk(6, -1).values),
        a=nn.Linear(4, 6), b=nn.Linear(6, 3),
    ),
    reals(4),
)  # fmt: skip
add(
    "unusual", "a list that is returned",
    lambda: Wrapped(lambda m, x: (m.net(x), x), net=mlp(4, 6, 3)),  # type: ignore[arg-type, return-value]
    reals(4), expected="refused", message="tuple",
)  # fmt: skip
add(
    "unusual", "a complex score",
    lambda: Wrapped(lambda m, x: torch.fft.fft(m.net(x)), net=mlp(4, 6, 3)),
    reals(4), expected="refused", message="complex",
)  # fmt: skip
add(
    "unusual", "classes instead of scores",
    lambda: Wrapped(lambda m, x: (m.net(x) > 0).long(), net=mlp(4, 6, 3)),
    reals(4), expected="refused", message="int64|integer|floating",
)  # fmt: skip


# --- whole networks ---------------------------------------------------------------------------------

for _name, _make, _size in [
    ("resnet18", lambda: torchvision.models.resnet18(num_classes=3), 32),
    (
        "resnet with bottlenecks",
        lambda: torchvision.models.ResNet(
            torchvision.models.resnet.Bottleneck, [1, 1, 1, 1], num_classes=3, groups=4, width_per_group=4
        ),
        32,
    ),
    (
        "vgg",
        lambda: nn.Sequential(
            torchvision.models.vgg.make_layers([8, "M", 12, 12, "M", 16, "M"], batch_norm=True),
            nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, 16), nn.ReLU(True), nn.Dropout(),
            nn.Linear(16, 3),
        ),
        32,
    ),
    ("mobilenet_v2", lambda: torchvision.models.mobilenet_v2(num_classes=3, width_mult=0.25), 32),
    ("mobilenet_v3", lambda: torchvision.models.mobilenet_v3_small(num_classes=3, width_mult=0.5), 32),
    ("squeezenet", lambda: torchvision.models.squeezenet1_1(num_classes=3), 32),
    ("densenet", lambda: torchvision.models.DenseNet(8, (2, 2, 2), 16, num_classes=3), 32),
    ("shufflenet", lambda: torchvision.models.shufflenet_v2_x0_5(num_classes=3), 32),
    (
        "vit",
        lambda: torchvision.models.VisionTransformer(32, 8, 2, 2, 32, 64, num_classes=3),
        32,
    ),
    (
        "swin",
        lambda: torchvision.models.SwinTransformer(
            [4, 4], 16, [2, 2], [2, 4], [2, 2], stochastic_depth_prob=0.1, num_classes=3
        ),
        32,
    ),
    (
        "convnext",
        lambda: torchvision.models.ConvNeXt(
            [torchvision.models.convnext.CNBlockConfig(8, 16, 1),
             torchvision.models.convnext.CNBlockConfig(16, None, 1)],
            num_classes=3,
        ),
        32,
    ),
    ("mnasnet", lambda: torchvision.models.MNASNet(0.25, num_classes=3), 32),
]:  # fmt: skip
    add("networks", _name, _make, reals(3, _size, _size), sizes=(2, 2) if _name == "resnet18" else (3, 2))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ln_1, self.ln_2, self.attn = nn.LayerNorm(8), nn.LayerNorm(8), CausalSelfAttention(8, 2)
        self.mlp = nn.Sequential(nn.Linear(8, 16), nn.GELU("tanh"), nn.Linear(16, 8), nn.Dropout(0.1))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


@zoo("networks", tokens(11, 6))
class GPT(nn.Module):
    """Its head is its embedding's weight; the scores of the last token's first three successors."""

    transformer: Any  # a ModuleDict, whose parts are used as attributes

    def __init__(self) -> None:
        super().__init__()
        self.transformer = nn.ModuleDict({
            "wte": nn.Embedding(11, 8), "wpe": nn.Embedding(6, 8), "drop": nn.Dropout(0.1),
            "h": nn.ModuleList(Block() for _ in range(2)), "ln_f": nn.LayerNorm(8),
        })  # fmt: skip
        self.lm_head = nn.Linear(8, 11, bias=False)
        self.transformer.wte.weight = self.lm_head.weight

    def forward(self, idx: Tensor) -> Tensor:
        pos = torch.arange(0, idx.shape[1], dtype=torch.long, device=idx.device)
        x = self.transformer.drop(self.transformer.wte(idx) + self.transformer.wpe(pos))
        for block in self.transformer.h:
            x = block(x)
        return self.lm_head(self.transformer.ln_f(x))[:, -1, :3]


@zoo("networks", tokens(11, 6))
class TextClassifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 6)
        self.lstm = nn.LSTM(6, 5, num_layers=2, batch_first=True, bidirectional=True, dropout=0.2)
        self.fc = nn.Linear(10, 3)

    def forward(self, text: Tensor) -> Tensor:
        _, (hidden, _) = self.lstm(self.embedding(text))
        return self.fc(torch.cat((hidden[-2], hidden[-1]), dim=1))


class MixerBlock(nn.Module):
    def __init__(self, patches: int, d: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.tokens = nn.Sequential(nn.Linear(patches, 8), nn.GELU(), nn.Linear(8, patches))
        self.channels = nn.Sequential(nn.Linear(d, 8), nn.GELU(), nn.Linear(8, d))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.channels(self.norm2(x))


add(
    "networks", "MLP-Mixer",
    lambda: Wrapped(
        lambda m, x: m.head(m.norm(m.blocks(m.patch(x).flatten(2).transpose(1, 2))).mean(1)),
        patch=nn.Conv2d(3, 6, 4, 4), blocks=nn.Sequential(MixerBlock(4, 6), MixerBlock(4, 6)),
        norm=nn.LayerNorm(6), head=nn.Linear(6, 3),
    ),
    reals(3, 8, 8),
)  # fmt: skip


@zoo("networks", reals(1, 8, 8))
class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()

        def double(i: int, o: int) -> nn.Module:
            return nn.Sequential(
                nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU(inplace=True),
                nn.Conv2d(o, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU(inplace=True),
            )  # fmt: skip

        self.down, self.bottom, self.up = double(1, 4), double(4, 8), nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.merge, self.out = double(8, 4), nn.Conv2d(4, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        d = self.down(x)
        u = self.up(self.bottom(F.max_pool2d(d, 2)))
        return self.out(self.merge(torch.cat([d, u], 1))).mean((2, 3))


@zoo("networks", reals(3, 8, 8))
class WideBlock(nn.Module):
    """Pre-activation, with a shortcut that shares the first activation."""

    def __init__(self) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.bn1, self.conv1 = nn.BatchNorm2d(4), nn.Conv2d(4, 8, 3, stride=2, padding=1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.shortcut, self.dropout, self.fc = (
            nn.Conv2d(4, 8, 1, 2, bias=False),
            nn.Dropout(0.3),
            nn.Linear(8, 3),
        )

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.bn1(self.conv0(x)), inplace=True)
        y = self.conv2(self.dropout(F.relu(self.bn2(self.conv1(h)), inplace=True)))
        y += self.shortcut(h)
        return self.fc(F.adaptive_avg_pool2d(y, 1).flatten(1))


@zoo("networks", reals(7, 3))
class PointNet(nn.Module):
    """A learned rotation of the points, shared layers as convolutions, a maximum over points."""

    def __init__(self) -> None:
        super().__init__()
        self.tnet = nn.Sequential(nn.Conv1d(3, 6, 1), nn.BatchNorm1d(6), nn.ReLU())
        self.rotation = nn.Linear(6, 9)
        self.features = nn.Sequential(nn.Conv1d(3, 8, 1), nn.BatchNorm1d(8), nn.ReLU(), nn.Conv1d(8, 8, 1))
        self.head = nn.Linear(8, 3)

    def forward(self, points: Tensor) -> Tensor:
        h = points.transpose(2, 1)
        turn = self.rotation(self.tnet(h).max(2).values).view(-1, 3, 3) + torch.eye(3, dtype=points.dtype)
        h = torch.bmm(points, turn).transpose(2, 1)
        return self.head(torch.max(self.features(h), 2)[0])


@zoo("networks", reals(4))
class NeuralODE(nn.Module):
    """Euler's method in six steps, time as one more input."""

    def __init__(self) -> None:
        super().__init__()
        self.field, self.head = mlp(5, 8, 4), nn.Linear(4, 3)

    def forward(self, z: Tensor) -> Tensor:
        for k in range(6):
            t = torch.full((len(z), 1), k / 6, dtype=z.dtype)
            z = z + self.field(torch.cat([z, t], 1)) / 6
        return self.head(z)


@zoo("networks", reals(4))
class Equilibrium(nn.Module):
    """Eight steps of a contraction, the last of which alone is differentiated."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.u, self.head = nn.Linear(6, 6, bias=False), nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        u = self.u(x)
        z = torch.zeros_like(u)
        for _ in range(8):
            z = torch.tanh(self.w(z) / 2 + u)
        return self.head(z)


class HyperNetwork(nn.Module):
    """A network that makes the weights of another: from the example, or the same for all."""

    def __init__(self, by_example: bool) -> None:
        super().__init__()
        self.maker, self.code = mlp(4 if by_example else 2, 6, 15), nn.Parameter(torch.randn(2))
        self.by_example = by_example

    def forward(self, x: Tensor) -> Tensor:
        made = self.maker(x) if self.by_example else self.maker(self.code)
        w, b = made[..., :12].unflatten(-1, (3, 4)), made[..., 12:]
        return torch.tanh((w @ x[..., None])[..., 0] + b)


add("networks", "hypernetwork of a code", lambda: HyperNetwork(False), reals(4))
add("networks", "hypernetwork of the example", lambda: HyperNetwork(True), reals(4))


class SplineLayer(nn.Module):
    """KAN-like: on each edge a sum of bumps and a SiLU."""

    grid: Tensor

    def __init__(self, d: int, m: int) -> None:
        super().__init__()
        self.register_buffer("grid", torch.linspace(-2, 2, 6))
        self.spline, self.base = nn.Parameter(torch.randn(m, d, 6) / 4), nn.Parameter(torch.randn(m, d) / 2)

    def forward(self, x: Tensor) -> Tensor:
        bumps = torch.exp(-((x[..., None] - self.grid) ** 2))
        return torch.einsum("nik,oik->no", bumps, self.spline) + F.silu(x) @ self.base.T


add("networks", "KAN", lambda: nn.Sequential(SplineLayer(4, 5), SplineLayer(5, 3)), reals(4))


@zoo("networks", reals(3))
class FourierFeatures(nn.Module):
    """A radiance field's head: sines of many frequencies, a skip connection in the middle."""

    frequencies: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("frequencies", 2.0 ** torch.arange(3))
        self.first, self.second, self.rgb = nn.Linear(18, 8), nn.Linear(26, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        angles = (x[..., None] * self.frequencies).flatten(1)
        h = torch.cat([angles.sin(), angles.cos()], -1)
        return torch.sigmoid(self.rgb(torch.relu(self.second(torch.cat([torch.relu(self.first(h)), h], -1)))))


@zoo("networks", reals(6, 4))
class Capsules(nn.Module):
    """Routing by agreement, in three rounds."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.randn(6, 3, 5, 4) / 2)

    def forward(self, x: Tensor) -> Tensor:
        votes = torch.einsum("ijoc,nic->nijo", self.weights, x)
        logits = torch.zeros(votes.shape[:3], dtype=x.dtype)
        for _ in range(3):
            s = (logits.softmax(-1)[..., None] * votes).sum(1)
            v = s * (s.norm(dim=-1, keepdim=True) / (1 + s.square().sum(-1, keepdim=True)))
            logits = logits + torch.einsum("nijo,njo->nij", votes, v)
        return v.norm(dim=-1)


@zoo("networks", reals(2, 9))
class TemporalConvolutions(nn.Module):
    """Causal blocks with weight norm and a residual."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            parametrizations.weight_norm(nn.Conv1d(i, 5, 2, padding=d, dilation=d))
            for i, d in ((2, 1), (5, 2))
        )
        self.down, self.head = nn.Conv1d(2, 5, 1), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = x
        for conv in self.convs:
            h = F.relu(conv(h)[..., : x.shape[-1]])
        return self.head(F.relu(h + self.down(x))[..., -1])
