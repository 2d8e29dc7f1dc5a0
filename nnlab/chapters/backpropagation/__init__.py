"""Backpropagation on paper: an expression with all its values and gradients, and where they come from."""
