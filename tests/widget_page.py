"""Interactive figures alone, in a browser, with the scripts and styles of the page."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jinja2 import Environment

from nnlab.chapters.pages import CHAPTERS
from nnlab.page.build import STYLES, scripts
from nnlab.page.widget import Widget

PAGE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>figures</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{{ style | safe }}</style></head>
<body><nav></nav><main>{% for w in widgets %}<figure class="widget" data-kind="{{ w.kind }}">
<figcaption>{{ w.title }} {{ w.text }}</figcaption><div class="stage"></div>
<script type="application/json">{{ w.data | tojson }}</script></figure>{% endfor %}</main>
{% for script in scripts %}<script>{{ script | safe }}</script>{% endfor %}</body></html>"""


def document(widgets: Sequence[Widget]) -> str:
    """The figures alone, with the scripts and styles of the page."""
    style = "".join(file.read_text("utf-8") for file in STYLES)
    files = [file for chapter in CHAPTERS for file in chapter.scripts]
    template = Environment(autoescape=True).from_string(PAGE)
    return template.render(widgets=widgets, style=style, scripts=scripts(files))


@contextmanager
def opened(browser: Any, file: Path, widgets: Sequence[Widget]) -> Iterator[Any]:
    """The figures in a browser without network; fails at the end where it reported an error."""
    file.write_text(document(widgets), "utf-8")
    errors: list[str] = []
    context = browser.new_context(viewport={"width": 1280, "height": 900}, offline=True)
    page = context.new_page()
    page.on("console", lambda message: errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(file.as_uri())
    yield page
    context.close()
    assert not errors, errors
