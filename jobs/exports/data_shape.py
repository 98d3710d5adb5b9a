"""Shape of data: all that setting a method up asks of its data, without a row of them.

A model that leaves Basin takes it along, so that it is set up where the data are not. Imports
torch."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from backend.data import CONCEPTS, Data
from backend.errors import BadInput

MOST_ROWS, MOST_NUMBERS = 100_000, 10_000_000
"""Most rows of a stand-in, and most numbers in them."""
_PLAIN = (
    "name",
    "title",
    "num_values",
    "label_names",
    "feature_space",
    "alphabet",
    "columns",
    "concept_names",
    "image_range",
)
_TENSORS = ("mean", "scale", "noise_low", "noise_high")
_DTYPES = {str(each): each for each in (torch.float32, torch.float64, torch.int64, torch.bool)}


def describe(data: Data) -> dict[str, Any]:
    """Describe data by plain values: shapes, standardisation, names, no positions."""
    return {
        **{name: getattr(data, name) for name in _PLAIN},
        **{name: _plain(getattr(data, name)) for name in _TENSORS},
        "event_shape": list(data.event_shape),
        "num": [len(data.train), len(data.held_out)],
        "num_labels": data.num_labels,
        "given": {
            name: [list(value.shape[1:]), str(value.dtype)] for name, value in data.given.items()
        },
    }


def stand_in(shape: dict[str, Any]) -> Data:
    """Make noise in the shape of data, the same each time. Raises BadInput at `config.json`."""
    try:
        return _made(shape)
    except (KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise BadInput.at("config.json", f"describes no data: {error}.") from error


def _made(shape: dict[str, Any]) -> Data:
    plain: dict[str, Any] = {name: shape[name] for name in _PLAIN}
    for name, value in plain.items():
        if isinstance(value, list):
            plain[name] = tuple(value)
    tensors: dict[str, Any] = {name: _tensor(shape[name]) for name in _TENSORS}
    event = torch.Size(shape["event_shape"])
    if not 1 <= event.numel() <= MOST_NUMBERS:
        raise ValueError(f"events of shape {tuple(event)}")
    most = min(MOST_ROWS, max(2, MOST_NUMBERS // event.numel()))
    train, held_out = (max(2, min(int(num), most)) for num in shape["num"])
    generator = torch.Generator().manual_seed(0)

    def rows(num: int) -> dict[str, Any]:
        x = torch.rand((num, *event), generator=generator)
        if plain["num_values"] is not None:
            x = (x * plain["num_values"]).floor()
        else:
            low, high = tensors["noise_low"], tensors["noise_high"]
            x = low + x * (high - low)
        num_labels = int(shape["num_labels"])
        labels = torch.arange(num) % num_labels if num_labels else None
        given = {}
        for name, (part, dtype) in shape["given"].items():
            if math.prod(part) > MOST_NUMBERS:
                raise ValueError(f"`{name}` of shape {part}")
            values = torch.zeros((num, *part), dtype=_DTYPES[dtype])
            given[name] = (torch.arange(num)[:, None] % 2 + values) if name == CONCEPTS else values
        return {"x": x.float(), "labels": labels, "given": given}

    here, there = rows(train), rows(held_out)
    return Data(
        train=here["x"],
        held_out=there["x"],
        labels=here["labels"],
        held_out_labels=there["labels"],
        given=here["given"],
        held_out_given=there["given"],
        **plain,
        **tensors,
    )


def _plain(value: Tensor) -> dict[str, Any]:
    return {"dtype": str(value.dtype), "values": value.cpu().tolist()}


def _tensor(value: dict[str, Any]) -> Tensor:
    return torch.tensor(value["values"], dtype=_DTYPES[value["dtype"]])
