"""Reading a folder of equal images, or of one such folder a class."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
)
from backend.datasets.value_checks import check_values

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
MAX_IMAGES = 50_000
GREY_MODES = ("1", "L", "LA")
_MODES = (*GREY_MODES, "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
_LEFTOVERS = frozenset(
    ("__macosx", "@eadir", "#recycle", "$recycle.bin", "lost+found", "system volume information")
)
"""Folders that other systems leave among those of classes."""
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
        if Path(entry.name).suffix.lower() in SUFFIXES and not entry.is_dir():
            paths.append(Path(entry.path))
            if len(paths) > MAX_IMAGES:
                raise bad(f"{folder.name} holds more images; at most {MAX_IMAGES:,} are read.")
    return sorted(paths)


def _entries(folder: Path, root: Path) -> Iterator[os.DirEntry[str]]:
    """Files of a folder, hidden ones aside. Raises BadInput for a link that leads out."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name.lower() in _LEFTOVERS:
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
        raise bad(f"{folder.name} holds no images ({', '.join(SUFFIXES)}).{_others(folder)}")
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
            advice = _others(path)
            if any(entry.is_dir() for entry in _entries(path, folder)):
                advice = f" It holds folders: name {folder.name}/{path.name} itself."
            raise bad(
                f"{folder.name}/{path.name} holds {len(of_class)} images ({', '.join(SUFFIXES)}); "
                f"every class needs at least {MIN_OF_LABEL}, as some are held out.{advice}"
            )
        paths += of_class
        counts.append(len(of_class))
    labels = np.repeat(np.arange(len(classes)), counts)
    return paths, labels, tuple(path.name for path in classes)


def _others(folder: Path) -> str:
    """A sentence on the files of another kind that a folder holds most of; "" without any."""
    suffixes = [Path(entry.name).suffix.lower() for entry in _entries(folder, folder)]
    given = [suffix for suffix in suffixes if suffix]
    if not given:
        return ""
    most = max(sorted(set(given)), key=given.count)
    return f" It holds {given.count(most):,} of kind {most}: save them as .png."


def _read(paths: list[Path], folder: Path) -> npt.NDArray[np.uint8]:
    """The pixels, as a viewer shows them, of images that must be of one size."""
    pixels: npt.NDArray[np.uint8] | None = None
    first = ""
    for index, path in enumerate(paths):
        name = path.relative_to(folder).as_posix()
        image = _pixels(path, name)
        if pixels is None:
            first = name
            check_shape(folder.name, (len(paths), *image.shape))
            pixels = np.empty((len(paths), *image.shape), np.uint8)
        if image.shape[:2] != pixels.shape[1:3]:
            (height, width), (other_height, other_width) = pixels.shape[1:3], image.shape[:2]
            raise bad(
                f"{name} is {other_width} × {other_height}, {first} is "
                f"{width} × {height}; all images must have one size."
            )
        if image.ndim > pixels.ndim - 1:  # the first one of colour among grey ones
            check_shape(folder.name, (*pixels.shape, 3))
            pixels = np.repeat(pixels[..., None], 3, axis=3)
        pixels[index] = image[..., None] if image.ndim < pixels.ndim - 1 else image
    assert pixels is not None
    return pixels


def _pixels(path: Path, name: str) -> npt.NDArray[np.uint8]:
    """(h, w) of a grey image, else (h, w, 3): turned as its EXIF says, laid on white where it is
    transparent."""
    from PIL import Image, ImageOps

    if not path.is_file() or path.stat().st_size > MAX_IMAGE_BYTES:
        raise bad(f"{name} is no file, or has more than {MAX_IMAGE_BYTES // 2**20} MB.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(path, formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise bad(f"{name} has far too many pixels; sides are 1 to {MAX_SIDE}.") from error
    except Exception as error:  # decoders raise what they please at a damaged file
        reason = f"cannot be read as an image ({', '.join(FORMATS)})."
        raise bad(f"{name} {reason}{_other_kind(path)}") from error
    with image:
        width, height = image.size
        if max(width, height) > MAX_SIDE:
            raise bad(f"{name} is {width} × {height}; sides are 1 to {MAX_SIDE} pixels.")
        if image.mode not in _MODES:
            raise bad(
                f"{name} has pixels of kind {image.mode}; 8-bit grey or colour is read. Save it "
                "so, or all of them as one .npy file."
            )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                turned = ImageOps.exif_transpose(image)
                return np.asarray(_on_white(turned))
        except Exception as error:  # as above
            raise bad(f"{name} is damaged: its pixels cannot be read.") from error


def _on_white(image: Any) -> Any:
    """A grey or an RGB image."""
    from PIL import Image

    grey = image.mode in GREY_MODES
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(ground, layer)
    return image.convert("L" if grey else "RGB")


def _other_kind(path: Path) -> str:
    with path.open("rb") as file:
        beginning = file.read(64).lstrip().lower()
    if beginning.startswith(b"version https://git-lfs"):
        return " It is a pointer of Git LFS: fetch the images by `git lfs pull`."
    if beginning.startswith((b"<!doctype", b"<html", b"<?xml")):
        return " It is a web page: download it again."
    if not beginning:
        return " It is empty."
    return ""
