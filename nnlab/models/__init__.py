"""Models: multilayer perceptrons, convolutional networks, and the modules of your own factories."""

from nnlab.models.activations import ACTIVATION_NAMES, Activation, Maxout, get_activation
from nnlab.models.cnn import CNN, ActivationLayer
from nnlab.models.custom import build_custom
from nnlab.models.mlp import MLP
from nnlab.models.parameterization import ScaledLinear, layer_multipliers, weight_matrices
from nnlab.models.speed_cnn import SpeedCNN
from nnlab.models.summary import LayerRow, activation_maps, layer_table

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
    "get_activation",
    "layer_multipliers",
    "layer_table",
    "weight_matrices",
]
