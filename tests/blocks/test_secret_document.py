"""The text of a secret: a value, or a JSON object of which only the named fields change."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blocks.secret_stores.document import read_pair, with_pair
from rules.errors import PermanentError

# Drawing a document takes time, more so on a machine that is busy.
laws = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

SPACE = st.text(alphabet=" \t\r\n", max_size=3)
NUMBERS = st.sampled_from(["0", "-0.0", "1.0", "1e3", "1E-07", "12345678901234567890"])
WORDS = st.one_of(NUMBERS, st.sampled_from(["true", "false", "null"]))
NAMES = st.one_of(st.sampled_from(["password", "user", "Password", "password "]), st.text(max_size=6))
VALUES = st.text(min_size=1, max_size=20)


def forms(text):
    """Return the forms that JSON has for a text: as it is, and escaped in lower and in upper case."""
    units = text.encode("utf-16-be").hex()
    escaped = "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))
    return [json.dumps(text, ensure_ascii=False), f'"{escaped}"', f'"{escaped.upper()}"'.replace("\\U", "\\u")]


def strings(of):
    """Draw a JSON string for a text that is drawn."""
    return of.flatmap(lambda text: st.sampled_from(forms(text)))


def spaced(*parts):
    """Draw parts one after the other with white space between them."""
    return st.tuples(*[part for one in parts for part in (SPACE, one)], SPACE).map("".join)


def listed(items, opening, closing):
    """Draw items between brackets, with commas."""
    return st.lists(items, max_size=3).map(lambda found: opening + ",".join(found) + closing)


def members(values, names=NAMES):
    """Draw a name with a value."""
    return spaced(strings(names), st.just(":"), values)


JSON = st.recursive(
    st.one_of(WORDS, strings(st.text(max_size=8))),
    lambda inner: st.one_of(listed(spaced(inner), "[", "]"), listed(members(inner), "{", "}")),
    max_leaves=4,
)


@st.composite
def documents(draw, *fields):
    """Draw a JSON object with these fields among others; return its parts, the fields' values at odd places."""
    others = draw(st.lists(NAMES.filter(lambda name: name not in fields), max_size=3, unique=True))
    parts = [draw(SPACE) + "{"]
    for number, name in enumerate(draw(st.permutations([*fields, *others]))):
        comma = "," if number else ""
        parts[-1] += comma + draw(spaced(strings(st.just(name)), st.just(":")))
        if name in fields:
            parts += [draw(strings(VALUES)), draw(SPACE)]
        else:
            parts[-1] += draw(spaced(JSON))
    parts[-1] += "}" + draw(SPACE)
    return parts


@laws
@given(documents("password"), VALUES)
def test_only_the_value_of_the_field_changes(parts, value):
    before, _, after = parts
    changed = with_pair("".join(parts), None, "password", (None, value))
    assert changed.startswith(before)
    assert changed.endswith(after)
    assert json.loads(changed[len(before) : len(changed) - len(after)]) == value


@laws
@given(documents("password", "user"), VALUES, VALUES)
def test_only_the_values_of_both_fields_change(parts, account, value):
    changed = with_pair("".join(parts), "user", "password", (account, value))
    written = [json.dumps(new) for new in (account, value)]
    first, _, between, _, last = parts
    assert changed in {first + one + between + other + last for one, other in (written, written[::-1])}
    assert read_pair(changed, "user", "password") == (account, value)


@laws
@given(documents("password"), VALUES)
def test_what_was_written_is_read(parts, value):
    text = "".join(parts)
    assert read_pair(text, None, "password") == (None, json.loads(parts[1]))
    assert read_pair(with_pair(text, None, "password", (None, value)), None, "password") == (None, value)


@laws
@given(documents("password"))
def test_writing_what_is_there_means_the_same_to_every_reader(parts):
    text = "".join(parts)
    again = with_pair(text, None, "password", read_pair(text, None, "password"))
    assert json.loads(again, parse_int=str) == json.loads(text, parse_int=str)


@given(st.text(max_size=30))
def test_a_text_is_either_refused_or_a_json_object_with_the_field(text):
    try:
        pair = read_pair(text, None, "password")
    except PermanentError:
        return
    assert pair is None
    assert text == "" or "password" not in json.loads(text)


@given(st.text(), VALUES)
def test_without_a_field_the_whole_text_is_the_value(text, value):
    assert read_pair(text, None, "") == ((None, text) if text else None)
    assert with_pair(text, None, "", (None, value)) == value


def test_a_number_that_python_would_not_read_stays():
    number = "9" * 5000
    assert with_pair(f'{{"n": {number}, "password": "x"}}', None, "password", (None, "y")) == (
        f'{{"n": {number}, "password": "y"}}'
    )


@pytest.mark.parametrize("text", [None, ""])
def test_where_there_is_nothing_an_object_of_the_fields_is_made(text):
    assert read_pair(text, "user", "password") is None
    made = with_pair(text, "user", "password", ("alice", 'a"b'))
    assert read_pair(made, "user", "password") == ("alice", 'a"b')
    assert json.loads(made) == {"user": "alice", "password": 'a"b'}


@pytest.mark.parametrize(
    "text", ['{"password": ""}', '{"password": "", "user": "a"}', "{}", '{"a": {"password": "b"}}']
)
def test_an_empty_value_or_a_missing_field_is_no_pair(text):
    assert read_pair(text, None, "password") is None


def test_a_pair_of_which_half_is_missing_is_none():
    assert read_pair('{"password": "x"}', "user", "password") is None
    assert read_pair('{"user": "x", "password": ""}', "user", "password") is None


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("plain canary", "no JSON object"),
        ('"canary"', "no JSON object"),
        ('["canary"]', "no JSON object"),
        ('{"password": "canary"', "no JSON object"),
        ('{"password": "canary",}', "no JSON object"),
        ('{"password": "canary" "a": 1}', "no JSON object"),
        ('{"password": "canary"} x', "no JSON object"),
        ('{"password" "canary"}', "no JSON object"),
        ('{password: "canary"}', "no JSON object"),
        ("{'password': 'canary'}", "no JSON object"),
        ('{"password": "canary\n"}', "no JSON object"),
        ('\ufeff{"password": "canary"}', "no JSON object"),
        ('{"password": "canary", "a": ' + "[" * 100_000 + "]" * 100_000 + "}", "no JSON object"),
        ('{"password": "canary", "password": "canary"}', "twice"),
        ('{"password": "canary", "pass\\u0077ord": "canary"}', "twice"),
        ('{"password": 5, "a": "canary"}', "no text"),
        ('{"password": null, "a": "canary"}', "no text"),
        ('{"a": "canary", "password": ' + "1" * 5000 + "}", "no text"),
        ('{"password": ["canary"]}', "no text"),
    ],
)
def test_what_is_unclear_is_refused_by_reader_and_writer_without_its_text(text, word):
    for call in (lambda: read_pair(text, None, "password"), lambda: with_pair(text, None, "password", (None, "new"))):
        with pytest.raises(PermanentError, match=word) as refused:
            call()
        assert refused.value.advice
        assert "canary" not in repr(refused.value) + str(refused.value)
        assert refused.value.__context__ is None


@pytest.mark.parametrize("text", ["{}", '{"passwort": "canary"}', '{"user": "a"}'])
def test_a_missing_field_is_never_added(text):
    with pytest.raises(PermanentError, match="no field `password`"):
        with_pair(text, None, "password", (None, "new"))
