"""Formatting of numbers in words, for the command line and for pages."""

from __future__ import annotations

import math


def duration(seconds: float | None) -> str:
    """Format seconds as 41s, 1m 20s or 2h 05m; a dash for nothing.

    >>> duration(41.2), duration(80), duration(7500), duration(None)
    ('41s', '1m 20s', '2h 05m', '–')
    """
    if seconds is None or not math.isfinite(seconds):
        return "–"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02d}m"


def roughly(seconds: float) -> str:
    """Format a time that is estimated: to 5 seconds, then to minutes.

    >>> roughly(2), roughly(41), roughly(62), roughly(70), roughly(7500)
    ('5s', '45s', '1m', '2m', '2h 05m')
    """
    if seconds <= 55:
        return f"{max(5, math.ceil(seconds / 5) * 5)}s"
    minutes = math.ceil((seconds - 5) / 60)
    return f"{minutes}m" if minutes < 60 else duration(60 * minutes)
