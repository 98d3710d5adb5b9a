"""Energies: closed-form targets with known truth, and networks that are fitted."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import torch

from backend.config import KindConfig
from backend.energy import Energy


class NetworkEnergy(Energy):
    """Base of trainable energies. A file in this folder with one subclass adds one."""

    Config: ClassVar[type[KindConfig]]

    @abstractmethod
    def __init__(self, config: Any, event_shape: torch.Size, generator: torch.Generator) -> None:
        """Weights are drawn from `generator` alone. Raises BadInput if the shape does not fit."""
        super().__init__()

    @classmethod
    def fits(cls, event_shape: torch.Size) -> str:
        """Why this energy cannot take events of this shape; "" when it can."""
        return ""
