"""Firefox by WebDriver BiDi, which it speaks by itself: no driver is needed."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")


class Firefox:
    """A page in a headless Firefox.

    Attributes:
        told: messages of its console that are errors or warnings of scripts.
    """

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._count = 0
        self.told: list[str] = []
        self.send("session.new", capabilities={})
        self.send("session.subscribe", events=["log.entryAdded"])
        self._context = self.send("browsingContext.getTree")["contexts"][0]["context"]

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Runs a command of the protocol, and returns its result."""
        self._count += 1
        self._socket.send(json.dumps({"id": self._count, "method": method, "params": params}))
        while True:
            answer = json.loads(self._socket.recv(timeout=60))
            if answer.get("method") == "log.entryAdded" and answer["params"]["level"] in ("error", "warn"):
                self.told.append(str(answer["params"]["text"]))
            if answer.get("id") == self._count:
                assert answer["type"] == "success", answer
                result: dict[str, Any] = answer["result"]
                return result

    def open(self, address: str) -> None:
        self.send("browsingContext.navigate", context=self._context, url=address, wait="complete")

    def size(self, width: int, height: int) -> None:
        viewport = {"width": width, "height": height}
        self.send("browsingContext.setViewport", context=self._context, viewport=viewport)

    def evaluate(self, expression: str) -> Any:
        """The value of an expression, through JSON."""
        result = self.send(
            "script.evaluate", target={"context": self._context}, awaitPromise=True,
            expression=f"Promise.resolve({expression}).then((v) => JSON.stringify(v ?? null))",
        )  # fmt: skip
        assert result["type"] == "success", result["exceptionDetails"]["text"]
        return json.loads(result["result"]["value"])

    def press(self, key: str) -> None:
        """Presses a key, such as "\\ue014" for the right arrow, as WebDriver numbers them."""
        keys = [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
        action = {"type": "key", "id": "keyboard", "actions": keys}
        self.send("input.performActions", context=self._context, actions=[action])

    def screenshot(self) -> bytes:
        """The window as PNG, in base64."""
        answer = self.send("browsingContext.captureScreenshot", context=self._context)
        return str(answer["data"]).encode()


@contextmanager
def firefox(profile: Path) -> Iterator[Firefox]:
    """Starts a Firefox with an empty profile, and ends it."""
    from websockets.sync.client import connect

    profile.mkdir(parents=True, exist_ok=True)
    command = [
        str(FIREFOX),
        "--headless",
        "--no-remote",
        "--profile",
        str(profile),
        "--remote-debugging-port",
        "0",
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    try:
        assert process.stderr is not None
        started = time.monotonic()
        address = ""
        while not address and time.monotonic() < started + 60:
            line = process.stderr.readline()
            if "WebDriver BiDi listening on " in line:
                address = line.rsplit(" ", 1)[-1].strip()
        assert address, "Firefox did not start"
        with connect(f"{address}/session", max_size=None) as socket:
            yield Firefox(socket)
    finally:
        process.terminate()
        process.communicate(timeout=20)  # closes the pipe, too
