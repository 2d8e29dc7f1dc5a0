"""Interactive figures: what the page's JavaScript draws, with the numbers it needs."""

import json
import zlib
from collections.abc import Callable, Mapping
from zipfile import BadZipFile

from nnlab.record import Run
from nnlab.report.widgets.approximation import bins
from nnlab.report.widgets.convolution import learned_filter, maps
from nnlab.report.widgets.kernels import edge, modes, moves
from nnlab.report.widgets.regression import convergence, growth, regularization
from nnlab.report.widgets.standing import STANDING
from nnlab.report.widgets.widget import Arrays, Widget

__all__ = ["Widget", "standing_widgets", "widgets_of"]

Builder = Callable[[Run, Arrays], Widget]

OF_EXPERIMENT: Mapping[str, tuple[Builder, ...]] = {
    "approx": (bins,),
    "classify": (maps, learned_filter),
    "convergence": (convergence,),
    "features": (maps, learned_filter),
    "ntk": (modes, edge),
    "regularization": (regularization,),
    "separable": (growth,),
    "weight_change": (moves,),
}


def widgets_of(run: Run) -> list[Widget]:
    """The interactive figures of a run: those whose numbers its folder holds in the form that is expected."""
    builders = OF_EXPERIMENT.get(str(run.summary.get("experiment")), ())
    found = []
    try:
        arrays = run.arrays() if builders else {}
    except (OSError, ValueError, EOFError, LookupError, BadZipFile, zlib.error):  # torn, or not numpy's
        return []
    for build in builders:
        try:
            widget = build(run, arrays)
            json.dumps(widget.data, allow_nan=False)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
            continue  # an older run, or one of another kind, does not hold what this figure shows
        found.append(widget)
    return found


def standing_widgets(section: int) -> list[Widget]:
    """The interactive figures of a section of the lecture that need no run."""
    return list(STANDING.get(section, ()))
