"""Pages of runs, built by `nnlab report` in a process of its own into a temporary folder, and kept there.

A folder that somebody else made can at worst end that process: it has a limit of time, and one is built at a
time, with a few who wait.
"""

import asyncio
import contextlib
import itertools
import os
import sys
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from nnlab.errors import ExperimentError

COMMAND = (sys.executable, "-m", "nnlab", "report")
KEPT, WAITING = 16, 8
"""Pages that are kept, and pages that may wait to be built."""
FRESH = 5.0
"""Seconds for which the page of a run that grows is good enough."""
SECONDS = 180.0
"""The time in which a page must be built."""
FILES = 20_000
"""Files and folders of a run that are looked at to see whether it has changed."""


@dataclass
class Page:
    """The page of a run.

    Attributes:
        state: of the run, when the page was asked for.
        task: makes it, and returns its file.
        ended: when it was made.
    """

    state: str
    task: asyncio.Task[Path]
    ended: float = float("inf")

    @property
    def is_fresh(self) -> bool:
        return time.monotonic() - self.ended < FRESH


class Pages:
    """The pages of run folders, one of each.

    Args:
        folder: where they are kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._turn = asyncio.Semaphore(1)
        self._count = 0
        self._pages: OrderedDict[Path, Page] = OrderedDict()

    async def page(self, run: Path) -> Path:
        """The file of the page of a run as it is now, or was a few seconds ago.

        Raises:
            ExperimentError: it cannot be made, or too many others are waited for.
        """
        state = await asyncio.to_thread(_state, run)
        page = self._pages.get(run)
        if page is None or (page.task.done() and page.state != state and not page.is_fresh):
            page = self._begin(run, state)
        self._pages.move_to_end(run)
        try:
            return await asyncio.shield(page.task)
        except Exception:
            if self._pages.get(run) is page:
                del self._pages[run]
            raise
        finally:
            for old in [old for old, one in self._pages.items() if one.task.done()][:-KEPT]:
                self._forget(old)

    def _begin(self, run: Path, state: str) -> Page:
        if sum(not page.task.done() for page in self._pages.values()) > WAITING:
            raise ExperimentError("many pages are being made; try again in a minute")
        self._forget(run)
        self._count += 1
        task = asyncio.create_task(self._built(run, self._folder / f"{self._count}.html"))
        page = self._pages[run] = Page(state, task)

        def ended(task: asyncio.Task[Path]) -> None:
            page.ended = time.monotonic()

        task.add_done_callback(ended)
        return page

    def _forget(self, run: Path) -> None:
        """Removes a page that is made."""
        page = self._pages.pop(run, None)
        if page is not None and not page.task.cancelled() and page.task.exception() is None:
            page.task.result().unlink(missing_ok=True)

    async def _built(self, run: Path, page: Path) -> Path:
        async with self._turn:
            process = await asyncio.create_subprocess_exec(
                *COMMAND, str(run), "--out", str(page),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )  # fmt: skip
            try:
                async with asyncio.timeout(SECONDS):
                    _, said = await process.communicate()
            except TimeoutError:
                raise ExperimentError(f"the page took longer than {SECONDS:.0f} s to make") from None
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
        if process.returncode != 0 or not page.exists():
            raise ExperimentError(said.decode("utf-8", "replace").strip() or "the page could not be made")
        return page

    async def close(self) -> None:
        """Ends what is being made."""
        tasks = [page.task for page in self._pages.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _state(run: Path) -> str:
    """A hash that is another one when a file of the run has changed."""
    digest = sha256(os.fsencode(run))
    for path in itertools.islice(_inside(run), FILES):
        with contextlib.suppress(OSError):  # it is gone
            about = os.lstat(path)
            digest.update(repr((path, about.st_ino, about.st_size, about.st_mtime_ns)).encode())
    return digest.hexdigest()


def _inside(run: Path) -> Iterator[str]:
    """The folder itself and what is in it, in a fixed order; links are not followed."""
    yield str(run)
    for place, folders, files in os.walk(run):
        folders.sort()
        yield from (os.path.join(place, name) for name in (*folders, *sorted(files)))
