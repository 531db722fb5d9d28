"""The record beside a secret: it survives a round trip, and its ids say nothing."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.secret_stores.record import Record, new_key, record_from_json
from rules.rotation import Journal

PAIRS = st.tuples(st.one_of(st.none(), st.text()), st.text())
FIRST, LAST = (datetime(year, 1, 1, tzinfo=UTC).replace(tzinfo=None) for year in (2000, 2200))
INSTANTS = st.one_of(st.none(), st.datetimes(FIRST, LAST, timezones=st.just(UTC)))
IDS = st.text(alphabet="0123456789abcdef-", min_size=1, max_size=36)
MAYBE_IDS = st.one_of(st.none(), IDS)
JOURNALS = st.builds(
    Journal,
    epoch=st.integers(0, 10**9),
    rotation_id=st.text(max_size=20),
    base=MAYBE_IDS,
    pending=MAYBE_IDS,
    attempt=st.integers(0, 99),
    confirmed=MAYBE_IDS,
    rotated_at=INSTANTS,
    retire_after=INSTANTS,
    intent_at=INSTANTS,
    live=st.lists(IDS, max_size=4).map(tuple),
)
KEY = bytes(range(32))
INTACT = Record(KEY, Journal(epoch=3), (None, "canary"), ("alice", "canary")).to_json()


@given(JOURNALS, st.one_of(st.none(), PAIRS), st.one_of(st.none(), PAIRS))
def test_a_record_is_read_as_it_was_written(journal, pending, previous):
    record = Record(new_key(), journal, pending, previous)
    assert record_from_json(json.loads(json.dumps(record.to_json()))) == record


@given(PAIRS, PAIRS)
def test_two_pairs_have_the_same_id_only_if_they_are_the_same(one, other):
    record = Record(KEY, Journal())
    assert (record.fingerprint(one) == record.fingerprint(other)) == (one == other)


def test_an_id_depends_on_the_key_and_is_none_for_nothing():
    pair = (None, "canary")
    ids = {Record(new_key(), Journal()).fingerprint(pair) for _ in range(5)}
    assert {len(version) for version in ids} == {16}
    assert len(ids) == 5
    assert Record(KEY, Journal()).fingerprint(None) is None


def test_a_record_shows_no_value():
    record = record_from_json(INTACT)
    assert "canary" not in repr(record) + str(record)
    assert (record.pending, record.previous) == ((None, "canary"), ("alice", "canary"))


def test_a_record_with_more_in_it_is_read_all_the_same():
    assert record_from_json(INTACT | {"later": 1}) == record_from_json(INTACT)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"key": ""},
        {"key": "no hex"},
        {"key": None},
        {"journal": None},
        {"journal": {}},
        {"journal": {"epoch": "x"}},
        {"journal": {"epoch": "1", "rotated_at": "2026-03-01T00:00:00"}},
        {"journal": {"epoch": "1", "rotated_at": "1999-12-31T23:59:59+00:00"}},
        {"journal": {"epoch": "1", "retire_after": "9999-12-31T23:59:59+00:00"}},
        {"journal": {"epoch": "1", "intent_at": "2201-01-01T00:00:00+00:00"}},
        {"journal": {"epoch": "1", "live": 5}},
        {"pending": "abc"},
        {"pending": [None, 5]},
        {"pending": [5, "x"]},
        {"previous": ["a", "b", "c"]},
        {"previous": 5},
    ],
)
def test_what_was_not_written_by_us_is_refused(change):
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        record_from_json(INTACT | change)


@pytest.mark.parametrize("missing", INTACT)
def test_a_record_without_one_of_its_parts_is_refused(missing):
    with pytest.raises(KeyError):
        record_from_json({part: value for part, value in INTACT.items() if part != missing})
