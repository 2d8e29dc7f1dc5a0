"""The histogram of a function on the page, with a slider for the number of bins."""

import numpy as np

from nnlab.chapters.approximation.bins import schema
from nnlab.page.data import config_of
from nnlab.page.guess import guess, power
from nnlab.page.numbers import is_number
from nnlab.page.widget import Arrays, Widget, numbers, rising
from nnlab.record import Run
from nnlab.record.arrays import group, groups

GRID = 2001
"""Places at which the page knows the function; it takes it as straight between them."""


def bins(run: Run, arrays: Arrays) -> Widget:
    """The histogram of f with any number of bins, its error, and the bound L(b − a)/2N.

    Hard steps, or the steep sigmoids whose error the run has certified for some N.
    """
    by_bins = groups(group(arrays, schema.BINS))
    finest = by_bins[max(by_bins, key=int)]
    x, f = finest[schema.X], finest[schema.TARGET]
    low, high = float(rising(x)[0]), float(x[-1])
    config = config_of(run)
    results: list[schema.BinsRow] = run.summary["results"]  # and rows of other parts
    rows = [row for row in results if row.get("construction") == config["construction"]]
    steepness = rows[0]["steepness"]
    usual = ("staircase", "midpoint", None, "sigmoid", "identity")
    is_usual = steepness is not None and usual == tuple(
        config[key] for key in ("construction", "heights", "steepness", "activation", "output")
    )
    slope, epsilon = rows[0]["lipschitz"], config["epsilon"]
    return Widget(
        "bins",
        "How many bins?",
        "Each bin takes the value of f at its middle. Within a bin an L-Lipschitz f moves away from it by at "
        "most L(b − a)/2N: the band around f that the histogram never leaves.",
        {
            "low": low,
            "high": high,
            "f": numbers(np.interp(np.linspace(low, high, GRID), x, f), 7),
            "lipschitz": slope if is_number(slope) and slope > 0 else None,
            "epsilon": epsilon if is_number(epsilon) else None,
            "sharpness": steepness * (high - low) / rows[0]["bins"] if steepness and is_usual else None,
            "certified": [[row["bins"], float(row["error_upper"])] for row in rows if is_usual],
        },
    )


def foretell(run: Run, arrays: Arrays) -> Widget:
    """The certified error over the number of bins, to be guessed first."""
    rates = group(arrays, schema.RATES)
    counts = rising(rates["bins"], 0)
    error = rates["upper"]
    return guess(
        "bins",
        "How many bins for a tenth of the error?",
        "The error of a histogram of N bins is known for the first N. How does it go on?",
        counts,
        error,
        x_label="bins N",
        y_label="largest error",
        options={
            "it stays": power(counts, error[0], 0.0),
            "it falls like 1/√N": power(counts, error[0], -0.5),
            "it falls like 1/N": power(counts, error[0], -1.0),
            "it falls like 1/N²": power(counts, error[0], -2.0),
        },
    )
