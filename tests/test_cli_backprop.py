"""`nnlab backprop` as a user meets it: tables, steps, JSON, files, networks, and every refusal."""

import io
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

from nnlab.chapters.backpropagation.latex import formula
from nnlab.chapters.backpropagation.network import network_sheet
from nnlab.chapters.backpropagation.terminal import Pager
from nnlab.errors import InputError
from nnlab.expressions.operations import OPERATIONS
from nnlab.expressions.tokens import MAX_LENGTH
from nnlab.lab.config import shipped_configs
from nnlab.models import CNN, MLP, SpeedCNN
from tests.command_line import Result, files_no_longer_than, nnlab
from tests.plain_tex import pdflatex

NEURON = ("1/(1+exp(-(w0*x0 + w1*x1 + w2)))", "--at", "w0=2,x0=-1,w1=-3,x1=-2,w2=-3")
SUM = ("(x + y) * z", "--at", "x=-2,y=5,z=-4")
LONG = "a" * 5000
"""Longer than any name of a file may be."""


def flat(result: Result) -> str:
    return " ".join(result.out.split())


# --- what it shows ---


def test_the_first_slide_is_told_node_by_node() -> None:
    result = nnlab("backprop", *SUM, "--torch")
    assert result.code == 0
    text = flat(result)
    for words in (
        "q1 │ x + y │ 3 │ −4", "∂q1/∂x = 1", "∂f/∂x = ∂f/∂q1 · ∂q1/∂x = (−4) · 1 = −4", "∂f/∂z = q1 = 3",
        "∂f/∂x │ −4 │ −4 │ 0", "reverse mode 1 pass, 4 multiply-adds", "forward mode 3 passes",
    ):  # fmt: skip
        assert words in text, words
    assert text.count("agree") == 3
    assert "DISAGREE" not in text


def test_torch_is_asked_only_where_differences_leave_a_question() -> None:
    assert "torch.autograd" not in nnlab("backprop", *SUM).out
    assert "∂f/∂x │ −4 │ 0 │" in flat(nnlab("backprop", *SUM))
    assert "torch.autograd" in nnlab("backprop", "abs(x)", "--at", "x=0").out
    report = json.loads(nnlab("backprop", *SUM, "--json").out)["checks"]
    assert (report["agree"], report["checked"], report["value_error"]) == (True, True, None)
    assert report["variables"]["x"]["autograd"] is None
    assert json.loads(nnlab("backprop", *SUM, "--torch", "--json").out)["checks"]["value_error"] == 0
    refused = nnlab("backprop", "--config", "xor", "--torch")
    assert (refused.code, "--torch is for an expression" in refused.err) == (2, True)


def test_what_an_operation_on_arrays_passes_on_is_no_local_derivative() -> None:
    result = nnlab("backprop", "sum(A @ x)", "--at", "A=[[1,2]],x=[3,4]")
    assert "│ │ ∂f/∂x = Aᵀ ∂f/∂q1 = [1, 2]" in flat(result)
    assert "∂f/∂A = ∂f/∂q1 xᵀ = [3, 4]" in flat(result)
    assert flat(result).count("∂f/∂q1 xᵀ") == 1


@pytest.mark.parametrize("fuse", [(), ("--fuse",)])
def test_the_second_slide_as_json(fuse: tuple[str, ...]) -> None:
    result = nnlab("backprop", *NEURON, *fuse, "--json")
    report = json.loads(result.out, parse_constant=pytest.fail)
    assert round(report["value"], 2) == 0.73
    rounded = {name: round(value, 2) for name, value in report["gradients"].items()}
    assert rounded == {"w0": -0.2, "x0": 0.39, "w1": -0.39, "x1": -0.59, "w2": 0.2}
    assert report["checks"]["agree"] is True
    assert report["checks"]["forward_mode_error"] < 1e-12
    assert ("sigmoid" in [node["operation"] for node in report["nodes"]]) == bool(fuse)
    assert report["costs"]["reverse"]["passes"] == 1
    assert report["costs"]["forward"]["passes"] == 5


def test_one_operation_is_told_as_one() -> None:
    text = nnlab("backprop", "-x", "--at", "x=1").out
    assert "reverse mode 1 pass, 1 multiply-add, 4 values kept; forward mode 1 pass" in text


def test_steps_go_from_the_result_to_the_variables() -> None:
    text = nnlab("backprop", *SUM, "--steps").out
    order = [
        "  q1 = x + y = 3", "∂f/∂f = 1", "f = q1 · z: 1 arrives", "passes on ∂f/∂q1 = z = −4",
        "complete: ∂f/∂z = 3",
        "q1 = x + y: −4 arrives", "complete: ∂f/∂x = −4", "complete: ∂f/∂y = −4",
    ]  # fmt: skip
    places = [text.index(words) for words in order]
    assert places == sorted(places)


@pytest.mark.parametrize("typed", ["\n", "\nq\n\n\n"])
def test_steps_wait_for_enter_until_the_input_ends_or_a_q(
    typed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Keyboard(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = io.StringIO()
    monkeypatch.setattr("sys.stdin", Keyboard(typed))
    pager = Pager(Console(file=screen, force_terminal=True, color_system=None))
    for number in range(4):
        pager.say(f"step {number}")
        pager.wait("Enter ")
    assert screen.getvalue().count("Enter") == 2
    assert "step 3" in screen.getvalue()


@pytest.mark.parametrize("steps", [(), ("--steps",)])
def test_beside_a_variable_f_the_result_has_another_name_everywhere(steps: tuple[str, ...]) -> None:
    text = nnlab("backprop", "abs(f)*x", "--at", "f=0,x=3", *steps).out
    for words in ("g = abs(f)*x", "g = 0", "∂g/∂f", "∂g/∂x", "∂g/∂f is −3 to the left"):
        assert words in text
    assert "∂f/" not in text


def test_in_a_narrow_terminal_the_chain_rule_has_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnlab.cli.terminal.out", lambda: Console(width=80, file=sys.stdout))
    text = nnlab("backprop", *NEURON).out
    assert "∂q1/∂w0 = x0 = −1" in text
    assert "∂f/∂w0 = ∂f/∂q1 · ∂q1/∂w0 =" in text
    assert text.count("∂f/∂q7 = −f/q7 = −0.5344") == 1


def test_kinks_and_one_sided_slopes_are_said() -> None:
    text = nnlab("backprop", "abs(x) + relu(y)", "--at", "x=0,y=0").out
    assert "kink: abs has a kink at x = 0: slope −1 to the left, 1 to the right; 0 is used" in text
    assert "kink: ∂f/∂x is −1 to the left, 1 to the right" in text
    assert "DISAGREE" not in text


def test_jumps_sides_that_look_alike_and_slopes_that_are_none_are_said() -> None:
    jump = nnlab("backprop", "where(x < 1, x, 3*x)", "--at", "x=1").out
    assert "jump at x = 1: f is 1 just below, 3 there, 3 just above" in jump
    near = nnlab("backprop", "max(x/3, 0.33334*x)", "--at", "x=0").out
    assert "kink: ∂f/∂x is 0.33333 to the left, 0.33334 to the right" in near
    smooth = nnlab("backprop", "relu(x) - relu(-x)", "--at", "x=0").out
    assert "kink: ∂f/∂x is 1 to either side; the slopes used give 0" in smooth
    possible = nnlab("backprop", "where(x^2 > 0, x, 2*x)", "--at", "x=0").out
    assert "possible kink: where changes branch at 0 = q1" in possible
    assert "more like these" in nnlab("backprop", "sum(abs(w))", "--at", f"w={[0] * 12}").out


def test_what_was_not_checked_is_said() -> None:
    text = "where(x > 0, log(x), x)"
    assert "not checked" in nnlab("backprop", text, "--at", "x=0").out
    assert "agree, 1 of 2 not checked" in nnlab("backprop", f"sum({text})", "--at", "x=[0,1]").out
    report = json.loads(nnlab("backprop", text, "--at", "x=0", "--json").out)["checks"]
    assert (report["agree"], report["checked"], report["variables"]["x"]["checked"]) == (True, False, 0)
    assert report["kinks"][0]["certain"] is True
    sides = {"variable": "x", "entry": [], "below": 0, "above": None, "left": 1, "right": None}
    assert report["sides"] == [{**sides, "jumps": True, "bends": True, "is_known": True}]


def test_worked_examples() -> None:
    scores = nnlab("backprop", "--example", "scores").out
    assert scores.count("[−0.9994, 0.9991, 0.000295]") >= 4
    stable = flat(nnlab("backprop", "--example", "logsumexp"))
    assert "1 │ 1001 │ inf │ [nan, nan, nan]" in stable


def test_what_an_example_shows_beside_its_gradients_is_in_json_and_latex_too(tmp_path: Path) -> None:
    def of(name: str) -> tuple[list[dict[str, object]], str]:
        tex = tmp_path / f"{name}.tex"
        report = json.loads(nnlab("backprop", "--example", name, "--json", "--latex", tex).out)
        return report.get("example"), tex.read_text()

    rows, text = of("scores")
    facts = {str(row["quantity"]): row["value"] for row in rows}
    assert facts["gradient in s, from the graph"] == pytest.approx(facts["p − y"], rel=1e-10)
    assert facts["loss −Σ y log p"] == pytest.approx(7.427, abs=1e-3)
    assert r"loss $-\textstyle\sum$ y log p & $7.427$" in text
    rows, text = of("logsumexp")
    assert [row["scores times"] for row in rows] == ["0.001", "0.1", "0.5", "1"]
    assert rows[2]["logsumexp(s)"] == pytest.approx(rows[2]["log(sum(exp(s)))"], rel=1e-12)
    assert r"1 & $1001$ & $\infty$ & $\fit{\begin{pmatrix} \mathrm{nan}" in text
    assert of("sum")[0] is None


def test_kinks_stand_in_latex_as_in_the_terminal(tmp_path: Path) -> None:
    tex = tmp_path / "a.tex"
    text = "abs(x1) + relu(sum(w)) + where(y < 1, y, 3*y)"
    printed = nnlab("backprop", text, "--at", "x1=0,y=1,w=[1,-1]", "--latex", tex)
    for words in (
        "kink: abs has a kink at $x_{1} = 0$: slope $-1$ to the left, 1 to the right; 0 is used",
        "kink: relu has a kink at $q_{2} = 0$: slope 0 to the left, 1 to the right; 0 is used",
        "kink: where changes branch at $y = 1$: the slope is that of the branch taken",
        r"kink: $\partial f / \partial x_{1}$ is $-1$ to the left, $1$ to the right",
        r"kink: $\partial f / \partial w[1]$ is $0$ to the left, $1$ to the right",
        "jump at $y$ = $1$: $f$ is $1$ just below, $3$ there, $3$ just above",
    ):
        assert f"\n\n{words}\n" in tex.read_text()
    assert printed.out.count("kink: ") == tex.read_text().count("kink: ")


def test_a_worked_example_at_other_values_is_told_with_those() -> None:
    assert "f = 9" in nnlab("backprop", "--example", "sum", "--at", "x=1,y=2,z=3").out
    assert "f = -8".replace("-", "−") in nnlab("backprop", "--example", "sum", "--at", "x=-3").out
    scores = nnlab("backprop", "--example", "scores", "--at", "y=[0,1,0]").out
    assert scores.count("[0.000595, −0.0008901, 0.000295]") >= 4
    stable = flat(nnlab("backprop", "--example", "logsumexp", "--at", "s=[0,2],y=[1,0]"))
    assert "1 │ 2.127 │ 2.127 │ [0.1192, 0.8808]" in stable


def test_values_from_files_and_an_expression_that_begins_with_a_minus(tmp_path: Path) -> None:
    (tmp_path / "v.yaml").write_text("x: [1, 2]\n")
    np.savez(tmp_path / "w.npz", W=np.eye(2))
    result = nnlab(
        "backprop", "-sum(W @ x)", "--at", tmp_path / "v.yaml", "--at", tmp_path / "w.npz", "--json"
    )
    report = json.loads(result.out)
    assert report["value"] == -3
    assert report["gradients"] == {"x": [-1, -1], "W": [[-1, -2], [-1, -2]]}
    assert report["expression"] == "-sum(W @ x)"


def test_a_long_expression_is_shown_in_part_and_whole_as_json() -> None:
    depth = 1_000
    text = "sin(" * depth + "x" + ")" * depth
    printed = nnlab("backprop", text, "--at", "x=1")
    assert printed.code == 0
    assert "…" in printed.out
    assert len(json.loads(nnlab("backprop", text, "--at", "x=1", "--json").out)["nodes"]) == depth + 1


def test_files_are_written_once(tmp_path: Path) -> None:
    files = {flag: tmp_path / f"a.{flag[2:]}" for flag in ("--png", "--svg", "--latex")}
    flags = [part for pair in files.items() for part in pair]
    result = nnlab("backprop", *NEURON, *flags)
    assert result.code == 0
    assert files["--png"].read_bytes()[:4] == b"\x89PNG"
    assert "<svg" in files["--svg"].read_text()
    assert r"\documentclass" in files["--latex"].read_text()
    before = files["--png"].read_bytes()
    again = nnlab("backprop", *SUM, "--png", files["--png"])
    assert (again.code, files["--png"].read_bytes()) == (2, before)
    assert "already exists" in again.err
    missing = nnlab("backprop", *SUM, "--svg", tmp_path / "no" / "a.svg")
    assert missing.code == 2
    assert "there is no folder" in missing.err


def test_the_digits_that_are_wanted_stand_in_every_file(tmp_path: Path) -> None:
    for digits, third in (("2", "0.33"), ("6", "0.333333")):
        svg, tex = tmp_path / f"{digits}.svg", tmp_path / f"{digits}.tex"
        options = ("--digits", digits, "--svg", svg, "--latex", tex, "--json")
        assert nnlab("backprop", "x*1000", "--at", "x=1/3", *options).code == 0
        assert f"<!-- {third} -->" in svg.read_text()
        assert f"$x$ & given & ${third}$" in tex.read_text()


@pytest.mark.parametrize("second", ["a.png", "./a.png", "sub/../a.png"])
def test_one_file_under_two_flags_is_refused(
    second: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sub").mkdir()
    result = nnlab("backprop", *SUM, "--png", "a.png", "--svg", second)
    assert result.code == 2
    assert "--png and --svg give the same file" in result.err
    assert not Path("a.png").exists()


def test_files_are_all_written_or_none(tmp_path: Path) -> None:
    long = tmp_path / f"{'a' * 300}.tex"
    result = nnlab("backprop", *SUM, "--png", tmp_path / "a.png", "--latex", long)
    assert result.code == 2
    assert "--latex" in result.err
    assert "cannot be written: File name too long" in result.err
    with files_no_longer_than(10_000):
        result = nnlab("backprop", *SUM, "--latex", tmp_path / "a.tex", "--svg", tmp_path / "a.svg")
    assert result.code == 2
    assert "a.svg: cannot be written: File too large" in result.err
    assert list(tmp_path.iterdir()) == []


def test_a_link_to_nowhere_is_there_already(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to(tmp_path / "b.png")
    result = nnlab("backprop", *SUM, "--png", tmp_path / "a.png")
    assert result.code == 2
    assert "already exists" in result.err


def test_only_the_expression_may_begin_with_a_minus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = nnlab("backprop", "--json", "--svg", "-a.svg", "-tanh(x)", "--at", "x=0")
    assert json.loads(result.out)["gradients"] == {"x": -1}
    assert [path.name for path in tmp_path.iterdir()] == ["-a.svg"]
    assert "Usage" in nnlab("backprop", "-h").out


# --- a check that fails ---


def test_gradients_that_disagree_end_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """The product rule with its factors exchanged."""
    multiply = OPERATIONS["multiply"]
    wrong = replace(multiply, partials=multiply.partials[::-1])
    with monkeypatch.context() as patched:
        patched.setitem(OPERATIONS, "multiply", wrong)
        printed, as_json = nnlab("backprop", *SUM), nnlab("backprop", *SUM, "--json")
    assert printed.code == as_json.code == 1
    assert "DISAGREE" in printed.out
    assert json.loads(as_json.out)["checks"]["agree"] is False
    for result in (printed, as_json):
        assert result.err.startswith("nnlab: the gradients above disagree")
    assert nnlab("backprop", *SUM).code == 0


def test_a_network_whose_gradients_disagree_ends_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnlab.chapters.backpropagation.network_worksheet.TOLERANCE", -1.0)
    for flags in ((), ("--json",)):
        result = nnlab("backprop", "--config", "xor", *flags)
        assert result.code == 1
        assert result.err == "nnlab: the gradients above disagree with those of torch.autograd\n"
        assert result.out


# --- refusals ---


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("x*yy", "--at", "x=1,y=2"), "yy has no value (did you mean y?)"),
        (("a/bc", "--at", "a=1,b=2,c=3"), "bc has no value (did you mean (b*c)?)"),
        (("expp(x)", "--at", "x=1"), "unknown function expp: did you mean exp?"),
        (("lnn(x)", "--at", "x=1"), "unknown function lnn: did you mean ln?"),
        (("LSE(x)", "--at", "x=1"), "unknown function LSE: did you mean logsumexp?"),
        (("x", "--at", "x=1,z=2"), "gives z, which the expression does not have"),
        (("x*y", "--at", "x=1"), "y has no value"),
        (("(x + 1", "--at", "x=1"), "\n  ^"),
        (("x + 1)", "--at", "x=1"), "\n       ^"),
        (("u + v", "--at", "u=[1,2],v=[1,2,3]"), "the shapes (2,) and (3,) do not fit"),
        (("sum(A @ B)", "--at", "A=[[1,2]],B=[[1,2]]"), "(1, 2) @ (1, 2) do not fit"),
        (("x/y", "--at", "x=1,y=0"), "division by zero: 1 / 0"),
        (("exp(x)", "--at", "x=1e3"), "overflow: exp at 1000"),
        (("log(x)", "--at", "x=-1"), "log has no value at -1"),
        (("x", "--at", "x=nan"), "finite"),
        (("", "--at", "x=1"), "empty"),
        ((), "give one of EXPRESSION"),
        (("x", "--example", "sum"), "give one of EXPRESSION"),
        (("--example", "sun"), "did you mean sum?"),
        (("x", "--set", "a=b", "--at", "x=1"), "--set goes with --config"),
        (("x + 1", "--at", "x=1", "--row", "0"), "--row goes with --config or --model"),
        (("--example", "sum", "--row", "1"), "--row goes with --config or --model"),
        (("--example", "sum", "--json", "--steps"), "--steps is for reading; --json has every step"),
        (("--example", "sum", "--json", "--digits", "4"), "--digits is for reading; --json has every digit"),
        (("--config", "xor", "--json", "--steps"), "--steps is for reading"),
        (("--config", "xor", "--fuse"), "--fuse is for an expression"),
        (("--config", "xor", "--at", ""), "--at is for an expression"),
        (("--example", "sum", "--at", "q=1"), "gives q, which the expression does not have"),
        (("--example", "sum", "--set", "a=b"), "--set goes with --config"),
        (("--config", "xor", "--at", "x=1"), "--at is for an expression"),
        (("--config", "xor", "--png", "a.png"), "--png is for an expression"),
        (("--config", "xor", "--latex", "no/a.tex"), "there is no folder no"),
        (("--config", "xor", "--latex", "a.pdf"), "--latex a.pdf: the suffix is that of another format"),
        (
            ("x", "--at", "x=1", "--png", "a.jpg"),
            "the suffix is that of another format; end its name with .png",
        ),
        (
            ("x", "--at", "x=1", "--svg", "a.PNG"),
            "the suffix is that of another format; end its name with .svg",
        ),
        (("--config", "xor", "--row", "100000"), "the rows 0 to"),
        (("--config", "approx"), "trains no single network"),
        (("--config", "xorr"), "xorr"),
        (("--model", "no-such-run"), "no-such-run"),
        (("--config", LONG), "no file and no shipped config of that name"),
        (("--model", LONG), "no such folder"),
        (("x", "--at", LONG), "must be such as x=-2"),
        (("x", "--at", "x=1", "--png", LONG), "cannot be written: File name too long"),
        (("x", "--at", "x=1", "--png", LONG + "/a"), "there is no folder"),
    ],
)
def test_bad_input_ends_with_2_and_one_message(arguments: tuple[str, ...], words: str) -> None:
    result = nnlab("backprop", *arguments)
    assert result.code == 2
    assert words in result.err
    assert result.err.startswith("nnlab: ")
    assert "Traceback" not in result.err
    assert result.out == ""


def test_configs_that_have_no_network_are_told_which_have_one() -> None:
    result = nnlab("backprop", "--config", "approx")
    names = result.err.rpartition(": ")[2].split()
    named = [name.rstrip(",") for name in names]
    assert {"mlp2_digits", "xor", "regression_1d"} <= set(named) <= set(shipped_configs())
    assert "ntk" not in named


def test_an_expression_beyond_the_limit_is_refused() -> None:
    result = nnlab("backprop", "x" + "+x" * MAX_LENGTH, "--at", "x=1")
    assert result.code == 2
    assert f"at most {MAX_LENGTH:,} are read" in result.err


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('id')", "x.__class__", "().__class__.__bases__", "getattr(x, 'y')",
        "exec('1')",
        "eval('1')", "open('/etc/passwd')", "lambda: 1", "x if x else 1", "[x for x in y]", "f'{x}'", "x[0]",
        "x := 1", "x; y", "import os", "print(x)", "globals()", "x.y", "'a'", '"a"', "{1}", "`id`", "$(id)",
        "x\x00", "exp.__globals__", "\uff45\uff58\uff50(x)", "sum.x",
        "x @ __builtins__", "breakpoint()", "x!", "x%2", "~x",
        "x//2", "x|y", "not x", "x and y", "0x10", "1_000", "1j", "None", "True", "x==1", "x=1",
    ],
)  # fmt: skip
def test_nothing_in_an_expression_reaches_python(text: str) -> None:
    result = nnlab("backprop", text, "--at", "x=1,y=2")
    assert result.code == 2
    assert "uid=" not in result.out + result.err
    assert result.err.startswith("nnlab: ")
    assert "Traceback" not in result.err


# --- networks ---


@pytest.mark.parametrize("name", ["xor", "mlp2_digits", "cnn_digits", "regression_1d"])
def test_the_network_of_a_config(name: str) -> None:
    result = nnlab("backprop", "--config", name, "--row", "1")
    assert result.code == 0, result.err
    assert "all gradients agree with torch.autograd in float64" in result.out
    assert "δ1" in result.out
    backward = result.out.partition("backward")[2].partition("all gradients")[0].splitlines()
    errors = [line.rpartition("│")[2].strip().replace("−", "-") for line in backward if "│" in line]
    assert all(float(error) < 1e-10 for error in errors)  # each gradient is checked, and that is said


@pytest.mark.parametrize("name", ["xor", "mlp3_digits", "cnn_digits"])
def test_the_latex_of_a_network_has_what_the_terminal_has(name: str, tmp_path: Path) -> None:
    tex = tmp_path / "sheet.tex"
    printed = nnlab("backprop", "--config", name, "--latex", tex)
    assert printed.code == 0, printed.err
    text = tex.read_text()
    rows = [line.split("│") for line in printed.out.splitlines() if line.count("│") >= 5]
    assert text.count(r"\noalign{\smallskip}") == len(rows) + 2  # the heads of two tables
    for _, _, _, shape, norm, entries, *_ in rows:
        size = r" \times ".join(shape.strip().split("×"))
        assert f"${size}$ & " in text
        assert entries.strip() or f"= {norm.strip().replace('−', '-')}$" in text or "e" in norm
    assert "all gradients agree with torch.autograd" in text
    log = pdflatex(tmp_path, text)
    assert "Overfull" not in log


def test_formulas_of_networks_are_set_as_mathematics() -> None:
    for plain, tex in (
        ("(W2ᵀ δ2) ∘ leaky_relu'(a1)", r"(W_{2}^{\top} \delta_{2}) \circ \mathrm{leaky\_relu}'(a_{1})"),
        ("γ1 (a1 − μ)/√(s² + ε)", r"\gamma_{1} (a_{1} - \mu)/\sqrt{s^{2} + \varepsilon }"),
        ("∂L/∂v2 as maps", r"\partial L/\partial v_{2}\ \allowbreak \mathrm{as}\ \allowbreak \mathrm{maps}"),
        ("p − y, p = softmax(s)", r"p - y, p = \mathrm{softmax}(s)"),
    ):
        assert formula(plain) == tex


def test_the_formula_of_delta_stands_in_the_table() -> None:
    text = nnlab("backprop", "--config", "mlp3_digits").out
    for words in ("(W2ᵀ δ2) ∘ relu'(a1)", "(W3ᵀ δ3) ∘ relu'(a2)", "δ1 xᵀ", "δ2 h1ᵀ", "p − y"):
        assert words in text
    assert "δ3 = ∂L/∂s" in text


def test_the_formula_of_a_smoothed_target_stands_in_the_table() -> None:
    text = nnlab("backprop", "--config", "softmax_digits", "--set", "loss.label_smoothing=0.1").out
    assert "p − ((1 − 0.1) y + 0.1/10), p = softmax(s)" in text
    assert "all gradients agree" in text


def test_the_network_of_a_run_and_steps_and_json(tmp_path: Path) -> None:
    run = nnlab("train", "--config", "xor", "--set", "training.epochs=2", "--runs", tmp_path, "--quiet")
    printed = nnlab("backprop", "--model", run.last_line, "--json")
    if printed.code == 2:  # an experiment that trains several networks keeps none of them
        assert "checkpoints/best.pt" in printed.err
    train = ("train", "--config", "spirals", "--set", "training.epochs=2", "--runs", tmp_path, "--quiet")
    run = nnlab(*train)
    report = json.loads(nnlab("backprop", "--model", run.last_line, "--json").out)
    assert report["error"] < 1e-10
    assert [layer["value"]["name"] for layer in report["layers"]][-1] == "s"
    steps = nnlab("backprop", "--model", run.last_line, "--steps").out
    assert steps.index("= ∂L/∂s = p − y") < steps.index("δ1 = ")


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def networks() -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    image = (3, 18, 18)
    models: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
        f"mlp {phi}": (MLP(4, [5, 3], 3, phi, pieces=3, generator=generator()), (4,))
        for phi in ("sigmoid", "tanh", "relu", "leaky_relu", "elu", "gelu", "erf", "ripple", "maxout")
    }
    models |= {
        "mlp of images": (MLP(12, [4], 3, generator=generator()), (3, 2, 2)),
        "mlp ntk": (MLP(4, [5], 3, parameterization="ntk", generator=generator()), (4,)),
        "mlp without bias": (MLP(4, [5], 3, bias=False, generator=generator()), (4,)),
        "softmax": (MLP(4, [], 3, generator=generator()), (4,)),
        "width 1": (MLP(1, [1, 1], 1, "tanh", generator=generator()), (1,)),
    }
    speed = SpeedCNN(image, [4, 5, 6], 3, examples=torch.randn(20, *image), generator=generator())
    models["speed_cnn"] = (speed, image)
    cnns: tuple[tuple[str, tuple[int, int, int], dict[str, Any]], ...] = (
        ("cnn", (3, 9, 7), {"activation": "elu", "batch_norm": True, "dropout": 0.5}),
        ("cnn maxout", (1, 8, 8), {"activation": "maxout", "pieces": 2}),
        ("cnn unpadded", (3, 12, 12), {"padding": 0}),
    )
    for name, shape, options in cnns:
        models[name] = (CNN(shape, [4, 5], 3, **options, generator=generator()), shape)
    return models


@pytest.mark.parametrize("name", networks())
def test_our_rules_give_autograds_gradients_for_every_kind_of_layer(name: str) -> None:
    model, shape = networks()[name]
    for module in model.modules():  # as after training: statistics and scales that are not 0 and 1
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.uniform_(module.running_mean, -1, 1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
    model = model.double()
    inputs = torch.randn(1, *shape, dtype=torch.float64, generator=generator())

    def loss(scores: torch.Tensor) -> torch.Tensor:
        return 0.5 * scores.square().sum()

    sheet = network_sheet(model, inputs, loss, lambda scores: scores, "s")
    assert sheet.error < 1e-12
    assert torch.allclose(sheet.steps[-1].value, model(inputs)[0])
    model.zero_grad()
    loss(model(inputs)).backward()
    theirs = [p.grad for p in model.parameters() if p.requires_grad]
    ours = [report.value for step in sheet.steps for report in step.parameters.values()]
    assert len(ours) == len(theirs)
    norms = [sorted(float(g.norm()) for g in report if g is not None) for report in (ours, theirs)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-10)


def test_that_maxout_passes_a_gradient_to_each_piece_stands_in_its_formula() -> None:
    model = MLP(4, [5], 3, "maxout", pieces=3, generator=generator()).double()
    inputs = torch.randn(1, 4, dtype=torch.float64, generator=generator())
    sheet = network_sheet(model, inputs, lambda s: s.sum(), torch.ones_like, "1")
    assert [step.gradient.value.numel() for step in sheet.steps] == [15, 5, 3]
    assert sheet.steps[0].gradient.formula == "[(W2ᵀ δ2), each entry 3 times] ∘ maxout'(a1)"


def test_a_network_that_is_any_computation_is_not_taken_apart() -> None:
    with pytest.raises(InputError, match="not taken apart"):
        network_sheet(nn.Linear(2, 2).double(), torch.zeros(1, 2), torch.sum, lambda s: s, "")
