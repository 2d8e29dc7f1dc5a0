"""What stands on the screens of a page: figures with addresses, and ideas with the runs that show them."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from markupsafe import Markup, escape

from nnlab.page.claims import Card
from nnlab.page.contents import Exercise, Idea
from nnlab.page.data import Picture
from nnlab.page.formula import typeset
from nnlab.page.lecture import Glance
from nnlab.page.widget import Widget

MEASURED = re.compile(r"\{(\w+):([^{}]+)\}")
"""The place of a measured value in the solution of an exercise."""
TERM = Markup('<button type="button" class="term" data-word="{}">{}</button>')


@dataclass(frozen=True)
class Figure:
    """A figure of the page.

    Attributes:
        name: its address, "bins"; unique on the page.
        run: the name of the run that it shows; empty where it needs none.
        shown: what is drawn.
    """

    name: str
    run: str
    shown: Widget | Picture

    @property
    def widget(self) -> Widget | None:
        """Returns the interactive figure; None for a picture."""
        return self.shown if isinstance(self.shown, Widget) else None

    @property
    def picture(self) -> Picture | None:
        """Returns the picture; None for an interactive figure."""
        return self.shown if isinstance(self.shown, Picture) else None

    @property
    def title(self) -> str:
        """Returns the title; empty for what stands in the place of a picture that is missing."""
        return "" if isinstance(self.shown, Picture) and not self.shown.source else self.shown.title


def own_name(shown: Widget | Picture) -> str:
    """Returns the kind of an interactive figure, or the name of a picture."""
    return shown.kind if isinstance(shown, Widget) else shown.name


class Names:
    """Gives the figures of a page different addresses: the own name, or that behind the name of the run."""

    def __init__(self) -> None:
        self._given: set[str] = set()

    def figure(self, run: str, shown: Widget | Picture) -> Figure:
        """Returns the figure with its address."""
        own = re.sub(r"[^\w-]+", "-", own_name(shown)).strip("-") or "figure"
        prefixed = re.sub(r"[^\w-]+", "-", f"{run}-{own}").strip("-")
        numbered = (f"{prefixed}-{i}" for i in range(2, len(self._given) + 3))
        name = next(name for name in (own, prefixed, *numbered) if name not in self._given)
        self._given.add(name)
        return Figure(name, run, shown)


@dataclass(frozen=True)
class Screen:
    """An idea with what the runs have to show of it.

    Attributes:
        name, place, sentence, formula, text: as the idea has them, the formula typeset.
        figure: None where the runs hold none.
        cards: of its claims, those that no idea before it has.
        decided: verdict -> number of measurements of its claims, also of those that stand elsewhere.
        refuted: a sentence on the same subject that does not hold as it is said.
    """

    name: str
    place: str
    sentence: str
    formula: Markup
    text: str
    figure: Figure | None
    cards: list[Card]
    decided: dict[str, int]
    refuted: list[Glance]

    @property
    def verdict(self) -> str:
        """Returns the worst verdict of the claims; empty without any."""
        worst = [word for word in ("FAIL", "INCONCLUSIVE", "PASS") if self.decided.get(word)]
        return worst[0] if worst else ""

    @property
    def count(self) -> str:
        """Returns how many of the claims have that verdict, "3 of 12"; empty where there is but one."""
        every = sum(self.decided.values())
        return f"{self.decided[self.verdict]} of {every}" if every > 1 and self.verdict else ""


@dataclass(frozen=True)
class Solved:
    """An exercise, its solution with the measured numbers in it."""

    question: str
    solution: str


def screens(
    ideas: Iterable[Idea],
    figures: Sequence[Figure],
    cards: Sequence[Card],
    refuted: Sequence[Glance],
    names: Names,
    whole: bool,
) -> list[Screen]:
    """The ideas of which the runs show something, in the order of the lecture.

    Args:
        ideas: of all chapters.
        figures: of the runs.
        cards: the claims of the runs.
        refuted: sentences that do not hold as they stand, each with the address of its claim.
        names: of the figures.
        whole: also those ideas that need no run.
    """
    taken, said = set[str](), set[str]()
    found = []
    for idea in ideas:
        figure = _figure(idea, figures, names, whole)
        of_idea = [card for card in cards if _any(idea.claims, card.run, card.name)]
        if figure is None and not of_idea and not (whole and not idea.figure):
            continue
        own = [card for card in of_idea if card.key not in taken]
        taken.update(card.key for card in own)
        addresses = {f"#{card.key}" for card in of_idea}
        wrong = [glance for glance in refuted if glance.address in addresses and glance.sentence not in said]
        said.update(glance.sentence for glance in wrong)
        decided = Counter(line.verdict for card in of_idea for line in card.lines)
        found.append(
            Screen(
                idea.name, idea.place, idea.sentence, typeset(idea.formula), idea.text,
                figure, own, decided, wrong,
            )
        )  # fmt: skip
    return found


def _figure(idea: Idea, figures: Sequence[Figure], names: Names, whole: bool) -> Figure | None:
    if isinstance(idea.figure, Widget):
        return names.figure("", idea.figure) if whole else None
    run, _, name = idea.figure.partition(":")
    return next((f for f in figures if f.run == run and own_name(f.shown) == name and f.title), None)


def _any(patterns: Iterable[str], run: str, claim: str) -> bool:
    return any(fnmatchcase(f"{run}:{claim}", pattern) for pattern in patterns)


def solved(exercise: Exercise, cards: Sequence[Card]) -> Solved:
    """The exercise with the values that the runs measured; – for one that they did not."""
    values = {(card.run, card.name): card.lines[0].text("measured") for card in cards}

    def value(match: re.Match[str]) -> str:
        return values.get((match[1], match[2]), "–")

    return Solved(exercise.question, MEASURED.sub(value, exercise.solution))


def glossed(words: Sequence[str]) -> Callable[[object], Markup]:
    """Returns a filter that marks the first place of each word of the glossary in a text."""
    longest = sorted(words, key=len, reverse=True)
    pattern = re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, longest))})(?![\w-])", re.IGNORECASE)
    numbers = {word.lower(): i for i, word in enumerate(words)}

    def mark(text: object) -> Markup:
        seen, parts, end = set[int](), list[Markup](), 0
        plain = str(text)
        for match in pattern.finditer(plain):
            number = numbers[match[0].lower()]
            if number in seen:
                continue
            seen.add(number)
            parts += [escape(plain[end : match.start()]), TERM.format(number, match[0])]
            end = match.end()
        return Markup("").join([*parts, escape(plain[end:])])

    return mark
