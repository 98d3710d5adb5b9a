"""Clusters of held-out data: how even, how sure and, where classes are known, how right."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from backend.events import Event, Scalar
from backend.metrics import clustering
from backend.observe.cluster_pictures import cluster_map, matched_table, share_bars
from backend.observe.context import Context
from backend.observe.observer import Observer

MOST = 2000
"""Held-out positions that are put into clusters at most."""
CHUNK = 4096


class ClustersObserver(Observer):
    """`clusters/*`: their shares, the entropy of p(cluster | x), agreement with true classes, and,
    for points in a plane, a map of them."""

    id = "clusters"

    def watch(self, context: Context) -> Iterable[Event]:
        grid, points = self.subject.grid, self.subject.grid_points
        if grid is None or points is None:
            return
        log_probs = self._log_probs(self.subject.data.standardise(points))
        if log_probs is not None:
            yield cluster_map(log_probs, grid.size, grid.box)

    def measure(self, context: Context) -> Iterable[Event]:
        data = self.subject.data
        log_probs = self._log_probs(data.held_out[:MOST])
        if log_probs is None:
            return
        yield Scalar("clusters/entropy", clustering.entropy(log_probs))
        yield Scalar("clusters/mutual_information", clustering.mutual_information(log_probs))
        shares = clustering.marginal(log_probs)
        yield Scalar("clusters/largest", float(shares.amax()))
        yield share_bars(shares)
        if data.held_out_labels is None:
            return
        labels = data.held_out_labels[:MOST]
        for name, value in clustering.agreement(log_probs.argmax(1), labels).items():
            yield Scalar(f"clusters/{name}", value)
        match = clustering.matched(log_probs, labels, data.num_labels)
        yield Scalar("clusters/matched_accuracy", match.accuracy)
        yield matched_table(data, match)

    def _log_probs(self, z: Tensor) -> Tensor | None:
        parts = [self.subject.method.cluster_log_probs(part) for part in z.split(CHUNK)]
        known = [part for part in parts if part is not None]
        return torch.cat(known) if known else None
