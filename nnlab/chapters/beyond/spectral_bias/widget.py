"""The harmonics of a residual, with a slider over the time."""

import numpy as np

from nnlab.chapters.beyond.spectral_bias import schema
from nnlab.page.widget import CURVE, Arrays, Widget, numbers, shaped, thinned
from nnlab.record import Run
from nnlab.record.arrays import group


def spectral_bias(run: Run, arrays: Arrays) -> Widget:
    """The share of every harmonic that is left after a number of steps, predicted and as measured."""
    kinds = []
    for name in schema.GROUPS:
        mine = group(arrays, name)
        k, shares = mine[schema.HARMONICS], mine[schema.SHARES].mean(0)
        steps = np.arange(shares.shape[1])
        chosen = thinned(len(steps), CURVE)
        kinds.append(
            {
                "name": name.replace("_", " "),
                "harmonics": numbers(k),
                "eigenvalues": numbers(shaped(mine[schema.EIGENVALUES], len(k)), 9),
                "lr": float(mine[schema.LR]),
                "steps": numbers(steps[chosen], 9),
                "shares": numbers(shaped(shares, len(k), len(steps))[:, chosen]),
            }
        )
    return Widget(
        "spectral_bias",
        "Slow waves are learned first",
        "The target on the circle is a sum of waves cos(kθ + φ). Wave k leaves the residual at the rate nλ_k "
        "of the tangent kernel. Without biases a ReLU network of one hidden layer has no odd waves but the "
        "first: they are never learned.",
        {"kinds": kinds},
    )
