"""The weight matrices of a model: what regularizers, weight decay and Muon act on."""

from torch import nn


def weight_matrices(model: nn.Module) -> list[nn.Parameter]:
    """Every parameter with two or more dimensions: linear weights, convolution filters, embeddings.

    Biases and the scales of normalization layers are vectors and stay out; a shared parameter counts once.
    """
    return [parameter for parameter in model.parameters() if parameter.ndim >= 2]
