"""Persistent contrastive divergence on eight wells: a loop of one's own, live on Basin's page.

    python own_loop.py [STEPS] [LEARNING_RATE]

Five lines, marked `# basin`, track it. The rest is plain torch, and runs the same without them.
"""

import math
import sys

import torch
from torch import nn

import basin  # basin

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
learning_rate = float(sys.argv[2]) if len(sys.argv) > 2 else 1e-3
torch.manual_seed(0)
torch.set_num_threads(1)

angles = 2 * math.pi * torch.arange(8) / 8
wells = 2 * torch.stack([angles.cos(), angles.sin()], 1)
x_data = wells[torch.randint(8, (2000,))] + 0.2 * torch.randn(2000, 2)


class Energy(nn.Module):
    """E(x): a perceptron on a wide bowl, which keeps the mass near the origin."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(2, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 1)
        )

    def forward(self, x):
        return self.body(x).squeeze(-1) + x.square().sum(1) / 20


def walk(energy, x, num_steps=20, step_size=0.02):
    """Move chains by unadjusted Langevin steps."""
    for _ in range(num_steps):
        x = x.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(energy(x).sum(), x)
        x = x - step_size * gradient + math.sqrt(2 * step_size) * torch.randn_like(x)
    return x.detach()


energy = Energy()
optimiser = torch.optim.Adam(energy.parameters(), learning_rate)
chains = 2 * torch.randn(256, 2)
run = basin.track("eight wells", {"learning_rate": learning_rate}, x_data, steps=steps)  # basin
run.energy(energy)  # basin
for step in range(steps):
    chains = walk(energy, chains)
    on_data = energy(x_data[torch.randint(len(x_data), (256,))])
    on_model = energy(chains)
    loss = on_data.mean() - on_model.mean() + 0.01 * (on_data.square() + on_model.square()).mean()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    run.log({"loss": loss, "energy/gap": on_data.mean() - on_model.mean()}, step)  # basin
    if run.should_stop:  # basin
        break
