"""`nnlab bench ntk_networks`: kernels of networks of today beside a loop, infinite ones beside NumPy."""

import inspect
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from nnlab.bench import plain_infinite, plain_loop
from nnlab.bench.memory import megabytes
from nnlab.bench.pairs import interleaved, seconds_of, spread
from nnlab.lab.session import Reporter
from nnlab.ntk import empirical_ntk, infinite_ntk

LIMIT = 2 * 2**30
Row = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A network, its examples, and the kernel that is computed.

    Attributes:
        looped: whether the loop fits into memory.
    """

    model: nn.Module
    x: Tensor
    output: str
    looped: bool = True


class Recurrent(nn.Module):
    """Two GRU layers, and ten scores of their last state."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.GRU(8, 64, 2, batch_first=True)
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(self.layers(x)[0][:, -1])
        return scores


def bench_ntk_networks(pairs: int, reporter: Reporter) -> tuple[str, list[Row]]:
    """Each in float32, with the check against autograd and without.

    Args:
        pairs: interleaved timings of each.

    Returns:
        The sources of the other programs, and a row per network.
    """
    rows = [_row(name, case, pairs, reporter) for name, case in _cases().items()]
    rows.append(_infinite(reporter))
    return f"{inspect.getsource(plain_loop)}\n{inspect.getsource(plain_infinite)}", rows


def _cases() -> dict[str, Case]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vit = torchvision.models.VisionTransformer(32, 8, 4, 4, 64, 128, num_classes=10).eval()
        return {
            "GRU, 100 sequences of 20": Case(Recurrent(), torch.randn(100, 20, 8), "trace"),
            "vision transformer, 64 images of 3×32×32": Case(vit, torch.randn(64, 3, 32, 32), "full"),
            "resnet18, 8 images of 3×64×64": Case(_resnet(), torch.randn(8, 3, 64, 64), "full"),
            "resnet18, 32 images of 3×64×64": Case(_resnet(), torch.randn(32, 3, 64, 64), "full", False),
        }


def _resnet() -> nn.Module:
    model: nn.Module = torchvision.models.resnet18(num_classes=10)
    return model.eval()


def _row(name: str, case: Case, pairs: int, reporter: Reporter) -> Row:
    def ours(verify: bool = True) -> Tensor:
        return empirical_ntk(  # type: ignore[return-value]
            case.model, case.x, output=case.output, memory_limit=LIMIT, verify=verify,  # type: ignore[arg-type]
        )  # fmt: skip

    loop: Callable[[nn.Module, Tensor], Tensor] = (
        plain_loop.looped_trace if case.output == "trace" else plain_loop.looped_kernel
    )
    peak = megabytes(ours)  # also warms up
    checked = interleaved(
        lambda: seconds_of(ours), lambda: seconds_of(lambda: ours(False)), pairs, reporter, f"{name}, check"
    )
    row = {
        "network": name,
        "nnlab_s": statistics.median(own for own, _ in checked),
        "loop_s": None,
        **dict.fromkeys(("speedup", "speedup_low", "speedup_high")),
        "check": statistics.median(own / bare - 1 for own, bare in checked),
        "nnlab_mb": peak,
    }
    if not case.looped:
        return row
    difference = (ours() - loop(case.model, case.x)).norm() / ours().norm()
    assert difference < 1e-3, f"the two programs disagree by {difference}"
    times = interleaved(
        lambda: seconds_of(ours), lambda: seconds_of(lambda: loop(case.model, case.x)), 3, reporter, name
    )
    row["loop_s"] = statistics.median(other for _, other in times)
    return row | spread("speedup", [other / own for own, other in times])


def _infinite(reporter: Reporter) -> Row:
    """Three convolutions and global average pooling: NumPy takes some pairs, and all in proportion."""
    images = torch.randn(20, 3, 32, 32, generator=torch.Generator().manual_seed(0)).double()
    layers: list[nn.Module] = []
    for channels in (3, 4, 4):  # their numbers do not matter at infinite width
        layers += [nn.Conv2d(channels, 4, 3, padding=1), nn.ReLU()]
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1))
    with reporter.bar("infinite width") as advance:
        ours = seconds_of(
            lambda: infinite_ntk(
                model, images, memory_limit=LIMIT, progress=lambda done, total: advance(done, total, "")
            )
        )
    few = 3
    some = images[:few].numpy()
    theirs = seconds_of(lambda: plain_infinite.plain_infinite_cnn(some, some, 3, 2**0.5, 0.1, pooling=True))
    pairs = len(images) * (len(images) + 1) / 2
    ratio = theirs / few**2 * pairs / ours
    return {
        "network": "infinite CNN, 3 convolutions, average pooling, 20 images of 3×32×32 (NumPy)",
        "nnlab_s": ours,
        "loop_s": theirs / few**2 * pairs,
        **spread("speedup", [ratio]),
        "check": None,
        "nnlab_mb": None,
    }
