"""Who may hold the slot that lets one run at a time act on a policy, judged from what runs write about themselves.

Each run labels itself *before* it asks for the slot and again once it has it. So two runs that both want the slot see
each other, and a slot that nobody who is alive could hold can be told from one that is in use.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rules.findings import Rule, Severity

EXCLUSION = Rule(
    id="another-run-active",
    severity=Severity.HIGH,
    title="One run at a time acts on a policy",
    remedy="Wait for the other run, or cancel it in the UI, then run again.",
)

LABEL_LIMIT = "vigiles.exclusion.limit"
LABEL_LEASE = "vigiles.exclusion.lease"
LABEL_UNTIL = "vigiles.exclusion.until"

LIVE_STATES = ("RUNNING", "CANCELLING", "PAUSED")
"""States of a run whose code may still be running; in any other, its slot is free to be taken back."""

SKEW = timedelta(seconds=60)
"""How much the clocks of two machines may differ."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A run that wants or holds a slot.

    Attributes:
        id: its flow run id.
        name: its flow run name.
        alive: whether its state says that it is still running.
        lease: the lease it holds, or an empty string while it only wants one.
        until: when its lease or its wish lapses unless renewed (aware, UTC, by its own clock).
    """

    id: str
    name: str
    alive: bool
    lease: str
    until: datetime


def contender(row: Mapping[str, Any], limit: str) -> Contender | None:
    """Return the contender that a flow run's row describes, or None where it is none for this limit."""
    labels = row.get("labels") or {}
    if labels.get(LABEL_LIMIT) != limit:
        return None
    try:
        until = datetime.fromisoformat(str(labels.get(LABEL_UNTIL)))
    except ValueError:
        return None
    alive = row.get("state_type") in LIVE_STATES
    return Contender(str(row["id"]), str(row.get("name")), alive, str(labels.get(LABEL_LEASE) or ""), until)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do about a slot that is taken.

    Attributes:
        release: leases of runs that are over: giving them back frees exactly their slots.
        reset: whether nobody can hold the slot, so that it may be emptied.
        claimed: whether a living run says that it holds the slot.
        waits_for: whom to wait for, and until when, in plain English.
    """

    release: tuple[str, ...]
    reset: bool
    claimed: bool
    waits_for: str


def judge_slot(
    others: Sequence[Contender], me: str, now: datetime, unclaimed_since: datetime | None, patience: timedelta
) -> Verdict:
    """Return what to do about a slot that is taken.

    Args:
        others: every other run of the flow that ever wanted this slot, as far as the server lists them.
        me: the id of the asking run.
        now: the instant of asking (aware, UTC).
        unclaimed_since: since when no living run claimed the lease, or None.
        patience: how long that has to last before the slot may be emptied while other living runs wait too.
    """
    living = [c for c in others if c.alive and now < c.until + SKEW]
    release = tuple(c.lease for c in others if c.lease and c not in living)
    holders = [c for c in living if c.lease]
    if holders:
        words = f"run {holders[0].name}, leased until {_when(holders[0].until)}"
        return Verdict(release, reset=False, claimed=True, waits_for=words)
    if not living:
        return Verdict(release, reset=True, claimed=False, waits_for="a slot that no living run holds")
    # Only the eldest may empty it, or two could empty it one after the other and both get in.
    eldest = me < min(c.id for c in living)
    waited = unclaimed_since is not None and now - unclaimed_since >= patience
    words = f"a slot that no run claims; {', '.join(c.name for c in living)} waits for it too"
    return Verdict(release, reset=eldest and waited, claimed=False, waits_for=words)


def _when(instant: datetime) -> str:
    return f"{instant:%H:%M:%S} UTC"
