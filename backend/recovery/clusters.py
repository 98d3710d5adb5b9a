"""Clusters of the data, in place of classes that nobody has named."""

from __future__ import annotations

import torch
from torch import Tensor

from backend.method import SampleRequest


class Clusters:
    """k-means over training positions (num, *event_shape), from a seed drawn from the generator."""

    def __init__(self, train: Tensor, num: int, generator: torch.Generator) -> None:
        from sklearn.cluster import KMeans

        seed = int(torch.randint(2**31, (), generator=generator, device=generator.device))
        fitted = KMeans(num, n_init=4, random_state=seed).fit(train.flatten(1).cpu().numpy())
        self.of_data = torch.from_numpy(fitted.labels_).long().to(train.device)
        """(num,) of each training position"""
        centres = torch.from_numpy(fitted.cluster_centers_).float().to(train.device)
        self.centres = centres.reshape(-1, *train.shape[1:])
        """(clusters, *event_shape)"""

    def drawn(self, request: SampleRequest, generator: torch.Generator) -> Tensor:
        """(num,) clusters as frequent as in the data or, where a part of each position is known,
        those whose centres are nearest to it there."""
        if request.known is None or request.mask is None:
            device = self.of_data.device
            index = torch.randint(
                len(self.of_data), (request.num,), generator=generator, device=device
            )
            return self.of_data[index]
        known = (request.known * request.mask).flatten(1)
        return torch.cdist(known, (self.centres * request.mask).flatten(1)).argmin(1)
