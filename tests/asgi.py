"""Requests to an application in this process, byte for byte as a stranger would send them."""

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

OWN = "http://127.0.0.1:8765"
"""The address of the server that the application believes to be."""


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Browser:
    """Asks an application; it keeps the cookies that it gets, and leaves the checks to the other side.

    Attributes:
        headers: of every request.
    """

    app: Any
    headers: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, headers=headers)

    def post(self, path: str, body: Any = b"", **headers: str) -> Answer:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        length = {"content_length": str(len(content))} if content else {}
        return self.ask("POST", path, [content] if content else [], {"origin": OWN, **length, **headers})

    def ask(
        self, method: str, path: str, blocks: Iterable[bytes] = (), headers: dict[str, str] | None = None
    ) -> Answer:
        return asyncio.run(self.asked(method, path, blocks, headers))

    async def asked(
        self, method: str, path: str, blocks: Iterable[bytes] = (), headers: dict[str, str] | None = None
    ) -> Answer:
        """A request; headers with a `_` in the place of each `-`. A block that is empty does not come."""
        left, sent = iter(blocks), list[dict[str, Any]]()

        async def receive() -> dict[str, Any]:
            block = next(left, None)
            if block == b"":
                await asyncio.sleep(60)
            return {"type": "http.request", "body": block or b"", "more_body": block is not None}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.app(self._scope("http", path, headers or {}) | {"method": method}, receive, send)
        found = {key.decode(): value.decode("latin-1") for key, value in sent[0]["headers"]}
        if "set-cookie" in found:
            self.headers["cookie"] = found["set-cookie"].partition(";")[0]
        return Answer(sent[0]["status"], found, b"".join(message.get("body", b"") for message in sent[1:]))

    def connects(self, path: str, **headers: str) -> bool:
        """Tells whether a WebSocket is let in."""
        sent = list[str]()

        async def receive() -> dict[str, Any]:
            return {"type": "websocket.disconnect" if sent else "websocket.connect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message["type"])

        asyncio.run(self.app(self._scope("websocket", path, headers), receive, send))
        return "websocket.accept" in sent

    def _scope(self, kind: str, path: str, headers: dict[str, str]) -> dict[str, Any]:
        place, _, query = path.partition("?")
        given = {"host": OWN.removeprefix("http://"), **self.headers, **headers}
        return {
            "type": kind,
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "scheme": "http" if kind == "http" else "ws",
            "path": unquote(place),
            "raw_path": place.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "subprotocols": [],
            "client": ("127.0.0.1", 50_000),
            "server": ("127.0.0.1", 8765),
            "headers": [(k.replace("_", "-").encode(), v.encode("latin-1")) for k, v in given.items()],
        }
