"""Folders of runs without a training: a summary, a config and rows, as a run has them."""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

CONFIG = "experiment: classify\nname: {name}\nseed: {seed}\noptimizer: {{lr: {lr}}}\n"


def run_folder(folder: Path, rows: int = 3, **summary: Any) -> Path:
    """Writes the folder of a run; fields of its summary may be others."""
    folder.mkdir(parents=True)
    fields = {
        "experiment": "classify", "name": folder.name, "seed": 0, "status": "finished",
        "started": "2026-01-01T12:00:00+00:00", "wall_seconds": 3.5, "metrics": {"test/accuracy": 0.9},
    } | summary  # fmt: skip
    (folder / "config.yaml").write_text(CONFIG.format(name=json.dumps(fields["name"]), seed=0, lr=0.1))
    (folder / "metrics.jsonl").write_text("".join(row(step) for step in range(rows)))
    (folder / "summary.json").write_text(json.dumps(fields))
    return folder


def row(step: int, loss: float | None = None, split: str = "train") -> str:
    value = 1 / (1 + step) if loss is None else loss
    return json.dumps({"step": step, "epoch": step, "split": split, "loss": value}) + "\n"


@contextmanager
def growing(folders: list[Path]) -> Iterator[list[Any]]:
    """The metrics files of runs, open and locked as by processes that write them."""
    import fcntl  # not on Windows

    with ExitStack() as files:
        opened = [files.enter_context(open(folder / "metrics.jsonl", "a")) for folder in folders]
        for file in opened:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield opened


def tree(root: Path) -> str:
    """A hash of all that is under a folder: names, kinds, sizes, times of change, contents, links."""
    digest = sha256()
    for place, folders, files in sorted(os.walk(root)):
        for name in sorted([*folders, *files]):
            path = Path(place, name)
            about = path.lstat()
            digest.update(repr((str(path), about.st_mode, about.st_size, about.st_mtime_ns)).encode())
            if path.is_symlink():
                digest.update(os.readlink(path).encode())
            elif path.is_file():
                digest.update(path.read_bytes())
    return digest.hexdigest()
