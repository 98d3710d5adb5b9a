"""The trained energy of a run as a torch module of one's own."""

from __future__ import annotations

import pytest
import torch

import basin
from backend.errors import NotAvailable
from backend.spec import from_dict
from jobs.execution import loop
from jobs.records import run_store


@pytest.mark.slow
def test_a_trained_energy_is_a_module_in_the_users_units() -> None:
    raw = {
        "method": "contrastive_divergence",
        "data": {"name": "ring", "num": 500, "num_held_out": 100},
        "budget": {"steps": 20},
    }
    directory = run_store.create_run(from_dict(raw))
    loop.run(directory, observe=lambda prepared: None)
    energy = basin.load(directory.id)
    x = energy.sample(5, seed=1)
    assert x.shape == (5, 2) and torch.equal(x, energy.sample(5, seed=1))
    assert not torch.equal(x, energy.sample(5, seed=2))
    x.requires_grad_(True)
    (gradient,) = torch.autograd.grad(energy(x).sum(), x)
    torch.testing.assert_close(energy.score(x), -gradient)
    with pytest.raises(NotAvailable, match="no normaliser"):
        energy.log_prob(x)
