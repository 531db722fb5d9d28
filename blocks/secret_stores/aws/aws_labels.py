"""What Secrets Manager's version ids and staging labels say of a rotation. Pure."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from blocks.secret_stores.interface import StoreState
from rules.errors import PermanentError
from rules.rotation import Journal
from rules.rotation.journal import journal_from_fields, staged

CURRENT, PENDING, PREVIOUS = "AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"
CLAIM = "VIGILES-CLAIM"
"""On the version of the newest claim."""

JOURNAL = "VIGILES-JOURNAL"
"""On the version that holds the newest journal: a claim, or what was written down since."""

STAGED = "VIGILES-STAGED"
"""On the version that a rotation staged last, whatever became of it."""

_SLOT = re.compile(r"vigiles-(\d{20})-(\d{4})")


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """A place in the order of the versions that rotations put.

    Attributes:
        epoch: in which it is put; a claim is put in the epoch that it ends.
        number: the manieth it is in that epoch, from 1.
    """

    epoch: int
    number: int

    @property
    def version(self) -> str:
        """The id of the version that takes the slot."""
        return f"vigiles-{self.epoch:020d}-{self.number:04d}"


@dataclass(frozen=True, slots=True)
class Note:
    """What a version under ``VIGILES-JOURNAL`` holds; it never changes.

    Attributes:
        journal: the journal.
        current: the version that was current when it was written.
    """

    journal: Journal
    current: str | None

    def to_text(self, nonce: str = "") -> str:
        """Return the note as a text; with a nonce, no other note's is the same."""
        row = {"journal": self.journal.to_json(), "current": self.current, "nonce": nonce}
        return json.dumps({"note": "The journal of a rotation by Vigiles. It holds no secret.", **row})


def note_from_text(text: str) -> Note:
    """Return the note that ``to_text`` wrote.

    Raises:
        PermanentError: if it is none.
    """
    try:
        row = json.loads(text)
        return Note(journal_from_fields(row["journal"]), row["current"])
    except (KeyError, TypeError, ValueError, AttributeError):
        pass
    raise _misplaced(f"The version labelled {JOURNAL} holds no journal.")


@dataclass(frozen=True, slots=True)
class Labels:
    """What one DescribeSecret says.

    Attributes:
        holders: the version that each label is on.
    """

    holders: Mapping[str, str]

    @property
    def epoch(self) -> int:
        """The newest claimed epoch."""
        slot = slot_of(self.holders.get(CLAIM))
        return slot.epoch + 1 if slot is not None else 0

    @property
    def next_slot(self) -> Slot:
        """The slot that whatever is put next takes: journal, claim or staged version."""
        slots = [slot_of(self.holders.get(label)) for label in (JOURNAL, STAGED)]
        numbers = [slot.number for slot in slots if slot is not None and slot.epoch == self.epoch]
        return Slot(self.epoch, max(numbers, default=0) + 1)

    def state(self, note: Note | None) -> StoreState:
        """Return pointers and journal.

        Args:
            note: what the version labelled ``VIGILES-JOURNAL`` holds, or None where there is none.
        """
        journal, current = note.journal if note is not None else Journal(), self.holders.get(CURRENT)
        foreign, pending = self._foreign(), self.holders.get(STAGED)
        if note is not None and pending is not None and self._since(pending):
            journal = staged(journal, pending, note.current)
        if journal.pending is not None and journal.pending == current:
            return StoreState(current, foreign or current, journal.base, journal)
        if pending is None or journal.pending != pending:
            return StoreState(current, foreign, self._displaced(journal), journal)
        return StoreState(current, foreign or pending, None, journal)

    def moved(self, to: str | None, *labels: str) -> "Labels":
        """Return these labels with some put on a version, or on none; AWSPREVIOUS follows AWSCURRENT."""
        holders = dict(self.holders)
        if CURRENT in labels and CURRENT in holders:
            holders[PREVIOUS] = holders[CURRENT]
        for label in labels:
            holders.pop(label, None)
            if to is not None:
                holders[label] = to
        return Labels(holders)

    def _displaced(self, journal: Journal) -> str | None:
        """Return the version to retire: AWSPREVIOUS is on another one as soon as somebody else writes the secret."""
        if journal.retire_after is None:
            return None
        if journal.base is None and self.holders.get(CURRENT) == journal.confirmed:
            # A way back was staged and dropped again, and nobody has written.
            return self.holders.get(PREVIOUS)
        return journal.base

    def _since(self, version: str) -> bool:
        """Whether a version was put after the newest journal."""
        slot, last = slot_of(version), slot_of(self.holders.get(JOURNAL))
        return slot is not None and last is not None and slot > last

    def _foreign(self) -> str | None:
        """Return a pending version that no rotation of ours put; AWS leaves its own label on what became current."""
        pending = self.holders.get(PENDING)
        return None if pending in {self.holders.get(STAGED), self.holders.get(CURRENT)} else pending


def slot_of(version: str | None) -> Slot | None:
    """Return the slot of a version, or None for one that no rotation put."""
    found = _SLOT.fullmatch(version or "")
    return Slot(int(found[1]), int(found[2])) if found else None


def labels_of(description: Mapping[str, Any]) -> Labels:
    """Return what an answer of DescribeSecret says.

    Raises:
        PermanentError: if labels of rotations were put where no rotation puts them.
    """
    stages: Mapping[str, list[str]] = description.get("VersionIdsToStages") or {}
    holders = {label: version for version, labels in stages.items() for label in labels}
    ours = [holders[label] for label in (CLAIM, JOURNAL, STAGED) if label in holders]
    if (CLAIM in holders) != (JOURNAL in holders) or [version for version in ours if slot_of(version) is None]:
        raise _misplaced("Labels VIGILES-* of the secret are not where a rotation put them.")
    return Labels(holders)


def _misplaced(message: str) -> PermanentError:
    advice = (
        "Put VIGILES-JOURNAL back on the newest version that holds a journal, and VIGILES-CLAIM on that of the newest "
        "claim: list-secret-version-ids --include-deprecated shows them, by ids that begin with vigiles-."
    )
    return PermanentError(message, advice)
