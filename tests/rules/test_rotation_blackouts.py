"""Days on which no rotation begins, by the calendar of a time zone."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.rotation.blackouts import parse_blackout

INSTANTS = st.integers(0, 60 * 24 * 800).map(lambda m: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=m))


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "instant", "holds"),
    [
        ("2026-11-27", "2026-11-26T23:59", False),
        ("2026-11-27", "2026-11-27T00:00", True),
        ("2026-11-27", "2026-11-27T23:59", True),
        ("2026-11-27", "2026-11-28T00:00", False),
        ("2026-12-24..2027-01-02", "2026-12-31T12:00", True),
        ("2026-12-24..2027-01-02 Europe/Rome", "2026-12-23T23:00", True),
        ("2026-12-24..2027-01-02 Europe/Rome", "2027-01-02T23:00", False),
        ("2026-12-24..2027-01-02 Europe/Rome", "2026-12-23T22:59", False),
    ],
)
def test_a_blackout_holds_on_its_days_both_ends_included(text, instant, holds):
    assert parse_blackout(text).holds(at(instant)) is holds


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("2026-11-27", "2026-11-28T00:00"),
        ("2026-12-24..2027-01-02 Europe/Rome", "2027-01-02T23:00"),
        ("2026-03-29 Europe/Rome", "2026-03-29T22:00"),
        ("2026-10-25 Europe/Rome", "2026-10-25T23:00"),
        ("2026-09-05 America/Santiago", "2026-09-06T04:00"),
    ],
)
def test_a_blackout_ends_at_midnight_of_its_zone(text, ends):
    assert parse_blackout(text).ends == at(ends)


@given(INSTANTS, st.sampled_from(["UTC", "Europe/Rome", "America/New_York", "Pacific/Apia"]), st.integers(0, 9))
def test_a_blackout_that_holds_does_not_hold_any_more_at_its_end(now, zone, days):
    first = now.date()
    blackout = parse_blackout(f"{first}..{first + timedelta(days=days)} {zone}")
    assert not blackout.holds(blackout.ends)
    assert blackout.holds(blackout.ends - timedelta(minutes=1))


def test_a_blackout_remembers_what_was_written():
    blackout = parse_blackout("2026-12-24..2027-01-02 Europe/Rome")
    assert (blackout.first, blackout.last) == (date(2026, 12, 24), date(2027, 1, 2))
    assert (blackout.text, blackout.zone.key) == ("2026-12-24..2027-01-02 Europe/Rome", "Europe/Rome")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "such as"),
        ("24.12.2026", "such as"),
        ("2026-12-24 .. 2027-01-02", "such as"),
        ("2026-12-24..", "such as"),
        ("2026-12-24..2027-01-02..2027-01-03", "such as"),
        ("2026-12-24\n", "such as"),
        ("2026-02-30", "no day"),
        ("2026-12-24..2026-13-01", "no day"),
        ("2026-12-24..9999-12-31", "ends one day"),
        ("2027-01-02..2026-12-24", "or later"),
        ("2026-12-24 Mars/Olympus", "no time zone"),
    ],
)
def test_what_is_no_blackout_is_refused(text, word):
    with pytest.raises(ValueError, match=word):
        parse_blackout(text)
