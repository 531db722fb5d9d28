"""What is observed of one secret before a step is decided: pointers of the store, proofs from the target, journal."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol


class TargetKind(StrEnum):
    """How the place that checks a credential takes a new one."""

    GENERATED = "generated"
    """There is no target: the value only has to be in the store."""

    ALTERNATING = "alternating"
    """Two accounts take turns, so that the old credential works until it is retired."""

    SINGLE_SLOT = "single-slot"
    """One account with one password: the old one dies in the moment the new one is applied."""


class SecretPolicy(Protocol):
    """What the rules need to know of one secret's entry in the policy."""

    @property
    def name(self) -> str:
        """The secret's name in the policy."""

    @property
    def every(self) -> timedelta:
        """The longest time between two rotations."""

    @property
    def window(self) -> str | None:
        """When a rotation may begin (see ``rules.rotation.windows``); None for always."""

    @property
    def grace(self) -> timedelta:
        """How long the old version is kept alive after the new one became current."""


@dataclass(frozen=True, slots=True)
class Journal:
    """What a rotation writes down before each effect, without any value; it lives where the secret lives.

    Attributes:
        epoch: counts the claims; a writer whose epoch is not this one has been superseded.
        rotation_id: names the rotation under way or, between rotations, the last one.
        base: the version that was current when the pending one was staged.
        pending: the staged version, until it is confirmed as current.
        confirmed: the version that was last confirmed as current.
        rotated_at: when that was (aware, UTC).
        retire_after: when the previous version may be retired (aware, UTC); None when nothing is to be retired.
    """

    epoch: int = 0
    rotation_id: str = ""
    base: str | None = None
    pending: str | None = None
    confirmed: str | None = None
    rotated_at: datetime | None = None
    retire_after: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the journal as JSON values."""
        return {
            "epoch": self.epoch,
            "rotation_id": self.rotation_id,
            "base": self.base,
            "pending": self.pending,
            "confirmed": self.confirmed,
            "rotated_at": self.rotated_at.isoformat() if self.rotated_at else None,
            "retire_after": self.retire_after.isoformat() if self.retire_after else None,
        }


def journal_from_json(document: Mapping[str, Any]) -> Journal:
    """Return the journal that ``to_json`` wrote.

    Raises:
        KeyError, TypeError, ValueError: if the document is not such a journal.
    """
    return Journal(
        epoch=int(document["epoch"]),
        rotation_id=str(document["rotation_id"]),
        base=document["base"],
        pending=document["pending"],
        confirmed=document["confirmed"],
        rotated_at=_instant(document["rotated_at"]),
        retire_after=_instant(document["retire_after"]),
    )


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("an instant without a time zone")
    return instant


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything that ``next_step`` may know.

    Versions are named by ids, never by values.

    Attributes:
        kind: how the target takes a new credential.
        current: the version that consumers read, or None where there is none yet.
        pending: the version that is staged, or None.
        previous: the version that was current before, while it is kept, or None.
        journal: what the store's journal says.
        claimed: the epoch that the asking run holds, or None while it holds none.
        proofs: by version id, whether a login with it succeeded (without a target: whether it could be read back).
            A version that is missing has not been tried since the target was last changed.
        applied: how often the asking run applied the pending version.
        retired: how often the asking run retired the previous version.
    """

    kind: TargetKind
    current: str | None = None
    pending: str | None = None
    previous: str | None = None
    journal: Journal = field(default_factory=Journal)
    claimed: int | None = None
    proofs: Mapping[str, bool] = field(default_factory=dict)
    applied: int = 0
    retired: int = 0
