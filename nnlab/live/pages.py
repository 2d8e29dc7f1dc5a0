"""Pages of runs, built by `nnlab report` in a process of its own into a temporary folder, and kept there.

A folder that somebody else made can at worst end that process: it has a limit of time, and one is built at a
time, with a few who wait.
"""

import asyncio
import contextlib
import itertools
import os
import sys
from collections import OrderedDict
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from nnlab.errors import ExperimentError

COMMAND = (sys.executable, "-m", "nnlab", "report")
KEPT, WAITING = 16, 8
"""Pages that are kept, and pages that may wait to be built."""
SECONDS = 180.0
"""The time in which a page must be built."""
FILES = 20_000
"""Files and folders of a run that are looked at to see whether it has changed."""


class Pages:
    """The pages of run folders.

    Args:
        folder: where they are kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._turn = asyncio.Semaphore(1)
        self._pages: OrderedDict[str, asyncio.Task[Path]] = OrderedDict()

    async def page(self, run: Path) -> Path:
        """The page of a run as it is now.

        Raises:
            ExperimentError: it cannot be built, or too many others are waited for.
        """
        name = await asyncio.to_thread(_name, run)
        task = self._pages.get(name)
        if task is None:
            if sum(not other.done() for other in self._pages.values()) > WAITING:
                raise ExperimentError("many pages are being made; try again in a minute")
            task = self._pages[name] = asyncio.create_task(self._built(run, self._folder / name))
        self._pages.move_to_end(name)
        try:
            return await asyncio.shield(task)
        except Exception:
            self._pages.pop(name, None)
            raise
        finally:
            self._forget()

    def _forget(self) -> None:
        """Removes the pages that were asked for the longest time ago."""
        done = [name for name, task in self._pages.items() if task.done()]
        for name in done[: max(len(self._pages) - KEPT, 0)]:
            del self._pages[name]
            (self._folder / name).unlink(missing_ok=True)

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
        """Ends what is being built."""
        tasks = list(self._pages.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _name(run: Path) -> str:
    """The name of the file of a page: another one when a file of the run has changed."""
    digest = sha256(os.fsencode(run))
    for path in itertools.islice(_inside(run), FILES):
        with contextlib.suppress(OSError):  # it is gone
            about = os.lstat(path)
            digest.update(repr((path, about.st_ino, about.st_size, about.st_mtime_ns)).encode())
    return f"{digest.hexdigest()[:32]}.html"


def _inside(run: Path) -> Iterator[str]:
    """The folder itself and what is in it, in a fixed order; links are not followed."""
    yield str(run)
    for place, folders, files in os.walk(run):
        folders.sort()
        yield from (os.path.join(place, name) for name in (*folders, *sorted(files)))
