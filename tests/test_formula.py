"""Formulas of claims as MathML: what is built, what stays words, and that nothing breaks it."""

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnlab.page.formula import typeset


def tree(formula: str) -> ET.Element:
    return ET.fromstring(f"<p>{typeset(formula)}</p>")


def shape(element: ET.Element) -> str:
    """The tree in one line, rows and spaces aside: frac(a, b), sub(w, 0), or the text of a leaf."""
    parts = [shape(child) for child in element if child.tag != "mspace"]
    if not len(element):
        return (element.text or "").strip()
    if element.tag in ("p", "math", "mrow"):
        return " ".join(part for part in parts if part)
    return f"{element.tag[1:]}({', '.join(parts)})"


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("‖w − w₀‖/‖w₀‖ = Θ(1/√m)", "frac(‖ w − sub(w, 0) ‖, ‖ sub(w, 0) ‖) = Θ ( frac(1, sqrt(m)) )"),
        ("L(b − a)/2N", "frac(L ( b − a ), 2 N)"),
        ("S (N − B)/(B (N − 1))", "S frac(N − B, B ( N − 1 ))"),
        ("η > 2/λmax", "η > frac(2, sub(λ, max))"),
        ("E‖ḡ_B − ḡ‖²", "E sup(‖ sub(over(g, ¯), B) − over(g, ¯) ‖, 2)"),
        ("D(P‖Q)", "D ( P ‖ Q )"),
        ("|φ(z) − 1_{z > 0}|", "| φ ( z ) − sub(1, z > 0) |"),
        ("R(W*_λ')", "R ( subsup(W, λ ′, ∗) )"),
        ("sup_k |(1 − ηλ)ᵏ − e^{−ηλk}|", "under(sup, k) | sup(( 1 − η λ ), k) − sup(e, − η λ k) |"),
        ("m^(-3/2)", "sup(m, − 3 / 2)"),
        ("e^{s_k}/Σⱼ e^{s_j}", "frac(sup(e, sub(s, k)), under(∑, j) sup(e, sub(s, j)))"),
        ("∇_w f(·, w₀)", "sub(∇, w) f ( · , sub(w, 0) )"),
        ("H∞", "sub(H, ∞)"),
        ("XᵀX/N", "frac(sup(X, T) X, N)"),
        ("⌈L/2ε⌉", "⌈ frac(L, 2 ε) ⌉"),
    ],
)
def test_what_a_lecturer_would_write_on_the_board(formula: str, expected: str) -> None:
    assert shape(tree(formula)) == expected


def test_words_stay_text_of_the_line() -> None:
    found = typeset("λ_k = 0 for odd k ≥ 3; the largest of them (Lee et al. 2019, theorem 2.1)")
    assert re.sub(r"<math.*?</math>", "…", str(found)) == (
        "… … for odd … … the largest of them (Lee et al. 2019, theorem 2.1)"
    )
    inside = tree("P(all points right) > 0")
    assert [word.text for word in inside.iter("mtext")] == ["all points right"]


def test_alternative_texts_are_what_was_written() -> None:
    formula = "η < 4/(λmax(XᵀX/N) + 4λ)  ⟹  L(W − η∇L) ≤ L(W)"
    said = [math.get("alttext") for math in tree(formula).iter("math")]
    assert " ".join(map(str, said)) == re.sub(r"\s+", " ", formula)


def test_a_long_formula_can_break_at_its_relations() -> None:
    pieces = list(tree("sup |y − f| ≤ L(b − a)/2N · (1 + 4/(e^v − 1)), v = w(b − a)/N").iter("math"))
    assert [str(p.get("alttext"))[0] for p in pieces] == ["s", "≤", "v", "="]


def test_a_long_sum_can_break_too() -> None:
    pieces = list(tree("max(0, w(x − s) + ½) − max(0, w(x − s) − ½) + 1").iter("math"))
    assert [p.get("alttext") for p in pieces] == ["max(0, w(x − s) + ½)", "− max(0, w(x − s) − ½)", "+ 1"]
    assert len(list(tree("a + b − c").iter("math"))) == 1


@given(st.text(alphabet="ab1 ()[]{}|‖/^_√Σ*'−=,<>&\"½ᵢ₀²λ\u0304\ud800", max_size=60) | st.text(max_size=60))
def test_every_text_becomes_tags_that_close(text: str) -> None:
    clean = re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "", text)  # what XML can hold
    allowed = {"p", "math", "mrow", "mi", "mn", "mo", "mtext", "mspace", "mfrac", "msqrt", "msub", "msup"}
    allowed |= {"msubsup", "munder", "mover", "munderover"}
    assert {element.tag for element in tree(clean).iter()} <= allowed
    typeset(text)


@pytest.mark.parametrize("part", ["(", "|", "√", "√(", "a^{", "a/", "x_", "(|", "‖x", "1" * 10_000])
def test_a_formula_without_end_is_typeset_or_stays_text(part: str) -> None:
    depth = 0
    for tag in re.findall(r"</?m\w+>", str(typeset(part * 400))):
        depth += -1 if tag.startswith("</") else 1
        assert depth < 200
