"""One energy a class, from a classifier that tells the rows of the class from a few far corners."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from backend.energies import NetworkEnergy
from backend.energy import Energy

CORNER = 5.0
"""Distance of the corners from the mean in every coordinate, in data sd."""
NUM_CORNERS = 4


def corners(dim: int, generator: torch.Generator) -> Tensor:
    """Corners (4, dim) of the hypercube ±5 that stand for what is no row: all of them in a plane,
    two drawn and their mirror images beyond."""
    if dim <= 2:
        signs = torch.tensor([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]])[:, :dim]
        return CORNER * signs.to(generator.device)
    half = torch.randint(2, (NUM_CORNERS // 2, dim), generator=generator, device=generator.device)
    signs = 2.0 * half - 1
    return CORNER * torch.cat([signs, -signs])


class KernelClasses(Energy):
    """E_c(x) = −log(f₀ + f₁), f₀ the kernel density of the rows of class c, f₁ that of the corners.

    f(x) = n_c/n · mean_j N(x; x_j, h_c² I) of both, h_c the median distance of a row to its nearest
    one of the class times `bandwidth`: an in-context classifier whose logits are log f₀ and log f₁,
    as TabEBM reads TabPFN's. Nothing is fitted.
    """

    def __init__(self, rows: Sequence[Tensor], negatives: Tensor, bandwidth: float) -> None:
        """rows: (num, dim) of each class, two at least; negatives: (num, dim) of all of them."""
        super().__init__()
        self.num_classes = len(rows)
        total = sum(len(part) for part in rows)
        for label, part in enumerate(rows):
            apart = torch.cdist(part, part).fill_diagonal_(math.inf).amin(1)
            apart = apart[apart > 0]  # copies of a row say nothing of how far rows are apart
            nearest = apart.median() if len(apart) else apart.new_ones(())
            self.register_buffer(f"rows_{label}", part, persistent=False)
            self.register_buffer(f"width_{label}", bandwidth * nearest, persistent=False)
            share = part.new_tensor(len(part) / total).log()
            self.register_buffer(f"log_share_{label}", share, persistent=False)
        self.register_buffer("negatives", negatives, persistent=False)

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        """Energies (batch, num_classes) of positions x (batch, dim)."""
        return torch.stack([-self._log_mass(x, label) for label in range(self.num_classes)], 1)

    def _log_mass(self, x: Tensor, label: int) -> Tensor:
        width, share = getattr(self, f"width_{label}"), getattr(self, f"log_share_{label}")
        logits = [
            (-_squared(x, rows) / (2 * width**2)).logsumexp(1) - math.log(len(rows))
            for rows in (getattr(self, f"rows_{label}"), self.get_buffer("negatives"))
        ]
        log_kernel = x.shape[1] * (width.log() + 0.5 * math.log(2 * math.pi))
        return torch.logaddexp(*logits) - log_kernel + share


def _squared(x: Tensor, rows: Tensor) -> Tensor:
    """Squared distances (batch, num) of x (batch, dim) to rows (num, dim)."""
    cross = x @ rows.T
    squared = x.square().sum(1, keepdim=True) - 2 * cross + rows.square().sum(1)
    return squared.clamp(min=0)


class NetworkClasses(Energy):
    """E_c(x) = −log(exp f₀ + exp f₁), f the two logits of the network of class c: its rows are to
    be told as 0, the corners as 1."""

    def __init__(self, networks: Sequence[NetworkEnergy], negatives: Tensor) -> None:
        """networks: one a class, with two outputs each, −f."""
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.register_buffer("negatives", negatives)

    def logits(self, x: Tensor) -> Tensor:
        """f (batch, num_classes, 2)."""
        return torch.stack([-network(x) for network in self.networks], 1)

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        """Energies (batch, num_classes) of positions x (batch, dim)."""
        return -self.logits(x).logsumexp(2)

    def loss(self, x: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of rows x (batch, dim) by the networks of their classes, and of the corners
        by all of them, each half of it."""
        own = labels[:, None, None].expand(-1, 1, 2)
        on_rows = self.logits(x).gather(1, own)[:, 0].log_softmax(1)[:, 0]
        on_corners = self.logits(self.get_buffer("negatives")).log_softmax(2)[..., 1]
        return -0.5 * (on_rows.mean() + on_corners.mean())
