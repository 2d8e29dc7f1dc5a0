"""A kernel that is written to a file and interrupted: gone on with, or refused where it is another one."""

import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nnlab.models import MLP
from nnlab.ntk import KernelError, empirical_ntk

LIMIT = 600_000


def model(seed: int = 0) -> MLP:
    return MLP(6, [40, 30], 2, "tanh", generator=torch.Generator().manual_seed(seed)).double()


def points(n: int, seed: int = 1) -> Tensor:
    return torch.randn(n, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


class StopError(Exception):
    pass


def interrupted(path: Path, x: Tensor, share: float, **arguments: Any) -> None:
    """Computes until this share of the pairs is done."""

    def stop(done: int, total: int) -> None:
        if done > share * total:
            raise StopError

    with pytest.raises(StopError):
        empirical_ntk(model(), x, out=path, resume=True, progress=stop, **arguments)


@pytest.mark.parametrize("method", ["layerwise", "products"])
@pytest.mark.parametrize("two", [False, True])
@pytest.mark.parametrize("output", ["full", "trace", "diagonal"])
def test_it_goes_on_where_it_stopped(output: str, two: bool, method: str, tmp_path: Path) -> None:
    x1, x2 = points(150 if method == "layerwise" else 24), points(20, seed=2) if two else None
    settings: dict[str, Any] = {"output": output, "x2": x2, "method": method, "memory_limit": LIMIT}
    path = tmp_path / "kernel.npy"
    interrupted(path, x1, 0.9, **settings)
    assert not path.exists()
    assert (tmp_path / "kernel.npy.partial").exists()
    at: list[int] = []
    found = empirical_ntk(
        model(), x1, out=path, resume=True, **settings, progress=lambda done, _: at.append(done)
    )
    whole = empirical_ntk(model(), x1, out=tmp_path / "whole.npy", **settings)
    assert torch.equal(found, whole)
    assert np.array_equal(np.load(path), whole.numpy())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["kernel.npy", "whole.npy"]
    assert at == sorted(at)


def test_what_is_there_is_not_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nnlab.ntk.empirical import blocks

    counted: list[slice] = []
    monkeypatch.setattr(blocks, "TILE_ROWS", 20)
    fill = blocks._Filling._fill

    def counting(self: Any, i: slice, *rest: Any) -> Any:
        counted.append(i)
        return fill(self, i, *rest)

    monkeypatch.setattr(blocks._Filling, "_fill", counting)
    x = points(200)
    interrupted(tmp_path / "kernel.npy", x, 0.7, output="trace")
    before = len(counted)
    empirical_ntk(model(), x, out=tmp_path / "kernel.npy", resume=True, output="trace")
    after = len(counted) - before
    counted.clear()
    empirical_ntk(model(), x, output="trace")
    assert 0 < after <= 0.6 * len(counted)  # a strip that was begun is computed again


def test_another_kernel_is_refused(tmp_path: Path) -> None:
    x, path = points(150), tmp_path / "kernel.npy"
    interrupted(path, x, 0.9, output="trace", memory_limit=LIMIT)
    changed = x.clone()
    changed[3, 2] += 1e-9
    for arguments in (
        {"model": model(1)}, {"x1": changed}, {"x2": x}, {"output": "diagonal"}, {"outputs": [0]},
        {"dtype": torch.float32},
    ):  # fmt: skip
        settings: dict[str, Any] = {"model": model(), "x1": x, "output": "trace", "memory_limit": LIMIT}
        with pytest.raises(KernelError, match="another model, other examples"):
            empirical_ntk(**settings | arguments, out=path, resume=True)
    (tmp_path / "kernel.npy.partial.json").write_text("{")
    with pytest.raises(KernelError, match="not readable"):
        empirical_ntk(model(), x, out=path, resume=True, output="trace", memory_limit=LIMIT)


def test_without_resume_nothing_is_left(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise StopError

    with pytest.raises(StopError):
        empirical_ntk(model(), points(50), out=tmp_path / "kernel.npy", progress=stop)
    assert list(tmp_path.iterdir()) == []


SCRIPT = """
import sys, time
sys.path.insert(0, {tests!r})
from test_ntk_resume import LIMIT, model, points
from nnlab.ntk import empirical_ntk

def tell(done, total):
    if done > 0.9 * total:
        print("ready", flush=True)
        time.sleep(60)

settings = dict(output="trace", memory_limit=LIMIT, resume=True, progress=tell)
empirical_ntk(model(), points(150), out={path!r}, **settings)
"""


def test_a_killed_process_is_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "kernel.npy"
    script = textwrap.dedent(SCRIPT).format(tests=str(Path(__file__).parent), path=str(path))
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    time.sleep(0.1)
    settings: dict[str, Any] = {"output": "trace", "memory_limit": LIMIT}
    found = empirical_ntk(model(), points(150), out=path, resume=True, **settings)
    whole = empirical_ntk(model(), points(150), out=tmp_path / "whole.npy", **settings)
    assert (found - whole).norm() <= 1e-14 * whole.norm()  # the other process may use other threads
