"""What the command line writes on a terminal, and in its place where there is none."""

import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from nnlab.cli import terminal
from nnlab.cli.terminal import Lines, Terminal
from nnlab.display import duration, visible
from tests.command_line import nnlab

HOSTILE = "\x1b]0;title\x07\x1b[31m\x9b2J\u202etxt\u2066\x7f\x00"


class Clock:
    """A clock that goes on by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def progress(seconds: float, steps: int, text: str = "loss 0.5", rate: float = 1.0) -> list[str]:
    """The lines of a task of `steps` steps that take `seconds`, its last half at `rate` of that speed."""
    clock, lines = Clock(), list[str]()
    reporter = Lines(lines.append, clock)
    with reporter.bar("training") as advance:
        for step in range(steps + 1):
            advance(step, steps, text)
            clock.now += seconds / steps / (rate if step > steps / 2 else 1.0)
    return lines


def test_a_short_task_has_no_line() -> None:
    assert progress(2.5, 100) == []


def test_a_line_early_one_each_half_minute_and_one_at_the_end() -> None:
    lines = progress(100.0, 1_000)
    assert len(lines) == 5  # at 3, 33, 63 and 93 seconds, and at the end
    assert re.fullmatch(r"training: step 3\d of 1,000 \(3%\), loss 0\.5; about 2 min left", lines[0])
    assert re.fullmatch(r"training: step 33\d of 1,000 \(33%\), loss 0\.5; about 67 s left", lines[1])
    assert lines[-1].startswith("training: step 1,000 of 1,000 (100%), loss 0.5; training took 2 min")


def test_the_time_left_is_that_of_the_last_part() -> None:
    """Ten times slower in the second half: five minutes later the first half is forgotten."""
    lines = progress(600.0, 6_000, rate=0.1)
    done = int(lines[-3].split(": step ")[1].split(" of ")[0].replace(",", ""))
    left = (6_000 - done) / (6_000 / 600.0 * 0.1)
    assert f"about {duration(left)} left" in lines[-3]


def test_several_tasks_share_the_half_minute() -> None:
    clock, lines = Clock(), list[str]()
    reporter = Lines(lines.append, clock)
    for _ in range(60):
        with reporter.bar("training") as advance:
            for step in range(2):
                advance(step, 1, "")
                clock.now += 0.5
    assert 2 <= len(lines) <= 2 * 2 + 2  # of 60 seconds


def test_a_total_that_is_not_known() -> None:
    clock, lines = Clock(), list[str]()
    with Lines(lines.append, clock).bar("reading images") as advance:
        clock.now += 4
        advance(7, 0, "")
    assert lines[0] == "reading images: 7"


@pytest.mark.parametrize("plain", [True, False])
def test_a_stderr_that_cannot_be_written_ends_no_run(plain: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stderr", Full())
    reporter = Terminal(plain=plain)
    reporter.say("a message")
    with reporter.bar("training") as advance:
        advance(1, 2, "loss 1")


def test_control_characters_are_written_out() -> None:
    assert visible("a\tb\nc é 漢 🂡 ≤") == "a\tb\nc é 漢 🂡 ≤"
    shown = visible(HOSTILE)
    assert shown == r"\x1b]0;title\x07\x1b[31m\x9b2J\u202etxt\u2066\x7f\x00"
    assert visible("\ud800") == r"\ud800"


def summary_with(text: str) -> dict[str, Any]:
    claim = {
        "name": text,
        "sentence": text,
        "verdict": text,
        "predicted": 1.0,
        "measured": 1.0,
        "interval": [0, 2],
        "hypotheses": [text],
    }
    return {
        "name": text,
        "experiment": text,
        "seed": 0,
        "status": "failed",
        "started": text,
        "message": text,
        "metrics": {text: 1.0},
        "results": [{text: text, "b": [text, text]}],
        "claims": [claim],
        "warnings": [text],
        "notes": [text],
    }


@pytest.mark.parametrize("text", [HOSTILE, "[red]x[/red] [/] [bold", "\\[/]", ":smile:", "a\nb", "%s {}"])
def test_a_run_that_says_something_odd(text: str, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "odd" / "run"
    folder.mkdir(parents=True)
    lecture = folder.with_name("lecture")
    lecture.mkdir()
    summary = summary_with(text)
    (folder / "summary.json").write_text(json.dumps(summary))
    row = {"section": text, "sentence": text, "verdict": "FAIL", "refuted": True, "holds": text}
    rows = [row | {"hypotheses": [text]}, {"verdict": text}]
    (lecture / "summary.json").write_text(json.dumps(summary | {"experiment": "lecture", "results": rows}))
    commands: list[list[str | Path]] = [
        ["show", folder],
        ["show", lecture],
        ["list", "--runs", tmp_path / "runs"],
    ]
    for command in commands:
        for as_json in ([], ["--json"]):
            result = nnlab("runs", *command, *as_json)
            assert (result.code, result.err) == (0, "")
            letters = result.out.replace("\n", "").replace("\t", "")
            assert all(letter.isprintable() or letter == "\u3000" for letter in letters), command
            if as_json:
                content = json.loads(result.out)
                assert (content[0] if command[0] == "list" else content)["name"] == text
    shown = nnlab("runs", "show", folder).out
    assert f"warning: {visible(text)}" in shown


def test_json_is_what_it_was_after_the_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"a\x9b": HOSTILE, "≤": ["é", 1.5, None]}
    terminal.print_json(value)
    written = capsys.readouterr().out
    assert json.loads(written) == value
    assert "≤" in written
    assert not set("\x1b\x07\x9b\u202e\x7f") & set(written)
    terminal.print_json_list([value, 3])
    assert json.loads(capsys.readouterr().out) == [value, 3]


def test_an_error_that_quotes_its_input(tmp_path: Path) -> None:
    for arguments in (
        ["train", "--config", HOSTILE],
        ["runs", "show", HOSTILE],
        [HOSTILE],
        ["runs", "list", "--runs", HOSTILE],
        ["train", "--config", "xor", "--set", f"{HOSTILE}=1"],
        ["train", "--config", "xor", f"--{HOSTILE}"],
    ):
        result = nnlab(*[argument.replace("\x00", "") for argument in arguments])
        assert result.code == 2
        assert not set("\x1b\x07\x9b\u202e\x7f") & set(result.err), result.err
        assert result.out == ""
