"""Names of the arrays in runs of `ntk` that the widgets read."""

from collections.abc import Mapping

STEPS = "steps"  # (K,) recorded steps, and in the group EDGE (T + 1,) from 0 on
EIGENVALUES = "eigenvalues"  # (nC,) of the dynamics u̇ = −Hu, in the groups MODES and EDGE

MODES = "modes"  # group: the residual of one network along the eigenvectors of its kernel H₀
FLOW, NETWORK = "flow", "network"  # (nC, K) predicted by gradient flow, and measured
LR = "lr"  # () the step size η
VECTORS = "vectors"  # (nC, nC) the eigenvectors of H₀, one in each column

EDGE = "edge"  # group: step sizes around η_max, each with a group of its own, "1.5 η_max"
UNIT = "η_max"
LR_MAX = "lr_max"  # () η_max = 2/λmax
START = "start"  # (nC,) the residual along the eigenvectors
LINEARIZED = "linearized"  # (T + 1,) losses, as also those of NETWORK
SHARPNESS = "sharpness"  # ηλmax of the moving kernel, where it was computed

GAP = "gap"  # group: distances between descent and flow
GAP_STEP, GAP_STEPS = 0.1, 16  # the largest step size there, in η_max, and how many of them the time is long
GAP_TIME = GAP_STEP * GAP_STEPS  # in η_max

MOMENTS = "moments"  # group: one network of each width, "moments/64", at the steps STEPS, (M,)
KERNEL = "kernel"  # (M, n, n), beside NETWORK and LINEARIZED, (M, g) over the inputs "functions/x"
WEIGHTS = "weights"  # (M, …) of the first units and the last of layer 0, 1, …
ON_GRID = "kernel/grid"  # (g, n) of the network of MODES, between the inputs "functions/x" and the examples

ARRAYS: Mapping[str, str] = {
    STEPS: "(K,) recorded steps",
    "spectrum/limit": "(n,) eigenvalues of the infinitely wide kernel, descending",
    "spectrum/*": "(S, n) eigenvalues of the kernel at the start, descending, for each network of this width",
    "kernel/start": "(n, n) the widest network's kernel at the start, mean over outputs",
    "kernel/end": "(n, n) the same after training",
    "kernel/limit": "(n, n) the infinitely wide kernel",
    ON_GRID: "(g, n) the widest network's kernel at the start, between inputs on the line and the examples",
    f"{MOMENTS}/{STEPS}": "(M,) steps at which one network of each width was looked at",
    f"{MOMENTS}/*/{KERNEL}": "(M, n, n) its kernel",
    f"{MOMENTS}/*/{NETWORK}": "(M, g) its outputs over the inputs on the line",
    f"{MOMENTS}/*/{LINEARIZED}": "(M, g) those of its linearization",
    f"{MOMENTS}/*/{WEIGHTS}/*": "(M, …) weights of this layer, of its first units and the last",
    "widths/*": "(W, S) this measure for each width and seed, relative",
    "error/*": "(S, K) relative distance of the residual from its prediction, for each network of this width",
    f"{MODES}/{EIGENVALUES}": "(nC,) eigenvalues of the dynamics, descending",
    f"{MODES}/{LR}": "() step size η",
    f"{MODES}/{VECTORS}": "(nC, nC) eigenvectors of the kernel at the start, one in each column",
    f"{MODES}/*": "(nC, K) residual along the eigenvectors: flow, descent (predictions), network, linearized",
    "loss/*": "(K,) loss: flow, descent (predictions), network, linearized",
    "logits/t": "(K,) time, step size times step",
    "logits/*": "(examples, C, K) class probabilities of a few training examples",
    "functions/x": "(T,) inputs on the line",
    "functions/target": "(T,) the function that is learned",
    "functions/points": "(n, 2) the examples, input and target",
    "functions/*": "(S, T) trained networks of this width, their linearizations, or kernel regression",
    "features/x": "(T,) inputs on the line",
    "features/lines": "(T, F) some coordinates of the feature map φ(x)",
    "features/gram": "(n, n) inner products of φ at the training points",
    f"{EDGE}/{STEPS}": "(T + 1,) steps",
    f"{EDGE}/{EIGENVALUES}": "(nC,) eigenvalues of the dynamics, descending",
    f"{EDGE}/{LR_MAX}": "() the largest stable step size η_max = 2/λmax",
    f"{EDGE}/{START}": "(nC,) the residual at the start, along the eigenvectors",
    f"{EDGE}/*/{LINEARIZED}": "(T + 1,) loss of the linearized network with this multiple of η_max",
    f"{EDGE}/*/{NETWORK}": "(T + 1,) loss of the network",
    f"{EDGE}/*/look": "steps at which the network's kernel was computed",
    f"{EDGE}/*/{SHARPNESS}": "ηλmax of the kernel at these steps",
    f"{GAP}/products": "(K,) step size times largest eigenvalue, ηλmax",
    f"{GAP}/to_flow": "(K,) distance between the weights of descent and of gradient flow after the same time",
    f"{GAP}/to_modified": "(K,) the same to the flow of L + η/4 ‖∇L‖²",
    f"{GAP}/first_order": "(K,) the predicted distance to the flow, η‖D‖",
    f"{GAP}/along": "(K,) the part of the gap along D, over η‖D‖",
    "circle/k": "(K,) frequencies",
    "circle/without_bias": "(K,) eigenvalues of the infinitely wide kernel on the circle, without bias",
    "circle/with_bias": "(K,) the same with bias",
    "infinite/x": "(T,) inputs on the line",
    "infinite/mean": "(T,) mean of infinitely wide networks, trained by gradient descent",
    "infinite/std": "(T,) their standard deviation",
    "infinite/nngp_mean": "(T,) mean of the Bayesian posterior with the same prior",
    "infinite/nngp_std": "(T,) its standard deviation",
    "infinite/functions": "(networks, T) outputs of wide networks after training",
}
"""Describes the arrays of `ntk`: pattern of names -> axes and units. n examples, C outputs, S seeds."""
