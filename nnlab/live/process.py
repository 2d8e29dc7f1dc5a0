"""A child process of the server that sends packets, and is started again when it dies."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any

from nnlab.live.wire import LENGTH

Take = Callable[[bytes], None]

PAUSE = 0.5
"""Seconds before a child that died is started again, each time twice as many, up to 30."""
PATIENT = {"OMP_WAIT_POLICY": "passive"}
"""The threads of torch wait for each other asleep: where others use the processor too, a step of a small
network takes forty times as long if they keep it busy. The numbers are the same."""
LAST_WORDS = 2000
"""Bytes of what a child wrote to standard error that are kept."""


class Child:
    """A Python module that runs as a process of its own.

    Args:
        module: whose `__main__` reads commands and sends packets, see `nnlab.live.wire.Channel`.
        take: gets every packet.
        died: called with the reason each time the process has ended by itself and was started again.
    """

    def __init__(self, module: str, take: Take, died: Callable[[str], None]) -> None:
        self._module, self._take, self._died = module, take, died
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._words = b""

    @property
    def pid(self) -> int | None:
        """The process that runs at the moment."""
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Starts the process."""
        await self._begin()
        self._task = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Ends the process."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._end()

    def send(self, command: dict[str, Any]) -> None:
        """Sends a command; one to a process that has just died is lost, as `died` tells."""
        process = self._process
        if process is not None and process.stdin is not None and not process.stdin.is_closing():
            process.stdin.write(json.dumps(command).encode() + b"\n")

    async def restart(self) -> None:
        """Ends the process, whatever it does, and starts it anew."""
        await self.close()
        await self.start()

    async def _begin(self) -> None:
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", self._module,
            stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True, env=os.environ | PATIENT,
        )  # fmt: skip

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            process._transport.close()  # type: ignore[attr-defined]

    async def _follow(self) -> None:
        pause = PAUSE
        while True:
            process = self._process
            assert process is not None
            assert process.stdout is not None
            assert process.stderr is not None
            words = asyncio.create_task(self._listen(process.stderr))
            try:
                while True:
                    length = int.from_bytes(await process.stdout.readexactly(LENGTH), "little")
                    self._take(await process.stdout.readexactly(length))
                    pause = PAUSE
            except asyncio.IncompleteReadError:
                code = await process.wait()
                await words
            finally:
                words.cancel()
            await asyncio.sleep(pause)
            pause = min(2 * pause, 30.0)
            await self._begin()
            self._died(self._reason(code))

    async def _listen(self, stream: asyncio.StreamReader) -> None:
        self._words = b""
        while content := await stream.read(2**16):
            self._words = (self._words + content)[-LAST_WORDS:]

    def _reason(self, code: int) -> str:
        lines = self._words.decode("utf-8", "replace").strip().splitlines()
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit status {code}"
        return how + (f": {lines[-1][:300]}" if lines else "")
