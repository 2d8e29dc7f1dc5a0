"""Every command of the README runs."""

import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from nnlab.lab.config import shipped_configs
from nnlab.models import MLP

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def shell_lines() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    return [line for block in blocks for line in block.strip().splitlines()]


def test_set_up_comes_first() -> None:
    """The two commands that do all the set-up; this test suite is the end of the second one."""
    assert shell_lines()[:2] == [
        "pip install -e . && nnlab train --config configs/softmax_digits.yaml",
        'pip install -e ".[dev]" && pytest',
    ]


@pytest.mark.slow
def test_commands_run_in_order(tmp_path: Path) -> None:
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "nnlab"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m nnlab "$@"\n')
    command.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    lines = [line.removeprefix("pip install -e . && ") for line in shell_lines()]
    lines = [line for line in lines if line.startswith("nnlab")]
    assert len(lines) == 11
    for line in lines:
        done = subprocess.run(line, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
    assert len(list((tmp_path / "runs").glob("*/*/summary.json"))) == 5
    assert (tmp_path / "mine.yaml").exists()
    assert (tmp_path / "kernel_of_your_model.ipynb").exists()


def test_table_names_shipped_configs() -> None:
    named = set(re.findall(r"nnlab (?:train|ntk|approx) --config (\w+)`", README))
    assert len(named) >= 12
    assert named <= set(shipped_configs())


def test_notebook_names_exist() -> None:
    names = re.findall(r"`(nnlab(?:\.\w+)+)`", README)
    assert names
    for name in names:
        pkgutil.resolve_name(name)  # imports modules on the way, and fails for what is not there


def test_notebook_imports_exist() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("from nnlab")]
    assert len(lines) == 3
    for line in lines:
        exec(line, {})


def test_the_lines_on_kernels_run() -> None:
    (block,) = [
        block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "nnlab.ntk" in block
    ]
    random = torch.Generator().manual_seed(0)
    x, new, y, u0 = (torch.randn(n, 2, generator=random) for n in (6, 3, 6, 6))
    model = MLP(2, [16], 2, parameterization="ntk", generator=random)
    names: dict[str, Any] = {"model": model, "x": x, "new": new, "y": y, "u0": u0, "torch": torch}
    exec(block, names)
    assert names["H"].shape == (6, 6)
    assert [kernel.shape for kernel in names["kernels"]] == [(9, 9), (9, 9)]


@pytest.mark.parametrize("picture", re.findall(r"\]\(([\w./]+\.png)\)", README))
def test_pictures_exist(picture: str) -> None:
    assert (ROOT / picture).stat().st_size > 10_000
