"""Functions of an energy as graphs of plain operations, gradients taken inside them included."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from backend.energy import Energy

THIN = 4
"""Matrix products of no more terms than this are written out."""


Slot = tuple[Mapping[str, Any], str]
"""where a module keeps one of its tensors, so that an exchanged one is seen"""


class Traced(NamedTuple):
    """A function as a graph of plain operations."""

    graph: torch.fx.GraphModule
    inputs: Sequence[Tensor]
    """fakes: the energy's own tensors, then the given ones"""
    slots: list[Slot]
    rebuild: Callable[[Sequence[Tensor]], Any]
    """what the function would have returned, of the tensors that the graph gave"""
    dtype: torch.dtype
    """of numbers"""
    device: torch.device


class _Call(nn.Module):
    """A function of an energy as a module, so that the energy's tensors can be exchanged."""

    def __init__(self, function: Callable[..., Any], energy: Energy) -> None:
        super().__init__()
        self.function, self.energy = function, energy

    def forward(self, *given: Any) -> Any:
        return self.function(self.energy, *given)


def trace(function: Callable[..., Any], energy: Energy, given: Sequence[Any]) -> Traced:
    """The operations of `function(energy, *given)`, gradients included, with numbers as inputs.

    Raises whatever the function raises when it looks at a value, and ValueError for an energy that
    draws random numbers, writes into its own tensors or hides trained ones.
    """
    from torch._inductor.decomposition import select_decomp_table
    from torch._subclasses import FakeTensorMode
    from torch.fx.experimental.proxy_tensor import make_fx

    named = {**dict(energy.named_parameters()), **dict(energy.named_buffers())}
    first = next(v for v in given if isinstance(v, Tensor) and v.is_floating_point())
    numbers = first.dtype
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    tensors = [*named.values(), *tensors_of(given, numbers, first.device)]
    fakes = [mode.from_tensor(tensor.detach(), static_shapes=True) for tensor in tensors]
    call = _Call(function, energy)
    call.training = energy.training  # set alone: `train()` would reach into the energy
    returned: list[Any] = []

    def flat(*inputs: Tensor) -> list[Tensor]:
        own = {f"energy.{name}": value for name, value in zip(named, inputs, strict=False)}
        rest = iter(inputs[len(named) :])
        values = [next(rest) if isinstance(v, Tensor | float) else v for v in given]
        output = torch.func.functional_call(call, own, tuple(values))
        returned.append(output)
        return list(leaves(output))

    with torch.no_grad(), mode:
        graph = make_fx(flat, _allow_non_fake_inputs=True)(*fakes)
        # twice, since no gradient can be taken while writes in place are being removed
        pure = torch.func.functionalize(graph, remove="mutations")
        rules = {**select_decomp_table(), **_thin_products()}
        graph = make_fx(pure, rules, _allow_non_fake_inputs=True)(*fakes)
    _refuse_impure(graph)
    slots = [_slot(energy, name) for name in named]
    rebuild = _rebuilding(returned[0], itertools.count())
    return Traced(graph, fakes, slots, rebuild, numbers, first.device)


def _slot(energy: Energy, name: str) -> Slot:
    path, _, last = name.rpartition(".")
    owner = energy.get_submodule(path)
    return (owner._parameters if last in owner._parameters else owner._buffers), last


def _refuse_impure(graph: torch.fx.GraphModule) -> None:
    """Raises ValueError for what a compiled piece would do differently from the function."""
    for node in graph.graph.nodes:
        if node.op == "get_attr" and getattr(graph, node.target).requires_grad:
            raise ValueError("the energy trains a tensor that it has not registered.")
        if node.op != "call_function" or not isinstance(node.target, torch._ops.OpOverload):
            continue
        if torch.Tag.nondeterministic_seeded in node.target.tags:
            raise ValueError(f"random numbers are drawn inside ({node.target}).")
        if node.target._schema.is_mutable:
            raise ValueError("the energy writes into its own tensors (in training mode?).")


def _thin_products() -> dict[Any, Callable[..., Any]]:
    """Matrix products over a few terms, as of a network's first layer on points, written out.

    So they melt into the operations beside them. (Those with a few columns are slower so.)
    """
    aten = torch.ops.aten

    def product(a: Tensor, b: Tensor) -> Any:
        if a.shape[1] <= THIN:
            terms = [a[:, k, None] * b[None, k] for k in range(a.shape[1])]
            return sum(terms[1:], terms[0])
        return NotImplemented

    def with_bias(bias: Tensor, a: Tensor, b: Tensor, beta: float = 1, alpha: float = 1) -> Any:
        result = product(a, b) if beta == alpha == 1 else NotImplemented
        return result if result is NotImplemented else bias + result

    return {aten.mm.default: product, aten.addmm.default: with_bias}


def leaves(output: Any) -> Iterator[Tensor]:
    """The tensors of nested tuples and dicts, in order."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, tuple | dict):
        for part in output.values() if isinstance(output, dict) else output:
            yield from leaves(part)
    elif isinstance(output, Mapping | list) and output:
        raise TypeError(f"returns a {type(output).__name__}: only tuples and dicts are compiled.")


def _rebuilding(output: Any, places: Iterator[int]) -> Callable[[Sequence[Tensor]], Any]:
    """Makes what `output` is like from its tensors; all else in it stays as it was."""
    if isinstance(output, Tensor):
        return itemgetter(next(places))
    if isinstance(output, dict):
        named = {name: _rebuilding(part, places) for name, part in output.items()}
        return lambda tensors: {name: make(tensors) for name, make in named.items()}
    if isinstance(output, tuple):
        parts = [_rebuilding(part, places) for part in output]
        kind = getattr(type(output), "_make", tuple)
        return lambda tensors: kind([make(tensors) for make in parts])
    return lambda tensors: output


def tensors_of(given: Sequence[Any], dtype: torch.dtype, device: torch.device) -> list[Tensor]:
    """The tensors among `given`, contiguous, and its floats as 0-d ones; whole numbers stay."""
    return [
        value.contiguous() if isinstance(value, Tensor) else _number(value, dtype, device)
        for value in given
        if isinstance(value, Tensor | float)
    ]


@lru_cache(256)
def _number(value: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.full((), value, dtype=dtype, device=device)
