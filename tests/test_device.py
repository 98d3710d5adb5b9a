"""Steps as a device takes them, on a machine without one: nothing is asked of it, sent or mixed.

After some real steps on the CPU all that a method or a sampler holds is put on torch's `meta`
device, which has no numbers: whatever copies one to the host raises there, and so does an operation
on tensors of two devices. Copies from the host and operations that wait for a CUDA device of
their own accord are looked for by name.
"""

from __future__ import annotations

import contextlib
import copy
import gc
import types
from collections.abc import Iterator
from typing import Any, TypeVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from backend import catalogue, samplers
from backend.energies.closed_form import Ring
from backend.energies.lattices import Ising
from backend.energies.rbm import RBM
from backend.randomness import generator_of
from jobs.contracts.small_runs import prepared
from tests.test_contracts import PRESETS

T = TypeVar("T")
META = torch.device("meta")
MAY_WAIT = {"nuts": "waits for the device"}
"""Samplers whose docstring says that they wait, and the words."""
WAIT_BY_THEMSELVES = (
    *("bincount", "unique", "_unique2", "nonzero", "masked_select"),
    *("_linalg_check_errors", "_linalg_eigh", "_linalg_svd", "linalg_eig"),
)


class Copied(AssertionError):
    """Something went between the host and the device, or waits for it."""


class _Operations(TorchDispatchMode):
    """Raises Copied for operations that go from one device to the other, or wait on CUDA."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = func.name().partition("::")[2].partition(".")[0]
        result = func(*args, **kwargs)
        if name in ("_to_copy", "copy_"):
            source = args[1] if name == "copy_" else args[0]
            if source.device != result.device:
                raise Copied(f"{name} from {source.device} to {result.device}")
        if name in WAIT_BY_THEMSELVES:
            raise Copied(f"{name} waits for a CUDA device")
        if name == "multinomial":
            replacement = kwargs.get("replacement", len(args) > 2 and args[2])
            if not replacement or args[1] == 1:
                raise Copied("multinomial waits for a CUDA device unless it draws with replacement")
        return result


class _Functions(TorchFunctionMode):
    """Raises Copied for tensors made of the host's numbers; does what meta tensors cannot."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is Tensor.exponential_ and args[0].is_meta:
            return args[0]
        if func in (torch.tensor, torch.as_tensor) and str(kwargs.get("device")) == "meta":
            raise Copied(f"{func.__name__} copies {args[0]} to the device")
        return func(*args, **kwargs)


@contextlib.contextmanager
def on_a_device(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Inside, tensors on `meta` stand for those on an NVIDIA device."""
    with monkeypatch.context() as patch, _Operations(), _Functions():
        patch.setattr(clip_grad, "_has_foreach_support", lambda tensors, device: True)
        patch.setattr(clip_grad, "_device_has_foreach_support", lambda device: True)
        patch.setattr(torch, "autocast", lambda *given, **how: contextlib.nullcontext())
        yield


def moved(root: T) -> T:
    """A copy of an object with every tensor that it reaches on `meta`, each once."""
    memo: dict[int, Any] = {}
    held: list[Any] = []
    """lest an identity is used twice"""
    seen: set[int] = set()
    waiting: list[Any] = [root]
    while waiting:
        value = waiting.pop()
        if id(value) in seen or isinstance(value, type | types.ModuleType | types.FunctionType):
            continue
        seen.add(id(value))
        held.append(value)
        if isinstance(value, Tensor):
            bare = torch.empty_strided(
                value.shape, value.stride(), dtype=value.dtype, device=META
            ).requires_grad_(value.requires_grad)
            is_weight = isinstance(value, nn.Parameter)
            memo[id(value)] = nn.Parameter(bare, value.requires_grad) if is_weight else bare
        elif isinstance(value, torch.device):
            memo[id(value)] = META
        elif isinstance(value, torch.Generator | types.MappingProxyType):
            memo[id(value)] = value
        else:
            waiting += gc.get_referents(value)
    return copy.deepcopy(root, memo)


@pytest.mark.parametrize(("method", "preset"), PRESETS)
def test_a_step_neither_waits_for_the_device_nor_mixes_it_with_the_host(
    method: str, preset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Early in the budget and late, since some train in stages."""
    run = prepared(method, preset).method
    for earlier, progress in (((0.0, 0.1), 0.2), ((0.9,), 0.95)):
        for each in earlier:
            run.advance(each)
        there = moved(run)
        with on_a_device(monkeypatch):
            metrics = there.step(progress)
        assert {path for path, value in metrics.items() if value.device != META} == set()


@pytest.mark.parametrize("kind", sorted(catalogue.samplers()))
def test_a_sampler_neither_waits_for_the_device_nor_mixes_it_with_the_host(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cls, generator = catalogue.samplers()[kind], generator_of("device")
    rbm = RBM(torch.randn(16, 8, generator=generator), torch.zeros(16), torch.zeros(8))
    targets = ((Ring(), (2,)), (Ising(4, 4, 0.3), (4, 4)), (rbm, (16,)))
    energy, shape = next(pair for pair in targets if not cls.fits(pair[0]))
    start = torch.rand((8, *shape), generator=generator)
    sampler = samplers.build(cls.Config.model_validate({"kind": kind}))
    state = sampler.init(start.round() if cls.discrete else start, energy, generator)
    for index in range(2):
        state, info = sampler.step(state, energy, generator)
        state = sampler.tune(state, info, index, 4)
    sampler, state, energy = moved((sampler, state, energy))
    if kind in MAY_WAIT:
        assert MAY_WAIT[kind] in (cls.__doc__ or "")
        return
    with on_a_device(monkeypatch):
        state, info = sampler.step(state, energy, generator)
        state = sampler.tune(state, info, 2, 4)
    assert state.position.device == info.proposal.device == META


@pytest.mark.parametrize(
    "act",
    [
        lambda x: float(x.sum()),
        lambda x: bool((x > 0).any()),
        lambda x: x[x > 0],
        lambda x: x.cpu(),
        lambda x: x + torch.zeros(3),
        lambda x: torch.tensor([1.0], device=x.device),
        lambda x: torch.zeros(3).to(x.device),
        lambda x: torch.bincount(x.long(), minlength=2),
        lambda x: torch.multinomial(x, 1),
        lambda x: torch.linalg.cholesky(x[:, None] * x),
        lambda x: x.nonzero(),
        lambda x: x.tolist(),
    ],
)
def test_what_waits_copies_or_mixes_is_seen(act: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.empty(3, device=META)
    with (
        on_a_device(monkeypatch),
        pytest.raises((Copied, RuntimeError, NotImplementedError)),
    ):
        act(x)
