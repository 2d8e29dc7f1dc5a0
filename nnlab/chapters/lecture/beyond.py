"""Beyond the lecture: eight statements of research, as experiments and claims like the lecture's own.

`nnlab lecture --beyond` runs them in place of the lecture's points.
"""

from collections.abc import Mapping, Sequence

from nnlab.chapters.lecture.plan import Lesson, Point

LESSONS: Mapping[str, Lesson] = {
    lesson.name: lesson
    for lesson in (
        Lesson("minimal_norm", "minimal_norm", {}, {"networks": 64, "widths": [64, 256, 1024, 4096]}),
        Lesson("ensembles", "ensembles", {}, {"networks": 1024}),
        Lesson("spectral_bias", "spectral_bias", {}, {"networks": 64, "width": 8192}),
    )
}

# fmt: off
POINTS: Sequence[Point] = (
    Point("minimal_norm", "B.1",
          "Gradient descent goes to the nearest of all weights that fit, along a way whose length is known.",
          "minimal_norm", ["*"]),
    Point("ensembles", "B.5",
          "Networks from many starts are a Gaussian process, before training and after it, in closed form.",
          "ensembles", ["*"]),
    Point("spectral_bias", "B.6",
          "A network learns low frequencies first, at known rates; without biases it never learns odd ones.",
          "spectral_bias", ["*"]),
)
# fmt: on
"""The points, in the sections B.1 to B.8."""
