"""Products of matrices in linear layers: torch's own (MKL), or oneDNN's where those are quicker.

Both round alike, but not to the same bits. Which is quicker depends on the processor: MKL leaves
half of the speed of some AMD ones unused. So it is measured, once for a processor, and a run goes
on with what it began with.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, cast, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.errors import BadInput
from backend.system.home import cache, make_private

Products = Literal["torch", "onednn"]
SETTING = "BASIN_PRODUCTS"
WORTH_IT = 1.2
"""oneDNN is taken where it is so many times as fast as torch's own."""
LEAST_WORK = 2**20
"""Multiplications of a product that oneDNN is asked for; with fewer its set-up weighs more."""
LEAST_SIDE = 16
_ROUNDS = 9

_in_use: Products = "torch"


def use(products: str) -> None:
    """Take these for the linear layers of this process from now on; torch's own where they are not
    here."""
    global _in_use
    _in_use = "onednn" if products == "onednn" and _possible() else "torch"


def in_use() -> Products:
    """The products that linear layers take now."""
    return _in_use


def chosen() -> Products:
    """The products that BASIN_PRODUCTS names, else the quicker ones on this processor.

    Measured in some hundredths of a second at the first call in this BASIN_HOME, which keeps it
    in its cache. Raises BadInput for a setting that is neither torch, onednn nor measured.
    """
    setting = os.environ.get(SETTING, "measured")
    if setting in get_args(Products):
        return cast(Products, setting)
    if setting != "measured":
        raise BadInput.at(SETTING, f"must be measured, torch or onednn, got {setting!r}.")
    if not _worth_a_try():
        return "torch"
    file, processor = cache() / "products.json", _processor()
    with contextlib.suppress(OSError, ValueError):
        earlier = json.loads(file.read_text())
        if isinstance(earlier, dict) and earlier.get(processor) in get_args(Products):
            return cast(Products, earlier[processor])
    quicker = measured()
    with contextlib.suppress(OSError):
        make_private(file.parent)
        aside = file.with_suffix(f".{os.getpid()}")
        aside.write_text(json.dumps({processor: quicker}))
        aside.replace(file)
    return quicker


def _possible() -> bool:
    return torch.backends.mkldnn.is_available()


def _worth_a_try() -> bool:
    """False where oneDNN has no kernels that are wider than MKL's."""
    return _possible() and torch.backends.cpu.get_cpu_capability().startswith("AVX512")


def _processor() -> str:
    """Name of what the choice holds for: the processor's model, torch, and the threads."""
    words = [platform.machine(), torch.__version__, str(torch.get_num_threads())]
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
        names = ("vendor_id", "cpu family", "model", "model name", "stepping")
        words += [line.split(":")[1].strip() for line in lines if line.split("\t")[0] in names]
    return ", ".join(words)


@torch.no_grad()
def measured() -> Products:
    """The quicker products at equal error: a layer's, and those of its two gradients."""
    generator = torch.Generator().manual_seed(0)
    x, weight, slope = (torch.randn(n, 128, generator=generator) for n in (512, 128, 512))
    # as stored, and as the gradients in x and in the weight read them
    pairs = [(x, weight), (slope, weight.T), (slope.T, x.T)]

    def error(multiply: Callable[[Tensor, Tensor], Tensor]) -> float:
        exact = x.double() @ weight.double().T
        return float((multiply(x, weight) - exact).norm() / exact.norm())

    if error(_by_onednn) > 2 * error(F.linear):  # rounded to fewer bits
        return "torch"
    seconds: dict[Callable[[Tensor, Tensor], Tensor], float] = {F.linear: 1e9, _by_onednn: 1e9}
    for _ in range(_ROUNDS):
        for multiply, least in seconds.items():
            began = time.perf_counter()
            for pair in pairs:
                multiply(*pair)
            seconds[multiply] = min(least, time.perf_counter() - began)
    return "onednn" if seconds[F.linear] > WORTH_IT * seconds[_by_onednn] else "torch"


_library = torch.library.Library("basin", "DEF")
_library.define("linear(Tensor x, Tensor weight, Tensor? bias) -> Tensor")


@torch.library.impl(_library, "linear", "CPU")
def _linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    # an operator of our own, since inductor takes oneDNN's for one whose weights are packed
    return cast(Tensor, torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], ""))


@torch.library.register_fake("basin::linear", lib=_library)
def _shaped(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return x.new_empty((len(x), len(weight)))


def _by_onednn(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return cast(Tensor, torch.ops.basin.linear(x, weight, bias))


def _product(x: Tensor, weight: Tensor) -> Tensor:
    """x Wᵀ of (rows, inputs) and (outputs, inputs), by oneDNN where it fits."""
    return _Linear.apply(x, weight, None) if _fits(x, weight) else F.linear(x, weight)


def _fits(x: Tensor, weight: Tensor) -> bool:
    (outputs, inputs), rows = weight.shape, x.shape[:-1].numel()
    return (
        x.dtype == weight.dtype == torch.float32
        and x.device.type == weight.device.type == "cpu"
        and min(rows, inputs, outputs) >= LEAST_SIDE
        and rows * inputs * outputs >= LEAST_WORK
    )


class _Linear(torch.autograd.Function):
    """x Wᵀ + b by oneDNN; its gradients are such products again, as often as is asked."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _by_onednn(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        (slope,), (x, weight), asked = slopes, ctx.saved_tensors, ctx.needs_input_grad
        return (
            _product(slope, weight.T) if asked[0] else None,
            _product(slope.T, x.T) if asked[1] else None,
            slope.sum(0) if asked[2] else None,
        )


class Linear(nn.Linear):
    """A fully connected layer that takes the products in use."""

    def forward(self, input: Tensor) -> Tensor:
        weight, bias = self.weight, self.bias
        if _in_use == "torch" or torch.is_autocast_enabled("cpu") or not _fits(input, weight):
            return F.linear(input, weight, bias)
        rows = input.reshape(-1, input.shape[-1])
        return cast(Tensor, _Linear.apply(rows, weight, bias)).reshape(*input.shape[:-1], -1)


def pulled_back(slope: Tensor, layer: Linear) -> Tensor:
    """Gradient in a layer's input (rows, inputs) of that in its output (rows, outputs), as autograd
    takes it."""
    return slope @ layer.weight if _in_use == "torch" else _product(slope, layer.weight.T)
