"""The user's own data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from backend.config import KindConfig, option
from backend.data import CONCEPTS, Data, Dataset, noise_box
from backend.datasets.concept_columns import MOST_CONCEPTS
from backend.datasets.image_folder import read_folder
from backend.datasets.kept_tables import kept
from backend.datasets.reading import PIECE, Table, bad, column_name, read_file
from backend.errors import BadInput

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
        "Columns of a table that are learned, by their names, or places from 1 where it has none; "
        "all of numbers where none is named.",
        max_length=4096,
    )
    label: str = option(
        "",
        "The column of a table that holds the class of every row; a column named label or class, "
        "or the only one of words, where none is named.",
    )
    concepts: list[str] = option(
        [],
        "Columns of a table that are concepts, by their names: each of two values, such as 0 and 1 "
        "or yes and no. They are known of every row and are not learned with the others. Of an "
        ".npz file one array (n, k) of them; `concepts`, where there is one.",
        max_length=MOST_CONCEPTS,
    )
    missing: Literal["refuse", "drop", "take"] = option(
        "refuse",
        "Rows in which a value is missing (empty, NA, NaN, ?, or a number such as -999 far from "
        "all others): `refuse` the file, `drop` those rows, or `take` such numbers as they are.",
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
    may_give: ClassVar[tuple[str, ...]] = (CONCEPTS,)
    config: Any

    def table(self) -> Table:
        """The values as they are in the file. Raises BadInput."""
        config = self.config
        choice = (config.key, config.columns, config.label, config.missing, config.concepts)
        return _read(Path(config.path), choice)

    def load(self) -> Data:
        path = Path(self.config.path)
        table = self.table()
        chosen = self._split(len(table.values), table.labels)
        shared: dict[str, Any] = {"name": "file", "title": path.name, "columns": table.columns}
        shared["notes"] = table.notes
        if table.labels is not None:
            labels, held_out_labels = (torch.from_numpy(table.labels[rows]) for rows in chosen)
            shared.update(
                labels=labels, held_out_labels=held_out_labels, label_names=table.label_names
            )
        if table.concepts is not None:
            given, held_out_given = (
                {CONCEPTS: torch.from_numpy(table.concepts.values[rows])} for rows in chosen
            )
            shared.update(
                given=given, held_out_given=held_out_given, concept_names=table.concepts.names
            )
        if table.values.ndim > 2:
            return _image_data(table, chosen, shared)
        mean, scale = _standards(table.values, chosen[0])
        if not self.config.standardise:
            _check_float32(mean, scale, table.columns)
            mean, scale = np.zeros_like(mean), np.ones_like(scale)
        z, held_out = (_scaled(table.values, rows, mean, scale) for rows in chosen)
        low, high = noise_box(z)
        # a value that is rare, and held out: the box must not be flat
        wide_low, wide_high = noise_box(torch.cat([z, held_out]))
        low, high = torch.where(low < high, low, wide_low), torch.where(low < high, high, wide_high)
        return Data(
            train=z,
            held_out=held_out,
            mean=torch.from_numpy(mean),
            scale=torch.from_numpy(scale),
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


Chosen = tuple[str, Sequence[str], str, str, Sequence[str]]


def _read(path: Path, choice: Chosen) -> Table:
    try:
        path = path.expanduser()
        if path.is_dir():
            named = {"columns": choice[1], "label": choice[2], "concepts": choice[4]}
            for field, given in named.items():
                if given:
                    raise BadInput.at(f"data.{field}", "is for tables; these are images. Clear it.")
            return kept(path, choice, lambda: read_folder(path))
        if not path.exists():
            raise bad(f"there is no file or folder at {path}.")
        if not path.is_file():
            raise bad(f"{path} is neither a file nor a folder.")
        return kept(path, choice, lambda: read_file(path, *choice))
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


def _standards(values: np.ndarray, rows: Rows) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Mean and standard deviation (dim,) float64 of the rows; of a column that is constant in
    them the standard deviation of all, so that the split does not decide on what is read."""
    train = values[rows].astype(np.float64)
    mean, scale = train.mean(0), _spread(train)
    flat = scale == 0
    if flat.any():
        scale[flat] = _spread(values[:, flat].astype(np.float64))
    return mean, scale


def _spread(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Standard deviation of every column, which neither overflows nor vanishes in squares."""
    centred = values - values.mean(0)
    reach = np.abs(centred).max(0)
    unit = np.where(reach > 0, reach, 1.0)
    spread: npt.NDArray[Any] = (centred / unit).std(0) * unit
    return spread


def _check_float32(mean: Any, scale: Any, columns: tuple[str, ...]) -> None:
    """Raises BadInput where 32-bit numbers do not tell values apart unless they are shifted."""
    far = np.flatnonzero(np.abs(mean) > 1e5 * scale)
    if len(far):
        at = int(far[0])
        raise BadInput.at(
            "data.standardise",
            f"must be true for these data: {column_name(at, columns)} is {mean[at]:g} ± "
            f"{scale[at]:.2g}, which 32-bit numbers do not tell apart.",
        )


def _scaled(values: np.ndarray, rows: Rows, mean: Any, scale: Any) -> Tensor:
    """(values - mean) / scale of some rows, float32, worked out in pieces of float64."""
    scaled = np.empty((len(rows), *values.shape[1:]), np.float32)
    step = max(1, PIECE // math.prod(values.shape[1:]))
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        scaled[start : start + len(part)] = (values[part].astype(np.float64) - mean) / scale
    return torch.from_numpy(scaled)
