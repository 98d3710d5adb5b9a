"""Tables that come with scikit-learn: their rows, columns and classes."""

from __future__ import annotations

import pytest
import torch
from sklearn import datasets

from backend.catalogue import resolve_data


@pytest.mark.parametrize("name", ["breast_cancer", "wine", "iris"])
def test_every_row_of_the_table_is_there_once_in_its_own_units(name: str) -> None:
    bunch = getattr(datasets, f"load_{name}")()
    data = resolve_data({"name": name}).load()
    assert data.columns == tuple(bunch.feature_names)
    assert data.label_names == tuple(bunch.target_names)
    x = torch.cat([data.restore(data.train), data.restore(data.held_out)])
    assert x.shape == bunch.data.shape
    assert torch.allclose(x.double().sum(0), torch.from_numpy(bunch.data.sum(0)), rtol=1e-5)
    shares = [labels.bincount() / len(labels) for labels in (data.labels, data.held_out_labels)]
    assert torch.allclose(*shares, atol=0.02)


def test_few_rows_to_train_on_leave_the_held_out_ones_as_they_are() -> None:
    few, whole = (resolve_data({"name": "wine", "num": num}).load() for num in (20, 0))
    assert len(few.train) == 20 and few.labels.bincount().min() >= 5
    rows = few.restore(few.held_out)
    assert torch.allclose(rows, whole.restore(whole.held_out), rtol=1e-4)
