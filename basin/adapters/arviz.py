"""Draws in and out of Basin as ArviZ has them: InferenceData with (chain, draw, dim)."""

from __future__ import annotations

from typing import Any

import arviz
import numpy as np

import basin
from backend.errors import BadInput, NotAvailable
from basin.reading import OpenRun


def to_inference_data(run: OpenRun, path: str | None = None) -> Any:
    """Convert the chains a run last showed to InferenceData, `x` (chain, draw, dim) in your units.

    path: of a trajectory, by default the latest. Raises NotAvailable where the run has none.
    """
    drawn = run.events("trajectory", path)
    if not drawn:
        raise NotAvailable(f"`{run.id}` has shown no chains{f' under `{path}`' if path else ''}.")
    positions = drawn[-1][1].positions  # type: ignore[attr-defined]
    return arviz.from_dict(posterior={"x": np.moveaxis(positions, 0, 1)})


def track_inference_data(draws: Any, variable: str, name: str = "") -> OpenRun:
    """Show a variable (chain, draw, dim) of InferenceData as a finished run: its chains, its draws,
    R-hat and effective sample size by ArviZ.

    Raises BadInput for a variable that is not there or of another shape.
    """
    if variable not in draws.posterior:
        known = ", ".join(map(str, draws.posterior.data_vars))
        raise BadInput.at("variable", f"must be among {known}; got {variable!r}.")
    values = np.asarray(draws.posterior[variable])
    if values.ndim == 2:
        values = values[..., None]
    if values.ndim != 3:
        raise BadInput.at("variable", f"must be (chain, draw, dim), got shape {values.shape}.")
    with basin.track(name=name or variable) as run:
        figures = {"r_hat": arviz.rhat(draws), "bulk_ess": arviz.ess(draws)}
        worst = {"r_hat": np.max, "bulk_ess": np.min}
        run.log(
            {
                f"sampler/{key}/long_run": float(worst[key](np.asarray(table[variable])))
                for key, table in figures.items()
            },
            step=values.shape[1],
        )
        run.points(values.reshape(-1, values.shape[2]), "samples/long_run", role="long_run")
        run.trajectory(np.moveaxis(values, 0, 1), "chains/long_run", role="long_run")
    return basin.open(run.id)
