"""Folders of images as people have them, and the pixels a viewer shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

NUM = 24
GREY = np.random.default_rng(6).integers(0, 256, (NUM, 8, 6)).astype(np.uint8)
COLOUR = np.random.default_rng(7).integers(0, 256, (NUM, 8, 6, 3)).astype(np.uint8)
FORK = bytes.fromhex("0005160700020000") + b"Mac OS X        " + bytes(200)

Make = Callable[[Path], None]


def write(folder: Path, images: Any, suffix: str = ".png", **settings: Any) -> None:
    """Save images under the numbers 000, 001, …"""
    folder.mkdir(parents=True, exist_ok=True)
    for at, image in enumerate(images):
        if isinstance(image, np.ndarray):
            image = Image.fromarray(image)
        image.save(folder / f"{at:03}{suffix}", **settings)


def leftovers(folder: Path) -> None:
    write(folder, GREY)
    for at in range(NUM):
        (folder / f"._{at:03}.png").write_bytes(FORK)
    for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
        (folder / name).write_bytes(b"x")


def classes(folder: Path) -> None:
    write(folder / "cats", GREY[:12])
    write(folder / "dogs", GREY[12:])
    for name in ("__MACOSX", "@eaDir", ".ipynb_checkpoints", "$RECYCLE.BIN"):
        (folder / name).mkdir()
        (folder / name / "._cats").write_bytes(FORK)


def turned(folder: Path) -> None:
    """Every other image on its side, and its EXIF says so."""
    folder.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    for at, pixels in enumerate(GREY):
        image = Image.fromarray(pixels)
        if at % 2:
            image.rotate(90, expand=True).save(folder / f"{at:03}.png", exif=exif)
        else:
            image.save(folder / f"{at:03}.png")


def transparent(folder: Path) -> None:
    """Black discs on transparent ground with colours hidden in it."""
    hidden = COLOUR.copy()
    hidden[:, 2:5, 2:4] = 0
    alpha = np.zeros((NUM, 8, 6, 1), np.uint8)
    alpha[:, 2:5, 2:4] = 255
    write(folder, np.concatenate([hidden, alpha], 3))


def on_white() -> np.ndarray[Any, Any]:
    pixels = np.full((NUM, 8, 6, 3), 255, np.uint8)
    pixels[:, 2:5, 2:4] = 0
    return pixels


def half_transparent(folder: Path) -> None:
    layers = np.stack([GREY, np.full_like(GREY, 0)], 3)
    layers[:, 0, 0, 1] = 255
    write(folder, [Image.fromarray(layer, "LA") for layer in layers])


def half_on_white() -> np.ndarray[Any, Any]:
    pixels = np.full_like(GREY, 255)
    pixels[:, 0, 0] = GREY[:, 0, 0]
    return pixels


def one_of_colour(folder: Path) -> None:
    write(folder, [*GREY[:5], COLOUR[5], *GREY[6:]])


def mixed() -> np.ndarray[Any, Any]:
    pixels = np.repeat(GREY[..., None], 3, 3)
    pixels[5] = COLOUR[5]
    return pixels


def unequal(folder: Path) -> None:
    write(folder, [*GREY[:20], GREY[20][:, :5], *GREY[21:]])


def pointers(folder: Path) -> None:
    write(folder, GREY)
    (folder / "004.png").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid x\n")


def pages(folder: Path) -> None:
    write(folder, GREY)
    (folder / "004.png").write_bytes(b"<!DOCTYPE html><html></html>")


def broken(folder: Path) -> None:
    write(folder, GREY)
    whole = (folder / "004.png").read_bytes()
    (folder / "004.png").write_bytes(whole[:60])


def phone(folder: Path) -> None:
    folder.mkdir()
    for at in range(NUM):
        (folder / f"{at}.heic").write_bytes(b"x")


def splits(folder: Path) -> None:
    for part in ("train", "test"):
        write(folder / part / "cats", GREY[:12])
        write(folder / part / "dogs", GREY[12:])


def sixteen_bit(folder: Path) -> None:
    write(folder, GREY.astype(np.uint16) * 257)


def upper_case(folder: Path) -> None:
    write(folder, GREY, ".PNG")


def palette(folder: Path) -> None:
    write(folder, [Image.fromarray(pixels).convert("P") for pixels in GREY])


IMAGES: list[tuple[Any, ...]] = [
    ("grey", lambda folder: write(folder, GREY), GREY),
    ("colour", lambda folder: write(folder, COLOUR), COLOUR),
    ("upper_case", upper_case, GREY),
    ("bitmaps", lambda folder: write(folder, COLOUR, ".bmp"), COLOUR),
    ("palette", palette, np.repeat(GREY[..., None], 3, 3)),
    ("leftovers", leftovers, GREY),
    ("classes", classes, GREY, "", None, ("cats",) * 12 + ("dogs",) * 12),
    ("turned", turned, GREY),
    ("transparent", transparent, on_white()),
    ("half_transparent", half_transparent, half_on_white()),
    ("one_of_colour", one_of_colour, mixed()),
    ("unequal", unequal, None, "020.png is 5 × 8, 000.png is 6 × 8"),
    ("pointers", pointers, None, "004.png cannot be read as an image|git lfs pull"),
    ("pages", pages, None, "It is a web page"),
    ("broken", broken, None, "004.png is damaged"),
    ("phone", phone, None, "24 of kind .heic: save them as .png"),
    ("splits", splits, None, "It holds folders: name"),
    ("sixteen_bit", sixteen_bit, None, "8-bit grey or colour is read"),
]
"""Name, what makes the folder, pixels or None, words, columns, and the classes' names."""
