"""`nnlab view` as a process: it answers, starts runs, and outlives whatever is sent to its port."""

import asyncio
import contextlib
import http.client
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from nnlab.errors import InputError
from nnlab.live import serve
from tests.command_line import nnlab
from tests.many_runs import run_folder, tree
from tests.served import Served, serving

if sys.platform == "win32":
    pytest.skip("signals and locks of run folders are those of POSIX", allow_module_level=True)

LONG = """\
experiment: classify
data: {name: blobs, examples: 60}
model: {name: mlp, hidden: [4]}
training: {epochs: 1000000}
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    runs = tmp_path_factory.mktemp("live") / "runs"
    run_folder(runs / "classify" / "one", rows=30)
    with serving(runs) as server:
        yield server
    assert server.said == ""  # whatever came, nothing went wrong inside


@pytest.fixture
def left_alone(served: Served) -> Iterator[None]:
    """Nothing in the runs is changed by a test."""
    before = tree(served.runs)
    yield
    assert tree(served.runs) == before
    assert served.alive


# --- reading --------------------------------------------------------------------------------------------


def test_pages_and_scripts_come_from_the_server_alone(served: Served, left_alone: None) -> None:
    status, page = served.ask("GET", "/runs")
    assert status == 200
    for word in page.decode().split('"'):
        assert "://" not in word
        if word.startswith("/static/"):
            assert served.ask("GET", word)[0] == 200, word
    assert served.ask("GET", "/runs", cookie="")[0] == 403


def test_a_report_is_made_beside_the_run_and_kept_apart_from_the_server(
    served: Served, left_alone: None
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    times = []
    for _ in range(2):
        began = time.perf_counter()
        connection.request("GET", "/runs/classify/one/report", headers={"cookie": served.cookie})
        answer = connection.getresponse()
        page = answer.read()
        times.append(time.perf_counter() - began)
        assert answer.status == 200
        assert b"<title>nnlab: one</title>" in page
        assert (answer.headers["content-security-policy"] or "").startswith("sandbox allow-scripts ")
    connection.close()
    assert times[1] < 0.2 < times[0]  # the second time it is kept


def test_an_answer_that_the_browser_has_is_not_sent_again(served: Served) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    connection.request("GET", "/static/runs.js", headers={"cookie": served.cookie})
    answer = connection.getresponse()
    answer.read()
    tag = answer.headers["etag"] or ""
    connection.close()
    assert served.ask("GET", "/static/runs.js", if_none_match=tag) == (304, b"")
    assert served.ask("GET", "/static/page.js", if_none_match=tag)[0] == 200


PATHS = [
    "/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/app.py", "/static//etc/passwd", "/static/",
    "/static/runs.js%00", "/../../../etc/passwd", "//etc/passwd", "/etc/passwd", "/static/.", "/%",
    "/runs/../../etc/passwd/report", "/runs/%2e%2e%2f%2e%2e%2fetc/report", "/runs//etc/report",
    "/runs/classify/one/../one/report", "/runs/~/report", "/runs/%ff%fe/report", "/runs/%00/report",
    "/runs/classify/one/s0/report", "/runs/classify/one/summary.json", "/runs/" + "a/" * 2000 + "report",
    "/api/configs/..%2f..%2fpyproject.toml", "/api/configs/%2fetc%2fpasswd",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_tricks_with_paths_find_nothing(served: Served, left_alone: None, path: str) -> None:
    head = f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncookie: {served.cookie}\r\nconnection: close\r\n\r\n"
    answer = served.raw(head.encode(), ends=False)
    assert answer.split(b" ", 2)[1] in (b"404", b"400"), answer[:200]
    assert b"root:" not in answer


def test_1000_requests_at_once_are_answered(served: Served, left_alone: None) -> None:
    async def ask(path: str) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(f"GET {path} HTTP/1.1\r\nhost: localhost\r\ncookie: {served.cookie}\r\n\r\n".encode())
        status = int((await reader.readline()).split()[1])
        writer.close()
        return status

    async def all_at_once() -> list[int]:
        paths = ["/api/runs", "/api/curves?run=classify/one", "/static/page.js", "/runs/classify/one/report"]
        return await asyncio.gather(*(ask(paths[i % 4]) for i in range(1000)))

    serve._allow_files()  # in this process, which has a thousand connections as well
    statuses = asyncio.run(all_at_once())
    assert set(statuses) <= {200, 503}
    assert statuses.count(200) >= 900


# --- what is no request ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\x00" * 1000, b"GET / HTTP/1.1\r\n\r\n", b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\nhost: localhost\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
        b"POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nhost: localhost\r\n" + b"x: " + b"a" * 100 + b"\r\n" * 2000,
        b"CONNECT evil.example:80 HTTP/1.1\r\nhost: evil.example\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nhost: evil.example\r\n\r\n", b"\r\n" * 10_000,
    ],
    ids=range(13),
)  # fmt: skip
def test_what_is_no_request_is_refused(served: Served, left_alone: None, content: bytes) -> None:
    answer = served.raw(content)
    assert not answer.startswith(b"HTTP/1.1 200")
    assert b"nnlab-" not in answer


@pytest.mark.parametrize("header", [f"content-length: {2**30}", "transfer-encoding: chunked"])
def test_an_upload_of_a_gigabyte_is_cut_off(served: Served, left_alone: None, header: str) -> None:
    """Announced or in chunks: it ends long before it is all there, and takes no memory."""
    before = _memory(served.process.pid)
    orders = [("/api/start", served.cookie), ("/nowhere", served.cookie), ("/api/start", "none")]
    for path, cookie in orders:
        known = f"host: localhost\r\norigin: http://localhost\r\ncookie: {cookie}"
        head = f"POST {path} HTTP/1.1\r\n{known}\r\n"
        block = b"x" * 2**20
        chunk = block if "length" in header else b"100000\r\n" + block + b"\r\n"
        sent = 0
        with socket.create_connection(("127.0.0.1", served.port), 20) as connection:
            connection.sendall(f"{head}{header}\r\n\r\n".encode())
            with contextlib.suppress(OSError):
                while sent < 1024:
                    connection.sendall(chunk)
                    sent += 1
        assert sent < 200, (path, cookie)
    assert _memory(served.process.pid) - before < 100 * 2**20


def _memory(process: int) -> int:
    """Bytes that a process has; 0 where the system does not say."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


BODIES = [
    b"", b"\x00\xff" * 5000, b"<script>alert(1)</script>", b"[" * 100_000, b"{}", b"null", b'{"job": true}',
    b'{"job": 1e400}', b'{"key": 5}', b'{"config": "", "name": "", "seeds": 1, "more": 1}',
    b'{"job": ' + b"9" * 5000 + b"}",
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_orders_that_are_none_are_refused(served: Served, left_alone: None, body: bytes) -> None:
    for path in ("/api/start", "/api/stop", "/api/resume"):
        assert served.ask("POST", path, body)[0] in (400, 404, 422)
        assert served.ask("GET", path)[0] == 405
    assert served.json("GET", "/api/runs")["jobs"] == []


def test_frames_that_are_none_end_their_socket_alone(served: Served, left_alone: None) -> None:
    """Whether or not there is such a socket."""
    head = (
        "GET /ws/playground HTTP/1.1\r\nhost: localhost\r\norigin: http://localhost\r\n"
        f"cookie: {served.cookie}\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        "sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    frames = (b"\xff" * 3000, b"\x81\xff" + b"\xff" * 8, b"\x81\x85abcd" + b"\xff" * 5, b"\x00" * 999)
    for frame in frames:
        assert served.raw(head.encode() + frame)[:12] in (b"HTTP/1.1 101", b"HTTP/1.1 403", b"HTTP/1.1 404")


def test_connections_that_ask_for_nothing_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "FIRST_SECONDS", 0.3)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    async def closes(port: int, *parts: bytes) -> float:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for part in parts:
            writer.write(part)
            await asyncio.sleep(0.1)
        began = time.perf_counter()
        while await asyncio.wait_for(reader.read(1000), 20):
            pass
        writer.close()
        return time.perf_counter() - began

    async def waits() -> list[float]:
        config = uvicorn.Config(
            app, port=0, http=serve.Patient, log_config=None, lifespan="off", timeout_keep_alive=2
        )
        server = uvicorn.Server(config)
        task = asyncio.create_task(server._serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        whole = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"
        sent = ((), (b"GET / HT",), (whole, b"GET /"), (whole,))
        times = await asyncio.gather(*(closes(port, *parts) for parts in sent))
        server.should_exit = True
        await task
        return times

    nothing, part, second, idle = asyncio.run(waits())
    assert max(nothing, part, second) < 1 < idle < 5


# --- running --------------------------------------------------------------------------------------------


def job_of(number: int) -> Any:
    return lambda answer: next((job for job in answer["jobs"] if job["job"] == number and job["key"]), None)


def ended(number: int) -> Any:
    return lambda answer: next(
        (job for job in answer["jobs"] if job["job"] == number and not job["going"]),
        None,
    )


def test_a_run_is_started_stopped_and_resumed_and_no_other(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    run_folder(runs / "classify" / "other", status="interrupted")
    before = tree(runs / "classify" / "other")
    with serving(runs) as served:
        started = served.json("POST", "/api/start", {"config": LONG, "name": "blobs", "seeds": 1})
        key = served.wait("no folder", job_of(started["job"]))["key"]
        assert served.json("POST", "/api/stop", {"job": started["job"]})["state"] == "stopping"
        job = served.wait("it goes on", ended(started["job"]))
        assert job["state"] == "stopped"
        assert "go on with" in job["said"][-1]
        rows = {row["key"]: row for row in served.json("GET", "/api/runs")["runs"]}
        assert (rows[key]["name"], rows[key]["status"]) == ("blobs", "interrupted")

        again = served.json("POST", "/api/resume", {"key": key})
        served.wait("it does not run", lambda answer: [r for r in answer["runs"] if r["status"] == "running"])
        assert served.ask("POST", "/api/resume", {"key": key})[0] == 422  # it runs
        assert served.ask("POST", "/api/resume", {"key": "classify/other"})[0] == 422  # not started here
        assert served.ask("POST", "/api/resume", {"key": "../x"})[0] == 422
        assert served.ask("POST", "/api/stop", {"job": 77})[0] == 422
        served.process.send_signal(signal.SIGINT)  # ends the run as well
        _, said = served.process.communicate(timeout=60)
        assert served.process.returncode == 0
        assert f"go on with: nnlab train --resume {runs / key}" in said
        assert "Traceback" not in said
    assert again["job"] == started["job"] + 1
    assert json.loads((runs / key / "summary.json").read_text())["status"] == "interrupted"
    assert tree(runs / "classify" / "other") == before


# --- the command ----------------------------------------------------------------------------------------


def test_a_port_that_is_taken_is_told_or_another_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(InputError, match="taken by another program; leave --port out"):
            serve.listen("127.0.0.1", taken)
    with (
        contextlib.closing(serve.listen("127.0.0.1", None)) as first,
        contextlib.closing(serve.listen("127.0.0.1", None)) as second,
    ):
        assert first.getsockname()[0] == "127.0.0.1"
        assert first.getsockname() != second.getsockname()


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.7", "\x00", "a" * 300])
def test_a_host_that_is_not_this_machine_is_told(host: str) -> None:
    with pytest.raises(InputError, match="--host"):
        serve.listen(host, None)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("localhost", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("", False),
        ("lab.example", False),
    ],
)
def test_who_can_reach_a_host(host: str, local: bool) -> None:
    assert serve.is_local(host) is local


def test_another_host_is_warned_of() -> None:
    said = nnlab("view", "--host", "no.such.host.invalid")
    assert said.code == 2
    assert "nothing is encrypted on the way" in said.err
    assert "is no address of this machine" in said.err


def test_a_run_or_a_file_is_no_folder_of_runs(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run")
    assert "is a run" in nnlab("view", run).err
    assert "is no folder" in nnlab("view", run / "summary.json").err
