"""Arrays of users as Basin's events hold them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from backend.errors import BadInput

Array = npt.NDArray[Any]


def array_of(field: str, value: Any, *dims: int) -> Array:
    """Copy a tensor, an array or a list to a numpy array of numbers, of one of the `dims`.

    Raises BadInput at `field`.
    """
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if str(value.dtype) in ("torch.bfloat16", "torch.float16"):
            value = value.float()
        value = value.numpy()
    try:
        array = np.array(value)
    except ValueError as error:
        raise BadInput.at(field, f"must be an array: {error}.") from error
    if array.dtype.kind not in "biuf":
        raise BadInput.at(field, f"must hold numbers, got {array.dtype}.")
    if dims and array.ndim not in dims:
        wanted = " or ".join(map(str, dims))
        raise BadInput.at(field, f"must have {wanted} dimensions, got shape {array.shape}.")
    return array


def float32(field: str, value: Any, *dims: int) -> npt.NDArray[np.float32]:
    """Copy to float32, as `array_of`."""
    return array_of(field, value, *dims).astype(np.float32)


def pixels_of(field: str, value: Any) -> tuple[npt.NDArray[np.uint8], float, float]:
    """Copy images (num, height, width[, channels]) to bytes, with what 0 and 255 stand for.

    Bytes stay as they are; all else spans its finite values. Raises BadInput.
    """
    array = array_of(field, value, 3, 4)
    if array.ndim == 4 and array.shape[3] not in (1, 3):
        raise BadInput.at(
            field,
            f"must be (num, height, width, 1 or 3 channels), got {array.shape}.",
        )
    if array.dtype == np.uint8:
        return array, 0.0, 255.0
    real = array.astype(np.float64)
    finite = real[np.isfinite(real)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    scaled = (np.nan_to_num(real, nan=low, posinf=high, neginf=low) - low) / ((high - low) or 1.0)
    return np.rint(255 * scaled).astype(np.uint8), low, high
