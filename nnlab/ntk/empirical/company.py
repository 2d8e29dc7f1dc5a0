"""Whether the scores of an example depend on that example alone, the same way in every call."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from nnlab.ntk.empirical.network import Network
from nnlab.ntk.empirical.passes import failed
from nnlab.ntk.errors import KernelError, ModelError

# Calls that a random model would have to answer alike by chance.
REPETITIONS = 20

RANDOM = (
    "the outputs of the model are random: they change from one call to the next; call model.eval(), and look "
    "for dropout or noise that does not ask self.training"
)

MIXES = "the model mixes examples: the scores of one change with what else is in its batch"

# What rounding may change in the scores of an example when others are computed beside it; and in single
# precision, at most.
COMPANY = {torch.float32: 1e-5, torch.float64: 1e-9}
DOUBT = 1e-3


def check_independent(network: Network, x: Tensor, raw: Tensor) -> None:
    """Raises ModelError where the scores of an example change with the company that it is in, or by chance.

    Args:
        network: the model. Of modules that are all known only the first example is tried alone.
        x: a few examples.
        raw: what the model returned for them.
    """
    with torch.no_grad():
        if network.known:
            alone = [network.scores(_alone(network, x[:1], len(x)))]
            mixes = depends_on_company(network, x, network.scores(raw), alone)
        else:
            together, again = (network.scores(_called(network, x)) for _ in range(2))
            if differ(together, again):
                raise ModelError(RANDOM)
            alone = [network.scores(_alone(network, x[i : i + 1], len(x))) for i in range(len(x))]
            mixes = depends_on_company(network, x, together, alone)
        if not mixes:
            return
        size = _largest(network.scores(raw))
        for number, scores in enumerate(alone * REPETITIONS):  # by chance all calls before were alike
            if differ(scores, network.scores(_called(network, x[number % len(alone)][None])), size):
                raise ModelError(RANDOM)
    raise ModelError(f"{MIXES}; a tangent kernel is defined between single examples")


def depends_on_company(network: Network, x: Tensor, together: Tensor, alone: Sequence[Tensor]) -> bool:
    """Whether the scores of examples together differ from those of each alone by more than rounding.

    Where single precision leaves a doubt, double precision has the word.
    """
    size = _largest(together)  # of one example's scores nothing but rounding may be left
    gap = max(difference(together[i : i + 1], scores, size) for i, scores in enumerate(alone))
    if gap <= COMPANY[network.dtype]:
        return False
    if network.dtype == torch.float64 or gap > DOUBT:
        return True
    try:
        return mixes(network.cast(torch.float64), x.double() if x.is_floating_point() else x)
    except Exception:
        return False  # a model that is bound to single precision: it is rounding, as far as can be told


def mixes(network: Network, x: Tensor) -> bool:
    """Whether the scores of these examples together are not those of each alone."""
    with torch.no_grad():
        together = network.scores(network.call({}, x))
        alone = [network.scores(network.call({}, x[i : i + 1])) for i in range(len(x))]
        return depends_on_company(network, x, together, alone)


def _called(network: Network, x: Tensor) -> Tensor:
    try:
        return network.call({}, x)
    except KernelError:
        raise
    except Exception as error:
        raise failed(x, error) from error


def _alone(network: Network, example: Tensor, others: int) -> Tensor:
    try:
        return _called(network, example)
    except ModelError as error:
        raise ModelError(
            f"the model mixes examples, or takes no single one: it works for {others} of them, but {error}"
        ) from error


def difference(one: Tensor, two: Tensor, size: float | None = None) -> float:
    """The largest, in units of a size, or else of the largest number."""
    if one.shape != two.shape:
        return math.inf
    size = _largest(one) if size is None else size
    gap = float(torch.nan_to_num(one - two).abs().max())
    return gap / size if size else gap


def _largest(scores: Tensor) -> float:
    """The largest finite number; what is not finite is found later, and told as such."""
    return float(torch.nan_to_num(scores, nan=0.0, posinf=0.0, neginf=0.0).abs().max())


def differ(one: Tensor, two: Tensor, size: float | None = None) -> bool:
    """Whether two calls with the same examples gave other scores: the order of a sum may vary, no more."""
    return difference(one, two, size) > 16 * torch.finfo(one.dtype).eps
