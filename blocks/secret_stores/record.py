"""What a store that has no stages of its own keeps beside a secret: journal, key of the ids, pending and previous."""

import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from typing import Any

from blocks.secret_stores.document import Pair
from rules.rotation import Journal
from rules.rotation.journal import journal_from_fields


@dataclass(frozen=True, slots=True, repr=False)
class Record:
    """The sidecar of one secret.

    Attributes:
        key: makes fingerprints of values that say nothing to who does not have it; random, one for each secret.
        journal: the journal.
        pending: the staged pair, until it is confirmed as current.
        previous: the pair that is current when one is staged, and so the previous one as soon as that is promoted.
    """

    key: bytes
    journal: Journal
    pending: Pair | None = None
    previous: Pair | None = None

    def fingerprint(self, pair: Pair | None) -> str | None:
        """Return the id of a pair: 64 bits of a keyed hash."""
        if pair is None:
            return None
        return hmac.new(self.key, json.dumps(pair).encode(), hashlib.sha256).hexdigest()[:16]

    @property
    def values(self) -> tuple[bytes, Pair | None, Pair | None]:
        """All that is not the journal."""
        return (self.key, self.pending, self.previous)

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON values; it holds secrets."""
        return {
            "version": 1,
            "key": self.key.hex(),
            "journal": self.journal.to_json(),
            "pending": self.pending,
            "previous": self.previous,
        }


def new_key() -> bytes:
    """Return a new key of fingerprints."""
    return secrets.token_bytes(32)


def record_from_json(document: Any) -> Record:
    """Return the record that ``to_json`` wrote.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: if it is none; the text of the error may hold a value.
    """
    key = bytes.fromhex(document["key"])
    if document["version"] != 1 or not key:
        raise ValueError("another version")
    journal = journal_from_fields(document["journal"])
    return Record(key, journal, _pair(document["pending"]), _pair(document["previous"]))


def _pair(row: Any) -> Pair | None:
    if row is None:
        return None
    username, password = row
    if not isinstance(password, str) or not isinstance(username, str | None):
        raise TypeError("a stored value is text")
    return (username, password)
