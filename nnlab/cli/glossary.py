"""`nnlab glossary`: the words of the laboratory."""

from typing import Annotated

import typer


def glossary(
    word: Annotated[
        list[str] | None, typer.Argument(metavar="[WORD]", help="One word or term; all of them if left out.")
    ] = None,
) -> None:
    """Explain the words that claims, pages and options use."""
    from rich.markup import escape

    from nnlab.cli import terminal
    from nnlab.page.glossary import GLOSSARY, look_up

    entries = [look_up(" ".join(word))] if word else list(GLOSSARY.items())
    for term, text in entries:
        terminal.out().print(f"[bold]{escape(term)}[/bold]: {escape(text)}")
