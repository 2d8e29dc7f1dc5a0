"""`nnlab view` as a process, and what is sent to it."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class Served:
    """A server that runs.

    Attributes:
        address: with the token, as it was printed.
        said: on standard error, when it has ended.
    """

    process: "subprocess.Popen[str]"
    runs: Path
    address: str
    said: str = ""

    @property
    def origin(self) -> str:
        return self.address.partition("/?")[0]

    @property
    def port(self) -> int:
        return int(self.origin.rpartition(":")[2])

    @property
    def cookie(self) -> str:
        return f"nnlab-{self.port}={self.address.partition('token=')[2]}"

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
        """Status and body of an answer; headers with `_` for each `-`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            content = json.dumps(body) if isinstance(body, dict) else body
            given = {"cookie": self.cookie, "origin": self.origin}
            given |= {name.replace("_", "-"): text for name, text in headers.items()}
            connection.request(method, path, content, given)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def json(self, method: str, path: str, body: Any = None) -> Any:
        return json.loads(self.ask(method, path, body)[1])

    def wait(self, what: str, ready: Any) -> Any:
        """Waits until `ready` of the list of runs is something."""
        deadline = time.monotonic() + 100
        while time.monotonic() < deadline:
            found = ready(self.json("GET", "/api/runs"))
            if found:
                return found
            time.sleep(0.1)
        raise AssertionError(f"{what}: {self.json('GET', '/api/runs')}")

    def raw(self, content: bytes, *, ends: bool = True) -> bytes:
        """What comes back for these bytes, if nothing else `ends` the connection."""
        with socket.create_connection(("127.0.0.1", self.port), 20) as connection:
            answer = b""
            with contextlib.suppress(OSError):  # it may be closed before it has taken all
                connection.sendall(content)
                if ends:
                    connection.shutdown(socket.SHUT_WR)
                while block := connection.recv(2**16):
                    answer += block
            return answer

    @property
    def alive(self) -> bool:
        return self.ask("GET", "/api/runs")[0] == 200 and self.process.poll() is None


@contextlib.contextmanager
def serving(runs: Path, *options: str) -> Iterator[Served]:
    """A server of a folder of runs."""
    command = [sys.executable, "-m", "nnlab", "view", str(runs), "--no-browser", *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            served = Served(process, runs, process.stdout.readline().strip())
            yield served
        finally:
            process.send_signal(signal.SIGINT)
            try:
                served.said = process.communicate(timeout=60)[1]
            finally:
                process.kill()
