"""Running a compiled piece on some of the chains at a time, so that its layers stay in the cache.

What a layer of 128 units makes of 10,000 chains is 5 MB, and goes to memory and back between any
two operations; of 1,000 chains it stays near the core.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

F = TypeVar("F", bound=Callable[..., Any])

BLOCK_BYTES = 2**19
"""Of the widest layer in one block: half of a core's cache on most processors."""
LEAST_ROWS = 256
"""In a block: with fewer the weights are read too often."""
MULTIPLE = 16
_PRODUCTS = ("aten.mm.default", "aten.addmm.default", "basin.linear.default")
"""By name, since the last is there only once networks are."""

_BY_ROWS: dict[Callable[..., Any], int] = {}


def by_rows(num: int) -> Callable[[F], F]:
    """Declare that a function of (energy, *given) works on each row by itself.

    The first `num` of what it is given have a row a chain, and so have all tensors it returns; what
    else it is given holds for all rows alike.
    """

    def declared(function: F) -> F:
        _BY_ROWS[function] = num
        return function

    return declared


def block_size(
    function: Callable[..., Any], graph: torch.fx.GraphModule, given: Sequence[Any]
) -> int:
    """Rows of a block for this function, written down as `graph`; 0 where all go at once.

    That is where layers are small enough, and off the CPU.
    """
    if function not in _BY_ROWS or given[0].device.type != "cpu":
        return 0
    num = len(given[0])
    num_blocks = min(_widest(graph, num) // BLOCK_BYTES, num // LEAST_ROWS)
    if num_blocks < 2:
        return 0
    size = -(-num // num_blocks)
    return -(-size // MULTIPLE) * MULTIPLE


def _widest(graph: torch.fx.GraphModule, num: int) -> int:
    """Bytes of the largest product of matrices that has `num` rows."""
    values = [node.meta["val"] for node in graph.graph.nodes if str(node.target) in _PRODUCTS]
    return max((v.numel() * v.element_size() for v in values if len(v) == num), default=0)


def cut(function: Callable[..., Any], given: Sequence[Any], start: int, size: int) -> list[Any]:
    """Arguments of the function, of `size` rows alone."""
    num = _BY_ROWS[function]
    return [value[start : start + size] for value in given[:num]] + list(given[num:])


def in_blocks(
    run: Callable[[Sequence[Any]], Sequence[Tensor]],
    function: Callable[..., Any],
    given: Sequence[Any],
    size: int,
) -> list[Tensor]:
    """Tensors that `run` makes of blocks of `size` rows, put together.

    The last block is as long as the others: it begins among rows that are done already.
    """
    num = len(given[0])
    parts = []
    for start in range(0, num, size):
        begin = min(start, num - size)
        results = run(cut(function, given, begin, size))
        parts.append([result[start - begin :] for result in results])
    return [torch.cat(column) for column in zip(*parts, strict=True)]
