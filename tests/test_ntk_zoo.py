"""The kernel of modules that were not written for it: right, or refused with the reason."""

import copy
import functools
import re
from collections import Counter
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from nnlab.ntk import KernelError, MemoryLimitError, empirical_ntk
from nnlab.ntk.empirical.factors import Output
from tests.kernel_zoo import KINDS, ZOO, gradients, looped, trained

RIGHT = [name for name, member in ZOO.items() if member.expected == "right"]
SMOOTH = [name for name, member in ZOO.items() if member.expected != "refused" and member.smooth]
MIXED = [name for name, member in ZOO.items() if member.kind == "mixed" and member.expected == "refused"]
RANDOM = [name for name, member in ZOO.items() if member.kind == "random" and member.expected == "refused"]
# One of each kind, for the modes that a caller may be in.
SOME = [
    "SequenceFirst, as many steps as examples", "DeepONet, five points and a head", "hook clamps",
    "weight norm", "tokens", "LSTM", "nn.MultiheadAttention", "nn.TransformerEncoder", "BatchNorm2d",
    "Conv2d", "autoencoder", "top expert by index", "CountsCalls", "slices set", "checkpointed",
    "ForceOfAnEnergy", "GPT",
]  # fmt: skip


def examples(name: str) -> tuple[Tensor, Tensor]:
    member = ZOO[name]
    return member.inputs(member.sizes[0], 1), member.inputs(member.sizes[1], 2)


@functools.cache
def truth(name: str) -> tuple[Tensor, Tensor]:
    """The full kernels of x1 with itself and with x2, one example and one score at a time."""
    model, (x1, x2) = ZOO[name].build(), examples(name)
    return looped(model, x1, x1), looped(model, x1, x2)


def reduced(full: Tensor, output: str) -> Tensor:
    if output == "full":
        return full
    diagonal = full.diagonal(dim1=2, dim2=3)
    return diagonal if output == "diagonal" else diagonal.sum(-1)


def outcome(compute: Callable[[], Tensor]) -> Tensor | KernelError:
    try:
        return compute()
    except KernelError as error:
        return error


def check(name: str, found: Tensor | KernelError, reference: Callable[[], Tensor]) -> None:
    """The kernel is what the looped one is, or an error says why there is none, as the member asks."""
    member = ZOO[name]
    if isinstance(found, KernelError):
        assert member.expected != "right", found
        assert re.search(member.message, str(found)), found
        return
    assert member.expected != "refused", "a kernel of what has none"
    expected = reference()
    assert found.shape == expected.shape
    assert not found.requires_grad
    assert (found - expected).norm() <= member.tolerance * expected.norm()


# --- the kernel -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("output", ["full", "trace", "diagonal"])
@pytest.mark.parametrize("name", ZOO)
def test_the_kernel_is_right_or_refused(name: str, output: Output) -> None:
    model, (x, _) = ZOO[name].build(), examples(name)
    found = outcome(lambda: empirical_ntk(model, x, output=output))
    check(name, found, lambda: reduced(truth(name)[0], output))


@pytest.mark.slow
@pytest.mark.parametrize("name", ZOO)
def test_the_kernel_of_two_sets_is_right_or_refused(name: str) -> None:
    model, (x1, x2) = ZOO[name].build(), examples(name)
    check(name, outcome(lambda: empirical_ntk(model, x1, x2)), lambda: truth(name)[1])


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, member in ZOO.items() if member.kind != "networks"])
def test_many_examples_in_blocks_are_right_or_refused(name: str) -> None:
    """In little memory, so that few are seen at a time; 128 KiB hold the smallest block of every member."""
    x = ZOO[name].inputs(33, 1)
    found = outcome(lambda: empirical_ntk(ZOO[name].build(), x, output="trace", memory_limit=2**17))
    assert not isinstance(found, MemoryLimitError)
    check(name, found, lambda: reduced(looped(ZOO[name].build(), x, x), "trace"))


@pytest.mark.parametrize("name", SOME)
def test_callers_may_have_turned_gradients_off(name: str) -> None:
    model, (x, _) = ZOO[name].build(), examples(name)
    with torch.no_grad():
        found = outcome(lambda: empirical_ntk(model, x))
    check(name, found, lambda: truth(name)[0])


@pytest.mark.parametrize("name", SOME)
def test_inference_mode_is_left_or_refused(name: str) -> None:
    model, (x, _) = ZOO[name].build(), examples(name)
    with torch.inference_mode():
        found = outcome(lambda: empirical_ntk(model, x))
    if isinstance(found, KernelError):
        assert "inference" in str(found)
    else:
        check(name, found.clone(), lambda: truth(name)[0])


@pytest.mark.parametrize("name", SOME)
def test_examples_made_in_inference_mode_are_right_or_refused(name: str) -> None:
    model = ZOO[name].build()
    with torch.inference_mode():
        x, _ = examples(name)
    found = outcome(lambda: empirical_ntk(model, x))
    if isinstance(found, KernelError):
        assert "inference" in str(found)
    else:
        check(name, found, lambda: truth(name)[0])


# --- what is left behind ----------------------------------------------------------------------------


def state(model: nn.Module, but: frozenset[str]) -> dict[str, object]:
    """What a user would miss if it changed: everything but values of tensors."""
    return {
        f"{name}: {what}": value
        for name, module in model.named_modules(remove_duplicate=False)
        for what, value in {
            "training": module.training,
            "attributes": set(vars(module)) - but,
            "class": type(module),
            "parameters": [(key, id(p), None if p is None else p.requires_grad) for key, p in
                           module._parameters.items()],
            "buffers": list(module._buffers),
            "modules": [(key, id(child)) for key, child in module._modules.items()],
            "hooks": [
                len(hooks) for hooks in (
                    module._forward_hooks, module._forward_pre_hooks, module._backward_hooks,
                    module._backward_pre_hooks, module._state_dict_hooks,
                )
            ],
        }.items()
    }  # fmt: skip


def tensors(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers, those that are not saved, too."""
    named = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {name: value for name, value in named.items() if not nn.parameter.is_lazy(value)}


@pytest.mark.slow
@pytest.mark.parametrize("name", ZOO)
def test_model_and_examples_are_left_as_they_were(name: str) -> None:
    """Also where there is no kernel."""
    member = ZOO[name]
    model, (x, _) = member.build(), examples(name)
    for parameter in tensors(model).values():
        if parameter.requires_grad:
            parameter.grad = torch.ones_like(parameter)
    before, values, given = state(model, member.writes), copy.deepcopy(tensors(model)), x.clone()
    outcome(lambda: empirical_ntk(model, x))
    assert state(model, member.writes) == before
    after = tensors(model)
    assert list(after) == list(values) or member.kind == "stateful"
    for key, value in values.items():
        assert after[key].dtype == value.dtype, key
        assert torch.equal(after[key], value), key
        gradient = after[key].grad
        assert (gradient is None) == (not value.requires_grad), key
        assert gradient is None or (gradient == 1).all(), key
    assert torch.equal(x, given)


@pytest.mark.slow
@pytest.mark.parametrize("name", RIGHT)
def test_the_model_works_as_before(name: str) -> None:
    """What a forward pass has left in attributes does not stand in the way of the next one."""
    model, (x, _) = ZOO[name].build(), examples(name)
    with torch.no_grad():
        expected = ZOO[name].build()(x.clone())
    empirical_ntk(model, x)
    with torch.no_grad():
        found = model(x.clone())
    assert (found - expected).norm() <= 1e-12 * expected.norm()
    copy.deepcopy(model.state_dict())


# --- the zoo itself ---------------------------------------------------------------------------------


def test_the_zoo_is_large_and_of_every_kind() -> None:
    counts = Counter(member.kind for member in ZOO.values())
    assert set(counts) == set(KINDS)
    assert min(counts.values()) >= 8
    assert len(ZOO) >= 300
    assert len(RIGHT) >= 200


@pytest.mark.parametrize("name", [name for name, member in ZOO.items() if member.expected != "refused"])
def test_members_have_three_finite_scores(name: str) -> None:
    member = ZOO[name]
    model, (x, _) = member.build(), examples(name)
    scores = model(x.clone())
    assert scores.dtype == torch.float64
    assert scores.reshape(len(x), -1).shape == (len(x), 3)
    assert scores.isfinite().all()
    assert truth(name)[0].isfinite().all()
    if name != "Flat":
        assert truth(name)[0].norm() > 1e-3
        assert 1e-2 < scores.abs().max() < 1e3


@pytest.mark.parametrize("name", RIGHT)
def test_scores_do_not_depend_on_company(name: str) -> None:
    """In evaluation, whatever goes along: each example alone, all together, and the same again."""
    model, (x, _) = ZOO[name].build(), examples(name)
    with torch.no_grad():
        together, again = model(x.clone()), model(x.clone())
        alone = torch.cat([model(example[None].clone()) for example in x])
    assert (together - alone).norm() <= 1e-10 * alone.norm()
    assert torch.equal(together, again)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMOOTH)
def test_looped_gradients_agree_with_finite_differences(name: str) -> None:
    """Along the gradients and a random direction beside them, in one example; a central difference.

    The gradients are unit vectors of the direction, since a random one alone is almost orthogonal to them
    where there are many parameters. Steps of 1e-7, short enough to meet no kink, leave 1e-9 of rounding for
    scores of order 1; deep networks amplify that, and their gradients with it, hence the 1e-7 of their norm.
    """
    model, (x, _) = ZOO[name].build(), examples(name)
    x, parameters = x[:1], trained(model)
    rows = gradients(model, x)[0]
    aside = torch.randn(rows.shape[1], generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    direction = torch.nn.functional.normalize(rows, dim=1).sum(0) + aside / aside.norm()
    step = 1e-7

    def moved(along: float) -> Tensor:
        position = 0
        with torch.no_grad():
            for parameter in parameters:
                count = parameter.numel() * (2 if parameter.is_complex() else 1)
                part = direction[position : position + count]
                position += count
                if parameter.is_complex():
                    parameter.add_(torch.view_as_complex(part.view(*parameter.shape, 2)), alpha=along)
                else:
                    parameter.add_(part.view_as(parameter), alpha=along)
        return model(x.clone()).detach().flatten()

    difference = (moved(step) - moved(-2 * step)) / (2 * step)
    derivative = rows @ direction
    assert (difference - derivative).norm() <= 1e-7 * rows.norm() + 1e-9


@pytest.mark.parametrize("name", MIXED)
def test_what_is_refused_for_mixing_does_mix(name: str) -> None:
    model, (x, _) = ZOO[name].build(), examples(name)
    together = model(x)
    if re.search("batch.norm", name):
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            model(x[:1])
    else:
        alone = torch.cat([model(example[None]) for example in x])
        assert together.shape != alone.shape or (together - alone).norm() >= 1e-6 * alone.norm()


@pytest.mark.parametrize("name", RANDOM)
def test_what_is_refused_as_random_is_random(name: str) -> None:
    model, (x, _) = ZOO[name].build(), examples(name)
    first = model(x)
    assert any(not torch.equal(first, model(x)) for _ in range(20))
