"""Two inputs: towers that are isolated fail at every corner of the cells, cumulative quadrants do not."""

import math
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

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
from nnlab.chapters.approximation.surfaces.figures import surfaces as surfaces_figure
from nnlab.errors import Interrupted
from nnlab.expressions import UnboundedSlopeError, lipschitz
from nnlab.lab.sections import Section
from nnlab.lab.session import Outcome, Session
from nnlab.record import Record
from nnlab.record.arrays import under
from nnlab.rigorous.supremum import Supremum
from nnlab.theory import Claim, exact_claim

Array = NDArray[np.float64]

FINE = 9  # drawn points a side of a cell
TOLERANCES = (0.2, 0.05, 0.01)  # how steep the towers are that fail at a corner
BOXES = 3_000_000
TOWERS, QUADRANTS = "isolated towers", "quadrant thresholds"
OFF_CORNERS = "isolated towers, off the corners"


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
    claims = [_hole_claim(grid), *_bound_claims(plane, towers, quadrants, errors)]
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
    """f ≡ 1: at a corner the output of isolated towers drops to 0, whatever the steepness."""
    small = Grid(grid.lo, grid.hi, (3, 3))
    corner = small.corners()[:1]
    steep, outputs = [], []
    for tolerance in TOLERANCES:
        surface = isolated_towers(small, np.ones(small.cells), tolerance)
        steep.append(surface.steepness[0])
        outputs.append(float(surface.network.values(corner)[0]))
    return exact_claim(
        "isolated_towers_have_holes",
        sentence="Where four cells meet, isolated towers drop towards 0 as their steepness grows.",
        formula="f ≡ 1: y(corner) = 4σ(−w₂/2) → 0; the largest output",
        hypotheses=["3 × 3 cells", "w₁ = " + ", ".join(f"{w:.0f}" for w in steep)],
        predicted=0.0,
        measured=max(outputs),
        tolerance=0.1,
        rivals={"f": 1.0, "half of it": 0.5, "a quarter": 0.25},
    )


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
        exact_claim(
            "isolated_towers_off_the_corners",
            sentence="Outside small squares at the corners isolated towers are as accurate as cells allow.",
            formula="sup |y − f| / (L(r + max δ) + leak) outside squares of half-width δ",
            hypotheses=[
                *setting, f"squares of measure {measure:.3g}",
                f"so an L₂ error ≤ {mean_square:.3g} on the whole",
            ],
            predicted=(None, 1.0),
            measured=off / tower_bound(towers, slope),
            tolerance=0.0,
        ),
        exact_claim(
            "quadrant_thresholds_in_sup_norm",
            sentence="Cumulative quadrants are accurate everywhere, at the corners too.",
            formula="sup |y − f| / (L(r + min h + ‖δ‖) + leak) on the whole square",
            hypotheses=[
                *setting,
                f"{everywhere / cell:.3g} times the cell bound Lr was certified",
            ],
            predicted=(None, 1.0),
            measured=everywhere / quadrant_bound(quadrants, slope),
            tolerance=0.0,
        ),
    ]  # fmt: skip
