"""The steps of a program of `nnlab.ntk.infinite.pairwise`: functions of a block and of the states before.

A step may overwrite its states: the program passes a copy of a state that is needed again.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from nnlab.ntk.infinite.angles import first_pairs
from nnlab.ntk.infinite.moments import Block
from nnlab.ntk.infinite.nodes import Fixed, Linear, Node, Nonlinear, Norm, Pool
from nnlab.ntk.infinite.shifts import DiagonalSums, averaged, shifted_sum

# Covariance or half squared distance, (r, s, P, P') or (r, s, P, 1); and the tangent kernel, None if it is 0.
State = tuple[Tensor, Tensor | None]

TILE = 2**15  # pairs of a function's tile, whose dozen temporaries stay in the processor's cache
DEVICE_TILE = 2**22  # on other devices, where few large ones are faster
SNAP = 2e-15  # of the variances: smaller squared distances are rounding errors


def both(function: Callable[[Tensor], Tensor], state: State) -> State:
    """A linear function of the covariance and of the tangent kernel."""
    covariance, tangent = state
    return function(covariance), None if tangent is None else function(tangent)


def input_field(node: Fixed, full: bool, distance: bool, block: Block) -> State:
    """Half squared distances, from differences, or inner products of the inputs."""
    left, right = block.setting.left, block.setting.right
    r, s = block.shape
    positions = node.positions
    if block.columns is not None and positions == 1:
        pairs = first_pairs(left.points(node), right.points(node), block.rows, block.columns)
        if not distance:
            return pairs.covariance[:, :, None, None], None
        result = torch.sin(pairs.angle / 2).square_().mul_(pairs.left * pairs.right).mul_(2)
        result.add_((pairs.left - pairs.right).square_(), alpha=0.5)
        return result[:, :, None, None], None
    result = block.setting.room.take((r, s, positions, positions if full else 1), left.variance(node))
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


def dual(one: Nonlinear, two: Nonlinear, full: bool, distance: bool, block: Block, state: State) -> State:
    """Functions of two Gaussian fields, from the half squared distances of the fields."""
    covariance, tangent = state
    expectations = block.setting.dual(one, two)
    left, right = block.sides(one, two, full)
    for place in _tiles(covariance.shape, covariance.device):
        expectations.pairs(
            covariance[place],
            None if tangent is None else tangent[place],
            left.part(place),
            right.part(place),
            as_distance=distance,
        )
    if one.source is two.source and isinstance(one.source, Norm) and one.source.trains[0]:
        # The scale γ of the norm n adds E[φ'(n)n φ'(n')n'] at equal positions, which is E[φ(n)φ(n')] for
        # piecewise linear functions, the only ones that are allowed behind it.
        product = covariance
        if distance:
            a, b = block.variances(one, two, full)
            product = torch.sub((a + b) / 2, covariance)
        tangent = _at_equal_positions(tangent, product, 1.0, 0.0)
    return covariance, tangent


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
    """Tiles of at most TILE or DEVICE_TILE pairs, along the first three axes."""
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


def linear(node: Linear, full: bool, distance: bool, block: Block, state: State) -> State:
    """A linear layer or convolution, of covariances or half squared distances."""
    halves = [variance / 2 for variance in block.variances(node, node, full)] if distance else []
    if full and node.windows is not None:
        return _convolved_pairs(node, block, state, halves)

    def mean(part: Tensor) -> Tensor:
        if node.windows is None:
            return part.mean(dim=2, keepdim=True).mul_(node.sigma_w**2)
        fields = part.reshape(*part.shape[:2], *node.source.space)
        return shifted_sum(fields, node.windows, 2).mul_(_factor(node)).flatten(2)[..., None]

    covariance, tangent = both(mean, state)
    return covariance, _with_parameters(node, covariance, tangent, halves)


def _with_parameters(
    node: Linear, covariance: Tensor, tangent: Tensor | None, halves: Sequence[Tensor]
) -> Tensor | None:
    """Adds σ_b² to a covariance in place, and the part of W and b to the tangent kernel, which it returns.

    Args:
        halves: half the variances of both sides if the covariance is held as half a squared distance.
    """
    if not halves:
        covariance.add_(node.sigma_b**2)
    weights, biases = node.trains
    if not (weights or biases):
        return tangent
    if tangent is None:
        tangent = torch.zeros_like(covariance)
    for half in halves if weights else ():
        tangent.add_(half)
    tangent.add_(covariance, alpha=-float(weights) if halves else float(weights))
    constant = (float(biases) - float(weights)) * node.sigma_b**2
    return tangent.add_(constant) if constant else tangent


def _factor(node: Linear) -> float:
    """σ_w²/k²."""
    return node.sigma_w**2 / math.prod(window.kernel for window in node.windows or ())


def _convolved_pairs(node: Linear, block: Block, state: State, halves: Sequence[Tensor]) -> State:
    """A convolution of all pairs of positions, some rows at a time."""
    assert node.windows is not None
    room, source = block.setting.room, node.source
    r, s = block.shape
    edges = None
    if halves:
        left, right = (variance / 2 for variance in block.variances(source, source, True))
        edges = left.reshape(r, 1, *source.space), right.reshape(right.shape[0], s, *source.space)
    sums, tangent_sums = DiagonalSums(node.windows, edges), DiagonalSums(node.windows)
    before, before_tangent = both(lambda part: part.view(r, s, *source.space, *source.space), state)
    shape = (r, s, *node.space, *node.space)
    covariance = room.take(shape, before)
    tangent = room.take(shape, before) if before_tangent is not None or any(node.trains) else None
    ones = [1] * len(node.space)
    if halves:
        left, right = halves
        halves = left.reshape(r, 1, *node.space, *ones), right.reshape(right.shape[0], s, *ones, *node.space)
    step = _rows(covariance)
    for first in range(0, node.space[0], step):
        outputs = range(first, min(first + step, node.space[0]))
        some = slice(outputs.start, outputs.stop)
        value = sums.rows(before, outputs, covariance[:, :, some]).mul_(_factor(node))
        part = None if tangent is None else tangent[:, :, some]
        if part is not None and before_tangent is None:
            part.zero_()
        elif part is not None and before_tangent is not None:
            tangent_sums.rows(before_tangent, outputs, part).mul_(_factor(node))
        _with_parameters(node, value, part, [halves[0][:, :, some], halves[1]] if halves else ())
    room.give(*state)
    return both(lambda part: part.view(r, s, node.positions, node.positions), (covariance, tangent))


def _rows(covariance: Tensor) -> int:
    """The number of first coordinates to work on at a time."""
    if covariance.device.type != "cpu":
        return covariance.shape[2]
    numbers = covariance[:, :, 0].numel()
    return max(1, min(covariance.shape[2], 2 * TILE // numbers))


def half_distances(one: Node, two: Node, full: bool, block: Block, state: State) -> State:
    """Half squared distances, from covariances."""
    covariance, tangent = state
    left, right = block.variances(one, two, full)
    mean = (left + right).div_(2)
    distance = torch.sub(mean, covariance, out=covariance)
    return distance.masked_fill_(distance <= SNAP * mean, 0.0), tangent


def weighted_sum(factors: Sequence[float], block: Block, *states: State) -> State:
    """A weighted sum of states."""
    total, tangent = both(lambda part: part.mul_(factors[0]), states[0])
    for factor, (covariance, other) in zip(factors[1:], states[1:], strict=True):
        total.add_(covariance, alpha=factor)
        if tangent is None:
            tangent = None if other is None else other.mul_(factor)
        elif other is not None:
            tangent.add_(other, alpha=factor)
    return total, tangent


def slope(node: Nonlinear, full: bool, left: bool, block: Block, state: State) -> State:
    """A function of a Gaussian field, and another Gaussian field: both parts times E[φ'(z)]."""
    factor = block.place(node.function.slope(block.moments(left).variance(node.source)), left, full)
    return both(lambda part: part.mul_(factor), state)


def product_of_means(one: Nonlinear, two: Nonlinear, full: bool, block: Block) -> State:
    """Functions of independent fields: the product of their means."""
    left, right = block.setting.left.mean(one), block.setting.right.mean(two)
    assert left is not None
    assert right is not None
    return (block.place(left, True, full) * block.place(right, False, full)).contiguous(), None


def pool(node: Pool, left: bool, block: Block, state: State) -> State:
    """Averages over the positions of one side."""

    def pooled(part: Tensor) -> Tensor:
        if node.positions == 1 and all(bool((weight == weight[0, 0]).all()) for weight in node.weights):
            return part.mean(dim=2 if left else 3, keepdim=True)
        r, s, p, q = part.shape
        weights = [weight.to(part.device) for weight in node.weights]
        if left:
            return averaged(part.view(r, s, *node.source.space, q), weights, 2).reshape(r, s, -1, q)
        return averaged(part.view(r, s, p, *node.source.space), weights, 3).reshape(r, s, p, -1)

    result = both(pooled, state)
    block.setting.room.give(*state)
    return result


def equal_positions(block: Block, state: State) -> State:
    """Equal positions of all pairs."""
    return both(lambda part: part.diagonal(dim1=2, dim2=3).unsqueeze(-1).contiguous(), state)


def gaussian_norm(
    node: Norm, full: bool, distance: bool, trains: tuple[bool, bool], block: Block, state: State
) -> State:
    """A norm of a Gaussian field, from half squared distances."""
    value, tangent = state
    source = node.source
    a, b = (variance.sqrt() for variance in block.variances(source, source, full))
    s, t = (
        block.place(block.moments(left).center(node)[1].expand(-1, source.positions), left, full)
        for left in (True, False)
    )
    value.sub_((a - b).square_(), alpha=0.5).clamp_(min=0).div_(s).div_(t)  # √(ab) − c, over ss'
    if tangent is not None:
        tangent.div_(s).div_(t)
    a, b = a / s, b / t
    result = value.add((a - b).square_(), alpha=0.5) if distance else torch.sub(a * b, value)
    if any(trains):
        covariance = torch.sub(a * b, value) if distance else result
        tangent = _at_equal_positions(tangent, covariance, *map(float, trains))
    return result, tangent


def norm(node: Norm, other: Node, full: bool, left: bool, block: Block, state: State | None = None) -> State:
    """(K − m μ')/s: the norm's mean and deviation from one side, the other node's mean from the other."""
    center, deviation = (
        block.place(value.expand(-1, node.positions), left, full)
        for value in block.moments(left).center(node)
    )
    mean = block.moments(not left).mean(other)
    covariance, tangent = (None, None) if state is None else state
    if mean is not None:
        product = center * block.place(mean, not left, full)
        covariance = -product if covariance is None else covariance.sub_(product)
    assert covariance is not None
    return covariance.div_(deviation), None if tangent is None else tangent.div_(deviation)


def norm_parameters(node: Norm, block: Block, state: State) -> State:
    """Adds the part of a norm's scale and shift to the tangent kernel."""
    covariance, tangent = state
    if any(node.trains):
        tangent = _at_equal_positions(tangent, covariance, *map(float, node.trains))
    return covariance, tangent
