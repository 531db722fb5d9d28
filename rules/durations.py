"""Durations as policies write them: a whole number and one of ``s m h d w``."""

import re
from datetime import timedelta

_UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION = re.compile(r"([1-9][0-9]{0,8})([smhdw])")


def parse_duration(text: str) -> timedelta:
    """Return the length of time that ``text`` names.

    Args:
        text: such as ``30m``, ``24h`` or ``90d``.

    Raises:
        ValueError: if it is anything else, negative, zero or longer than 100 years.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError("a duration is a whole number and one of s, m, h, d, w, such as 30m or 90d")
    seconds = int(match[1]) * _UNITS[match[2]]
    if seconds > 100 * 366 * 86_400:
        raise ValueError("a duration is at most 100 years")
    return timedelta(seconds=seconds)


def format_duration(duration: timedelta) -> str:
    """Return the shortest text that ``parse_duration`` reads as the same length of time, to the second."""
    seconds = int(duration.total_seconds())
    unit, size = next((u, n) for u, n in _UNITS.items() if seconds % n == 0)
    return f"{seconds // size}{unit}"
