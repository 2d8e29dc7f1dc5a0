"""The playground: YAML that `nnlab train` runs to the same numbers; its processes, and what it gives out."""

import contextlib
import http.client
import io
import json
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import uvicorn
from PIL import Image
from starlette.applications import Starlette
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from nnlab.chapters.experiments import EXPERIMENTS
from nnlab.lab.config import check
from nnlab.lab.runner import run
from nnlab.lab.session import Session
from nnlab.lab.source import Source, parse_yaml
from nnlab.lab.training_run import build_parts, train
from nnlab.live import presets
from nnlab.live.forecast import Forecast
from nnlab.live.playground import Playground, routes
from nnlab.live.state import State, parsed, to_yaml
from nnlab.live.wire import arrays_of, header_of, packet
from nnlab.live.worker import Training, Worker
from nnlab.record.writing import MetricsLog

SMALL = """
experiment: classify
data: {name: xor, examples: 30, noise: 0.1, validation: 0.2, batch_size: 7}
model: {name: mlp, hidden: [4, 3], activation: [tanh, relu]}
loss: {name: cross_entropy, regularization: {name: l2, strength: 0.001}}
optimizer: {name: sgd, lr: 0.2, momentum: 0.5}
training: {epochs: 6, device: cpu, precision: float32}
"""
LINE = """
experiment: regress
data: {name: regression_1d, function: sin(3*x), examples: 9, noise: 0, validation: 0, batch_size: full}
model: {name: mlp, hidden: [64], activation: erf, parameterization: ntk}
loss: {name: squared_error}
optimizer: {name: sgd, lr: 0.2}
training: {epochs: 40, device: cpu, precision: float32}
"""


# --- packets ---------------------------------------------------------------------------------------------


def test_packets_hold_what_was_packed() -> None:
    arrays: dict[str, Any] = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.array([1, 255], np.uint8),
    }
    content = packet("frame", {"step": 3, "text": "ηλ"}, **arrays, empty=np.zeros((0, 2), np.int8))
    assert (header_of(content)["step"], header_of(content)["text"]) == (3, "ηλ")
    found = arrays_of(content)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    assert found["empty"].shape == (0, 2)


# --- the state -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", presets.ALL, ids=lambda preset: preset.name)
def test_presets_are_configs_of_the_lab(preset: presets.Preset) -> None:
    config = parsed(preset.yaml)
    assert parsed(to_yaml(config)) == config
    lab = check(Source(where="", text="", values=parse_yaml(to_yaml(config), "")), EXPERIMENTS)
    assert lab.model_dump() == config.model_dump()
    state = State(SMALL)
    state.take_address("#" + State(preset.yaml).address())
    assert (state.errors, state.config) == ({}, config)


@pytest.mark.parametrize(
    ("changes", "key", "message"),
    [
        ({"optimizer.lr": -1}, "optimizer.lr", "optimizer.lr: -1 must be greater than 0"),
        ({"optimizer.lr": "fast"}, "optimizer.lr", "optimizer.lr: fast must be a valid number"),
        ({"model.hidden": [4, 0]}, "model.hidden.1", "model.hidden.1: 0 must be greater than or equal to 1"),
        ({"model.activation": ["relu"]}, "model.activation", "has 1 names, but hidden: 2 layers"),
        ({"data.name": "digits"}, "data.name", "digits: nnlab train runs it, the playground does not"),
        ({"data.examples": 10**6}, "data.examples", "at most 5,000"),
        ({"model.hidden": [3000, 3000]}, "model.hidden", "at most 8 layers"),
        ({"data.name": "regression_1d", "data.function": "sin("}, "data.function", "is no function of x"),
        ({"nothing": 1}, "nothing", "unknown key nothing"),
    ],
)  # fmt: skip
def test_a_wrong_field_has_the_message_of_yaml(changes: dict[str, Any], key: str, message: str) -> None:
    state, before = State(SMALL), parsed(SMALL)
    state.change(changes)
    assert list(state.errors) == [key]
    assert message in state.errors[key]
    assert state.config == before
    for name, value in changes.items():
        shown = state.as_dict()["values"]
        for part in name.split("."):
            shown = shown[part]
        assert shown == value
    state.change(dict.fromkeys(changes) | {"data.name": "xor"})
    state.replace(SMALL)
    assert state.errors == {}


def test_other_data_bring_the_experiment_and_the_loss_along() -> None:
    state = State(SMALL)
    state.change({"data.name": "regression_1d"})
    assert (state.config.experiment, state.config.loss.name, state.errors) == ("regress", "squared_error", {})
    assert state.config.loss.regularization.strength == 0.001
    state.change({"data.name": "spirals", "data.classes": 3})
    assert (state.config.experiment, state.config.data.name, state.errors) == ("classify", "spirals", {})
    state.change({"optimizer.name": "adam"})
    assert (state.config.optimizer.name, state.errors) == ("adam", {})


@pytest.mark.parametrize(
    "address", ["x", "a=b&a.b=c", "data=1&data.name=xor", "experiment=lecture", "%ff=%00", "=", "a" * 9999]
)
def test_an_address_that_is_none_changes_nothing(address: str) -> None:
    state = State(SMALL)
    state.take_address(address)
    assert state.errors
    assert state.config == parsed(SMALL)


# --- the same numbers ------------------------------------------------------------------------------------


class Told:
    """A channel whose commands are given, and whose packets are kept."""

    def __init__(self, *commands: dict[str, Any] | None) -> None:
        self.left, self.packets = list(commands), list[bytes]()

    def send(self, content: bytes) -> None:
        self.packets.append(content)

    def wait(self, seconds: float | None = None) -> dict[str, Any] | None:
        if not self.left:
            if seconds is None:
                raise EOFError
            return None
        return self.left.pop(0)

    def commands(self) -> list[dict[str, Any]]:
        """At each look one, or none where the next is None."""
        found = self.left.pop(0) if self.left else None
        return [] if found is None else [found]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [header for header in map(header_of, self.packets) if header["kind"] == kind]


def rows_of(told: Told, number: int) -> list[dict[str, Any]]:
    rows = [row for header in told.of("rows") if header["number"] == number for row in header["rows"]]
    return [row for row in rows if row["step"] > 0]


POINTS = """
experiment: classify
data: {name: points, points: [[-1, -1, 0], [1, 1, 0], [-1, 1, 1], [1, -1, 2]], batch_size: full}
model: {name: mlp, hidden: [5], activation: maxout}
optimizer: {name: adam, lr: 0.01}
training: {epochs: 5, device: cpu, precision: float32}
"""


@pytest.mark.parametrize("text", [SMALL, LINE, POINTS], ids=["minibatch", "line", "points"])
def test_metrics_are_those_of_nnlab_train_byte_for_byte(text: str, tmp_path: Path) -> None:
    """Paused, stepped and gone on: the rows are those of the run that the state's YAML makes."""
    state = State(text)
    yaml = state.as_dict()["yaml"]
    interrupted: list[dict[str, Any] | None] = [
        {"do": "load", "yaml": yaml, "number": 1, "run": False},
        {"do": "step"}, {"do": "step"}, {"do": "start"}, None, {"do": "pause"}, {"do": "start"},
    ]  # fmt: skip
    told = Told(*interrupted)
    with pytest.raises(EOFError):
        Worker(told).run()  # type: ignore[arg-type]
    assert told.of("state")[-1]["state"] == "finished"
    log = MetricsLog(tmp_path / "metrics.jsonl")
    for row in rows_of(told, 1):
        log.write(row)
    log.close()
    config = check(Source(where="", text="", values=parse_yaml(yaml, "")), EXPERIMENTS)
    summary = run(config, tmp_path / "runs", Session(experiments=EXPERIMENTS))
    kept = Path(summary["run_dir"], "metrics.jsonl")
    assert (tmp_path / "metrics.jsonl").read_bytes() == kept.read_bytes()
    assert told.of("state")[-1]["metrics"].items() <= summary["metrics"].items()


def test_another_experiment_ends_the_one_that_goes_on() -> None:
    told = Told(
        {"do": "load", "yaml": SMALL, "number": 1, "run": True}, None, None,
        {"do": "load", "yaml": LINE, "number": 2, "run": True},
    )  # fmt: skip
    with pytest.raises(EOFError):
        Worker(told).run()  # type: ignore[arg-type]
    assert [header["task"] for header in told.of("loaded")] == ["classification", "regression"]
    assert len(rows_of(told, 2)) == 41
    assert told.of("state")[-1] == {**told.of("state")[-1], "state": "finished", "number": 2}


def test_what_cannot_be_built_is_refused_with_its_message() -> None:
    text = SMALL.replace("validation: 0.2", "validation: 0.001")
    told = Told({"do": "load", "yaml": text, "number": 1, "run": True})
    with pytest.raises(EOFError):
        Worker(told).run()  # type: ignore[arg-type]
    (refused,) = told.of("refused")
    assert refused["message"].startswith("data.validation: 0.001 of 30 examples leaves no validation example")


def test_a_training_that_diverges_says_so() -> None:
    told = Told({"do": "load", "yaml": LINE.replace("lr: 0.2", "lr: 50"), "number": 1, "run": True})
    with pytest.raises(EOFError):
        Worker(told).run()  # type: ignore[arg-type]
    assert told.of("state")[-1]["state"] == "diverged"
    assert "with step size 50" in told.of("state")[-1]["message"]


def test_what_is_drawn_at_the_end_are_the_last_weights_and_not_the_best_ones() -> None:
    """A student who trains until a network overfits sees the one that overfits."""
    config = parsed(SMALL.replace("noise: 0.1", "noise: 1").replace("epochs: 6", "epochs: 40"))
    told = Told({"do": "load", "yaml": to_yaml(config), "number": 1, "run": True})
    with pytest.raises(EOFError):
        Worker(told).run()  # type: ignore[arg-type]
    end = told.of("state")[-1]
    steps = header_of(next(p for p in told.packets if header_of(p)["kind"] == "loaded"))["steps"]
    frame = next(p for p in reversed(told.packets) if header_of(p)["kind"] == "frame")
    parts = build_parts(config, Session())
    train(config, parts, None, Session())  # leaves the best weights
    assert (end["state"], header_of(frame)["step"]) == ("finished", steps)
    assert end["best_epoch"] < config.training.epochs
    best = parts.model.get_parameter("hidden.1.weight").detach().numpy()
    assert np.abs(arrays_of(frame)["w1"] - best).max() > 1e-3


# --- what is drawn ---------------------------------------------------------------------------------------


def test_a_frame_shows_the_network() -> None:
    """Regions, units and weights against the network itself, at places of the grid."""
    config = parsed(SMALL)
    training = Training(config, build_parts(config, Session()))
    loaded, frame = arrays_of(training.loaded(1)), arrays_of(training.frame({"number": 1}))
    x1, x2 = loaded["axis0"], loaded["axis1"]
    at = torch.tensor([[x1[9], x2[42]]])
    inputs = (at - training.data.mean) / training.data.std
    p = training.model(inputs).softmax(1)[0]
    best, sure = frame["regions"][9, 42]
    assert best == int(p.argmax())
    assert sure == pytest.approx(255 * float(p.max().detach()), abs=0.6)
    units = torch.tanh(training.model.get_submodule("hidden.0")(inputs))[0]
    assert frame["unit0"].shape == (4, 21, 21)
    signs = np.sign(frame["unit0"][:, 3, 14].astype(int))
    np.testing.assert_array_equal(signs, np.sign(units.detach().numpy()))
    np.testing.assert_array_equal(
        frame["w1"], training.model.get_parameter("hidden.1.weight").detach().numpy()
    )


@pytest.mark.parametrize("loss", ["squared_error", "cross_entropy"])
def test_the_forecast_of_a_linear_model_is_its_training(loss: str) -> None:
    """Without hidden layers the network is its own linearization: loss, function and distance must agree."""
    text = f"""
experiment: classify
data: {{name: blobs, classes: 3, examples: 30, validation: 0, batch_size: full}}
model: {{name: mlp, hidden: []}}
loss: {{name: {loss}}}
optimizer: {{name: sgd, lr: 0.1}}
training: {{epochs: 25, device: cpu, precision: float64}}
"""
    config = parsed(text)
    forecast = Forecast(config, build_parts(config, Session()))
    limit, found = forecast.kernel()[0]["limit"], forecast.curves()[1]
    parts, rows = build_parts(config, Session()), list[dict[str, Any]]()
    training = Training(config, parts)
    train(config, parts, None, Session(), log=rows.append)
    losses = [row["loss"] for row in rows if row["split"] == "train"]  # of step k, before it
    steps = found["steps"].astype(int)
    before = steps < 25
    np.testing.assert_allclose(found["loss"][before], np.array(losses)[steps[before]], rtol=1e-5)
    regions = arrays_of(training.frame({"number": 1}))["regions"][::3, ::3].reshape(-1, 2)
    predicted = found["function"][-1]
    np.testing.assert_array_equal(predicted[:, 0], regions[:, 0])
    np.testing.assert_allclose(predicted[:, 1].astype(int), regions[:, 1].astype(int), atol=1)
    if loss == "squared_error":
        moved = header_of(training.frame({"number": 1}))["moved"]
        assert found["moved"][-1] == pytest.approx(moved, rel=1e-5)
    assert limit > 0.1


def test_the_limit_of_the_step_size_is_where_a_linear_model_diverges() -> None:
    base = LINE.replace("hidden: [64]", "hidden: []").replace(", activation: erf", "")
    config = parsed(base.replace("epochs: 40", "epochs: 400"))
    limit = Forecast(config, build_parts(config, Session())).kernel()[0]["limit"]
    ends = []
    for factor in (0.99, 1.01):
        faster = parsed(to_yaml(config).replace("lr: 0.2", f"lr: {limit * factor}"))
        rows = list[dict[str, Any]]()
        train(faster, build_parts(faster, Session()), None, Session(), log=rows.append)
        losses = [row["loss"] for row in rows if row["split"] == "train"]
        ends.append(losses[-1] / losses[0])
    assert ends[0] < 1 < ends[1]


def test_wide_networks_train_as_predicted_and_near_the_infinite_one() -> None:
    config = parsed(LINE.replace("hidden: [64]", "hidden: [4096]"))
    forecast = Forecast(config, build_parts(config, Session()))
    finite = forecast.kernel()[1] | forecast.curves()[1]
    infinite = forecast.infinite()[1]
    rows = list[dict[str, Any]]()
    train(config, build_parts(config, Session()), None, Session(), log=rows.append)
    losses = np.array([row["loss"] for row in rows if row["split"] == "train"])
    steps = finite["steps"].astype(int)
    before = steps < 40
    np.testing.assert_allclose(finite["loss"][before], losses[steps[before]], rtol=0.05)
    np.testing.assert_allclose(finite["eigenvalues"][:3], infinite["infinite_eigenvalues"][:3], rtol=0.15)


# --- the server ------------------------------------------------------------------------------------------


class Tab:
    """A browser's WebSocket, in words."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    def send(self, **command: Any) -> None:
        self.socket.send(json.dumps(command))

    def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first message that is wanted."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            message = self.socket.recv(60)
            header = json.loads(message) if isinstance(message, str) else header_of(message)
            if wanted(header):
                return dict(header)
        raise AssertionError("it never came")

    def state(self, state: str) -> dict[str, Any]:
        return self.until(lambda header: header["kind"] == "state" and header["state"] == state)


class Served:
    """The playground behind a server of its own, in a thread."""

    def __init__(self, runs: Path) -> None:
        self.playground = Playground(runs)

        @contextlib.asynccontextmanager
        async def lifespan(app: Starlette) -> AsyncIterator[None]:
            await self.playground.start()
            yield
            await self.playground.close()

        app = Starlette(routes=routes(self.playground), lifespan=lifespan)
        self._server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
        self._thread = threading.Thread(target=self._server.run)

    def __enter__(self) -> "Served":
        self._thread.start()
        while not self._server.started:
            time.sleep(0.02)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]
        return self

    def __exit__(self, *error: object) -> None:
        self._server.should_exit = True
        self._thread.join()

    @contextlib.contextmanager
    def tab(self) -> Iterator[Tab]:
        with connect(f"ws://127.0.0.1:{self.port}/ws/playground", max_size=None) as socket:
            yield Tab(socket)

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("runs")) as server:
        yield server


def test_it_trains_and_two_tabs_see_the_same(served: Served) -> None:
    with served.tab() as one, served.tab() as two:
        one.send(do="yaml", text=LINE)
        one.until(lambda header: header["kind"] == "forecast" and "infinite_limit" in header)
        one.send(do="start")
        ended = [tab.state("finished") for tab in (one, two)]
        assert ended[0] == ended[1]
        assert ended[0]["metrics"]["train/rmse"] > 0
    with served.tab() as late:
        assert late.state("finished")["yaml"] == ended[0]["yaml"]
        rows = late.until(lambda header: header["kind"] == "rows")
        assert (rows["first"], rows["rows"][0]["step"]) == (0, 0)
    assert served.ask("GET", "/api/playground/yaml") == (200, ended[0]["yaml"].encode())


def test_a_worker_that_dies_is_told_and_restarted(served: Served) -> None:
    with served.tab() as tab:
        tab.until(lambda header: header["kind"] == "frame")
        pid = served.playground._worker.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        told = tab.until(lambda header: header["kind"] == "state" and header["note"] != "")
        assert "was ended by signal 9. It was started again" in told["note"]
        tab.send(do="start")
        tab.state("running")


def test_a_table_becomes_points(served: Served) -> None:
    table = "a,b,kind\n" + "".join(f"{i % 5},{i % 3},{'xyz'[i % 3]}\n" for i in range(30))
    path = "/api/playground/csv?name=my.csv&target="
    status, answer = served.ask("POST", path + "kind", table.encode())
    found = json.loads(answer)
    assert (status, found["classes"]) == (200, ["x", "y", "z"])
    assert found["points"][4] == [4.0, 1.0, 1.0]
    for content, target in ((b"\x00\xff" * 100, "kind"), (b"<html>", "kind"), (table.encode(), "absent")):
        status, answer = served.ask("POST", path + target, content)
        assert status == 200
        assert "my.csv" in json.loads(answer)["message"]
        assert "/" not in json.loads(answer)["message"]
    assert served.ask("POST", path + "a", b"x" * (5 * 2**20))[0] == 413


@pytest.mark.parametrize(
    "command",
    [
        "[]", "no json", '{"do": "shell"}', '{"do": "set", "values": 3}', '{"do": "preset", "name": "x"}',
        '{"do": "set", "values": {"optimizer.lr": NaN}}', '{"do": "pace", "steps": -1}',
    ],
)  # fmt: skip
def test_commands_that_are_none_are_refused(served: Served, command: str) -> None:
    with served.tab() as tab:
        tab.socket.send(command)
        assert tab.until(lambda header: header["kind"] == "trouble")["message"]


@pytest.mark.parametrize(
    "values",
    [
        {"data": 1},
        {"": 1},
        {"a.b.c": [1]},
        {"data.name": None},
        {"data.points": "x" * 10**6},
        {"model": {"a": "b"}},
    ],
    ids=lambda values: next(iter(values)),
)
def test_values_that_fit_nothing_leave_the_experiment_alone(served: Served, values: dict[str, Any]) -> None:
    with served.tab() as tab:
        before = tab.until(lambda header: header["kind"] == "state")["yaml"]
        tab.send(do="set", values=values)
        told = tab.until(lambda header: header["kind"] == "state" and header["errors"] != {})
        assert told["yaml"] == before
        tab.send(do="preset", name=presets.ALL[0].name)
        tab.until(lambda header: header["kind"] == "state" and header["errors"] == {})


def test_a_command_as_deep_as_the_stack_ends_its_tab_alone(served: Served) -> None:
    with served.tab() as tab, contextlib.suppress(ConnectionClosed):
        tab.socket.send('{"do": "set", "values": {"a": ' + "[" * 50_000 + "]" * 50_000 + "}}")
        tab.until(lambda header: header["kind"] == "trouble")
    with served.tab() as tab:
        assert tab.until(lambda header: header["kind"] == "state")["yaml"]


def test_the_training_as_a_gif(served: Served) -> None:
    with served.tab() as tab:
        tab.send(do="yaml", text=SMALL.replace("epochs: 6", "epochs: 7"))
        tab.until(lambda header: header["kind"] == "begin")
        tab.send(do="start")
        tab.state("finished")
    with Image.open(io.BytesIO(served.ask("GET", "/api/playground/gif")[1])) as picture:
        assert picture.format == "GIF"
        assert getattr(picture, "n_frames", 1) >= 2


def test_it_is_kept_as_a_run_of_the_same_numbers(served: Served) -> None:
    rows = list[dict[str, Any]]()

    def finished(header: dict[str, Any]) -> bool:
        rows.extend(header.get("rows", []))
        return any(row["split"] == "test" for row in rows)

    with served.tab() as tab:
        tab.send(do="yaml", text=SMALL)
        tab.until(lambda header: header["kind"] == "begin")
        tab.send(do="start")
        tab.until(finished)
        body = json.dumps({"name": "two units: mine"}).encode()
        assert served.ask("POST", "/api/playground/keep", body)[0] == 202
        kept = tab.until(lambda header: header["kind"] == "kept")
    folder = served.playground.runs / kept["run"]
    assert json.loads((folder / "summary.json").read_text())["status"] == "finished"
    assert "two-units-mine" in folder.name
    written = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row for row in rows if row["step"] and row["split"] in ("train", "val")] == written[:-1]
