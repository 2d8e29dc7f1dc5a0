"""Messages between the server and its child processes: a JSON header and arrays, as one packet of bytes.

A browser gets the packets as they are. All of it is little-endian: the length of the header in 4 bytes, the
header, blanks up to a multiple of 8 bytes, then the arrays, each from a multiple of 8 bytes on.
"""

import json
import os
import select
import sys
import time
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
        self._read = b""

    def send(self, content: bytes) -> None:
        view = memoryview(len(content).to_bytes(LENGTH, "little") + content)
        while view:
            view = view[self._out.write(view) :]

    def commands(self) -> Iterator[dict[str, Any]]:
        """The commands that have come, without waiting."""
        while (command := self.wait(0)) is not None:
            yield command

    def wait(self, seconds: float | None = None) -> dict[str, Any] | None:
        """The next command, or None if none comes in so many seconds. Without a server the child ends."""
        end = None if seconds is None else time.monotonic() + seconds
        while b"\n" not in self._read:
            left = None if end is None else max(0.0, end - time.monotonic())
            if not select.select([0], [], [], left)[0]:
                return None
            content = os.read(0, 2**16)
            if not content:
                sys.exit()
            self._read += content
        line, _, self._read = self._read.partition(b"\n")
        command: dict[str, Any] = json.loads(line)
        return command
