"""Why layers and functions have no infinite-width limit, or none that is known here, and what to do."""

_REASONS: dict[tuple[str, ...], str] = {
    (
        "MaxPool1d", "MaxPool2d", "AdaptiveMaxPool1d", "AdaptiveMaxPool2d", "max_pool1d", "max_pool2d",
        "boolean_dispatch", "adaptive_max_pool1d", "adaptive_max_pool2d", "fn", "amax", "max",
    ): "the maximum over positions of a Gaussian field has no closed expectation; use average pooling, or "
    "strides",
    ("BatchNorm1d", "BatchNorm2d", "LazyBatchNorm1d", "LazyBatchNorm2d", "batch_norm"):
    "it normalizes by all examples, or by those of its training, so that no kernel of two examples is its "
    "limit; use LayerNorm over all features",
    ("InstanceNorm1d", "InstanceNorm2d", "instance_norm"):
    "it normalizes each channel by its own random mean and deviation; use LayerNorm over all features",
    ("GroupNorm", "group_norm"):
    "the limit depends on how the groups grow; use LayerNorm over all features",
    (
        "MultiheadAttention", "matmul", "bmm", "einsum", "Bilinear", "scaled_dot_product_attention",
        "TransformerEncoderLayer", "GLU", "glu", "pow", "square",
    ): "products of fields, and with them gates and attention, have no Gaussian limit of this kind; use sums "
    "and multiples by numbers",
    ("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"):
    "a recurrent layer uses its weights again at every step; use layers with weights of their own",
    ("Softmax", "LogSoftmax", "softmax", "log_softmax"):
    "a softmax couples all channels and belongs to the loss; leave it out",
    ("Embedding", "EmbeddingBag", "embedding"):
    "it looks vectors up by an index; give their one-hot code to a linear layer",
    ("Maxout",):
    "the maximum of several Gaussian fields has no closed expectation here; use another activation",
    ("cat", "concat", "stack"):
    "a concatenation has channels that are not alike; use a sum",
    ("PReLU",):
    "its slope is a parameter, whose part of the kernel is not known here; use LeakyReLU",
    ("linear", "conv1d", "conv2d"):
    "it is given weights as tensors; use a layer as a module",
    ("Conv3d", "ConvTranspose1d", "ConvTranspose2d"):
    "only convolutions of one or two axes are known; use Conv1d or Conv2d",
    ("Hardtanh", "ReLU6", "hardtanh", "relu6", "clamp"):
    "its kinks are not at 0; only functions that are smooth but at 0 are known",
}  # fmt: skip

REASONS = {name: reason for names, reason in _REASONS.items() for name in names}
"""By type of a layer, or name of a function: why there is no limit, and what to do."""
