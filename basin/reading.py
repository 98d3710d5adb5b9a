"""Reading: any run of this home as pandas, numpy and Plotly, while it goes on or after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from backend.errors import BadInput, NotAvailable
from backend.events import KINDS, Event, decode, unpack
from jobs.records import run_store
from jobs.records.run_directory import RunDirectory
from jobs.records.status import Status

if TYPE_CHECKING:
    import pandas as pd


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

    def figure(self, *paths: str) -> Any:
        """Draw the curves of scalar paths, all by default, over steps as a Plotly figure.

        Raises BadInput for a path that the run does not have.
        """
        import plotly.graph_objects as go

        series = self.directory.scalars()
        _check("paths", paths, series)
        lines = [
            go.Scatter(x=series[path].step, y=series[path].value, name=path, mode="lines")
            for path in paths or series
        ]
        return go.Figure(lines, {"xaxis": {"title": "step"}, "title": self.status.name or self.id})


def _check(field: str, wanted: tuple[str, ...], known: Any) -> None:
    for name in wanted:
        if name not in known:
            listed = ", ".join(known) or "none"
            raise BadInput.at(field, f"must be among {listed}; got {name!r}.")
