"""Jobs for the workers under test; a worker started in the repository root can import them."""

from __future__ import annotations

import os
import sys
import time
from typing import Any


def torch_ready(queued: float) -> dict[str, Any]:
    """What a work-horse finds: seconds from being queued until torch has computed, and how."""
    loaded = "torch" in sys.modules
    import torch

    first = float(torch.ones(3).sum())
    ready = time.time() - queued
    # Large enough for every thread torch has, and through autograd.
    weight = torch.ones(600, 600, requires_grad=True)
    (weight @ weight).sum().backward()
    assert weight.grad is not None
    return {
        "value": {
            "loaded": loaded,
            "first": first,
            "ready": ready,
            "gradient": float(weight.grad[0, 0]),
            "threads": torch.get_num_threads(),
            "parent": os.environ.get("BASIN_PARENT_PID"),
            "pid": os.getpid(),
            "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
        }
    }


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def die() -> None:
    """End without a word."""
    os._exit(9)


def fill_job(num_bytes: int) -> dict[str, Any]:
    """Use memory, as a file does that is larger than it looks; answered as every question is."""
    from jobs.tasks import _answered

    return _answered(lambda: len(bytearray(num_bytes)))()
