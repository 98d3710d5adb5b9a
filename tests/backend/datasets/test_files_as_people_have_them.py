"""The table of `benchmarks.files`: every file is read right, or refused in the words that help."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import files, files_cases

CASES = files_cases.cases()


def test_the_table_is_no_small_one_and_every_name_is_there_once() -> None:
    assert len(CASES) >= 120
    assert len({case.name for case in CASES}) == len(CASES)
    assert all(case.values is not None or case.says for case in CASES)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
@pytest.mark.filterwarnings("ignore")
def test_a_file_is_read_right_or_refused_in_the_words_that_help(
    case: files_cases.Case, tmp_path: Path
) -> None:
    assert files.fault(case, files.make(case, tmp_path)) == ""


def test_a_fault_is_found(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, files_cases.X)
    right = files_cases.Case("x.npy", b"", files_cases.X)
    assert files.fault(right, path) == ""
    assert "its values" in files.fault(right._replace(values=files_cases.X + 1e-9), path)
    assert "read as" in files.fault(right._replace(values=None, says="no"), path)
    assert "its classes" in files.fault(right._replace(classes=("a",) * 60), path)
