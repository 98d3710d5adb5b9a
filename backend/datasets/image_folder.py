"""Reading a folder of equal images, or of one such folder a class."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from backend.datasets.reading import (
    MAX_LABELS,
    MAX_SIDE,
    MIN_OF_LABEL,
    MIN_ROWS,
    Table,
    bad,
    check_shape,
    check_values,
)

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
MAX_IMAGES = 50_000
GREY_MODES = ("1", "L", "LA")
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF")
"""Formats that are decoded, whatever a file is called: others start programs of their own."""
MAX_IMAGE_BYTES = 16 * 2**20


def read_folder(folder: Path) -> Table:
    """Every image directly in the folder, in the order of their names, as uint8; where there is
    none, those of its sub-folders, each a class of its name.

    (n, h, w) when all are grey, else (n, h, w, 3). Raises BadInput for unequal sizes, unreadable
    files, too few or too many.
    """
    paths = _images_in(folder, folder)
    labels: npt.NDArray[np.int64] | None = None
    names: tuple[str, ...] = ()
    if not paths:
        paths, labels, names = _by_class(folder)
    if len(paths) < MIN_ROWS:
        raise bad(f"{folder.name} holds {len(paths)} images; at least {MIN_ROWS} are needed.")
    if len(paths) > MAX_IMAGES:
        raise bad(f"{folder.name} holds {len(paths):,} images; at most {MAX_IMAGES:,} are read.")
    table = Table(_read(paths, folder), labels=labels, label_names=names)
    check_values(folder.name, table.values)
    return table


def _images_in(folder: Path, root: Path) -> list[Path]:
    """The images directly in a folder, sorted. Raises BadInput for one that lies outside `root`."""
    paths = []
    for entry in _entries(folder, root):
        if Path(entry.name).suffix.lower() in SUFFIXES:
            paths.append(Path(entry.path))
            if len(paths) > MAX_IMAGES:
                raise bad(f"{folder.name} holds more images; at most {MAX_IMAGES:,} are read.")
    return sorted(paths)


def _entries(folder: Path, root: Path) -> Iterator[os.DirEntry[str]]:
    """Files of a folder, hidden ones aside. Raises BadInput for a link that leads out."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_symlink():
                    _check_link(Path(entry.path), root)
                yield entry
    except PermissionError as error:
        raise bad(f"{folder} may not be read by this user.") from error


def _check_link(path: Path, root: Path) -> None:
    name = path.relative_to(root).as_posix()
    try:
        inside = path.resolve(strict=True).is_relative_to(root.resolve())
    except (OSError, RuntimeError) as error:
        raise bad(f"{name} is a link that leads nowhere. Remove it.") from error
    if not inside:
        raise bad(
            f"{name} is a link out of {root.name}, which is not followed. Put the images "
            "themselves there, or name the folder that holds them."
        )


def _by_class(folder: Path) -> tuple[list[Path], npt.NDArray[np.int64], tuple[str, ...]]:
    """The images of all sub-folders, their classes, and the classes' names. Raises BadInput."""
    classes = sorted(Path(entry.path) for entry in _entries(folder, folder) if entry.is_dir())
    if not classes:
        raise bad(f"{folder.name} holds no images ({', '.join(SUFFIXES)}).")
    if not 2 <= len(classes) <= MAX_LABELS:
        raise bad(
            f"{folder.name} holds no images but {len(classes):,} sub-folders; 2 to {MAX_LABELS:,} "
            "are read, one a class. A single one can be named itself."
        )
    paths: list[Path] = []
    counts = []
    for path in classes:
        of_class = _images_in(path, folder)
        if len(of_class) < MIN_OF_LABEL:
            raise bad(
                f"{folder.name}/{path.name} holds {len(of_class)} images ({', '.join(SUFFIXES)}); "
                f"every class needs at least {MIN_OF_LABEL}, as some are held out."
            )
        paths += of_class
        counts.append(len(of_class))
    labels = np.repeat(np.arange(len(classes)), counts)
    return paths, labels, tuple(path.name for path in classes)


def _read(paths: list[Path], folder: Path) -> npt.NDArray[np.uint8]:
    """The pixels of images that must be of one size."""
    names = [path.relative_to(folder).as_posix() for path in paths]
    sizes = [_size(path, name) for path, name in zip(paths, names, strict=True)]
    width, height, _ = sizes[0]
    for name, (other_width, other_height, _) in zip(names, sizes, strict=True):
        if (other_width, other_height) != (width, height):
            raise bad(
                f"{name} is {other_width} × {other_height}, {names[0]} is "
                f"{width} × {height}; all images must have one size."
            )
    grey = all(mode in GREY_MODES for _, _, mode in sizes)
    shape = (len(paths), height, width) if grey else (len(paths), height, width, 3)
    check_shape(folder.name, shape)
    pixels = np.empty(shape, np.uint8)
    for index, path in enumerate(paths):
        pixels[index] = _pixels(path, names[index], "L" if grey else "RGB")
    return pixels


def _size(path: Path, name: str) -> tuple[int, int, str]:
    """Width, height and mode from the header alone."""
    from PIL import Image

    if not path.is_file() or path.stat().st_size > MAX_IMAGE_BYTES:
        raise bad(f"{name} is no file, or has more than {MAX_IMAGE_BYTES // 2**20} MB.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=FORMATS) as image:
                width, height = image.size
                mode = image.mode
    except Image.DecompressionBombError as error:
        raise bad(f"{name} has far too many pixels; sides are 1 to {MAX_SIDE}.") from error
    except Exception as error:  # decoders raise what they please at a damaged file
        reason = f"cannot be read as an image ({', '.join(FORMATS)})."
        raise bad(f"{name} {reason}") from error
    if max(width, height) > MAX_SIDE:
        raise bad(f"{name} is {width} × {height}; sides are 1 to {MAX_SIDE} pixels.")
    if mode not in (*GREY_MODES, "P", "RGB", "RGBA", "CMYK", "YCbCr"):
        raise bad(f"{name} has pixels of kind {mode}; 8-bit grey or colour is read.")
    return width, height, mode


def _pixels(path: Path, name: str, mode: str) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(path, formats=FORMATS) as image:
            return np.asarray(image.convert(mode))
    except Exception as error:  # as above
        raise bad(f"{name} is damaged: its pixels cannot be read.") from error
