"""Serves the live lab on this machine until Ctrl-C."""

import asyncio
import contextlib
import errno
import ipaddress
import logging
import os
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from nnlab.display import visible
from nnlab.errors import InputError
from nnlab.live.app import Live
from nnlab.live.guard import LOOPBACK, Guard

if sys.platform != "win32":
    import resource

FIRST_PORT, PORTS = 8765, 20
"""The port without --port, and how many after it are tried where it is taken; then any."""
AT_ONCE = 1_500
"""Connections at once; more are told that the server is busy."""
OWN_FILES = 128
"""Files that stay for runs and processes."""
MOST_FILES = 65_536
"""Files that are enough for all of these; each connection is one."""
WAITING = 2_048
"""Connections that the system lets wait for their turn."""
FIRST_SECONDS = 20.0
"""The time in which a connection must have sent the head of a request."""
MESSAGE_BYTES = 2**20
"""The largest message of a WebSocket."""
LAST_SECONDS = 3
"""The time that connections get to end in when the server stops."""


def serve(runs: Path, host: str, port: int | None, *, browser: bool, say: Callable[[str], None]) -> None:
    """Serves until Ctrl-C.

    Args:
        runs: the folder of runs.
        host: name or address to listen on.
        port: to listen on; None for a free one.
        browser: whether to open one.
        say: tells the person at the terminal something.

    Raises:
        InputError: the port or the address cannot be had.
    """
    listener = listen(host, port)
    own = listener.getsockname()[1]
    files = _allow_files()
    _log_visibly()
    live = Live(runs, say)
    names = LOOPBACK | ({host.lower()} | _names() if not is_local(host) else set())
    guard = Guard(live.application(), port=own, names=names, any_address=not is_local(host))
    config = uvicorn.Config(
        guard,
        http=Patient,
        ws="websockets-sansio",
        ws_max_size=MESSAGE_BYTES,
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
        limit_concurrency=max(min(AT_ONCE, files - OWN_FILES), 1),
        backlog=WAITING,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=LAST_SECONDS,
        lifespan="on",
    )

    def begun() -> None:
        address = f"http://{_shown(host)}:{own}/?token="
        print(address + guard.token, flush=True)
        if browser:
            _open(address + guard.token_for_once())

    server = Server(config, begun)
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        # The terminal was closed: the runs that were started here are stopped in good order, too.
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn passes it on when all is closed
        server.run(sockets=[listener])


class Server(uvicorn.Server):
    """Serves, and says when it has begun to."""

    def __init__(self, config: uvicorn.Config, begun: Callable[[], None]) -> None:
        super().__init__(config)
        self._begun = begun

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._begun()


class Patient(H11Protocol):
    """HTTP, with an end of patience for connections that send no whole head of a request.

    uvicorn waits for those for ever; each is a file that is open.
    """

    _impatience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._calm()
        elif self._impatience is None:
            self._wait()

    def send_400_response(self, msg: str) -> None:
        """Refuses what is no request; where it is the body of one, whose answer no longer has a place."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._calm()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._impatience = self.loop.call_later(FIRST_SECONDS, self._give_up)

    def _calm(self) -> None:
        if self._impatience is not None:
            self._impatience.cancel()
            self._impatience = None

    def _give_up(self) -> None:
        self._impatience = None
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self.transport.close()


def listen(host: str, port: int | None) -> socket.socket:
    """Returns a socket that has the port. Raises InputError where it cannot be had."""
    ports = [port] if port is not None else [*range(FIRST_PORT, FIRST_PORT + PORTS), 0]
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise InputError(f"--host {host}: is no address of this machine ({error})") from None
    family, kind, protocol, _, place = found[0]
    for number in ports:
        listener = socket.socket(family, kind, protocol)
        if sys.platform != "win32":  # where it would let two servers have one port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((place[0], number, *place[2:]))
            listener.listen(WAITING)  # until then Linux would give the port to another, too
            return listener
        except OSError as error:
            listener.close()
            if error.errno in (errno.EADDRINUSE, errno.EACCES) and number != ports[-1]:
                continue
            if error.errno == errno.EADDRINUSE:
                raise InputError(
                    f"--port {number}: is taken by another program; leave --port out for a free one"
                ) from None
            if error.errno == errno.EACCES:
                raise InputError(f"--port {number}: is not allowed; take one above 1023") from None
            raise InputError(f"--host {host}: cannot be listened on: {error.strerror}") from None
    raise AssertionError("the last port has raised")


def is_local(host: str) -> bool:
    """Tells whether only programs of this machine can reach a server on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _names() -> set[str]:
    """The names by which other machines may know this one."""
    name = socket.gethostname().lower()
    return {name, f"{name}.local"}


def _shown(host: str) -> str:
    """The host as an address has it; one that means every address of the machine as its name."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return socket.gethostname()
    return f"[{address}]" if address.version == 6 else host


def has_display() -> bool:
    """Tells whether a browser would have a place to open."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _open(address: str) -> None:
    """Opens a browser, which may take its time."""
    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()


def _allow_files() -> int:
    """Lets the process open as many files as the system allows it, and returns their number."""
    if sys.platform == "win32":
        return MOST_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        except (OSError, ValueError):
            return soft
    return most


def _log_visibly() -> None:
    """Errors of the server go to standard error; what a request wrote into them cannot steer the terminal."""

    class Visible(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return visible(super().format(record))

    handler = logging.StreamHandler()
    handler.setFormatter(Visible("nnlab: %(message)s"))
    for name in ("uvicorn", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.ERROR)
