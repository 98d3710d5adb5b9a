"""Numbers in forms: fields of one or several, and the numbers a browser can hold."""

from __future__ import annotations

import math
import sys
from typing import Any

import streamlit as st

from dashboard.forms import sweep
from dashboard.forms.sweep import Several

MOST_WHOLE = 2**53
"""Beyond it a browser tells whole numbers no longer apart."""


def field(label: str, value: Any, key: str, *, whole: bool, help: str = "") -> Any:
    """Draw a field of a number, or of several with commas between; returns `sweep.read` of it."""
    entered = sweep.read(
        st.text_input(label, sweep.written(value), key=key, help=help or None), whole
    )
    if isinstance(entered, Several):
        st.markdown(f":blue-background[{len(entered.values)} values: {sweep.written(entered)}]")
    return entered


def typed(text: str) -> Any:
    """Convert typed text to a number where it is one."""
    try:
        value = float(text)
    except ValueError:
        return text
    return int(value) if value.is_integer() and "." not in text else value


def number(value: Any, cast: type) -> Any:
    """Convert a value for a field of numbers; None for anything else."""
    most = MOST_WHOLE if cast is int else sys.float_info.max
    if not isinstance(value, (int, float)) or not abs(value) <= most:
        return None
    return cast(value)


def step_of(value: Any, log: bool) -> float:
    """Choose a step of the arrows that fits the size of the value."""
    size = abs(number(value, float) or 0.1)
    power = 10.0 ** math.floor(math.log10(size))
    return power if not log else power / 2
