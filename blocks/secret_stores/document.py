"""The text of a secret: a plain value, or a JSON object of which some fields rotate and all other bytes stay. Pure."""

import json
from collections.abc import Mapping

from rules.errors import PermanentError

Pair = tuple[str | None, str]
"""Account, if the secret names one, and password."""

# Numbers stay text: Python refuses very long ones.
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str)
_SPACE = " \t\r\n"


def read_pair(text: str | None, username: str | None, password: str) -> Pair | None:
    """Return the pair that a secret's text holds, or None where it holds none; an empty value is none.

    Args:
        text: the secret, or None where there is none.
        username: the field of the account's name, or None.
        password: the field of the value; empty where the whole text is the value.

    Raises:
        PermanentError: if fields are wanted and the text is no JSON object that holds them once and as text.
    """
    if not text:
        return None
    if not password:
        return (None, text)
    fields = _fields(text)
    secret = _string(text, fields, password)
    account = _string(text, fields, username) if username else None
    return (account, secret) if secret and (account or not username) else None


def with_pair(text: str | None, username: str | None, password: str, pair: Pair) -> str:
    """Return the text with this pair; every byte outside of the fields' values stays.

    A field that is missing is an error and not added: the document is not what the policy's author thought it is.

    Raises:
        PermanentError: if the text is no JSON object that holds the fields once and as text.
    """
    account, secret = pair
    if not password:
        return secret
    values = {password: secret} | ({username: account or ""} if username else {})
    if not text:
        return json.dumps(values)
    for name, value in values.items():
        span = _fields(text).get(name)
        if span is None:
            raise PermanentError(f"The secret has no field `{name}`.", "Correct the policy, or add the field first.")
        _string(text, {name: span}, name)
        text = text[: span[0]] + json.dumps(value) + text[span[1] :]
    return text


def _fields(text: str) -> Mapping[str, tuple[int, int]]:
    """Return where the value of each field of the JSON object stands."""
    found: dict[str, tuple[int, int]] = {}
    try:
        at = _after_space(text, 0)
        _expect(text, at, "{")
        at = _after_space(text, at + 1)
        while text[at] != "}":
            _expect(text, at, '"')
            name, at = _DECODER.raw_decode(text, at)
            at = _after_space(text, at)
            _expect(text, at, ":")
            start = _after_space(text, at + 1)
            _, end = _DECODER.raw_decode(text, start)
            if name in found:
                raise PermanentError("The secret's JSON names a field twice.", "Repair it: readers disagree on such.")
            found[name] = (start, end)
            at = _after_space(text, end)
            if text[at] != "}":
                _expect(text, at, ",")
                at = _after_space(text, at + 1)
                _expect(text, at, '"')
        _expect_end(text, _after_space(text, at + 1))
    except (ValueError, IndexError, RecursionError):
        pass
    else:
        return found
    advice = "Leave `key` out to rotate the whole text, or store a JSON object."
    raise PermanentError("The secret is no JSON object, and the policy names a field of it.", advice)


def _string(text: str, fields: Mapping[str, tuple[int, int]], name: str) -> str | None:
    span = fields.get(name)
    if span is None:
        return None
    if text[span[0]] != '"':
        raise PermanentError(f"Field `{name}` of the secret is no text.", "Only a text can be rotated.")
    return str(json.loads(text[span[0] : span[1]]))


def _after_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


def _expect(text: str, at: int, character: str) -> None:
    if text[at] != character:
        raise ValueError(f"no {character}")


def _expect_end(text: str, at: int) -> None:
    if at != len(text):
        raise ValueError("text after the object")
