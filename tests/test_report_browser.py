"""The page in a real Chromium: offline, from a file, by keyboard, wide, narrow and printed."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nnlab.chapters.pages import CHAPTERS
from nnlab.page import build_page
from nnlab.record import open_run
from tests.command_line import nnlab
from tests.hostile_runs import TEXTS, hostile_run

LARGEST = 8 * 2**20
WIDTHS = (400, 1280)

CONFIGS = {
    "softmax_digits": ("training.epochs=3",),
    "separable": ("training.epochs=1280",),
    "xor": ("starts=4",),
}

Open = Callable[..., Any]


class Seen:
    """What a page did that it must not: messages of errors, dialogs, requests."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def watch(self, page: Any, address: str) -> None:
        page.on("console", lambda m: self.errors.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("dialog", self._dialog)
        page.on("request", lambda request: self._request(request.url, address))

    def _dialog(self, dialog: Any) -> None:
        self.errors.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def _request(self, url: str, address: str) -> None:
        if url != address and not url.startswith("data:"):
            self.errors.append(f"request {url[:200]}")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a few short runs, two of them of one experiment."""
    folder = tmp_path_factory.mktemp("runs")
    runs = []
    for name, changes in CONFIGS.items():
        sets = [word for change in changes for word in ("--set", change)]
        done = nnlab("train", "--config", name, *sets, "--runs", folder, "--quiet", draw=True)
        assert done.code == 0, done.err
        runs.append(Path(done.last_line))
    again = shutil.copytree(runs[0], folder / "again")
    page = folder / "page.html"
    page.write_text(build_page([open_run(run) for run in [*runs, again]], CHAPTERS, title="Page"), "utf-8")
    return page


@pytest.fixture
def open_page(browser: Any) -> Iterator[Open]:
    """Opens a file without network; at the end nothing must have gone wrong."""
    contexts, seen = [], Seen()

    def opened(path: Path, width: int = 1280, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, offline=True, **options)
        contexts.append(context)
        page = context.new_page()
        seen.watch(page, path.as_uri())
        page.goto(path.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert seen.errors == []


def start_all(page: Any) -> None:
    """Scrolls through the page, so that every interactive figure is drawn."""
    for figure in page.locator("figure.widget").all():
        figure.scroll_into_view_if_needed()
        figure.locator(".stage[data-drawn]").wait_for()


def as_float(shown: str) -> float:
    """The number that the page writes as 3.94 × 10⁻⁴."""
    mantissa, _, power = shown.replace("−", "-").partition(" × 10")
    return float(mantissa) * 10 ** int(power.translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")) or 0)


@pytest.mark.slow
def test_every_figure_is_drawn_offline_from_a_file(file: Path, open_page: Open) -> None:
    page = open_page(file)
    start_all(page)
    figures = page.locator("figure.widget")
    assert figures.count() >= 2
    for figure in figures.all():
        assert figure.locator(".stage svg, .stage canvas").count() >= 1
        assert "cannot be drawn" not in figure.inner_text()


def test_every_slider_moves_its_figure_by_keyboard(file: Path, open_page: Open) -> None:
    page = open_page(file)
    start_all(page)
    moved = 0
    for figure in page.locator("figure.widget").all():
        for slider in figure.locator("input[type=range]").all():
            slider.focus()
            seen = []
            for key in ("Home", "End"):
                slider.press(key)
                stage = figure.locator(".stage").inner_html()
                seen.append((stage, slider.get_attribute("aria-valuetext")))
            assert seen[0][0] != seen[1][0], figure.inner_text()
            assert seen[0][1] != seen[1][1], figure.inner_text()
            moved += 1
    assert moved >= 2


def test_the_curves_say_what_the_run_measured(file: Path, open_page: Open) -> None:
    runs = file.parent / "separable"
    rows = open_run(next(runs.iterdir())).metrics()
    steps = {row["step"]: row["loss"] for row in rows if "loss" in row and row["split"] == "train"}
    page = open_page(file)
    start_all(page)
    figure = page.locator("#s1x0 figure[data-kind=curves]")
    figure.locator("select").select_option("loss")
    slider = figure.locator("input[type=range]")
    for key, step in (("End", max(steps)), ("Home", min(steps))):
        slider.press(key)
        assert figure.locator(".says").inner_text() == f"At step {step}."
        value = figure.locator(".legend li").inner_text().removeprefix("loss: ")
        assert as_float(value) == pytest.approx(steps[step], rel=5e-3)
        dashes, drawn = (
            figure.locator(kind).evaluate_all("all => all.map((e) => e.getAttribute('stroke-dasharray'))")
            for kind in (".legend line", ".stage path:not(.cursor)")
        )
        assert drawn == dashes
    assert figure.get_by_label("values on a logarithmic scale").is_checked()  # the loss falls by decades
    assert (
        figure.locator("svg text", has_text="10⁻³").count()
        + figure.locator("svg text", has_text="0.01").count()
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_is_as_wide_as_its_window(file: Path, open_page: Open, width: int) -> None:
    page = open_page(file, width)
    start_all(page)
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    sizes = page.evaluate(
        "[...document.querySelectorAll('main *')]"
        ".filter((e) => e.checkVisibility() && !e.closest('math, script'))"
        ".filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))"
        ".map((e) => parseFloat(getComputedStyle(e).fontSize))"
    )
    assert min(sizes) >= 12
    scales = page.evaluate(
        "[...document.querySelectorAll('.stage .panel > svg')]"
        ".map((s) => s.clientWidth / s.viewBox.baseVal.width)"
    )
    assert min(scales) > 0.85  # letters in drawings are as large as they say


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
def test_axe_finds_no_serious_violation(file: Path, open_page: Open, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    page = open_page(file, width)
    start_all(page)
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    violations = axe.Axe().run(page).response["violations"]
    serious = [
        (v["id"], v["nodes"][0]["html"][:200]) for v in violations if v["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_contents_lead_to_their_sections_by_keyboard(file: Path, open_page: Open) -> None:
    page = open_page(file)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip the contents"
    for link in page.locator("nav a").all():
        target = link.get_attribute("href")
        link.focus()
        page.keyboard.press("Enter")
        top = page.locator(target).bounding_box()["y"]
        assert top < 450, target
        page.locator(f'nav a[href="{target}"][aria-current]').wait_for()  # and the contents show it


def test_a_command_is_copied_or_selected(file: Path, open_page: Open) -> None:
    page = open_page(file)
    details = page.locator("details.again").first
    details.locator("summary").press("Enter")
    button = details.get_by_role("button", name="Copy the command")
    button.press("Enter")
    page.locator("#told:not(:empty)").wait_for()
    selected = page.evaluate("getSelection().toString()")
    told = page.locator("#told").inner_text()
    assert told == "Copied." or (told.startswith("Selected") and selected.startswith("nnlab train --config"))


def test_data_come_as_csv_files(file: Path, open_page: Open) -> None:
    page = open_page(file)
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    with page.expect_download() as started:
        page.get_by_role("link", name="metrics.csv").first.click()
    assert started.value.suggested_filename == "metrics.csv"
    assert "step" in Path(started.value.path()).read_text().splitlines()[0]


def test_it_prints_everything_and_no_controls(file: Path, open_page: Open) -> None:
    page = open_page(file)
    page.emulate_media(media="print")
    for figure in page.locator("figure.widget").all():
        figure.locator(".stage[data-drawn]").wait_for()  # without being scrolled to
    assert page.evaluate("[...document.querySelectorAll('details')].every((d) => d.open)")
    for hidden in ("nav", ".slider", ".controls", ".copy"):
        assert not page.locator(hidden).first.is_visible(), hidden
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_it_is_small_and_its_first_figure_is_there_at_once(file: Path, open_page: Open) -> None:
    assert file.stat().st_size < LARGEST
    page = open_page(file)
    page.wait_for_selector("figure.widget .stage svg")
    assert page.evaluate("performance.getEntriesByName('first figure').length") == 1


@pytest.mark.slow
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_nothing_that_a_run_says_is_executed(text: str, tmp_path: Path, open_page: Open) -> None:
    path = tmp_path / "page.html"
    folder = hostile_run(tmp_path / "run", text)
    path.write_bytes(build_page([open_run(folder)], CHAPTERS, title=text).encode("utf-8", "replace"))
    page = open_page(path, 400)
    start_all(page)
    for metric in page.locator("figure[data-kind=curves] option").all():
        page.locator("figure[data-kind=curves] select").select_option(metric.get_attribute("value"))
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    page.set_viewport_size({"width": 1280, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    page.emulate_media(media="print")
    assert page.locator("main article").count() == 1
    assert page.url == path.as_uri()
