"""One update of a small energy of text, and the plain loop of torch for it. Needs torch alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class TextWork:
    """Two steps down an energy of the next character at every place, each judged by itself."""

    num_values: int = 22
    length: int = 32
    width: int = 64
    depth: int = 2
    num_heads: int = 4
    batch: int = 16
    num_steps: int = 2
    step_size: float = 30.0
    step_rate: float = 1.5
    start_noise: float = 0.1
    rate: float = 2e-3
    weight_decay: float = 0.01
    num_data: int = 14_996


class Block(nn.Module):
    """A block of attention, first of characters among themselves, then of guesses beside them."""

    def __init__(self, work: TextWork) -> None:
        super().__init__()
        width, self.num_heads = work.width, work.num_heads
        self.inward, self.outward = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.first, self.second = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)

    def heads(self, x: Tensor) -> tuple[Tensor, ...]:
        batch, length, width = x.shape
        heads = self.inward(self.before(x)).view(batch, length, 3, self.num_heads, -1)
        query, key, value = heads.permute(2, 0, 3, 1, 4).unbind()
        return query / (width / self.num_heads) ** 0.5, key, value

    def after(self, x: Tensor, attended: Tensor) -> Tensor:
        x = x + self.outward(attended.transpose(1, 2).flatten(2))
        return x + self.second(F.silu(self.first(self.between(x))))


class Energy(nn.Module):
    """Energies (batch, length) of logits (batch, length, num_values) beside characters."""

    def __init__(self, work: TextWork) -> None:
        super().__init__()
        self.values = nn.Embedding(work.num_values, work.width)
        self.places = nn.Parameter(0.1 * torch.randn(work.length, work.width))
        self.guesses = nn.Linear(work.num_values, work.width)
        self.blocks = nn.ModuleList(Block(work) for _ in range(work.depth))
        self.normalised = nn.LayerNorm(work.width)
        self.last = nn.Linear(work.width, 1, bias=False)
        hidden = torch.ones(work.length, work.length, dtype=torch.bool).triu(1)
        self.register_buffer("hidden", hidden)
        self.log_step = nn.Parameter(torch.tensor(work.step_size).log())

    def read(self, context: Tensor) -> list[tuple[Tensor, Tensor]]:
        x, seen = self.values(context) + self.places, []
        for index, block in enumerate(self.blocks):
            query, key, value = block.heads(x)  # type: ignore[operator]
            seen.append((key, value))
            if index + 1 < len(self.blocks):
                scores = (query @ key.mT).masked_fill(self.hidden, -torch.inf)
                x = block.after(x, scores.softmax(-1) @ value)  # type: ignore[operator]
        return seen

    def forward(self, x: Tensor, read: list[tuple[Tensor, Tensor]]) -> Tensor:
        x = self.guesses(x.softmax(-1)) + self.places
        for block, (key, value) in zip(self.blocks, read, strict=True):
            query, own_key, own_value = block.heads(x)  # type: ignore[operator]
            scores = (query @ key.mT).masked_fill(self.hidden, -torch.inf)
            own = (query * own_key).sum(-1, keepdim=True)
            weights = torch.cat([scores, own], -1).softmax(-1)
            attended = weights[..., :-1] @ value + weights[..., -1:] * own_value
            x = block.after(x, attended)  # type: ignore[operator]
        energies: Tensor = self.last(self.normalised(x))
        return energies


def plain_text_update(work: TextWork) -> Callable[[], Tensor]:
    """One update by hand: nothing is kept, checked or drawn beyond what the mathematics asks for.

    Returns the loss.
    """
    net = Energy(work)
    weights = [weight for name, weight in net.named_parameters() if name != "log_step"]
    groups = [
        {"params": weights, "lr": work.rate},
        {"params": [net.log_step], "lr": work.step_rate * work.rate},
    ]
    optimiser = torch.optim.AdamW(
        groups, betas=(0.9, 0.99), weight_decay=work.weight_decay, fused=True
    )
    text = torch.randint(work.num_values, (work.num_data, work.length + 1))

    def update() -> Tensor:
        rows = text[torch.randint(work.num_data, (work.batch,))]
        context, target = rows[:, :-1], rows[:, 1:].flatten()
        x = work.start_noise * torch.randn(work.batch, work.length, work.num_values)
        read, step = net.read(context), net.log_step.exp()
        loss = torch.zeros(())
        for _ in range(work.num_steps):
            x = x.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(net(x, read).sum(), x, create_graph=True)
            x = x - step * gradient
            loss = loss + F.cross_entropy(x.flatten(0, 1), target) / work.num_steps
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0, foreach=True)
        optimiser.step()
        return loss.detach()

    return update
