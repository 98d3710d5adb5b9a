"""Pictures of a ballot: what is drawn of both sides and of real data, and nothing that names them.

Frames of backend/events.py without a run, a step, a time or energies; both sides have one role.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from backend.errors import NotAvailable
from backend.events import Cost, Event, Images, Points, encode
from jobs.arena.votes import Ballot
from jobs.records import sample_sets
from jobs.records.sample_sets import SampleSet

NUM_CELLS, NUM_REFERENCE = 64, 40
"""Images of a side, and real ones for reference."""
MOST_COLUMNS = 5
"""Of a table; chosen anew for every ballot where there are more."""
Rng = np.random.Generator


def outline(ballot: Ballot, reference: SampleSet) -> dict[str, Any]:
    """Describe a ballot for its page: the kind of its events and how many are shown."""
    left, right = (sample_sets.open_set(each) for each in (ballot.left, ballot.right))
    num = min(left.num, right.num)
    num_seen = min(num, NUM_CELLS) if reference.kind == "images" else num
    return {
        "ballot": ballot.id,
        "kind": reference.kind,
        "num": num_seen,
        "shape": list(reference.event_shape),
    }


def pictures(ballot: Ballot, reference: SampleSet) -> bytes:
    """Pack the frames `left`, `right` and `reference`, one after the other.

    Which samples are shown, and of a table which columns, is by chance that the ballot seeds: the
    same for both sides, so that cells that share their noise face each other. Raises NotAvailable.
    """
    if reference.kind not in ("images", "points"):
        raise NotAvailable("Events of these data have no picture to be judged by eye.")
    left, right = (sample_sets.open_set(each) for each in (ballot.left, ballot.right))
    rng = np.random.default_rng(int(ballot.id, 16))
    num = min(left.num, right.num)
    most = NUM_CELLS if reference.kind == "images" else num
    places = rng.permutation(num)[:most]
    of_reference = rng.permutation(reference.num)
    if reference.kind == "images":
        of_reference = of_reference[:NUM_REFERENCE]
    dim = reference.event_shape[-1]
    columns = np.sort(rng.permutation(dim)[:MOST_COLUMNS])
    parts = (
        ("left", left, places),
        ("right", right, places),
        ("reference", reference, of_reference),
    )
    return b"".join(
        encode(
            _event(name, each, each.samples()["x"][rows], columns),
            run="",
            seq=seq,
            time=0.0,
            cost=Cost(),
        )
        for seq, (name, each, rows) in enumerate(parts)
    )


def _event(
    name: str, each: SampleSet, x: npt.NDArray[Any], columns: npt.NDArray[np.int64]
) -> Event:
    role = "data" if name == "reference" else "long_run"
    if each.kind == "images" and each.image_range is not None:
        low, high = each.image_range
        share = np.clip(np.nan_to_num((x - low) / (high - low), nan=0.0), 0, 1)
        return Images(name, np.round(255 * share).astype(np.uint8), role, low, high)
    positions = x.reshape(len(x), -1)[:, columns].astype(np.float32)
    names = [str(each.columns[i]) for i in columns] if len(each.columns) == x.shape[-1] else []
    return Points(name, positions, role, axes=tuple(names))
