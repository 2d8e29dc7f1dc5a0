"""Feature change and best step sizes over the width."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from nnlab.plot.powerlaws import Law, power_words, scaling_laws

_NAMES = {"mup": "µP", "ntk": "NTK parameterization"}
_OPTIMIZERS = {"sgd": "gradient descent", "adam": "Adam"}


def _law(widths: Sequence[int], values: NDArray[np.float64]) -> Law:
    x = np.log(widths) - np.log(widths).mean()
    slope = float(x @ np.log(values).mean(1) / (x @ x))
    return np.asarray(widths, np.float64), values, slope, (None, None)


def _powers(lead: str, laws: Mapping[str, Law]) -> str:
    words = [f"{power_words(law[2])} ({name})" for name, law in laws.items()]
    return f"{lead} {', '.join(words)}"


def features_over_width(widths: Sequence[int], features: Mapping[str, ArrayLike]) -> Figure:
    """Draws the relative change of the last hidden layer over the width, a line for each parameterization.

    Args:
        widths: (K,) ascending.
        features: parameterization -> (K, S) changes.
    """
    laws = {
        _NAMES.get(name, name): _law(widths, np.asarray(values, float)) for name, values in features.items()
    }
    return scaling_laws(
        {"two hidden layers": laws},
        "change of features",
        _powers("The last layer's features move like", laws),
        predicted={"µP": 0.0, "NTK parameterization": -0.5},
    )


def best_steps(widths: Sequence[int], best: Mapping[str, ArrayLike]) -> Figure:
    """Draws the best step size over the width: a panel for each optimizer, a line for each parameterization.

    Args:
        widths: (K,) ascending.
        best: optimizer/parameterization -> (K, S) log₂ of the best step size.
    """
    panels: dict[str, dict[str, Law]] = {}
    for key, values in best.items():
        optimizer, _, name = key.partition("/")
        law = _law(widths, 2.0 ** np.asarray(values, float))
        panels.setdefault(_OPTIMIZERS.get(optimizer, optimizer), {})[_NAMES.get(name, name)] = law
    return scaling_laws(
        panels,
        "best step size η",
        "; ".join(_powers(f"Best step of {optimizer}:", laws) for optimizer, laws in panels.items()),
    )
