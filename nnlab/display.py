"""Tables of HTML, for what a notebook shows of an object."""

import html
from collections.abc import Iterable, Mapping, Sequence


def cell(value: object, digits: int = 6) -> str:
    """A value as short text: significant digits, "0.1 to 0.2" for a range or interval, "" for None.

    >>> cell(0.123456789), cell([0.5, None]), cell((None, None)), cell({"mean": 0.5, "interval": [0.4, 0.6]})
    ('0.123457', '≥ 0.5', '', '0.5 (0.4 to 0.6)')
    """
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    if isinstance(value, Mapping):  # a metric over seeds
        interval = cell(value.get("interval"), digits)
        return cell(value.get("mean"), digits) + (f" ({interval})" if interval else "")
    if isinstance(value, list | tuple):
        ends = [cell(end, digits) for end in value]
        if len(ends) == 2 and "" in ends:
            return f"≥ {ends[0]}" if ends[0] else f"≤ {ends[1]}" if ends[1] else ""
        return " to ".join(ends)
    return str(value)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """An HTML table; all of its text is escaped."""

    def line(kind: str, cells: Iterable[object]) -> str:
        return "<tr>" + "".join(f"<{kind}>{html.escape(cell(c))}</{kind}>" for c in cells) + "</tr>"

    return f"<table>{line('th', columns)}{''.join(line('td', row) for row in rows)}</table>"
