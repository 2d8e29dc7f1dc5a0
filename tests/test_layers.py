"""Imports run one way: a package imports from the floors below its own, and a chapter from no other chapter.

Each line of FLOORS is a floor, the ground first. What a package may take from outside stands in OUTSIDE.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "nnlab"
FILES = sorted(PACKAGE.rglob("*.py"))

FLOORS = """
errors memory files display
safe_yaml rigorous plot theory
models data
expressions record ntk
training page
approximation
lab
chapters
bench
live
cli
__main__
"""
FLOOR = {package: height for height, line in enumerate(FLOORS.split("\n")) for package in line.split()}

MAY_IMPORT = {
    "classification": {"convolution"},
    "convolution": {"classification"},
    "lecture": {"backpropagation"},
}
"""The chapters that use others: classifiers may be convolutional, and the slides show graphs."""

HANDED_UP = {"nnlab.record.reading": {"nnlab.lab.prediction"}}
"""The one way up: `Run.model` and `Run.predict` hand over, when they are called, to who can build models."""

OUTSIDE = {
    "errors": set(),
    "rigorous": {"numpy"},
    "plot": {"matplotlib", "numpy"},
    "theory": {"numpy", "scipy"},
    "expressions": {"numpy"},
    "safe_yaml": {"yaml"},
    "record.summary": {"pydantic"},
    "record": {"numpy", "matplotlib", "tensorboard"},
    "page": {"numpy", "jinja2", "yaml", "PIL"},
    "figures": {"matplotlib", "numpy"},
    "widget": {"numpy", "yaml"},
    "schema": {"numpy"},
    "lab.config": {"yaml", "pydantic"},
    "lab.sections": {"yaml", "pydantic"},
    "lab.source": {"yaml", "pydantic"},
    "lab.messages": {"yaml", "pydantic"},
}
"""The third-party packages that these may import; the others are free."""
THIRD_PARTY = {"torch", "torchvision", "numpy", "scipy", "sklearn", "matplotlib", "PIL", "yaml", "pydantic"}
THIRD_PARTY |= {"typer", "rich", "tensorboard", "plotly", "pandas", "jinja2", "igraph"}
THIRD_PARTY |= {"starlette", "uvicorn", "h11"}


def package_of(module: str) -> str:
    """`lab` of nnlab.lab.runner, `__init__` of nnlab itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def chapter_of(module: str) -> str | None:
    """`kernels` of nnlab.chapters.kernels.edge; None outside chapters, and for their registries."""
    parts = module.split(".")
    inside = (
        parts[:2] == ["nnlab", "chapters"] and len(parts) > 2 and (PACKAGE / "chapters" / parts[2]).is_dir()
    )
    return parts[2] if inside else None


def may_use(module: str) -> set[str]:
    """The third-party packages that a module may import."""
    parts = module.split(".")[1:]
    in_figures = "figures" * ("figures" in parts)
    kind = next((name for name in ("widget", "schema") if parts[-1:] == [name]), "")
    for name in (".".join(parts[:2]), in_figures, kind, package_of(module)):
        if name in OUTSIDE:
            return OUTSIDE[name]
    return THIRD_PARTY


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
                below = f"{base}.{alias.name}"  # `from nnlab import lab` imports nnlab.lab
                name = below if base.split(".")[0] == "nnlab" and is_module(below) else base
                yield name, node.lineno, id(node) in typing_only


def faults(text: str, file: Path) -> list[str]:
    """What the imports of a file do against the order of the floors."""
    module, place = module_of(file), file.relative_to(PACKAGE).as_posix()
    own, wrong = package_of(module), []
    for name, line, typing_only in imports(text, module, file.name == "__init__.py"):
        where = f"{place}, line {line}: imports {name}"
        if name.split(".")[0] != "nnlab":
            if name.split(".")[0] in THIRD_PARTY - may_use(module) and not typing_only:
                wrong.append(f"{where}, which {own} does without")
            continue
        other, chapter = package_of(name), chapter_of(module)
        if other == own:
            used = chapter_of(name)
            if chapter and used not in (None, chapter, *MAY_IMPORT.get(chapter, ())):
                wrong.append(f"{where}: a chapter imports no other chapter")
            if chapter and used is None and name != "nnlab.chapters":
                wrong.append(f"{where}: the registry of chapters is above them")
        elif name in HANDED_UP.get(module, ()):
            continue
        elif other != "__init__" and FLOOR[other] >= FLOOR[own] and not typing_only:
            wrong.append(f"{where}, which is above or beside {own}")
    return wrong


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_imports_run_one_way(file: Path) -> None:
    assert faults(file.read_text("utf-8"), file) == []


def test_every_package_has_a_floor() -> None:
    assert {package_of(module_of(file)) for file in FILES} == {*FLOOR, "__init__"}


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("record/__init__.py", "from nnlab.training import fit"),
        ("record/__init__.py", "from nnlab import lab"),
        ("record/__init__.py", "def f():\n    import nnlab.cli.train"),
        ("data/table.py", "from nnlab.lab.sections import CsvData"),
        ("data/table.py", "from nnlab import lab"),
        ("data/table.py", "from nnlab.models import MLP"),
        ("data/table.py", "from ..models import MLP"),
        ("models/mlp.py", "from nnlab.data import DataSet"),
        ("models/mlp.py", "from nnlab.record import Record"),
        ("training/trainer.py", "from nnlab.lab.sections import Training"),
        ("training/trainer.py", "from .. import lab"),
        ("theory/claims.py", "import torch"),
        ("theory/claims.py", "from nnlab.record import Record"),
        ("plot/curves.py", "import torch.nn"),
        ("plot/curves.py", "from nnlab.record import open_run"),
        ("plot/curves.py", "from ..record import open_run"),
        ("lab/runner.py", "from nnlab.chapters.experiments import EXPERIMENTS"),
        ("lab/config.py", "import torch"),
        ("page/build.py", "from nnlab.chapters.pages import CHAPTERS"),
        ("chapters/kernels/widget.py", "import torch"),
        ("chapters/kernels/schema.py", "import torch"),
        ("chapters/widths/figures.py", "import torch"),
        ("chapters/kernels/edge.py", "from nnlab.chapters.widths.experiment import Config"),
        ("chapters/lecture/experiment.py", "from nnlab.chapters.experiments import EXPERIMENTS"),
        ("chapters/kernels/edge.py", "from nnlab.bench import bench_train"),
        ("errors.py", "from nnlab.lab.sections import Section"),
    ],
)
def test_a_wrong_import_is_seen(place: str, text: str) -> None:
    assert len(faults(text, PACKAGE / place)) == 1


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("lab/build.py", "from nnlab.lab import sections"),
        ("training/trainer.py", "from nnlab.data import DataSet\nfrom nnlab.models import MLP\nimport torch"),
        ("cli/runs.py", "from nnlab.record import Run\nfrom nnlab.theory import over_seeds"),
        ("chapters/lecture/slides.py", "from nnlab.chapters.backpropagation.worksheet import build"),
        ("chapters/kernels/edge.py", "from nnlab.chapters.kernels.claims import describe"),
        ("record/__init__.py", "from nnlab import plot"),
        ("data/table.py", "from .dataset import RawData"),
    ],
)
def test_a_right_import_passes(place: str, text: str) -> None:
    assert faults(text, PACKAGE / place) == []
