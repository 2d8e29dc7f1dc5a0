"""Beyond the lecture: eight statements of research, as experiments and claims like the lecture's own.

`nnlab lecture --beyond` runs them in place of the lecture's points.
"""

from collections.abc import Mapping, Sequence

from nnlab.chapters.lecture.plan import Lesson, Point

LESSONS: Mapping[str, Lesson] = {
    lesson.name: lesson
    for lesson in (
        Lesson("minimal_norm", "minimal_norm", {}, {"networks": 64, "widths": [64, 256, 1024, 4096]}),
        Lesson("max_margin", "max_margin", {}, {"steps": 300_000}),
        Lesson("catapult", "catapult", {}, {"width": 4096}),
        Lesson("edge_of_stability", "edge_of_stability", {}, {"starts": [0.7, 0.9, 1.2], "steps": 12_000}),
        Lesson("ensembles", "ensembles", {}, {"networks": 1024}),
        Lesson("spectral_bias", "spectral_bias", {}, {"networks": 64, "width": 8192}),
        Lesson("double_descent", "double_descent", {}, {"draws": 400, "peak_draws": 50}),
        Lesson("rich", "rich", {}, {"widths": [128, 256, 512, 1024, 2048]}),
    )
}

# fmt: off
POINTS: Sequence[Point] = (
    Point("minimal_norm", "B.1",
          "Gradient descent goes to the nearest of all weights that fit, along a way whose length is known.",
          "minimal_norm", ["*"]),
    Point("max_margin", "B.2",
          "On separable data gradient descent turns towards the largest margin, at a rate of 1/log t.",
          "max_margin", ["*"]),
    Point("catapult", "B.3",
          "A step size from 2/λ to 4/λ throws the weights to a flatter minimum; beyond, training diverges.",
          "catapult", ["*"]),
    Point("edge_of_stability", "B.4",
          "Gradient descent sharpens its minimum until ηλmax of the Hessian is 2, and stays there.",
          "edge_of_stability", ["*"]),
    Point("ensembles", "B.5",
          "Networks from many starts are a Gaussian process, before training and after it, in closed form.",
          "ensembles", ["*"]),
    Point("spectral_bias", "B.6",
          "A network learns low frequencies first, at known rates; without biases it never learns odd ones.",
          "spectral_bias", ["*"]),
    Point("double_descent", "B.7",
          "The test error is largest where parameters and examples are equally many, and falls again beyond.",
          "double_descent", ["*"]),
    Point("rich", "B.8",
          "In µP features move, and one step size serves every width; in NTK parameterization neither.",
          "rich", ["*"]),
)
# fmt: on
"""The points, in the sections B.1 to B.8."""
