"""Who may ask the live lab: each way in from another page, another name or without the token is refused."""

from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from nnlab.live import guard as guarding
from nnlab.live.guard import Guard
from tests.asgi import OWN, Browser


async def echo(request: Request) -> Response:
    return PlainTextResponse(f"{len(await request.body())} bytes")


async def talk(socket: WebSocket) -> None:
    await socket.accept()


def guarded(any_address: bool = False) -> Guard:
    routes = [Route("/", echo, methods=["GET", "POST"]), WebSocketRoute("/ws", talk)]
    return Guard(Starlette(routes=routes), port=8765, any_address=any_address)


@pytest.fixture
def guard() -> Guard:
    return guarded()


@pytest.fixture
def stranger(guard: Guard) -> Browser:
    return Browser(guard)


@pytest.fixture
def known(guard: Guard) -> Browser:
    """A browser that has opened the address with the token."""
    browser = Browser(guard)
    assert browser.get(f"/?token={guard.token}").status == 200
    return browser


def test_the_token_becomes_a_cookie_that_neither_scripts_nor_other_sites_get(
    guard: Guard, stranger: Browser
) -> None:
    answer = stranger.get(f"/?token={guard.token}")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("nnlab-8765=")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert guard.token not in answer.text


def test_the_address_forgets_the_token_without_naming_a_place(guard: Guard, stranger: Browser) -> None:
    """A path such as //example.org must not lead there: the page takes its own address, without the token."""
    answer = stranger.get(f"//example.org/?token={guard.token}")
    assert answer.status == 200
    assert "example.org" not in answer.text
    assert "unsafe-inline" not in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    "query", ["", "?token=", "?token=wrong", "?token=%00", "?token=%ff", "?token=a&token=b"]
)
def test_without_the_token_nothing_is_told(stranger: Browser, query: str) -> None:
    answer = stranger.get(f"/{query}")
    assert (answer.status, answer.text) == (403, guarding.UNKNOWN)
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "cookie", ["nnlab-8765=wrong", "nnlab-8765", "nnlab-8766={token}", "=;;;\x01", "a" * 9999]
)
def test_another_cookie_does_not_open(guard: Guard, stranger: Browser, cookie: str) -> None:
    assert stranger.get("/", cookie=cookie.format(token=guard.token)).status == 403


def test_cookies_of_other_servers_do_not_shut_anyone_out(guard: Guard, stranger: Browser) -> None:
    cookie = f'a="b;c"; {{"x": [1]}}; é=\x01; nnlab-8765={guard.token}; @=,'
    assert stranger.get("/", cookie=cookie).status == 200


def test_a_token_for_once_opens_once(guard: Guard) -> None:
    token = guard.token_for_once()
    assert [Browser(guard).get(f"/?token={token}").status for _ in range(2)] == [200, 403]


def test_a_token_is_no_permission_to_change_anything(guard: Guard, stranger: Browser) -> None:
    assert stranger.post(f"/?token={guard.token}").status == 403


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:8765", "127.0.0.1.evil.example", "localhost.evil.example", "", ":8765",
        "127.0.0.1:8765@evil.example", "[::1", "192.168.0.1", "2130706433", "127.1", "evil.example:80:8765",
        "127.0.0.1:8765:8765", "localhost:x", "localhost\x00",
    ],
)  # fmt: skip
def test_a_name_that_leads_here_is_not_ours(guard: Guard, known: Browser, host: str) -> None:
    assert known.get("/", host=host).status == 403
    assert known.post("/", host=host, origin=f"http://{host}").status == 403
    assert not known.connects("/ws", host=host, origin=f"http://{host}")
    assert Browser(guard).get(f"/?token={guard.token}", host=host).status == 403


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:9000", "LOCALHOST", "[::1]:8765"])
def test_names_of_this_machine_are_ours_whatever_port_is_forwarded(known: Browser, host: str) -> None:
    assert known.get("/", host=host).status == 200


def test_another_host_takes_addresses_but_no_names() -> None:
    guard = guarded(any_address=True)
    browser = Browser(guard)
    browser.get(f"/?token={guard.token}")
    hosts = ("192.168.0.7:8765", "[fe80::1]:8765", "evil.example", "127.1")
    assert [browser.get("/", host=host).status for host in hosts] == [200, 200, 403, 403]


ORIGINS = ["http://evil.example", "null", "", "http://127.0.0.1:3000", "http://localhost:8765", f"{OWN}/"]


@pytest.mark.parametrize("origin", ORIGINS)
def test_pages_of_others_change_nothing(known: Browser, origin: str) -> None:
    assert known.post("/", origin=origin).status == 403
    assert known.get("/", origin=origin).status == 403
    assert not known.connects("/ws", origin=origin)


def test_what_changes_something_says_where_it_comes_from(known: Browser) -> None:
    assert [known.ask(method, "/").status for method in ("POST", "PUT", "DELETE", "OPTIONS")] == [403] * 4
    assert not known.connects("/ws")
    assert known.post("/").status == 200


@pytest.mark.parametrize(
    ("site", "mode", "status"),
    [
        ("cross-site", "no-cors", 403), ("same-site", "no-cors", 403), ("cross-site", "cors", 403),
        ("same-origin", "cors", 200), ("none", "navigate", 200), ("cross-site", "navigate", 200),
    ],
)  # fmt: skip
def test_other_sites_may_link_here_but_not_load(known: Browser, site: str, mode: str, status: int) -> None:
    assert known.get("/", sec_fetch_site=site, sec_fetch_mode=mode).status == status


def test_a_socket_needs_the_cookie(stranger: Browser, known: Browser) -> None:
    assert known.connects("/ws", origin=OWN)
    assert not stranger.connects("/ws", origin=OWN)


def test_sockets_at_once_have_a_limit(known: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarding, "SOCKETS", 0)
    assert not known.connects("/ws", origin=OWN)


@pytest.mark.parametrize("length", [str(10**9), "9" * 30, "-1", "x"])
def test_a_body_that_is_announced_too_large_is_not_read(known: Browser, length: str) -> None:
    assert known.post("/", content_length=length).status == 413


def test_a_body_that_is_larger_than_announced_is_cut_off(
    known: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarding, "BODY_BYTES", 1000)
    read = list[int]()

    def blocks() -> Iterator[bytes]:
        for number in range(10**6):
            read.append(number)
            yield b"x" * 100

    assert known.ask("POST", "/", blocks(), {"origin": OWN, "content-length": "5"}).status == 413
    assert len(read) == 11
    assert known.post("/", b"x" * 1000).text == "1000 bytes"


def test_a_body_that_does_not_come_is_not_waited_for(known: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarding, "BODY_SECONDS", 0.05)
    headers = {"origin": OWN, "content-length": "5"}
    answer = known.ask("POST", "/", [b"a", b""], headers)
    assert (answer.status, answer.headers["connection"]) == (408, "close")


def test_only_an_answer_before_the_end_of_a_body_ends_the_connection(
    known: Browser, stranger: Browser
) -> None:
    assert "connection" not in known.post("/", b"whole").headers
    assert "connection" not in stranger.get("/").headers
    assert stranger.post("/", b"unread").headers["connection"] == "close"
    assert known.post("/nowhere", b"unread").headers["connection"] == "close"


def test_every_answer_says_what_a_browser_may_do_with_it(stranger: Browser, known: Browser) -> None:
    answers = [known.get("/"), known.get("/nowhere"), stranger.get("/"), known.ask("POST", "/")]
    assert [answer.status for answer in answers] == [200, 404, 403, 403]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "frame-ancestors 'none'" in policy
