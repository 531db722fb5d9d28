"""Blackout dates: days on which no rotation may begin, by the calendar of a time zone.

A blackout is ``FIRST[..LAST][ ZONE]``, such as ``2026-12-24..2027-01-02 Europe/Rome`` or ``2026-11-27``; both days
belong to it, and without a zone they are days in UTC.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from rules.rotation.windows import time_zone

_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_SHAPE = re.compile(rf"(?P<first>{_DATE})(?:\.\.(?P<last>{_DATE}))?(?: (?P<zone>[A-Za-z0-9_+\-/]+))?")


@dataclass(frozen=True, slots=True)
class Blackout:
    """A parsed blackout.

    Attributes:
        text: as it was written.
        first: its first day.
        last: its last day.
        zone: the time zone whose calendar counts.
    """

    text: str
    first: date
    last: date
    zone: ZoneInfo

    def holds(self, now: datetime) -> bool:
        """Return whether ``now`` (aware) is on one of its days."""
        return self.first <= now.astimezone(self.zone).date() <= self.last

    @property
    def ends(self) -> datetime:
        """The first instant after it (aware, UTC)."""
        midnight = datetime.combine(self.last + timedelta(days=1), time(), tzinfo=self.zone)
        return midnight.astimezone(UTC)


def parse_blackout(text: str) -> Blackout:
    """Return the blackout that ``text`` describes.

    Args:
        text: ``FIRST[..LAST][ ZONE]``.

    Raises:
        ValueError: if it is anything else, ends before it begins, or names no zone of the time zone database.
    """
    match = _SHAPE.fullmatch(text)
    if match is None:
        raise ValueError("a blackout is FIRST..LAST ZONE, such as 2026-12-24..2027-01-02 Europe/Rome")
    first = _day(match["first"])
    last = _day(match["last"]) if match["last"] else first
    if last < first:
        raise ValueError("a blackout ends on the day it begins or later")
    return Blackout(text, first, last, time_zone(match["zone"] or "UTC"))


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"`{text}` is no day of the calendar") from None
    if day == date.max:
        raise ValueError("a blackout ends one day")
    return day
