"""The playground: one experiment that all tabs see, trained by a child process, predicted by another one."""

import asyncio
import contextlib
import json
import math
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from nnlab.errors import InputError
from nnlab.live import presets
from nnlab.live.process import Child
from nnlab.live.recording import Recording
from nnlab.live.state import State
from nnlab.live.wire import header_of

PAGE = Path(__file__).parent / "static" / "playground.html"
ROWS = 20_000
"""The most rows of the loss that are kept; beyond it every other one is dropped."""
PACES = (1, 5, 25, 100, 0)
"""Steps a second that can be chosen; 0 for as many as possible."""
TABLE = 4 * 2**20
"""Bytes of a table that is dropped in."""


@dataclass(eq=False)
class Listener:
    """A tab: what it has not been sent yet.

    Attributes:
        texts: messages, in order.
        packets: packets by their kind, of each the last one: a slow tab misses frames, nothing else.
        rows: how many rows it has.
    """

    texts: list[str] = field(default_factory=list)
    packets: dict[str, bytes] = field(default_factory=dict)
    rows: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)


class Playground:
    """Owns the state of the experiment, the processes, and who listens.

    Args:
        runs: the folder that kept runs go to.
    """

    def __init__(self, runs: Path) -> None:
        self.runs = runs
        self.state = State(presets.ALL[0].yaml)
        self.recording = Recording()
        self._listeners: set[Listener] = set()
        self._awake = False
        self._number = 0  # of the experiment: what children say of another one is out of date
        self._status: dict[str, Any] = {"state": "starting"}
        self._pace = 0
        self._rows: list[dict[str, Any]] = []
        self._packets: dict[str, bytes] = {}
        self._note = ""
        self._worker = Child("nnlab.live.worker", self._take, self._worker_died)
        self._forecaster = Child("nnlab.live.forecast", self._take, self._forecaster_died)
        self._tables: list[asyncio.Future[dict[str, Any]]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Makes room for files; the processes start when somebody opens the page."""
        self._files = tempfile.TemporaryDirectory(prefix="nnlab-playground-")

    async def wake(self) -> None:
        """Starts the processes unless they run, and loads the experiment."""
        if not self._awake:
            self._awake = True
            await self._worker.start()
            await self._forecaster.start()
            self._load(run=False)

    async def close(self) -> None:
        """Ends the processes."""
        for task in list(self._tasks):
            task.cancel()
        await self._worker.close()
        await self._forecaster.close()
        self._files.cleanup()

    # --- the experiment -------------------------------------------------------------------------------

    def _load(self, *, run: bool) -> None:
        """Begins the experiment of the state from its start."""
        self._number += 1
        self._status = {"state": "running" if run else "paused"}
        self._rows.clear()
        self._packets.clear()
        self.recording.clear()
        for listener in self._listeners:
            listener.packets.clear()
            listener.rows = 0
        text = self.state.yaml
        self._worker.send({"do": "load", "yaml": text, "number": self._number, "run": run})
        self._worker.send({"do": "pace", "steps": self._pace})
        self._forecaster.send({"do": "load", "yaml": text, "number": self._number})
        self._tell("begin", number=self._number)
        self._tell_state()

    def do(self, command: dict[str, Any]) -> None:
        """Does what a tab asks for. Raises InputError for what cannot be done."""
        running = self._status["state"] == "running"
        match command:
            case {"do": "set", "values": dict(values)}:
                self._changed(lambda: self.state.change(values), run=running)
            case {"do": "yaml", "text": str(text)}:
                self._changed(lambda: self.state.replace(text), run=running)
            case {"do": "address", "text": str(text)}:
                self._changed(lambda: self.state.take_address(text), run=False)
            case {"do": "preset", "name": str(name)}:
                preset = presets.find(name)
                self._changed(lambda: self.state.replace(preset.yaml), run=False)
            case {"do": "seed"}:
                self._changed(lambda: self.state.change({"seed": self.state.config.seed + 1}), run=running)
            case {"do": "reset"}:
                self._load(run=False)
            case {"do": "start" | "pause" | "step" as order}:
                self._worker.send({"do": order})
            case {"do": "pace", "steps": int(steps)} if steps in PACES:
                self._pace = steps
                self._worker.send({"do": "pace", "steps": steps})
                self._tell_state()
            case _:
                raise InputError("the playground does not know this command")

    def _changed(self, change: Any, *, run: bool) -> None:
        """Changes the state, and begins anew where that is another experiment."""
        before, troubled = self.state.config, bool(self.state.errors)
        change()
        if self.state.config != before or (troubled and not self.state.errors):
            self._load(run=run)
        else:
            self._tell_state()

    # --- what the processes say -----------------------------------------------------------------------

    def _take(self, content: bytes) -> None:
        header = header_of(content)
        kind = header["kind"]
        if kind == "table":
            if self._tables:
                self._tables.pop(0).set_result(header)
            return
        if kind == "ready" or header["number"] != self._number:
            return
        if kind == "rows":
            self._rows += header["rows"]
            if len(self._rows) > ROWS:
                self._thin()
            self._wake()
        elif kind == "state":
            known = ("state", "message", "metrics", "best_epoch")
            self._status = {key: header[key] for key in known if key in header}
            self._tell_state()
        elif kind == "refused":
            self._status = {"state": "refused"}
            self.state.refuse(header["message"])
            self._tell_state()
        else:
            if kind == "loaded":  # once more from the start, perhaps after an end
                self._rows.clear()
                self.recording.clear()
                for listener in self._listeners:
                    listener.rows = 0
            self._packets[kind] = content
            self.recording.add(kind, content)
            if kind == "frame":
                self._rows.append({"split": "weights", "step": header["step"], "moved": header["moved"]})
            for listener in self._listeners:
                listener.packets[kind] = content
            self._wake()

    def _thin(self) -> None:
        self._rows = self._rows[:2] + self._rows[2::2]
        for listener in self._listeners:
            listener.rows = 0

    def _worker_died(self, reason: str) -> None:
        self._note = (
            f"The process that trains {reason}. It was started again, and the experiment is at its start."
        )
        for future in self._tables:
            future.set_result({"message": self._note})
        self._tables.clear()
        self._load(run=False)

    def _forecaster_died(self, reason: str) -> None:
        self._note = f"The process that predicts {reason}. It was started again."
        self._tell_state()

    # --- who listens ----------------------------------------------------------------------------------

    def _state_text(self) -> str:
        status = {**self._status, "pace": self._pace, "number": self._number, "note": self._note}
        status["preset"] = presets.name_of(self.state.config)
        return json.dumps({"kind": "state", **self.state.as_dict(), **status})

    def _tell_state(self) -> None:
        text = self._state_text()
        for listener in self._listeners:
            listener.texts.append(text)
        self._wake()

    def _tell(self, kind: str, **content: Any) -> None:
        text = json.dumps({"kind": kind, **content})
        for listener in self._listeners:
            listener.texts.append(text)
        self._wake()

    def _wake(self) -> None:
        for listener in self._listeners:
            listener.news.set()

    async def serve(self, socket: WebSocket) -> None:
        """Serves a tab until it is closed."""
        await socket.accept()
        await self.wake()
        listener = Listener(texts=[self._state_text()], packets=dict(self._packets))
        listener.news.set()
        self._listeners.add(listener)
        sending = asyncio.create_task(self._send(socket, listener))
        try:
            while True:
                try:
                    command = json.loads(await socket.receive_text(), parse_constant=_no_number)
                    self._note = ""
                    self.do(command)
                except (InputError, ValueError) as error:
                    listener.texts.append(json.dumps({"kind": "trouble", "message": str(error)}))
                    listener.news.set()
        except (WebSocketDisconnect, RuntimeError, KeyError):
            pass
        finally:
            self._listeners.discard(listener)
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await sending

    async def _send(self, socket: WebSocket, listener: Listener) -> None:
        while True:
            await listener.news.wait()
            listener.news.clear()
            texts, listener.texts = listener.texts, []
            for text in texts:
                await socket.send_text(text)
            for kind in ("loaded", "forecast"):
                if (content := listener.packets.pop(kind, None)) is not None:
                    await socket.send_bytes(content)
            if listener.rows < len(self._rows):
                first, listener.rows = listener.rows, len(self._rows)
                rows = self._rows[first:]
                await socket.send_text(json.dumps({"kind": "rows", "first": first, "rows": _finite(rows)}))
            if (frame := listener.packets.pop("frame", None)) is not None:
                await socket.send_bytes(frame)

    # --- out of it ------------------------------------------------------------------------------------

    async def keep(self, name: str) -> None:
        """Trains the experiment once more, by `nnlab train`, into a folder of the runs.

        One that has not come to its end is kept up to where it is.
        """
        path = Path(tempfile.mkdtemp(dir=self._files.name), "playground.yaml")
        path.write_text(self.state.yaml, "utf-8")
        words = ["train", "--config", str(path), "--runs", str(self.runs), "--quiet", "--json"]
        done = max((row["epoch"] for row in self._rows if row["split"] == "train"), default=0)
        if done and self.state.config.optimizer.schedule.name == "constant":
            words += ["--set", f"training.epochs={done}"]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "nnlab", *words, *(["--set", f"name={json.dumps(name)}"] if name else []),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            out, problem = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            raise
        if process.returncode == 0:
            folder = Path(json.loads(out)["run_dir"]).relative_to(self.runs.resolve())
            self._tell("kept", run=str(folder))
        else:
            self._tell("kept", message=problem.decode("utf-8", "replace").strip()[-1000:])

    def begin_keeping(self, name: str) -> None:
        """Keeps the experiment as a run, and tells all tabs when that is done."""
        task = asyncio.create_task(self.keep(name))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def table(self, name: str, content: bytes, keys: dict[str, Any]) -> dict[str, Any]:
        """Reads a table that was dropped in: its points, or what is wrong with it."""
        await self.wake()
        with tempfile.NamedTemporaryFile(dir=self._files.name, suffix=".csv", delete=False) as file:
            file.write(content)
        future = asyncio.get_running_loop().create_future()
        self._tables.append(future)
        self._worker.send({"do": "table", "path": file.name, "name": name, "keys": keys})
        try:
            found: dict[str, Any] = await future
        finally:
            Path(file.name).unlink(missing_ok=True)
        return found


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number of a command")


def _finite(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows as JSON can hold them."""
    return [
        {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
        for row in rows
    ]


def routes(playground: Playground) -> list[BaseRoute]:
    """The addresses of the playground. What stands before them checks who asks, and how much."""

    async def page(request: Request) -> Response:
        await playground.wake()
        return HTMLResponse(PAGE.read_bytes())

    async def state(request: Request) -> Response:
        return JSONResponse({**playground.state.as_dict(), "presets": presets.as_dicts(), **choices()})

    async def yaml(request: Request) -> Response:
        name = {"content-disposition": 'attachment; filename="playground.yaml"'}
        return PlainTextResponse(playground.state.yaml, headers=name, media_type="text/yaml")

    async def keep(request: Request) -> Response:
        name = str((await _json(request)).get("name", ""))[:100]
        playground.begin_keeping(name)
        return JSONResponse({}, 202)

    async def gif(request: Request) -> Response:
        content = await asyncio.to_thread(playground.recording.gif)
        name = {"content-disposition": 'attachment; filename="training.gif"'}
        return Response(content, media_type="image/gif", headers=name)

    async def csv(request: Request) -> Response:
        content = await request.body()
        if len(content) > TABLE:
            return JSONResponse({"message": f"a table here has at most {TABLE // 2**20} MB"}, 413)
        query = request.query_params
        keys: dict[str, Any] = {
            "target": query.get("target", ""),
            "task": query.get("task", "classification"),
        }
        if columns := query.getlist("column"):
            keys["columns"] = columns
        found = await playground.table(query.get("name", "the table"), content, keys)
        return JSONResponse(found)  # also where the table has a mistake: that is what was asked for

    return [
        Route("/playground", page),
        Route("/api/playground/state", state),
        Route("/api/playground/yaml", yaml),
        Route("/api/playground/keep", keep, methods=["POST"]),
        Route("/api/playground/gif", gif),
        Route("/api/playground/csv", csv, methods=["POST"]),
        WebSocketRoute("/ws/playground", playground.serve),
    ]


async def _json(request: Request) -> dict[str, Any]:
    try:
        content = json.loads(await request.body() or b"{}")
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def choices() -> dict[str, Any]:
    """The names that the form offers."""
    from typing import get_args

    from nnlab.lab import sections
    from nnlab.live.state import DATA, OPTIMIZERS

    return {
        "choices": {
            "data.name": DATA,
            "data.function": sections.FUNCTION_NAMES,
            "model.activation": get_args(sections.ActivationName),
            "optimizer.name": OPTIMIZERS,
        },
        "paces": PACES,
    }
