"""Margin maximization: on separable data gradient descent turns towards the max-margin direction."""
