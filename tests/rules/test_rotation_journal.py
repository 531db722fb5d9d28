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
    START.replace(year=2001, tzinfo=None),
    START.replace(year=2199, tzinfo=None),
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5))]),
)
JOURNALS = st.builds(
    Journal,
    epoch=st.integers(0, 10**9),
    rotation_id=IDS | st.just(""),
    target=st.sampled_from(["", "postgres-role/main"]),
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
IN_GRACE = Journal(4, "r", "role/a", base="c", confirmed="p", rotated_at=START, retire_after=START + GRACE)
RESTED = Journal(4, confirmed="p", rotated_at=START)


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
        {"epoch": "1", "rotated_at": "1999-12-31T00:00:00+00:00"},
        {"epoch": "1", "rotated_at": "9999-12-31T00:00:00+00:00"},
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
    assert journal.claimed(written, "other", "role/other") == replace(written, epoch=5)


def test_a_claim_of_another_rotation_has_its_own_id_and_target_and_begins_to_count_its_attempts():
    rested = Journal(4, "r", "role/a", attempt=2, confirmed="c", rotated_at=START)
    claimed = journal.claimed(rested, "other", "role/b")
    assert claimed == replace(rested, epoch=5, rotation_id="other", target="role/b", attempt=0)
    assert journal.claimed(claimed, "third").target == ""


def test_a_rotation_that_begins_where_another_one_ended_under_the_same_claim_gets_an_id_and_a_target():
    begun = journal.begun(RESTED, "other", "role/a")
    assert begun == replace(RESTED, rotation_id="other", target="role/a")
    assert journal.begun(begun, "third", "role/b") == replace(begun, target="role/b")


def test_a_new_rotation_never_keeps_the_id_of_one_that_went_back():
    left = journal.reverting(IN_GRACE, "x")
    assert journal.begun(left, "other", "role/a") == replace(IN_GRACE, rotation_id="other")


def test_an_intent_replaces_the_picture_of_an_older_one():
    first = journal.intended(Journal(1), ("k0",), START)
    assert (first.live, first.intent_at) == (("k0",), START)
    again = journal.intended(first, ("k0", "k1"), START + GRACE)
    assert again == replace(first, live=("k0", "k1"), intent_at=START + GRACE)


def test_an_intent_is_dropped_when_the_target_refuses_to_mint():
    refused = journal.refused(MINTING)
    assert refused == replace(MINTING, intent_at=None, live=())
    assert not refused.under_way


def test_an_intent_is_kept_until_what_was_staged_is_confirmed():
    staged = journal.staged(MINTING, "p", "c")
    assert staged == replace(MINTING, pending="p", base="c")
    assert journal.discarded(staged) == replace(MINTING, attempt=1)
    confirmed = journal.confirmed(staged, "p", START, None)
    assert (confirmed.intent_at, confirmed.live) == (None, ())


def test_a_discarded_version_counts_as_an_attempt_and_an_abandoned_one_ends_the_rotation():
    assert journal.discarded(STAGED) == replace(STAGED, pending=None, base=None, attempt=2)
    assert journal.abandoned(STAGED) == replace(STAGED, rotation_id="", pending=None, base=None, attempt=0)
    assert journal.abandoned(MINTING) == replace(MINTING, rotation_id="", intent_at=None, live=())


@pytest.mark.parametrize(("grace", "retire_after"), [(GRACE, START + GRACE), (timedelta(0), START)])
def test_a_confirmation_starts_the_grace_and_keeps_what_the_version_was_based_on(grace, retire_after):
    confirmed = journal.confirmed(STAGED, "p", START, grace)
    assert confirmed == Journal(4, "r", base="c", confirmed="p", rotated_at=START, retire_after=retire_after)


def test_a_confirmation_with_nothing_to_retire_ends_the_rotation():
    assert journal.confirmed(replace(STAGED, target="role/a"), "p", START, None) == RESTED


def test_what_is_forgotten_ends_the_rotation():
    assert journal.forgotten(IN_GRACE) == RESTED
    assert not journal.forgotten(journal.reverting(IN_GRACE, "x")).is_rollback


def test_a_rotation_that_goes_back_is_known_by_its_id():
    assert not IN_GRACE.is_rollback
    assert journal.reverting(replace(IN_GRACE, attempt=2), "x") == replace(IN_GRACE, rotation_id="rollback-x")
    assert journal.reverting(IN_GRACE, "x").is_rollback
