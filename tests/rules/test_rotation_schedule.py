"""When a rotation is due and may begin: period, jitter, expiry, windows, blackouts, emergencies."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.rotation_world import EVERY, START, Wish

from rules.rotation import NORMAL, Action, Credential, Done, Journal, Observation, Order, TargetKind
from rules.rotation.schedule import Due, describe_schedule, due, expires_first, expiry, next_opening

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
NEVER = Observation(TargetKind.GENERATED, current="c")
EMERGENCY = Order(Action.EMERGENCY, START)
MONTHLY = Wish(every=30 * DAY, before_expiry=7 * DAY)


def rotated(ago, **facts):
    return replace(NEVER, journal=Journal(1, "r", rotated_at=START - ago), **facts)


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def due_at(observation, wish):
    """Return the instant from which on it is due, by halving."""
    low, high = START - DAY, START + 400 * DAY
    while high - low > timedelta(microseconds=1):
        middle = low + (high - low) / 2
        low, high = (low, middle) if isinstance(due(observation, wish, middle, NORMAL), Due) else (middle, high)
    return high


def test_what_was_never_rotated_is_due_since_nobody_knows_when():
    assert due(NEVER, Wish(), START, NORMAL) == Due("It was never rotated.", None)


@pytest.mark.parametrize(("ago", "is_due"), [(DAY, True), (DAY - timedelta(microseconds=1), False)])
def test_it_is_due_when_its_period_is_over_and_not_before(ago, is_due):
    found = due(rotated(ago), Wish(), START, NORMAL)
    assert isinstance(found, Due) is is_due
    assert (found.since if is_due else found.until) == START - ago + EVERY


@given(st.text(min_size=1), st.datetimes(START.replace(tzinfo=None), at("2030-01-01").replace(tzinfo=None)))
def test_jitter_brings_a_rotation_forward_by_at_most_itself_and_always_by_the_same(name, rotated_at):
    picture = replace(NEVER, journal=Journal(1, rotated_at=rotated_at.replace(tzinfo=UTC)))
    wish = Wish(name=name, every=30 * DAY, jitter=5 * DAY)
    first, second = (due(picture, wish, picture.journal.rotated_at, NORMAL) for _ in range(2))
    assert first == second
    assert 25 * DAY <= first.until - picture.journal.rotated_at <= 30 * DAY
    assert due_at(rotated(DAY), wish) - due(rotated(DAY), wish, START, NORMAL).until < timedelta(milliseconds=1)


def test_jitter_spreads_secrets_that_were_made_together_and_is_another_after_each_rotation():
    wishes = [Wish(name=f"s{n}", every=30 * DAY, jitter=10 * DAY) for n in range(100)]
    days = [(due(rotated(DAY), wish, START, NORMAL).until - START).days for wish in wishes]
    assert all(5 <= days.count(day) <= 20 for day in range(19, 29))
    later = {due(rotated(n * HOUR), wishes[0], START, NORMAL).until + n * HOUR for n in range(9)}
    assert len(later) == 9


@pytest.mark.parametrize(
    ("expires", "is_due", "word"),
    [
        (START + 8 * DAY, False, "Not due before 2026-03-02 00:00"),
        (START + 7 * DAY, True, "It expires on 2026-03-08 00:00"),
        (START + 6 * DAY, False, "Not due before 2026-03-30 00:00"),
        (START + 60 * DAY, False, "Not due before 2026-03-30 00:00"),
        (None, False, "Not due before 2026-03-30 00:00"),
    ],
)
def test_what_expires_soon_is_rotated_before(expires, is_due, word):
    found = due(rotated(DAY, expires_at=expires), MONTHLY, START, NORMAL)
    assert isinstance(found, Due) is is_due
    assert word in found.reason


@pytest.mark.parametrize(("ahead", "is_due"), [(HOUR, False), (HOUR + timedelta(seconds=1), True), (9000 * DAY, True)])
def test_what_was_rotated_in_the_future_is_due_as_a_clock_was_wrong(ahead, is_due):
    found = due(rotated(-ahead), Wish(), START, NORMAL)
    assert isinstance(found, Due) is is_due
    assert ("a clock was wrong" in found.reason) is is_due


@pytest.mark.parametrize(
    ("grace", "expires", "first"),
    [(None, 23, True), (None, 25, False), (30, 25, True), (30, 31, False), (30, None, False), (2, 25, False)],
)
def test_what_expires_before_it_is_due_or_within_its_grace_expires_first(grace, expires, first):
    retire_after = None if grace is None else START + grace * HOUR
    picture = replace(NEVER, journal=Journal(1, rotated_at=START, retire_after=retire_after))
    expires_at = None if expires is None else START + expires * HOUR
    assert expires_first(replace(picture, expires_at=expires_at), Wish(), START) == (expires_at if first else None)


def test_nothing_expires_before_a_rotation_that_may_begin_at_once():
    assert expires_first(replace(NEVER, expires_at=START - DAY), Wish(), START) is None
    assert expires_first(rotated(-9 * DAY, expires_at=START + HOUR), Wish(), START) is None


def test_what_has_expired_already_is_rotated_unless_a_rotation_since_did_not_move_that():
    expired = START - DAY
    assert isinstance(due(rotated(9 * DAY, expires_at=expired), MONTHLY, START, NORMAL), Due)
    assert isinstance(due(rotated(DAY, expires_at=expired), MONTHLY, START, NORMAL), Done)


def test_an_expiry_does_not_count_where_the_policy_does_not_ask_for_it():
    assert isinstance(due(rotated(HOUR, expires_at=START), Wish(), START, NORMAL), Done)


def test_the_expiry_is_the_earlier_of_the_stores_and_that_of_the_credential_in_use():
    keys = (Credential("k0", expires_at=START + DAY), Credential("k1", expires_at=START), Credential("k2"))
    minted = replace(NEVER, kind=TargetKind.MINT, credentials=keys, accounts={"c": "k0"})
    assert expiry(minted) == START + DAY
    assert expiry(replace(minted, expires_at=START + HOUR)) == START + HOUR
    assert expiry(replace(minted, accounts={"c": "k2"})) is None
    assert expiry(replace(minted, current=None)) is None
    assert expiry(NEVER) is None


def test_what_is_due_waits_for_its_window():
    found = due(rotated(3 * DAY), Wish(window="Mon 02:00-06:00 UTC"), START, NORMAL)
    assert (found.until, found.due, found.late) == (START + DAY + 2 * HOUR, True, False)
    assert found.reason == (
        "It was due on 2026-02-27 00:00 UTC. Its window (Mon 02:00-06:00 UTC) opens on 2026-03-02 02:00 UTC."
    )


def test_what_is_due_begins_in_its_window():
    assert isinstance(due(rotated(3 * DAY), Wish(window="Sun 00:00-06:00 UTC"), START, NORMAL), Due)


@pytest.mark.parametrize(
    ("blackouts", "window", "opening"),
    [
        ((), None, "2026-03-01T00:00"),
        (("2026-03-02",), None, "2026-03-01T00:00"),
        (("2026-03-01",), None, "2026-03-02T00:00"),
        (("2026-02-20..2026-03-01", "2026-03-02..2026-03-03"), None, "2026-03-04T00:00"),
        (("2026-03-01 America/New_York",), None, "2026-03-01T00:00"),
        (("2026-02-28 America/New_York",), None, "2026-03-01T05:00"),
        (("2026-03-01",), "Sun 02:00-06:00 UTC", "2026-03-08T02:00"),
        (("2026-03-08",), "Sun 02:00-06:00 UTC", "2026-03-01T02:00"),
        (("2026-03-01", "2026-03-08"), "Sun 02:00-06:00 UTC", "2026-03-15T02:00"),
        (("2026-03-01",), "22:00-02:00 UTC", "2026-03-02T00:00"),
        # In Rome the clocks are put forward on the 29th: the day after it begins an hour earlier in UTC.
        (("2026-03-01..2026-03-29 Europe/Rome",), None, "2026-03-29T22:00"),
        (("2026-03-01..2026-03-28 Europe/Rome",), "02:15-02:45 Europe/Rome", "2026-03-30T00:15"),
    ],
)
def test_a_rotation_may_begin_in_its_window_and_outside_of_every_blackout(blackouts, window, opening):
    assert next_opening(Wish(window=window, blackouts=blackouts), START)[0] == at(opening)


def test_a_blackout_is_named_where_it_is_what_delays_a_rotation():
    found = due(rotated(3 * DAY), Wish(window="Mon 02:00-06:00 UTC", blackouts=("2026-03-02",)), START, NORMAL)
    assert "A blackout (2026-03-02) delays it until 2026-03-09 02:00 UTC." in found.reason


def test_blackouts_that_leave_no_window_open_delay_it_for_ever():
    wish = Wish(window="Sun 02:00-06:00 UTC", blackouts=("2026-01-01..2046-01-01",))
    assert next_opening(wish, START)[0] == at("2046-01-07T02:00")
    days = tuple(f"{day:%Y-%m-%d}" for day in (START + 7 * n * DAY for n in range(600)))
    opening, words = next_opening(replace(wish, blackouts=days), START)
    assert opening > START + 36_000 * DAY
    assert "lie in blackouts" in words


@pytest.mark.parametrize(("hours", "late"), [(25, True), (26, True), (27, False), (None, False)])
def test_a_wait_that_is_longer_than_the_credential_lives_is_said(hours, late):
    expires = None if hours is None else START + hours * HOUR
    found = due(rotated(3 * DAY, expires_at=expires), Wish(window="Mon 02:00-06:00 UTC"), START, NORMAL)
    assert found.late is late
    assert ("It expires before that." in found.reason) is late


@pytest.mark.parametrize(("ago", "is_due"), [(DAY, True), (timedelta(microseconds=1), True), (-HOUR, False)])
def test_an_emergency_counts_for_what_was_rotated_before_it_whatever_the_schedule_says(ago, is_due):
    wish = Wish(window="Mon 02:00-06:00 UTC", blackouts=("2026-03-01",))
    found = due(rotated(ago), wish, START, EMERGENCY)
    assert isinstance(found, Due) is is_due


def test_an_emergency_counts_for_what_was_never_rotated():
    assert due(NEVER, Wish(blackouts=("2026-03-01",)), START, EMERGENCY).since == START


def test_a_version_counts_for_an_emergency_only_where_its_own_run_staged_it():
    assert EMERGENCY.counted(START + HOUR, made=True) == START + HOUR
    rotated_at = EMERGENCY.counted(START + HOUR, made=False)
    assert isinstance(due(replace(NEVER, journal=Journal(1, rotated_at=rotated_at)), Wish(), START, EMERGENCY), Due)
    assert NORMAL.counted(START, made=False) == START


def test_an_emergency_without_an_instant_changes_nothing():
    assert isinstance(due(rotated(HOUR), Wish(), START, Order(Action.EMERGENCY)), Done)


def test_a_schedule_is_described_in_the_words_of_the_policy():
    full = Wish(
        every=30 * DAY,
        jitter=DAY,
        window="Sun 02:00-06:00 UTC",
        blackouts=("2026-12-24..2027-01-02",),
        before_expiry=7 * DAY,
    )
    assert describe_schedule(full) == (
        "every 30d, up to 1d earlier, beginning in Sun 02:00-06:00 UTC, not on 2026-12-24..2027-01-02, "
        "at the latest 1w before it expires, grace 1h"
    )
    assert describe_schedule(Wish(grace=timedelta(0))) == "every 1d, no grace"
