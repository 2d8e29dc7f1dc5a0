"""The weight matrices of a model: what regularizers, weight decay and Muon act on."""

from torch import nn


def weight_matrices(model: nn.Module) -> list[nn.Parameter]:
    """Every parameter with two or more dimensions: linear weights, convolution filters, embeddings.

    Biases and the scales of normalization layers are vectors and stay out, and so do weights that are not
    trained; a shared parameter counts once.
    """
    return [p for p in model.parameters() if p.ndim >= 2 and p.requires_grad]
