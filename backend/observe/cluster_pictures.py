"""Pictures of clusters: a map of the plane, bars of their shares, a table beside true classes."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from backend.data import Data
from backend.events import Field, Histogram, Table
from backend.metrics.clustering import Match
from backend.metrics.density import Box
from backend.observe import pictures


def cluster_map(log_probs: Tensor, size: int, box: Box) -> Field:
    """Map of the cluster that each cell of a grid is of, or how probable the second of two is."""
    if log_probs.shape[1] == 2:
        values, quantity = log_probs[:, 1].exp(), "probability"
    else:
        values, quantity = log_probs.argmax(1).float(), "cluster"
    image = pictures.float32(values).reshape(size, size)
    return Field("clusters/map", image, *box, quantity=quantity)


def share_bars(shares: Tensor) -> Histogram:
    """A bar for the share (num_clusters,) of each cluster."""
    edges = np.arange(len(shares) + 1, dtype=np.float32) - 0.5
    counts = pictures.float32(shares)[None]
    return Histogram(
        "clusters/shares", edges, counts, ["data"], np.zeros((1, 2), np.int32), "cluster"
    )


def matched_table(data: Data, match: Match) -> Table:
    """Counts of each true class in each cluster, clusters in the order of the classes that
    they match."""
    names = data.label_names or tuple(str(label) for label in range(data.num_labels))
    rows: list[list[str | float | int | None]] = [
        [name, *row] for name, row in zip(names, match.counts.tolist(), strict=True)
    ]
    columns = ["true class", *(f"cluster {cluster}" for cluster in match.order.tolist())]
    return Table("clusters/confusion", columns, rows)
