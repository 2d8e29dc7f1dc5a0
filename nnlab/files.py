"""Files that are written as a whole or not at all."""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; the file written there takes its name at the end.

    After an error inside the block nothing is left of it, and the file of before stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def replace_file(path: Path, content: bytes | memoryview) -> None:
    """Writes the bytes to `path` as a whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)
