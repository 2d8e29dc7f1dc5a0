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
from nnlab.models import get_activation

Output = Literal["identity", "sigmoid"]

ACTIVATIONS = ("sigmoid", "tanh", "ripple", "relu", "step")
BLOCK = 2**24  # hidden values that a forward pass without gradients holds at once: 128 MiB


class Network(nn.Module):
    """f(x) = ψ(W_L φ(… φ(W₁x + b₁) …) + b_L), x ∈ R^d, one output, float64.

    Attributes:
        hidden: the hidden linear layers, from the input on.
        output: the last linear layer.
        activation: the name of φ; `step` is 1 where z ≥ 0, else 0.
        output_activation: the name of ψ.
    """

    def __init__(
        self, inputs: int, hidden: Sequence[int], activation: str, output: Output = "identity"
    ) -> None:
        """A network of zeros, to be filled.

        Args:
            inputs: d.
            hidden: widths of the hidden layers, at least one.
            activation: a name of ACTIVATIONS.
            output: ψ: nothing, or a sigmoid.

        Raises:
            InputError: an unknown activation, a width below 1.
        """
        super().__init__()
        if activation not in ACTIVATIONS:
            raise InputError(f"activation: {activation} is unknown; {suggest(activation, ACTIVATIONS)}")
        if output not in ("identity", "sigmoid"):
            raise InputError(f"output: {output} is unknown; {suggest(output, ('identity', 'sigmoid'))}")
        if min(inputs, *hidden, len(hidden)) < 1:
            raise InputError(f"inputs {inputs}, hidden {list(hidden)}: every width must be at least 1")
        self.hidden = nn.ModuleList(_zeros(n, m) for n, m in pairwise([inputs, *hidden]))
        self.output = _zeros(hidden[-1], 1)
        self.activation, self.output_activation = activation, output
        self._phi = step if activation == "step" else get_activation(activation).function

    @classmethod
    def build(
        cls,
        layers: Sequence[tuple[ArrayLike, ArrayLike]],
        activation: str,
        output: Output = "identity",
    ) -> "Network":
        """The network with the given weights.

        Args:
            layers: (W, b) from the input on: W (out, in), b (out,); the last one has one output.
            activation: a name of ACTIVATIONS.
            output: ψ.

        Raises:
            InputError: shapes that do not fit each other.
        """
        arrays = [(np.asarray(w, np.float64), np.asarray(b, np.float64)) for w, b in layers]
        widths = [arrays[0][0].shape[-1], *(b.size for _, b in arrays)]
        for (w, b), (n, m) in zip(arrays, pairwise(widths), strict=True):
            if w.shape != (m, n) or b.shape != (m,):
                raise InputError(f"weights {w.shape} and biases {b.shape} do not fit ({m}, {n}) and ({m},)")
        if widths[-1] != 1:
            raise InputError(f"the last layer has {widths[-1]} outputs, must be 1")
        network = cls(widths[0], widths[1:-1], activation, output)
        with torch.no_grad():
            for layer, (w, b) in zip(network.layers, arrays, strict=True):
                layer.weight.copy_(torch.from_numpy(w))
                layer.bias.copy_(torch.from_numpy(b))
        return network

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

    def weights(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """(W, b) of every layer as arrays that share the parameters' memory."""
        return [(layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in self.layers]

    def extra_repr(self) -> str:
        return f"activation={self.activation}, output_activation={self.output_activation}"


def step(z: Tensor) -> Tensor:
    """The hard step: 1 where z ≥ 0, else 0; its derivative is 0."""
    return (z >= 0).to(z.dtype)


def _zeros(fan_in: int, fan_out: int) -> nn.Linear:
    layer = nn.Linear(fan_in, fan_out, dtype=torch.float64, device="meta")
    layer.weight = nn.Parameter(torch.zeros(fan_out, fan_in, dtype=torch.float64))
    layer.bias = nn.Parameter(torch.zeros(fan_out, dtype=torch.float64))
    return layer


def network_bytes(network: Network) -> bytes:
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


def _digest(network: Network) -> str:
    """Of all weights: torch does not notice a flipped bit in them."""
    content = hashlib.sha256()
    for w, b in network.weights():
        content.update(np.ascontiguousarray(w).tobytes() + b.tobytes())
    return content.hexdigest()


def load_network(path: str | Path) -> Network:
    """A network that a run saved, as a module. Loads weights only; nothing in the file can run.

    Raises:
        InputError: the file is missing, damaged or holds something else.
    """
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        network = Network(content["inputs"], content["hidden"], content["activation"], content["output"])
        network.load_state_dict(content["model"])
        if _digest(network) != content["sha256"]:
            raise ValueError("the weights are not those that were saved")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        reason = "".join(character for character in reason if character.isprintable())
        raise InputError(f"{path}: is damaged or no network of nnlab approx ({reason[:200]})") from None
    return network
