"""The journal of a rotation: written as short texts and read back, and what each transition keeps and drops."""

import re
from dataclasses import replace
from datetime import UTC, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.rotation_world import GRACE, START

from rules.rotation import Journal, journal
from rules.rotation.journal import journal_from_fields

ALLOWED = re.compile(r"[A-Za-z0-9 +\-=._:/@]{1,256}")
IDS = st.text("abcdefghijklmnopqrstuvwxyz0123456789ABCXYZ+-=._:/@", min_size=1, max_size=40)
INSTANTS = st.none() | st.datetimes(
    START.replace(year=2000, tzinfo=None),
    START.replace(year=2999, tzinfo=None),
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5))]),
)
JOURNALS = st.builds(
    Journal,
    epoch=st.integers(0, 10**9),
    rotation_id=IDS | st.just(""),
    base=st.none() | IDS,
    pending=st.none() | IDS,
    attempt=st.integers(0, 9),
    confirmed=st.none() | IDS,
    rotated_at=INSTANTS,
    retire_after=INSTANTS,
    intent_at=INSTANTS,
    live=st.lists(IDS, max_size=6).map(tuple),
)
STAGED = Journal(4, "r", base="c", pending="p", attempt=1, confirmed="c", rotated_at=START)
MINTING = Journal(4, "r", confirmed="c", rotated_at=START, intent_at=START, live=("k0", "k1"))
IN_GRACE = Journal(4, "r", confirmed="p", rotated_at=START, retire_after=START + GRACE)


@given(JOURNALS)
def test_a_journal_is_read_back_as_it_was_written(written):
    assert journal_from_fields(written.to_fields()) == written
    assert journal_from_fields(written.to_json()) == written


@given(JOURNALS)
def test_every_text_is_one_that_any_providers_tags_allow(written):
    texts = written.to_fields()
    assert all(ALLOWED.fullmatch(text) for text in texts.values())
    assert all(re.fullmatch(r"[a-z_]{1,20}", name) for name in texts)


def test_what_is_unset_is_left_out():
    assert Journal().to_fields() == {"epoch": "0"}
    assert set(MINTING.to_fields()) == {"epoch", "rotation_id", "confirmed", "rotated_at", "intent_at", "live"}


def test_keys_that_are_not_known_are_passed_over():
    assert journal_from_fields({"epoch": "3", "colour": "red"}) == Journal(3)


@pytest.mark.parametrize(
    "texts",
    [
        {},
        {"epoch": "three"},
        {"epoch": None},
        {"epoch": "1", "attempt": "x"},
        {"epoch": "1", "rotated_at": "2026-01-01T00:00:00"},
        {"epoch": "1", "retire_after": "yesterday"},
    ],
)
def test_what_is_no_journal_is_refused(texts):
    with pytest.raises((KeyError, TypeError, ValueError)):
        journal_from_fields(texts)


@pytest.mark.parametrize(
    ("written", "under_way"), [(Journal(), False), (STAGED, True), (MINTING, True), (IN_GRACE, True)]
)
def test_a_rotation_is_under_way_until_nothing_is_left_to_do(written, under_way):
    assert written.under_way is under_way


@pytest.mark.parametrize("written", [STAGED, MINTING, IN_GRACE])
def test_a_claim_counts_on_and_keeps_all_that_is_known_of_a_rotation_under_way(written):
    assert journal.claimed(written, "other") == replace(written, epoch=5)


def test_a_claim_of_another_rotation_has_its_own_id_and_begins_to_count_its_attempts():
    rested = Journal(4, "r", attempt=2, confirmed="c", rotated_at=START)
    assert journal.claimed(rested, "other") == replace(rested, epoch=5, rotation_id="other", attempt=0)


def test_an_intent_that_was_never_fulfilled_keeps_its_first_picture():
    first = journal.intended(Journal(1), ("k0",), START)
    assert (first.live, first.intent_at) == (("k0",), START)
    assert journal.intended(first, ("k0", "k1"), START + GRACE) == first


def test_an_intent_is_kept_until_what_was_staged_is_confirmed():
    staged = journal.staged(MINTING, "p", "c")
    assert staged == replace(MINTING, pending="p", base="c")
    assert journal.discarded(staged) == replace(MINTING, attempt=1)
    confirmed = journal.confirmed(staged, "p", START, None)
    assert (confirmed.intent_at, confirmed.live) == (None, ())


def test_a_discarded_version_counts_as_an_attempt_and_an_abandoned_one_does_not():
    assert journal.discarded(STAGED) == replace(STAGED, pending=None, base=None, attempt=2)
    assert journal.abandoned(STAGED) == replace(STAGED, pending=None, base=None, attempt=0)
    assert journal.abandoned(MINTING) == replace(MINTING, intent_at=None, live=())


@pytest.mark.parametrize(("grace", "retire_after"), [(GRACE, START + GRACE), (timedelta(0), START), (None, None)])
def test_a_confirmation_starts_the_grace_where_there_is_something_to_retire(grace, retire_after):
    confirmed = journal.confirmed(STAGED, "p", START, grace)
    assert confirmed == Journal(4, "r", confirmed="p", rotated_at=START, retire_after=retire_after)


def test_what_is_forgotten_leaves_nothing_to_retire():
    assert journal.forgotten(IN_GRACE) == replace(IN_GRACE, retire_after=None)


def test_a_rotation_that_goes_back_is_known_by_its_id():
    assert not IN_GRACE.is_rollback
    assert journal.reverting(replace(IN_GRACE, attempt=2), "x") == replace(IN_GRACE, rotation_id="rollback-x")
    assert journal.reverting(IN_GRACE, "x").is_rollback
