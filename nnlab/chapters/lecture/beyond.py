"""Beyond the lecture: eight statements of research, as experiments and claims like the lecture's own.

`nnlab lecture --beyond` runs them in place of the lecture's points.
"""

from collections.abc import Mapping, Sequence

from nnlab.chapters.lecture.plan import Lesson, Point

LESSONS: Mapping[str, Lesson] = {lesson.name: lesson for lesson in (list[Lesson]())}

# fmt: off
POINTS: Sequence[Point] = (
)
# fmt: on
"""The points, in the sections B.1 to B.8."""
