"""Durations: a whole number and a unit."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "expected"),
    [("30s", timedelta(seconds=30)), ("90m", timedelta(minutes=90)), ("24h", timedelta(days=1)), ("2w", timedelta(14))],
)
def test_a_number_and_a_unit_is_a_duration(text, expected):
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["", "5", "5 mins", "-1h", "0d", "1.5h", "30D", "999999999w", "٣d", "1h30m", " 1h"])
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match="a duration is"):
        parse_duration(text)


@given(st.integers(1, 5000), st.sampled_from("smhdw"))
def test_what_is_formatted_reads_back_the_same(number, unit):
    duration = parse_duration(f"{number}{unit}")

    assert parse_duration(format_duration(duration)) == duration


def test_more_than_a_century_is_refused():
    with pytest.raises(ValueError, match="at most 100 years"):
        parse_duration("99999d")
