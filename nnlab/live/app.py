"""The server's application: its addresses, and what stands behind them."""

import asyncio
import contextlib
import json
import shlex
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from nnlab.errors import ConfigError, ExperimentError, NnlabError
from nnlab.lab.config import FILE_BYTES, about, shipped_configs
from nnlab.live import playground
from nnlab.live.jobs import Jobs
from nnlab.live.pages import Pages
from nnlab.live.runs import COMPARED, Runs
from nnlab.page.build import TEMPLATES

STATIC = Path(__file__).parent / "static"
KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
READERS = 4
"""Threads that read run folders at the same time."""

PATIENCE = 1.0
"""Seconds that a person waits for the page of a run before being told that it is being made."""
MAKING = """<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>A page is being made – nnlab</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="/static/page.css">
<body><h1>The page of this run is being made</h1>
<p role="status">It opens here in a few seconds; a lecture takes longer than other runs.</p></html>
"""
PAGE_POLICY = (
    "sandbox allow-scripts allow-downloads allow-modals allow-popups; default-src 'none'; img-src data:; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'"
)
"""Of the page of a run: it has scripts of its own, and is kept apart from this server, as if from another."""


class Live:
    """What the addresses of runs answer.

    Args:
        runs: the folder of runs.
        say: tells the person at the terminal something.
    """

    def __init__(self, runs: Path, say: Callable[[str], None] = lambda text: None) -> None:
        self.runs = Runs(runs)
        self._say = say
        self._playground = playground.Playground(self.runs.root)
        self._files = _static_files()

    def application(self) -> Starlette:
        """The application. `Guard` must stand before it."""
        routes: list[BaseRoute] = [
            Route("/", lambda request: RedirectResponse("/runs", 303)),
            Route("/static/{name}", self._static),
            Route("/runs", partial(self._file, "runs.html")),
            Route("/runs/{key:path}/report", self._page),
            Route("/api/runs", self._list),
            Route("/api/curves", self._curves),
            Route("/api/differences", self._differences),
            Route("/api/configs", self._configs),
            Route("/api/configs/{name}", self._config),
            Route("/api/start", self._start, methods=["POST"]),
            Route("/api/stop", self._stop, methods=["POST"]),
            Route("/api/resume", self._resume, methods=["POST"]),
        ]
        routes += playground.routes(self._playground)
        return Starlette(routes=routes, lifespan=self._lifespan, exception_handlers=_HANDLERS)

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        with (
            ThreadPoolExecutor(READERS) as self._readers,
            tempfile.TemporaryDirectory(prefix="nnlab-view-") as folder,
        ):
            places = [Path(folder, name) for name in ("pages", "configs")]
            for place in places:
                place.mkdir()
            self._pages, self._jobs = Pages(places[0]), Jobs(self.runs, places[1])
            async with contextlib.AsyncExitStack() as ends:  # each, whatever becomes of the others
                ends.push_async_callback(self._end_jobs)
                ends.push_async_callback(self._pages.close)
                ends.push_async_callback(self._playground.close)
                await self._playground.start()
                yield

    async def _end_jobs(self) -> None:
        if self._jobs.going:
            self._say("stopping the runs that were started here, each after its step")
        for stopped in await self._jobs.close():
            self._say(f"stopped; go on with: nnlab train --resume {shlex.quote(stopped)}")

    # --- reading --------------------------------------------------------------------------------------

    async def _read(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Reads run folders in a thread: not more at a time than there are readers."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, function, *arguments)

    async def _json(self, request: Request, look: Callable[[], Any]) -> Response:
        """What `look` finds, as JSON; both in a thread."""
        content = await self._read(lambda: _as_json(look()))
        return _answer(request, content, "application/json")

    async def _static(self, request: Request) -> Response:
        return await self._file(request.path_params["name"], request)

    async def _file(self, name: str, request: Request) -> Response:
        """A file of the package: one that was there when the server started, by its name alone."""
        if name not in self._files:
            raise HTTPException(404, "There is no such page.")
        return _answer(request, self._files[name], KINDS[Path(name).suffix])

    async def _page(self, request: Request) -> Response:
        try:
            folder = await self._read(self.runs.folder, request.path_params["key"])
        except KeyError:
            raise HTTPException(404, "There is no such run.") from None
        patience = PATIENCE if _is_visit(request) else None
        try:
            async with asyncio.timeout(patience):
                page = await self._pages.page(folder)
        except TimeoutError:
            return HTMLResponse(MAKING, headers={"refresh": "1"})
        content = await self._read(page.read_bytes)
        return Response(content, media_type="text/html", headers={"content-security-policy": PAGE_POLICY})

    async def _list(self, request: Request) -> Response:
        jobs = self._jobs.states()
        return await self._json(
            request, lambda: {"root": str(self.runs.root), "runs": self.runs.rows(), "jobs": jobs}
        )

    async def _curves(self, request: Request) -> Response:
        keys, metric = _keys(request), request.query_params.get("metric")
        return await self._json(request, lambda: self.runs.curves(keys, metric))

    async def _differences(self, request: Request) -> Response:
        keys = _keys(request)
        return await self._json(request, lambda: self.runs.differences(keys))

    async def _configs(self, request: Request) -> Response:
        return await self._json(
            request, lambda: {name: about(path) for name, path in shipped_configs().items()}
        )

    async def _config(self, request: Request) -> Response:
        path = shipped_configs().get(request.path_params["name"])
        if path is None:
            raise HTTPException(404, "No config of that name is shipped.")
        return _answer(request, path.read_bytes(), "text/plain")

    # --- running --------------------------------------------------------------------------------------

    async def _start(self, request: Request) -> Response:
        wanted = await _wanted(request, {"config": str, "name": str, "seeds": int})
        if len(wanted["config"]) > FILE_BYTES:
            raise ConfigError("config: is too large")
        return JSONResponse((await self._jobs.start(**wanted)).state(), 201)

    async def _stop(self, request: Request) -> Response:
        wanted = await _wanted(request, {"job": int})
        return JSONResponse(self._jobs.stop(wanted["job"]).state())

    async def _resume(self, request: Request) -> Response:
        wanted = await _wanted(request, {"key": str})
        try:
            return JSONResponse((await self._jobs.resume(wanted["key"])).state(), 201)
        except KeyError:
            raise HTTPException(404, "There is no such run.") from None


def _static_files() -> dict[str, bytes]:
    """The files of the package that a browser may have: those of the live lab, and the frame of the page."""
    frame = [path for path in TEMPLATES.iterdir() if path.suffix in (".js", ".css")]
    return {path.name: path.read_bytes() for path in [*frame, *STATIC.iterdir()] if path.suffix in KINDS}


def _is_visit(request: Request) -> bool:
    """Tells whether a person looks at the answer, and not a script."""
    return request.headers.get("sec-fetch-mode") == "navigate"


def _keys(request: Request) -> list[str]:
    return request.query_params.getlist("run")[:COMPARED]


async def _wanted(request: Request, fields: Mapping[str, type]) -> dict[str, Any]:
    """The fields of a request's JSON. Raises HTTPException where they are others, or of other types."""
    try:
        content = json.loads(await request.body())
    except (ValueError, RecursionError):
        raise HTTPException(400, "The request holds no JSON.") from None
    if not isinstance(content, dict) or {k: type(v) for k, v in content.items()} != dict(fields):
        raise HTTPException(400, f"The request needs {', '.join(fields)}.")
    return content


def _as_json(content: Any) -> bytes:
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def _answer(request: Request, content: bytes, kind: str) -> Response:
    """The content, or the word that it is what the browser has."""
    tag = f'"{sha256(content).hexdigest()[:32]}"'
    headers = {"etag": tag, "cache-control": "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=kind, headers=headers)


async def _refused(request: Request, error: Exception) -> Response:
    return _message(request, str(error), 409 if isinstance(error, ExperimentError) else 422)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _message(request, error.detail, error.status_code, error.headers)


def _message(request: Request, text: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """What went wrong, as text for a person and as JSON for a script."""
    if _is_visit(request):
        return PlainTextResponse(f"{text}\n", status, headers)
    return JSONResponse({"message": text}, status, headers)


_HANDLERS: Any = {NnlabError: _refused, HTTPException: _http}
