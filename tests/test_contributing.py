"""What CONTRIBUTING.md says is enough: each of its examples is followed in a copy of the repository."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
EXAMPLES = dict(re.findall(r"^### (Add [^\n]+)\n(.*?)(?=^##|\Z)", TEXT, re.MULTILINE | re.DOTALL))
BLOCK = re.compile(r"^```(\w+)(?: ([^\n]+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.slow


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A copy of what a contributor works on."""
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in ("nnlab", "configs", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def changed(text: str, diff: str) -> str:
    """The text with each piece of a diff applied; pieces are parted by lines of three dots."""
    for piece in re.split(r"^\.\.\.\n", diff, flags=re.MULTILINE):
        lines = [line or " " for line in piece.splitlines()]
        before = "".join(f"{line[1:]}\n" for line in lines if line[0] in " -")
        after = "".join(f"{line[1:]}\n" for line in lines if line[0] in " +")
        assert text.count(before) == 1, f"{text.count(before)} places look like\n{before}"
        text = text.replace(before, after)
    return text


def test_every_kind_of_addition_has_an_example() -> None:
    kinds = [title.removeprefix("Add ").partition(" ")[2].split(",")[0] for title in EXAMPLES]
    assert kinds == ["claim", "figure", "idea", "experiment", "config", "activation"]


@pytest.mark.parametrize("title", EXAMPLES)
def test_an_example_is_enough(title: str, repository: Path) -> None:
    commands = []
    for language, place, content in BLOCK.findall(EXAMPLES[title]):
        if language == "sh":
            commands += content.strip().splitlines()
        elif language == "diff":
            file = repository / place
            file.write_text(changed(file.read_text("utf-8"), content), "utf-8")
        else:
            file = repository / place
            assert not file.exists(), place
            file.write_text(content, "utf-8")
    assert commands
    commands += ["ruff check .", "ruff format --check ."]
    environment = {**os.environ, "PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"}
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_CURRENT_TEST", "PYTEST_ADDOPTS"):
        environment.pop(name, None)
    for command in commands:
        program, *arguments = command.partition("  #")[0].split()
        module = {"nnlab": ["nnlab"], "pytest": ["pytest", "-n", "0", "-q"], "ruff": ["ruff"]}[program]
        line = [sys.executable, "-m", *module, *arguments]
        done = subprocess.run(
            line, cwd=repository, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


def test_the_files_of_the_walks_exist() -> None:
    walks = re.search(r"Three walks.*?\n\n(.*?)\n## ", TEXT, re.DOTALL)
    assert walks is not None
    files = re.findall(r"`([\w/]+\.(?:py|js|html))`", walks[1])
    assert len(files) > 20
    assert [file for file in files if not (ROOT / "nnlab" / file).is_file()] == []
