"""Who may ask the server, and how much: it stands before everything else that the server does.

A server on 127.0.0.1 can be reached by every program of the machine, and by every page that a browser of
the machine shows. So each request needs a secret, which nobody but the reader of the terminal has; and what
a page of another site sends is refused even where the browser adds the secret to it:

- The first address has a token, which becomes a cookie that scripts cannot read, and that a browser does
  not send for other sites (HttpOnly, SameSite=Strict).
- The request must be for a name of this machine, which a site that leads to 127.0.0.1 (DNS rebinding) is not.
- What changes something, and a WebSocket, must come from a page of this server (Origin): other ports of this
  machine are another origin, but the same site, for which a browser does send the cookie.
"""

import asyncio
import hmac
import ipaddress
import secrets
from base64 import b64encode
from hashlib import sha256
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_BYTES = 16 * 2**20
"""The largest body of a request, such as a table that is dropped into the playground."""
BODY_SECONDS = 30.0
"""The time in which a body must have arrived."""
SOCKETS = 64
"""WebSockets at once."""
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

# The address loses the token at once: it is neither kept in the history nor on a projected screen.
_FORGET = "const a = new URL(location); a.searchParams.delete('token'); location.replace(a);"
_ENTER = f"""<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>nnlab</title><script>{_FORGET}</script>
<p><a href="/">Go on to the lab.</a></p></html>"""
_ENTER_POLICY = (
    f"default-src 'none'; script-src 'sha256-{b64encode(sha256(_FORGET.encode()).digest()).decode()}'"
)
UNKNOWN = "Open the address that nnlab view printed in its terminal: it has the token of this lab.\n"

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""Of every response that does not say otherwise."""


class Guard:
    """The first part of the server that sees a request, and the last that sees the response.

    Args:
        app: what answers the requests that may be asked.
        port: of the server; cookies do not tell ports apart, so that its name must.
        names: the names and addresses of the machine for which requests may be.
        any_address: whether that may be any numeric address too: that no site can have.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        port: int,
        names: frozenset[str] = LOOPBACK,
        any_address: bool = False,
    ) -> None:
        self._app, self._names, self._any_address = app, names, any_address
        self.token = secrets.token_urlsafe(24)
        self._once = ""
        self._cookie = f"nnlab-{port}"
        self._sockets = 0

    def token_for_once(self) -> str:
        """Returns a token for one visit: other users of the machine see a browser's command line."""
        self._once = secrets.token_urlsafe(24)
        return self._once

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        else:
            await self._request(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        body = _Body(headers, receive)
        send = _with_headers(send, body)
        problem = self._stranger(headers, changes=scope["method"] not in ("GET", "HEAD"))
        if problem is not None:
            await PlainTextResponse(problem, 403)(scope, receive, send)
        elif scope["method"] == "GET" and self._has_token(scope):
            response = HTMLResponse(_ENTER, headers={"content-security-policy": _ENTER_POLICY})
            response.set_cookie(self._cookie, self.token, httponly=True, samesite="strict")
            await response(scope, receive, send)
        elif not self._is_known(scope):
            await PlainTextResponse(UNKNOWN, 403)(scope, receive, send)
        elif body.announced > BODY_BYTES:
            await PlainTextResponse(_TOO_LARGE, 413)(scope, receive, send)
        else:
            await self._app(scope, body.receive, send)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        known = self._stranger(headers, changes=True) is None and self._is_known(scope)
        if not known or self._sockets >= SOCKETS:
            await receive()
            await send({"type": "websocket.close", "code": 1008})  # before it is accepted: 403
            return
        self._sockets += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._sockets -= 1

    def _stranger(self, headers: Headers, *, changes: bool) -> str | None:
        """Returns why a request is not one of a page of this server; None where it may be one."""
        host = headers.get("host", "")
        if not self._is_ours(host):
            return "This lab is not to be reached by that name.\n"
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        if origin is not None or changes:
            if origin not in (f"http://{host}", f"https://{host}"):  # https: behind a proxy of the user's
                return "This lab answers to its own pages alone.\n"
        elif site not in ("none", "same-origin") and headers.get("sec-fetch-mode") != "navigate":
            return "This lab answers to its own pages alone.\n"
        return None

    def _is_ours(self, host: str) -> bool:
        """Tells whether a Host header names this machine; whatever the port: it may be forwarded."""
        name, colon, port = host.rpartition(":")
        if not colon or not port.isascii() or not port.isdigit():
            name = host
        if name.startswith("[") and name.endswith("]"):
            name = name[1:-1]
        if name.lower() in self._names:
            return True
        return self._any_address and _is_address(name)

    def _has_token(self, scope: Scope) -> bool:
        given = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=None).get("token", [""])[0]
        if self._once and _same(given, self._once):
            self._once = ""
            return True
        return _same(given, self.token)

    def _is_known(self, scope: Scope) -> bool:
        """Tells whether the cookie is there; those of other servers of this machine may be of any form."""
        return _same(HTTPConnection(scope).cookies.get(self._cookie, ""), self.token)


_TOO_LARGE = f"That is more than {BODY_BYTES / 2**20:.0f} MB.\n"


def _same(given: str, secret: str) -> bool:
    return hmac.compare_digest(given.encode(), secret.encode())


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class _Body:
    """The body of a request, of which neither the size nor the time has to be what its header says.

    Attributes:
        announced: bytes, as the header has it.
        unread: whether something of it may still come.
    """

    def __init__(self, headers: Headers, receive: Receive) -> None:
        length = headers.get("content-length", "0")
        known = length.isascii() and length.isdigit() and len(length) < 20
        self.announced = int(length) if known else BODY_BYTES + 1
        self.unread = self.announced > 0 or "transfer-encoding" in headers
        self._receive, self._size = receive, 0
        self._deadline = asyncio.get_running_loop().time() + BODY_SECONDS

    async def receive(self) -> Message:
        if not self.unread:  # what comes is the end of the connection, which may take its time
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(408, "The request took too long.") from None
        self._size += len(message.get("body", b""))
        if self._size > BODY_BYTES:
            raise HTTPException(413, _TOO_LARGE)
        self.unread = message.get("more_body", False)
        return message


def _with_headers(send: Send, body: _Body) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            if body.unread:  # else the server would read all that is still to come
                headers["connection"] = "close"
        await send(message)

    return sending
