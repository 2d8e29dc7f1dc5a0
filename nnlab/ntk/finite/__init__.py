"""Statistics of the kernels of wide networks at order 1/m: `finite_width(model, x)` of `nnlab.ntk`."""
