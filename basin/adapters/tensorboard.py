"""Writer called as TensorBoard's: `from basin.adapters.tensorboard import SummaryWriter`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import basin
from backend.errors import BadInput
from basin.arrays import array_of


class SummaryWriter:
    """Writer of scalars, histograms, images and text with the calls of torch's SummaryWriter.

    log_dir: names the run. Other options are those of `basin.track`.
    """

    def __init__(self, log_dir: Any = "", **options: Any) -> None:
        self.run = basin.track(**{"name": str(log_dir)[-120:], **options})

    def add_scalar(
        self, tag: str, scalar_value: Any, global_step: int | None = None, **_: Any
    ) -> None:
        """Log one number."""
        self.run.log({tag: scalar_value}, global_step)

    def add_scalars(
        self, main_tag: str, values: Mapping[str, Any], global_step: int | None = None, **_: Any
    ) -> None:
        """Log numbers under one tag."""
        named = {f"{main_tag}/{tag}": value for tag, value in values.items()}
        self.run.log(named, global_step)

    def add_histogram(self, tag: str, values: Any, *_: Any, **__: Any) -> None:
        """Show the histogram of values."""
        self.run.histogram(tag, values)

    def add_image(self, tag: str, image: Any, *_: Any, dataformats: str = "CHW", **__: Any) -> None:
        """Show one image."""
        self.add_images(tag, array_of("image", image)[None], dataformats=f"N{dataformats}")

    def add_images(
        self, tag: str, images: Any, *_: Any, dataformats: str = "NCHW", **__: Any
    ) -> None:
        """Show images. Raises BadInput for a layout other than NCHW, NHWC and NHW."""
        array = array_of("images", images)
        if dataformats not in ("NCHW", "NHWC", "NHW"):
            raise BadInput.at(
                "dataformats", f"must be (N)CHW, (N)HWC or (N)HW, got {dataformats!r}."
            )
        self.run.images(np.moveaxis(array, 1, 3) if dataformats == "NCHW" else array, tag)

    def add_text(self, tag: str, text_string: str, *_: Any, **__: Any) -> None:
        """Say a sentence."""
        self.run.text(tag, text_string)

    def flush(self) -> None:
        """Do nothing: what is logged is written ten times a second."""

    def close(self) -> None:
        """End the run."""
        self.run.finish()

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *error: Any) -> None:
        self.run.__exit__(*error)
