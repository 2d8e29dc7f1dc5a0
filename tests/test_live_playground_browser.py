"""The playground in Chromium: by mouse and keyboard, narrow, dark; what it draws; how wrong input is told."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.served import Served, serving

if sys.platform == "win32":
    pytest.skip("run folders have no locks on Windows", allow_module_level=True)

FIRST = "#function .picture:first-child "


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("live") / "runs") as server:
        yield server


@pytest.fixture
def page(browser: Any, served: Served) -> Iterator[Any]:
    """The playground, with a frame drawn; at the end there was no error, and no request to anywhere else."""
    errors = list[str]()
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    page = context.new_page()
    page.on("console", lambda m: errors.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    ours = (f"{served.origin}/", "data:", "blob:")
    page.on("request", lambda r: None if r.url.startswith(ours) else errors.append(r.url))
    page.goto(served.address)
    page.wait_for_url("**/runs*")
    page.goto(f"{served.origin}/playground")
    page.wait_for_selector("html[data-frame]", timeout=60_000)
    yield page
    context.close()
    assert errors == []


def choose(page: Any, preset: str) -> None:
    """Takes a preset, and waits until its prediction is drawn."""
    before = page.get_attribute("html", "data-frame").partition("/")[0]
    if page.input_value("#preset") != preset:
        page.select_option("#preset", preset)
        page.wait_for_selector(f"html:not([data-frame^='{before}/'])")
    page.locator("#spectrum .legend", has_text="this network").wait_for()
    page.locator("#loss .legend", has_text="predicted").wait_for(timeout=60_000)


def yaml(page: Any, part: str) -> str:
    """The YAML, once it has this part."""
    area = page.locator("#yaml")
    for _ in range(200):
        if part in area.input_value():
            break
        page.wait_for_timeout(50)
    text: str = area.input_value()
    assert part in text
    return text


def test_the_prediction_is_drawn_before_it_starts_and_the_training_beside_it(page: Any) -> None:
    choose(page, "Lazy: as predicted")
    assert page.inner_text("#start") == "Start"
    page.locator("#function .legend", has_text="infinite width").wait_for()
    assert page.inner_text("#form .limit").startswith("ηₘₐₓ = 0.7")
    assert "above it" not in page.inner_text("#spectrum .where")
    page.click("#step")
    page.locator("#now", has_text="step 1 of 2,000").wait_for()
    page.keyboard.press("Tab")
    page.focus("#start")
    page.keyboard.press("Enter")
    page.locator("#status", has_text="Finished.").wait_for(timeout=60_000)
    names = page.locator("#loss .legend li").all_inner_texts()
    assert names == ["predicted from its start", "infinite width, mean", "training"]
    drawn = page.locator(FIRST + "svg path").evaluate_all("paths => paths.map(p => p.getAttribute('d'))")
    assert all(path and "NaN" not in path for path in drawn)


def test_points_are_placed_by_mouse_and_by_keyboard(page: Any) -> None:
    choose(page, "Four points of your own")
    points = page.locator(FIRST + ".handle")
    assert points.count() == 4
    page.select_option("#function .tools select", "2")
    box = page.locator(FIRST + "svg image").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    yaml(page, ", 2.0]")
    page.locator("#function .legend", has_text="class 2").wait_for()
    assert points.count() == 5
    points.nth(1).focus()
    page.keyboard.press("Shift+ArrowLeft")
    yaml(page, "- [-1.0, -1.0, 0.0]")
    page.keyboard.press("2")
    page.locator(FIRST + ".handle[aria-label='point 2, class 2']:focus").wait_for()
    page.keyboard.press("Delete")
    page.locator(FIRST + ".handle >> nth=4").wait_for(state="detached")
    before = yaml(page, "points:")
    start = points.first.bounding_box()
    page.mouse.move(start["x"] + start["width"] / 2, start["y"] + start["height"] / 2)
    page.mouse.down()
    page.mouse.move(start["x"] + 60, start["y"] - 50, steps=6)
    page.mouse.up()
    page.wait_for_timeout(400)
    assert yaml(page, "points:") != before


def test_a_function_is_typed_and_drawn(page: Any) -> None:
    choose(page, "Low frequencies first")
    page.fill("label:text-is('f(x) =') + input", "sin(3*")
    page.keyboard.press("Tab")
    wrong = page.locator(".wrong", has_text="data.function: sin(3* is no function of x")
    wrong.wait_for()
    assert page.get_attribute("label:text-is('f(x) =') + input", "aria-invalid") == "true"
    page.fill("label:text-is('f(x) =') + input", "sin(3*x)")
    page.keyboard.press("Tab")
    wrong.wait_for(state="hidden")
    yaml(page, "function: sin(3*x)")
    page.select_option("label:text-is('function') + select", "drawn")
    knots = page.locator(FIRST + ".handle")
    knots.nth(16).wait_for()
    knots.nth(4).focus()
    page.keyboard.press("Shift+ArrowUp")
    yaml(page, "- [-0.5, -0.5]")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "f at x = −0.5"


@pytest.mark.parametrize(
    ("label", "text", "message"),
    [
        ("step size η", "-1", "optimizer.lr: -1 must be greater than 0"),
        ("epochs", "many", "training.epochs: many must be a valid integer"),
        ("examples", "1000000", "at most 5,000 can be watched here"),
        ("noise", "-1", "data.noise: -1 must be greater than or equal to 0"),
    ],
)
def test_wrong_input_is_told_beside_the_field(page: Any, label: str, text: str, message: str) -> None:
    choose(page, "XOR with two units")
    field = page.locator(f"#form .row:has(label:text-is('{label}'))")
    field.locator("input").first.fill(text)
    page.keyboard.press("Tab")
    field.locator(".wrong", has_text=message).wait_for()
    page.select_option("#preset", "Three spirals")
    page.locator(".wrong", has_text=message).wait_for(state="hidden")


def test_the_state_is_an_address_that_another_tab_opens(page: Any, served: Served) -> None:
    choose(page, "XOR with two units")
    other = page.context.new_page()
    other.goto(
        f"{served.origin}/playground#{page.url.partition('#')[2].replace('hidden=[2]', 'hidden=[3,+5]')}"
    )
    yaml(page, "hidden: [3, 5]")
    assert page.locator("#form .layer").count() == 2
    other.goto("about:blank")
    with page.expect_download() as saved:
        page.click("#gif")
    assert saved.value.suggested_filename == "training.gif"


def test_a_table_is_chosen_and_its_rows_are_points(page: Any) -> None:
    rows = "".join(f"{i % 7},{i % 5},{'ab'[i % 2]}\n" for i in range(40))
    file = {"name": "mine.csv", "mimeType": "text/csv", "buffer": f"one,two,kind\n{rows}".encode()}
    page.set_input_files("#drop input[type=file]", file)
    page.click("button:text-is('Use mine.csv')")
    yaml(page, "classes: [a, b]")
    page.locator("#function .legend", has_text="class b").wait_for()
    broken = {"name": "page.html", "mimeType": "text/html", "buffer": b"<script>alert(1)</script>"}
    page.set_input_files("#drop input[type=file]", broken)
    page.click("button:text-is('Use page.html')")
    page.locator("#drop .wrong", has_text="page.html").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible_and_fits_a_phone(browser: Any, served: Served, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.base", reason="axe is not installed")
    context = browser.new_context(
        viewport={"width": 400, "height": 800}, color_scheme=scheme, bypass_csp=True
    )
    page = context.new_page()
    page.goto(served.address)
    page.wait_for_url("**/runs*")
    page.goto(f"{served.origin}/playground")
    page.wait_for_selector("html[data-frame]", timeout=60_000)
    choose(page, "Four points of your own")
    page.evaluate(axe.AXE_FILE_PATH.read_text("utf-8"))
    found = page.evaluate("axe.run()")["violations"]
    assert [(v["id"], [node["target"] for node in v["nodes"]]) for v in found] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    context.close()


def test_points_that_are_placed_fast_are_all_kept_while_it_trains(page: Any) -> None:
    choose(page, "Four points of your own")
    page.click("#start")
    box = page.locator(FIRST + "svg image").bounding_box()
    for k in range(6):
        page.mouse.click(box["x"] + box["width"] * (0.2 + 0.1 * k), box["y"] + box["height"] * 0.3)
    page.locator(FIRST + ".handle >> nth=9").wait_for()
    if page.inner_text("#start") == "Pause":
        page.click("#start")


def test_a_training_that_is_started_again_has_one_curve_and_wrong_yaml_stays(page: Any) -> None:
    choose(page, "XOR with two units")
    page.fill("#form .row:has(label:text-is('epochs')) input", "40")
    page.keyboard.press("Tab")
    yaml(page, "epochs: 40")
    for _ in range(2):
        page.click("#start")
        page.locator("#status", has_text="Finished.").wait_for()
    page.wait_for_timeout(500)
    line = page.locator("#loss svg path").last.get_attribute("d")
    xs = [float(part.split()[0].split(",")[0]) for part in line.replace("M", "L").split("L") if part.strip()]
    assert xs == sorted(xs)
    page.click("summary:has-text('YAML')")
    page.fill("#yaml", "a: [1")
    page.click("#apply")
    page.locator("#trouble", has_text="not valid YAML").wait_for()
    assert page.input_value("#yaml") == "a: [1"
