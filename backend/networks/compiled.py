"""Running a network's forward and backward pass as compiled pieces, eager where that fails."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from backend.compilation.compiler import Status
from backend.gradient_use import purpose

MOST_KEPT = 64
"""Compiled variants: of each module, its modes, the batch sizes, what is differentiated."""

_LOG = logging.getLogger(__name__)


class Compiled:
    """Calls one module by `torch.compile`; numbers as eager to rounding.

    The first call of each kind waits for the compiler (minutes for a large network). Eager are what
    is differentiated twice, what a sampler is having compiled as a whole, and everything once
    compiling has failed, which `status` says, and the log. A copy starts anew.
    """

    def __init__(self) -> None:
        self.status = Status("eager")
        self._function: Callable[..., Tensor] | None = None

    def __reduce__(self) -> tuple[type[Compiled], tuple[()]]:
        # compiled pieces hold the module they were made for: a copy must not run on its weights
        return (Compiled, ())

    def __call__(self, module: nn.Module, *given: Any) -> Tensor:
        """`module(*given)`."""
        if self.status.phase == "failed" or purpose() == "twice" or _traced():
            return _tensor(module(*given))
        began = time.perf_counter()
        try:
            with _settings(), _wanted(module):
                value = self._compiled(module)(*given)
        except Exception as error:
            self._fail(error)
            return _tensor(module(*given))
        if self.status.phase == "eager":
            self.status = Status("compiled", time.perf_counter() - began)
        return value

    def _compiled(self, module: nn.Module) -> Callable[..., Tensor]:
        if self._function is None:
            self._function = torch.compile(module.forward)
        return self._function

    def _fail(self, error: Exception) -> None:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
        self.status = Status("failed", 0.0, reason)
        _LOG.warning("The network runs eager. %s", self.status)


@contextmanager
def _settings() -> Iterator[None]:
    """Enough room for the variants, and no pool of compiling processes that would be left over."""
    import torch._dynamo.config as dynamo
    import torch._inductor.config as inductor

    with dynamo.patch(recompile_limit=MOST_KEPT), inductor.patch(compile_threads=1):
        yield


def _traced() -> bool:
    """True while a sampler is writing down the operations of a whole step."""
    from torch.fx.experimental.proxy_tensor import get_proxy_mode

    return get_proxy_mode() is not None


@contextmanager
def _wanted(module: nn.Module) -> Iterator[None]:
    """Weights take no gradient where only that in the positions is wanted."""
    trained = [weight for weight in module.parameters() if weight.requires_grad]
    if purpose() != "positions" or not trained:
        yield
        return
    module.requires_grad_(False)
    try:
        yield
    finally:
        for weight in trained:
            weight.requires_grad_(True)


def _tensor(value: Any) -> Tensor:
    assert isinstance(value, Tensor)
    return value
