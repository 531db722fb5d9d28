"""The rotation of one secret as a state machine without a state of its own.

The rules it obeys:
* nothing is applied to a target before the pending version is durable in the store;
* nothing is promoted before a login with the pending version succeeded, at an account that was seen to refuse one;
* nothing is retired before the promotion is confirmed, its grace is over, and a login with current succeeded;
* a new version is staged or minted only when no other than the current one is left;
* nothing that was not minted by us is deleted, but in an emergency;
* every effect needs the epoch that the asking run claimed;
* what cannot be explained stops everything: a value is never generated over an unclear picture.

Not here: clocks, stores, targets, retries.
"""

from datetime import datetime

from rules.rotation import minting, retiring, staging
from rules.rotation.observations import Observation, SecretPolicy, TargetKind
from rules.rotation.schedule import Due, due
from rules.rotation.steps import Action, Decision, Done, Order, Quarantine, Step, StepKind, verify

NORMAL = Order()
"""Rotate what is due."""


def next_step(observation: Observation, policy: SecretPolicy, now: datetime, order: Order = NORMAL) -> Decision:
    """Return the one next step of the secret's rotation.

    Args:
        observation: what is true now.
        policy: the secret's entry in the policy.
        now: the instant of the run (aware, UTC).
        order: what is wanted of the run.
    """
    o = observation
    if o.claimed is not None and o.claimed != o.journal.epoch:
        return Quarantine(f"Another run has claimed epoch {o.journal.epoch}; this one holds {o.claimed} and stops.")
    at_work = any(x is not None for x in (o.pending, o.previous, o.journal.pending, o.journal.intent_at))
    if at_work and o.journal.target != (policy.target or ""):
        was, named = o.journal.target or "no target", policy.target or "none"
        return Quarantine(f"A rotation at {was} is under way, and the policy names {named}: put the target back.")
    decision = _decide(o, policy, now, order)
    if isinstance(decision, Step) and decision.has_effect and o.claimed is None:
        return Step(StepKind.CLAIM, f"Claim epoch {o.journal.epoch + 1}, to {decision.kind}: {decision.reason}")
    return decision


def _decide(o: Observation, policy: SecretPolicy, now: datetime, order: Order) -> Decision:
    if o.journal.pending is not None and o.current == o.journal.pending:
        return staging.promoted(o, order)
    if o.pending is not None:
        return staging.staged(o, now, order)
    if o.journal.pending is not None:
        return Quarantine("The journal names a pending version that the store no longer holds.")
    if o.previous is not None:
        return retiring.confirmed(o, o.previous, now, order)
    if order.action is Action.ROLL_BACK:
        return _rolled_back(o, now)
    return _idle(o, policy, now, order)


def _rolled_back(o: Observation, now: datetime) -> Done:
    """Return the end of a roll-back: this run has taken something back, or found nothing that it could."""
    went_on = o.journal.rotated_at is not None and o.journal.rotated_at >= now and not o.made
    if o.claimed is not None and not went_on:
        return Done("The rotation was taken back; nothing of it is left.", now)
    return Done("There is no rotation that could be rolled back.", now, problem=True)


def _idle(o: Observation, policy: SecretPolicy, now: datetime, order: Order) -> Decision:
    if o.kind is TargetKind.MINT and o.credentials is None and (policy.before_expiry or order.emergency):
        return Step(StepKind.SURVEY, "List the target's credentials, to see which there are and when they expire.")
    if o.kind is TargetKind.MINT and policy.before_expiry and o.current is not None and o.current not in o.accounts:
        return verify(o.current, "Log in with the current version, to see which credential it is.")
    may_begin = due(o, policy, now, order)
    if isinstance(may_begin, Done) and o.journal.intent_at is None:
        return minting.strangers(o, order) or may_begin
    reason = may_begin.reason if isinstance(may_begin, Due) else "A credential was going to be minted when a run ended."
    return _current(o, order) or _begin(o, reason, now, order)


def _current(o: Observation, order: Order) -> Decision | None:
    """Return what has to be done about the current version before there is another one, if anything."""
    if o.current is None or o.kind is TargetKind.GENERATED:
        return None
    alive = o.proofs.get(o.current)
    if alive is None:
        return verify(o.current, "Log in with the current version before anything is changed.")
    if alive or order.accept_outage:
        return None
    way = " If it was disabled on purpose, order the emergency with accept_outage." if order.emergency else ""
    return Quarantine(f"The current version does not authenticate and no other is known.{way}")


def _begin(o: Observation, reason: str, now: datetime, order: Order) -> Decision:
    if o.kind is TargetKind.MINT:
        return minting.mint(o, reason, now, order)
    return Step(StepKind.STAGE, f"{reason} Generate a new value and store it as pending, which no consumer reads.")
