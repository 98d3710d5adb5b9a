"""One run on several processes: the rows of every energy are shared out, all else is done by all.

All processes hold the same seed, so draws, batches and chains are the same everywhere. Inside
`together()` a network's forward pass takes this process's share of the rows and gathers the
energies of all; the gradients come back the same way:

    rows    forward: this process's rows       backward: gather
    gather  forward: everybody's rows          backward: rows
    copies  forward: the weights as they are   backward: sum over processes

Each is made of the others, so energies may be differentiated twice. A weight's gradient is summed
only where it came through shared rows: whatever else a loss holds is the same everywhere already.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.func import functional_call

_all_gather = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor
"""under its name before torch 2.13 or since"""
_sharing = False


def is_sharing() -> bool:
    """True inside `together()`, and not inside a shared forward pass."""
    return _sharing


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Share out the rows of network energies among the processes of the default group.

    Everybody must do the same inside, in the same order.
    """
    with _set(dist.is_initialized() and dist.get_world_size() > 1):
        yield


@contextlib.contextmanager
def _set(sharing: bool) -> Iterator[None]:
    global _sharing
    before, _sharing = _sharing, sharing
    try:
        yield
    finally:
        _sharing = before


def shared(module: nn.Module, x: Tensor, condition: Any) -> Tensor:
    """`module(x, condition)` (batch, ...), this process computing its share of the rows alone.

    The last row is repeated until all shares are equal; what comes of that is left out.
    """
    num = len(x)
    weights: dict[str, Tensor] = {
        name: value for name, value in module.named_parameters() if value.requires_grad
    }
    if torch.is_grad_enabled() and weights:
        copied = Copies.apply(*weights.values())
        weights = dict(zip(weights, copied, strict=True))
    part = _part(condition, num)
    with _set(False):
        energies = functional_call(module, weights, (Rows.apply(_padded(x)), part))
    gathered: Tensor = Gather.apply(energies)
    return gathered[:num]


def _padded(rows: Tensor) -> Tensor:
    missing = -len(rows) % dist.get_world_size()
    if not missing:
        return rows
    return torch.cat([rows, rows[-1:].expand(missing, *rows.shape[1:])])


def _part(condition: Any, num: int) -> Any:
    """This process's rows of a condition, whose parts are one value for all or one a row."""
    if isinstance(condition, tuple):
        return type(condition)(*(_part(value, num) for value in condition))
    if isinstance(condition, Tensor) and condition.dim() and len(condition) == num:
        return _mine(_padded(condition))
    return condition


def _mine(rows: Tensor) -> Tensor:
    size = len(rows) // dist.get_world_size()
    return rows[dist.get_rank() * size : (dist.get_rank() + 1) * size]


class Rows(torch.autograd.Function):
    """(batch, ...) to this process's equal share (batch / processes, ...)."""

    @staticmethod
    def forward(_: Any, rows: Tensor) -> Tensor:
        return _mine(rows).clone()

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        return Gather.apply(gradient)


class Gather(torch.autograd.Function):
    """Everybody's equal shares, in the order of the processes."""

    @staticmethod
    def forward(_: Any, share: Tensor) -> Tensor:
        share = share.contiguous()
        whole = share.new_empty((len(share) * dist.get_world_size(), *share.shape[1:]))
        _all_gather(whole, share)
        return whole

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        return Rows.apply(gradient)


class Copies(torch.autograd.Function):
    """The same tensors; their gradients are summed over processes, all in one message."""

    @staticmethod
    def forward(_: Any, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(tensor.view_as(tensor) for tensor in tensors)

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        return Sums.apply(*gradients)


class Sums(torch.autograd.Function):
    """The sums of tensors over processes, the same everywhere."""

    @staticmethod
    def forward(_: Any, *tensors: Tensor) -> tuple[Tensor, ...]:
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat)
        parts = flat.split([tensor.numel() for tensor in tensors])
        return tuple(
            part.view(tensor.shape).clone() for part, tensor in zip(parts, tensors, strict=True)
        )

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        return Copies.apply(*gradients)
