"""Own file: what becomes of its columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dashboard.forms import own_file
from jobs.models.data_outline import look


def birds(folder: Path) -> Path:
    """A table of 80 rows: two numbers, two concepts and a class, which has words."""
    rng = np.random.default_rng(0)
    has = rng.random((80, 2)) < 0.5
    lines = ["mass,length,wings,night,species"]
    for mass, length, wings, night in np.column_stack([rng.normal(size=(80, 2)), has]):
        night_word = "yes" if night else "no"
        species = "owl" if wings and night else "wren"
        lines.append(f"{mass:.4f},{length:.4f},{wings:g},{night_word},{species}")
    path = folder / "birds.csv"
    path.write_text("\n".join(lines))
    return path


def test_a_concept_is_neither_learned_nor_the_class(tmp_path: Path) -> None:
    values = {"name": "file", "path": str(birds(tmp_path)), "concepts": ["wings", "night"]}
    seen = look(values)
    assert seen["problems"] == [] and seen["learned"] == ["mass", "length"]
    assert "concept_bottleneck" not in seen["misfits"]
    assert own_file._uses(seen, values) == {
        "mass": "learned",
        "length": "learned",
        "wings": "concept",
        "night": "concept",
        "species": "class",
    }
    refused = look({"name": "file", "path": values["path"]})
    assert refused["problems"] and len(refused["columns"]) == 5
    assert own_file._uses(refused, {})["wings"] == "learned"
    told = {"columns": ["mass", "length"], "concepts": ["wings"], "label": "species"}
    assert own_file._uses(refused, told)["wings"] == "concept"
