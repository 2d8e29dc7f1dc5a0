"""The networks of this chapter: real modules in float64, with weights set by formula or by training."""

import hashlib
import io
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from nnlab.errors import InputError, suggest
from nnlab.models import activations

Output = Literal["identity", "sigmoid"]

ACTIVATIONS = tuple(name for name, row in activations.ACTIVATIONS.items() if row.enclose is not None)
"""The activations whose networks can be certified."""
ROUNDOFF = {torch.float64: 2.0**-53, torch.float32: 2.0**-24}
BLOCK = 2**24  # hidden values that a forward pass without gradients holds at once: 128 MiB


class ScalarNetwork(nn.Module):
    """f(x) = ψ(W_L φ(… φ(W₁x + b₁) …) + b_L), x ∈ R^d, one output, float64; float32 after `.float()`.

    Attributes:
        hidden: the hidden linear layers, from the input on.
        output: the last linear layer.
        activation: the name of φ; `step` is 1 where z ≥ 0, else 0.
        output_activation: the name of ψ.
    """

    def __init__(
        self,
        layers: Sequence[tuple[ArrayLike, ArrayLike]],
        activation: str,
        output: Output = "identity",
    ) -> None:
        """Makes the network with the given weights.

        Args:
            layers: two (W, b) or more from the input on: W (out, in), b (out,); the last one has one output.
            activation: a name of ACTIVATIONS.
            output: ψ: nothing, or a sigmoid.

        Raises:
            InputError: an unknown activation, no hidden layer, shapes that do not fit each other.
        """
        super().__init__()
        if activation not in ACTIVATIONS:
            raise InputError(f"activation: {activation} is unknown; {suggest(activation, ACTIVATIONS)}")
        if output not in ("identity", "sigmoid"):
            raise InputError(f"output: {output} is unknown; {suggest(output, ('identity', 'sigmoid'))}")
        arrays = [(np.asarray(w, np.float64), np.asarray(b, np.float64)) for w, b in layers]
        widths = [arrays[0][0].shape[-1], *(b.size for _, b in arrays)]
        if len(arrays) < 2 or min(widths) < 1:
            raise InputError(f"widths {widths}: must be of two layers or more, and at least 1 each")
        for (w, b), (n, m) in zip(arrays, pairwise(widths), strict=True):
            if w.shape != (m, n) or b.shape != (m,):
                raise InputError(f"weights {w.shape} and biases {b.shape} do not fit ({m}, {n}) and ({m},)")
        if widths[-1] != 1:
            raise InputError(f"the last layer has {widths[-1]} outputs, must be 1")
        *hidden, last = (_linear(w, b) for w, b in arrays)
        self.hidden, self.output = nn.ModuleList(hidden), last
        self.activation, self.output_activation = activation, output
        self._phi = activations.ACTIVATIONS[activation].function

    @property
    def layers(self) -> list[nn.Linear]:
        """The hidden layers and the last one."""
        return [*self.hidden, self.output]

    @property
    def inputs(self) -> int:
        """d."""
        return self.layers[0].in_features

    @property
    def hidden_units(self) -> int:
        """Their number in all hidden layers together."""
        return sum(layer.out_features for layer in self.layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """(n, d) points to (n, 1) values; without gradients in blocks, however wide the network is."""
        rows = max(1, BLOCK // max(layer.out_features for layer in self.layers))
        if torch.is_grad_enabled() or len(x) <= rows:
            return self._values(x)
        return torch.cat([self._values(part) for part in torch.split(x, rows)])

    def _values(self, x: Tensor) -> Tensor:
        h = x
        for layer in self.hidden:
            h = self._phi(layer(h))
        y: Tensor = self.output(h)
        return torch.sigmoid(y) if self.output_activation == "sigmoid" else y

    def values(self, x: np.ndarray) -> np.ndarray:
        """(…, d) points to (…,) values, as arrays; a float32 network rounds the points first."""
        with torch.no_grad():
            points = torch.from_numpy(x.reshape(-1, x.shape[-1])).to(self.dtype)
            y: np.ndarray = self(points)[:, 0].numpy()
        return y.reshape(x.shape[:-1]).astype(np.float64, copy=False)

    @property
    def dtype(self) -> torch.dtype:
        """The type of the weights.

        Raises:
            InputError: another one than float64 and float32, or several.
        """
        kinds = {parameter.dtype for parameter in self.parameters()}
        if len(kinds) > 1 or not kinds <= set(ROUNDOFF):
            names = ", ".join(sorted(str(kind).removeprefix("torch.") for kind in kinds))
            raise InputError(f"network: has weights of type {names}; all must be float64, or float32")
        return kinds.pop()

    @property
    def roundoff(self) -> float:
        """u, the largest relative error of one rounding: 2⁻⁵³ in float64, 2⁻²⁴ in float32."""
        return ROUNDOFF[self.dtype]

    def weights(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """(W, b) of every layer in float64; as arrays that share the parameters' memory where they are that.

        Raises:
            InputError: as `dtype`.
        """
        _ = self.dtype  # refuses others
        pairs = [(layer.weight.detach(), layer.bias.detach()) for layer in self.layers]
        return [(w.to(torch.float64).numpy(), b.to(torch.float64).numpy()) for w, b in pairs]

    def extra_repr(self) -> str:
        return f"activation={self.activation}, output_activation={self.output_activation}"


def _linear(weight: np.ndarray, bias: np.ndarray) -> nn.Linear:
    outputs, inputs = weight.shape
    layer = nn.Linear(inputs, outputs, dtype=torch.float64, device="meta")  # not filled at random
    layer.weight, layer.bias = (nn.Parameter(torch.tensor(array)) for array in (weight, bias))
    return layer


def network_bytes(network: ScalarNetwork) -> bytes:
    """The content of a file that `load_network` reads."""
    buffer = io.BytesIO()
    torch.save(
        {
            "inputs": network.inputs,
            "hidden": [layer.out_features for layer in network.layers[:-1]],
            "activation": network.activation,
            "output": network.output_activation,
            "model": network.state_dict(),
            "sha256": _digest(network),
        },
        buffer,
    )
    return buffer.getvalue()


def _digest(network: ScalarNetwork) -> str:
    """A checksum of all weights: torch does not notice a flipped bit in them."""
    content = hashlib.sha256()
    for w, b in network.weights():
        content.update(np.ascontiguousarray(w).tobytes() + b.tobytes())
    return content.hexdigest()


def load_network(path: str | Path) -> ScalarNetwork:
    """A network that a run saved, as a module. Loads weights only; nothing in the file can run.

    Raises:
        InputError: the file is missing, damaged or holds something else.
    """
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        names = [*(f"hidden.{i}" for i in range(len(content["hidden"]))), "output"]
        parts = [[content["model"][f"{name}.{part}"] for part in ("weight", "bias")] for name in names]
        network = ScalarNetwork(
            [(weight.numpy(), bias.numpy()) for weight, bias in parts],
            content["activation"],
            content["output"],
        )
        widths = [network.inputs, *(layer.out_features for layer in network.layers[:-1])]
        if widths != [content["inputs"], *content["hidden"]] or _digest(network) != content["sha256"]:
            raise ValueError("the weights are not those that were saved")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        reason = "".join(character for character in reason if character.isprintable())
        raise InputError(f"{path}: is damaged or no network of nnlab approx ({reason[:200]})") from None
    return network
