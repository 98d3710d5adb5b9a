"""Methods that build an event step by step, and what they say of the way."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from backend.method import Method


class Built(NamedTuple):
    """Ways to events, padded to the longest: where one has ended, all stays as it is."""

    x: Tensor
    """(num, *event_shape): the events"""
    energy: Tensor
    """(num,): the target's energy of the events, without its normaliser"""
    lengths: Tensor
    """(num,) int64: steps of each"""
    part_energy: Tensor
    """(steps + 1, num): energies of the unfinished events, and of the event at the end"""
    log_forward: Tensor
    """(steps, num): log-probabilities of the steps, 0 of those not made"""
    words: list[list[str]]
    """(num, steps + 1): the unfinished events as they are written"""


class BuildingMethod(Method):
    """Base of methods whose draws come about step by step from nothing."""

    @abstractmethod
    def build(self, num: int, generator: torch.Generator) -> Built:
        """`num` ways from nothing to an event, by the trained (averaged) weights."""
