"""Transformers: how events are cut, attention against torch's own, energies beside a context."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from backend.energies import Condition
from backend.energies.transformer import TransformerConfig, TransformerEnergy
from backend.errors import BadInput
from backend.networks.transformer import Attention, num_tokens, token_size, tokens
from backend.randomness import generator_of


def test_images_are_cut_into_patches_row_by_row_and_filled_up_with_zeros() -> None:
    x = torch.arange(12.0).reshape(1, 3, 4)
    assert tokens(x, 2)[0].tolist() == [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 0, 0], [10, 11, 0, 0]]


@pytest.mark.parametrize("shape", [(5,), (8, 8), (5, 7), (4, 6, 3)], ids=str)
def test_tokens_hold_every_number_of_an_event_once(shape: tuple[int, ...]) -> None:
    x = torch.rand(2, *shape, generator=generator_of("x"))
    cut = tokens(x, 3)
    size = torch.Size(shape)
    assert cut.shape == (2, num_tokens(size, 3), token_size(size, 3))
    present = cut[cut > 0].sort().values
    assert torch.equal(present, x.flatten().sort().values)


def test_attention_is_that_of_torch() -> None:
    attention = Attention(8, 2, generator_of("attention"))
    x = torch.randn(3, 5, 8, generator=generator_of("x"))
    parts = attention.inward(x).chunk(3, 2)
    heads = (part.unflatten(2, (2, 4)).transpose(1, 2) for part in parts)
    expected = F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2)
    assert torch.allclose(attention(x), attention.outward(expected), atol=1e-6)


@pytest.mark.parametrize("context", [(4, 4), (3,)], ids=["an event", "three numbers"])
def test_an_energy_answers_to_its_context_and_can_be_differentiated_twice(
    context: tuple[int, ...],
) -> None:
    config = TransformerConfig(width=8, depth=1, num_heads=2)
    shape = torch.Size((4, 4))
    energy = TransformerEnergy(config, shape, generator_of("e"), torch.Size(context)).double()
    generator = generator_of("x")
    x = torch.randn(2, 4, 4, generator=generator).double().requires_grad_()
    given = torch.randn(2, *context, generator=generator).double()
    one, other = (energy(x, Condition(context=part)) for part in (given, given + 1))
    assert not torch.allclose(one, other)
    assert torch.autograd.gradgradcheck(
        lambda x: energy(x, Condition(context=given)), x, raise_exception=False
    )


def test_what_cannot_be_cut_is_said() -> None:
    shape = torch.Size((256, 256))
    with pytest.raises(BadInput, match="larger patches"):
        TransformerEnergy(TransformerConfig(patch=2), shape, generator_of("e"))
    assert "at most 1,024" in TransformerEnergy.fits(torch.Size((2000,)))
