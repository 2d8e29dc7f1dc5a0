"""Fixtures that several test files share."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# As many processes test as there are cores: threads of their own would only wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from filelock import FileLock

from nnlab.record import Record

UNPACK = Path(__file__).parent.parent.parent / "shared" / "data" / "unpack.sh"


def _holds_mnist(root: Path) -> bool:
    return (root / "MNIST" / "raw" / "train-images-idx3-ubyte").is_file()


@pytest.fixture(scope="session")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real data sets: `$NNLAB_DATA` where it holds MNIST, else unpacked once for all workers."""
    given = os.environ.get("NNLAB_DATA")
    if given and _holds_mnist(Path(given)):
        return Path(given)
    if not UNPACK.is_file():
        pytest.skip(f"no real data: NNLAB_DATA holds no MNIST, and there is no {UNPACK}")
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with FileLock(shared / "real-data.lock"):
        if not (shared / "real-data").exists():
            part = shared / "real-data.part"
            subprocess.run(["bash", str(UNPACK), str(part)], check=True, capture_output=True)
            part.rename(shared / "real-data")
    return shared / "real-data"


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draws no figure at the end of a run: they take most of the time of a short one."""
    monkeypatch.setattr(Record, "draw", lambda record, *stop: None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A chromium; tests that need one are skipped where there is none.

    It ends with its module: while it lives, its event loop keeps others from running one.
    """
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with sync_api.sync_playwright() as play:
        started = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()
