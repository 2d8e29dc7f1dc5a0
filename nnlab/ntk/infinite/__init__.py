"""Kernels of infinitely wide networks: a module is traced, and followed by pairs of examples."""
