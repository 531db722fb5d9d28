"""From pydantic's errors to problems with a place: each error type has its code and words, none of which quote a value.

What pydantic calls a location is followed through the document; the parts of it that are no key or index (the tag of a
union, the name of a validator) are left out, and of a union only the branch that fits best is told.
"""

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from blocks.policies.interface import KEY
from blocks.policies.known_keys import SET_BY_PUBLISHING, known_keys
from blocks.policies.nodes import Document, KeyPath
from blocks.policies.problems import Problems, shown, without_values

_OWN_CODE = re.compile(r"[PW][0-9]{3}")
_ACCEPTANCE = frozenset({"owner", "reason", "expires"})

_WANTED = {
    "string": "a string",
    "int": "a whole number",
    "float": "a whole number",
    "bool": "true or false",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "frozen_set": "a list",
    "iterable": "a list",
    "dict": "a mapping",
    "mapping": "a mapping",
    "model": "a mapping",
    "model_attributes": "a mapping",
    "dataclass": "a mapping",
}
_HELD = {str: "a string", bool: "a boolean", int: "a whole number", list: "a list", dict: "a mapping"}
_LIMITS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
    "multiple_of": ("multiple_of", "a multiple of"),
}
_LENGTHS = {
    "string_too_short": ("P044", "min_length", "at least", "character"),
    "string_too_long": ("P044", "max_length", "at most", "character"),
    "too_short": ("P047", "min_length", "at least", "item"),
    "too_long": ("P047", "max_length", "at most", "item"),
}


@dataclass(frozen=True, slots=True)
class _Located:
    """An error of pydantic's, and where it is in the document.

    Attributes:
        type: pydantic's name of the error, or our own code.
        context: what pydantic or the validator says beside it.
        path: the deepest part of the document that the location reaches.
        rest: what of the location could not be followed: a missing key.
        branch: where a union begins, and which branch of it this is; None outside unions.
        blames_key: whether the key that leads to the path is to blame, not the value.
    """

    type: str
    context: Mapping[str, Any]
    path: KeyPath
    rest: str
    branch: tuple[KeyPath, str] | None
    blames_key: bool


def add_model_errors(
    errors: Iterable[Mapping[str, Any]], document: Document, model: type[BaseModel], problems: Problems
) -> None:
    """Report what a model said against a document.

    Args:
        errors: as ``ValidationError.errors()`` lists them.
        document: the document that was validated.
        model: the model of the whole document.
        problems: where to report.
    """
    for error in _best_branches([_located(error, document) for error in errors]):
        if not document.known((*error.path, error.rest) if error.rest else error.path):
            _add(error, document, model, problems)


def value_at(document: Document, path: KeyPath) -> object:
    """Return the plain value at a path that is in the document."""
    value: Any = document.value
    for step in path:
        value = value[step]
    return value


def is_from_lax_mode(error: Mapping[str, Any], document: Document) -> bool:
    """Return whether an error of strict mode means a scalar that lax mode would have turned into another type."""
    located = _located(error, document)
    value = value_at(document, located.path)
    if error["type"] in ("int_type", "bool_type", "time_delta_type", "string_type"):
        return located.branch is None
    return error["type"] == "date_type" and not isinstance(value, str)


def _located(error: Mapping[str, Any], document: Document) -> _Located:
    path: KeyPath = ()
    value: Any = document.value
    rest, branch = "", None
    context = error.get("ctx") or {}
    steps = (*error["loc"], *context.get("path", ()))
    for index, step in enumerate(steps):
        inside = (isinstance(value, dict) and step in value) or (
            isinstance(value, list) and isinstance(step, int) and step < len(value)
        )
        if inside:
            path, value = (*path, step), value[step]
        elif error["type"] == "missing" and index == len(steps) - 1:
            rest = str(step)
        elif branch is None and isinstance(step, str) and step != KEY:
            branch = (path, step)
    return _Located(error["type"], context, path, rest, branch, steps[-1:] == (KEY,) and path in document.keys)


def _best_branches(errors: Sequence[_Located]) -> list[_Located]:
    """Return the errors with only the best branch of each union: not of the wrong type, then with fewest errors."""
    unions: dict[KeyPath, dict[str, list[_Located]]] = defaultdict(lambda: defaultdict(list))
    for error in errors:
        if error.branch is not None:
            unions[error.branch[0]][error.branch[1]].append(error)
    best = {at: min(branches, key=lambda tag: _misfit(at, branches[tag])) for at, branches in unions.items()}
    return [error for error in errors if error.branch is None or best[error.branch[0]] == error.branch[1]]


def _misfit(at: KeyPath, errors: list[_Located]) -> tuple[int, int]:
    return (sum(e.path == at and e.type.endswith("_type") for e in errors), len(errors))


def _add(error: _Located, document: Document, model: type[BaseModel], problems: Problems) -> None:
    if error.type == "missing":
        problems.add(document.key_place(error.path), *_missing(error))
    elif error.type == "extra_forbidden":
        add_unknown_key(document, error.path, known_keys(model, error.path[:-1]), problems)
    elif _OWN_CODE.fullmatch(error.type):
        column = error.context.get("column") or 0
        place = document.place_inside(error.path, column, key=error.blames_key)
        blamed = error.path[-1] if error.blames_key else value_at(document, error.path)
        message, hint = (without_values(str(error.context.get(key, "")), blamed) for key in ("message", "hint"))
        problems.add(place, error.type, message.rstrip("."), hint)
    else:
        code, message, hint = _words(error, value_at(document, error.path))
        place = document.key_place(error.path) if error.blames_key else document.place(error.path)
        problems.add(place, code, f"{_subject(error.path)} {message}", hint)


def add_unknown_key(document: Document, path: KeyPath, known: Sequence[str], problems: Problems) -> None:
    """Report a key that no model knows, with the nearest one that it does know."""
    key = str(path[-1])
    if key in SET_BY_PUBLISHING and len(path) == 1:
        hint = "Publishing sets it; leave it out."
    elif nearest := difflib.get_close_matches(key, known, 1, 0.6):
        hint = f"Did you mean `{nearest[0]}`?"
    else:
        hint = f"Known here: {', '.join(known)}." if known else "Remove it."
    problems.add(document.key_place(path), "P042", f"unknown key {shown(key)}", hint)


def _missing(error: _Located) -> tuple[str, str, str]:
    key = error.rest
    holder = f" in {_subject(error.path)}" if error.path else ""
    if key in _ACCEPTANCE:
        return (
            "P070",
            f"{shown(key)} is required{holder}",
            "Say who accepts it (owner), why (reason) and until when (expires).",
        )
    return ("P040", f"{shown(key)} is required{holder}", "")


def _words(error: _Located, value: object) -> tuple[str, str, str]:
    """Return code, message without its subject, and hint."""
    kind = error.type
    if kind in ("literal_error", "enum"):
        return _choice(error, value)
    if kind.startswith("time_delta"):
        return ("P072", "must be a duration", "Write for example 30m, 24h or 90d.")
    if kind.startswith(("date_", "datetime_")):
        code = "P070" if error.path and error.path[-1] in _ACCEPTANCE else "P043"
        return (code, "must be a date", 'Write it quoted, for example "2027-03-31".')
    wanted = _WANTED.get(re.sub(r"_(type|parsing|from_float|sub_type|unicode)$", "", kind))
    if wanted:
        hint = "Quote it." if wanted == "a string" and isinstance(value, int) else ""
        return ("P043", f"must be {wanted}, got {_HELD.get(type(value), 'nothing')}", hint)
    return _limit(kind, error.context)


def _limit(kind: str, context: Mapping[str, Any]) -> tuple[str, str, str]:
    if kind == "string_pattern_mismatch":
        return ("P044", "does not match its pattern", f"It must match {context['pattern']}")
    if kind.startswith("uuid_"):
        return ("P044", "must be a UUID", "Copy it from the Prefect UI.")
    if kind in _LENGTHS:
        code, key, words, noun = _LENGTHS[kind]
        limit = int(context[key])
        return (code, f"must have {words} {limit} {noun}{'' if limit == 1 else 's'}", "")
    if kind in _LIMITS:
        key, words = _LIMITS[kind]
        return ("P047", f"must be {words} {context[key]}", "")
    return ("P048", "is not accepted", "")


def _choice(error: _Located, value: object) -> tuple[str, str, str]:
    choices = re.findall(r"'([^']*)'|(\b\d+\b)", str(error.context.get("expected", "")))
    allowed = [word or number for word, number in choices]
    if error.path == ("version",):
        return ("P041", "is not known", f"This release supports {', '.join(allowed)}.")
    nearest = difflib.get_close_matches(value, allowed, 1, 0.6) if isinstance(value, str) else []
    hint = f"Did you mean `{nearest[0]}`?" if nearest else ""
    return ("P046", f"must be one of {', '.join(allowed)}", hint)


def _subject(path: KeyPath) -> str:
    """Return what a reader calls the value at a path: its key, or ``item 2 of `secrets```."""
    if not path:
        return "the policy"
    last = path[-1]
    if isinstance(last, str):
        return shown(last)
    holder = path[-2] if len(path) > 1 else None
    return f"item {last + 1} of {shown(holder)}" if isinstance(holder, str) else f"item {last + 1}"
