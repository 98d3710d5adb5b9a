"""Reading a folder of equal images."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from backend.datasets.reading import (
    MAX_BYTES,
    MAX_SIDE,
    MIN_ROWS,
    Table,
    bad,
    check_shape,
    check_values,
)

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
MAX_IMAGES = 50_000
GREY_MODES = ("1", "L", "LA")


def read_folder(folder: Path) -> Table:
    """Every image directly in the folder, in the order of their names, as uint8.

    (n, h, w) when all are grey, else (n, h, w, 3). Raises BadInput for unequal sizes, unreadable
    files, too few or too many.
    """
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise bad(f"{folder.name} holds no images ({', '.join(SUFFIXES)}).")
    if len(paths) < MIN_ROWS:
        raise bad(f"{folder.name} holds {len(paths)} images; at least {MIN_ROWS} are needed.")
    if len(paths) > MAX_IMAGES:
        raise bad(f"{folder.name} holds {len(paths):,} images; at most {MAX_IMAGES:,} are read.")
    sizes = [_size(path) for path in paths]
    width, height, _ = sizes[0]
    for path, (other_width, other_height, _) in zip(paths, sizes, strict=True):
        if (other_width, other_height) != (width, height):
            raise bad(
                f"{path.name} is {other_width} × {other_height}, {paths[0].name} is "
                f"{width} × {height}; all images must have one size."
            )
    grey = all(mode in GREY_MODES for _, _, mode in sizes)
    shape = (len(paths), height, width) if grey else (len(paths), height, width, 3)
    check_shape(folder.name, shape)
    pixels = np.empty(shape, np.uint8)
    for index, path in enumerate(paths):
        pixels[index] = _pixels(path, "L" if grey else "RGB")
    table = Table(pixels)
    check_values(table)
    return table


def _size(path: Path) -> tuple[int, int, str]:
    """Width, height and mode from the header alone."""
    from PIL import Image, UnidentifiedImageError

    if not path.is_file() or path.stat().st_size > MAX_BYTES:
        raise bad(f"{path.name} is no file, or too large.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                width, height = image.size
                mode = image.mode
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError,
            Image.DecompressionBombWarning) as error:  # fmt: skip
        raise bad(f"{path.name} cannot be read as an image.") from error
    if max(width, height) > MAX_SIDE:
        raise bad(f"{path.name} is {width} × {height}; sides are 1 to {MAX_SIDE} pixels.")
    if mode not in (*GREY_MODES, "P", "RGB", "RGBA", "CMYK", "YCbCr"):
        raise bad(f"{path.name} has pixels of kind {mode}; 8-bit grey or colour is read.")
    return width, height, mode


def _pixels(path: Path, mode: str) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return np.asarray(image.convert(mode))
    except (OSError, ValueError, SyntaxError) as error:
        raise bad(f"{path.name} is damaged: its pixels cannot be read.") from error
