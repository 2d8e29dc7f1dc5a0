"""The elements of a page, for the tests of it."""

from html.parser import HTMLParser


class Reader(HTMLParser):
    """Elements and addresses of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def addresses(self) -> list[str]:
        return [str(a[key]) for _, a in self.tags for key in ("src", "href") if a.get(key) is not None]
