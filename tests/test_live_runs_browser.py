"""The runs of the live lab in Chromium: by keyboard, narrow, dark, with hostile runs and hostile pages."""

import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.firefox import FIREFOX, Firefox, firefox
from tests.hostile_runs import TEXTS, hostile_run
from tests.many_runs import growing, row, run_folder, tree
from tests.served import Served, serving

if sys.platform == "win32":
    pytest.skip("run folders have no locks on Windows", allow_module_level=True)

Open = Callable[..., Any]
TAG = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    runs = tmp_path_factory.mktemp("live") / "runs"
    for i in range(3):
        folder = runs / "classify" / f"2026010{i}-step-{i}-s0"
        run_folder(folder, rows=40, name=f"step-{i}", metrics={"test/accuracy": 0.7 + i / 10})
    run_folder(runs / "classify" / "group", seeds=[0, 1], members=["s0", "s1"])
    for seed in ("s0", "s1"):
        run_folder(runs / "classify" / "group" / seed, rows=20)
    run_folder(runs / "classify" / "grows", rows=40, status="running")
    for number, text in enumerate(TEXTS.values()):
        hostile_run(runs / "hostile" / f"{number}", text)
    run_folder(runs / "hostile" / TAG, name=TAG, status="failed", message=TAG)
    with growing([runs / "classify" / "grows"]), serving(runs) as server:
        yield server


@pytest.fixture
def open_lab(browser: Any, served: Served) -> Iterator[Open]:
    """Opens the lab; at the end there was no error, no dialog, and no request to anywhere else."""
    contexts, errors = list[Any](), list[str]()

    def strange(address: str) -> bool:
        return not address.startswith((f"{served.origin}/", "data:"))

    def told(dialog: Any) -> None:
        errors.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def opened(path: str = "/", width: int = 1280, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: errors.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("dialog", told)
        page.on("request", lambda request: errors.append(request.url) if strange(request.url) else None)
        page.goto(served.address)
        page.wait_for_url(f"{served.origin}/runs")
        if path != "/":
            page.goto(served.origin + path)
        page.wait_for_selector("#list tbody tr")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert errors == []


def names(page: Any) -> list[str]:
    return list(page.locator("#list tbody th a").all_text_contents())


def test_every_run_is_listed_and_nothing_that_it_says_is_done(open_lab: Open, served: Served) -> None:
    before = tree(served.runs / "hostile")
    page = open_lab()
    assert len(names(page)) == 6 + len(TEXTS)
    assert TAG in names(page)
    assert page.locator("#list img, #list script, #list svg").count() == 0
    for box in page.locator("#list tbody tr", has_text="failed").locator("input").all()[:20]:
        box.check()
    page.wait_for_selector("#differences tbody tr")
    page.wait_for_selector("#compared svg")
    assert tree(served.runs / "hostile") == before


def test_the_token_is_gone_from_the_address_and_no_script_can_read_it(open_lab: Open) -> None:
    page = open_lab()
    assert "token" not in page.url
    assert page.evaluate("document.cookie") == ""
    page.go_back()
    assert "token" not in page.url


def test_the_list_is_found_sorted_and_chosen_by_keyboard(open_lab: Open) -> None:
    page = open_lab()
    page.locator("#find").focus()
    page.keyboard.type("step accuracy")
    assert page.locator("#count").text_content().startswith("3 of ")
    page.locator("#list thead button", has_text="result").focus()
    page.keyboard.press("Enter")
    assert names(page) == ["step-0", "step-1", "step-2"]
    page.keyboard.press("Enter")
    assert names(page) == ["step-2", "step-1", "step-0"]
    assert page.locator("#list thead th[aria-sort=descending]").text_content() == "result ↓"
    page.keyboard.press("Tab")  # claims
    page.keyboard.press("Tab")  # the first box
    page.keyboard.press("Space")
    page.locator("#list tbody tr", has_text="step-0").locator("input").press("Space")
    page.wait_for_selector("#compared svg path")
    page.wait_for_selector("#differences td")
    page.locator("#compared input[type=checkbox]").nth(1).press("Space")
    address = page.url
    page.reload()
    page.wait_for_selector("#compared svg path")
    assert names(page) == ["step-2", "step-1", "step-0"]
    legend = page.locator("#compared .legend li").all_text_contents()
    assert legend == ["step-2, train: 0.025", "step-0, train: 0.025"]
    assert page.url == address


def test_curves_grow_before_ones_eyes(open_lab: Open, served: Served) -> None:
    page = open_lab("/runs?run=classify%2Fgrows")
    page.locator("#compared .says", has_text="40 rows read").wait_for()
    page.locator("#compared input[type=range]").focus()
    with open(served.runs / "classify" / "grows" / "metrics.jsonl", "a") as file:
        file.writelines(row(step) for step in range(40, 5000))
    page.locator("#compared .says", has_text="5,000 rows read").wait_for()
    page.locator("#list td", has_text="step 4999").wait_for()
    assert page.evaluate("document.activeElement.type") == "range"
    assert page.locator("#compared svg path").first.get_attribute("d").count("L") > 400


def test_a_report_opens_and_is_no_part_of_the_lab(open_lab: Open, served: Served) -> None:
    before = tree(served.runs / "classify" / "group")
    page = open_lab()
    page.locator("#list tbody a", has_text="group").click()
    page.locator("h1", has_text="nnlab: group").wait_for()
    assert page.evaluate("self.origin") == "null"
    page.go_back()
    page.wait_for_selector("#list tbody tr")
    assert tree(served.runs / "classify" / "group") == before


@pytest.mark.parametrize(("width", "scheme"), [(400, "dark"), (1280, "light")])
def test_axe_finds_nothing_and_nothing_is_cut(open_lab: Open, width: int, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    runs = "&".join(f"run=classify%2F{name}" for name in ("grows", "group", "20260101-step-1-s0"))
    page = open_lab(f"/runs?{runs}", width, color_scheme=scheme)
    page.wait_for_selector("#compared svg path")
    page.wait_for_selector("#differences td")
    page.locator("#starting summary").click()
    page.locator("#about", has_text="Softmax").wait_for()
    violations = axe.Axe().run(page).response["violations"]
    assert [(v["id"], v["nodes"][0]["html"][:200]) for v in violations] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


EVIL = """<!DOCTYPE html><title>evil</title><script>
const at = "ADDRESS", report = {};
const body = JSON.stringify({ config: "experiment: classify", name: "evil", seeds: 1 });
const order = { method: "POST", credentials: "include", body };
const tried = (name, work) => work.then(
  (answer) => { report[name] = String(answer); }, () => { report[name] = "refused"; });
const loads = (tag, path) => new Promise((yes, no) => {
  const element = document.createElement(tag);
  element.onload = () => yes("loaded");
  element.onerror = no;
  element.src = at + path;
  document.head.append(element);
});
const socket = () => new Promise((yes, no) => {
  const talk = new WebSocket(at.replace("http", "ws") + "/ws/playground");
  talk.onopen = () => yes("open");
  talk.onerror = no;
});
Promise.all([
  tried("order", fetch(at + "/api/start", { ...order, mode: "no-cors" }).then((r) => r.type)),
  tried("json", fetch(at + "/api/start", { ...order, headers: { "content-type": "application/json" } })),
  tried("list", fetch(at + "/api/runs", { credentials: "include" })),
  tried("script", loads("script", "/static/runs.js")),
  tried("image", loads("img", "/api/runs")),
  tried("socket", socket()),
]).then(() => { window.report = report; });
</script>"""


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_page_of_another_port_gets_nothing_though_the_browser_has_the_cookie(
    browser: Any, served: Served, host: str
) -> None:
    """127.0.0.1 with another port is the same site: there the browser does send the cookie."""

    class Evil(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(EVIL.replace("ADDRESS", served.origin).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Evil)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    context = browser.new_context()
    try:
        page = context.new_page()
        page.goto(served.address)
        page.wait_for_selector("#list tbody tr")
        page.goto(f"http://{host}:{server.server_port}/")
        page.wait_for_function("window.report")
        report = page.evaluate("window.report")
    finally:
        context.close()
        server.shutdown()
        server.server_close()
    assert report.pop("order") in ("opaque", "refused")  # a browser tells neither; the server has refused it
    assert set(report.values()) == {"refused"}, report
    assert served.json("GET", "/api/runs")["jobs"] == []


@pytest.mark.skipif(FIREFOX is None, reason="there is no firefox")
def test_firefox_shows_the_same(served: Served, tmp_path: Path) -> None:
    def seen(page: Firefox, expression: str) -> None:
        page.evaluate(
            "new Promise((yes, no) => { const look = setInterval(() => "
            f"{{ if ({expression}) {{ clearInterval(look); yes(1); }} }}, 50); setTimeout(no, 30000); }})"
        )

    with firefox(tmp_path / "profile") as page:
        page.open(served.address)
        seen(page, f"location.href === '{served.origin}/runs' && document.querySelector('#list tbody tr')")
        page.open(f"{served.origin}/runs?run=classify%2Fgroup")
        seen(
            page, "document.querySelector('#compared svg path') && document.querySelector('#differences td')"
        )
        page.open(f"{served.origin}/runs/classify/group/report")
        seen(page, "document.title === 'nnlab: group'")
        assert page.evaluate("self.origin") == "null"
        assert page.told == []
