"""Pages that the live lab makes of runs: beside them, once for each state, one at a time."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from nnlab.errors import ExperimentError
from nnlab.live import pages as making
from nnlab.live.pages import Pages
from tests.many_runs import run_folder, tree

REPORT = """
import sys, time
from pathlib import Path

run, out = Path(sys.argv[1]), Path(sys.argv[3])
log = Path(__file__).with_name("log")
with log.open("a") as file:
    file.write(f"begin {run.name}\\n")
if run.name == "bad":
    sys.exit("nnlab: it is damaged")
time.sleep(60 if run.name == "slow" else 0.1)
out.write_text(run.name)
with log.open("a") as file:
    file.write(f"end {run.name}\\n")
"""


@pytest.fixture
def pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pages:
    (tmp_path / "report.py").write_text(REPORT)
    (tmp_path / "pages").mkdir()
    monkeypatch.setattr(making, "COMMAND", (sys.executable, str(tmp_path / "report.py")))
    return Pages(tmp_path / "pages")


def within(pages: Pages, test: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        try:
            async with asyncio.timeout(50):
                await test()
        finally:
            await pages.close()

    asyncio.run(whole())


def log(tmp_path: Path) -> list[str]:
    return (tmp_path / "log").read_text().splitlines()


def test_a_page_is_made_once_for_all_who_ask_and_again_when_the_run_has_changed(
    pages: Pages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_folder(tmp_path / "runs" / "group")
    run_folder(run / "s0")
    before = tree(run)

    async def test() -> None:
        found = await asyncio.gather(*(pages.page(run) for _ in range(20)))
        assert len(set(found)) == 1
        assert found[0].read_text() == "group"
        assert log(tmp_path) == ["begin group", "end group"]
        assert tree(run) == before
        monkeypatch.setattr(making, "FRESH", 0.0)
        with open(run / "s0" / "metrics.jsonl", "a") as file:
            file.write("{}\n")
        assert await pages.page(run) != found[0]
        assert len(log(tmp_path)) == 4

    within(pages, test)


def test_a_run_that_grows_all_the_time_has_a_page(pages: Pages, tmp_path: Path) -> None:
    run = run_folder(tmp_path / "runs" / "grows")

    async def visit() -> Path | None:
        with open(run / "metrics.jsonl", "a") as file:
            file.write("{}\n")
        try:
            async with asyncio.timeout(0.02):  # somebody who does not wait, and asks again
                return await pages.page(run)
        except TimeoutError:
            return None

    async def test() -> None:
        visits = 0
        while await visit() is None:
            visits += 1
        assert visits > 1
        assert log(tmp_path) == ["begin grows", "end grows"]

    within(pages, test)


def test_one_is_made_at_a_time_and_a_few_wait(
    pages: Pages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "WAITING", 2)
    runs = [run_folder(tmp_path / "runs" / f"r{i}") for i in range(6)]

    async def test() -> None:
        answers = await asyncio.gather(*(pages.page(run) for run in runs), return_exceptions=True)
        assert sum(isinstance(answer, ExperimentError) for answer in answers) == 3
        lines = log(tmp_path)
        assert [line.split()[0] for line in lines] == ["begin", "end"] * 3

    within(pages, test)


def test_what_cannot_be_made_is_told_and_tried_again(pages: Pages, tmp_path: Path) -> None:
    run = run_folder(tmp_path / "runs" / "bad")

    async def test() -> None:
        for _ in range(2):
            with pytest.raises(ExperimentError, match="nnlab: it is damaged"):
                await pages.page(run)
        assert log(tmp_path) == ["begin bad"] * 2

    within(pages, test)


def test_what_takes_too_long_is_ended(pages: Pages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "SECONDS", 0.5)
    runs = [run_folder(tmp_path / "runs" / name) for name in ("slow", "quick")]

    async def test() -> None:
        with pytest.raises(ExperimentError, match="took longer"):
            await pages.page(runs[0])
        monkeypatch.setattr(making, "SECONDS", 30.0)
        assert (await pages.page(runs[1])).read_text() == "quick"

    within(pages, test)


def test_a_server_that_ends_ends_what_is_being_made(pages: Pages, tmp_path: Path) -> None:
    run = run_folder(tmp_path / "runs" / "slow")

    async def test() -> None:
        task = asyncio.create_task(pages.page(run))
        while not (tmp_path / "log").exists():
            await asyncio.sleep(0.01)
        task.cancel()  # a browser that does not wait

    within(pages, test)
    assert log(tmp_path) == ["begin slow"]


def test_old_pages_are_removed(pages: Pages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "KEPT", 2)
    runs = [run_folder(tmp_path / "runs" / f"r{i}") for i in range(4)]

    async def test() -> None:
        for run in runs:
            await pages.page(run)
        assert sorted(path.read_text() for path in (tmp_path / "pages").iterdir()) == ["r2", "r3"]

    within(pages, test)
