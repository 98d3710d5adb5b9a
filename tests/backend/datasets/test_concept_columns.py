"""Concepts of a file's rows: columns of two values, or one array beside the values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from backend import catalogue
from backend.ability import Asked
from backend.data import Data
from backend.datasets import kept_tables
from backend.errors import BadInput
from backend.method import Task
from backend.methods.concept_bottleneck import ConceptBottleneck, ConceptBottleneckConfig
from backend.randomness import generator_of
from backend.requests import fitting
from backend.requests.asking import ask

NUM = 120
_draw = np.random.default_rng(0)
HAS = _draw.random((NUM, 3)) < 0.5
SPECIES = np.where(HAS[:, 0] & HAS[:, 1], "owl", np.where(HAS[:, 2], "duck", "wren"))
X = HAS @ _draw.normal(size=(3, 2)) * 3 + _draw.normal(size=(NUM, 2))
NAMES = ("wings", "night", "swims")
WORDS: tuple[tuple[Any, Any], ...] = ((0, 1), ("no", "yes"), ("dry", "wet"))


def load(path: Path, **fields: Any) -> Data:
    return catalogue.resolve_data({"name": "file", "path": str(path), **fields}).load()


def cells(has: np.ndarray) -> list[list[Any]]:
    return [[pair[int(one)] for pair, one in zip(WORDS, row, strict=True)] for row in has]


def csv_of(folder: Path, has: np.ndarray = HAS) -> Path:
    path = folder / "birds.csv"
    rows = zip(X, cells(has), SPECIES, strict=True)
    lines = [",".join(map(str, [*x, *concepts, word])) for x, concepts, word in rows]
    path.write_text("\n".join(["mass,length,wings,night,swims,species", *lines]))
    return path


def parquet_of(folder: Path) -> Path:
    import pyarrow
    from pyarrow import parquet

    columns: dict[str, Any] = {"mass": X[:, 0], "length": X[:, 1]}
    columns |= dict(zip(NAMES, map(list, zip(*cells(HAS), strict=True)), strict=True))
    columns["wings"] = HAS[:, 0]
    path = folder / "birds.parquet"
    parquet.write_table(pyarrow.table({**columns, "species": SPECIES}), path)
    return path


def check(data: Data, names: tuple[str, ...] = NAMES) -> None:
    """Every row has the concepts that the file says, whichever way the rows were split."""
    assert data.concept_names == names
    assert data.given["concepts"].dtype == torch.float32
    for z, given in ((data.train, data.given), (data.held_out, data.held_out_given)):
        far = (data.restore(z)[:, None] - torch.from_numpy(X)).abs().sum(2)
        assert far.amin(1).max() < 1e-4
        assert np.array_equal(given["concepts"].numpy(), HAS[far.argmin(1).numpy()])


@pytest.mark.parametrize("write", [csv_of, parquet_of])
def test_columns_that_are_concepts_are_known_and_not_learned(write: Any, tmp_path: Path) -> None:
    data = load(write(tmp_path), concepts=list(NAMES))
    check(data)
    assert data.columns == ("mass", "length") and set(data.label_names) == {"owl", "duck", "wren"}
    assert "concept “swims” is 1 where the column holds “wet”" in data.notes
    assert not any("“night”" in note or "“wings”" in note for note in data.notes)


def test_an_array_of_concepts_beside_the_values(tmp_path: Path) -> None:
    path, places = tmp_path / "birds.npz", ("c1", "c2", "c3")
    np.savez(path, x=X, y=SPECIES, concepts=HAS)
    check(load(path), places)
    np.savez(path, x=X, y=SPECIES, attributes=HAS.astype(np.int64))
    check(load(path, key="x", concepts=["attributes"]), places)
    np.savez(path, x=np.column_stack([X, HAS[:, :1]]), y=SPECIES)
    data = load(path, key="x", concepts=["3"])
    assert data.event_shape == (2,) and data.concept_names == ("3",)
    assert 0 < data.given["concepts"].mean() < 1
    np.savez(path, x=X, concepts=HAS[:-1])
    with pytest.raises(BadInput, match="concepts of 119 rows and values of 120"):
        load(path)


@pytest.mark.parametrize(
    ("fields", "field", "sentence"),
    [
        (
            {"concepts": ["mass", "night", "swims"]},
            "data.concepts",
            "has 120 values .*a concept has two",
        ),
        ({"concepts": ["beak"]}, "data.concepts", "no column “beak”; it has mass"),
        ({"concepts": ["wings", "wings"]}, "data.concepts", "named twice"),
        ({"concepts": ["night"], "label": "night"}, "data.concepts", "a column has one use"),
        ({"concepts": ["wings"], "columns": ["wings"]}, "data.concepts", "a column has one use"),
        ({"concepts": ["night"]}, "data.path", "“swims”"),
    ],
)
def test_what_is_no_concept_is_refused(
    fields: dict[str, Any], field: str, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=sentence) as error:
        load(csv_of(tmp_path), **fields)
    assert error.value.problems[0].field == field


def test_gaps_and_concepts_that_are_always_alike(tmp_path: Path) -> None:
    path = csv_of(tmp_path)
    lines = path.read_text().split("\n")
    lines[5] = lines[5].replace("yes", "NA").replace("no", "NA")
    path.write_text("\n".join(lines))
    with pytest.raises(BadInput, match="row 5 of concept “night” is missing"):
        load(path, concepts=list(NAMES))
    data = load(path, concepts=list(NAMES), missing="drop")
    check(data)
    assert len(data.train) + len(data.held_out) == NUM - 1
    has = HAS.copy()
    has[:, 0] = False
    with pytest.raises(BadInput, match="concept “wings” is 0 in every row"):
        load(csv_of(tmp_path, has), concepts=list(NAMES))


def test_they_are_there_again_where_the_table_was_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_tables, "SLOW_SECONDS", -1.0)
    path = csv_of(tmp_path)
    for _ in range(2):
        check(load(path, concepts=list(NAMES)))
    one = load(path, concepts=["wings"], columns=["mass"], label="species")
    assert one.concept_names == ("wings",) and one.given["concepts"].shape[1] == 1


def test_a_concept_bottleneck_trains_and_is_asked_by_the_names_of_the_columns(
    tmp_path: Path,
) -> None:
    path = csv_of(tmp_path)
    without = load(path, columns=["mass", "length"], label="species")
    [(field, sentence)] = fitting.problems(ConceptBottleneck, ConceptBottleneckConfig(), without)
    assert field == "data.name" and "`file` with data.concepts" in sentence
    data = load(path, concepts=list(NAMES))
    assert not list(fitting.problems(ConceptBottleneck, ConceptBottleneckConfig(), data))
    config = ConceptBottleneckConfig.model_validate({"train": {"learning_rate": 0.01}})
    method = ConceptBottleneck(config, Task(data, torch.device("cpu"), generator_of("birds", 0)))
    for index in range(150):
        method.step(index / 150)
    run = Asked(method, data, 0)
    generator = generator_of("asked", 0)
    answer = ask(run, "correct", {"concepts": "swims=1", "num": 20}, generator)
    assert "With swims set" in answer.summary and answer.arrays["concepts"][1][2] > 0.999
    table = ask(run, "concepts_by_class", {}, generator)
    owl = data.label_names.index("owl")
    assert table.arrays["data"][:2, owl].tolist() == [1, 1]
    assert table.arrays["model"][:2, owl].min() > 0.6
    # as many concepts as coordinates: they are no positions
    two = load(path, concepts=["wings", "night"], columns=["mass", "length"], label="species")
    again = two.rescaled({"mean": [0.0, 0.0], "scale": [2.0, 2.0]})
    assert torch.equal(again.given["concepts"], two.given["concepts"])
