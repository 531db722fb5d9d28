"""The rotation of one secret as a state machine without a state of its own.

The rules it obeys:
* nothing is applied to a target before the pending version is durable in the store;
* nothing is promoted before a login with the pending version succeeded;
* nothing is retired before the promotion is confirmed, its grace is over, and a login with current succeeded;
* a new version is staged only when no other than the current one is left;
* every effect needs the epoch that the asking run claimed;
* what cannot be explained stops everything: a value is never generated over an unclear picture.

Not here: clocks, stores, targets, retries.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from rules.durations import format_duration
from rules.rotation.observations import Observation, SecretPolicy, TargetKind
from rules.rotation.windows import parse_window

ATTEMPTS = 2
"""How often one run applies or retires the same version before it gives up."""


class StepKind(StrEnum):
    """The steps of a rotation, in their order."""

    CLAIM = "claim"
    STAGE = "stage"
    APPLY = "apply"
    VERIFY = "verify"
    PROMOTE = "promote"
    CONFIRM = "confirm"
    RETIRE = "retire"
    FORGET = "forget"


@dataclass(frozen=True, slots=True)
class Step:
    """One call to make, then ask again.

    Attributes:
        kind: what to do.
        reason: why, in plain English.
        version: the version that it concerns, where it concerns one that exists.
    """

    kind: StepKind
    reason: str
    version: str | None = None

    @property
    def has_effect(self) -> bool:
        """Whether it changes a store or a target; ``verify`` only logs in and reads."""
        return self.kind is not StepKind.VERIFY


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing to do now.

    Attributes:
        reason: why, in plain English.
        until: when there will be something (aware, UTC).
        due: whether a rotation is due and only waits for its window.
        in_grace: whether a rotation is finished but for the old version, which is still alive.
    """

    reason: str
    until: datetime
    due: bool = field(default=False, kw_only=True)
    in_grace: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Quarantine:
    """The picture is not safe to act on: stop until a person has looked.

    Attributes:
        reason: what is wrong, in plain English.
    """

    reason: str


Decision = Step | Done | Quarantine


def next_step(observation: Observation, policy: SecretPolicy, now: datetime) -> Decision:
    """Return the one next step of the secret's rotation.

    Args:
        observation: what is true now.
        policy: the secret's entry in the policy.
        now: the instant of the run (aware, UTC).
    """
    o = observation
    if o.claimed is not None and o.claimed != o.journal.epoch:
        return Quarantine(f"Another run has claimed epoch {o.journal.epoch}; this one holds {o.claimed} and stops.")
    decision = _decide(o, policy, now)
    if isinstance(decision, Step) and decision.has_effect and o.claimed is None:
        return Step(StepKind.CLAIM, f"Claim epoch {o.journal.epoch + 1}, to {decision.kind}: {decision.reason}")
    return decision


def _decide(o: Observation, policy: SecretPolicy, now: datetime) -> Decision:
    if o.journal.pending is not None and o.current == o.journal.pending:
        return _promoted(o)
    if o.pending is not None:
        return _staged(o)
    if o.journal.pending is not None:
        return Quarantine("The journal names a pending version that the store no longer holds.")
    if o.previous is not None:
        return _confirmed(o, o.previous, now)
    return _idle(o, policy, now)


def _idle(o: Observation, policy: SecretPolicy, now: datetime) -> Decision:
    due_at = o.journal.rotated_at + policy.every if o.journal.rotated_at else None
    if due_at is not None and now < due_at:
        return Done(f"Not due before {_when(due_at)}.", due_at)
    reason = f"It was due on {_when(due_at)}." if due_at else "It was never rotated."
    window = parse_window(policy.window) if policy.window else None
    if window is not None and not window.is_open(now):
        opening = window.next_opening(now)
        return Done(f"{reason} Its window ({window.text}) opens on {_when(opening)}.", opening, due=True)
    if o.current is not None and o.kind is not TargetKind.GENERATED:
        alive = o.proofs.get(o.current)
        if alive is None:
            return _verify(o.current, "Log in with the current version before anything is changed.")
        if not alive:
            return Quarantine("The current version does not authenticate and no other is known.")
    return Step(StepKind.STAGE, f"{reason} Generate a new value and store it as pending, which no consumer reads.")


def _staged(o: Observation) -> Decision:
    pending = o.pending
    if pending != o.journal.pending:
        return Quarantine("The store holds a pending version that no journal explains.")
    if o.current != o.journal.base:
        return Quarantine("The current version was changed by somebody else while a rotation was under way.")
    assert pending is not None
    alive = o.proofs.get(pending)
    if alive is None:
        return _verify(pending, "Log in with the pending version to see whether it is applied and works.")
    if alive:
        return Step(StepKind.PROMOTE, "The pending version authenticates: make it the current one.", pending)
    if o.kind is TargetKind.GENERATED:
        return Quarantine("The pending version cannot be read back from the store.")
    return _apply(o, pending)


def _apply(o: Observation, pending: str) -> Decision:
    if o.current is not None:
        alive = o.proofs.get(o.current)
        if alive is None:
            return _verify(o.current, "Log in with the current version before the target is touched.")
        if not alive:
            return _unexplained(o, "Neither the current nor the pending version authenticates")
    if o.applied >= ATTEMPTS:
        return Quarantine(f"The pending version was applied {o.applied} times and still does not authenticate.")
    return Step(StepKind.APPLY, "The pending version is stored and not yet known to the target: set it there.", pending)


def _promoted(o: Observation) -> Decision:
    assert o.current is not None
    alive = o.proofs.get(o.current)
    if alive is None:
        return _verify(o.current, "Read the promoted version back as a consumer does, and log in with it.")
    if not alive:
        return _unexplained(o, "The promoted version does not authenticate any more")
    return Step(StepKind.CONFIRM, "The new version is current and works: write that down.", o.current)


def _confirmed(o: Observation, previous: str, now: datetime) -> Decision:
    retire_after = o.journal.retire_after
    if retire_after is None:
        return Quarantine("The store holds a previous version that no journal explains.")
    if o.current is None or o.current == previous:
        return Quarantine("The version to retire is the current one again, or there is no current: somebody undid it.")
    if now < retire_after:
        return Done(f"Rotated; the old version lives on until {_when(retire_after)}.", retire_after, in_grace=True)
    if o.kind is TargetKind.GENERATED:
        return Step(StepKind.FORGET, "The grace is over: drop the previous value from the store.", previous)
    return _retire(o, o.current, previous)


def _retire(o: Observation, current: str, previous: str) -> Decision:
    works = o.proofs.get(current)
    if works is None:
        return _verify(current, "Log in with the current version before the old one is retired.")
    if not works:
        return _unexplained(o, "The current version does not authenticate, so nothing is retired")
    return _kill(o, previous)


def _kill(o: Observation, previous: str) -> Decision:
    alive = o.proofs.get(previous)
    if alive is None:
        return _verify(previous, "Try to log in with the old version: it has to be dead before it is forgotten.")
    if not alive:
        return Step(StepKind.FORGET, "The old version is proven dead: drop it from the store.", previous)
    if o.kind is TargetKind.SINGLE_SLOT:
        return Quarantine("Two passwords of one account authenticate: the target does not check them.")
    if o.retired >= ATTEMPTS:
        return Quarantine(f"The old version was retired {o.retired} times and still authenticates.")
    return Step(StepKind.RETIRE, "The grace is over: take the old version's access away.", previous)


def _unexplained(o: Observation, problem: str) -> Decision:
    if o.previous is None or o.previous == o.current:
        return Quarantine(f"{problem}. Nothing more is generated.")
    alive = o.proofs.get(o.previous)
    if alive is None:
        return _verify(o.previous, f"{problem}; see whether the previous version does.")
    rest = "but the previous one does" if alive else "nor does the previous one"
    return Quarantine(f"{problem}, {rest}. Nothing more is generated.")


def _verify(version: str, reason: str) -> Step:
    return Step(StepKind.VERIFY, reason, version)


def _when(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"


def describe_schedule(policy: SecretPolicy) -> str:
    """Return when the policy wants the secret rotated, in a few words."""
    window = f", beginning in {policy.window}" if policy.window else ""
    return f"every {format_duration(policy.every)}{window}, grace {format_duration(policy.grace)}"
