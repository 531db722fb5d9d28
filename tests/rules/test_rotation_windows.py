"""When a rotation may begin: weekdays, midnight, and clocks that are put forward and back."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.rotation.windows import DAYS, parse_window

INSTANTS = st.integers(0, 60 * 24 * 800).map(lambda m: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=m))


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "instant", "is_open"),
    [
        ("Sun 02:00-06:00 Europe/Rome", "2026-11-22T01:00", True),
        ("Sun 02:00-06:00 Europe/Rome", "2026-11-22T00:59", False),
        ("Sun 02:00-06:00 Europe/Rome", "2026-11-22T05:00", False),
        ("Sun 02:00-06:00 Europe/Rome", "2026-11-23T02:00", False),
        ("02:00-06:00 UTC", "2026-11-23T02:00", True),
        ("Mon,Wed-Thu 02:00-06:00 UTC", "2026-11-25T03:00", True),
        ("Mon,Wed-Thu 02:00-06:00 UTC", "2026-11-24T03:00", False),
        ("Sat-Mon 02:00-06:00 UTC", "2026-11-22T03:00", True),
        ("22:00-24:00 UTC", "2026-11-22T23:59", True),
        ("Fri 22:00-02:00 UTC", "2026-11-27T23:00", True),
        ("Fri 22:00-02:00 UTC", "2026-11-28T01:59", True),
        ("Fri 22:00-02:00 UTC", "2026-11-28T02:00", False),
        ("Fri 22:00-02:00 UTC", "2026-11-27T01:00", False),
        ("Fri 22:00-02:00 UTC", "2026-11-28T23:00", False),
    ],
)
def test_a_window_is_open_between_its_times_on_its_days(text, instant, is_open):
    assert parse_window(text).is_open(at(instant)) is is_open


def test_the_hour_that_is_skipped_in_spring_opens_nothing():
    window = parse_window("Sun 02:15-02:45 Europe/Rome")
    night = [at("2026-03-29T00:00") + timedelta(minutes=n) for n in range(300)]
    assert not any(window.is_open(instant) for instant in night)
    assert window.next_opening(night[0]) == at("2026-04-05T00:15")


def test_a_window_that_begins_in_the_skipped_hour_opens_after_it():
    window = parse_window("Sun 02:00-06:00 Europe/Rome")
    assert window.next_opening(at("2026-03-28T12:00")) == at("2026-03-29T01:00")
    assert not window.is_open(at("2026-03-29T04:00"))


def test_the_hour_that_is_repeated_in_autumn_opens_twice():
    window = parse_window("Sun 02:00-02:30 Europe/Rome")
    assert window.is_open(at("2026-10-25T00:10"))
    assert not window.is_open(at("2026-10-25T00:40"))
    assert window.is_open(at("2026-10-25T01:10"))


def test_the_next_opening_of_an_open_window_is_now():
    assert parse_window("00:00-24:00 UTC").next_opening(at("2026-11-23T05:07")) == at("2026-11-23T05:07")


@given(
    INSTANTS,
    st.sampled_from(["Sun 02:00-03:00 Europe/Rome", "Fri 22:00-02:00 America/New_York", "12:00-12:01 UTC"]),
)
def test_a_window_is_open_at_its_next_opening_and_shut_before(now, text):
    window = parse_window(text)
    opening = window.next_opening(now)
    assert now <= opening <= now + timedelta(days=15)
    assert window.is_open(opening)
    middle = now + (opening - now) / 2
    assert middle == now or not window.is_open(middle) or opening == now


@pytest.mark.parametrize(
    "text",
    [
        "Sun 2:00-06:00 UTC",
        "Sunday 02:00-06:00 UTC",
        "Sun 02:00-06:00",
        "Sun 02:00-02:00 UTC",
        "Sun 24:00-06:00 UTC",
        "Sun 02:00-25:00 UTC",
        "Sun 02:00-06:00 Mars/Olympus",
        "Sun 02:00-06:00 /etc/passwd",
        "",
    ],
)
def test_what_is_no_window_is_refused(text):
    with pytest.raises(ValueError, match=r"window|time|zone"):
        parse_window(text)


def test_every_day_has_its_name():
    assert [parse_window(f"{day} 00:00-24:00 UTC").days for day in DAYS] == [frozenset({n}) for n in range(7)]
