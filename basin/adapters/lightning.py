"""Logger of PyTorch Lightning: `Trainer(logger=BasinLogger(name="mine"))`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytorch_lightning.loggers import Logger

import basin


class BasinLogger(Logger):
    """Logger that tracks a Trainer's run; `experiment` is what `basin.track` returned.

    Options are those of `basin.track`. Stops the Trainer where its page asks for that.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.experiment = basin.track(**options)

    @property
    def name(self) -> str:
        return self.experiment.directory.written_status().name

    @property
    def version(self) -> str:
        return self.experiment.id

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Say the settings, which a Trainer gives once the run is on, in a sentence."""
        items = params if isinstance(params, Mapping) else vars(params)
        if items:
            words = ", ".join(f"{key} = {value}" for key, value in items.items())
            self.experiment.text("run/hyperparameters", words)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers by path."""
        self.experiment.log(metrics, step)

    def finalize(self, status: str) -> None:
        """End the run as the Trainer ended."""
        if status == "success":
            self.experiment.finish()
        else:
            self.experiment.fail(RuntimeError(f"The Trainer ended as `{status}`."))
