"""Runs that are started from a browser, by a command that stands for `nnlab train` and takes no time."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from nnlab.errors import InputError
from nnlab.live import jobs as running
from nnlab.live import runs as listing
from nnlab.live.jobs import Job, Jobs
from nnlab.live.runs import Runs

if sys.platform == "win32":
    pytest.skip("signals and locks of run folders are those of POSIX", allow_module_level=True)

TRAIN = """
import fcntl, json, signal, sys, time
from pathlib import Path
from tests.many_runs import run_folder

stops = []
signal.signal(signal.SIGINT, lambda *_: stops.append(1))
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
if "--resume" in given:
    folder = Path(given["--resume"])
else:
    config = Path(given["--config"]).read_text()
    if "wrong" in config:
        sys.exit("nnlab: " + given["--config"] + ", line 1: this is \\x1b[31mwrong\\x1b[0m" + "x" * 5000)
    name = json.loads(given["--set"].removeprefix("name="))
    letters = "".join(letter for letter in name if letter.isalnum() or letter == "-")
    folder = Path(given["--runs"], "classify", f"2026-{letters}")
    run_folder(folder, name=name, status="running", seed=int(given.get("--seeds", 0)))
lock = open(folder / "metrics.jsonl")
fcntl.flock(lock, fcntl.LOCK_EX)
print("goes", given.get("--seeds", 1), flush=True)
needed = 2 if "deaf" in folder.name else 1
while len(stops) < needed and "short" not in folder.name:
    time.sleep(0.01)
summary = folder / "summary.json"
status = "finished" if "short" in folder.name else "interrupted"
summary.write_text(summary.read_text().replace("running", status))
print("ends")
sys.exit(130 if stops else 0)
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "configs").mkdir()
    monkeypatch.setattr(running, "COMMAND", (sys.executable, str(tmp_path / "train.py")))
    monkeypatch.setattr(running, "LOOKING", 0.02)
    monkeypatch.setattr(listing, "FRESH", 0.0)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
    return Jobs(Runs(tmp_path / "runs"), tmp_path / "configs")


def within(lab: Jobs, test: Callable[[], Awaitable[None]]) -> list[str]:
    """Runs a test and closes; returns what closing says."""

    async def whole() -> list[str]:
        try:
            async with asyncio.timeout(60):
                await test()
        finally:
            stopped = await lab.close()
        return stopped

    return asyncio.run(whole())


async def until(true: Callable[[], object]) -> None:
    while not true():
        await asyncio.sleep(0.01)


async def begun(job: Job) -> None:
    await until(lambda: job.key is not None and job.said)


def test_a_run_goes_is_stopped_and_goes_on(lab: Jobs, tmp_path: Path) -> None:
    async def test() -> None:
        job = await lab.start("a: 1", "xor", 3)
        await begun(job)
        assert job.state() == {
            "job": 1, "name": "xor", "key": "classify/2026-xor", "state": "running", "going": True,
            "said": ["goes 3"],
        }  # fmt: skip
        with pytest.raises(InputError, match="xor is running"):
            await lab.resume("classify/2026-xor")
        assert lab.stop(1).state()["state"] == "stopping"
        await job.ended.wait()
        assert (job.state()["state"], job.said[-1]) == ("stopped", "ends")
        again = await lab.resume("classify/2026-xor")
        await begun(again)
        assert [state["state"] for state in lab.states()] == ["running", "stopped"]
        lab.stop(1)  # it has ended
        assert again.stops == 0

    assert within(lab, test) == [str(tmp_path / "runs" / "classify" / "2026-xor")]


def test_a_second_stop_is_passed_on(lab: Jobs) -> None:
    async def test() -> None:
        job = await lab.start("a: 1", "deaf")
        await begun(job)
        lab.stop(job.number)
        await asyncio.sleep(0.1)
        assert not job.ended.is_set()
        lab.stop(job.number)
        await job.ended.wait()

    assert within(lab, test) == []


def test_a_server_that_ends_kills_what_does_not_stop(lab: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "PATIENCE", 0.2)
    jobs = list[Job]()

    async def test() -> None:
        jobs.append(await lab.start("a: 1", "deaf"))
        await begun(jobs[0])

    assert len(within(lab, test)) == 1
    assert jobs[0].process.returncode == -9


def test_more_than_a_few_at_once_are_refused_however_they_come(lab: Jobs) -> None:
    async def test() -> None:
        starts = (lab.start("a: 1", f"x{i}") for i in range(9))
        answers = await asyncio.gather(*starts, return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, InputError)]
        assert len(refused) == 9 - running.AT_ONCE
        assert "4 runs are going" in str(refused[0])

    within(lab, test)


def test_runs_of_one_name_that_start_together_are_told_apart(lab: Jobs) -> None:
    async def test() -> None:
        jobs = [await lab.start("name: same", "other") for _ in range(3)]
        for job in jobs:
            await begun(job)
        assert [job.key for job in jobs] == [f"classify/2026-same{end}" for end in ("", "-2", "-3")]
        for job in jobs:
            lab.stop(job.number)
            await job.ended.wait()

    within(lab, test)


@pytest.mark.parametrize("name", ["../../x", 'a", seed: "5', "<b>", "", "\x00", "x" * 500, "日本"])
def test_a_name_stays_a_name(lab: Jobs, tmp_path: Path, name: str) -> None:
    async def test() -> None:
        job = await lab.start("a: 1", f"short{name}")
        await job.ended.wait()
        await until(lambda: job.key)
        assert job.state()["state"] == "ended"
        assert {path.name for path in tmp_path.iterdir()} == {"train.py", "configs", "runs"}

    within(lab, test)


@pytest.mark.parametrize("name", ["My run: 1!", 'short "quoted"', "日本", "a\\b", "a\u202eb", "😀"])
def test_a_name_in_the_config_stays_as_it_is(lab: Jobs, name: str) -> None:
    async def test() -> None:
        job = await lab.start(f"name: {json.dumps(name, ensure_ascii=False)}", "x")
        await until(lambda: job.key)
        lab.stop(job.number)
        await job.ended.wait()

    within(lab, test)
    summaries = [path.read_text() for path in lab._runs.root.glob("*/*/summary.json")]
    assert [json.loads(summary)["name"] for summary in summaries] == [name]


def test_what_fails_says_why_as_text(lab: Jobs) -> None:
    async def test() -> None:
        job = await lab.start("wrong: 1", "x")
        await job.ended.wait()
        assert (job.state()["state"], job.key) == ("failed", None)
        assert job.said[0].startswith(r"nnlab: config, line 1: this is \x1b[31mwrong")
        assert len(job.said[0]) < running.LINE + 100

    within(lab, test)


def test_what_was_not_started_here_is_left_alone(lab: Jobs) -> None:
    async def test() -> None:
        for key in ("classify/other", "..", ""):
            with pytest.raises(InputError, match="not started here"):
                await lab.resume(key)
        with pytest.raises(InputError, match="no run of number 1"):
            lab.stop(1)
        for seeds in (0, -1, running.MOST_SEEDS + 1):
            with pytest.raises(InputError, match="seeds: "):
                await lab.start("a: 1", "x", seeds)
        with pytest.raises(InputError, match="config, line 1"):
            await lab.start("a: b: c", "x")

    within(lab, test)


def test_jobs_that_ended_long_ago_are_forgotten(lab: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "KEPT", 2)

    async def test() -> None:
        for i in range(4):
            await (await lab.start("wrong: 1", f"x{i}")).ended.wait()
        assert [state["job"] for state in lab.states()] == [4, 3]

    within(lab, test)
