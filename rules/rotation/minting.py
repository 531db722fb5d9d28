"""Credentials that the target makes itself: when to ask for one, and what to do about those that nobody wrote down.

A target shows a credential once. If the answer is lost, or the run dies before the store has it, a credential is left
that nobody knows. So before the first request the journal notes which credentials there are. One that is listed later,
is not among them, was made after that note and was never used is ours, and is deleted before another is asked for.
"""

from datetime import timedelta

from rules.rotation.observations import Credential, Observation, TargetKind
from rules.rotation.steps import Decision, Order, Quarantine, Step, StepKind, cut

SKEW = timedelta(seconds=60)
"""How much the clocks of this machine and of the target may differ."""


def mint(o: Observation, reason: str, order: Order) -> Decision:
    """Return the step towards a new credential.

    Args:
        o: what is true now: nothing is staged, and the current version, if there is one, authenticates.
        reason: why a rotation begins.
        order: what is wanted; in an emergency, what would be revoked afterwards is revoked before if it is in the way.
    """
    if o.credentials is None:
        return Step(StepKind.SURVEY, f"{reason} List the credentials that the target has.")
    if o.journal.intent_at is None:
        return Step(StepKind.INTEND, f"{reason} Write down which credentials there are before another one is minted.")
    for credential in o.credentials:
        if credential.id not in o.journal.live and credential.id != _in_use(o):
            return strangers(o, order) or _stray(o, credential)
    if o.capacity is not None and len(o.credentials) >= o.capacity:
        others = ", ".join(c.id for c in o.credentials if c.id != _in_use(o)) or "none but the current one"
        return strangers(o, order) or Quarantine(
            f"The target allows {o.capacity} credentials and has {len(o.credentials)}; those that are not current "
            f"({others}) were not minted by a rotation, so none is deleted. Delete one that nobody uses."
        )
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
    ours = credential.created_at is not None and intent is not None and credential.created_at >= intent - SKEW
    if not ours or credential.used:
        return Quarantine(
            f"The target has a credential ({credential.id}) that no rotation wrote down "
            f"and that {'is in use' if credential.used else 'was made before'}: somebody else made it."
        )
    reason = "A run ended between minting this credential and storing it: nobody has it, so it is deleted."
    return Step(StepKind.RECLAIM, reason, credential=credential.id)


def _in_use(o: Observation) -> str | None:
    return o.accounts.get(o.current) if o.current is not None else None
