"""The references of run folders: the lab itself, in the version that ran, and the sources of the claims."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from nnlab.errors import InputError
from nnlab.files import read_whole
from nnlab.lab.redrawing import members
from nnlab.record import Run, schema
from nnlab.theory.sources import REFERENCES, Source, source_of

TITLE = "{nnlab}: a command-line laboratory for the theory of feed-forward neural networks"
AUTHOR = "{The nnlab developers}"
RELEASED = {"0.2.0": 2026}
"""Year of the release of each version, as in CITATION.cff."""

_ENVIRONMENT_BYTES = 2**16


@dataclass(frozen=True)
class Citation:
    """The references of a work that uses some runs.

    Attributes:
        lab: BibTeX of the lab by key, an entry for each version that ran.
        claims: name of a claim -> its source.
    """

    lab: dict[str, str]
    claims: dict[str, Source]

    @property
    def references(self) -> dict[str, str]:
        """BibTeX of the claims' sources by key, in the order of the claims."""
        keys = dict.fromkeys(key for source in self.claims.values() for key in source.keys)
        return {key: REFERENCES[key] for key in keys}

    def bibtex(self) -> str:
        """Returns a BibTeX file, where comments say which claim has which source."""
        lines = ["% the laboratory", *self.lab.values()]
        if self.claims:
            lines += ["", "% the claims, and their sources"]
            lines += [f"% {_plain(name)}: {_words(source)}" for name, source in self.claims.items()]
        for entry in self.references.values():
            lines += ["", entry]
        return "\n".join(lines)

    def as_dict(self) -> dict[str, object]:
        """Returns the same as JSON can hold it."""
        return {
            "nnlab": self.lab,
            "claims": {
                name: {"references": list(source.keys), "note": source.note or None}
                for name, source in self.claims.items()
            },
            "references": self.references,
        }


def cite(runs: Sequence[Run]) -> Citation:
    """Returns what a work that uses these runs, or groups of seeds, cites."""
    single = [member for run in runs for member in members(run)]
    versions = dict.fromkeys(_version(run) for run in single)
    several = len(versions) > 1
    lab = {}
    for version, commit in versions:
        key = f"nnlab-{'-'.join(filter(None, (version, commit[:7])))}" if several else "nnlab"
        lab[key] = _entry(key, version, commit)
    names = dict.fromkeys(claim["name"] for run in single for claim in run.summary.get("claims", []))
    return Citation(lab, {name: source_of(name) for name in names})


def _version(run: Run) -> tuple[str, str]:
    """Returns version and commit of the lab that ran it; empty where the folder does not say."""
    path = run.folder / schema.ENVIRONMENT
    try:
        if not path.exists():
            return "", ""
        content = json.loads(read_whole(path, _ENVIRONMENT_BYTES))
        version = str(content["versions"].get("nnlab") or "")
        commit = str((content.get("git") or {}).get("commit") or "")
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: is damaged: {type(error).__name__}: {str(error)[:200]}") from None
    return _plain(version)[:40], commit if re.fullmatch(r"[0-9a-f]{7,64}", commit) else ""


def _entry(key: str, version: str, commit: str) -> str:
    note = ", ".join(filter(None, (version and f"Version {version}", commit and f"commit {commit}")))
    fields = {"author": f"{{{AUTHOR}}}", "title": f"{{{TITLE}}}", "howpublished": "{Software, MIT license}"}
    if note:
        fields["note"] = f"{{{note}}}"
    if version in RELEASED:
        fields["year"] = f"{{{RELEASED[version]}}}"
    lines = "\n".join(f"  {name} = {value}," for name, value in fields.items())
    return f"@misc{{{key},\n{lines}\n}}"


def _words(source: Source) -> str:
    return ", ".join(source.keys) or source.note


def _plain(text: str) -> str:
    """Returns a name as a comment of BibTeX can hold it."""
    return re.sub(r"[^\w.,:+×-]", "?", text)[:200]
