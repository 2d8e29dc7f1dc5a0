"""The tangent kernel of finite networks, held against derivatives taken one score at a time."""

import logging
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nnlab.models import CNN, MLP
from nnlab.ntk import KernelError, MemoryLimitError, ModelError, NonFiniteError, as_matrix, empirical_ntk
from nnlab.ntk.empirical.factors import Output
from nnlab.ntk.empirical.functional import FunctionalModule
from nnlab.ntk.empirical.kernel import Method
from nnlab.ntk.empirical.layers import Layer, probe

METHODS: list[Method] = ["layerwise", "jacobian", "products"]
OUTPUTS: list[Output] = ["full", "trace", "diagonal"]


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def randomized(model: nn.Module, seed: int = 1) -> nn.Module:
    """The model in float64 and evaluation mode, every parameter and buffer of batch norm random."""
    generator = torch.Generator().manual_seed(seed)
    model = model.double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) / 2)
        for name, buffer in model.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                buffer.copy_(torch.rand(buffer.shape, generator=generator, dtype=torch.float64) + 0.5)
    return model


def by_autograd(model: nn.Module, x1: Tensor, x2: Tensor) -> Tensor:
    """(n₁, n₂, C, C), from one backward pass for each score of each example."""
    parameters = [p for p in model.parameters() if p.requires_grad]

    def jacobian(x: Tensor) -> Tensor:  # (n, C, p)
        rows = []
        for example in x:
            for score in model(example[None])[0]:
                g = torch.autograd.grad(score, parameters, retain_graph=True, materialize_grads=True)
                rows.append(torch.cat([part.flatten() for part in g]))
        return torch.stack(rows).view(len(x), -1, len(rows[0]))

    return torch.einsum("icp,jkp->ijck", jacobian(x1), jacobian(x2))


def reduced(full: Tensor, output: str) -> Tensor:
    if output == "full":
        return full
    diagonal = full.diagonal(dim1=2, dim2=3)
    return diagonal if output == "diagonal" else diagonal.sum(-1)


class Unusual(nn.Module):
    """Layers used twice, at several positions, with a weight in common, and a parameter in no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.twin = nn.Linear(4, 6), nn.Linear(4, 6)
        self.twin.weight = self.first.weight
        self.again, self.last = nn.Linear(6, 6), nn.Linear(6, 2)
        self.gain = nn.Parameter(torch.ones(6))

    def forward(self, x: Tensor) -> Tensor:  # (n, 5, 4)
        h = torch.tanh(self.first(x)) * self.gain + self.twin(x)
        h = self.again(torch.relu(self.again(h))) + h
        return self.last(h.mean(1))


class Autoencoder(nn.Module):
    """A decoder that uses the encoder's weight, transposed and past the encoder's module."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.encoder(x)) @ self.encoder.weight


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def convolutions() -> nn.Module:
    """Groups, strides, dilation, no bias, and four normalizations with scales of their own."""
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, groups=2), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Conv2d(4, 6, 3, stride=2, padding=1, dilation=2, bias=False), nn.GroupNorm(2, 6), nn.ReLU(),
        nn.Conv2d(6, 8, 2, padding_mode="circular", padding=1), nn.Flatten(), nn.LayerNorm(128),
        nn.Linear(128, 3),
    )  # fmt: skip


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "softmax regression": (lambda: MLP(4, [], 3, generator=generator()), (4,)),
    "one hidden layer": (lambda: MLP(4, [7], 3, "tanh", generator=generator()), (4,)),
    "two, ntk": (lambda: MLP(4, [7, 5], 3, "relu", parameterization="ntk", generator=generator()), (4,)),
    "maxout": (lambda: MLP(4, [6, 5], 3, "maxout", pieces=3, generator=generator()), (4,)),
    "without bias": (lambda: MLP(4, [6], 1, "elu", bias=False, generator=generator()), (4,)),
    "in-place": (
        lambda: nn.Sequential(
            nn.Linear(4, 6), nn.ReLU(True), nn.Linear(6, 5), nn.ELU(inplace=True), nn.Linear(5, 2)
        ),
        (4,),
    ),
    "softmax at the end": (
        lambda: nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3), nn.Softmax(1)),
        (4,),
    ),
    "gated": (lambda: nn.Sequential(nn.Linear(4, 6), nn.GLU(), nn.Linear(3, 2)), (4,)),
    "cnn": (lambda: CNN((2, 8, 8), [3, 4], 3, "relu", generator=generator()), (2, 8, 8)),
    "convolutions": (convolutions, (2, 8, 8)),
    "1-D convolution": (
        lambda: nn.Sequential(
            nn.Conv1d(2, 3, 3, padding=1, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2)
        ),
        (2, 8),
    ),
    "unusual": (Unusual, (5, 4)),
    "autoencoder": (Autoencoder, (4,)),
    "parametrized": (
        lambda: nn.Sequential(
            nn.utils.parametrizations.weight_norm(nn.Linear(4, 6)), nn.Tanh(), nn.Linear(6, 2)
        ),
        (4,),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_every_method_agrees_with_looped_autograd(name: str) -> None:
    build, shape = MODELS[name]
    model = randomized(build())
    x1, x2 = random(5, *shape), random(3, *shape, seed=1)
    cross, own = by_autograd(model, x1, x2), by_autograd(model, x1, x1)
    for method in METHODS:
        for output in OUTPUTS:
            found = empirical_ntk(model, x1, x2, output=output, method=method)
            symmetric = empirical_ntk(model, x1, output=output, method=method)
            for kernel, truth in ((found, reduced(cross, output)), (symmetric, reduced(own, output))):
                assert kernel.shape == truth.shape
                assert (kernel - truth).norm() <= 1e-12 * truth.norm(), (method, output)


@pytest.mark.parametrize("name", ["two, ntk", "cnn", "unusual"])
@pytest.mark.parametrize("method", METHODS)
def test_small_blocks_give_the_same_kernel(name: str, method: Method) -> None:
    build, shape = MODELS[name]
    model = randomized(build())
    x1, x2 = random(9, *shape), random(4, *shape, seed=1)
    least = _least_limit(model, x1, method)
    for output in OUTPUTS:
        for other in (None, x2):
            whole = empirical_ntk(model, x1, other, output=output, method="jacobian")
            blocks = empirical_ntk(model, x1, other, output=output, method=method, memory_limit=least)
            assert (whole - blocks).norm() <= 1e-12 * whole.norm()


def _least_limit(model: nn.Module, x: Tensor, method: Method) -> int:
    """The smallest limit, to a factor of 1.2, with which the full kernel can be computed."""
    limit = 1000
    while True:
        try:
            empirical_ntk(model, x, method=method, memory_limit=limit)
            return limit
        except MemoryLimitError:
            limit = limit * 6 // 5


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["two, ntk", "convolutions", "unusual"])
def test_contributions_of_the_layers_add_up(name: str, method: Method) -> None:
    build, shape = MODELS[name]
    model, x = randomized(build()), random(4, *shape)
    layers = empirical_ntk(model, x, method=method, per_layer=True)
    assert set(layers) == {n.rpartition(".")[0] for n, _ in model.named_parameters()}
    whole = by_autograd(model, x, x)
    assert (sum(layers.values()) - whole).norm() <= 1e-12 * whole.norm()
    for layer, kernel in layers.items():  # each is the kernel over its own parameters alone
        for key, parameter in model.named_parameters():
            parameter.requires_grad_(key.rpartition(".")[0] == layer)
        alone = by_autograd(model, x, x)
        assert (kernel - alone).norm() <= 1e-12 * whole.norm()


def test_only_parameters_that_require_gradients_count() -> None:
    model, x = randomized(MODELS["two, ntk"][0]()), random(4, 4)
    model.get_parameter("hidden.0.weight").requires_grad_(False)
    model.get_parameter("output.bias").requires_grad_(False)
    truth = by_autograd(model, x, x)
    for method in METHODS:
        assert (empirical_ntk(model, x, method=method) - truth).norm() <= 1e-12 * truth.norm()


def test_other_parameters_than_the_models_own() -> None:
    model, other = (randomized(MODELS["two, ntk"][0](), seed) for seed in (1, 2))
    x = random(4, 4)
    params = dict(other.named_parameters())
    assert torch.equal(empirical_ntk(model, x, params=params), empirical_ntk(other, x))
    assert not torch.equal(empirical_ntk(model, x), empirical_ntk(other, x))


@pytest.mark.parametrize("method", METHODS)
def test_chosen_outputs_are_a_part_of_the_full_kernel(method: Method) -> None:
    for name in ("two, ntk", "cnn", "softmax at the end"):
        build, shape = MODELS[name]
        model, x = randomized(build()), random(4, *shape)
        whole = by_autograd(model, x, x)[:, :, [2, 0]][:, :, :, [2, 0]]
        for output in OUTPUTS:
            found = empirical_ntk(model, x, output=output, method=method, outputs=[2, 0])
            assert (found - reduced(whole, output)).norm() <= 1e-12 * whole.norm()


def test_as_matrix_puts_the_example_index_outermost() -> None:
    model, x1, x2 = randomized(MODELS["two, ntk"][0]()), random(4, 4), random(3, 4, seed=1)
    kernel = empirical_ntk(model, x1, x2)
    matrix = as_matrix(kernel)
    assert matrix.shape == (12, 9)
    assert matrix[2 * 3 + 1, 1 * 3 + 2] == kernel[2, 1, 1, 2]
    assert matrix.data_ptr() == kernel.data_ptr()  # no copy
    with pytest.raises(KernelError, match=r"\(4, 3, 3\)"):
        as_matrix(empirical_ntk(model, x1, x2, output="diagonal"))


def test_symmetric_kernels_are_symmetric_to_the_last_bit() -> None:
    model = MLP(5, [33, 17], 3, generator=generator())
    x = torch.randn(300, 5, generator=generator())
    for output in OUTPUTS:
        kernel = empirical_ntk(model, x, output=output)
        mirrored = kernel.transpose(0, 1)
        assert torch.equal(kernel, mirrored.transpose(2, 3) if output == "full" else mirrored)


def test_float32_and_the_dtype_argument() -> None:
    model, x = MLP(4, [50], 2, generator=generator()), random(6, 4).float()
    single, double = empirical_ntk(model, x), empirical_ntk(model, x, dtype=torch.float64)
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
    assert 0 < (single - double).norm() <= 1e-5 * double.norm()
    assert next(model.parameters()).dtype == torch.float32


# --- what it costs ----------------------------------------------------------------------------------


def test_the_layer_before_the_output_is_recognized_by_the_graph() -> None:
    """Only functions of one number each may stand between them; a gate or a norm mixes numbers."""
    chain = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Hardtanh(), nn.Linear(6, 3))
    mixing = nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6, elementwise_affine=False), nn.Linear(6, 3))
    assert [layer.feeds_output for layer in _layers(chain)] == [True, False]
    assert [layer.feeds_output for layer in _layers(mixing)] == [False, False]
    assert [layer.is_output for layer in _layers(chain)] == [False, True]


def _layers(model: nn.Module) -> list[Layer]:
    model = model.double()
    network = FunctionalModule(
        model, dict(model.named_parameters()), [n for n, _ in model.named_parameters()], None
    )
    return probe(network, random(2, 4)).layers


def test_auto_says_what_it_chose_and_why(caplog: pytest.LogCaptureFixture) -> None:
    model, x = MLP(4, [64, 64], 2, generator=generator()), random(8, 4).float()
    with caplog.at_level(logging.INFO, logger="nnlab.ntk"):
        empirical_ntk(model, x, output="trace")
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith("layerwise, within ")
    assert "floating-point operations" in message


PEAK = """
import torch
from nnlab.bench.timing import megabytes
from nnlab.models import (CNN, MLP)
from nnlab.ntk import empirical_ntk

def measure(model, x, limit, **arguments):
    empirical_ntk(model, x[:4], **arguments | {{"out": None}})  # what is loaded once
    print(1e6 * megabytes(lambda: empirical_ntk(model, x, memory_limit=limit, **arguments)) / limit)

torch.set_num_threads(1)
g = torch.Generator().manual_seed(0)
{body}
"""

CASES = {
    "an MLP, in blocks": """
x = torch.randn(3000, 200, generator=g)
measure(MLP(200, [512, 512], 4, generator=g), x, 64 * 2**20, output="trace")
""",
    "a CNN, full kernel": """
x = torch.randn(64, 3, 32, 32, generator=g)
measure(CNN((3, 32, 32), [16, 32], 10, generator=g), x, 100 * 2**20)
""",
    "by Jacobians": """
x = torch.randn(200, 20, generator=g)
measure(MLP(20, [200, 200], 4, generator=g), x, 64 * 2**20, method="jacobian")
""",
    "into a file larger than the limit": """
x = torch.randn(6000, 20, generator=g)
measure(MLP(20, [100], 1, generator=g), x, 32 * 2**20, output="trace", out="{folder}/kernel.npy")
""",
}


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc to see memory")
@pytest.mark.parametrize("case", CASES)
def test_memory_stays_under_the_limit(case: str, tmp_path: Path) -> None:
    """A quarter is for the libraries' own buffers, which differ with the processor (11% were seen), and for
    what the allocator keeps of small tensors."""
    body = CASES[case].replace("{folder}", str(tmp_path))
    script = textwrap.dedent(PEAK).format(body=body)
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert float(run.stdout) <= 1.25


# --- files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("output", OUTPUTS)
def test_out_writes_an_npy_file(output: Output, tmp_path: Path) -> None:
    model, x = randomized(MODELS["two, ntk"][0]()), random(6, 4)
    kernel = empirical_ntk(model, x, output=output, out=tmp_path / "kernel.npy")
    stored = np.load(tmp_path / "kernel.npy")
    truth = empirical_ntk(model, x, output=output)
    assert np.array_equal(stored, truth.numpy())
    assert torch.equal(kernel, truth)
    assert [path.name for path in tmp_path.iterdir()] == ["kernel.npy"]


def test_out_overwrites_nothing_and_leaves_no_half_file(tmp_path: Path) -> None:
    model, x = randomized(MODELS["two, ntk"][0]()), random(6, 4)
    (tmp_path / "kernel.npy").write_text("mine")
    with pytest.raises(KernelError, match="exists already"):
        empirical_ntk(model, x, out=tmp_path / "kernel.npy")
    assert (tmp_path / "kernel.npy").read_text() == "mine"
    with pytest.raises(KernelError, match="no folder"):
        empirical_ntk(model, x, out=tmp_path / "nowhere" / "kernel.npy")
    with pytest.raises(KernelError, match="per_layer"):
        empirical_ntk(model, x, out=tmp_path / "other.npy", per_layer=True)  # type: ignore[call-overload]
    with pytest.raises(RuntimeError, match="stop"):
        empirical_ntk(model, x, out=tmp_path / "other.npy", progress=_stop)
    assert [path.name for path in tmp_path.iterdir()] == ["kernel.npy"]


def _stop(done: int, total: int) -> None:
    raise RuntimeError("stop")


def test_progress_ends_at_the_number_of_pairs() -> None:
    model = MLP(4, [7], 1, generator=generator())
    x1, x2 = random(300, 4).float(), random(40, 4).float()
    methods: tuple[Method, ...] = ("layerwise", "products")
    for other, total in ((None, 300 * 301 // 2), (x2, 300 * 40)):
        for method in methods:
            seen: list[tuple[int, int]] = []

            def note(done: int, of: int, seen: list[tuple[int, int]] = seen) -> None:
                seen.append((done, of))

            some = x1[:30] if method == "products" else x1
            empirical_ntk(model, some, other, method=method, progress=note)
            if method == "layerwise":
                assert seen[-1] == (total, total)
            assert seen[-1][0] == seen[-1][1]
            assert [done for done, _ in seen] == sorted(done for done, _ in seen)


# --- wrong input ------------------------------------------------------------------------------------


def test_one_example_is_enough() -> None:
    model = randomized(MODELS["two, ntk"][0]())
    x = random(1, 4)
    assert (empirical_ntk(model, x) - by_autograd(model, x, x)).norm() <= 1e-12


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 2)], r"1 \(BatchNorm1d\) is in training mode"),
        ([nn.Linear(4, 5), nn.Dropout(0.5), nn.Linear(5, 2)], r"1 \(Dropout\).*model\.eval\(\)"),
    ],
)
def test_training_mode_is_refused(layers: list[nn.Module], message: str) -> None:
    model, x = nn.Sequential(*layers), random(4, 4).float()
    with pytest.raises(ModelError, match=message):
        empirical_ntk(model, x)
    assert empirical_ntk(model.eval(), x).shape == (4, 4, 2, 2)


def test_models_that_mix_examples_are_refused() -> None:
    class Centred(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.linear(x - x.mean(0))

    with pytest.raises(ModelError, match="mixes examples"):
        empirical_ntk(Centred(), random(4, 4).float())
    with pytest.raises(ModelError, match="by the batch"):
        empirical_ntk(nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2, track_running_stats=False)).eval(),
                      random(4, 4).float())  # fmt: skip


def test_wrong_arguments_are_named() -> None:
    model, x = MLP(4, [5], 2, generator=generator()), random(4, 4).float()
    for arguments, message in (
        ({"output": "trase"}, "did you mean trace"),
        ({"method": "layers"}, "method: 'layers' is unknown"),
        ({"outputs": [2]}, "outputs: 2: the model has the outputs 0 to 1"),
        ({"outputs": [-1]}, "outputs: -1"),
        ({"outputs": [1, 1]}, "each once"),
        ({"outputs": []}, "at least one"),
        ({"params": {"hiden.0.weight": x}}, "did you mean hidden.0.weight"),
        ({"params": {"output.bias": x}}, r"output.bias: shape \(4, 4\)"),
        ({"dtype": torch.float16}, "float16"),
        ({"memory_limit": 0}, "memory_limit: 0"),
        ({"x2": random(3, 5).float()}, r"\(5,\)"),
    ):
        with pytest.raises(KernelError, match=message):
            empirical_ntk(model, x, **arguments)
    with pytest.raises(KernelError, match="at least one example"):
        empirical_ntk(model, x[:0])
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    with pytest.raises(ModelError, match="nothing to differentiate"):
        empirical_ntk(model, x)


def test_a_limit_that_is_too_small_says_what_is_needed() -> None:
    model, x = MLP(40, [500], 2, generator=generator()), random(40, 40).float()
    with pytest.raises(MemoryLimitError, match=r"the kernel itself takes 25 KiB.*out="):
        empirical_ntk(model, x, memory_limit=20_000)
    for method in METHODS:
        with pytest.raises(MemoryLimitError, match=r"raise the limit"):
            empirical_ntk(model, x, memory_limit=26_000, method=method)
    with pytest.raises(MemoryLimitError, match=r"layerwise: .*jacobian: .*products: "):
        empirical_ntk(model, x, memory_limit=26_000)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_not_finite_is_refused(method: Method) -> None:
    model, x = MLP(4, [5], 2, generator=generator()), random(4, 4).float()
    broken = x.clone()
    broken[2, 1] = torch.nan
    with pytest.raises(NonFiniteError, match="x1: example 2"):
        empirical_ntk(model, broken, method=method)
    with torch.no_grad():
        model.output.weight[0, 0] = torch.inf
    with pytest.raises(NonFiniteError, match="the kernel is not finite"):
        empirical_ntk(model, x, method=method)
