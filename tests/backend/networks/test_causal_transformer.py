"""Transformers along a sequence: later places are never seen, and energies know their own guess."""

from __future__ import annotations

import torch

from backend.energy import Condition
from backend.networks.causal_transformer import CausalEnergy, CausalTransformer, causal_mask
from backend.networks.transformer import Attention
from backend.randomness import generator_of

SIZES = (7, 6, 16, 2, 4, "silu")


def test_a_later_character_changes_no_earlier_logits() -> None:
    generator = generator_of("causal")
    network = CausalTransformer(*SIZES, generator).double()
    context = torch.randint(7, (3, 6), generator=generator)
    changed = context.clone()
    changed[:, 4] = (changed[:, 4] + 1) % 7
    off = (network(context) - network(changed)).abs().amax((0, 2))
    assert (off[:4] == 0).all() and (off[4:] > 1e-6).all()


def test_an_energy_sees_what_came_before_and_its_own_guess_alone() -> None:
    """Neither a later character nor any other guess changes it, and its gradient in others is 0."""
    generator = generator_of("causal")
    network = CausalEnergy(*SIZES, generator).double()
    context = torch.randint(7, (3, 6), generator=generator)
    x = torch.randn(3, 6, 7, generator=generator, dtype=torch.float64, requires_grad=True)
    energies = network(x, Condition(context=context))
    later = context.clone()
    later[:, 4] = (later[:, 4] + 1) % 7
    off = (energies - network(x, Condition(context=later))).abs().amax(0)
    assert (off[:4] == 0).all() and (off[4:] > 1e-6).all()
    guess = x.detach().clone()
    guess[:, 2] += 1.0
    guess[:, 2, 0] += 1.0
    off = (energies - network(guess, Condition(context=context))).abs().amax(0)
    assert off[2] > 1e-6 and off.count_nonzero() == 1
    [gradient] = torch.autograd.grad(energies[:, 3].sum(), x)
    assert gradient[:, 3].abs().sum() > 0 and gradient.abs().sum((0, 2)).count_nonzero() == 1


def test_all_places_at_once_are_each_place_by_itself() -> None:
    generator = generator_of("causal")
    network = CausalEnergy(*SIZES, generator).double()
    context = torch.randint(7, (2, 6), generator=generator)
    x = torch.randn(2, 6, 7, generator=generator, dtype=torch.float64)
    at_once = network(x, Condition(context=context))
    for length in range(1, 7):
        part = network(x[:, :length], Condition(context=context[:, :length]))
        assert torch.allclose(part, at_once[:, :length], atol=1e-12)


def test_a_context_that_was_read_gives_the_same_energies_and_learns_the_same() -> None:
    """Of two steps beside one reading: the gradients of weights are those of two readings."""
    generator = generator_of("causal")
    network = CausalEnergy(*SIZES, generator).double()
    context = torch.randint(7, (2, 6), generator=generator)
    condition = Condition(context=context)
    x = torch.randn(2, 6, 7, generator=generator, dtype=torch.float64, requires_grad=True)
    learned = []
    for read in (None, network.reading(context)):
        energies = network(x, condition, read) + network(x.detach() - 1.0, condition, read)
        [gradient] = torch.autograd.grad(energies.sum(), x, create_graph=True)
        loss = gradient.square().sum() + energies.sum()
        weights = list(network.parameters())
        learned.append(torch.autograd.grad(loss, weights, allow_unused=True))
    for one, other in zip(*learned, strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert one.abs().max() > 0 and torch.allclose(one, other, atol=1e-10)


def test_tokens_beside_others_attend_as_one_row_of_all_of_them() -> None:
    """A token that sees others and itself, by the attention of all written out with a mask."""
    generator = generator_of("beside")
    attention = Attention(16, 4, generator).double()
    others, own = torch.randn(2, 3, 5, 16, generator=generator, dtype=torch.float64)
    later = causal_mask(5, generator.device)
    alone = ~torch.eye(5, dtype=torch.bool)
    hidden = torch.cat(
        [torch.cat([later, torch.ones_like(later)], 1), torch.cat([later, alone], 1)]
    )
    both = attention(torch.cat([others, own], 1), hidden)
    seen = attention.heads(others)[1:]
    assert torch.allclose(attention.beside(own, seen, later), both[:, 5:], atol=1e-12)
