"""Associative layers: memories beside their closed forms, and the sequences asked about."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch

from backend import catalogue
from backend.data import Data
from backend.errors import BadInput
from backend.events import Scalar
from backend.methods.associative_layers import AssociativeLayers
from backend.networks.fast_weights import FastWeights, Loss
from backend.randomness import generator_of
from backend.spec import RunSpec
from jobs.models.method_setup import prepare


def sequences(**fields: Any) -> Data:
    return catalogue.resolve_data({"name": "key_values", "num": 64, **fields}).load()


def layers(data: dict[str, Any], **config: Any) -> AssociativeLayers:
    spec = RunSpec(
        method="associative_layers", data={"name": "key_values", **data}, config=config, seed=0
    )
    method = prepare(spec, torch.device("cpu"), None).method
    assert isinstance(method, AssociativeLayers)
    return method


@pytest.mark.parametrize("kind", get_args(Loss))
def test_what_is_written_goes_down_the_inner_loss(kind: Loss) -> None:
    memory = FastWeights(kind, "decay", 0.7, 2.5)
    error = torch.linspace(-2, 2, 40, dtype=torch.float64).requires_grad_()
    value = torch.randn(40, generator=generator_of("value", 0), dtype=torch.float64)
    (slope,) = torch.autograd.grad(memory.loss(error, value).sum(), error)
    assert torch.allclose(memory.slope(error.detach(), value), slope, atol=1e-9)


def test_the_product_is_linear_attention_with_decay() -> None:
    pairs = sequences(num_pairs=12).given["pairs"]
    keys, values = pairs.chunk(2, 2)
    step, retained = torch.tensor(0.3), torch.tensor(0.9)
    written = FastWeights("dot", "decay", 1, 3).written(pairs, step, retained)
    weight = 0.3 * 0.9 ** torch.arange(11.0, -1.0, -1.0)
    assert torch.allclose(written, torch.einsum("t,bti,btj->bij", weight, values, keys), atol=1e-5)


def test_the_delta_rule_reads_back_what_orthogonal_keys_hold() -> None:
    keys, _ = torch.linalg.qr(torch.randn(5, 16, 16, generator=generator_of("keys", 0)))
    values = torch.randn(5, 16, 16, generator=generator_of("values", 0))
    one = torch.ones(())
    written = FastWeights("squared", "none", 1, 3).written(torch.cat([keys, values], 2), one, one)
    assert torch.allclose(torch.einsum("bij,bnj->bni", written, keys), values, atol=1e-4)


def test_retention_shapes_the_memory_as_it_says() -> None:
    state = 3 * torch.randn(4, 8, 8, generator=generator_of("state", 0))
    parts = torch.stack([state.exp(), (-state).exp()])
    shares = 8 * parts / parts.sum((0, 3), keepdim=True)
    assert torch.allclose(
        FastWeights("huber", "simplex", 1, 3).weights(state), shares[0] - shares[1], atol=1e-4
    )
    norm = torch.linalg.vector_norm(state, 4, dim=(1, 2), keepdim=True)
    assert torch.allclose(
        FastWeights("huber", "norm", 1, 3).weights(state), state / norm**2, atol=1e-5
    )
    assert torch.equal(FastWeights("huber", "decay", 1, 3).weights(state), state)


def test_keys_ask_for_the_latest_value_and_spikes_know_nothing_of_it() -> None:
    data = sequences(num_pairs=9, reassigned=True, num=400)
    keys, values = data.given["pairs"].chunk(2, 2)
    assert torch.equal(data.train, values[:, 5:]) and data.event_shape == (4, 32)
    alike = keys[:, 5:] @ keys[:, :5].transpose(1, 2)
    assert torch.allclose(alike.amax(2), torch.ones(400, 4), atol=1e-5)
    spiked = sequences(spiked=1.0, num=400)
    written = spiked.given["pairs"].chunk(2, 2)[1]
    is_spike = written.abs() > 5
    assert abs(float(is_spike.float().mean()) - 0.1) < 0.003
    signs = (written.sign() * spiked.train)[is_spike].mean()
    assert abs(float(signs)) < 5 / int(is_spike.sum()) ** 0.5
    assert torch.equal(written[~is_spike], spiked.train[~is_spike])
    with pytest.raises(BadInput, match="asked"):
        sequences(num_pairs=8, reassigned=True, asked=5)


def test_keys_have_in_common_what_the_data_say() -> None:
    keys = sequences(common=0.5, size=256, num=200).given["pairs"].chunk(2, 2)[0]
    cosines = (keys @ keys.transpose(1, 2)).flatten(1)
    apart = (cosines.sum(1) - 32) / (32 * 31)
    assert abs(float(apart.mean()) - 0.5) < 0.02


def test_a_clean_sequence_of_few_pairs_is_recalled_whole() -> None:
    method = layers({"num_pairs": 4}, loss="squared")
    for _ in range(3):
        method.advance(0.0)
    data = method.task.data
    events = list(method.observe(generator_of("observe", 0)))
    figures = {event.path: event.value for event in events if isinstance(event, Scalar)}
    assert figures["recall/held_out"] == 1
    assert len(method.words) == 64 and data.event_shape == (4, 32)
    assert {"recall/error_by_time", "recall/share_by_step_size"} <= {e.path for e in events}
