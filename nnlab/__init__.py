"""nnlab: a laboratory for the theory of feed-forward neural networks."""

from importlib import metadata

try:
    __version__ = metadata.version("nnlab")
except metadata.PackageNotFoundError:  # a source tree that is not installed
    __version__ = "unknown"
