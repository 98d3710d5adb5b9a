"""The user's own data."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from backend.config import KindConfig, option
from backend.data import Data, Dataset, noise_box
from backend.datasets.column_choice import choose
from backend.datasets.image_folder import read_folder
from backend.datasets.reading import PIECE, Table, bad, column_name, read_file

Rows = npt.NDArray[np.int64]


class FileConfig(KindConfig):
    kind: Literal["file"] = "file"
    path: str = option(
        ...,
        "A .npy, .npz, .csv or .parquet file of points (n, d), a .npy or .npz file of images "
        "(n, h, w) or (n, h, w, channels), or a folder of equal images, in sub-folders by class if "
        "there are classes.",
        main=True,
        min_length=1,
    )
    key: str = option(
        "",
        "Which array of an .npz file; may be left out when it holds one. An array `labels` or `y` "
        "beside it gives the class of every row.",
    )
    columns: list[str] = option(
        [],
        "Columns of a table that are learned, by name, or by place from 1; none named: all of "
        "them.",
        max_length=4096,
    )
    label: str = option(
        "",
        "Column of a table that names the class of every row, by name, or by place from 1.",
        max_length=1000,
    )
    standardise: bool = option(
        True,
        "Shift and scale every column to mean 0 and standard deviation 1 for training; results "
        "are shown in the file's own units. Images are always mapped to [-1, 1].",
    )
    held_out: float = option(
        0.2,
        "Share of the rows, of every class, kept from training to judge quality on.",
        gt=0,
        le=0.5,
    )
    seed: int = option(0, "Seeds which rows are held out.", ge=0, le=2**31 - 1)


class FileData(Dataset):
    """Points or images from a file or a folder; no density is known."""

    Config: ClassVar[type[KindConfig]] = FileConfig
    title: ClassVar[str] = "Your own file"
    summary: ClassVar[str] = "Points from .npy, .npz, .csv or .parquet, or images, or a folder."
    config: Any

    def load(self) -> Data:
        path = Path(self.config.path)
        table = choose(_read(path, self.config.key), self.config.columns, self.config.label)
        chosen = self._split(len(table.values), table.labels)
        shared: dict[str, Any] = {"name": "file", "title": path.name, "columns": table.columns}
        if table.labels is not None:
            labels, held_out_labels = (torch.from_numpy(table.labels[rows]) for rows in chosen)
            shared.update(
                labels=labels, held_out_labels=held_out_labels, label_names=table.label_names
            )
        if table.values.ndim > 2:
            return _image_data(table, chosen, shared)
        train = table.values[chosen[0]].astype(np.float64)
        mean, scale = np.zeros(train.shape[1]), np.ones(train.shape[1])
        if self.config.standardise:
            mean, scale = train.mean(0), train.std(0)
            flat = np.flatnonzero(scale == 0)
            if len(flat):
                name = column_name(int(flat[0]), table.columns)
                raise bad(f"{name} is constant in the training rows. Remove the column.")
        del train
        z, held_out = (_scaled(table.values, rows, mean, scale) for rows in chosen)
        low, high = noise_box(z)
        return Data(
            train=z,
            held_out=held_out,
            mean=_float32(mean),
            scale=_float32(scale),
            noise_low=low,
            noise_high=high,
            **shared,
        )

    def _split(self, num: int, labels: Rows | None) -> tuple[Rows, Rows]:
        """Places of the training and the held-out rows, in an order drawn from the seed; of every
        class, where there are classes, one at least in either."""
        order = np.random.default_rng(self.config.seed).permutation(num)
        if labels is None:
            num_held_out = max(1, round(self.config.held_out * num))
            return order[num_held_out:], order[:num_held_out]
        held_out = np.zeros(num, bool)
        for label in np.unique(labels):
            rows = order[labels[order] == label]
            share = round(self.config.held_out * len(rows))
            held_out[rows[: min(max(share, 1), len(rows) - 1)]] = True
        return order[~held_out[order]], order[held_out[order]]


def _read(path: Path, key: str) -> Table:
    try:
        path = path.expanduser()
        if path.is_dir():
            return read_folder(path)
        if not path.exists():
            raise bad(f"there is no file or folder at {path}.")
        if not path.is_file():
            raise bad(f"{path} is neither a file nor a folder.")
        return read_file(path, key)
    except PermissionError as error:
        raise bad(f"{path} may not be read by this user.") from error
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise bad(f"{str(path)[:200]} cannot be read: {reason}.") from error


def _image_data(table: Table, chosen: tuple[Rows, Rows], shared: dict[str, Any]) -> Data:
    """Images with their smallest and largest value mapped to -1 and 1."""
    low, high = float(table.values.min()), float(table.values.max())
    centre, half = (low + high) / 2, (high - low) / 2
    shape = table.values.shape[1:]
    train, held_out = (_scaled(table.values, rows, centre, half) for rows in chosen)
    return Data(
        train=train,
        held_out=held_out,
        mean=torch.tensor(centre),
        scale=torch.tensor(half),
        noise_low=torch.full(shape, -1.0),
        noise_high=torch.full(shape, 1.0),
        image_range=(low, high),
        **shared,
    )


def _scaled(values: np.ndarray, rows: Rows, mean: Any, scale: Any) -> Tensor:
    """(values - mean) / scale of some rows, float32, worked out in pieces of float64."""
    scaled = np.empty((len(rows), *values.shape[1:]), np.float32)
    step = max(1, PIECE // math.prod(values.shape[1:]))
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        scaled[start : start + len(part)] = (values[part].astype(np.float64) - mean) / scale
    return torch.from_numpy(scaled)


def _float32(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))
