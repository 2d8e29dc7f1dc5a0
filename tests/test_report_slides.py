"""The page as slides in a real Chromium: sizes, keys, addresses, enlarged and embedded figures, print."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from nnlab.chapters.lecture.beyond import LESSONS as BEYOND
from nnlab.chapters.lecture.plan import LESSONS, POINTS
from nnlab.chapters.pages import CHAPTERS
from nnlab.page import build_page
from nnlab.page.contents import LONGEST_TITLE, Contents
from nnlab.page.screens import solved
from nnlab.page.widget import Widget
from nnlab.record import open_run
from tests.command_line import nnlab
from tests.firefox import FIREFOX, firefox
from tests.slide_checks import SCRIPT, faults

SHORT = {
    "slides": (),
    "softmax": ("training.epochs=2",),
    "separable": ("training.epochs=1280",),
    "weight_change": ("widths=[32,64,128]", "seeds=4", "training.steps=30"),
    "ntk": ("widths=[32,64]", "seeds=2", "training.steps=60", "edge.steps=40", "data.examples=8"),
    "approx": ("parts=[bins,perceptron]", "bins=[4,12]"),
}
"""Lessons of the lecture in seconds."""
SCREENS = {(1920, 1080): 28.0, (1280, 720): 18.6, (400, 800): 12.0}
"""Window -> the smallest letters in pixels."""

DRAWN = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"

CONTENTS = Contents(CHAPTERS)


# --- the contents of the slides, without a browser -------------------------------------------------------


def test_ideas_have_addresses_of_their_own_and_short_sentences() -> None:
    names = [idea.name for idea in CONTENTS.ideas]
    assert len(set(names)) == len(names)
    for idea in CONTENTS.ideas:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", idea.name), idea.name
        assert 0 < len(idea.sentence) <= LONGEST_TITLE, idea.name
        assert isinstance(idea.figure, Widget) or idea.figure == "" or ":" in idea.figure, idea.name


def test_every_sentence_of_the_lecture_is_on_a_slide_with_a_figure() -> None:
    places = {idea.place for idea in CONTENTS.ideas if idea.figure}
    assert {point.section for point in POINTS} <= places
    for section in "123456":
        assert sum(exercise.place.startswith(section) for exercise in CONTENTS.exercises) >= 3, section


def test_every_claim_of_the_lecture_is_on_a_slide() -> None:
    said = {pattern for idea in CONTENTS.ideas for pattern in idea.claims}
    runs = {pattern.partition(":")[0] for pattern in said}
    assert {point.lesson for point in POINTS} <= runs


def test_the_numbers_of_solutions_are_claims() -> None:
    for exercise in CONTENTS.exercises:
        runs = re.findall(r"\{(\w+):", exercise.solution)
        assert set(runs) <= {*LESSONS, *BEYOND}, exercise
        assert not re.search(r"\{\w+:", solved(exercise, []).solution), exercise


# --- in a browser ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lecture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a lecture of short lessons."""
    folder = tmp_path_factory.mktemp("lecture")
    rows = []
    for name, changes in SHORT.items():
        settings = LESSONS[name]
        sets = [word for change in (f"name={name}", *changes) for word in ("--set", change)]
        where = ("--runs", folder / "runs", "--quiet")
        done = nnlab("train", "--config", settings.config, *sets, *where, draw=True)
        assert done.code == 0, done.err
        run = open_run(done.last_line)
        place = f"runs/{run.folder.parent.name}/{run.folder.name}"
        rows += [
            {"section": "1.1", "claim": claim["name"], "sentence": claim["sentence"], "run": place,
             "verdict": claim["verdict"], "predicted": claim["predicted"], "measured": claim["measured"]}
            for claim in run.summary["claims"]
        ]  # fmt: skip
    said = {"sentence": "All is linear.", "holds": "Little is.", "hypotheses": ["nothing"], "verdict": "FAIL"}
    rows.append(rows[0] | said | {"refuted": True, "claim": "as_said", "against": rows[0]["claim"]})
    facts = {"name": "lecture", "seed": 0, "experiment": "lecture", "status": "finished", "metrics": {}}
    (folder / "summary.json").write_text(json.dumps(facts | {"results": rows}))
    file = folder / "report.html"
    file.write_text(build_page([open_run(folder)], CHAPTERS, title="The lecture"), "utf-8")
    return file


@pytest.fixture
def window(browser: Any) -> Iterator[Any]:
    """A window without network; at the end its console has said nothing."""
    said: list[str] = []
    context = browser.new_context(viewport={"width": 1920, "height": 1080}, offline=True)
    page = context.new_page()
    page.on("console", lambda m: said.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    yield page
    context.close()
    assert said == []


def slides_of(page: Any) -> list[str]:
    names: list[str] = page.evaluate("[...document.querySelectorAll('[data-slide]')].map((e) => e.id)")
    return names


def state_of(page: Any) -> dict[str, str]:
    """What the address says, behind #."""
    page.wait_for_timeout(300)
    return {key: values[0] for key, values in parse_qs(page.url.partition("#")[2]).items()}


@pytest.mark.slow
@pytest.mark.parametrize("screen", SCREENS, ids=lambda s: f"{s[0]}x{s[1]}")
def test_nothing_on_a_slide_is_small_cut_or_covered(
    lecture: Path, window: Any, screen: tuple[int, int]
) -> None:
    window.set_viewport_size({"width": screen[0], "height": screen[1]})
    window.goto(f"{lecture.as_uri()}#slide=start")
    found = {}
    for name in slides_of(window):
        window.evaluate("(name) => { location.hash = `#slide=${name}`; }", name)
        window.locator(f"#{name}.current").wait_for()
        window.evaluate(DRAWN)
        wrong = faults(window, SCREENS[screen])
        if wrong:
            found[name] = wrong[:4]
    assert found == {}


@pytest.mark.slow
@pytest.mark.skipif(FIREFOX is None, reason="there is no firefox")
def test_firefox_shows_the_same_slides(lecture: Path, tmp_path: Path) -> None:
    with firefox(tmp_path / "profile") as page:
        page.size(1920, 1080)
        page.open(f"{lecture.as_uri()}#slide=start")
        found = {}
        for name in page.evaluate("[...document.querySelectorAll('[data-slide]')].map((e) => e.id)"):
            page.evaluate(f"location.hash = '#slide={name}'")
            page.evaluate(f"({DRAWN})()")
            wrong = page.evaluate(f"({SCRIPT})(28)")
            assert page.evaluate("document.querySelector('.current').id") == name
            if wrong:
                found[name] = wrong[:4]
        page.press("\ue012")  # the left arrow
        assert page.evaluate("document.querySelector('.current').id") != name
        assert page.told == []
    assert found == {}


def test_keys_turn_the_slides(lecture: Path, window: Any) -> None:
    window.goto(lecture.as_uri())
    window.get_by_role("button", name="Show as slides").press("Enter")
    names = slides_of(window)
    assert state_of(window) == {"slide": names[0]}
    seen = [names[0]]
    for _ in names[1:]:
        window.keyboard.press("ArrowRight")
        seen.append(window.locator(".current").get_attribute("id"))
    assert seen == names
    assert window.evaluate("document.querySelector('.bar progress').position") == 1
    window.keyboard.press("ArrowRight")  # the last one stays
    window.keyboard.press("PageUp")
    assert window.locator(".current").get_attribute("id") == names[-2]
    window.keyboard.press("Home")
    assert window.locator(".current").get_attribute("id") == names[0]
    window.keyboard.press("s")
    window.keyboard.press("ArrowRight")
    window.keyboard.press("Escape")
    assert window.locator(".current").count() == 0
    assert window.url.endswith(f"#{names[1]}")


def test_an_address_keeps_what_the_controls_of_a_slide_say(lecture: Path, window: Any) -> None:
    window.goto(f"{lecture.as_uri()}#slide=start")
    name = next(n for n in slides_of(window) if window.locator(f"#{n} figure[data-kind=bins]").count())
    window.goto(f"{lecture.as_uri()}#slide={name}")
    slider = window.locator(".current input[type=range]").first
    slider.focus()
    slider.press("End")
    state = state_of(window)
    assert state.pop("slide") == name
    assert slider.input_value() in state.values()
    says = window.locator(".current .says").inner_text()
    address = window.url
    window.goto("about:blank")
    window.goto(address)
    assert window.locator(".current .says").inner_text() == says


def test_the_speaker_sees_the_numbers(lecture: Path, window: Any) -> None:
    window.goto(f"{lecture.as_uri()}#slide=start")
    name = next(n for n in slides_of(window) if window.locator(f"#{n} > .speaker li").count())
    window.goto(f"{lecture.as_uri()}#slide={name}")
    notes = window.locator(".current > .speaker")
    assert not notes.is_visible()
    window.keyboard.press("s")
    assert "predicted" in notes.inner_text()
    assert window.locator(".current > .told").is_visible()
    with window.expect_popup() as opened:
        window.keyboard.press("w")
    assert "predicted" in opened.value.locator("#notes").inner_text()
    window.bring_to_front()
    window.keyboard.press("ArrowRight")
    following = window.locator(".current").get_attribute("id")
    title = window.locator(f"#{following} :is(h2, h3)").first.inner_text()
    assert " ".join(opened.value.locator("#title").inner_text().split()) == " ".join(title.split())


def test_a_click_enlarges_a_figure_and_escape_takes_it_back(lecture: Path, window: Any) -> None:
    window.goto(lecture.as_uri())
    for kind in ("figure.picture img", "figure[data-kind=softmax] .drawings svg"):
        window.locator(kind.partition(" ")[0]).first.scroll_into_view_if_needed()
        figure = window.locator(f"{kind}:visible").first
        figure.scroll_into_view_if_needed()
        before = figure.bounding_box()["width"]
        figure.click(position={"x": 3, "y": 3})
        window.evaluate(DRAWN)
        assert figure.bounding_box()["width"] > 1.2 * before
        window.keyboard.press("Escape")
        window.evaluate(DRAWN)
        assert figure.bounding_box()["width"] == pytest.approx(before, rel=0.01)


def test_one_figure_can_stand_in_another_page(lecture: Path, window: Any) -> None:
    window.set_viewport_size({"width": 960, "height": 600})
    window.goto(f"{lecture.as_uri()}?figure=bins#bins-n=7")
    figure = window.locator("figure:visible")
    assert figure.count() == 1
    assert figure.locator("input[type=range]").first.input_value() == "7"
    box = figure.bounding_box()
    assert (box["width"], box["height"]) == (960, 600)
    assert window.evaluate("document.documentElement.scrollHeight") <= 600


def test_slides_print_one_a_page(lecture: Path, window: Any) -> None:
    window.goto(f"{lecture.as_uri()}#slide=start")
    names = slides_of(window)
    pdf = window.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == len(names)
    assert re.search(rb"/MediaBox\s*\[\s*0 0 960 540", pdf)
    window.evaluate("dispatchEvent(new Event('afterprint'))")
    assert window.locator(".current").count() == 1


def test_words_of_the_glossary_explain_themselves(lecture: Path, window: Any) -> None:
    window.goto(lecture.as_uri())
    term = window.locator("button.term:visible").first
    term.focus()
    tip = window.locator("#tip")
    assert tip.is_visible()
    assert len(tip.inner_text()) > 20
    window.keyboard.press("Escape")
    assert not tip.is_visible()


@pytest.mark.slow
def test_slides_are_accessible_in_the_light_and_in_the_dark(lecture: Path, window: Any) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    window.goto(f"{lecture.as_uri()}#slide=start")
    found = set()
    for first, scheme in enumerate(("light", "dark")):
        window.emulate_media(color_scheme=scheme)
        for name in slides_of(window)[first::3]:  # each third one, others in the dark
            window.evaluate("(name) => { location.hash = `#slide=${name}`; }", name)
            window.locator(f"#{name}.current").wait_for()
            for violation in axe.Axe().run(window, ".current, .bar").response["violations"]:
                found.add((scheme, name, violation["id"], violation["nodes"][0]["html"][:150]))
    assert found == set()
