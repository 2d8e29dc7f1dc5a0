"""Names of the arrays in runs of `ntk` that the widgets read."""

STEPS = "steps"  # (K,) recorded steps, and in the group EDGE (T + 1,) from 0 on
EIGENVALUES = "eigenvalues"  # (nC,) of the dynamics u̇ = −Hu, in the groups MODES and EDGE

MODES = "modes"  # group: the residual of one network along the eigenvectors of its kernel H₀
FLOW, NETWORK = "flow", "network"  # (nC, K) predicted by gradient flow, and measured
LR = "lr"  # () the step size η

EDGE = "edge"  # group: step sizes around η_max, each with a group of its own, "1.5 η_max"
UNIT = "η_max"
LR_MAX = "lr_max"  # () η_max = 2/λmax
START = "start"  # (nC,) the residual along the eigenvectors
LINEARIZED = "linearized"  # (T + 1,) losses, as also those of NETWORK
SHARPNESS = "sharpness"  # ηλmax of the moving kernel, where it was computed
