"""Uploads: files and zipped images that people bring, kept in the data folder within bounds."""

from __future__ import annotations

import io
import secrets
import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath
from typing import IO

from backend.errors import BadInput
from backend.system.home import make_private
from dashboard.forms import draft

ZIP = ".zip"
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
MOST_IMAGES = 100_000
MOST_UNPACKED = 2 * 10**9
"""Bytes of all images of one .zip."""
MOST_RATIO = 200
"""Bytes that one byte of a .zip may unpack to: beyond it is a bomb, no image."""
_JUNK = ("__MACOSX",)


def keep(name: str, content: bytes) -> Path:
    """Save an uploaded file or unpack zipped images; returns the file or the folder.

    Raises BadInput for what is refused.
    """
    if Path(name).suffix.lower() == ZIP:
        return unpack(name, content)
    return draft.keep_upload(name, content)


def unpack(name: str, content: bytes) -> Path:
    """Unpack images from a .zip into a folder of the uploads, sub-folders by class.

    One folder around everything is taken off. Raises BadInput for a .zip that is damaged, too
    large, holds no images, or names paths outside of itself.
    """
    if len(content) > draft.MOST_UPLOAD_BYTES:
        raise _bad(f"must be at most 200 MB, got {len(content) / 1e6:.0f} MB.")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            images = _images(name, archive)
            return _written(name, archive, images)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError, ValueError) as error:
        raise _bad(f"{name} cannot be unpacked: {error}.") from error
    except OSError as error:
        raise _bad(f"{name} cannot be kept: {error.strerror or error}.") from error


def _images(name: str, archive: zipfile.ZipFile) -> list[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """List images and the paths they get. Raises BadInput."""
    images = []
    for entry in archive.infolist():
        path = PurePosixPath(entry.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
            raise _bad(f"{name} names {entry.filename[:80]!r}, outside of itself. Zip it anew.")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise _bad(f"{name} holds a link, {entry.filename[:80]!r}. Zip the files themselves.")
        hidden = any(part.startswith(".") or part in _JUNK for part in path.parts)
        if entry.is_dir() or hidden or path.suffix.lower() not in IMAGES:
            continue
        if entry.flag_bits & 1:
            raise _bad(f"{name} is locked by a password. Zip it without one.")
        if entry.file_size > MOST_RATIO * max(entry.compress_size, 1):
            raise _bad(f"{entry.filename[:80]!r} of {name} unpacks to more than any image would.")
        images.append((entry, path))
    if not images:
        raise _bad(f"{name} holds no images ({', '.join(IMAGES)}).")
    if len(images) > MOST_IMAGES:
        raise _bad(f"{name} holds {len(images):,} images; at most {MOST_IMAGES:,} are unpacked.")
    total = sum(entry.file_size for entry, _ in images)
    if total > MOST_UNPACKED:
        raise _bad(f"{name} unpacks to {total / 1e9:.1f} GB; at most {MOST_UNPACKED / 1e9:g} GB.")
    while (
        len({path.parts[0] for _, path in images}) == 1
        and min(len(path.parts) for _, path in images) > 1
    ):
        images = [(entry, PurePosixPath(*path.parts[1:])) for entry, path in images]
    return images


def _written(
    name: str,
    archive: zipfile.ZipFile,
    images: list[tuple[zipfile.ZipInfo, PurePosixPath]],
) -> Path:
    stem = draft.safe_stem(name)
    folder = draft.uploads() / stem
    if folder.exists():
        folder = draft.uploads() / f"{stem}-{secrets.token_hex(2)}"
    make_private(draft.uploads())
    # aside, so that a folder that is there is whole
    aside = draft.uploads() / f".{folder.name}-{secrets.token_hex(4)}"
    try:
        for entry, path in images:
            target = aside / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as packed, target.open("xb") as file:
                _copy(packed, file, entry, name)
        aside.rename(folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return folder


def _copy(packed: IO[bytes], file: IO[bytes], entry: zipfile.ZipInfo, name: str) -> None:
    """Copy as many bytes as the entry says it has. Raises BadInput where it has more."""
    content = packed.read(entry.file_size + 1)
    if len(content) > entry.file_size:
        raise _bad(f"{entry.filename[:80]!r} of {name} is larger than it says.")
    file.write(content)


def _bad(message: str) -> BadInput:
    return BadInput.at("data.path", message)
