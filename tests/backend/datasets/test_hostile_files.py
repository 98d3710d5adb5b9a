"""Files that are not what they say: refused in a sentence, in bounded memory, before they are
unpacked."""

from __future__ import annotations

import itertools
import os
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from backend.abilities import read_array, read_positions
from backend.catalogue import resolve_data
from backend.datasets import array_files, image_folder, reading
from backend.datasets.file import FileConfig, FileData
from backend.errors import BadInput
from benchmarks.hostile_files import FILES, X, header, npy, npz
from tests.conftest import ROOT

pytestmark = [pytest.mark.filterwarnings("error"), pytest.mark.bad_input]


def refused(path: Path, field: str = "data.path", **fields: Any) -> str:
    with pytest.raises(BadInput) as caught:
        resolve_data({"name": "file", "path": str(path), **fields}).load()
    (problem,) = caught.value.problems
    assert problem.field == field
    return problem.message


@pytest.mark.parametrize(("name", "content", "says"), FILES, ids=[name for name, *_ in FILES])
def test_what_a_file_is_not_is_said(name: str, content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    message = refused(tmp_path / name)
    assert any(part in message for part in says.split("|")), message
    if "objects" not in name:
        assert "pickled" not in message


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_points_to_be_asked_about_are_read_by_the_same_rules(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{suffix}"
    for array in (header((10**12, 1)) + bytes(64), npy(np.array([{}] * 3, object)), b"junk" * 9):
        path.write_bytes(npz(x=array) if suffix == ".npz" else array)
        with pytest.raises(BadInput) as caught:
            read_array(str(path), "points")
        assert caught.value.problems[0].field == "points"
    path.write_bytes(npz(x=npy(X)) if suffix == ".npz" else npy(X))
    np.testing.assert_array_equal(read_array(str(path), "points"), X)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_rows_of_a_table_are_asked_about_by_the_columns_that_were_learned(
    suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"x{suffix}"
    table = pd.DataFrame({"b": [1.5, 2.5], "note": ["u", "v"], "a": [-1.0, 4.0], "c": [0.0, 0.0]})

    def save(frame: pd.DataFrame) -> None:
        if suffix == ".parquet":
            frame.to_parquet(path)
        else:
            frame.to_csv(path, index=False, sep="," if suffix == ".csv" else "\t")
        os.utime(path, ns=(next(ticks), next(ticks)))

    ticks = itertools.count(10**18, 10**9)
    save(table)
    np.testing.assert_array_equal(read_array(str(path), "path", ("a", "b")), [[-1, 1.5], [4, 2.5]])
    save(table[:1])
    np.testing.assert_array_equal(read_array(str(path), "path", ("a", "b")), [[-1, 1.5]])
    save(table.assign(a=[1.0, np.nan]))
    for columns, says in ((("a", "x"), "no column “x”"), (("b", "a"), "row 2, column “a”")):
        with pytest.raises(BadInput) as caught:
            read_array(str(path), "path", columns)
        [problem] = caught.value.problems
        assert problem.field == "path" and says in problem.message


def test_a_run_on_columns_scores_a_table_of_them_in_any_order(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(60, 2))
    learned = tmp_path / "learned.csv"
    pd.DataFrame(values, columns=["a", "b"]).to_csv(learned, index=False)
    data = FileData(FileConfig(path=str(learned))).load()
    asked = tmp_path / "asked.csv"
    pd.DataFrame(values[:3], columns=["a", "b"])[["b", "a"]].to_csv(asked, index=False)
    z = read_positions(data, str(asked))
    np.testing.assert_allclose(data.restore(z).numpy(), values[:3], atol=1e-6)
    nameless = tmp_path / "nameless.csv"
    nameless.write_text("\n".join(f"{u},7,{v}" for u, v in values))
    data = FileData(FileConfig(path=str(nameless), columns=["1", "3"])).load()
    assert data.columns == ("column 1", "column 3")
    z = read_positions(data, str(nameless))
    np.testing.assert_allclose(data.restore(z).numpy(), values, atol=1e-6)


@pytest.mark.parametrize("dtype", [">f8", "<f4", ">i4", "f2", "u1", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(700, 2), (40, 6, 5), (30, 6, 5, 3)])
def test_any_byte_order_and_either_order_of_axes_is_read(
    dtype: str, order: Any, shape: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.datasets.array_files.PIECE", 64)
    values = np.asarray(np.random.default_rng(0).integers(0, 2, shape), dtype, order=order)
    for path in (tmp_path / "x.npy", tmp_path / "x.npz"):
        (np.save if path.suffix == ".npy" else np.savez)(path, values)
        found = reading.read_file(path, "").values
        np.testing.assert_array_equal(found, values)
    values = np.asarray(np.random.default_rng(0).normal(size=shape), order=order)
    values[(17, 1, *[1] * (len(shape) - 2))] = np.nan
    np.save(tmp_path / "nan.npy", values)
    expected = "row 18, column 2" if len(shape) == 2 else "image 18, pixel row 2, pixel column 2"
    assert f"{expected} is NaN" in refused(tmp_path / "nan.npy")


def test_what_python_reads_as_numbers_and_pyarrow_does_not_is_read(tmp_path: Path) -> None:
    rows = [f"{i},{-i * i}" for i in range(50)]
    rows[30], rows[40] = "+1_000, 2 ", '"1.5","2e0"'
    (tmp_path / "x.csv").write_text("\n".join(rows))
    values = reading.read_file(tmp_path / "x.csv", "").values
    assert values.shape == (50, 2)
    assert values[30].tolist() == [1000, 2] and values[40].tolist() == [1.5, 2]


def test_a_pipe_a_device_and_a_name_that_is_none_do_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npy")
    assert "neither a file nor a folder" in refused(tmp_path / "pipe.npy")
    with pytest.raises(BadInput, match="neither a file nor a folder"):
        reading.read_file(tmp_path / "pipe.npy", "")
    assert "neither a file nor a folder" in refused(Path("/dev/zero"))
    (tmp_path / "loop.npy").symlink_to("loop.npy")
    for path in (tmp_path / ("x" * 300 + ".npy"), tmp_path / "loop.npy", Path("~nobody-x/a.npy")):
        refused(path)


def test_a_file_that_is_written_while_it_is_read_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.npy"
    np.save(path, X)
    read = array_files.read_header

    def read_and_write(name: str, file: Any) -> Any:
        with path.open("ab") as other:
            other.write(b"more")
        return read(name, file)

    monkeypatch.setattr(array_files, "read_header", read_and_write)
    assert "written while it was read" in refused(path)


def make_images(folder: Path, num: int = 20) -> None:
    folder.mkdir(exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (num, 8, 8)).astype(np.uint8)
    for index, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{index:03}.png")


def test_links_out_of_an_image_folder_are_not_followed(tmp_path: Path) -> None:
    make_images(tmp_path / "images")
    make_images(tmp_path / "secret")
    link = tmp_path / "images" / "link.png"
    link.symlink_to(tmp_path / "secret" / "000.png")
    assert "link.png is a link out of images" in refused(tmp_path / "images")
    link.unlink()
    link.symlink_to("gone.png")
    assert "link.png is a link that leads nowhere" in refused(tmp_path / "images")
    link.unlink()
    link.symlink_to("000.png")
    assert resolve_data({"name": "file", "path": str(tmp_path / "images")}).load().is_image
    classes = tmp_path / "classes"
    classes.mkdir()
    make_images(classes / "a")
    (classes / "b").symlink_to(tmp_path / "secret")
    assert "b is a link out of classes" in refused(classes)


def test_images_of_other_formats_and_bombs_are_not_decoded(tmp_path: Path) -> None:
    make_images(tmp_path / "images")
    first = tmp_path / "images" / "000.png"
    first.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EOF\n")
    assert "000.png cannot be read as an image (PNG, " in refused(tmp_path / "images")
    head = b"IHDR" + struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    first.write_bytes(png + struct.pack(">I", 0) + b"IDAT")
    assert "000.png has far too many pixels; sides are 1 to 256" in refused(tmp_path / "images")
    first.write_bytes((tmp_path / "images" / "001.png").read_bytes()[:70])
    assert "000.png is damaged" in refused(tmp_path / "images")
    with first.open("wb") as file:
        file.truncate(image_folder.MAX_IMAGE_BYTES + 1)
    assert "000.png is no file, or has more than 16 MB" in refused(tmp_path / "images")


def wide_csv(path: Path) -> None:
    path.write_text(",".join(["1.5"] * 2_500_000) + "\n" + ",".join(["2.5"] * 2_500_000) + "\n")


def packed_zeros(path: Path) -> None:
    values = np.zeros((4_900_000, 10))
    values[0], values[-1, -1] = 1, np.nan
    np.savez_compressed(path, x=values)


def long_csv(path: Path) -> None:
    path.write_text("1,2\n" + "2.5,3\n" * 3_000_000 + "2,x\n")


PROBE = """
import resource, sys
from pathlib import Path
from backend.datasets import reading
from backend.errors import BadInput
from benchmarks.hostile_files import FILES, X, header, npy, npz
import pyarrow.csv
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
before = peak()
try:
    reading.read_file(Path(sys.argv[1]), "")
except BadInput:
    print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "make"), [("w.csv", wide_csv), ("b.npz", packed_zeros), ("l.csv", long_csv)]
)
def test_a_file_that_is_refused_takes_little_memory(
    name: str, make: Callable[[Path], None], tmp_path: Path
) -> None:
    make(tmp_path / name)
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(tmp_path / name)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout, done.stderr
    assert int(done.stdout) < 200, "MB more than before it was opened"


def test_a_file_that_is_refused_while_others_are_read_leaves_no_thread(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"1,2\n" * 20_000 + b"x,y\n")
    before = threading.active_count()
    assert "row 20001" in refused(tmp_path / "x.csv")
    assert threading.active_count() == before
