"""Answers of a run that it would give again: what stands for a question asked anew, without torch.

An answer stands while the run's checkpoint, its data and Basin are as they were.
"""

from __future__ import annotations

from typing import Any

from jobs.models import fingerprints
from jobs.records.run_directory import RunDirectory

_READS = ("path", "mask_path", "runs")
"""Fields of what an ability reads beside the run itself: that may be another thing by now."""


def standing(directory: RunDirectory) -> list[dict[str, Any]]:
    """List the answers that stand, newest first, as `RunDirectory.answers` has them."""
    trained = directory.newest_checkpoint_time()
    now = {
        "code": fingerprints.code_now(),
        "warnings": fingerprints.changes_in_words(fingerprints.read(directory)),
    }
    return [
        known
        for known in directory.answers()
        if known["time"] > trained
        and now.items() <= known.items()
        and not any(known["config"].get(name) for name in _READS)
    ]
