"""What every secret store must do with values: give them back exactly or refuse them, and touch nothing around them."""

import json

import pytest
from support.stores.faults import refusal
from support.stores.world import GRACE

from blocks.secret_stores.interface import ConflictError, VersionGoneError
from rules.errors import PermanentError

AWKWARD = {
    "space-inside": "with space",
    "space-around": "  leading and trailing  ",
    "single-quote": "it's",
    "double-quote": 'say "hi"',
    "both-quotes": """'"'"'""",
    "backslashes": "back\\slash\\\\n\\u0041",
    "hash": "# no comment",
    "equals": "a=b&c=d",
    "dollar": "${HOME} $(id) `id` $$",
    "braces": "{{ secret }} {% raw %} {x}",
    "percent": "%s %(name)s 100%",
    "latin": "ünïcödé",
    "combining": "e\u0301 \u00e9",
    "astral": "🔑 \U0001d518 \U0010fffd",
    "right-to-left": "\u05e9\u05dc\u05d5\u05dd \u202emoc",
    "line-separators": "a\u2028b\u2029c\u0085d",
    "no-break-space": "\u00a0a\u00a0",
    "byte-order-mark": "\ufeffvalue",
    "newline": "two\nlines",
    "newline-last": "line\n",
    "windows-newline": "two\r\nlines",
    "tab": "a\tb",
    "control": "a\x01b\x1bc\x7f",
    "null": "null",
    "number": "12345",
    "zeros": "000123",
    "float": "1e3",
    "true": "true",
    "no": "no",
    "json-object": '{"password": "inner", "n": 1.0}',
    "json-string": '"quoted"',
    "json-array": "[]",
    "yaml": "- a: &b !!str c",
    "html": "<b>&amp;</b>",
    "url": "postgres://u:p%40ss@h:5432/d?x=1#f",
    "dash": "-",
    "option": "--help",
    "path": "@/etc/passwd",
    "file-uri": "file:///etc/passwd",
    "pem": "-----BEGIN KEY-----\nAAAA\n-----END KEY-----\n",
    "base64": "AAAA/+==",
    "long": "x" * 2000,
}
FIELDS = [
    ('{"password":"', '"}'),
    ('{"host": "db", "password": "', '", "port": 5432}'),
    ('{\n    "z": 1,\n    "password": "', '",\n    "a": [1, 2]\n}\n'),
    (' \t{ "n" : 1.0 , "e" : 1e3, "big": 12345678901234567890, "password"\t:  "', '" , "f" : -0.0 } \n'),
    ('{"inner": {"password": "not this"}, "password": "', '", "list": [{"password": "nor this"}]}'),
    ('{"text": "\\"password\\": \\"nor this\\"", "password": "', '", "u": "\\u00e9\\/ü🔑"}'),
    ('{"pass\\"word": "a", "Password": "b", "password ": "c", "password": "', '", "": null, "t": true}'),
]


@pytest.mark.parametrize("name", AWKWARD)
def test_an_awkward_value_reads_back_exactly_or_is_refused_and_nothing_is_touched(name, world):
    awkward = (world.new[0], AWKWARD[name])
    state, around = world.after("claim"), world.surroundings()
    if error := refusal(lambda: world.stage(awkward)):
        assert error.advice
        assert (world.state(), world.consume(), world.surroundings()) == (state, world.old, around)
        return
    assert world.value(world.state().pending) == awkward
    world.take("promote")
    assert (world.consume(), world.surroundings()) == (awkward, around)
    assert world.value(world.take("confirm").current) == awkward
    assert world.value(world.rotate(world.fresh("plain"), GRACE).previous) == awkward


@pytest.mark.parametrize("name", ["astral", "both-quotes", "newline", "json-object", "space-around"])
def test_an_awkward_account_reads_back_exactly_or_is_refused(name, pair):
    awkward = (AWKWARD[name], pair.new[1])
    state = pair.after("claim")
    if error := refusal(lambda: pair.stage(awkward)):
        assert error.advice
        assert (pair.state(), pair.consume()) == (state, pair.old)
        return
    pair.take("promote")
    assert pair.consume() == awkward


def test_the_largest_value_replaces_another_of_its_size(single):
    if single.backend.largest is None:
        pytest.skip(f"not applicable: {single.backend.name} has no limit of its own")
    single.old, single.new = ((None, letter * single.backend.largest) for letter in "ab")
    single.after("forget")
    assert single.consume() == single.new


def test_a_value_that_is_too_large_is_refused_when_it_is_staged_and_nothing_is_touched(single):
    if single.backend.largest is None:
        pytest.skip(f"not applicable: {single.backend.name} has no limit of its own")
    single.old = (None, "a" * single.backend.largest)
    state, around = single.after("claim"), single.surroundings()
    with pytest.raises(PermanentError) as refused:
        single.stage((None, "b" * (single.backend.largest + 1)))
    assert refused.value.advice
    assert "bbbb" not in str(refused.value)
    assert (single.state(), single.consume(), single.surroundings()) == (state, single.old, around)


def text_world(world, *, username, password="password"):
    """Return the world with a secret that is a free text with these fields."""
    if world.backend.no_free_text:
        pytest.skip(f"not applicable to {world.backend.name}: {world.backend.no_free_text}")
    address = world.backend.text_address(username=username, password=password)
    return type(world)(world.backend, pair=username is not None, address=address)


@pytest.mark.parametrize(("before", "after"), FIELDS)
def test_a_document_keeps_every_byte_outside_of_its_field(before, after, single):
    world = text_world(single, username=None)
    world.backend.put_text(world.address, f"{before}old{after}")
    world.old = (None, "old")
    state = world.rotate(world.new)
    assert world.backend.text(world.address) == before + world.new[1] + after
    assert (world.value(state.current), world.consume()) == (world.new, world.new)


@pytest.mark.parametrize("name", ["double-quote", "backslashes", "astral", "newline", "control", "json-object"])
def test_a_document_stays_one_whatever_the_value(name, single):
    world = text_world(single, username=None)
    world.backend.put_text(world.address, '{"a": 1.0, "password": "old" }')
    world.rotate((None, AWKWARD[name]))
    text = world.backend.text(world.address)
    assert (text[:23], text[-2:]) == ('{"a": 1.0, "password": ', " }")
    assert json.loads(text) == {"a": 1.0, "password": AWKWARD[name]}


def test_both_fields_of_a_document_change_at_once_and_nothing_else(pair):
    world = text_world(pair, username="user")
    template = '{{"password" : "{1}",\n "x": {{"user": 1e3}}, "user":"{0}"}}'
    world.backend.put_text(world.address, template.format("alice", "old"))
    world.old = ("alice", "old")
    world.rotate(world.new)
    assert world.backend.text(world.address) == template.format(*world.new)


def test_a_change_of_another_field_outside_is_never_lost_by_a_promotion(single):
    world = text_world(single, username=None)
    world.backend.put_text(world.address, '{"password": "old", "port": 1}')
    world.take("claim")
    world.stage(world.new)
    world.backend.put_text(world.address, '{"password": "old", "port": 2, "more": null}')
    # A store with versions of its own sees another current version, and refuses.
    refused = refusal(lambda: world.take("promote"))
    assert isinstance(refused, ConflictError | None)
    value = "old" if refused else world.new[1]
    assert world.backend.text(world.address) == f'{{"password": "{value}", "port": 2, "more": null}}'


@pytest.mark.parametrize(
    "text",
    [
        "plain text",
        "{}",
        "[]",
        '"password"',
        '{"other": "1"}',
        '{"password": 5}',
        '{"password": null}',
        '{"password": {"a": "b"}}',
        '{"password": "1", "password": "2"}',
        '{"password": "1",}',
        '{"password": "1"} trailing',
        "{'password': '1'}",
    ],
)
def test_a_text_without_the_field_is_refused_by_preflight_or_at_staging_and_stays(text, single):
    world = text_world(single, username=None)
    world.backend.put_text(world.address, text)
    store, address = world.store, world.address
    error = refusal(lambda: (store.preflight(address), world.take("claim"), world.stage(world.new)))
    assert error is not None
    assert error.advice
    assert world.backend.text(world.address) == text


def test_a_whole_text_is_replaced_where_no_field_is_named(single):
    world = text_world(single, username=None, password="")
    world.backend.put_text(world.address, '{"a": 1}')
    state = world.rotate((None, "plain"))
    assert world.backend.text(world.address) == "plain"
    assert world.value(state.current) == (None, "plain")
    with pytest.raises(VersionGoneError):
        world.store.reveal(world.address, "0" * 16)
