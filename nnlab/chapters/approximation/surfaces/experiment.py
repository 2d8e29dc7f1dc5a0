"""Two inputs: towers that are isolated fail at every corner of the cells, cumulative quadrants do not."""

import math
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import expit

from nnlab.approximation.boxes import certify_boxes
from nnlab.approximation.surfaces import (
    Grid,
    Surface,
    centre_heights,
    isolated_towers,
    l2_bound,
    quadrant_bound,
    quadrant_thresholds,
    tower_bound,
)
from nnlab.approximation.targets import ExpressionTarget, Target, make_target
from nnlab.chapters.approximation.bins.setup import checked_target
from nnlab.chapters.approximation.certified import certified_claim
from nnlab.chapters.approximation.surfaces.figures import surfaces as surfaces_figure
from nnlab.errors import Interrupted
from nnlab.expressions import UnboundedSlopeError, lipschitz
from nnlab.lab.sections import Section
from nnlab.lab.session import Outcome, Session
from nnlab.record import Record
from nnlab.record.arrays import under
from nnlab.rigorous.supremum import Supremum
from nnlab.theory import Claim, exact_claim, worst

Array = NDArray[np.float64]

FINE = 9  # drawn points a side of a cell
TOLERANCES = (0.2, 0.05, 0.01)  # how steep the towers are that fail at a corner
BOXES = 3_000_000
TOWERS, QUADRANTS = "isolated towers", "quadrant thresholds"
OFF_CORNERS = "isolated towers, off the corners"
PLACE, CERTIFY = "nnlab.approximation.surfaces", "nnlab.approximation.boxes.certify_boxes"


class SurfaceSettings(Section):
    """Two dimensions: n × n cells, isolated towers beside quadrant thresholds."""

    target: Annotated[str, Field(min_length=1)] = "hill"
    cells: int = Field(8, ge=2, le=32)


@dataclass(frozen=True)
class Plane:
    """A function of two variables on a square, and the cells that it is approximated by.

    Attributes:
        target: f.
        grid: its cells.
        slope: L, a bound on ‖∇f‖₂; infinite where there is none.
    """

    target: Target
    grid: Grid
    slope: float


def build(text: str, interval: list[float] | None, settings: SurfaceSettings) -> Plane:
    """The function of two variables that the config names.

    Args:
        text: the config's target, which is taken where it has two variables.
        interval: that of the config, for this target.
        settings: the section `surface`.

    Raises:
        InputError: it has not two variables, or is not defined everywhere on the square.
    """
    low, high = 0.0, 1.0
    if make_target(text).dimension == 2:
        low, high = interval or (low, high)
        target = checked_target("target", text, (low, high))
    else:
        target = checked_target("surface.target", settings.target, (low, high), 2)
    assert isinstance(target, ExpressionTarget)  # a table of points has one variable
    grid = Grid((low, low), (high, high), (settings.cells, settings.cells))
    try:
        slope = lipschitz(target.graph, dict.fromkeys(target.variables, (low, high)), tolerance=1e-2)[1]
    except UnboundedSlopeError:
        slope = math.inf
    return Plane(target, grid, slope)


def run(plane: Plane, record: Record, session: Session) -> Outcome:
    """Builds both, bounds their errors on the square and outside the corners, and judges."""
    grid, heights = plane.grid, centre_heights(plane.target, plane.grid)
    towers, quadrants = isolated_towers(grid, heights), quadrant_thresholds(grid, heights)
    rows, errors = [], {}
    work = (  # with what is left out, and the bound by theory: none for isolated towers on the whole square
        (TOWERS, towers, None, math.inf),
        (OFF_CORNERS, towers, grid.corner_squares(towers.window), tower_bound(towers, plane.slope)),
        (QUADRANTS, quadrants, None, quadrant_bound(quadrants, plane.slope)),
    )
    with session.reporter.bar("certificates in the plane") as advance:
        for done, (name, surface, outside, bound) in enumerate(work):
            if session.stop():
                raise Interrupted(f"interrupted before the certificate of {name}")
            advance(done, len(work), name)
            errors[name] = certify_boxes(
                surface.network, plane.target, grid.lo, grid.hi, relative=0.02, max_boxes=BOXES,
                outside=outside,
            )  # fmt: skip
            rows.append(_row(plane, name, surface, bound, errors[name]))
        advance(len(work), len(work), "")
    _draw(plane, {TOWERS: towers, QUADRANTS: quadrants}, errors, record)
    claims = [_hole_claim(grid), *_depth_claim(plane, towers, errors[TOWERS]), *_plane_claims()]
    claims += [_sharp_claim(), *_bound_claims(plane, towers, quadrants, errors)]
    return Outcome({}, rows, claims)


def _row(plane: Plane, name: str, surface: Surface, bound: float, error: Supremum) -> dict[str, Any]:
    grid = plane.grid
    return {
        "construction": name,
        "bins": math.prod(grid.cells),
        "hidden_units": surface.network.hidden_units,
        "steepness": surface.steepness[0],
        "interval": [grid.lo[0], grid.hi[0]],
        "epsilon": None,
        "lipschitz": plane.slope if math.isfinite(plane.slope) else None,
        "bound": bound if math.isfinite(bound) else None,
        "error_lower": error.lower,
        "error_upper": error.upper,
    }


def _axis(grid: Grid, surface: Surface, axis: int) -> Array:
    """Inputs along one side: evenly spread, and close together around each grid line."""
    even = np.linspace(grid.lo[axis], grid.hi[axis], FINE * grid.cells[axis] + 1)
    around = np.linspace(-6, 6, 13) / surface.steepness[axis]
    close = (grid.lines(axis)[:, None] + around).ravel()
    return np.unique(np.concatenate([even, close]))


def _draw(plane: Plane, surfaces: dict[str, Surface], errors: dict[str, Supremum], record: Record) -> None:
    grid, target = plane.grid, plane.target
    some = next(iter(surfaces.values()))
    x1, x2 = _axis(grid, some, 0), _axis(grid, some, 1)
    points = np.stack(np.meshgrid(x1, x2, indexing="ij"), axis=-1)
    exact = target.values(points.reshape(-1, 2)).reshape(points.shape[:-1])
    outputs = {name: s.network.values(points) for name, s in surfaces.items()}
    line = float(grid.lines(1)[len(grid.lines(1)) // 2])
    fine = np.unique(np.concatenate([np.linspace(grid.lo[0], grid.hi[0], 2001), x1]))
    points = np.stack([fine, np.full(len(fine), line)], axis=1)
    cut = {name: s.network.values(points) for name, s in surfaces.items()}
    along = target.values(points)
    arrays = under("cut", {"x1": fine, "x2": np.array([line]), "target": along, **cut})
    record.save_arrays(**under("surface", {"x1": x1, "x2": x2, "target": exact, **outputs, **arrays}))
    networks = {name: (z, errors[name].upper) for name, z in outputs.items()}
    record.figure(
        "surface", surfaces_figure, x1, x2, exact, networks, (line, fine, along, cut), grid.lines(0)
    )


# --- claims ---------------------------------------------------------------------------------------------


def _hole_claim(grid: Grid) -> Claim:
    """f ≡ 1: at a corner all steps are ½; the four towers there have the score −w₂/2, others −w₂."""
    small = Grid(grid.lo, grid.hi, (3, 3))
    corner = small.corners()[:1]
    threshold, ratios = [], []
    for tolerance in TOLERANCES:
        surface = isolated_towers(small, np.ones(small.cells), tolerance)
        w = surface.threshold
        threshold.append(w)
        output = float(surface.network.values(corner)[0])
        ratios.append(output / float(4 * expit(-w / 2) + 4 * expit(-w) + expit(-1.5 * w)))
    ratio = np.array(ratios)
    return exact_claim(
        "isolated_towers_have_holes",
        sentence="Where four cells meet, isolated towers drop towards 0 as their steepness grows.",
        formula="f ≡ 1: y(corner) = 4σ(−w₂/2) + 4σ(−w₂) + σ(−3w₂/2) → 0; the ratio farthest from 1",
        hypotheses=[
            "3 × 3 cells", "w₂ = " + ", ".join(f"{w:.3g}" for w in threshold),
            f"output {4 * expit(-threshold[-1] / 2):.2g} at the steepest",
        ],
        predicted=1.0,
        measured=ratio[np.abs(ratio - 1).argmax()],
        tolerance=1e-6,
        rivals={
            "no hole": float(1 / (4 * expit(-threshold[0] / 2))), "half of it": 0.5, "a quarter": 0.25,
            "4σ(−w₂)": float(expit(-threshold[0]) / expit(-threshold[0] / 2)),
        },
        predicted_by="scipy.special.expit",
        measured_by=f"{PLACE}.isolated_towers",
    )  # fmt: skip


def _depth_claim(plane: Plane, towers: Surface, error: Supremum) -> list[Claim]:
    """The certified error reaches what the holes take away, and exceeds it by a cell's error at most."""
    corners, w, n = plane.grid.corners(), towers.threshold, plane.grid.cells
    h = towers.heights
    four = h[1:, 1:] + h[1:, :-1] + h[:-1, 1:] + h[:-1, :-1]
    largest = float(np.abs(towers.heights).max())
    values = plane.target.values(corners)
    others = math.prod(n) * largest * float(expit(-w))  # all other towers together, at most
    least = worst(values - expit(-w / 2) * four.ravel()) - others
    most = worst(values) + plane.slope * plane.grid.radius
    if not (least > 0 and math.isfinite(most)):
        return []
    return [
        certified_claim(
            "isolated_towers_lose_the_height",
            sentence="At a corner isolated towers are off by the height of f itself, however many cells.",
            formula="sup |y − f| / max over corners of |f − σ(−w₂/2)ΣH| ≥ 1, sup |y − f| ≤ max |f| + Lr",
            hypotheses=[f"f = {plane.target.text[:80]}, {n[0]} × {n[1]} cells", f"w₂ = {w:.3g}"],
            predicted=(1 - 1e-9, most / least),
            bounds=_over(error, least),
            rivals={"half of it": 0.5},
            predicted_by="closed form: |f(c) − σ(−w₂/2)ΣH|",
            measured_by=f"{PLACE}.isolated_towers, {CERTIFY}",
        )
    ]


def _plane_claims() -> list[Claim]:
    """f = x₁ + 3x₂ rises along the diagonals of cells: at the outer corners it is off by the bound L r."""
    target = make_target("x1 + 3*x2")
    grid = Grid((0.0, -1.0), (1.0, 1.0), (6, 4))  # of sides 1/6 and 1/2
    assert isinstance(target, ExpressionTarget)
    slope = lipschitz(target.graph, {"x1": (0.0, 1.0), "x2": (-1.0, 1.0)}, tolerance=1e-6)[1]
    heights = centre_heights(target, grid)
    unit, claims = slope * grid.radius, []
    for name, build in (("isolated_towers", isolated_towers), ("quadrant_thresholds", quadrant_thresholds)):
        surface = build(grid, heights)
        squares = grid.corner_squares(surface.window) if build is isolated_towers else None
        error = certify_boxes(
            surface.network, target, grid.lo, grid.hi, relative=0.02, max_boxes=BOXES, outside=squares
        )
        window = max(surface.window) if build is isolated_towers else math.hypot(*surface.window)
        least, most = 1 - surface.leak / unit, 1 + (slope * window + surface.leak) / unit
        claims.append(
            certified_claim(
                f"{name}_of_a_plane",
                sentence="Of a plane they have the error of a cell, half the diagonal times the slope.",
                formula="sup |y − f| / Lr in [1 − leak, 1 + window + leak], r = ½√(h₁² + h₂²)",
                hypotheses=[
                    "f = x₁ + 3x₂ on [0, 1] × [−1, 1], 6 × 4 cells",
                    f"leak {surface.leak / unit:.2g}, window {slope * window / unit:.2g}",
                    "outside the corner squares" if squares is not None else "everywhere",
                ],
                predicted=(least, most),
                bounds=(error.lower / unit, error.upper / unit),
                rivals={"2Lr": 2.0, "Lr/2": 0.5},
                predicted_by="nnlab.expressions.lipschitz",
                measured_by=f"{PLACE}.{name}, {CERTIFY}",
            )
        )  # fmt: skip
    return claims


def _sharp_claim() -> Claim:
    """Heights of a Lipschitz function that is 0 at c, near which the proof's fifth corner is reached."""
    grid = Grid(cells=(2, 2))
    side, r = grid.sides[0], grid.radius
    heights = np.array([[r - side, r], [r, r]])
    surface = quadrant_thresholds(grid, heights, 1e-12)
    scores = np.linspace(0, 2, 401)  # w₁ (x − c) on the diagonal
    x = grid.corners() + scores[:, None] / np.array(surface.steepness)
    f = scores * math.hypot(*(1 / np.array(surface.steepness)))  # |f(x)| ≤ |x − c|
    reached = float((np.abs(surface.network.values(x)) - f).max())
    return exact_claim(
        "quadrant_thresholds_reach_their_bound",
        sentence="Next to a corner the error of cumulative quadrants reaches its bound, as steepness grows.",
        formula="sup |y − f| / (L(r + min h + ‖δ‖) + leak) → 1: on square cells (1 + √2)Lr",
        hypotheses=[
            "2 × 2 cells, heights L r, L r, L r and L r − L min h, f = 0 where they meet",
            f"w₂ = {surface.threshold:.3g}, left open: 3e^{{−w₂/8}}",
        ],
        predicted=1.0,
        measured=reached / quadrant_bound(surface, 1.0),
        tolerance=3 * math.exp(-surface.threshold / 8),
        rivals={
            "the cell bound Lr": r / (r + side), "3Lr": 3 * r / (r + side), "2Lr": 2 * r / (r + side),
            "L(r + 2 min h)": (r + 2 * side) / (r + side),
        },
        predicted_by=f"{PLACE}.quadrant_bound",
        measured_by=f"{PLACE}.quadrant_thresholds",
    )  # fmt: skip


def _bound_claims(
    plane: Plane, towers: Surface, quadrants: Surface, errors: dict[str, Supremum]
) -> list[Claim]:
    if not (math.isfinite(plane.slope) and plane.slope > 0):
        return []
    grid, slope = plane.grid, plane.slope
    off, everywhere = errors[OFF_CORNERS].upper, errors[QUADRANTS].upper
    cell = slope * grid.radius
    setting = [f"f = {plane.target.text[:80]}", f"{grid.cells[0]} × {grid.cells[1]} cells, L = {slope:.4g}"]
    measure = grid.corner_measure(towers.window)
    mean_square = l2_bound(towers, off, float(np.abs(towers.heights).max()) + cell)
    return [
        certified_claim(
            "isolated_towers_off_the_corners",
            sentence="Outside small squares at the corners isolated towers are as accurate as cells allow.",
            formula="sup |y − f| / (L(r + max δ) + leak) outside squares of half-width δ",
            hypotheses=[
                *setting, f"squares of measure {measure:.3g}",
                f"so an L₂ error ≤ {mean_square:.3g} on the whole",
            ],
            predicted=(None, 1.0),
            bounds=_over(errors[OFF_CORNERS], tower_bound(towers, slope)),
            predicted_by=f"{PLACE}.tower_bound",
            measured_by=f"{PLACE}.isolated_towers, {CERTIFY}",
        ),
        certified_claim(
            "quadrant_thresholds_in_sup_norm",
            sentence="Cumulative quadrants are accurate everywhere, at the corners too.",
            formula="sup |y − f| / (L(r + min h + ‖δ‖) + leak) on the whole square",
            hypotheses=[
                *setting,
                f"{everywhere / cell:.3g} times the cell bound Lr was certified",
            ],
            predicted=(None, 1.0),
            bounds=_over(errors[QUADRANTS], quadrant_bound(quadrants, slope)),
            predicted_by=f"{PLACE}.quadrant_bound",
            measured_by=f"{PLACE}.quadrant_thresholds, {CERTIFY}",
        ),
    ]  # fmt: skip


def _over(error: Supremum, unit: float) -> tuple[float, float]:
    return error.lower / unit, error.upper / unit
