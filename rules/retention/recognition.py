"""Recognising Prefect's results by their first bytes and their names. Nothing is ever unpickled.

A task's result is one JSON object whose first member is ``metadata``; a flow's result is bare bytes, which only a
reference from the API tells from a file of somebody else (Prefect 3.8, ``prefect.results``).
"""

import json
from datetime import UTC, datetime
from typing import Any

from rules.retention.observed import Metadata

HEAD = 512
"""How many bytes of an object are read first; enough for the metadata that Prefect writes by itself."""

LONG_HEAD = 65_536
"""How many are read where the metadata is longer, as long keys make it."""

_PREFIX = b'{"metadata":'
_REQUIRED = frozenset({"storage_key", "serializer", "prefect_version"})
_DECODER = json.JSONDecoder()


def begins_like_metadata(head: bytes) -> bool:
    """Return whether the first bytes could be the beginning of a result with metadata."""
    return head.startswith(_PREFIX)


def parse_metadata(head: bytes) -> Metadata | None:
    """Return the metadata at the beginning of an object, or None if it is not a result with metadata.

    Args:
        head: the object's first bytes, at least as many as its metadata takes.
    """
    if not begins_like_metadata(head):
        return None
    try:
        document, _ = _DECODER.raw_decode(head.decode("utf-8", "replace"), len(_PREFIX))
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or not document.keys() >= _REQUIRED:
        return None
    try:
        return Metadata(_text(document["storage_key"]), parse_time(document.get("expiration")))
    except ValueError:
        return None


def parse_time(value: Any) -> datetime | None:
    """Return the time that Prefect wrote as ISO text, or None for null.

    Raises:
        ValueError: if it is anything else.
    """
    if value is None:
        return None
    moment = datetime.fromisoformat(str(value))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def is_protected(key: str) -> bool:
    """Return whether an object is by its name none of ours: a lock file, or the parameters of a background task."""
    return key[-5:] == ".lock" or ("parameters/" in key and "parameters" in key.split("/")[:-1])


def lock_of(key: str) -> str:
    """Return the key of the lock file that Prefect's ``FileSystemLockManager`` would put beside an object."""
    folder, slash, name = key.rpartition("/")
    stem, dot, _ = name.rpartition(".")
    return f"{folder}{slash}{stem if dot and stem else name}.lock"


def readable(key: str) -> str:
    r"""Return a key as text that any reader survives: unprintable characters and raw bytes become ``\x..``.

    Two keys never give the same text.
    """
    if key.isascii() and key.isprintable() and "\\" not in key:
        return key
    return "".join(_printable(character) for character in key)


def _printable(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character if character.isprintable() else f"\\u{{{ord(character):x}}}"


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
