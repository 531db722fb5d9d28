"""A record in the versions of one Key Vault secret: pending and previous in the value, the journal in the tags. Pure.

Key Vault has no conditional write, and whoever writes last makes what everybody reads. So what was written last is
not what counts: every version says in its tags which epoch wrote it, and the record is the version of the highest
epoch, whenever it was written. What a superseded run writes late is a version of a lower epoch, which nobody reads.
This fences as a conditional write would, but when reading.

Within an epoch one run writes, one write after the other, and counts them. Two writes of the same number are one that
was thought lost and its repetition: the earlier counts. A run that took a claim over has a higher turn than the one
that it took it from, which may only have been frozen.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from blocks.secret_stores.record import Record, record_from_json
from rules.errors import PermanentError

LARGEST = 25_600
"""Bytes of the largest value that Key Vault holds."""

MOST_TAGS = 15
"""Tags of one version."""

LONGEST_TAG = 256
"""Characters of the longest tag."""

ROTATION, VERSION, DISPLACED = "vigiles-rotation", "vigiles-version", "vigiles-displaced"
"""Tags of the secret itself: which rotation made the version, its id, and the Key Vault version that it displaced."""

MARKS = (ROTATION, VERSION, DISPLACED)
"""All of them."""


class Properties(Protocol):
    """What is read of the properties that azure-keyvault-secrets gives of a version."""

    @property
    def version(self) -> str | None:
        """Key Vault's id of the version."""

    @property
    def tags(self) -> dict[str, str] | None:
        """Its tags."""

    @property
    def enabled(self) -> bool | None:
        """Whether its value can be read."""

    @property
    def created_on(self) -> datetime | None:
        """When it was made, in whole seconds."""

    @property
    def expires_on(self) -> datetime | None:
        """When it expires; it can be read for all that."""

    @property
    def content_type(self) -> str | None:
        """What its owner says of its form."""

    @property
    def managed(self) -> bool | None:
        """Whether it belongs to a certificate."""


@dataclass(frozen=True, slots=True)
class Head:
    """The version that is the record.

    Attributes:
        version: Key Vault's id of it.
        epoch: that wrote it.
        turn: the arbiter's count of who claimed that epoch.
        number: counts the writes of values since the record began.
        claimant: names the block object that claimed the epoch.
    """

    version: str
    epoch: int
    turn: int
    number: int
    claimant: str

    def to_tags(self) -> dict[str, str]:
        """Return the tags that say it; the epoch is the journal's."""
        return {"turn": str(self.turn), "number": str(self.number), "claimant": self.claimant}


def head_of(versions: Iterable[Properties]) -> Head | None:
    """Return the version that is the record, or None where none is; versions made by somebody else are passed over."""
    ranked = [(_rank(head, properties), head) for properties in versions if (head := _head(properties)) is not None]
    return max(ranked, key=lambda row: row[0])[1] if ranked else None


def value_of(record: Record) -> str:
    """Return what the record's version holds as its value.

    Raises:
        PermanentError: if that is more than Key Vault holds.
    """
    row = record.to_json()
    value = json.dumps({part: row[part] for part in ("version", "key", "pending", "previous")})
    check_size(value)
    return value


def tags_of(record: Record, head: Head) -> dict[str, str]:
    """Return the tags of the record's version.

    Raises:
        PermanentError: if they are more than Key Vault holds.
    """
    tags = record.journal.to_fields() | head.to_tags()
    too_long = sorted(name for name, text in tags.items() if len(text) > LONGEST_TAG)
    if too_long:
        advice = "Take away credentials of the target that nobody needs."
        raise PermanentError(f"The journal's {', '.join(too_long)} is too long for a tag of Key Vault.", advice)
    return tags


def record_of(value: str | None, tags: Mapping[str, str] | None) -> Record | None:
    """Return the record that a version holds, or None where it holds none."""
    try:
        return record_from_json({**json.loads(value or ""), "journal": dict(tags or {})})
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def check_size(value: str) -> None:
    """Refuse a value that Key Vault does not hold.

    Raises:
        PermanentError: if it is too large.
    """
    if len(value.encode("utf-8", "surrogatepass")) > LARGEST:
        advice = "Pending and previous value have to fit in together."
        raise PermanentError(f"That is more than the {LARGEST} bytes that Key Vault holds in a secret.", advice)


def check_rotatable(name: str, main: Properties) -> None:
    """Refuse a secret that Key Vault itself renews, or that has no room for our tags.

    Raises:
        PermanentError: if it is one.
    """
    if main.managed:
        raise PermanentError(f"{name} belongs to a certificate.", "Let Key Vault renew the certificate.")
    if len(set(main.tags or {}) | set(MARKS)) > MOST_TAGS:
        advice = f"Key Vault allows {MOST_TAGS}: take some away."
        raise PermanentError(f"{name} has no room for {len(MARKS)} more tags.", advice)


def successor(main: Properties | None, record: Record, now: datetime) -> dict[str, Any]:
    """Return the properties of the version that a promotion makes.

    Content type and tags stay, with ours where they fit; it is valid at once, and for as long as the one before was.
    """
    if main is None:
        return {"tags": _marks(record, None)}
    kept = {name: text for name, text in (main.tags or {}).items() if name not in MARKS}
    marked = kept | _marks(record, main.version)
    expires = None
    if main.expires_on is not None and main.created_on is not None:
        expires = now + max(main.expires_on - main.created_on, timedelta(0))
    return {
        "tags": marked if len(marked) <= MOST_TAGS else kept,
        "content_type": main.content_type,
        "expires_on": expires,
    }


def dead_records(versions: Iterable[Properties]) -> list[str]:
    """Return the enabled versions that were the record once."""
    versions = [*versions]
    head = head_of(versions)
    once = {str(v.version) for v in versions if v.enabled and _head(v) is not None}
    return sorted(once - {head.version if head else ""})


def displaced_by_rotations(versions: Iterable[Properties], current: str | None, rotation: str) -> list[str]:
    """Return the enabled versions of the secret that rotations displaced; nobody else's are among them.

    Args:
        versions: all of the secret's.
        current: the one that consumers read.
        rotation: the last rotation; what it made itself stays.
    """
    versions = [*versions]
    tags = {str(v.version): v.tags or {} for v in versions}
    dead = {t[DISPLACED] for t in tags.values() if DISPLACED in t}
    dead |= {version for version, t in tags.items() if t.get(ROTATION, rotation) != rotation}
    dead -= {version for version, t in tags.items() if t.get(ROTATION) == rotation} | {current}
    return sorted(str(v.version) for v in versions if v.enabled and v.version in dead)


def _marks(record: Record, displaced: str | None) -> dict[str, str]:
    texts = {
        ROTATION: record.journal.rotation_id,
        VERSION: record.fingerprint(record.pending),
        DISPLACED: displaced,
    }
    return {name: text for name, text in texts.items() if text}


def _head(properties: Properties) -> Head | None:
    tags = properties.tags or {}
    try:
        epoch, turn, number = (int(tags[name]) for name in ("epoch", "turn", "number"))
    except (KeyError, ValueError):
        return None
    return Head(str(properties.version), epoch, turn, number, tags.get("claimant", ""))


def _rank(head: Head, properties: Properties) -> tuple[Any, ...]:
    created = (properties.created_on or datetime.min.replace(tzinfo=UTC)).timestamp()
    return (head.epoch, head.turn, head.number, -created, [-ord(character) for character in head.version])
