"""`nnlab plot`: figures once more, for papers and slides, from what a run folder holds."""

import json
import re
import shutil
import zlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from PIL import Image

from nnlab.lab.redrawing import draw
from nnlab.plot import forms
from nnlab.plot.confusion import confusion_matrix
from nnlab.plot.curves import compare_curves, learning_curves
from nnlab.plot.forms import PAPER, SLIDE, drawing_for
from nnlab.plot.output import pictures
from nnlab.plot.overlay import NotOverlaid, overlay, words
from nnlab.plot.scales import whole_numbers
from nnlab.plot.style import dress, new_figure, panel_title
from nnlab.record import Group, Record, Run, open_run
from tests.command_line import nnlab

EPOCHS = np.arange(1, 21)
RANDOM = np.random.default_rng(0)
LOSSES = np.exp(-EPOCHS / 6) * RANDOM.uniform(0.5, 2, (5, 20))


def history(loss: np.ndarray) -> dict[str, Any]:
    accuracy = np.clip(1 - loss / 3, 0, 1)
    arrays = {"epoch": EPOCHS[: len(loss)], "loss": loss, "accuracy": accuracy}
    return {"train": arrays, "val": {**arrays, "loss": 1.1 * loss}}


def write_run(parent: Path, name: str, loss: np.ndarray, experiment: str = "classify") -> Path:
    facts = {"experiment": experiment, "name": name, "seed": 0}
    record = Record(parent, name, f"experiment: {experiment}\n", facts)
    record.start()
    record.save_arrays(loss=loss)
    record.figure("curves", learning_curves, history(loss), final_test={"loss": float(loss[-1])})
    record.figure("compared", compare_curves, {name: {"epoch": EPOCHS, "loss": loss}})
    record.complete(metrics={"test/loss": float(loss[-1])})
    record.finish("failed", message="without pictures")  # keeps the calls, draws nothing
    return record.folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_run(tmp_path / "runs", "run", LOSSES[0])


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    return [write_run(tmp_path / "runs", f"run{index}", loss) for index, loss in enumerate(LOSSES)]


# --- sizes and fonts ------------------------------------------------------------------------------------


def page_of(pdf: bytes) -> tuple[float, float]:
    """Width and height of the page of a PDF, in inches."""
    match = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", pdf)
    assert match
    return float(match[1]) / 72, float(match[2]) / 72


def font_sizes(pdf: bytes) -> set[float]:
    """The font sizes of a page in points, as a reader scales them."""
    streams = [
        zlib.decompress(part) for part in re.findall(rb"stream\r?\n(x.*?)\r?\nendstream", pdf, re.DOTALL)
    ]
    (page,) = (stream for stream in streams if b" Tf" in stream)
    match = re.search(rb"([\d.]+) 0 0 ([\d.]+) 0 0 cm", page)
    assert match
    assert match[1] == match[2]
    return {round(float(match[1]) * float(size), 2) for size in re.findall(rb"/\S+ ([\d.]+) Tf", page)}


def test_a_figure_of_a_paper_has_its_width_and_fonts(folder: Path) -> None:
    assert nnlab("plot", folder, "--figure", "compared").code == 0
    pdf = (folder / "figures/paper/compared.pdf").read_bytes()
    assert page_of(pdf)[0] == pytest.approx(3.3, abs=1e-3)
    assert all(7.6 <= size <= 9.5 for size in font_sizes(pdf)), font_sizes(pdf)
    assert b"/CIDFontType2" in pdf  # embedded TrueType, type 42
    assert b"/Type3" not in pdf
    assert b"STIXGeneral" in pdf


@pytest.mark.parametrize(("width", "inches"), [("column", 3.3), ("full", 7.0)])
def test_the_width_can_be_chosen(folder: Path, width: str, inches: float) -> None:
    assert nnlab("plot", folder, "--figure", "curves", "--width", width).code == 0
    pdf = (folder / "figures/paper/curves.pdf").read_bytes()
    assert page_of(pdf)[0] == pytest.approx(inches, abs=1e-3)


def test_a_slide_is_16_to_9_and_large(folder: Path) -> None:
    result = nnlab("plot", folder, "--style", "slide", "--format", "pdf")
    assert result.code == 0
    assert "smallest text" not in result.err
    for name in ("curves", "compared"):
        pdf = (folder / f"figures/slide/{name}.pdf").read_bytes()
        width, height = page_of(pdf)
        assert width == pytest.approx(40 / 3, abs=1e-3)
        assert width / height == pytest.approx(16 / 9, abs=1e-3)
        assert min(font_sizes(pdf)) >= 17.9


@pytest.mark.slow
def test_png_and_svg_have_the_same_size(folder: Path) -> None:
    for suffix in ("png", "svg"):
        assert nnlab("plot", folder, "--figure", "compared", "--format", suffix).code == 0
    with Image.open(folder / "figures/paper/compared.png") as image:
        assert image.info["dpi"][0] == pytest.approx(300, abs=0.1)
        assert image.width / image.info["dpi"][0] == pytest.approx(3.3, abs=0.01)
    svg = (folder / "figures/paper/compared.svg").read_text("utf-8")
    match = re.search(r'<svg [^>]*width="([\d.]+)pt"', svg)
    assert match
    assert float(match[1]) / 72 == pytest.approx(3.3, abs=1e-3)


def test_pgf_lengths_and_fonts_are_scaled() -> None:
    from nnlab.plot.output import _scaled_pgf

    text = r"\pgfqpoint{2.000000in}{-1.5in}\pgfsetlinewidth{0.800000pt}\fontsize{10.000000}{12.0}{1.0,2.0}"
    assert _scaled_pgf(text, 0.5) == (
        r"\pgfqpoint{1.000000in}{-0.750000in}\pgfsetlinewidth{0.400000pt}\fontsize{5.000000}{6.000000}{1.0,2.0}"
    )


@pytest.mark.skipif(not any(map(shutil.which, ("lualatex", "xelatex", "pdflatex"))), reason="needs TeX")
@pytest.mark.slow
def test_pgf_is_written_where_tex_is(folder: Path) -> None:
    assert nnlab("plot", folder, "--figure", "compared", "--format", "pgf").code == 0
    assert r"\begin{pgfpicture}" in (folder / "figures/paper/compared.pgf").read_text("utf-8")


def test_pgf_without_tex_is_an_error_in_words(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: None)
    result = nnlab("plot", folder, "--format", "pgf")
    assert result.code == 2
    assert "--format pdf" in result.err


def test_the_title_is_a_caption_in_a_paper_and_a_title_on_a_slide(folder: Path) -> None:
    result = nnlab("plot", folder, "--figure", "curves")
    assert "The training loss falls from" in result.err
    assert b"The training loss falls" in (folder / "figures/paper/curves.pdf").read_bytes()  # metadata
    with drawing_for(PAPER):
        assert new_figure("Some title").get_suptitle() == ""
    with drawing_for(SLIDE):
        assert new_figure("Some title").get_suptitle() == "Some title"


def test_a_run_folder_is_drawn_for_its_page() -> None:
    assert forms.form() is forms.PAGE
    for size in ((10.0, 5.6), (12.5, 5.4)):
        assert tuple(new_figure("A title", size).get_size_inches()) == pytest.approx((1150 / 150, 700 / 150))


def test_labels_that_are_longer_than_their_axes_are_wrapped() -> None:
    loss = LOSSES[0]
    with drawing_for(PAPER):
        label = "a quantity whose name is far too long for the height of a small panel of a paper"
        figure = compare_curves({"a": {"epoch": EPOCHS, "loss": loss}}, y_label=label)
        pictures(figure, PAPER, "svg", "x")
    text: Text = figure.axes[0].yaxis.label
    assert "\n" in text.get_text()
    assert text.get_window_extent().height <= figure.bbox.height


def test_numbers_along_a_narrow_axis_stand_apart() -> None:
    with drawing_for(SLIDE):
        figure = new_figure("A title")
        panels = figure.subplots(1, 6)
        for axes in panels:
            dress(axes)
            axes.plot([0, 10_000], [0, 1])
            whole_numbers(axes.xaxis)
        pictures(figure, SLIDE, "svg", "x")
    for axes in panels:
        labels = [label for label in axes.get_xticklabels() if 0 <= label.get_position()[0] <= 10_000]
        boxes = [label.get_window_extent() for label in labels]
        assert len(boxes) >= 2
        assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


def test_what_names_the_last_panel_is_not_cut_off() -> None:
    with drawing_for(SLIDE):
        figure = new_figure("A title")
        panels = figure.subplots(1, 4)
        for axes in panels:
            dress(axes)
            axes.set_xticks([0.5])
        panel_title(panels[-1], "XOR, hidden units")
        panels[-1].set_xlabel("between both lines")
        pictures(figure, SLIDE, "svg", "x")
    figure.draw_without_rendering()
    heading = next(text for text in panels[-1].findobj(Text) if "hidden" in text.get_text())
    for text in (heading, panels[-1].xaxis.label):
        assert text.get_window_extent().x1 <= figure.bbox.width


def test_a_matrix_stands_in_the_middle_of_a_slide() -> None:
    with drawing_for(SLIDE):
        figure = confusion_matrix(np.eye(3), ["a", "b", "c"])
        pictures(figure, SLIDE, "svg", "x")
    figure.draw_without_rendering()
    matrix, bar = (axes.get_tightbbox() for axes in figure.axes)
    assert matrix is not None
    assert bar is not None
    left, right = matrix.x0, float(figure.bbox.width) - bar.x1
    assert abs(left - right) < 0.03 * figure.bbox.width


# --- files ----------------------------------------------------------------------------------------------


def test_a_file_with_another_content_is_never_replaced(folder: Path) -> None:
    call = ("plot", folder, "--figure", "compared")
    assert nnlab(*call).code == 0
    file = folder / "figures/paper/compared.pdf"
    before = file.read_bytes()
    assert nnlab(*call).code == 0  # the same call: the same file
    assert file.read_bytes() == before
    file.write_bytes(b"mine")
    result = nnlab(*call)
    assert result.code == 2
    assert "exists already" in result.err
    assert file.read_bytes() == b"mine"


def test_other_folders_can_be_chosen_and_links_are_not_followed(folder: Path, tmp_path: Path) -> None:
    result = nnlab("plot", folder, "--out", tmp_path / "new", "--format", "svg")
    assert result.code == 0
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["compared.svg", "curves.svg"]
    assert [Path(line).name for line in result.out.split()] == ["curves.svg", "compared.svg"]
    (tmp_path / "elsewhere").mkdir()
    (folder / "figures").symlink_to(tmp_path / "elsewhere")
    result = nnlab("plot", folder)
    assert result.code == 2
    assert "--out DIR" in result.err
    assert not [*(tmp_path / "elsewhere").iterdir()]


def test_wrong_input_is_one_message(folder: Path, tmp_path: Path) -> None:
    other = write_run(tmp_path / "runs", "other", LOSSES[1], "regress")
    for arguments, part in (
        ((folder, "--figure", "curve"), "did you mean curves"),
        ((folder, other, "--out", tmp_path / "x"), "classify, regress"),
        ((folder, "--style", "slide", "--width", "full"), "--width"),
        ((tmp_path / "nothing",), "no such folder"),
        ((folder, write_run(tmp_path / "runs", "third", LOSSES[2])), "--out DIR"),
    ):
        result = nnlab("plot", *arguments)
        assert result.code == 2, arguments
        assert part in result.err
    assert not (tmp_path / "x").exists()


def test_an_old_run_folder_says_what_to_do(folder: Path) -> None:
    (folder / "figures.json").unlink()
    summary = json.loads((folder / "summary.json").read_text("utf-8"))
    for status, remedy in (
        ("finished", "an earlier version of nnlab made it. Run it again: nnlab train --config '"),
        ("interrupted", "was cut off (interrupted). Go on with it: nnlab train --resume '"),
        ("diverged", "diverged, before it had any figures"),
    ):
        (folder / "summary.json").write_text(json.dumps(summary | {"status": status}), "utf-8")
        spaced = folder.rename(folder.with_name("a run"))
        result = nnlab("plot", spaced)
        spaced.rename(folder)
        assert result.code == 2
        assert remedy in result.err


def test_a_lecture_names_the_runs_that_have_figures(folder: Path, tmp_path: Path) -> None:
    lecture = Record(
        tmp_path, "lecture", "experiment: lecture\n", {"experiment": "lecture", "name": "x", "seed": 0}
    )
    lecture.start()
    lecture.finish("finished")
    (lecture.folder / "runs" / "classify").mkdir(parents=True)
    inside = folder.rename(lecture.folder / "runs" / "classify" / "inside")
    result = nnlab("plot", lecture.folder)
    assert (result.code, result.out) == (2, "")
    assert result.err.endswith(f"draw those of one:\n  {inside}\n")


def change(folder: Path, change: Any) -> None:
    file = folder / "figures.json"
    content = json.loads(file.read_text("utf-8"))
    change(content)
    file.write_text(json.dumps(content), "utf-8")


HOSTILE = [
    lambda content: content["figures"]["curves"].update(function="os:system", arguments={"command": "true"}),
    lambda content: content["figures"]["curves"].update(function="nnlab.plot.save:save"),
    lambda content: content["figures"]["curves"].update(arguments={}),
    lambda content: content["figures"]["curves"].update(arguments={"history": 3}),
    lambda content: content["figures"]["curves"].update(arguments={"history": {"$array": "nothing"}}),
    lambda content: content["figures"]["curves"].update(arguments=[1]),
    lambda content: content["figures"]["curves"].pop("function"),
    lambda content: content.update(figures=[]),
    lambda content: content.update(figures={"../x": content["figures"]["curves"]}),
    lambda content: content.clear(),
]


@pytest.mark.parametrize("mutate", HOSTILE)
def test_a_file_that_someone_changed_is_refused_in_one_message(folder: Path, mutate: Any) -> None:
    change(folder, mutate)
    result = nnlab("plot", folder)
    assert result.code == 2, result.err
    assert "Traceback" not in result.err
    assert str(folder) in result.err
    assert not (folder.parent / "x.pdf").exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff\xfe", b'{"figures": {"a": null}}'])
def test_a_torn_file_is_damaged(folder: Path, content: bytes) -> None:
    (folder / "figures.json").write_bytes(content)
    result = nnlab("plot", folder)
    assert result.code == 2
    assert "damaged" in result.err or "no figures" in result.err


def test_arrays_that_are_missing_or_torn_are_named(folder: Path) -> None:
    content = (folder / "arrays.npz").read_bytes()
    (folder / "arrays.npz").write_bytes(content[: len(content) // 2])
    assert nnlab("plot", folder).code == 2
    (folder / "arrays.npz").unlink()
    result = nnlab("plot", folder)
    assert result.code == 2
    assert "arrays.npz" in result.err


# --- several runs ---------------------------------------------------------------------------------------


def band(figure: Figure, axes: int, line: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Median, and lower and upper end of the band, of a line of a figure."""
    panel = figure.axes[axes]
    drawn: Line2D = [one for one in panel.lines if one.get_transform() == panel.transData][line]
    outline = np.asarray(panel.collections[line].get_paths()[0].vertices, float)
    x = np.asarray(drawn.get_xdata(), float)
    ends = [np.array([value for at, value in outline if at == place]) for place in x]
    low, high = (np.array([pick(values) for values in ends]) for pick in (np.min, np.max))
    return np.asarray(drawn.get_ydata(), float), low, high


@pytest.mark.parametrize(
    ("runs", "low", "high"), [(5, 0.25, 0.75), (4, 0.25, 0.75), (3, 0.0, 1.0), (2, 0.0, 1.0)]
)
def test_lines_are_medians_and_bands_are_quantiles(runs: int, low: float, high: float) -> None:
    losses = LOSSES[:runs]
    figure = overlay(learning_curves, [{"history": history(loss)} for loss in losses])
    median, lower, upper = band(figure, 0, 0)
    np.testing.assert_allclose(median, np.quantile(losses, 0.5, axis=0))
    np.testing.assert_allclose(lower, np.quantile(losses, low, axis=0))
    np.testing.assert_allclose(upper, np.quantile(losses, high, axis=0))
    accuracies = np.clip(1 - losses / 3, 0, 1)
    np.testing.assert_allclose(band(figure, 1, 0)[0], 100 * np.quantile(accuracies, 0.5, axis=0))
    ends = figure.axes[0].get_ylim()
    assert ends[0] <= lower.min() <= upper.max() <= ends[1]
    assert words(runs) in " ".join(figure.get_suptitle().split())


def test_runs_that_stopped_earlier_count_as_long_as_they_went() -> None:
    losses = [LOSSES[0], LOSSES[1][:12], LOSSES[2][:15]]
    figure = overlay(learning_curves, [{"history": history(loss)} for loss in losses])
    median, _, _ = band(figure, 0, 0)
    padded = np.array([[*loss, *[np.nan] * (20 - len(loss))] for loss in losses])
    np.testing.assert_allclose(median, np.nanquantile(padded, 0.5, axis=0))


def test_equal_runs_are_said_to_be_equal() -> None:
    figure = overlay(learning_curves, [{"history": history(LOSSES[0])}] * 3)
    assert "the same in 3 runs" in " ".join(figure.get_suptitle().split())


def test_runs_that_differ_in_more_than_numbers_are_not_overlaid() -> None:
    first, second = ({name: {"epoch": EPOCHS, "loss": LOSSES[0]}} for name in ("relu", "tanh"))
    with pytest.raises(NotOverlaid, match="differ"):
        overlay(compare_curves, [{"histories": first}, {"histories": second}])
    with pytest.raises(NotOverlaid, match="differ"):
        overlay(compare_curves, [{"histories": first, "y_label": label} for label in ("a", "b")])


def test_several_runs_and_a_group_are_overlaid(folders: list[Path], tmp_path: Path) -> None:
    result = nnlab("plot", *folders, "--out", tmp_path / "out", "--format", "svg")
    assert result.code == 0, result.err
    assert "figure compared: 5 runs cannot be drawn as one" in result.err  # their names differ
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["curves.svg"]
    result = nnlab("plot", *folders, "--figure", "compared", "--out", tmp_path / "out")
    assert result.code == 2
    group = Group(
        tmp_path,
        "group",
        "experiment: classify\n",
        {"experiment": "classify", "name": "g", "seed": 0},
        range(2),
    )
    group.start()
    for index in range(2):
        write_run(group.folder, f"s{index}", LOSSES[index])
        group.add(group.folder / f"s{index}")
    group.finish("finished", metrics={})
    result = nnlab("plot", group.folder, "--figure", "curves", "--format", "svg")
    assert result.code == 0, result.err
    assert (group.folder / "figures/paper/curves.svg").exists()
    assert "median of 2 runs, band: smallest to largest" in result.err


@pytest.mark.slow
def test_the_same_bytes_come_from_the_same_runs(folders: list[Path]) -> None:
    runs: list[Run] = [open_run(folder) for folder in folders[:2]]
    for suffix in ("pdf", "svg"):
        first, second = (draw(runs, ["curves"], PAPER, suffix).files for _ in range(2))
        assert list(first) == [f"curves.{suffix}"]
        assert first == second
