"""Pictures for papers and slides: a figure of a form, scaled as a whole, as PDF, SVG, PNG or PGF.

A figure is laid out with the fonts of a run folder; here lengths and fonts are multiplied by one factor, so
that the picture is as wide as the form wants and its fonts are those of the form.
"""

import io
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any, cast

import matplotlib
from matplotlib.backends.backend_mixed import MixedModeRenderer
from matplotlib.backends.backend_pdf import Op, PdfFile, RendererPdf
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from nnlab.errors import InputError
from nnlab.plot.fitting import fit_labels
from nnlab.plot.forms import Form
from nnlab.plot.save import drawing_alone

DPI = 300  # of PNG files, and of what is an image in the others
FORMATS = ("pdf", "svg", "png", "pgf")
TEX = ("lualatex", "xelatex", "pdflatex")  # of these matplotlib asks the width of every text of a PGF file


def pictures(figure: Figure, form: Form, suffix: str, name: str) -> dict[str, bytes]:
    """Returns the files of a picture by name, the picture itself first; the same bytes for the same figure.

    Args:
        figure: made for the form. Afterwards it may have another size.
        form: its size and fonts.
        suffix: one of FORMATS.
        name: of the picture, without suffix; a PGF file names the images beside it.

    Raises:
        InputError: a PGF file needs TeX, and there is none.
    """
    scale = scale_of(figure, form)
    if form.height:
        _pad(figure, form)
    fit_labels(figure)
    title = caption(figure)
    with drawing_alone(name, {"pdf.fonttype": 42, "pgf.rcfonts": False}):
        if suffix == "pdf":
            return {f"{name}.pdf": _pdf(figure, scale, title)}
        if suffix == "pgf":
            return _pgf(figure, scale, name)
        return {f"{name}.{suffix}": _other(figure, scale, suffix, title)}


def scale_of(figure: Figure, form: Form) -> float:
    """Returns the factor between a figure and its picture."""
    width, height = (float(side) for side in figure.get_size_inches())
    if form.height:
        return min(form.widths[0] / width, form.height / height)
    return min(form.scale, form.widths[1] / width)


def caption(figure: Figure) -> str:
    """Returns the title of a figure, which may not be part of it, on one line."""
    return " ".join((figure.get_suptitle() or str(figure.get_label())).replace("\\$", "$").split())


def _pad(figure: Figure, form: Form) -> None:
    """Gives a figure that lays itself out, or was widened, the proportions of the form; the parts stay."""
    width, height = (float(side) for side in figure.get_size_inches())
    ratio = form.widths[0] / form.height
    wide, high = max(width, height * ratio), max(height, width / ratio)
    if isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine):
        figure.set_size_inches(wide, high)
        return
    left, below = (wide - width) / 2, high - height
    for axes in figure.axes:
        box = axes.get_position(original=True)
        place = (box.x0 * width + left) / wide, (box.y0 * height + below / 2) / high
        axes.set_position((*place, box.width * width / wide, box.height * height / high))
    for text in figure.texts:
        x, y = text.get_position()
        text.set_position((x * width / wide, 1 - (1 - y) * height / high))
    figure.set_size_inches(wide, high)


def _pdf(figure: Figure, scale: float, title: str) -> bytes:
    """Does what matplotlib's own print_pdf does, with a scale at the start of the page."""
    buffer = io.BytesIO()
    dpi = figure.dpi
    figure.dpi = 72  # the unit of PDF
    width, height = figure.get_size_inches()
    open_file, open_page, mixed = (cast(Any, kind) for kind in (PdfFile, RendererPdf, MixedModeRenderer))
    file = open_file(buffer, metadata={"Title": title or None, "CreationDate": None, "Creator": "nnlab"})
    try:
        file.newPage(width * scale, height * scale)
        file.output(scale, 0, 0, scale, 0, 0, Op.concat_matrix)
        page = open_page(file, DPI * scale, height, width)
        renderer = mixed(figure, width, height, DPI * scale, page)
        figure.draw(renderer)
        renderer.finalize()
        file.finalize()
    finally:
        file.close()
        figure.dpi = dpi
    return buffer.getvalue()


def _other(figure: Figure, scale: float, suffix: str, title: str) -> bytes:
    buffer = io.BytesIO()
    options: dict[str, Any] = {"metadata": {"Date": None, "Creator": None, "Title": title or None}}
    if suffix == "png":
        options = {"metadata": {"Software": None}, "pil_kwargs": {"dpi": (DPI, DPI)}}
    figure.savefig(buffer, format=suffix, dpi=DPI * scale, facecolor=figure.get_facecolor(), **options)
    if suffix == "png":
        return buffer.getvalue()

    def scaled(match: re.Match[bytes]) -> bytes:
        return b'%s="%.6gpt"' % (match[1], float(match[2]) * scale)

    head, root, rest = buffer.getvalue().partition(b"<svg ")
    start, end, body = rest.partition(b">")
    return head + root + re.sub(rb'\b(width|height)="([\d.]+)pt"', scaled, start) + end + body


def _pgf(figure: Figure, scale: float, name: str) -> dict[str, bytes]:
    program = next((program for program in TEX if shutil.which(program)), None)
    if program is None:
        raise InputError(
            "--format pgf: matplotlib asks TeX how wide each text is, and none of "
            f"{', '.join(TEX)} is installed; use --format pdf, or install TeX"
        )
    with tempfile.TemporaryDirectory() as folder, matplotlib.rc_context({"pgf.texsystem": program}):
        path = Path(folder) / f"{name}.pgf"
        try:
            figure.savefig(path, dpi=DPI * scale)
        except Exception as error:  # LaTeX's own words, or characters that it lacks
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"--format pgf: {program} cannot write {name}: {reason}; use --format pdf"
            ) from None
        text = path.read_text("utf-8")
        images = sorted(other for other in Path(folder).iterdir() if other != path)
        return {
            path.name: _scaled_pgf(text, scale).encode(),
            **{image.name: image.read_bytes() for image in images},
        }


def _scaled_pgf(text: str, scale: float) -> str:
    """Multiplies every length and every font size of a PGF file."""

    def length(match: re.Match[str]) -> str:
        return f"{float(match[1]) * scale:.6f}{match[2]}"

    def size(match: re.Match[str]) -> str:
        return f"\\fontsize{{{float(match[1]) * scale:.6f}}}{{{float(match[2]) * scale:.6f}}}"

    scaled = re.sub(r"(?<![\w.])(-?\d+\.\d+)(in|pt|bp)\b", length, text)
    return re.sub(r"\\fontsize\{([\d.]+)\}\{([\d.]+)\}", size, scaled)
