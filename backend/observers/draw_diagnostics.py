"""The diagnostics of a sampler as a table with a reading of each, and its autocorrelation."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from backend.events import Curve, Event
from backend.methods.sampling import Sampling
from backend.metrics.convergence import autocorrelation
from backend.observe import pictures, tables
from backend.observe.context import Context
from backend.observe.observer import Observer
from backend.observers.draw_statistics import FEWEST_DRAWS

MOST_LAGS = 64


class DrawDiagnosticsObserver(Observer):
    """`chains/autocorrelation` and `chains/diagnostics`."""

    id = "draw_diagnostics"

    def measure(self, context: Context) -> Iterable[Event]:
        method = Sampling.of(self.subject.method)
        draws = method.statistics.draws
        if len(draws.draws) >= FEWEST_DRAWS:
            rho = autocorrelation(draws.stacked()[:, :, 0].cpu())[:MOST_LAGS]
            lags = torch.arange(len(rho)) * float(draws.every * method.num_steps)
            yield Curve(
                "chains/autocorrelation",
                pictures.float32(lags),
                pictures.float32(rho)[None],
                ["energy"],
            )
        errors = {path: float(value) for path, value in method.statistics.errors.items()}
        yield tables.sampler_diagnostics(method.kernel, errors | context.figures, method.truth)
