"""Callback of Hugging Face's Trainer: `Trainer(callbacks=[BasinCallback(name="mine")])`."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

import basin


class BasinCallback(TrainerCallback):
    """Callback that tracks a Trainer's run, and ends its training where the page asks for that.

    Options are those of `basin.track`.
    """

    def __init__(self, **options: Any) -> None:
        self._options = options
        self.run: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Begin the run, with the Trainer's settings."""
        options = {"config": args.to_sanitized_dict(), "steps": state.max_steps, **self._options}
        self.run = basin.track(**options)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Log what the Trainer logs."""
        numbers = {k: v for k, v in (logs or {}).items() if isinstance(v, (int, float))}
        if numbers and self.run is not None:
            self.run.log(numbers, state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """End the training where somebody asked for that."""
        if self.run is not None and self.run.should_stop:
            control.should_training_stop = True

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """End the run."""
        if self.run is not None:
            self.run.finish()
