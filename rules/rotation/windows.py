"""Maintenance windows: when a rotation may begin, read on the wall clock of a time zone.

A window is ``[DAYS ]HH:MM-HH:MM ZONE``, such as ``Sun 02:00-06:00 Europe/Rome``, ``Mon-Fri 22:00-02:00 UTC`` or
``01:00-03:00 America/New_York``. It is open while the wall clock reads a time in it; one that crosses midnight belongs
to the day on which it starts. In the hour that is skipped in spring no clock reads such a time, so a window that lies
wholly inside it stays shut that day; in the hour that is repeated in autumn it is open twice.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY = "|".join(DAYS)
_SHAPE = re.compile(
    rf"(?:(?P<days>(?:{_DAY})(?:-(?:{_DAY}))?(?:,(?:{_DAY})(?:-(?:{_DAY}))?)*) )?"
    r"(?P<start>[0-2][0-9]:[0-5][0-9])-(?P<end>[0-2][0-9]:[0-5][0-9]) (?P<zone>[A-Za-z0-9_+\-/]+)"
)


@dataclass(frozen=True, slots=True)
class Window:
    """A parsed window.

    Attributes:
        text: as it was written.
        days: the weekdays on which it starts, Monday being 0.
        start: minutes after midnight at which it opens.
        end: minutes after midnight at which it shuts; not after ``start`` when it crosses midnight.
        zone: the time zone whose wall clock counts.
    """

    text: str
    days: frozenset[int]
    start: int
    end: int
    zone: ZoneInfo

    def is_open(self, now: datetime) -> bool:
        """Return whether a rotation may begin at ``now`` (aware)."""
        local = now.astimezone(self.zone)
        minute = local.hour * 60 + local.minute
        today, yesterday = local.weekday(), (local.weekday() - 1) % 7
        if self.start < self.end:
            return today in self.days and self.start <= minute < self.end
        return (today in self.days and minute >= self.start) or (yesterday in self.days and minute < self.end)

    def next_opening(self, now: datetime) -> datetime:
        """Return the next instant (UTC) at which it opens after ``now``, or ``now`` itself where it is open."""
        if self.is_open(now):
            return now
        today = now.astimezone(self.zone).date()
        opening = time(self.start // 60, self.start % 60, tzinfo=self.zone)
        candidates = (datetime.combine(today + timedelta(days=n), opening).astimezone(UTC) for n in range(16))
        # A start that the clock skips in spring may lie outside the window: then the next day's counts.
        return next(c for c in candidates if c > now and self.is_open(c))


def parse_window(text: str) -> Window:
    """Return the window that ``text`` describes.

    Args:
        text: ``[DAYS ]HH:MM-HH:MM ZONE``.

    Raises:
        ValueError: if it is anything else, if it is empty, or if the zone is not in the time zone database.
    """
    match = _SHAPE.fullmatch(text)
    if match is None:
        raise ValueError("a window is DAYS HH:MM-HH:MM ZONE, such as Sun 02:00-06:00 Europe/Rome")
    start, end = _minutes(match["start"]), _minutes(match["end"])
    if start in (end, _MIDNIGHT):
        raise ValueError("a window has a length: its start and end differ, and it starts before 24:00")
    return Window(text, _days(match["days"]), start, end, time_zone(match["zone"]))


_MIDNIGHT = 24 * 60


def _minutes(text: str) -> int:
    hours, minutes = text.split(":")
    total = int(hours) * 60 + int(minutes)
    if total > _MIDNIGHT:
        raise ValueError(f"`{text}` is no time of day")
    return total


def _days(text: str | None) -> frozenset[int]:
    if text is None:
        return frozenset(range(7))
    days: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        start, length = DAYS.index(first), (DAYS.index(last or first) - DAYS.index(first)) % 7 + 1
        days.update((start + n) % 7 for n in range(length))
    return frozenset(days)


def time_zone(name: str) -> ZoneInfo:
    """Return the zone of that name.

    Raises:
        ValueError: if the time zone database has none.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"`{name}` is no time zone of the IANA database, such as Europe/Rome or UTC") from None
