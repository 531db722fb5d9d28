"""Names with wildcards: two of them, and every other character is itself."""

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.placement_policy import Required, Selected, books

from rules.patterns import matches
from rules.placement.governing import selects


@pytest.mark.parametrize(
    ("name", "pattern", "fits"),
    [
        ("nightly/books", "nightly/*", True),
        ("nightly/book1", "nightly/book?", True),
        ("nightly/books", "Nightly/*", False),
        ("etl[prod]/x", "etl[prod]/x", True),
        ("etl[prod]/x", "etl[prod]/*", True),
        ("etlp/x", "etl[prod]/x", False),
        ("a", "[!b]", False),
        ("[a", "[?", True),
    ],
)
def test_only_star_and_question_mark_are_wildcards(name, pattern, fits):
    assert matches(name, pattern) is fits


@given(st.text().filter(lambda name: not set(name) & set("*?")))
def test_a_name_without_wildcards_fits_itself(name):
    assert matches(name, name)


@given(st.text(alphabet="ab*?]"), st.text(alphabet="ab*?]"))
def test_patterns_without_an_opening_bracket_are_those_of_the_shell(name, pattern):
    assert matches(name, pattern) == fnmatchcase(name, pattern)


def test_a_constraint_governs_a_name_with_brackets_and_not_what_they_would_mean():
    chosen = Required(deployments=Selected(names=["nightly/etl[prod]"])).deployments

    assert selects(chosen, books(name="etl[prod]"))
    assert not selects(chosen, books(name="etlp"))
