"""The shipped notebooks run from top to bottom, and can be listed and copied."""

from pathlib import Path

import nbclient
import nbformat
import pytest

from nnlab.cli.notebooks import shipped_notebooks
from tests.command_line import nnlab

NOTEBOOKS = shipped_notebooks()


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in {
        "OMP_NUM_THREADS": "1",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    notebook = nbformat.read(NOTEBOOKS[name], as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells), "shipped with outputs"
    client = nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    shown = [output["data"]["text/plain"] for output in outputs if "text/plain" in output.get("data", {})]
    assert max(map(len, shown)) < 2_000, "an object shows more than a reader would read"


def test_notebooks_are_listed() -> None:
    listed = nnlab("notebooks", "list").out
    assert all(name in listed for name in NOTEBOOKS)
    assert len(NOTEBOOKS) == 3


def test_a_notebook_is_copied_once(tmp_path: Path) -> None:
    copied = Path(nnlab("notebooks", "copy", "certificate", tmp_path).out.strip())
    assert copied == tmp_path / "certificate.ipynb"
    assert copied.read_bytes() == NOTEBOOKS["certificate"].read_bytes()
    again = nnlab("notebooks", "copy", "certificate", tmp_path)
    assert again.code == 2
    assert f"{copied}: exists already" in again.err


def test_a_mistyped_name_names_the_nearest() -> None:
    result = nnlab("notebooks", "copy", "certificat")
    assert result.code == 2
    assert "certificate" in result.err
