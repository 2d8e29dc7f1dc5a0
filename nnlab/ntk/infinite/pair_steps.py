"""The steps of a program of `nnlab.ntk.infinite.pairwise`: what each makes of the states that it is given.

A step may overwrite what it is given: who needs a state once more hands out a copy.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from nnlab.ntk.infinite.angles import first_pairs
from nnlab.ntk.infinite.moments import Block
from nnlab.ntk.infinite.nodes import Fixed, Linear, Node, Nonlinear, Norm, Pool
from nnlab.ntk.infinite.shifts import DiagonalSums, averaged, shifted_sum

# Covariance or half squared distance, (r, s, P, P') or (r, s, P, 1); and the tangent kernel, None if it is 0.
State = tuple[Tensor, Tensor | None]

Run = Callable[[Block, Sequence[State]], State]

TILE = 2**15  # pairs of a function's tile, whose dozen temporaries stay in the processor's cache
DEVICE_TILE = 2**22  # on other devices, where few large ones are faster
SNAP = 2e-15  # of the variances: a squared distance that is rounding


def input_step(node: Fixed, full: bool, distance: bool) -> Run:
    """Half squared distances, from differences; inner products, where they are asked for."""

    def run(block: Block, states: Sequence[State]) -> State:
        left, right = block.setting.left, block.setting.right
        r, s = block.shape
        positions = node.positions
        variance = left.variance(node)
        if block.columns is not None and positions == 1:
            pairs = first_pairs(left.points(node), right.points(node), block.rows, block.columns)
            if not distance:
                return pairs.covariance[:, :, None, None], None
            result = torch.sin(pairs.angle / 2).square_().mul_(pairs.left * pairs.right).mul_(2)
            result.add_((pairs.left - pairs.right).square_(), alpha=0.5)
            return result[:, :, None, None], None
        result = block.setting.room.take((r, s, positions, positions if full else 1), variance)
        one = left.fixed(node)[block.rows]
        for j in range(s):
            two = one if block.columns is None else right.fixed(node)[block.columns][j : j + 1]
            if full and distance:
                apart = torch.cdist(one, two.expand_as(one), compute_mode="donot_use_mm_for_euclid_dist")
                result[:, j] = apart.square_().div_(2 * node.channels)
            elif full:
                torch.matmul(one, two.transpose(1, 2).expand(r, -1, -1), out=result[:, j])
                result[:, j].div_(node.channels)
            elif distance:
                result[:, j, :, 0] = (one - two).square_().mean(dim=2).div_(2)
            else:
                result[:, j, :, 0] = (one * two).mean(dim=2)
        return result, None

    return run


def dual_step(one: Nonlinear, two: Nonlinear, full: bool, distance: bool) -> Run:
    def run(block: Block, states: Sequence[State]) -> State:
        covariance, tangent = states[0]
        dual = block.setting.dual(one, two)
        left, right = block.sides(one, two, full)
        for place in _tiles(covariance.shape, covariance.device):
            dual.pairs(
                covariance[place],
                None if tangent is None else tangent[place],
                left.part(place),
                right.part(place),
                as_distance=distance,
            )
        if one.source is two.source and isinstance(one.source, Norm) and one.source.trains[0]:
            tangent = _with_scale(block, one, two, (covariance, tangent), full, distance)
        return covariance, tangent

    return run


def _with_scale(
    block: Block, one: Nonlinear, two: Nonlinear, state: State, full: bool, distance: bool
) -> Tensor:
    """Adds to the tangent kernel the part of the scales γ of a norm n in front, at equal positions:

    E[φ'(n)n φ'(n')n'], which is E[φ(n)φ(n')] for piecewise linear functions, the only ones that are let in.
    """
    covariance, tangent = state
    if distance:
        left = block.left(block.setting.left.variance(one))
        right = block.right(block.setting.right.variance(two), full)
        covariance = torch.sub((left + right) / 2, covariance)
    return _at_equal_positions(tangent, covariance, 1.0, 0.0)


def _at_equal_positions(tangent: Tensor | None, covariance: Tensor, factor: float, constant: float) -> Tensor:
    """Θ + factor · K + constant, where p = p'."""
    if tangent is None:
        tangent = torch.zeros_like(covariance)
    place = tangent
    if covariance.shape[3] > 1:
        place, covariance = (part.diagonal(dim1=2, dim2=3) for part in (tangent, covariance))
    place.add_(covariance, alpha=factor).add_(constant)
    return tangent


def _tiles(shape: torch.Size, device: torch.device) -> list[tuple[slice, slice, slice]]:
    """Tiles of so many pairs or fewer, along the first three axes."""
    r, s, p, q = shape
    steps = []
    room = max(1, (TILE if device.type == "cpu" else DEVICE_TILE) // q)
    for n in (p, s, r):
        steps.append(min(n, room))
        room = max(1, room // n)
    return [
        (slice(i, i + steps[2]), slice(j, j + steps[1]), slice(k, k + steps[0]))
        for i in range(0, r, steps[2])
        for j in range(0, s, steps[1])
        for k in range(0, p, steps[0])
    ]


def linear_step(node: Linear, full: bool, distance: bool) -> Run:
    weights, biases = node.trains
    own = float(weights), (float(biases) - float(weights)) * node.sigma_b**2  # of Σ⁺, and a constant

    def finish(covariance: Tensor, tangent: Tensor | None, halves: Sequence[Tensor]) -> Tensor | None:
        """Adds biases to a covariance, and its own part to the tangent kernel."""
        if not distance:
            covariance.add_(node.sigma_b**2)
        if not (weights or biases):
            return tangent
        if tangent is None:
            tangent = torch.zeros_like(covariance)
        for half in halves if weights else ():
            tangent.add_(half)
        tangent.add_(covariance, alpha=-own[0] if distance else own[0])
        return tangent.add_(own[1]) if own[1] else tangent

    def run(block: Block, states: Sequence[State]) -> State:
        setting = block.setting
        halves: list[Tensor] = []
        if distance:
            halves = [
                block.left(setting.left.variance(node) / 2),
                block.right(setting.right.variance(node) / 2, full),
            ]
        if node.windows is None:
            covariance, tangent = (
                None if part is None else part.mean(dim=2, keepdim=True).mul_(node.sigma_w**2)
                for part in states[0]
            )
            assert covariance is not None
            return covariance, finish(covariance, tangent, halves)
        if not full:
            covariance, tangent = (None if part is None else _convolved(node, part) for part in states[0])
            assert covariance is not None
            return covariance, finish(covariance, tangent, halves)
        return _convolved_pairs(node, block, states[0], distance, halves, finish)

    return run


def _factor(node: Linear) -> float:
    """σ_w²/k²."""
    size = 1
    for window in node.windows or ():
        size *= window.kernel
    return node.sigma_w**2 / size


def _convolved(node: Linear, part: Tensor) -> Tensor:
    """A convolution of (r, s, P, 1), equal positions."""
    assert node.windows is not None
    fields = part.reshape(*part.shape[:2], *node.source.space)
    return shifted_sum(fields, node.windows, 2).mul_(_factor(node)).flatten(2)[..., None]


def _convolved_pairs(
    node: Linear,
    block: Block,
    state: State,
    distance: bool,
    halves: Sequence[Tensor],
    finish: Callable[[Tensor, Tensor | None, Sequence[Tensor]], Tensor | None],
) -> State:
    """A convolution of all pairs of positions, some rows at a time."""
    assert node.windows is not None
    setting, source = block.setting, node.source
    r, s = state[0].shape[:2]
    edges = None
    if distance:
        left = block.left(setting.left.variance(source) / 2)
        right = block.right(setting.right.variance(source) / 2, True)
        edges = left.reshape(r, 1, *source.space), right.reshape(right.shape[0], s, *source.space)
    sums, tangent_sums = DiagonalSums(node.windows, edges), DiagonalSums(node.windows)
    before = [None if part is None else part.view(r, s, *source.space, *source.space) for part in state]
    shape = (r, s, *node.space, *node.space)
    covariance = setting.room.take(shape, state[0])
    tangent = None
    if before[1] is not None or any(node.trains):
        tangent = setting.room.take(shape, state[0])
    factor = _factor(node)
    spread = [half.reshape(*half.shape[:2], *(node.space if k == 0 else [1] * len(node.space)),
                           *(node.space if k == 1 else [1] * len(node.space)))
              for k, half in enumerate(halves)]  # fmt: skip
    step = _rows(covariance)
    assert before[0] is not None
    for first in range(0, node.space[0], step):
        outputs = range(first, min(first + step, node.space[0]))
        some = slice(outputs.start, outputs.stop)
        value = sums.rows(before[0], outputs, covariance[:, :, some]).mul_(factor)
        if tangent is None:
            finish(value, None, ())
            continue
        part = tangent[:, :, some]
        if before[1] is None:
            part.zero_()
        else:
            tangent_sums.rows(before[1], outputs, part).mul_(factor)
        own = finish(value, part, [spread[0][:, :, some], spread[1]] if spread else ())
        assert own is part
    setting.room.give(*state)
    flat = (r, s, node.positions, node.positions)
    return covariance.view(flat), None if tangent is None else tangent.view(flat)


def _rows(covariance: Tensor) -> int:
    """How many first coordinates to work on at a time."""
    if covariance.device.type != "cpu":
        return covariance.shape[2]
    numbers = covariance[:, :, 0].numel()
    return max(1, min(covariance.shape[2], 2 * TILE // numbers))


def distance_step(one: Node, two: Node, full: bool) -> Run:
    def run(block: Block, states: Sequence[State]) -> State:
        covariance, tangent = states[0]
        mean = block.left(block.setting.left.variance(one)) + block.right(
            block.setting.right.variance(two), full
        )
        mean.div_(2)
        distance = torch.sub(mean, covariance, out=covariance)
        return distance.masked_fill_(distance <= SNAP * mean, 0.0), tangent

    return run


def sum_step(factors: Sequence[float]) -> Run:
    def run(block: Block, states: Sequence[State]) -> State:
        total, tangent = states[0][0].mul_(factors[0]), states[0][1]
        if tangent is not None:
            tangent.mul_(factors[0])
        for factor, (covariance, other) in zip(factors[1:], states[1:], strict=True):
            total.add_(covariance, alpha=factor)
            if tangent is None:
                tangent = None if other is None else other.mul_(factor)
            elif other is not None:
                tangent.add_(other, alpha=factor)
        return total, tangent

    return run


def slope_step(node: Nonlinear, full: bool, left: bool) -> Run:
    """A Gaussian field and a function of another: both states times E[φ'(z)]."""

    def run(block: Block, states: Sequence[State]) -> State:
        setting = block.setting
        slope = block.left(setting.left.slope(node)) if left else block.right(setting.right.slope(node), full)
        covariance, tangent = states[0]
        return covariance.mul_(slope), None if tangent is None else tangent.mul_(slope)

    return run


def means_step(one: Nonlinear, two: Nonlinear, full: bool) -> Run:
    """Functions of independent fields: the product of their means."""

    def run(block: Block, states: Sequence[State]) -> State:
        left, right = block.setting.left.mean(one), block.setting.right.mean(two)
        assert left is not None
        assert right is not None
        return (block.left(left) * block.right(right, full)).contiguous(), None

    return run


def pool_step(node: Pool, left: bool) -> Run:
    source, after = node.source.space, node.space

    def pooled(part: Tensor) -> Tensor:
        r, s, p, q = part.shape
        if node.positions == 1 and all(bool((weight == weight[0, 0]).all()) for weight in node.weights):
            return part.mean(dim=2 if left else 3, keepdim=True)
        weights = [weight.to(part.device) for weight in node.weights]
        if left:
            return averaged(part.view(r, s, *source, q), weights, 2).reshape(r, s, -1, q)
        return averaged(part.view(r, s, p, *source), weights, 3).reshape(r, s, p, -1)

    def run(block: Block, states: Sequence[State]) -> State:
        covariance, tangent = states[0]
        assert covariance.shape[2 if left else 3] == node.source.positions, (after, covariance.shape)
        result = pooled(covariance), None if tangent is None else pooled(tangent)
        block.setting.room.give(covariance, tangent)
        return result

    return run


def diagonal_step(block: Block, states: Sequence[State]) -> State:
    covariance, tangent = (
        None if part is None else part.diagonal(dim1=2, dim2=3).unsqueeze(-1).contiguous()
        for part in states[0]
    )
    assert covariance is not None
    return covariance, tangent


def gaussian_norm_step(node: Norm, full: bool, distance: bool, trains: tuple[bool, bool]) -> Run:
    def run(block: Block, states: Sequence[State]) -> State:
        value, tangent = states[0]
        setting, source = block.setting, node.source
        left, right = (
            side.center(node)[1].expand(-1, source.positions) for side in (setting.left, setting.right)
        )
        a, b = (
            block.left(setting.left.variance(source).sqrt()),
            block.right(setting.right.variance(source).sqrt(), full),
        )
        s, t = block.left(left), block.right(right, full)
        value.sub_((a - b).square_(), alpha=0.5).clamp_(min=0).div_(s).div_(t)  # √(ab) − c, over ss'
        if tangent is not None:
            tangent.div_(s).div_(t)
        a, b = a / s, b / t
        distance_, covariance = None, None
        if distance:
            distance_ = value.add((a - b).square_(), alpha=0.5)
        if not distance or any(trains):
            covariance = torch.sub(a * b, value)
        if covariance is not None and any(trains):
            tangent = _at_equal_positions(tangent, covariance, *map(float, trains))
        result = distance_ if distance else covariance
        assert result is not None
        return result, tangent

    return run


def norm_step(node: Norm, other: Node, full: bool, left: bool) -> Run:
    """(K − m μ')/s: the norm's mean and deviation from one side, the other node's mean from the other."""

    def run(block: Block, states: Sequence[State]) -> State:
        mine, theirs = block.setting.left, block.setting.right
        if not left:
            mine, theirs = theirs, mine
        center, deviation = (value.expand(-1, node.positions) for value in mine.center(node))
        mean = theirs.mean(other)
        if left:
            center, deviation = block.left(center), block.left(deviation)
            mean = None if mean is None else block.right(mean, full)
        else:
            center, deviation = block.right(center, full), block.right(deviation, full)
            mean = None if mean is None else block.left(mean)
        covariance, tangent = states[0] if states else (None, None)
        if mean is not None:
            product = center * mean
            covariance = -product if covariance is None else covariance.sub_(product)
        assert covariance is not None
        return covariance.div_(deviation), None if tangent is None else tangent.div_(deviation)

    return run


def norm_parameters_step(node: Norm) -> Run:
    def run(block: Block, states: Sequence[State]) -> State:
        covariance, tangent = states[0]
        if not any(node.trains):
            return covariance, tangent
        return covariance, _at_equal_positions(tangent, covariance, *map(float, node.trains))

    return run
