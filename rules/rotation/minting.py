"""Credentials that the target makes itself: when to ask for one, and what to do about those that nobody wrote down.

A target shows a credential once. If the answer is lost, or the run dies before the store has it, a credential is left
that nobody knows. So before the first request the journal notes which credentials there are. One that is listed later,
is not among them, was made within minutes of that note and was never used is ours, and is deleted before another is
asked for. A note is written anew when it is older than that, and dropped when the target refuses to mint.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from rules.rotation.observations import Credential, Observation, TargetKind
from rules.rotation.steps import Decision, Order, Quarantine, Step, StepKind, cut

SKEW = timedelta(seconds=60)
"""How much the clocks of this machine and of the target may differ."""


FRESH = timedelta(minutes=5)
"""Age of a note at which it is written anew before another credential is asked for."""

OURS = timedelta(minutes=15)
"""How long after the note a credential can have been made that a rotation asked for."""


def mint(o: Observation, reason: str, now: datetime, order: Order) -> Decision:
    """Return the step towards a new credential.

    Args:
        o: what is true now: nothing is staged, and the current version, if there is one, authenticates.
        reason: why a rotation begins.
        now: the instant of the run (aware, UTC).
        order: what is wanted; in an emergency, what would be revoked afterwards is revoked before if it is in the way.
    """
    if o.credentials is None:
        return Step(StepKind.SURVEY, f"{reason} List the credentials that the target has.")
    intent = Step(StepKind.INTEND, f"{reason} Write down which credentials there are before another one is minted.")
    if o.journal.intent_at is None:
        return intent
    if now - o.journal.intent_at > FRESH and not _unknown(o):
        return intent
    return _in_the_way(o, o.credentials, order) or _ask(o, order)


def _unknown(o: Observation) -> list[Credential]:
    """Return the credentials that nobody wrote down."""
    return [c for c in o.credentials or () if c.id not in o.journal.live and c.id != _in_use(o)]


def _in_the_way(o: Observation, credentials: Sequence[Credential], order: Order) -> Decision | None:
    """Return what has to go, or be cleared up, before another credential is asked for."""
    unknown = _unknown(o)
    if unknown:
        return strangers(o, order) or _stray(o, unknown[0])
    if o.capacity is None or len(credentials) < o.capacity:
        return None
    others = ", ".join(c.id for c in credentials if c.id != _in_use(o)) or "none but the current one"
    return strangers(o, order) or Quarantine(
        f"The target allows {o.capacity} credentials and has {len(credentials)}; those that are not current "
        f"({others}) were not minted by a rotation, so none is deleted. Delete one that nobody uses."
    )


def _ask(o: Observation, order: Order) -> Step:
    if order.accept_outage and o.current is not None and o.proofs.get(o.current):
        return cut(o.current)
    return Step(StepKind.MINT, "Let the target mint a credential, and store it as pending, which no consumer reads.")


def strangers(o: Observation, order: Order) -> Step | None:
    """Return the step that revokes a credential beside the current one in an emergency, or None."""
    if o.kind is not TargetKind.MINT or not order.emergency or o.current is None or o.credentials is None:
        return None
    others = [c.id for c in o.credentials if c.id != _in_use(o)]
    if not others:
        return None
    if _in_use(o) is None:
        return Step(StepKind.VERIFY, "Read which credential is the current one.", o.current)
    reason = "An emergency was declared: no credential but the new one is left."
    return Step(StepKind.RECLAIM, reason, credential=others[0])


def _stray(o: Observation, credential: Credential) -> Decision:
    intent = o.journal.intent_at
    made = credential.created_at
    ours = made is not None and intent is not None and intent - SKEW <= made <= intent + OURS
    if not ours or credential.used:
        return Quarantine(
            f"The target has a credential ({credential.id}) that no rotation wrote down and that "
            f"{'is in use' if credential.used else 'was made at another time'}: somebody else made it. If nobody needs "
            "it, delete it at the target, then run again."
        )
    reason = "A run ended between minting this credential and storing it: nobody has it, so it is deleted."
    return Step(StepKind.RECLAIM, reason, credential=credential.id)


def _in_use(o: Observation) -> str | None:
    return o.accounts.get(o.current) if o.current is not None else None
