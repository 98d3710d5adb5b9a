"""Cadence: intervals of flushes, observations and checkpoints."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cadence:
    """Intervals of the loop's side work. What is due by steps comes in addition to what time
    asks."""

    flush_seconds: float = 0.1
    flush_rows: int = 1024
    watch_seconds: float = 0.2
    watch_share: float = 0.06
    """of the run's time; with `measure_share` a tenth"""
    watch_steps: int | None = None
    measure_seconds: float = 3.0
    measure_share: float = 0.04
    measure_steps: int | None = None
    sampling_shares: tuple[float, float] = (0.004, 0.004)
    """the same for methods that only sample, whose own chains are looked at: little is to do"""
    first_checkpoint: float = 2.0
    """seconds after the start; the next ones lie ever further apart, up to `checkpoint_seconds`"""
    checkpoint_seconds: float = 20.0
    checkpoint_share: float = 0.03
    """of the run's time, for methods whose state is large"""

    def flush_every(self, trains: bool) -> float:
        """Return the seconds between two copies to the host.

        The points of samplers lie closer than anybody sees.
        """
        return self.flush_seconds if trains else 2 * self.flush_seconds

    def shares(self, trains: bool) -> tuple[float, float]:
        """Return the shares of the run's time for `watch` and `measure`."""
        return (self.watch_share, self.measure_share) if trains else self.sampling_shares
