"""The user's own files: what is read, and every way to be refused."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch
from PIL import Image

from backend.catalogue import resolve_data
from backend.data import Data
from backend.datasets import image_folder, reading
from backend.errors import BadInput


def points(num: int = 100, dim: int = 3) -> np.ndarray:
    return np.random.default_rng(0).normal([5.0, -2.0, 100.0][:dim], [1, 2, 30][:dim], (num, dim))


def load(path: Path, **fields: Any) -> Data:
    return resolve_data({"name": "file", "path": str(path), **fields}).load()


def refused(path: Path, field: str = "data.path", **fields: Any) -> str:
    with pytest.raises(BadInput) as caught:
        load(path, **fields)
    (problem,) = caught.value.problems
    assert problem.field == field
    return problem.message


def write_csv(path: Path, rows: list[str]) -> Path:
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def check_points(data: Data, values: np.ndarray) -> None:
    """All rows are there once, shuffled, and come back in the file's units."""
    assert len(data.held_out) == round(0.2 * len(values))
    both = torch.cat([data.restore(data.train), data.restore(data.held_out)]).double().numpy()
    order, mine = np.lexsort(values.T), np.lexsort(both.T)
    np.testing.assert_allclose(both[mine], values[order], rtol=1e-5, atol=1e-5)
    assert torch.allclose(data.train.mean(0), torch.zeros(values.shape[1]), atol=1e-5)
    assert data.density is None and data.draw is None and not data.is_image


def test_npy(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", points())
    data = load(tmp_path / "x.npy")
    check_points(data, points())
    assert data.title == "x.npy" and data.columns == ()


def test_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "one.npz", only=points())
    check_points(load(tmp_path / "one.npz"), points())
    np.savez_compressed(tmp_path / "two.npz", a=points(), b=points()[:, :2])
    check_points(load(tmp_path / "two.npz", key="b"), points()[:, :2])


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("header", [True, False])
def test_csv(tmp_path: Path, delimiter: str, header: bool) -> None:
    rows = [delimiter.join(map(repr, row)) for row in points().tolist()]
    if header:
        rows.insert(0, delimiter.join(["t1", '"t 2"', "t3"]))
    data = load(write_csv(tmp_path / "x.csv", rows))
    check_points(data, points())
    assert data.columns == (("t1", "t 2", "t3") if header else ())


def test_parquet(tmp_path: Path) -> None:
    table = {name: points()[:, i] for i, name in enumerate("abc")}
    pyarrow.parquet.write_table(pyarrow.table(table), tmp_path / "x.parquet")
    data = load(tmp_path / "x.parquet")
    check_points(data, points())
    assert data.columns == ("a", "b", "c")


def test_not_standardised(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", points())
    data = load(tmp_path / "x.npy", standardise=False)
    assert torch.equal(data.train, data.restore(data.train))
    assert float(data.train[:, 2].mean()) == pytest.approx(100, abs=15)


def test_share_and_seed_of_the_held_out_rows(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", points())
    path = tmp_path / "x.npy"
    assert len(load(path, held_out=0.5).held_out) == 50
    assert torch.equal(load(path).train, load(path).train)
    assert not torch.equal(load(path).train, load(path, seed=1).train)


@pytest.mark.parametrize("shape", [(30, 6, 5), (30, 6, 5, 1), (30, 6, 5, 3)])
def test_image_arrays(tmp_path: Path, shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    values.flat[:2] = 0, 255
    np.save(tmp_path / "x.npy", values)
    data = load(tmp_path / "x.npy")
    assert data.is_image and data.image_range == (0.0, 255.0)
    assert data.event_shape == shape[1:]
    both = torch.cat([data.train, data.held_out])
    assert float(both.min()) == -1 and float(both.max()) == 1
    assert sorted(data.restore(both).round().flatten().tolist()) == sorted(values.flat)


def test_image_folder(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (25, 7, 9)).astype(np.uint8)
    for i, pixels in enumerate(values):
        Image.fromarray(pixels).save(tmp_path / f"{i:03}.png")
    (tmp_path / "notes.txt").write_text("not an image")
    data = load(tmp_path)
    assert data.event_shape == (7, 9)
    restored = data.restore(torch.cat([data.train, data.held_out])).round()
    assert sorted(restored.sum((1, 2)).tolist()) == sorted(values.sum((1, 2)).tolist())
    Image.fromarray(np.stack([values[0]] * 3, 2)).save(tmp_path / "000.png")
    assert load(tmp_path).event_shape == (7, 9, 3)


pytestmark = pytest.mark.filterwarnings("error")


@pytest.mark.bad_input
def test_nan_names_row_and_column(tmp_path: Path) -> None:
    rows = ["t1,t2,t3", *["1,2,3", "2,3,5"] * 500]
    rows[812] = "1,2,nan"
    message = refused(write_csv(tmp_path / "x.csv", rows))
    assert message == (
        "row 812, column “t3” is NaN; every value must be a finite number. "
        "Remove the row or fill it in."
    )


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("value", "word"), [(np.nan, "NaN"), (np.inf, "inf"), (-np.inf, "-inf"), (1e300, "too large")]
)
def test_values_that_are_not_finite(tmp_path: Path, value: float, word: str) -> None:
    values = points()
    values[41, 1] = value
    np.save(tmp_path / "x.npy", values)
    message = refused(tmp_path / "x.npy")
    assert message.startswith("row 42, column 2 is ") and word in message


@pytest.mark.bad_input
def test_nan_in_an_image(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((30, 4, 4))
    values[7, 1, 2] = np.nan
    np.save(tmp_path / "x.npy", values)
    assert "image 8, pixel row 2, pixel column 3 is NaN" in refused(tmp_path / "x.npy")


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("1,2", "row 30 has 2 values, the first line has 3"),
        ("1,2,3,4", "row 30 has 4 values, the first line has 3"),
        ("1,,3", "row 30, column “b” is empty"),
        ("1,x y,3", "row 30, column “b” is “x y”, not a number"),
    ],
)
def test_crooked_csv(tmp_path: Path, row: str, expected: str) -> None:
    rows = ["a,b,c", *[f"{i},{i * i},{-i}" for i in range(100)]]
    rows[30] = row
    assert expected in refused(write_csv(tmp_path / "x.csv", rows))


@pytest.mark.bad_input
def test_ragged_and_pickled_arrays(tmp_path: Path) -> None:
    ragged = np.array([[1.0], [1.0, 2.0]] * 20, dtype=object)
    np.save(tmp_path / "ragged.npy", ragged, allow_pickle=True)
    np.savez(tmp_path / "ragged.npz", x=ragged)
    (tmp_path / "pickled.npy").write_bytes(pickle.dumps(points()))
    for name in ("ragged.npy", "ragged.npz", "pickled.npy"):
        assert "pickled Python objects" in refused(tmp_path / name)


@pytest.mark.bad_input
def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    np.save(tmp_path / "trap.npy", np.array([Trap()] * 30, dtype=object), allow_pickle=True)
    refused(tmp_path / "trap.npy")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.bad_input
def test_empty_and_damaged_files(tmp_path: Path) -> None:
    for suffix in reading.SUFFIXES:
        (tmp_path / f"empty{suffix}").touch()
        assert "is empty" in refused(tmp_path / f"empty{suffix}")
    for suffix in (".npz", ".parquet"):
        (tmp_path / f"junk{suffix}").write_bytes(b"junk" * 50)
        refused(tmp_path / f"junk{suffix}")
    np.save(tmp_path / "cut.npy", points())
    whole = (tmp_path / "cut.npy").read_bytes()
    (tmp_path / "cut.npy").write_bytes(whole[: len(whole) // 2])
    assert "damaged" in refused(tmp_path / "cut.npy")
    np.savez(tmp_path / "cut.npz", x=points())
    whole = bytearray((tmp_path / "cut.npz").read_bytes())
    whole[len(whole) // 2] ^= 0xFF
    (tmp_path / "cut.npz").write_bytes(whole)
    refused(tmp_path / "cut.npz")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00a,b" * 100)
    refused(tmp_path / "binary.csv")
    assert "no rows" in refused(write_csv(tmp_path / "names.csv", ["a,b"]))


@pytest.mark.bad_input
def test_paths(tmp_path: Path) -> None:
    assert f"there is no file or folder at {tmp_path / 'no.npy'}" in refused(tmp_path / "no.npy")
    (tmp_path / "x.xlsx").write_bytes(b"x")
    assert "none of .npy" in refused(tmp_path / "x.xlsx")
    (tmp_path / "folder").mkdir()
    assert "holds no images" in refused(tmp_path / "folder")
    with pytest.raises(BadInput, match="is required"):
        resolve_data({"name": "file"})
    assert "neither a file nor a folder" in refused(Path("/dev/zero"))


@pytest.mark.bad_input
def test_keys(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=points(), b=points())
    assert "holds a, b; say which" in refused(tmp_path / "x.npz", "data.key")
    assert "no array “c”" in refused(tmp_path / "x.npz", "data.key", key="c")
    np.save(tmp_path / "x.npy", points())
    assert "only .npz" in refused(tmp_path / "x.npy", "data.key", key="c")


@pytest.mark.bad_input
def test_shapes(tmp_path: Path) -> None:
    for shape, expected in [
        ((100,), "Reshape it to (n, 1)"),
        ((30, 2, 2, 2, 2), "points are (n, d)"),
        ((5, 2), "5 rows; at least 20"),
        ((30, 0), "0 columns"),
        ((30, 8, 8, 2), "1, 3 or 4 channels"),
        ((30, 1, 300), "1 × 300; sides are 1 to 256"),
    ]:
        np.save(tmp_path / "x.npy", np.zeros(shape))
        assert expected in refused(tmp_path / "x.npy")


@pytest.mark.bad_input
def test_kinds_of_values(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.full((30, 2), "word"))
    assert "numbers are needed" in refused(tmp_path / "x.npy")
    np.save(tmp_path / "x.npy", np.ones((30, 2), complex))
    assert "numbers are needed" in refused(tmp_path / "x.npy")


@pytest.mark.bad_input
def test_constant_columns(tmp_path: Path) -> None:
    values = points()
    values[:, 1] = 7
    np.save(tmp_path / "x.npy", values)
    assert "column 2 is constant (7)" in refused(tmp_path / "x.npy")
    np.save(tmp_path / "x.npy", np.full((30, 4, 4), 3))
    assert "every pixel is 3" in refused(tmp_path / "x.npy")


@pytest.mark.bad_input
def test_bounds_on_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "x.npy", points())
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros((100_000, 3)))
    write_csv(tmp_path / "x.csv", [f"{i},{i * i}" for i in range(100)])
    monkeypatch.setattr(reading, "MAX_BYTES", 2**20)
    assert "unpacks to more than 1 MB" in refused(tmp_path / "x.npz")
    monkeypatch.setattr(reading, "MAX_BYTES", 1000)
    assert "at most 0 MB" in refused(tmp_path / "x.npy")
    monkeypatch.undo()
    monkeypatch.setattr(reading, "MAX_VALUES", 100)
    assert "Take a part of it" in refused(tmp_path / "x.npy")
    assert "Take a part of it" in refused(tmp_path / "x.csv")


@pytest.mark.bad_input
def test_parquet_that_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    values: list[float | None] = [float(i) for i in range(50)]
    pyarrow.parquet.write_table(pyarrow.table({"a": values, "w": ["x"] * 50}), path)
    assert "column “w” holds string" in refused(path)
    values[3] = None
    pyarrow.parquet.write_table(pyarrow.table({"a": values}), path)
    assert "row 4, column “a” is missing" in refused(path)


@pytest.mark.bad_input
def test_image_folders_that_do_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8)).astype(np.uint8)
    for i in range(10):
        Image.fromarray(pixels).save(tmp_path / f"{i:03}.png")
    assert "10 images; at least 20" in refused(tmp_path)
    for i in range(10, 30):
        Image.fromarray(pixels).save(tmp_path / f"{i:03}.png")
    Image.fromarray(pixels[:, :7]).save(tmp_path / "017.png")
    assert "017.png is 7 × 8, 000.png is 8 × 8" in refused(tmp_path)
    (tmp_path / "017.png").write_bytes(b"no image")
    assert "017.png cannot be read" in refused(tmp_path)
    Image.fromarray(np.zeros((8, 300), np.uint8)).save(tmp_path / "017.png")
    assert "017.png is 300 × 8" in refused(tmp_path)
    whole = (tmp_path / "016.png").read_bytes()
    Image.fromarray(pixels).save(tmp_path / "017.png")
    (tmp_path / "016.png").write_bytes(whole[:60])
    assert "016.png is damaged" in refused(tmp_path)
    monkeypatch.setattr(image_folder, "MAX_IMAGES", 25)
    assert "at most 25" in refused(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "images"
    made.mkdir()
    return made


def draw_classes(folder: Path, counts: dict[str, int]) -> None:
    """A sub-folder of 5 × 4 grey images for every class, the first pixel its name's length."""
    random = np.random.default_rng(0)
    for name, num in counts.items():
        (folder / name).mkdir()
        for i in range(num):
            pixels = random.integers(0, 256, (4, 5)).astype(np.uint8)
            pixels[0, 0] = len(name)
            Image.fromarray(pixels).save(folder / name / f"{i:03}.png")


def test_sub_folders_are_classes(folder: Path) -> None:
    draw_classes(folder, {"dogs": 30, "a": 10, "cat": 2})
    (folder / ".cache").mkdir()
    data = load(folder)
    assert data.label_names == ("a", "cat", "dogs") and data.num_labels == 3
    assert data.event_shape == (4, 5)
    assert data.labels is not None and data.held_out_labels is not None
    assert torch.bincount(data.labels).tolist() == [8, 1, 24]
    assert torch.bincount(data.held_out_labels).tolist() == [2, 1, 6]
    for images, labels in ((data.train, data.labels), (data.held_out, data.held_out_labels)):
        marks = data.restore(images)[:, 0, 0].round().long()
        assert torch.equal(marks, torch.tensor([1, 3, 4])[labels]), "labels go with their images"
    assert torch.equal(load(folder).train, data.train)
    assert not torch.equal(load(folder, seed=1).train, data.train)


def test_a_flat_folder_has_no_classes_whatever_lies_beside(folder: Path) -> None:
    draw_classes(folder, {"more": 3})
    for i in range(20):
        Image.fromarray(np.full((4, 5), 10 * i, np.uint8)).save(folder / f"{i:03}.png")
    data = load(folder)
    assert len(data.train) + len(data.held_out) == 20
    assert data.labels is None and data.num_labels == 0


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"one": 30}, "but 1 sub-folders; 2 to 1,000 are read"),
        ({"full": 30, "poor": 1}, "/poor holds 1 images"),
        ({"full": 30, "void": 0}, "/void holds 0 images"),
        ({"x": 5, "y": 5}, "holds 10 images; at least 20"),
    ],
)
def test_sub_folders_that_are_no_classes(
    folder: Path, counts: dict[str, int], expected: str
) -> None:
    draw_classes(folder, counts)
    message = refused(folder)
    assert folder.name in message and expected in message


@pytest.mark.bad_input
def test_too_many_classes_and_unequal_ones(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw_classes(folder, {"a": 10, "bb": 10, "ccc": 10})
    monkeypatch.setattr(image_folder, "MAX_LABELS", 2)
    assert "3 sub-folders; 2 to 2 are read" in refused(folder)
    monkeypatch.undo()
    Image.fromarray(np.zeros((6, 6), np.uint8)).save(folder / "bb" / "003.png")
    assert refused(folder).startswith("bb/003.png is 6 × 6, a/000.png is 5 × 4")


@pytest.mark.parametrize("name", ["labels", "y"])
@pytest.mark.parametrize(
    ("given", "names"),
    [
        (np.arange(60) % 3, ("0", "1", "2")),
        (np.arange(60) % 2 * 4 + 3, ("3", "7")),
        (np.array(["left", "right"] * 30), ("left", "right")),
    ],
)
def test_classes_beside_the_array(
    tmp_path: Path, name: str, given: np.ndarray, names: tuple[str, ...]
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (60, 4, 4)).astype(np.uint8)
    np.savez(tmp_path / "x.npz", images=images, **{name: given})
    data = load(tmp_path / "x.npz")
    assert data.label_names == names and data.labels is not None
    both = torch.cat([data.train, data.held_out])
    labels = torch.cat([data.labels, data.held_out_labels])  # type: ignore[list-item]
    pixels = data.restore(both).round().numpy().astype(np.uint8)
    found = {(x.tobytes(), names[label]) for x, label in zip(pixels, labels, strict=True)}
    assert found == {(x.tobytes(), str(label)) for x, label in zip(images, given, strict=True)}


def test_a_y_that_is_no_class_is_let_be(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for y in (random.normal(size=100), np.arange(100), random.integers(0, 3, 99)):
        np.savez(tmp_path / "x.npz", x=points(), y=y)
        check_points(load(tmp_path / "x.npz"), points())
        assert load(tmp_path / "x.npz").labels is None
    np.savez(tmp_path / "x.npz", y=points())
    check_points(load(tmp_path / "x.npz"), points())


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (np.zeros(99, int), "“labels” has shape (99,)"),
        (np.full(100, 0.5), "holds float64"),
        (np.zeros((100, 2), int), "has shape (100, 2)"),
        (np.arange(100), "100 classes, the rarest of 1 rows"),
    ],
)
def test_labels_that_are_no_classes(tmp_path: Path, labels: np.ndarray, expected: str) -> None:
    np.savez(tmp_path / "x.npz", x=points(), labels=labels)
    assert expected in refused(tmp_path / "x.npz")
