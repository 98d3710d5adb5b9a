"""Columns of a table: those that are learned, and the one that names the class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backend.datasets.file import FileConfig, FileData
from backend.errors import BadInput


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A CSV of 40 rows: a, b, and `kind`, which is 1 or 3."""
    rows = np.random.default_rng(0).normal(size=(40, 2)).round(3)
    lines = [f"{a},{b},{1 if i % 2 else 3}" for i, (a, b) in enumerate(rows)]
    path = tmp_path / "pump.csv"
    path.write_text("\n".join(["a,b,kind", *lines]) + "\n")
    return path


def test_the_label_is_no_coordinate_and_names_the_classes(table: Path) -> None:
    data = FileData(FileConfig(path=str(table), label="kind")).load()
    assert data.columns == ("a", "b") and data.event_shape == (2,)
    assert data.label_names == ("1", "3")
    assert data.labels is not None and set(data.labels.tolist()) == {0, 1}


def test_columns_are_learned_in_the_order_they_are_named_in_or_by_place(table: Path) -> None:
    named = FileData(FileConfig(path=str(table), columns=["b", "a"])).load()
    assert named.columns == ("b", "a")
    assert FileData(FileConfig(path=str(table), columns=["2"])).load().columns == ("b",)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"columns": ["c"]}, "has no column “c”; it has a, b, kind"),
        ({"columns": ["a", "a"]}, "“a” is named twice"),
        ({"columns": ["a"], "label": "a"}, "“a” holds the classes"),
        ({"label": "a"}, "holds no classes: it has 40 classes, the rarest of 1 rows"),
    ],
)
def test_what_cannot_be_chosen_is_said(table: Path, settings: dict, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        FileData(FileConfig(path=str(table), **settings)).load()
