"""Models: multilayer perceptrons, convolutional networks, and the modules of your own factories."""

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
    "build_custom",
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
