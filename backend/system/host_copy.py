"""Numbers of a device on their way to the host, while it goes on working."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def sent(value: Tensor) -> Callable[[], float]:
    """Begin to copy a 0-d tensor to the host; returns what waits for it and reads it.

    On CUDA that wait is for the work given before this call alone, so that a device with more to do
    meanwhile does not stand idle. What is read is the value of now, whatever becomes of the tensor.
    """
    if value.device.type != "cuda":
        taken = value.detach().clone()
        return lambda: float(taken)
    copy = torch.empty(value.shape, dtype=value.dtype, pin_memory=True)
    copy.copy_(value.detach(), non_blocking=True)
    event = torch.cuda.Event()
    event.record()

    def read() -> float:
        event.synchronize()
        return float(copy)

    return read
