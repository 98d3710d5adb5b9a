"""Zipped images: unpacked into a folder of the data folder, within bounds, or refused."""

from __future__ import annotations

import io
import stat
import zipfile

import numpy as np
import pytest
from PIL import Image

from backend.datasets.file import FileConfig, FileData
from backend.errors import BadInput
from dashboard.forms import draft, uploads


def image(seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (8, 8), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def zipped(entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


def test_zipped_images_are_data_with_their_classes() -> None:
    entries = {f"pets/{kind}/{i}.png": image(i) for kind in ("cats", "dogs") for i in range(12)}
    junk = {"pets/.DS_Store": b"x", "__MACOSX/pets/._0.png": b"x", "pets/readme.txt": b"x"}
    folder = uploads.keep("my pets.zip", zipped({**entries, **junk}))
    assert folder.parent == draft.uploads() and folder.name == "my_pets"
    assert sorted(each.name for each in folder.iterdir()) == ["cats", "dogs"]
    data = FileData(FileConfig(path=str(folder))).load()
    assert data.label_names == ("cats", "dogs") and data.event_shape == (8, 8)
    assert draft.known_files() == [folder], "and nothing half unpacked stands beside it"


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        ({"../x.png": image()}, "outside of itself"),
        ({"/etc/x.png": image()}, "outside of itself"),
        ({"a\\..\\..\\x.png": image()}, "outside of itself"),
        ({"C:/x.png": image()}, "outside of itself"),
        ({"notes.txt": b"hello"}, "holds no images"),
        ({"x.png": bytes(10**6)}, "unpacks to more"),
    ],
)
def test_a_zip_that_will_not_do_is_said_and_leaves_nothing(
    entries: dict[str, bytes], sentence: str
) -> None:
    with pytest.raises(BadInput, match=sentence):
        uploads.keep("x.zip", zipped(entries, zipfile.ZIP_DEFLATED))
    assert not draft.uploads().exists()


@pytest.mark.bad_input
def test_bounds_and_links_and_damage_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    link = zipfile.ZipInfo("x.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(BadInput, match="holds a link"):
        uploads.keep("x.zip", file.getvalue())
    with pytest.raises(BadInput, match="cannot be unpacked"):
        uploads.keep("x.zip", b"PK\x03\x04 and no more")
    broken = zipped({"x.png": image()}).replace(b"IDAT", b"IDAX")
    with pytest.raises(BadInput, match="cannot be unpacked"):
        uploads.keep("x.zip", broken)
    monkeypatch.setattr(uploads, "MOST_IMAGES", 1)
    with pytest.raises(BadInput, match="at most 1 are unpacked"):
        uploads.keep("x.zip", zipped({"x.png": image(), "y.png": image()}))
    monkeypatch.setattr(uploads, "MOST_UNPACKED", 10)
    with pytest.raises(BadInput, match="at most"):
        uploads.keep("x.zip", zipped({"x.png": image()}))
    assert not list(draft.uploads().iterdir())
