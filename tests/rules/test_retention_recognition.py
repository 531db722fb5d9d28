import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.retention.observed import Metadata
from rules.retention.recognition import parse_metadata, parse_time, readable

GOOD = {"storage_key": "k", "expiration": None, "serializer": {"type": "pickle"}, "prefect_version": "3.8.8"}


def head(metadata, rest='"x"}') -> bytes:
    return b'{"metadata":' + json.dumps(metadata, separators=(",", ":")).encode() + b',"result":' + rest.encode()


def test_the_metadata_of_a_task_result_is_recognised_from_its_beginning():
    assert parse_metadata(head(GOOD)) == Metadata("k", None)
    assert parse_metadata(head(GOOD, rest='"cut off in the')) == Metadata("k", None)


def test_the_expiration_is_read_as_an_aware_time():
    found = parse_metadata(head(GOOD | {"expiration": "2026-11-23T12:00:00.5Z", "storage_key": 5}))
    assert found is not None
    assert found.storage_key is None
    assert found.expiration == parse_time("2026-11-23T12:00:00.500000+00:00")
    assert parse_time("2026-11-23T12:00:00").tzinfo is not None


@pytest.mark.parametrize(
    "bare",
    [
        b"",
        b"gAVLKi4=\n",
        b'{"metadata":',
        b'{"metadata":[1]}',
        b'{"metadata":{"a":1}}',
        b'{"metadata":' + b"[" * 100_000,
        head(GOOD | {"expiration": "tomorrow"}),
        head(GOOD)[:40],
        b" " + head(GOOD),
    ],
)
def test_anything_else_is_no_result_with_metadata(bare):
    assert parse_metadata(bare) is None


@given(st.binary(max_size=600))
def test_no_bytes_make_recognition_fail(noise):
    assert parse_metadata(noise) is None
    parse_metadata(b'{"metadata":' + noise)


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("plain/key-1.json", "plain/key-1.json"),
        ("a\nb", "a\\u{a}b"),
        ("\udcff", "\\xff"),
        ("a\\b", "a\\\\b"),
        ("é", "é"),
    ],
)
def test_every_key_can_be_shown(key, shown):
    assert readable(key) == shown
    json.dumps(readable(key), ensure_ascii=False).encode()


names = st.binary(min_size=1, max_size=8).map(lambda raw: raw.decode("utf-8", "surrogateescape"))


@given(names, names)
def test_two_keys_are_never_shown_alike(one, other):
    assert (readable(one) == readable(other)) == (one == other)
