"""Models: what a config's `model` section becomes. Below `build_model`, plain arguments only."""

import math

import torch
from torch import nn

from nnlab.config import CNNModel, CustomModel, MLPModel
from nnlab.errors import InputError
from nnlab.models.activations import ACTIVATION_NAMES, Activation, Maxout, get_activation
from nnlab.models.cnn import CNN
from nnlab.models.custom import build_custom
from nnlab.models.mlp import MLP
from nnlab.models.parameterization import ScaledLinear, layer_multipliers
from nnlab.models.weights import weight_matrices

__all__ = [
    "ACTIVATION_NAMES",
    "CNN",
    "MLP",
    "Activation",
    "Maxout",
    "ScaledLinear",
    "build_model",
    "get_activation",
    "layer_multipliers",
    "weight_matrices",
]


def build_model(
    section: MLPModel | CNNModel | CustomModel,
    *,
    input_shape: tuple[int, ...],
    outputs: int,
    generator: torch.Generator,
    allow_custom_code: bool = False,
) -> nn.Module:
    """The model that a config's `model` section describes, at its random start, float32 on the CPU.

    Args:
        section: the checked section.
        input_shape: shape of one example: (d,) or (channels, height, width).
        outputs: number of scores.
        generator: a CPU generator; the only source of random numbers.
        allow_custom_code: whether the user passed --allow-custom-code.

    Returns:
        A module that maps (N, *input_shape) to (N, outputs).

    Raises:
        InputError: the model does not fit the data, or a custom one cannot be built.
    """
    if isinstance(section, MLPModel):
        return MLP(
            math.prod(input_shape),
            section.hidden,
            outputs,
            section.activation,
            bias=section.bias,
            pieces=section.pieces,
            parameterization=section.parameterization,
            sigma_w=section.sigma_w,
            sigma_b=section.sigma_b,
            generator=generator,
        )
    if isinstance(section, CNNModel):
        return _build_cnn(section, input_shape, outputs, generator)
    return build_custom(
        section.factory,
        section.arguments,
        input_shape=input_shape,
        outputs=outputs,
        generator=generator,
        allow=allow_custom_code,
    )


def _build_cnn(
    section: CNNModel, input_shape: tuple[int, ...], outputs: int, generator: torch.Generator
) -> CNN:
    if len(input_shape) != 3:
        raise InputError(
            "model.name: cnn needs images of shape (channels, height, width), but an example of these data "
            f"has the shape {input_shape}; use model.name: mlp, or data that are images"
        )
    channels, height, width = input_shape
    return CNN(
        (channels, height, width),
        section.channels,
        outputs,
        section.activation,
        bias=section.bias,
        pieces=section.pieces,
        generator=generator,
    )
