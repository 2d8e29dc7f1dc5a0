"""Messages between the server and its child processes: a JSON header and arrays, as one packet of bytes.

A browser gets the packets as they are. All of it is little-endian: the length of the header in 4 bytes, the
header, blanks up to a multiple of 8 bytes, then the arrays, each from a multiple of 8 bytes on.
"""

import json
import os
import queue
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

ALIGNED = 8
LENGTH = 4
"""Bytes of the length of a packet, which stands before it in a pipe."""


def packet(kind: str, header: dict[str, Any] | None = None, **arrays: NDArray[Any]) -> bytes:
    """Packs a header and arrays; names, types, shapes and places of these stand in the header."""
    table, blocks, place = {}, list[bytes](), 0
    for name, array in arrays.items():
        content = np.ascontiguousarray(array).tobytes()
        table[name] = {"type": array.dtype.name, "shape": list(array.shape), "at": place}
        blocks.append(content + bytes(-len(content) % ALIGNED))
        place += len(blocks[-1])
    text = json.dumps({"kind": kind, **(header or {}), "arrays": table}).encode()
    text += b" " * (-(len(text) + LENGTH) % ALIGNED)
    return b"".join([len(text).to_bytes(LENGTH, "little"), text, *blocks])


def header_of(content: bytes) -> dict[str, Any]:
    """The header of a packet."""
    length = int.from_bytes(content[:LENGTH], "little")
    header: dict[str, Any] = json.loads(content[LENGTH : LENGTH + length])
    return header


def arrays_of(content: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of a packet, which share its memory."""
    start = LENGTH + int.from_bytes(content[:LENGTH], "little")
    return {
        name: np.frombuffer(
            content, entry["type"], int(np.prod(entry["shape"], dtype=int)), start + entry["at"]
        ).reshape(entry["shape"])
        for name, entry in header_of(content)["arrays"].items()
    }


class Channel:
    """The child's end: commands are JSON lines on standard input, packets go to standard output.

    What the child prints goes to standard error, so that it cannot get between the packets.
    """

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "wb", buffering=0)
        os.dup2(2, 1)
        sys.stdout = sys.stderr
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in sys.stdin.buffer:
            self._lines.put(line)
        self._lines.put(b"")

    def send(self, content: bytes) -> None:
        view = memoryview(len(content).to_bytes(LENGTH, "little") + content)
        while view:
            view = view[self._out.write(view) :]

    def commands(self) -> Iterator[dict[str, Any]]:
        """The commands that have come, without waiting."""
        while not self._lines.empty():
            yield self._next(None)

    def wait(self, seconds: float | None = None) -> dict[str, Any] | None:
        """The next command, or None if none comes in so many seconds."""
        try:
            return self._next(seconds)
        except queue.Empty:
            return None

    def _next(self, seconds: float | None) -> dict[str, Any]:
        line = self._lines.get(timeout=seconds)
        if not line:
            sys.exit()  # the server has gone
        command: dict[str, Any] = json.loads(line)
        return command
