"""Models: what a config's `model` section becomes. Below `build_model`, plain arguments only."""

import math

import torch
from torch import Tensor, nn

from nnlab.config import CNNModel, CustomModel, MLPModel, SpeedCNNModel
from nnlab.errors import InputError
from nnlab.models.activations import ACTIVATION_NAMES, Activation, Maxout, get_activation
from nnlab.models.cnn import CNN, ActivationLayer
from nnlab.models.convolution import (
    conv_output_size,
    convolution_matrix,
    convolve,
    pool_output_size,
    receptive_field,
    same_padding,
)
from nnlab.models.custom import build_custom
from nnlab.models.mlp import MLP
from nnlab.models.parameterization import ScaledLinear, layer_multipliers
from nnlab.models.speed_cnn import SpeedCNN
from nnlab.models.summary import LayerRow, activation_maps, layer_table
from nnlab.models.weights import weight_matrices

__all__ = [
    "ACTIVATION_NAMES",
    "CNN",
    "MLP",
    "Activation",
    "ActivationLayer",
    "LayerRow",
    "Maxout",
    "ScaledLinear",
    "SpeedCNN",
    "activation_maps",
    "build_model",
    "conv_output_size",
    "convolution_matrix",
    "convolve",
    "get_activation",
    "layer_multipliers",
    "layer_table",
    "pool_output_size",
    "receptive_field",
    "same_padding",
    "weight_matrices",
]


def build_model(
    section: MLPModel | CNNModel | SpeedCNNModel | CustomModel,
    *,
    input_shape: tuple[int, ...],
    outputs: int,
    generator: torch.Generator,
    examples: Tensor | None = None,
    allow_custom_code: bool = False,
) -> nn.Module:
    """The model that a config's `model` section describes, at its random start, float32 on the CPU.

    Args:
        section: the checked section.
        input_shape: shape of one example: (d,) or (channels, height, width).
        outputs: number of scores.
        generator: a CPU generator; the only source of random numbers.
        examples: (n, *input_shape) standardized training examples, for a start that depends on the data;
            only speed_cnn needs them.
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
        return _build_cnn(section, _image_shape("cnn", input_shape), outputs, generator)
    if isinstance(section, SpeedCNNModel):
        shape = _image_shape("speed_cnn", input_shape)
        if examples is None:
            raise InputError("model.name: speed_cnn starts from training images, and was given none")
        return SpeedCNN(shape, section.channels, outputs, examples=examples, generator=generator)
    return build_custom(
        section.factory,
        section.arguments,
        input_shape=input_shape,
        outputs=outputs,
        generator=generator,
        allow=allow_custom_code,
    )


def _image_shape(name: str, input_shape: tuple[int, ...]) -> tuple[int, int, int]:
    if len(input_shape) != 3:
        raise InputError(
            f"model.name: {name} needs images of shape (channels, height, width), but an example of these "
            f"data has the shape {input_shape}; use model.name: mlp, or data that are images"
        )
    channels, height, width = input_shape
    return channels, height, width


def _build_cnn(
    section: CNNModel, input_shape: tuple[int, int, int], outputs: int, generator: torch.Generator
) -> CNN:
    return CNN(
        input_shape,
        section.channels,
        outputs,
        section.activation,
        kernel=section.kernel,
        padding=section.padding,
        bias=section.bias,
        pieces=section.pieces,
        batch_norm=section.batch_norm,
        dropout=section.dropout,
        generator=generator,
    )
