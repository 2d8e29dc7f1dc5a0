"""A plain TeX installation, where there is one."""

import shutil
import subprocess
from pathlib import Path

import pytest


def pdflatex(folder: Path, text: str) -> str:
    """Compiles a document; what the program says."""
    program = shutil.which("pdflatex")
    if program is None:
        pytest.skip("no pdflatex on this machine")
    (folder / "sheet.tex").write_text(text)
    command = [program, "-interaction=nonstopmode", "-halt-on-error", "sheet.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-2_000:]
    assert (folder / "sheet.pdf").stat().st_size > 1_000
    return done.stdout
