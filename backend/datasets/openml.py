"""Well-known images, downloaded once from OpenML and kept."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import logging
import shutil
import socket
import threading
import warnings
import zlib
from abc import abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from backend.config import KindConfig, option
from backend.data import Data, Dataset
from backend.errors import BadInput
from backend.system.home import cache, make_private

SILENCE_SECONDS = 60.0
"""Seconds that a server may say nothing before a download is given up."""
TOTAL_SECONDS = 3600.0
"""Seconds that a download may take in all, however steadily it drips."""
_TARGET = "class"

Array = npt.NDArray[np.uint8]
T = TypeVar("T")


@dataclass(frozen=True)
class Source:
    """Address of a set at OpenML, and what it must be."""

    data_id: int
    num_train: int
    num_test: int
    """the last ones"""
    shape: tuple[int, ...]
    """(height, width) or (height, width, 3); colours are sent plane by plane"""
    label_names: tuple[str, ...]
    megabytes: int
    """to be downloaded where the server packs nothing, about"""


class _Config(KindConfig):
    num: int = option(0, "Training images to take, 0 for all of them.", ge=0, le=60_000, main=True)
    num_held_out: int = option(10_000, "Test images to judge quality on.", ge=20, le=10_000)
    seed: int = option(
        0, "Seeds the order, and which images are taken when not all are.", ge=0, le=2**31 - 1
    )


class _Images(Dataset):
    """Images in [-1, 1] with their classes: the standard training and test images."""

    Config: ClassVar[type[KindConfig]] = _Config
    is_image: ClassVar[bool] = True
    config: Any

    @property
    @abstractmethod
    def source(self) -> Source:
        """A subclass gives it as a plain value."""

    def load(self) -> Data:
        with _alone(self._file):
            trouble, content = self._kept()
            if trouble:
                logging.getLogger(__name__).warning("%s %s", self.title, trouble)
                content = self._fetch()
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            images, labels = archive["images"], archive["labels"].astype(np.int64)
        return self._data(images, labels, self.source.num_test)

    def missing(self) -> str:
        trouble, _ = self._kept()
        if not trouble:
            return ""
        return (
            f"{self.title} {trouble}: up to {self.source.megabytes} MB will be downloaded from "
            f"OpenML when the run starts, or now by `basin data fetch {self._name}`."
        )

    def stand_in(self) -> Data:
        noise = np.random.default_rng(0).integers(0, 256, (200, *self.source.shape), np.uint8)
        return self._data(noise, np.arange(200) % len(self.source.label_names), 100)

    @property
    def _name(self) -> str:
        return str(self.config.kind)

    @property
    def _file(self) -> Path:
        return cache() / "datasets" / f"{self._name}.npz"

    def _data(self, images: Array, labels: npt.NDArray[np.int64], num_test: int) -> Data:
        """The last `num_test` images are held out; of each part as many as are asked for."""
        config, generator = self.config, np.random.default_rng(self.config.seed)
        num_train = len(images) - num_test
        train = generator.permutation(num_train)[: config.num or num_train]
        held_out = num_train + generator.permutation(num_test)[: config.num_held_out]
        shape = self.source.shape
        return Data(
            name=self._name,
            title=self.title,
            train=_scaled(images[train]),
            held_out=_scaled(images[held_out]),
            mean=torch.zeros(()),
            scale=torch.ones(()),
            noise_low=torch.full(shape, -1.0),
            noise_high=torch.full(shape, 1.0),
            image_range=(-1.0, 1.0),
            labels=torch.from_numpy(labels[train]),
            held_out_labels=torch.from_numpy(labels[held_out]),
            label_names=self.source.label_names,
        )

    def _kept(self) -> tuple[str, bytes]:
        """Problem with the copy kept here, "" for none, and its bytes."""
        try:
            content = self._file.read_bytes()
            checksum = _checksum_file(self._file).read_text().split()[:1]
        except OSError:
            return "is not here yet", b""
        if checksum != [hashlib.sha256(content).hexdigest()]:
            return f"is damaged in {self._file}", b""
        return "", content

    def _fetch(self) -> bytes:
        """Download the set, keep it with its checksum, and return the file's bytes."""
        file = self._file
        try:
            images, labels = _in_time(
                lambda: _download(self.source, downloads(self._name)), TOTAL_SECONDS
            )
            buffer = io.BytesIO()
            np.savez(buffer, images=images, labels=labels)
            content = buffer.getvalue()
            digest = hashlib.sha256(content).hexdigest()
            for path, part in (
                (_checksum_file(file), f"{digest}  {file.name}\n".encode()),
                (file, content),
            ):
                aside = path.with_name(f".{path.name}.part")
                aside.write_bytes(part)
                aside.replace(path)
            shutil.rmtree(downloads(self._name), ignore_errors=True)
        except (OSError, ValueError, KeyError, EOFError, HTTPException, zlib.error) as error:
            reason = (str(error).strip().splitlines() or [""])[0].rstrip(".")
            raise BadInput.at(
                "data.name",
                f"{self.title} could not be downloaded from OpenML and kept: "
                f"{type(error).__name__}: {reason}. Try again, or copy {file.name} and "
                f"{file.name}.sha256 from the folder {file.parent} of a machine that has them "
                f"into that of this one, by hand.",
            ) from error
        return content


def downloads(name: str) -> Path:
    """Path of a set while it is downloaded."""
    return cache() / "downloads" / name


def _checksum_file(file: Path) -> Path:
    """Beside the file, as `sha256sum` writes and checks it."""
    return file.with_name(f"{file.name}.sha256")


def _scaled(images: Array) -> Tensor:
    """(num, *shape) float32 in [-1, 1] of pixels 0 to 255."""
    return torch.from_numpy(images.astype(np.float32)).div_(127.5).sub_(1.0)


@contextlib.contextmanager
def _alone(file: Path) -> Iterator[None]:
    """One process at a time, so that several that start together download once."""
    try:
        make_private(file.parent)
        lock = open(file.with_name(f".{file.name}.lock"), "wb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise BadInput.at("data.name", f"{file} cannot be kept: {error.strerror}.") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _download(source: Source, folder: Path) -> tuple[Array, Array]:
    """Images (num, *shape) and labels (num,). scikit-learn holds what it gets against OpenML's
    checksum and asks again where they differ. Raises what it and the network raise."""
    from sklearn.datasets import fetch_openml

    num_pixels = int(np.prod(source.shape))
    # half of what pandas would take by itself
    types = {**dict.fromkeys(range(num_pixels), "float32"), num_pixels: "str"}
    with _patience(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bunch = fetch_openml(
            data_id=source.data_id,
            data_home=folder,
            target_column=_TARGET,
            as_frame=False,
            parser="pandas",
            n_retries=2,
            read_csv_kwargs={"dtype": types},
        )
    pixels = np.asarray(bunch.data)
    labels = np.asarray([int(str(label).strip("'")) for label in bunch.target])
    if (
        pixels.shape != (source.num_train + source.num_test, num_pixels)
        or pixels.min() < 0
        or pixels.max() > 255
    ):
        raise ValueError(f"an array {pixels.shape} came, which are not the images expected")
    if labels.min() != 0 or labels.max() != len(source.label_names) - 1:
        raise ValueError(f"labels from {labels.min()} to {labels.max()} came")
    pixels = pixels.astype(np.uint8)
    if len(source.shape) == 3:
        height, width, channels = source.shape
        pixels = pixels.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(pixels.reshape(-1, *source.shape)), labels.astype(np.uint8)


def _in_time(work: Callable[[], T], seconds: float) -> T:
    """Result of `work` within that time, raising what it raises, else TimeoutError: it is left
    alone then, in a thread that ends with the process."""
    given: Future[T] = Future()

    def do() -> None:
        try:
            given.set_result(work())
        except BaseException as error:
            given.set_exception(error)

    threading.Thread(target=do, name="download", daemon=True).start()
    try:
        return given.result(seconds)
    except TimeoutError as error:
        if given.done():
            raise
        raise TimeoutError(f"it was not here after {seconds:,.0f} s") from error


@contextlib.contextmanager
def _patience() -> Iterator[None]:
    """Connections made inside give up after a long silence; scikit-learn sets no limit."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


class MnistConfig(_Config):
    kind: Literal["mnist"] = "mnist"


class Mnist(_Images):
    Config: ClassVar[type[KindConfig]] = MnistConfig
    title: ClassVar[str] = "MNIST, 28×28"
    summary: ClassVar[str] = (
        "60,000 grey images of handwritten digits and 10,000 held out; downloaded once."
    )
    source = Source(554, 60_000, 10_000, (28, 28), tuple("0123456789"), 130)


class FashionMnistConfig(_Config):
    kind: Literal["fashion_mnist"] = "fashion_mnist"


class FashionMnist(_Images):
    Config: ClassVar[type[KindConfig]] = FashionMnistConfig
    title: ClassVar[str] = "Fashion-MNIST, 28×28"
    summary: ClassVar[str] = (
        "60,000 grey images of ten kinds of clothes and 10,000 held out; downloaded once."
    )
    source = Source(
        40996,
        60_000,
        10_000,
        (28, 28),
        (
            "T-shirt",
            "trouser",
            "pullover",
            "dress",
            "coat",
            "sandal",
            "shirt",
            "sneaker",
            "bag",
            "ankle boot",
        ),
        160,
    )


class Cifar10Config(_Config):
    kind: Literal["cifar_10"] = "cifar_10"
    num: int = option(0, "Training images to take, 0 for all of them.", ge=0, le=50_000, main=True)


class Cifar10(_Images):
    Config: ClassVar[type[KindConfig]] = Cifar10Config
    title: ClassVar[str] = "CIFAR-10, 32×32 in colour"
    summary: ClassVar[str] = (
        "50,000 photographs of ten kinds of animals and vehicles and 10,000 held out; downloaded "
        "once, which takes 2.5 GB of memory."
    )
    source = Source(
        40927,
        50_000,
        10_000,
        (32, 32, 3),
        ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        650,
    )
