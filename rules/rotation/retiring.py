"""After the confirmation: the grace, the end of the previous version, and the way back to it while it lives."""

from datetime import datetime

from rules.rotation.observations import Observation, TargetKind
from rules.rotation.staging import ATTEMPTS, unexplained
from rules.rotation.steps import Action, Decision, Done, Order, Quarantine, Step, StepKind, verify, when


def confirmed(o: Observation, previous: str, now: datetime, order: Order) -> Decision:
    """Return the step for a confirmed version whose predecessor is still kept.

    Args:
        o: what is true now.
        previous: the predecessor.
        now: the instant of the run (aware, UTC).
        order: what is wanted.
    """
    retire_after = o.journal.retire_after
    if retire_after is None:
        return Quarantine("The store holds a previous version that no journal explains.")
    if o.current is None or o.current == previous:
        return _restored(o, previous)
    if order.action is Action.ROLL_BACK and not o.journal.is_rollback:
        return _revert(o, previous, now)
    if now < retire_after and not order.emergency:
        return Done(f"Rotated; the old version lives on until {when(retire_after)}.", retire_after, in_grace=True)
    if o.kind is TargetKind.GENERATED:
        return Step(StepKind.FORGET, "The grace is over: drop the previous value from the store.", previous)
    return _retire(o, o.current, previous)


def _restored(o: Observation, previous: str) -> Decision:
    """Return what to do where somebody has made the previous version current again by hand: let it be."""
    alive = o.proofs.get(previous)
    if o.current is None or alive is False:
        return Quarantine("There is no current version, or it is the previous one again and does not authenticate.")
    if alive is None:
        return verify(previous, "Somebody made the previous version current again: log in with it.")
    return Step(
        StepKind.FORGET, "Somebody made the previous version current again, and it works: retire nothing.", previous
    )


def _revert(o: Observation, previous: str, now: datetime) -> Decision:
    if o.current != o.journal.confirmed:
        return Quarantine("The current version is not the one that was rotated: going back would overwrite a change.")
    alive = o.proofs.get(previous)
    if alive is None:
        return verify(previous, "Log in with the previous version to see whether there is a way back.")
    if not alive:
        return Done(
            "The previous version does not authenticate any more: there is only the way forward.", now, problem=True
        )
    return Step(StepKind.REVERT, "The previous version works: stage it again, to make it the current one.", previous)


def _retire(o: Observation, current: str, previous: str) -> Decision:
    works = o.proofs.get(current)
    if works is None:
        return verify(current, "Log in with the current version before the old one is retired.")
    return _kill(o, previous) if works else unexplained(o, "The current version does not work, so nothing is retired")


def _kill(o: Observation, previous: str) -> Decision:
    alive = o.proofs.get(previous)
    if alive is None:
        return verify(previous, "Try to log in with the old version: it has to be dead before it is forgotten.")
    if not alive:
        return Step(StepKind.FORGET, "The old version is proven dead: drop it from the store.", previous)
    if o.kind is TargetKind.SINGLE_SLOT:
        return Quarantine("Two passwords of one account authenticate: the target does not check them.")
    if o.retired >= ATTEMPTS:
        return Quarantine(f"The old version was retired {o.retired} times and still authenticates.")
    return Step(StepKind.RETIRE, "The grace is over: take the old version's access away.", previous)
