"""Label selectors: reading, printing, matching, explaining, refusing."""

import itertools
import pickle

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from rules.selectors import (
    Operator,
    Requirement,
    Selector,
    SelectorError,
    canonical_label,
    check_key,
    check_value,
    parse_selector,
)
from rules.selectors.contradictions import first_contradiction
from rules.selectors.requirements import explain

KEYS = ["a", "b", "in", "example.com/c"]
VALUES = ["", "1", "2", "3", "02", "x", "notin"]

keys = st.sampled_from(KEYS)
values = st.sampled_from(VALUES)
spaces = st.sampled_from(["", " ", "  "])
requirements = st.one_of(
    st.builds(
        lambda k, o, v: Requirement(k, o, (v,)), keys, st.sampled_from([Operator.EQUALS, Operator.NOT_EQUALS]), values
    ),
    st.builds(
        lambda k, o, v: Requirement(k, o, tuple(v)),
        keys,
        st.sampled_from([Operator.IN, Operator.NOT_IN]),
        st.lists(values, min_size=1, max_size=3, unique=True),
    ),
    st.builds(Requirement, keys, st.sampled_from([Operator.EXISTS, Operator.ABSENT])),
    st.builds(
        lambda k, o, n: Requirement(k, o, (str(n),)),
        keys,
        st.sampled_from([Operator.GREATER, Operator.LESS]),
        st.integers(-1, 4),
    ),
)
lists_of_requirements = st.lists(requirements, min_size=1, max_size=4)
labellings = st.dictionaries(keys, values)


def holds(requirement, labels):
    """The meaning of Kubernetes's documentation, spelled out a second time without our code."""
    present, value = requirement.key in labels, labels.get(requirement.key)
    match requirement.operator:
        case Operator.EQUALS | Operator.IN:
            return present and value in requirement.values
        case Operator.NOT_EQUALS | Operator.NOT_IN:
            return not present or value not in requirement.values
        case Operator.EXISTS:
            return present
        case Operator.ABSENT:
            return not present
    if not present or not value.isdigit():
        return False
    bound = int(requirement.values[0])
    return int(value) > bound if requirement.operator is Operator.GREATER else int(value) < bound


@given(lists_of_requirements)
@example([Requirement("a", Operator.IN, ("",))])
def test_what_is_printed_is_read_as_the_same_selector(parts):
    assume(first_contradiction(parts) is None)
    selector = Selector(tuple(parts))

    assert parse_selector(str(selector)) == selector


@given(lists_of_requirements, labellings)
def test_a_selector_matches_exactly_what_its_requirements_say(parts, labels):
    selector = Selector(tuple(parts))

    assert selector.matches(labels) is all(holds(r, labels) for r in parts)
    assert [m.requirement for m in selector.mismatches(labels)] == [r for r in parts if not holds(r, labels)]


@given(st.lists(requirements, min_size=1, max_size=4).filter(lambda parts: len({r.key for r in parts}) <= 2))
@example([Requirement("a", Operator.GREATER, ("1",)), Requirement("a", Operator.LESS, ("2",))])
@example([Requirement("a", Operator.LESS, ("0",))])
def test_a_contradiction_is_found_exactly_where_nothing_can_match(parts):
    own = sorted({r.key for r in parts})
    # Besides the named values: no label at all, numbers around all bounds in odd spellings, and a text nobody names.
    candidates = [None, *VALUES, *(f"000{n}" for n in range(6)), "free"]
    labellings = itertools.product(candidates, repeat=len(own))
    chosen = ({k: v for k, v in zip(own, values, strict=True) if v is not None} for values in labellings)

    possible = any(all(holds(r, labels) for r in parts) for labels in chosen)

    assert (first_contradiction(parts) is None) is possible


def read(text):
    """The selector, or the error that refuses it."""
    try:
        return parse_selector(text)
    except SelectorError as refused:
        return refused


@given(st.text(alphabet="ab1=!<>(),. -/_in\t\n'\"é", max_size=20))
def test_any_text_is_read_or_refused_with_a_place_inside_it(text):
    answer = read(text)

    if isinstance(answer, Selector):
        assert parse_selector(str(answer)) == answer
    else:
        assert 0 <= answer.column <= len(text)
        assert answer.text == text
        assert answer.caret.split("\n")[1] == " " * answer.column + "^"
        assert answer.message
        assert answer.code.startswith("P05")


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("a=1", "a=1"),
        (" a == 1 ", "a=1"),
        ("a!=1,b", "a!=1,b"),
        ("!a , b", "!a,b"),
        ("! a", "!a"),
        ("a in(x,y)", "a in (x,y)"),
        ("a notin ( x , y )", "a notin (x,y)"),
        ("a in (x,x)", "a in (x)"),
        ("a in (x,)", "a in (x,)"),
        ("a=", "a="),
        ("a=,b", "a=,b"),
        ("a>4,a<007", "a>4,a<7"),
        ("a>-1", "a>-1"),
        ("in in (in)", "in in (in)"),
        ("example.com/Name_1.x=A-b", "example.com/Name_1.x=A-b"),
        ("a\n=\t1", "a=1"),
    ],
)
def test_a_selector_is_read_as_kubernetes_reads_it(text, printed):
    assert str(parse_selector(text)) == printed


@pytest.mark.parametrize(
    ("text", "code", "column", "hint"),
    [
        ("", "P056", 0, "Write for example"),
        ("  ", "P056", 0, "Write for example"),
        ("a=1,", "P058", 4, "Remove the comma"),
        (",a", "P058", 0, "Write for example"),
        ("a,,b", "P058", 2, "Write for example"),
        ("a=1 b=2", "P058", 4, "comma"),
        ("a=1 or b=2", "P058", 4, "There is no or"),
        ("a && b", "P050", 2, "comma"),
        ("a=1)", "P058", 3, "comma"),
        ("!", "P058", 1, "Write for example"),
        ("(a)", "P058", 0, "Write for example"),
        ("a ! b", "P050", 2, "Operators are"),
        ("a in (b", "P058", 5, "Close it"),
        ("a in (b c)", "P058", 8, "Close it"),
        ("a in b", "P058", 5, "parentheses|Write key in"),
        ("a in", "P058", 4, "Write key in"),
        ("a in ()", "P051", 5, "Write key in"),
        ("a (b)", "P058", 2, "Operators are"),
        ("a IN (b)", "P050", 2, "Did you mean in"),
        ("a NotIn (b)", "P050", 2, "Did you mean notin"),
        ("a not in (b)", "P050", 2, "notin"),
        ("a Exists", "P050", 2, "key alone"),
        ("a like b", "P050", 2, "Operators are"),
        ("a>=3", "P050", 1, "Operators are"),
        ("a=~x", "P050", 1, "no patterns"),
        ("a>x", "P053", 2, "cores>4"),
        ("a<", "P053", 2, "cores>4"),
        ("a>1234567890123456789", "P053", 2, "18 digits"),
        ("a='x'", "P055", 2, "letters"),
        ("a=x-", "P055", 3, "letters"),
        ("a=" + "x" * 64, "P055", 65, "shorter"),
        ("k" * 64, "P054", 63, "shorter"),
        ("-a", "P054", 0, "letters"),
        ("a#b", "P054", 1, "letters"),
        ("x/y/z=1", "P054", 0, "DNS"),
        ("Ab.c/d", "P054", 0, "DNS"),
        ("a/", "P054", 2, "Write for example"),
        ("p" * 254 + "/a", "P054", 253, "shorter"),
        ("b,prefect.worker.name=w", "P059", 2, "prove nothing"),
        ("prefect.io/flow-run-id", "P059", 0, "prove nothing"),
        ("a=1,a=2", "P057", 4, "remove one"),
        ("b, a in (x), a notin (x,y)", "P057", 13, "remove one"),
        ("a,!a", "P057", 2, "remove one"),
        ("a>3,a<4", "P057", 4, "remove one"),
        ("a=5,a>5", "P057", 4, "remove one"),
    ],
)
def test_a_selector_that_cannot_be_used_says_where_and_what_to_write(text, code, column, hint):
    with pytest.raises(SelectorError) as caught:
        parse_selector(text)

    assert (caught.value.code, caught.value.column) == (code, column)
    assert any(part in caught.value.hint for part in hint.split("|"))


def test_the_caret_stands_under_the_character_to_blame():
    with pytest.raises(SelectorError) as caught:
        parse_selector("a=1,\tb in (c")

    assert caught.value.caret == "a=1, b in (c\n          ^"


def test_a_selector_error_is_a_value_error_that_survives_pickling():
    error = SelectorError("wrong", 3, "Write it.", code="P054", text="a b")

    copy = pickle.loads(pickle.dumps(error))

    assert isinstance(copy, ValueError)
    assert (str(copy), copy.column, copy.hint, copy.code, copy.text) == ("wrong", 3, "Write it.", "P054", "a b")


@pytest.mark.parametrize(
    ("text", "labels", "reason"),
    [
        ("a=1", {}, "label a is missing"),
        ("a=1", {"a": "2"}, "label a is `2`, not `1`"),
        ("a in (1,2)", {"a": "3"}, "label a is `3`, not `1`, `2`"),
        ("a!=1", {"a": "1"}, "label a is `1`"),
        ("a notin (1)", {"a": "1"}, "label a is `1`"),
        ("a", {}, "label a is missing"),
        ("!a", {"a": "1"}, "label a is present, as `1`"),
        ("a>4", {}, "label a is missing"),
        ("a>4", {"a": "many"}, "label a is `many`, which is no whole number"),
        ("a>4", {"a": "4"}, "label a is 4, not above 4"),
        ("a<4", {"a": "4"}, "label a is 4, not below 4"),
    ],
)
def test_each_requirement_says_why_it_does_not_hold(text, labels, reason):
    (mismatch,) = parse_selector(text).mismatches(labels)

    assert mismatch.reason == reason
    assert str(mismatch) == f"`{text}` does not hold: {reason}"


def test_the_explanation_goes_requirement_by_requirement():
    selector = parse_selector("a=1,b,c=3")

    assert explain(selector, {"c": "3"}) == (
        "`a=1` does not hold: label a is missing; `b` does not hold: label b is missing."
    )
    assert explain(selector, {"a": "1", "b": "", "c": "3"}) == "`a=1,b,c=3` holds."


def test_what_holds_only_because_a_label_is_missing_is_told_apart():
    selector = parse_selector("a!=1,b notin (x),!c,d=1")

    assert [r.key for r in selector.held_by_absence({"b": "y", "d": "1"})] == ["a"]


@pytest.mark.parametrize(("value", "text"), [(True, "true"), (False, "false"), (3, "3"), ("x", "x"), ("", "")])
def test_booleans_and_whole_numbers_become_text(value, text):
    assert canonical_label(value) == text


@pytest.mark.parametrize(
    ("value", "code"), [(1.5, "P030"), (None, "P031"), ([], "P030"), ("a b", "P055"), (-1, "P055")]
)
def test_other_label_values_are_refused(value, code):
    with pytest.raises(SelectorError) as caught:
        canonical_label(value)

    assert caught.value.code == code


def test_the_longest_key_and_value_are_allowed():
    check_key("p" * 253 + "/" + "k" * 63)
    check_value("v" * 63)
    check_value("")
