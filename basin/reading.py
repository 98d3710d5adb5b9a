"""Reading: any run of this home as pandas, numpy and Plotly, while it goes on or after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from backend.errors import BadInput, NotAvailable
from backend.events import KINDS, Event, Table, decode, unpack
from jobs.records import run_store
from jobs.records.run_directory import RunDirectory
from jobs.records.status import Status

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go


class OpenRun:
    """Run as it stands on the disk; every call reads it anew."""

    def __init__(self, directory: RunDirectory) -> None:
        self.directory, self.id = directory, directory.id

    def __repr__(self) -> str:
        return f"OpenRun({self.id})"

    @classmethod
    def of(cls, run: str) -> OpenRun:
        """Open a run by its id. Raises BadInput, NotAvailable."""
        return cls(run_store.open_run(run))

    @property
    def status(self) -> Status:
        """Return the state of the run; `lost` where its process is gone."""
        return self.directory.status()

    @property
    def metrics(self) -> dict[str, float | None]:
        """Return the final figures by path; {} before the end."""
        return self.directory.metrics()

    def scalars(self, *paths: str) -> pd.DataFrame:
        """Read scalars as a table of path, step, gradients, seconds, joules and value, a row each.

        paths: those wanted, all by default. Raises BadInput for one that the run does not have.
        """
        import pandas as pd

        series = self.directory.scalars()
        _check("paths", paths, series)
        columns = ("step", "gradients", "seconds", "joules", "value")
        tables = [
            pd.DataFrame({"path": path, **{name: getattr(series[path], name) for name in columns}})
            for path in paths or series
        ]
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["path"])

    def samples(self, name: str = "final") -> dict[str, npt.NDArray[Any]]:
        """Read `samples/<name>.npz`: arrays by name, in the user's units.

        Raises NotAvailable where the run has none, BadInput for a bad name.
        """
        path = self.directory.path_of(f"samples/{name}.npz")
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return {key: arrays[key] for key in arrays.files}
        except FileNotFoundError as error:
            raise NotAvailable(f"`{self.id}` has no samples `{name}` yet.") from error

    def events(self, kind: str, path: str | None = None) -> list[tuple[int, Event]]:
        """Read what the run showed of a kind, such as `points` or `text`: (step, event), oldest
        first. Scalars are read by `scalars`. Raises BadInput for another kind."""
        _check("kind", (kind,), [known for known in KINDS if known != "scalar"])
        if kind == "text":
            frames = self.directory.texts()
        else:
            keys = [key for key in self.directory.keyframe_index() if key.kind == kind]
            wanted = [key.seq for key in keys if path in (None, key.path)]
            frames = [unpack(data) for data in self.directory.keyframes.read_many(wanted)]
        return [
            (int(frame.header["last"][0]), decode(frame))
            for frame in frames
            if path in (None, frame.header["path"])
        ]

    def figure(self, *paths: str) -> go.Figure:
        """Draw scalar paths, all by default, over steps; or what the run last showed under one
        path: a landscape, points, chains, a histogram, a curve, images.

        Raises BadInput for a path that the run does not have.
        """
        from basin import figures

        series = self.directory.scalars()
        keys = self.directory.keyframe_index() if len(paths) == 1 else []
        drawn = {key.path: key.kind for key in keys if key.kind in figures.DRAWN}
        _check("paths", paths, {**series, **drawn})
        title = self.status.name or self.id
        if paths and paths[0] not in series:
            step, event = self.events(drawn[paths[0]], paths[0])[-1]
            return figures.of_event(event, f"{title}: {paths[0]}, step {step:,}")
        return figures.of_scalars({path: series[path] for path in paths or series}, title)

    def table(self, path: str) -> pd.DataFrame:
        """Read the table that the run last showed under a path, such as `chains/diagnostics`.

        Raises BadInput for a path that the run does not have.
        """
        import pandas as pd

        keys = self.directory.keyframe_index()
        _check("path", (path,), [key.path for key in keys if key.kind == "table"])
        event = cast(Table, self.events("table", path)[-1][1])
        return pd.DataFrame(event.rows, columns=event.columns)


def _check(field: str, wanted: tuple[str, ...], known: Any) -> None:
    for name in wanted:
        if name not in known:
            listed = ", ".join(dict.fromkeys(known)) or "none"
            raise BadInput.at(field, f"must be among {listed}; got {name!r}.")
