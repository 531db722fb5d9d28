"""From a staged version to a confirmed one, and the ways back: apply, verify, promote, confirm, undo, discard."""

from datetime import datetime

from rules.rotation.observations import Observation, TargetKind
from rules.rotation.steps import Action, Decision, Done, Order, Quarantine, Step, StepKind, cut, verify

ATTEMPTS = 2
"""How often one run applies, takes back or retires the same version before it gives up."""

REJECTIONS = 2
"""How often the target's rules have to refuse a value before it is dropped as poison."""

REPLACEMENTS = 3
"""How many poisoned values one rotation replaces before it gives up."""


def staged(o: Observation, now: datetime, order: Order) -> Decision:
    """Return the step for a pending version that is not current."""
    pending = o.pending
    assert pending is not None
    if pending != o.journal.pending:
        return Quarantine("The store holds a pending version that no journal explains.")
    changed = o.current != o.journal.base
    if order.action is Action.ROLL_BACK and (changed or not o.journal.is_rollback):
        return _take_back(o, pending)
    if changed:
        return Quarantine(
            "The current version was changed by somebody else while a rotation was under way. Order a roll-back of "
            "this secret: it drops the pending version, and takes it back from the target."
        )
    alive = o.proofs.get(pending)
    if alive is None and not (o.fresh and not o.applied and o.kind is not TargetKind.GENERATED):
        return verify(pending, "Log in with the pending version to see whether it is applied and works.")
    if alive:
        return _unproven(o, pending) or _promote(pending)
    return _apply(o, pending, now, order)


def promoted(o: Observation, order: Order) -> Decision:
    """Return the step for a pending version that is current and not confirmed."""
    assert o.current is not None
    if order.action is Action.ROLL_BACK and not o.journal.is_rollback:
        return Step(
            StepKind.CONFIRM, "Write down that the new version is current, so that it can be taken back.", o.current
        )
    alive = o.proofs.get(o.current)
    if alive is None:
        return verify(o.current, "Read the promoted version back as a consumer does, and log in with it.")
    if not alive:
        return unexplained(o, "The promoted version does not authenticate any more")
    if o.kind is TargetKind.SINGLE_SLOT and o.previous is not None and o.previous not in o.proofs:
        return verify(
            o.previous, "Try to log in with the old version: its password was replaced, so it has to be dead."
        )
    return Step(StepKind.CONFIRM, "The new version is current and works: write that down.", o.current)


def unexplained(o: Observation, problem: str) -> Decision:
    """Return what to do when a version that has to work does not: look at the previous one, then stop."""
    if o.previous is None or o.previous == o.current:
        return Quarantine(f"{problem}. Nothing more is generated.")
    alive = o.proofs.get(o.previous)
    if alive is None:
        return verify(o.previous, f"{problem}; see whether the previous version does.")
    rest = "but the previous one does" if alive else "nor does the previous one"
    return Quarantine(f"{problem}, {rest}. Nothing more is generated.")


def _promote(pending: str) -> Step:
    return Step(StepKind.PROMOTE, "The pending version authenticates: make it the current one.", pending)


def _unproven(o: Observation, pending: str) -> Decision | None:
    """Return what has to be tried before an accepted login with the pending version proves something."""
    if o.kind is TargetKind.GENERATED:
        return None
    if o.kind is TargetKind.SINGLE_SLOT and o.current is not None:
        alive = o.proofs.get(o.current)
        if alive is None:
            return verify(
                o.current, "Try to log in with the old version: its password was replaced, so it has to be dead."
            )
        if alive:
            return Quarantine("Two passwords of one account authenticate: the target does not check them.")
    if pending not in o.strict:
        return Step(StepKind.PROBE, "Try a password that nobody has: a target that accepts it proves nothing.", pending)
    return None


def _apply(o: Observation, pending: str, now: datetime, order: Order) -> Decision:
    if o.kind is TargetKind.GENERATED:
        return Quarantine("The pending version cannot be read back from the store.")
    return _unsafe(o, order) or _set(o, pending, now)


def _unsafe(o: Observation, order: Order) -> Decision | None:
    """Return what keeps the target from being touched, if anything: a current version that is not known to work."""
    if o.current is not None:
        alive = o.proofs.get(o.current)
        if alive is None:
            return verify(o.current, "Log in with the current version before the target is touched.")
        if order.accept_outage and not o.applied:
            return cut(o.current) if alive else None
        if not alive and not _own_window(o):
            return unexplained(o, "Neither the current nor the pending version authenticates")
    return None


def _set(o: Observation, pending: str, now: datetime) -> Decision:
    if o.kind is TargetKind.MINT:
        return _not_accepted(o, pending, now)
    if o.rejected >= REJECTIONS:
        return _poison(o, pending)
    if o.applied >= ATTEMPTS:
        return Quarantine(f"The pending version was applied {o.applied} times and still does not authenticate.")
    return Step(StepKind.APPLY, "The pending version is stored and not yet known to the target: set it there.", pending)


def _not_accepted(o: Observation, pending: str, now: datetime) -> Decision:
    """Return what to do about a minted credential that does not authenticate: wait for it, if it exists at all."""
    if o.credentials is None:
        return Step(StepKind.SURVEY, "The minted credential is not accepted: see whether the target still lists it.")
    if o.accounts.get(pending) not in {c.id for c in o.credentials}:
        return Step(
            StepKind.DISCARD, "The minted credential is gone from the target: drop it, and mint another.", pending
        )
    return Done("The minted credential is not accepted yet; the next run looks again.", now, problem=True)


def _own_window(o: Observation) -> bool:
    """Whether this run itself applied to a single slot, so that the current version is expected to be dead."""
    return o.kind is TargetKind.SINGLE_SLOT and o.applied > 0


def _poison(o: Observation, pending: str) -> Decision:
    if o.journal.attempt >= REPLACEMENTS:
        return Quarantine(
            f"The target's own rules refused {o.journal.attempt + 1} generated values. "
            "Bring the policy's `length` in line with them, or theirs with letters and digits."
        )
    return Step(StepKind.DISCARD, "The target's own rules refuse this value: drop it, and make another one.", pending)


def _take_back(o: Observation, pending: str) -> Decision:
    alive = o.proofs.get(pending)
    if alive is None:
        return verify(
            pending, "Log in with the pending version to see whether it has to be taken back from the target."
        )
    if o.kind is TargetKind.GENERATED or not alive:
        return Step(StepKind.DISCARD, "The pending version is not in use: drop it.", pending)
    if o.undone >= ATTEMPTS:
        return Quarantine(f"The pending version was taken back {o.undone} times and still authenticates.")
    if o.kind is TargetKind.SINGLE_SLOT and o.current is None:
        return Quarantine("There is no earlier version that the account could be given back.")
    reason = "Set the current version again." if o.kind is TargetKind.SINGLE_SLOT else "Take its access away."
    return Step(StepKind.UNDO, f"The pending version is known to the target and not wanted. {reason}", pending)
