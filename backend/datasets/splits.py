"""Splits of labelled points into rows that are trained on and rows that are held out."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from backend.data import Data, noise_box

Places = npt.NDArray[np.int64]


def stratified(labels: Places, rows: Places, num: int, random: np.random.Generator) -> Places:
    """`num` of the places `rows` in `labels` (n,), of every class about its share and two at least,
    in an order drawn from `random`. Raises ValueError where `num` is less than two a class."""
    order = random.permutation(rows)
    classes, counts = np.unique(labels[order], return_counts=True)
    if num < 2 * len(classes):
        raise ValueError(f"{num} rows are less than two of each of {len(classes)} classes")
    exact = num * counts / counts.sum()
    shares = np.maximum(np.floor(exact).astype(np.int64), 2)
    while (lacking := num - int(shares.sum())) != 0:
        # one row at a time, to or from the class that is furthest from its share
        distance = (exact - shares) * np.sign(lacking)
        distance[(shares <= 2) & (lacking < 0)] = -np.inf
        shares[int(np.argmax(distance))] += np.sign(lacking)
    chosen = [order[labels[order] == c][:n] for c, n in zip(classes, shares, strict=True)]
    return random.permutation(np.concatenate(chosen))


def split_points(
    values: npt.NDArray[np.float64], labels: Places, rows: Places, held_out: Places, **shared: Any
) -> Data:
    """Data of points `values` (n, dim) in the user's units with classes `labels` (n,), trained on
    the places `rows` and standardised by them. `shared`: further fields of the Data.

    A column that is constant in those rows is scaled by the standard deviation of all, or by 1.
    """
    mean, scale, whole = values[rows].mean(0), values[rows].std(0), values.std(0)
    scale = np.where(scale > 0, scale, np.where(whole > 0, whole, 1.0))
    train, judged = (
        torch.from_numpy(((values[part] - mean) / scale).astype(np.float32))
        for part in (rows, held_out)
    )
    low, high = noise_box(train)
    flat = low == high
    return Data(
        train=train,
        held_out=judged,
        mean=torch.from_numpy(mean.astype(np.float32)),
        scale=torch.from_numpy(scale.astype(np.float32)),
        noise_low=torch.where(flat, low - 1, low),
        noise_high=torch.where(flat, high + 1, high),
        labels=torch.from_numpy(labels[rows]),
        held_out_labels=torch.from_numpy(labels[held_out]),
        **shared,
    )


def resplit(data: Data, num: int, random: np.random.Generator) -> Data:
    """The same labelled points split anew: `num` of all rows to train on, the others held out."""
    assert data.labels is not None and data.held_out_labels is not None
    x = torch.cat([data.restore(data.train), data.restore(data.held_out)])
    labels = torch.cat([data.labels, data.held_out_labels]).cpu().numpy()
    everything = np.arange(len(labels))
    rows = stratified(labels, everything, num, random)
    return split_points(
        x.double().cpu().numpy(),
        labels,
        rows,
        np.setdiff1d(everything, rows),
        name=data.name,
        title=data.title,
        label_names=data.label_names,
        columns=data.columns,
    )
