"""Names of the arrays in runs of `minimal_norm` that its figures and its widget read."""

from collections.abc import Mapping

STEPS = "steps"  # (T,) from 0 on
EIGENVALUES = "eigenvalues"  # (n,) of H₀ of the narrowest network, descending
START = "start"  # (n,) the residual along its eigenvectors
LR = "lr"  # () its step size η
LINEARIZED = "linearized"  # (T,) ‖w_k − w₀‖² of its linearization
NETWORK = "network"  # (T,) of the network itself
WIDTHS = "widths"  # (W,)
RATIOS = "ratios"  # (W, S)

ARRAYS: Mapping[str, str] = {
    STEPS: "(T,) steps of gradient descent",
    EIGENVALUES: "(n,) eigenvalues of the kernel at the start of the narrowest network, descending",
    START: "(n,) its residual at the start along the eigenvectors",
    LR: "() its step size η",
    LINEARIZED: "(T,) squared distance of the weights from their start, linearized, ‖w − w₀‖²",
    NETWORK: "(T,) the same of the network itself",
    "predicted": "(T,) the same as predicted from the kernel",
    WIDTHS: "(W,) widths m",
    RATIOS: "(W, S) ‖w − w₀‖² after training, in units of u₀ᵀH₀⁻¹u₀, for each width and network",
}
