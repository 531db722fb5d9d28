"""The journal of a rotation: what is written down, without any value, where the secret lives, before each effect.

It is a record of intent and never proof: ``rules.rotation.deciding`` recomputes from what is observed. Beside the plain
data this module holds its transitions, so that every store writes the same journal at the same point.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any

LONGEST = 256
"""Characters of one text of a journal: what every provider's tags allow."""

_EARLIEST, _LATEST = 2000, 2200

ROLLBACK = "rollback-"
"""How the id of a rotation begins that goes back to the version before."""


@dataclass(frozen=True, slots=True)
class Journal:
    """What a rotation writes down before each effect.

    Version ids are either native and immutable ids of the store or fingerprints under a random key that is kept beside
    the values; so a change by somebody else always shows as another id, and no id tells anything of its value.

    Attributes:
        epoch: counts the claims; a writer whose epoch is not this one has been superseded.
        rotation_id: names the rotation under way, until nothing of it is left to do.
        target: the target that the rotation under way changes, as the policy names it; empty for none.
        base: the version that was current when the pending one was staged, until it is retired.
        pending: the staged version, until it is confirmed as current.
        attempt: how many pending versions of this rotation were discarded.
        confirmed: the version that was last confirmed as current.
        rotated_at: when that was (aware, UTC).
        retire_after: when the previous version may be retired (aware, UTC); None when nothing is to be retired.
        intent_at: when a mint-style target was going to be asked for a credential (aware, UTC), until one of them is
            confirmed; None when it was not.
        live: ids of the credentials that the target listed just before that.
    """

    epoch: int = 0
    rotation_id: str = ""
    target: str = ""
    base: str | None = None
    pending: str | None = None
    attempt: int = 0
    confirmed: str | None = None
    rotated_at: datetime | None = None
    retire_after: datetime | None = None
    intent_at: datetime | None = None
    live: tuple[str, ...] = ()

    @property
    def under_way(self) -> bool:
        """Whether it tells of a rotation that is not finished."""
        return self.pending is not None or self.retire_after is not None or self.intent_at is not None

    @property
    def is_rollback(self) -> bool:
        """Whether the rotation under way goes back to the version before."""
        return self.rotation_id.startswith(ROLLBACK)

    def to_fields(self) -> dict[str, str]:
        """Return the journal as short texts, for tags and annotations; what is unset is left out.

        Every text is at most 256 characters of letters, digits, spaces and ``+-=._:/@``, which every provider's tags
        allow as long as version and credential ids keep to that.
        """
        texts = {f.name: _text(getattr(self, f.name)) for f in fields(self)}
        return {name: text for name, text in texts.items() if text} | {"epoch": str(self.epoch)}

    def to_json(self) -> dict[str, Any]:
        """Return the journal as JSON values."""
        return dict(self.to_fields())


def journal_from_fields(texts: Mapping[str, Any]) -> Journal:
    """Return the journal that ``to_fields`` or ``to_json`` wrote; keys that it does not know are passed over.

    Raises:
        KeyError, TypeError, ValueError: if they are not such texts.
    """
    return Journal(
        epoch=int(texts["epoch"]),
        rotation_id=str(texts.get("rotation_id", "")),
        target=str(texts.get("target", "")),
        base=texts.get("base") or None,
        pending=texts.get("pending") or None,
        attempt=int(texts.get("attempt", "0")),
        confirmed=texts.get("confirmed") or None,
        rotated_at=_instant(texts.get("rotated_at")),
        retire_after=_instant(texts.get("retire_after")),
        intent_at=_instant(texts.get("intent_at")),
        live=tuple(texts.get("live", "").split()),
    )


def claimed(journal: Journal, rotation_id: str, target: str = "") -> Journal:
    """Return the journal for the next epoch; a rotation under way keeps its id and all that is known of it.

    Args:
        journal: as it is.
        rotation_id: names the rotation, where none is under way.
        target: the target that the policy names, or an empty text.
    """
    following = replace(journal, epoch=journal.epoch + 1)
    return following if journal.under_way else replace(following, rotation_id=rotation_id, target=target, attempt=0)


def begun(journal: Journal, rotation_id: str, target: str = "") -> Journal:
    """Return the journal in which a rotation has an id of its own, also where another one ended under this claim.

    Args:
        journal: as it is.
        rotation_id: names the rotation, where it has no name of its own yet.
        target: the target that the policy names, or an empty text.
    """
    kept = "" if journal.is_rollback else journal.rotation_id
    return replace(journal, rotation_id=kept or rotation_id, target=target)


def intended(journal: Journal, live: tuple[str, ...], at: datetime) -> Journal:
    """Return the journal before a credential is minted."""
    return replace(journal, live=live, intent_at=at)


def refused(journal: Journal) -> Journal:
    """Return the journal after a target has refused to mint: nothing was made, so nothing is looked for."""
    return replace(journal, live=(), intent_at=None)


def reverting(journal: Journal, rotation_id: str) -> Journal:
    """Return the journal of a rotation that goes back to the version before."""
    return replace(journal, rotation_id=f"{ROLLBACK}{rotation_id}", attempt=0)


def staged(journal: Journal, pending: str, base: str | None) -> Journal:
    """Return the journal with a pending version."""
    return replace(journal, pending=pending, base=base)


def discarded(journal: Journal) -> Journal:
    """Return the journal without the pending version, which another attempt may replace."""
    return replace(journal, pending=None, base=None, attempt=journal.attempt + 1)


def confirmed(journal: Journal, current: str, at: datetime, grace: timedelta | None) -> Journal:
    """Return the journal with the promoted version confirmed.

    Args:
        journal: as it is.
        current: the version that consumers read.
        at: the instant from which its age and the grace count (aware, UTC).
        grace: how long the previous version lives on; None where there is none to be retired.
    """
    after = at + grace if grace is not None else None
    rested = replace(journal, pending=None, attempt=0, intent_at=None, live=(), confirmed=current, rotated_at=at)
    return replace(rested, retire_after=after) if after is not None else forgotten(rested)


def forgotten(journal: Journal) -> Journal:
    """Return the journal with nothing left to retire."""
    return replace(journal, retire_after=None, base=None, rotation_id="", target="")


def abandoned(journal: Journal) -> Journal:
    """Return the journal of a rotation that was rolled back before anything was promoted."""
    return replace(journal, rotation_id="", pending=None, base=None, attempt=0, intent_at=None, live=())


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return " ".join(value)
    return str(value) if value else ""


def _instant(text: str | None) -> datetime | None:
    if not text:
        return None
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("an instant without a time zone")
    if not _EARLIEST <= instant.year <= _LATEST:
        raise ValueError("an instant that nobody wrote")
    return instant
