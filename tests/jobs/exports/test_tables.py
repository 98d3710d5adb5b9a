"""Tables of scalars and samples, read back by other libraries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import basin
from backend.errors import BadInput, NotAvailable
from jobs.exports import tables
from jobs.records.run_directory import RunDirectory


@pytest.fixture
def recorded() -> RunDirectory:
    with basin.track(name="mine") as run:
        for step in range(5):
            run.log({"loss": 1.0 / (step + 1), "gap": float(step)}, step)
    images = np.arange(24, dtype=np.float32).reshape(4, 2, 3)
    run.directory.save_samples("final", {"long_run": images, "energy": np.arange(3.0)})
    return run.directory


@pytest.mark.parametrize(("suffix", "read"), [("csv", pd.read_csv), ("parquet", pd.read_parquet)])
def test_tables_hold_every_scalar_and_sample(
    suffix: str, read: object, recorded: RunDirectory, tmp_path: Path
) -> None:
    assert callable(read)
    write = tables.write_csv if suffix == "csv" else tables.write_parquet
    names = write(recorded, tmp_path / "out", lambda sentence: None)
    assert names == [f"scalars.{suffix}", f"samples-final.{suffix}"]
    scalars = read(tmp_path / "out" / names[0])
    own = basin.open(recorded.id).scalars()
    pd.testing.assert_frame_equal(
        scalars.sort_values(["path", "step"], ignore_index=True)[["path", "step", "value"]],
        own.sort_values(["path", "step"], ignore_index=True)[["path", "step", "value"]],
        check_dtype=False,
    )
    samples = read(tmp_path / "out" / names[1])
    assert samples["long_run_4"].tolist() == [4.0, 10.0, 16.0, 22.0]
    assert samples["energy"].tolist()[:3] == [0.0, 1.0, 2.0] and np.isnan(samples["energy"][3])


@pytest.mark.bad_input
def test_what_cannot_be_written_is_told(recorded: RunDirectory, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="is a file"):
        tables.write_csv(recorded, tmp_path / "file", lambda sentence: None)
    (recorded.path / "samples" / "final.npz").write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(NotAvailable, match=r"final.npz cannot be read"):
        tables.write_csv(recorded, tmp_path / "out", lambda sentence: None)
    with basin.track() as empty:
        pass
    with pytest.raises(NotAvailable, match="no scalars"):
        tables.write_csv(empty.directory, tmp_path / "out", lambda sentence: None)
    assert not (tmp_path / "out").exists()
