"""Basin beside your own training loop: track it, and read any run.

    run = basin.track(name="rings", config={"lr": 1e-3}, data=x)
    run.energy(model)
    run.log({"loss": loss}, step=step)
    run.finish()

Importing this is light: torch, and all that draws, comes when it is first needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os

    from basin.loading import LoadedEnergy
    from basin.reading import OpenRun
    from basin.tracking import Run

__all__ = ["load", "open", "show", "track"]


def track(
    name: str = "",
    config: Mapping[str, Any] | None = None,
    data: Any = None,
    *,
    steps: int | None = None,
    seed: int = 0,
    tags: tuple[str, ...] = (),
    notes: str = "",
) -> Run:
    """Begin a run that your own loop trains; its directory is the record, with or without a server.

    config: plain settings, for lists and Compare. data: points (num, dim), or images (num, height,
    width[, channels]), as an array or a tensor, in your units: what `run.energy` compares with.
    steps: of the whole training, for progress and time left. seed: of Basin's own draws alone.
    Raises BadInput for what a run cannot be called or hold, NotAvailable where BASIN_HOME cannot be
    written.
    """
    from basin.creating import create
    from basin.tracking import Run

    return Run(create(name, config or {}, data, steps, seed, tags, notes), steps)


def open(run: str = "latest") -> OpenRun:
    """Open any run to read it, by its id, the beginning of one, or `latest`.

    Raises BadInput for what is no id, NotAvailable where there is none.
    """
    from basin.reading import OpenRun

    return OpenRun.of(run)


def show(run: str | Run | OpenRun = "latest", height: int = 760, address: str = "") -> None:
    """Show the live page of a run in a notebook's cell.

    height: of the frame, in pixels. address: where your browser reaches Basin, by default that of
    the `basin up` of this home. Raises NotAvailable where none runs, or there is no notebook;
    BadInput for what is no run.
    """
    from basin.reading import OpenRun
    from basin.showing import show_page

    show_page(OpenRun.of(run).id if isinstance(run, str) else run.id, height, address)


def load(run: str | os.PathLike[str] = "latest", step: int | None = None) -> LoadedEnergy:
    """Load the trained energy of a run as a torch module of positions in your units.

    run: an id, or a folder that `basin export RUN --as safetensors` wrote. step: of a checkpoint,
    by default the newest. Raises BadInput, NotAvailable.
    """
    from basin.loading import load_energy

    return load_energy(run, step)
