"""Run folders that somebody else made, with the worst in every place that a page shows."""

import json
from pathlib import Path
from typing import Any

import numpy as np

SCRIPT = "<script>alert(1)</script>"
TEXTS = {
    "a script": SCRIPT,
    "a script that ends another": "</script><script>alert(1)</script>",
    "an image in an attribute": '"><img src=x onerror=alert(1)>',
    "an attribute": "' onload='alert(1)",
    "an svg": "<svg/onload=alert(1)>",
    "an end of the style": "</style><script>alert(1)</script>",
    "an end of the title": "</title><script>alert(1)</script>",
    "an address": "javascript:alert(1)",
    "a template": "{{ 7*7 }}{% include '/etc/passwd' %}",
    "a comment": "<!--<script>",
    "the end of a section": "]]>-->",
    "entities": "&lt;script&gt;alert(1)&lt;/script&gt;&#60;b&#62;",
    "line separators": "a\u2028b\u2029c\nd",
    "control characters": "\x07\x1b[31m\x9f",
    "text turned around": "\u202e)1(trela\u202c\u2066x",
    "a path": "../../../../etc/passwd",
    "a root": "/etc/passwd",
    "a shell": "$(touch /tmp/pwned)`id`; rm -rf /",
    "half a character": "\ud800<b>",
    "100,000 letters": "<b>" + "x" * 100_000,
    "a formula": "=cmd()|'/c calc'!A1",
    "a prototype": "__proto__",
    "a math tag": "<math><mtext><script>alert(1)</script></mtext></math> ‖x‖/" + "(" * 300,
    "a base": '<base href="http://example.org/"><meta http-equiv="refresh" content="0;url=http://example.org">',
}
"""What it is -> a text."""


def hostile_run(folder: Path, text: str) -> Path:
    """A run folder with `text` wherever a run folder can hold text, and numbers at the edge."""
    letters = text.encode("utf-8", "replace").decode()  # a summary holds no half characters
    name = letters[:1000]
    (folder / "figures").mkdir(parents=True)
    claim = {
        "name": name, "sentence": letters, "formula": letters, "hypotheses": [letters], "predicted": None,
        "rivals": {letters: 1.0, "none": float("nan")}, "measured": 0.5, "interval": [0.1, 1e308],
        "rule": letters, "verdict": name, letters: letters,
    }  # fmt: skip
    spread = {"mean": 0, "interval": [-1e308, 1e308]}
    summary = {
        "name": name, "experiment": name, "seed": 0, "status": "failed", "message": letters,
        "wall_seconds": 1e308, letters: [{letters: letters}],
        "metrics": {name: 1, "loss": float("nan"), "huge": -(10**308), "wide": spread},
        "claims": [claim, claim | {"name": "second", "measured": None, "hypotheses": [], "formula": ""}],
        "results": [{name: letters, "a/b": [letters]}, {"other": [None, letters]}],
        "warnings": [letters], "notes": [letters],
    }  # fmt: skip
    (folder / "summary.json").write_text(json.dumps(summary), "utf-8")
    (folder / "config.yaml").write_bytes(f"# {text}\nmodel: [*x]\n".encode("utf-8", "replace"))
    rows = [{"step": i, "split": text, text: i, "loss": 1e999 if i % 2 else i} for i in range(5)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "metrics.jsonl").write_text(lines + '{"step": 1, "lo', "utf-8")
    safe = text.encode("utf-8", "replace").decode().replace("\x00", "")[:60]
    arrays: dict[str, Any] = {safe.replace("/", "_"): np.array([[np.nan, np.inf], [0, -1]])}
    np.savez(folder / "arrays.npz", **arrays)
    title = text.encode("utf-8", "replace").decode()
    (folder / "figures" / "x.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9" onload="alert(1)">'
        f"<script>alert(1)</script><dc:title>{title}</dc:title></svg>",
        "utf-8",
    )
    return folder
