"""The glossary: on the command line, and at the end of every page."""

import json
from html import escape, unescape
from pathlib import Path

import pytest

from nnlab.chapters.pages import CHAPTERS
from nnlab.errors import InputError
from nnlab.page import build_page
from nnlab.page.glossary import GLOSSARY, look_up
from nnlab.record import open_run
from tests.command_line import nnlab


def test_every_entry_is_one_to_four_whole_sentences() -> None:
    for word, meaning in GLOSSARY.items():
        assert meaning == " ".join(meaning.split())
        assert meaning.endswith("."), word
        assert 1 <= meaning.count(". ") + 1 <= 4, word
    assert {"PASS", "FAIL", "INCONCLUSIVE"} <= set(GLOSSARY)


def test_all_words_are_listed() -> None:
    result = nnlab("glossary")
    lines = " ".join(result.out.split())
    assert result.code == 0
    for word, meaning in GLOSSARY.items():
        assert f"{word}: {meaning}" in lines


@pytest.mark.parametrize("words", [["Isolated", "towers"], ["isolated towers"], ["ISOLATED TOWERS"]])
def test_one_word(words: list[str]) -> None:
    result = nnlab("glossary", *words)
    assert " ".join(result.out.split()) == f"isolated towers: {GLOSSARY['isolated towers']}"


@pytest.mark.parametrize(
    ("word", "term"),
    [
        ("ntk", "tangent kernel (NTK)"),
        ("Tangent kernel", "tangent kernel (NTK)"),
        ("lipschitz", "Lipschitz constant"),
    ],
)
def test_a_word_of_one_term_alone_is_that_term(word: str, term: str) -> None:
    assert look_up(word) == (term, GLOSSARY[term])


def test_a_word_of_several_terms_names_them() -> None:
    with pytest.raises(InputError, match=r"kernel: not in the .*Allowed: kernel drift, tangent kernel"):
        look_up("kernel")


@pytest.mark.parametrize(("word", "nearest"), [("stairs", "staircase"), ("verdcit", "verdict")])
def test_a_mistyped_word_names_the_nearest(word: str, nearest: str) -> None:
    result = nnlab("glossary", word)
    assert (result.code, result.out) == (2, "")
    assert f"{word}: not in the glossary; did you mean {nearest}?" in result.err


def test_a_page_ends_with_the_glossary(tmp_path: Path) -> None:
    facts = {"name": "a", "experiment": "xor", "seed": 0, "status": "finished", "metrics": {}}
    (tmp_path / "summary.json").write_text(json.dumps(facts))
    page = build_page([open_run(tmp_path)], CHAPTERS)
    section = page[page.index('<section id="glossary">') : page.index("</main>")]
    assert page.index('<section id="glossary">') > page.index("</article>")
    assert "<details><summary>" in section
    assert '<a href="#glossary">' in page
    for word, meaning in GLOSSARY.items():
        assert f"<dt>{escape(word)}</dt><dd" in section
        assert meaning in unescape(section)
