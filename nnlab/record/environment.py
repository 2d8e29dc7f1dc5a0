"""The circumstances that a run's numbers depend on beside its config."""

import contextlib
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

PACKAGES = ("nnlab", "torch", "torchvision", "numpy", "scipy", "scikit-learn")


def environment(device: str) -> dict[str, object]:
    """Versions, device, threads and commit, as environment.json holds them."""
    versions = {}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    torch = sys.modules.get("torch")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": versions,
        "device": device,
        "threads": None if torch is None else torch.get_num_threads(),
        "git": _git_state(Path(__file__).parent),
    }


def _git_state(folder: Path) -> dict[str, object] | None:
    """Commit of the source tree and whether it was changed since; None where it is installed as a wheel."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "--no-optional-locks", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout.strip()

    try:
        if not git("ls-files", "__init__.py"):
            return None  # a wheel inside somebody else's repository
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "-uno"))}
    except (OSError, subprocess.SubprocessError):
        return None
