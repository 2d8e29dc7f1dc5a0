"""Runs that are started from the browser: each is an `nnlab train` in a process of its own."""

import asyncio
import contextlib
import itertools
import json
import os
import re
import signal
import sys
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nnlab.display import visible
from nnlab.errors import InputError
from nnlab.lab.source import parse_yaml
from nnlab.live.runs import FRESH, NAME, Runs
from nnlab.page.numbers import clean
from nnlab.record import slug

STOP = signal.SIGTERM if sys.platform == "win32" else signal.SIGINT
"""What Ctrl-C sends; Windows has only an end at once."""
COMMAND = (sys.executable, "-m", "nnlab", "train")
AT_ONCE = 4
"""Runs that train at the same time."""
KEPT = 50
"""Runs that are remembered, the latest."""
LINES, LINE = 40, 2_000
"""The last lines that a run said, and the characters of each."""
LOOKING = 0.3
"""Seconds between two looks for the folder of a run that has just been started."""
PATIENCE = 20.0
"""Seconds in which a run that is asked to stop must have stopped when the server ends."""
MOST_SEEDS = 1_000


@dataclass
class Job:
    """A run that was started here.

    Attributes:
        number: of the job.
        name: of its config.
        key: of its run, as soon as it has a folder.
        said: its last lines.
        stops: how often it was asked to stop.
    """

    number: int
    name: str
    process: asyncio.subprocess.Process
    key: str | None = None
    said: deque[str] = field(default_factory=lambda: deque(maxlen=LINES))
    stops: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def state(self) -> dict[str, Any]:
        """The job as the browser gets it."""
        word = "stopping" if self.stops else "running" if self.key is not None else "starting"
        if self.ended.is_set():
            word = "ended" if self.process.returncode == 0 else "failed"
            word = "stopped" if self.stops and word == "failed" else word
        return {
            "job": self.number, "name": self.name, "key": self.key, "state": word,
            "going": not self.ended.is_set(), "said": list(self.said),
        }  # fmt: skip


class Jobs:
    """The runs that this server has started.

    Args:
        runs: the folder that they go to.
        folder: for the configs that they are started with.
    """

    def __init__(self, runs: Runs, folder: Path) -> None:
        self._runs, self._folder = runs, folder
        self._jobs: dict[int, Job] = {}
        self._count = 0
        self._starting = asyncio.Lock()  # one after the other, to count them
        self._tasks: set[asyncio.Task[None]] = set()

    def states(self) -> list[dict[str, Any]]:
        """Every job, the latest first."""
        return [job.state() for job in reversed(self._jobs.values())]

    async def start(self, config: str, name: str = "", seeds: int = 1) -> Job:
        """Starts a run.

        Args:
            config: its YAML.
            name: of the run, where the YAML has none.
            seeds: how many seeds; more than one make a group.

        Raises:
            InputError: too many run, or that is no YAML.
        """
        if not 1 <= seeds <= MOST_SEEDS:
            raise InputError(f"seeds: {seeds}: must be 1 to {MOST_SEEDS:,}")
        values = parse_yaml(config, "config")
        given = values.get("name") if isinstance(values, dict) else None
        async with self._starting:
            self._check_room()
            name = self._name(given if isinstance(given, str) and given else slug(name))
            file = self._folder / f"{self._count + 1}.yaml"
            file.write_text(config, "utf-8", errors="replace")
            return await self._spawn(
                name, None, "--config", str(file), "--runs", str(self._runs.root),
                "--set", f"name={json.dumps(name, ensure_ascii=False)}",
                *(["--seeds", str(seeds)] if seeds > 1 else []),
            )  # fmt: skip

    def _name(self, name: str) -> str:
        """A name by which the folder will be found: no other run that has none yet has it."""
        starting = {job.name for job in self._jobs.values() if job.key is None and not job.ended.is_set()}
        names = (name if number == 1 else f"{name}-{number}" for number in itertools.count(1))
        return next(name for name in names if clean(name, NAME) not in starting)

    async def resume(self, key: str) -> Job:
        """Goes on with a run that was started here. Raises InputError where it was not, or runs."""
        async with self._starting:
            before = self._job_of(key)
            if not before.ended.is_set():
                raise InputError(f"{before.name} is running")
            self._check_room()
            return await self._spawn(before.name, key, "--resume", str(self._runs.folder(key)))

    def stop(self, number: int) -> Job:
        """Asks a run to stop after its step, as Ctrl-C does; asked again, at once.

        Raises:
            InputError: there is none of that number.
        """
        job = self._jobs.get(number)
        if job is None:
            raise InputError(f"no run of number {number} was started here")
        if not job.ended.is_set():
            job.stops += 1
            with contextlib.suppress(ProcessLookupError):
                job.process.send_signal(STOP)
        return job

    @property
    def going(self) -> int:
        """How many run."""
        return sum(not job.ended.is_set() for job in self._jobs.values())

    async def close(self) -> list[str]:
        """Asks all runs to stop, and waits for them. Returns the folders of those that can go on."""
        going = [job for job in self._jobs.values() if not job.ended.is_set()]
        for job in going:
            self.stop(job.number)
        if going:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await asyncio.gather(*(job.ended.wait() for job in going))
        for job in going:
            if not job.ended.is_set():
                with contextlib.suppress(ProcessLookupError):
                    job.process.kill()
        await asyncio.gather(*self._tasks, return_exceptions=True)  # they end with their processes
        left = list[str]()
        for job in going:
            if job.key is not None and job.process.returncode != 0:
                with contextlib.suppress(KeyError):  # somebody has removed it
                    left.append(str(self._runs.folder(job.key)))
        return left

    def _check_room(self) -> None:
        if self.going >= AT_ONCE:
            raise InputError(f"{AT_ONCE} runs are going; wait for one of them, or stop one")

    def _job_of(self, key: str) -> Job:
        for job in reversed(self._jobs.values()):
            if job.key == key:
                return job
        raise InputError(f"{key} was not started here")

    async def _spawn(self, name: str, key: str | None, *arguments: str) -> Job:
        known = {row["key"] for row in await asyncio.to_thread(self._runs.rows)}
        process = await asyncio.create_subprocess_exec(
            *COMMAND, *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C in the server's terminal is the server's to pass on
            env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"},
        )  # fmt: skip
        self._count += 1
        job = Job(self._count, clean(name, NAME), process, key)
        self._jobs[job.number] = job
        for number in list(self._jobs)[:-KEPT]:
            if self._jobs[number].ended.is_set():
                del self._jobs[number]
        for work in (self._listen(job), *([self._find(job, known)] if key is None else [])):
            task = asyncio.create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return job

    async def _listen(self, job: Job) -> None:
        """Keeps the last lines that a run says, until it ends."""
        assert job.process.stdout is not None
        rest = b""
        while block := await job.process.stdout.read(2**16):
            *lines, rest = (rest + block).split(b"\n")
            rest = rest[:LINE]
            job.said.extend(self._shown(line) for line in lines if line.strip())
        if rest.strip():
            job.said.append(self._shown(rest))
        await job.process.wait()
        job.ended.set()

    async def _find(self, job: Job, known: set[str]) -> None:
        """Waits until the run has a folder: the one that is new and has its name."""
        while job.key is None:
            ended = job.ended.is_set()
            if ended:  # then a last look, which is a new one
                await asyncio.sleep(FRESH)
            for row in await asyncio.to_thread(self._runs.rows):
                if row["key"] not in known and row["name"] == job.name:
                    job.key = row["key"]
            if ended:
                return
            await asyncio.sleep(LOOKING)

    def _shown(self, line: bytes) -> str:
        """A line as text; a config is named as what it is here, and not by its temporary file."""
        text = visible(line[:LINE].decode("utf-8", "replace").rstrip())
        return re.sub(re.escape(f"{self._folder}{os.sep}") + r"\d+\.yaml", "config", text)
