"""nnlab: a laboratory for the theory of feed-forward neural networks."""

__version__: str


def __getattr__(name: str) -> str:
    """Returns `nnlab.__version__` where it is asked for: looking it up takes longer than most commands."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import metadata

    try:
        return metadata.version("nnlab")
    except metadata.PackageNotFoundError:  # a source tree that is not installed
        return "unknown"
