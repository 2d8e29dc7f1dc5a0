"""Imports run one way: a file may import its own layer and those below it, and nothing back up.

cli -> bench -> experiments -> models, data, training, ntk, approximation, graph, theory -> record
-> events, figures -> memory, safe_yaml, errors
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "nnlab"
FILES = sorted(PACKAGE.rglob("*.py"))

LEAVES = {"errors", "memory", "safe_yaml"}
BELOW_RECORD = {"figures", "events"}
ALLOWED = {
    "errors": set(),
    "memory": set(),
    "safe_yaml": {"errors"},
    "config": {"errors", "safe_yaml"},
    "figures": LEAVES,
    "events": LEAVES,
    "record": LEAVES | BELOW_RECORD,
    "theory": LEAVES,
    "models": LEAVES,
    "data": LEAVES,
    "ntk": LEAVES | {"models"},
    "graph": {"errors"},
    "worksheet": LEAVES | {"graph", "figures", "models"},
    "report": LEAVES | BELOW_RECORD | {"record"},
    "approximation": LEAVES | {"models", "graph", "theory", "training"},
    "training": LEAVES | BELOW_RECORD | {"record", "models", "data"},
}
ALLOWED["experiments"] = {*ALLOWED}
ALLOWED["bench"] = {*ALLOWED}
ALLOWED["cli"] = {*ALLOWED}
ALLOWED["__main__"] = {"cli"}
ALLOWED["__init__"] = set()

MAY_SEE_CONFIG = {"cli", "bench", "experiments"}
BUILDERS = {"models/__init__.py", "data/build.py"}
OUTSIDE = {
    "figures": {"matplotlib", "numpy"},
    "theory": {"numpy", "scipy"},
    "graph": {"numpy"},
    "events": {"tensorboard"},
    "errors": set(),
    "safe_yaml": {"yaml"},
    "config": {"yaml", "pydantic"},
    "record": {"numpy", "matplotlib"},
    "report": {"numpy", "jinja2", "yaml", "PIL"},
}
"""The third-party packages that these layers may import; the others are free."""
THIRD_PARTY = {"torch", "torchvision", "numpy", "scipy", "sklearn", "matplotlib", "PIL", "yaml", "pydantic"}
THIRD_PARTY |= {"typer", "rich", "tensorboard", "plotly", "pandas", "jinja2", "igraph"}


def layer(module: str) -> str:
    """`experiments` of nnlab.experiments.xor, `__init__` of nnlab itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def module_of(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    if parts[-1] == "__init__" and len(parts) > 2:
        parts = parts[:-1]
    return ".".join(parts)


def is_module(name: str) -> bool:
    path = PACKAGE.parent.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def imports(text: str, module: str, is_package: bool = False) -> Iterator[tuple[str, int, bool]]:
    """(module, line, whether it is only for type checkers) of every import, those inside functions too."""
    tree = ast.parse(text)
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
        for inner in ast.walk(ast.Module(node.body, []))
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno, id(node) in typing_only) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = module.split(".")
            up = parts[: len(parts) - node.level + is_package] if node.level else []
            base = ".".join([*up, *([node.module] if node.module else [])])
            for alias in node.names:
                below = f"{base}.{alias.name}"  # `from nnlab import config` imports nnlab.config
                name = below if base.split(".")[0] == "nnlab" and is_module(below) else base
                yield name, node.lineno, id(node) in typing_only


def faults(text: str, file: Path) -> list[str]:
    """What the imports of a file do against the order of the layers."""
    module, place = module_of(file), file.relative_to(PACKAGE).as_posix()
    own, found = layer(module), []
    for name, line, typing_only in imports(text, module, file.name == "__init__.py"):
        where = f"{place}, line {line}: imports {name}"
        if name.split(".")[0] != "nnlab":
            package = name.split(".")[0]
            outside = OUTSIDE.get(own, THIRD_PARTY)
            if package in THIRD_PARTY and package not in outside and not typing_only:
                found.append(f"{where}, which {own} does without")
            continue
        other = layer(name)
        if other == own or other == "__init__":
            continue
        if other == "config":
            if own not in MAY_SEE_CONFIG and place not in BUILDERS:
                found.append(f"{where}: only cli, bench, experiments and the builders see configs")
        elif other not in ALLOWED[own] and not typing_only:
            found.append(f"{where}, which is above or beside {own}")
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_imports_run_one_way(file: Path) -> None:
    assert faults(file.read_text("utf-8"), file) == []


def test_every_layer_is_known() -> None:
    assert {layer(module_of(file)) for file in FILES} == set(ALLOWED)


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("record.py", "from nnlab.training import fit"),
        ("record.py", "from nnlab import experiments"),
        ("record.py", "def f():\n    import nnlab.cli.train"),
        ("data/table.py", "from nnlab.config import CsvData"),
        ("data/table.py", "from nnlab import config"),
        ("data/table.py", "from nnlab.models import MLP"),
        ("data/table.py", "from ..models import MLP"),
        ("models/mlp.py", "from nnlab.data import DataSet"),
        ("models/mlp.py", "from nnlab.record import Record"),
        ("training/trainer.py", "from nnlab.config import Training"),
        ("training/trainer.py", "from nnlab.theory import Claim"),
        ("training/trainer.py", "from .. import experiments"),
        ("theory/claims.py", "import torch"),
        ("theory/claims.py", "from nnlab.record import Record"),
        ("figures/curves.py", "import torch.nn"),
        ("figures/curves.py", "from nnlab.record import open_run"),
        ("figures/__init__.py", "from ..record import open_run"),
        ("experiments/xor.py", "from nnlab.bench import bench_train"),
        ("errors.py", "from nnlab.config import Section"),
    ],
)
def test_a_wrong_import_is_seen(place: str, text: str) -> None:
    assert len(faults(text, PACKAGE / place)) == 1


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("data/build.py", "from nnlab import config"),
        ("models/__init__.py", "from nnlab.config import MLPModel"),
        ("training/trainer.py", "from nnlab.data import DataSet\nfrom nnlab.models import MLP\nimport torch"),
        ("cli/runs.py", "from nnlab.record import Run\nfrom nnlab.theory.seeds import over_seeds"),
        ("record.py", "from nnlab import figures"),
        ("data/table.py", "from .dataset import RawData"),
    ],
)
def test_a_right_import_passes(place: str, text: str) -> None:
    assert faults(text, PACKAGE / place) == []
