"""Predictions: the best linear one is found, and figures say how far they are off."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from backend.catalogue import resolve_data
from backend.metrics import prediction
from backend.randomness import generator_of


def test_least_squares_find_the_expectation_of_gaussians() -> None:
    """x = c₀ − 2 c₁ + N(0, ½²) in both coordinates: an error of ¼ is left, whatever is done."""
    data = resolve_data({"name": "ring", "num": 4000, "num_held_out": 2000}).load()
    generator = generator_of("pairs")

    def pair(num: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        context = torch.randn(num, 3, generator=generator)
        x = (context[:, :1] - 2 * context[:, 1:2]).repeat(1, 2)
        return x + 0.5 * torch.randn(num, 2, generator=generator), {"context": context}

    (train, given), (held_out, held_out_given) = pair(4000), pair(2000)
    data = replace(data, train=train, held_out=held_out, given=given, held_out_given=held_out_given)
    figures = prediction.baselines(data, data.held_out_rows(slice(None)))
    assert list(figures) == ["mean_event", "linear"], "the context is no event"
    assert figures["linear"]["squared_error"] == pytest.approx(0.25, rel=0.1)
    assert figures["mean_event"]["squared_error"] == pytest.approx(5.25, rel=0.1)
