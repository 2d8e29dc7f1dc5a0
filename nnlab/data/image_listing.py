"""The image files of a folder, by split and class; nothing of them is opened here."""

import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nnlab.data.decoding import NAMED, ImageFile
from nnlab.data.picture import SUFFIXES, in_print
from nnlab.errors import DataError

SPLITS = {
    "train": ("train", "training"),
    "test": ("test", "testing"),
    "validation": ("val", "valid", "validation"),
}
"""The names that the folders of a split may have, in small or capital letters."""

JUNK = {"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "lost+found", "@eadir"}
"""Names, in small letters, that systems leave in folders; passed over as those are that begin with a dot."""

ENDINGS = 5
"""Endings of other files that a note names; the others are only counted."""

LAYOUTS = (
    "an image folder holds train/CLASS/ and test/CLASS/ with images (and val/CLASS/, if you like), "
    "or train/CLASS/ alone, or CLASS/ alone, of which data.test holds out a part"
)


@dataclass(frozen=True)
class Listing:
    """The images of class folders.

    Attributes:
        folder: that holds the class folders.
        classes: their names, sorted, in the composed form of Unicode.
        files: all images, class by class, sorted by name.
        labels: the class of each image.
    """

    folder: Path
    classes: list[str]
    files: list[ImageFile]
    labels: list[int]


@dataclass(frozen=True)
class Layout:
    """The splits of an image folder; None where there is no such folder."""

    train: Listing
    validation: Listing | None
    test: Listing | None
    notes: tuple[str, ...]

    @property
    def files(self) -> list[ImageFile]:
        """All images, in this order of the splits."""
        splits = (self.train, self.validation, self.test)
        return [file for split in splits if split is not None for file in split.files]


def find_layout(root: Path) -> Layout:
    """Lists the images below an absolute path.

    Raises:
        DataError: for a missing or empty folder, or classes that are not the same in all splits.
    """
    passed = PassedOver()
    splits = split_folders(root)
    if "train" not in splits or _is_class(root, splits):
        if splits and "train" not in splits:
            names = ", ".join(splits.values())
            raise DataError(f"{in_print(str(root))}: holds {names}, but no train; {LAYOUTS}")
        train = _several_classes(list_classes(root, passed))
        return Layout(train, None, None, (*passed.notes(), *_alike(train)))
    train = _several_classes(list_classes(root / splits["train"], passed))
    validation, test = (
        list_classes(root / splits[split], passed) if split in splits else None
        for split in ("validation", "test")
    )
    notes = list[str]()
    if test is not None:
        _same_classes(train, test)
    if validation is not None:
        notes = _known_classes(train, validation)
    others = sorted(
        entry.name for entry in entries(root) if _is_folder(entry) and entry.name not in splits.values()
    )
    if others:
        notes.append(
            f"{in_print(str(root))}: folders beside {', '.join(splits.values())}, passed over: "
            f"{in_print(', '.join(others[:NAMED]))}{' …' if len(others) > NAMED else ''}"
        )
    return Layout(train, validation, test, (*passed.notes(), *_alike(train), *notes))


def split_folders(root: Path) -> dict[str, str]:
    """Finds the folders in `root` that are named as a split: `train`, `validation`, `test` -> name.

    Raises:
        DataError: where `root` is no folder, or two folders are named as one split.
    """
    if not os.path.isdir(root):
        raise DataError(
            f"data.root: {in_print(str(root))} is not a folder; {LAYOUTS}. Set data.root, or NNLAB_DATA, "
            "to it"
        )
    splits: dict[str, str] = {}
    for name in sorted(entry.name for entry in entries(root) if _is_folder(entry)):
        for split, names in SPLITS.items():
            if name.lower() in names:
                if split in splits:
                    raise DataError(
                        f"{in_print(str(root))}: holds both {splits[split]} and {name}, and each may be the "
                        f"folder of the {split} images; rename or move one"
                    )
                splits[split] = name
    return splits


def _is_class(root: Path, splits: dict[str, str]) -> bool:
    """True where `train` is a class, as beside bus and ship: images in it itself, and so in the others."""
    others = [entry for entry in entries(root) if _is_folder(entry) and entry.name not in splits.values()]
    folders = [root / splits["train"], *(Path(entry.path) for entry in others)]
    return len(splits) == 1 < len(folders) and all(_holds_images_alone(folder) for folder in folders)


def _holds_images_alone(folder: Path) -> bool:
    inside = entries(folder)
    return any(entry.name.lower().endswith(SUFFIXES) for entry in inside) and not any(map(_is_folder, inside))


def list_classes(folder: Path, passed: "PassedOver") -> Listing:
    """Lists the images in the class folders of `folder`.

    Raises:
        DataError: where there is no class folder, one without images, or two of the same name.
    """
    names = class_folders(folder, passed)
    if not names:
        raise DataError(f"{in_print(str(folder))}: holds no class folder{_what_else(folder)}")
    listing = Listing(folder, list(names), [], [])
    for label, name in enumerate(names.values()):
        files = image_files(folder / name, passed)
        if not files:
            raise DataError(
                f"{folder / name}: this class folder holds no image ({', '.join(SUFFIXES)})"
                f"{_instead(folder / name)}; put one there or remove the folder"
            )
        listing.files.extend(files)
        listing.labels.extend([label] * len(files))
    return listing


def class_folders(folder: Path, passed: "PassedOver") -> dict[str, str]:
    """Lists the visible folders in `folder`, without links to what holds them: class -> folder name.

    A class has the name of its folder in the composed form of Unicode: some systems store é as e and ´.
    """
    own, classes = os.path.realpath(folder), dict[str, str]()
    for entry in sorted(entries(folder), key=lambda entry: unicodedata.normalize("NFC", entry.name)):
        if not _is_folder(entry):
            passed.beside(entry)
            continue
        if (
            not entry.name.isprintable()
        ):  # also the bytes of another encoding, which Python keeps as surrogates
            text = os.fsencode(entry.path).decode(errors="replace")
            escaped = text.encode("unicode_escape").decode("ascii")
            raise DataError(
                f"{escaped}: the name of a class must be text that can be printed; rename this folder"
            )
        path = os.path.realpath(entry.path)
        if os.path.commonpath([path, own]) == path:
            continue
        name = unicodedata.normalize("NFC", entry.name)
        if name in classes:
            raise DataError(
                f"{entry.path}: there are two folders of this name, written with different code points of "
                "Unicode; move their images into one"
            )
        classes[name] = entry.name
    return classes


def image_files(folder: Path, passed: "PassedOver") -> list[ImageFile]:
    """Lists the image files that lie in a folder itself, sorted by name."""
    images = []
    for entry in entries(folder):
        if not entry.name.lower().endswith(SUFFIXES):
            passed.within(entry)
            continue
        try:
            state = entry.stat()
        except OSError as error:
            if not entry.is_symlink():
                raise DataError(f"{in_print(entry.path)}: cannot be read: {error.strerror}") from None
            passed.links.append(entry.path)
            continue
        if stat.S_ISREG(state.st_mode):
            images.append(image_file(entry.path, state))
        else:
            passed.within(entry)
    return sorted(images)


def image_file(path: str, state: os.stat_result) -> ImageFile:
    """Returns a file with what tells whether it has changed."""
    return ImageFile(path, state.st_size, state.st_mtime_ns, state.st_ctime_ns)


def entries(folder: Path) -> list["os.DirEntry[str]"]:
    """Lists what lies in a folder, without hidden files and what systems leave there."""
    try:
        with os.scandir(folder) as listed:
            return [e for e in listed if not e.name.startswith(".") and e.name.lower() not in JUNK]
    except OSError as error:
        raise DataError(
            f"{in_print(str(folder))}: cannot be listed: {error.strerror}; folders of images must be readable"
        ) from None


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False


# --- what is passed over ---------------------------------------------------------------------------------


@dataclass
class PassedOver:
    """Counts what lies among the images and is none.

    Attributes:
        others: files in class folders, by ending.
        folders: in class folders, that hold something.
        loose: images beside class folders.
        links: that lead nowhere.
    """

    others: Counter[str] = field(default_factory=Counter)
    first: str = ""
    folders: list[str] = field(default_factory=list)
    loose: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)

    def within(self, entry: "os.DirEntry[str]") -> None:
        """Counts what lies in a class folder."""
        if not _is_folder(entry):
            if entry.is_symlink() and not os.path.exists(entry.path):
                self.links.append(entry.path)
            else:
                self.others[os.path.splitext(entry.name)[1] or "without ending"] += 1
                self.first = min(self.first or entry.path, entry.path)
        elif not _leads_up(entry) and entries(Path(entry.path)):
            self.folders.append(entry.path)

    def beside(self, entry: "os.DirEntry[str]") -> None:
        """Counts what lies beside class folders: images, and links that lead nowhere."""
        if entry.is_symlink() and not os.path.exists(entry.path):
            self.links.append(entry.path)
        elif entry.name.lower().endswith(SUFFIXES):
            self.loose.append(entry.path)

    def counts(self) -> str:
        """Returns the other files by their endings, of which the most frequent are named."""
        common = sorted(self.others.most_common(ENDINGS))
        more = self.others.total() - sum(count for _, count in common)
        rest = [f"{more} others"] if more else []
        return in_print(", ".join([*(f"{count} {ending}" for ending, count in common), *rest]))

    def notes(self) -> list[str]:
        """Returns what a user should know of it."""
        notes = []
        if self.others:
            notes.append(
                "files in class folders that are not read as images, passed over: "
                f"{self.counts()}, the first {in_print(self.first)}"
            )
        for paths, words in (
            (self.folders, "folders within class folders, passed over"),
            (self.loose, "images beside the class folders, passed over"),
        ):
            if paths:
                notes.append(f"{words}: {len(paths)}, the first {in_print(min(paths))}")
        links = sorted(self.links)
        notes += [f"{in_print(link)}: a link that leads nowhere, left out" for link in links[:NAMED]]
        if len(links) > NAMED:
            notes.append(f"links that lead nowhere, left out: {len(links)} in all")
        return notes


def _leads_up(entry: "os.DirEntry[str]") -> bool:
    """True where this folder is a link to one that holds it."""
    path = os.path.realpath(entry.path)
    return os.path.commonpath([path, os.path.realpath(os.path.dirname(entry.path))]) == path


def _what_else(folder: Path) -> str:
    """Says what to do about a folder without class folders."""
    loose = sum(entry.name.lower().endswith(SUFFIXES) for entry in entries(folder))
    if loose:
        away = ", or move this folder away, so that data.test holds out a part of train"
        return (
            f", but {loose} images; put those of each class in a folder of its own (without classes they can "
            f"only be classified, by nnlab predict){away if folder.name.lower() in SPLITS['test'] else ''}"
        )
    return f"; {LAYOUTS}"


def _instead(folder: Path) -> str:
    """Says what a class folder without images holds instead."""
    passed, inner = PassedOver(), []
    for entry in entries(folder):
        passed.within(entry)
    inner = sorted(os.path.basename(path) for path in passed.folders)
    if inner:
        return (
            f", but the folder {in_print(inner[0])}; if that is a class or train, set data.root to {folder}"
        )
    return f", but {passed.counts()}, which cannot be read here" if passed.others else ""


# --- the classes of the splits ---------------------------------------------------------------------------


def _several_classes(train: Listing) -> Listing:
    """Returns the listing. Raises DataError where there is nothing to tell apart."""
    if len(train.classes) == 1:
        raise DataError(
            f"{train.folder}: holds only the class {train.classes[0]}, and a classifier needs at least two; "
            "put the images of each class in a folder of its own"
        )
    return train


def _same_classes(train: Listing, test: Listing) -> None:
    for one, other in ((train, test), (test, train)):
        missing = sorted(set(one.classes) - set(other.classes))
        if missing:
            raise DataError(
                f"{other.folder}: there is no folder for the class {', '.join(missing)}; train and test must "
                f"have the same class folders{near(missing, other.classes)}"
            )


def _known_classes(train: Listing, validation: Listing) -> list[str]:
    unknown = sorted(set(validation.classes) - set(train.classes))
    if unknown:
        raise DataError(
            f"{train.folder}: there is no folder for the class {', '.join(unknown)}, which "
            f"{validation.folder} has{near(unknown, train.classes)}; add it or remove it there"
        )
    missing = sorted(set(train.classes) - set(validation.classes))
    return [f"{validation.folder}: has no image of the class {', '.join(missing)}"] if missing else []


def near(names: Sequence[str], others: Sequence[str]) -> str:
    """Returns the end of a message where names differ in capital letters or blanks alone, else nothing."""
    for name in names:
        for other in others:
            if name != other and _plain(name) == _plain(other):
                return f" ({name!r} and {other!r} differ in capital letters or blanks alone: rename one)"
    return ""


def _alike(train: Listing) -> list[str]:
    """Returns a note of the classes whose names differ in capital letters or blanks alone."""
    groups: dict[str, list[str]] = {}
    for name in train.classes:
        groups.setdefault(_plain(name), []).append(name)
    return [
        f"{train.folder}: {' and '.join(map(repr, names))} are classes of their own, though their names "
        "differ in capital letters or blanks alone"
        for names in groups.values()
        if len(names) > 1
    ]


def _plain(name: str) -> str:
    return "".join(name.split()).casefold()
