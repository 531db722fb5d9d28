"""The plan of one secret: the steps that would follow, found by asking ``next_step`` about a world that behaves."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from rules.rotation import journal
from rules.rotation.deciding import NORMAL, next_step
from rules.rotation.observations import Credential, Observation, SecretPolicy, TargetKind
from rules.rotation.schedule import Due, due
from rules.rotation.steps import Action, Decision, Done, Order, Quarantine, Step, StepKind

_LONGEST = 40
_NEW = "(new)"


class Downtime(StrEnum):
    """What consumers that re-read the secret will notice."""

    NONE = "none"
    WINDOW = "bounded window"
    OUTAGE = "outage"


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step of a plan.

    Attributes:
        step: what will be done and why.
        not_before: the earliest instant (aware, UTC), or None where that is now.
    """

    step: Step
    not_before: datetime | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What would follow if everything goes well.

    Attributes:
        steps: in their order, to the end of the rotation.
        downtime: what consumers will notice.
        notice: the same in a sentence.
        ends: the decision that the plan ends with.
        now: the instant for which it was made (aware, UTC).
        due_since: since when it is due (aware, UTC), or None where it is not, or was never rotated.
    """

    steps: tuple[PlannedStep, ...]
    downtime: Downtime
    notice: str
    ends: Done | Quarantine
    now: datetime
    due_since: datetime | None = None

    @property
    def changes_now(self) -> bool:
        """Whether a run at this instant would change anything."""
        return any(s.step.has_effect and s.not_before is None for s in self.steps)


def plan(observation: Observation, policy: SecretPolicy, now: datetime, order: Order = NORMAL) -> Plan:
    """Return the steps that would follow from ``observation``, those after the grace included.

    Args:
        observation: what is true now.
        policy: the secret's entry in the policy.
        now: the instant of the run (aware, UTC).
        order: what is wanted of the run.
    """
    steps: list[PlannedStep] = []
    o, instant, started = observation, now, observation.previous is not None
    may_begin = due(observation, policy, now, order)
    since = may_begin.since if isinstance(may_begin, Due) else None
    while len(steps) < _LONGEST:
        decision: Decision = next_step(o, policy, instant, order)
        if isinstance(decision, Done) and decision.in_grace and started:
            instant, order = decision.until, replace(order, action=Action.ROTATE)
            continue
        if not isinstance(decision, Step):
            return replace(_plan(steps, o.kind, decision, now), due_since=since)
        steps.append(PlannedStep(decision, instant if instant > now else None))
        started = started or decision.has_effect
        o = expected(decision, o, policy, instant, order)
    return _plan(steps, o.kind, Quarantine("The plan does not end: this is a fault of ours."), now)


def _plan(steps: list[PlannedStep], kind: TargetKind, ends: Done | Quarantine, now: datetime) -> Plan:
    kinds = {s.step.kind for s in steps}
    if StepKind.CUT in kinds:
        notice = "Logins with the stored value fail from `cut` until `promote`, as the order accepts."
        return Plan(tuple(steps), Downtime.OUTAGE, notice, ends, now)
    if kind is TargetKind.SINGLE_SLOT and StepKind.APPLY in kinds:
        notice = (
            "Logins with the stored value fail from `apply` until `promote`: normally well under a second, at most the "
            "time limits of the calls between them, and after a crash in between until the next run finishes it."
        )
        return Plan(tuple(steps), Downtime.WINDOW, notice, ends, now)
    return Plan(tuple(steps), Downtime.NONE, "Consumers that re-read the secret notice nothing.", ends, now)


def expected(step: Step, o: Observation, policy: SecretPolicy, now: datetime, order: Order = NORMAL) -> Observation:
    """Return what will be observed after ``step`` where all goes well."""
    changed: dict[StepKind, Callable[[], Observation]] = {
        StepKind.CLAIM: lambda: replace(
            o, claimed=o.journal.epoch + 1, journal=journal.claimed(o.journal, _NEW, policy.target or "")
        ),
        StepKind.SURVEY: lambda: replace(o, credentials=_listed(o)),
        StepKind.INTEND: lambda: replace(o, journal=journal.intended(_begun(o, policy), _ids(o), now)),
        StepKind.RECLAIM: lambda: replace(
            o, credentials=tuple(c for c in o.credentials or () if c.id != step.credential)
        ),
        # What is cut needs no retiring once it is the previous version.
        StepKind.CUT: lambda: replace(_tried(o, step.version, accepted=False), retired=o.retired + 1),
        StepKind.MINT: lambda: _minted(o, policy),
        StepKind.STAGE: lambda: replace(_staged(o, policy), fresh=True),
        StepKind.REVERT: lambda: _reverted(o),
        StepKind.APPLY: lambda: replace(o, applied=o.applied + 1, proofs={}),
        StepKind.VERIFY: lambda: _tried(o, step.version, accepted=_healthy(o, step.version)),
        StepKind.PROBE: lambda: replace(o, strict=o.strict | {str(step.version)}),
        StepKind.PROMOTE: lambda: replace(o, current=o.pending, previous=o.current),
        StepKind.CONFIRM: lambda: confirmed(o, policy, order.counted(now, made=o.made)),
        StepKind.UNDO: lambda: replace(o, undone=o.undone + 1, proofs=_tried(o, o.pending, accepted=False).proofs),
        StepKind.DISCARD: lambda: replace(o, pending=None, journal=journal.abandoned(o.journal)),
        StepKind.RETIRE: lambda: replace(o, retired=o.retired + 1, proofs=_untried(o, o.previous)),
        StepKind.FORGET: lambda: replace(
            o, previous=None, journal=journal.forgotten(o.journal), retired=0, credentials=None
        ),
    }
    return changed[step.kind]()


def confirmed(o: Observation, policy: SecretPolicy, now: datetime) -> Observation:
    """Return what is true once the promoted version is confirmed; a predecessor that is proven dead has no grace."""
    kept = o.previous is not None and not (o.kind is TargetKind.SINGLE_SLOT and o.proofs.get(o.previous) is False)
    written = journal.confirmed(o.journal, str(o.current), now, policy.grace if kept else None)
    return replace(o, pending=None, previous=o.previous if kept else None, journal=written)


def _begun(o: Observation, policy: SecretPolicy) -> journal.Journal:
    return journal.begun(o.journal, _NEW, policy.target or "")


def _staged(o: Observation, policy: SecretPolicy) -> Observation:
    # Names the version that does not exist yet, as no other is named.
    coming = f"{o.current or ''}+"
    written = journal.staged(_begun(o, policy), coming, o.current)
    return replace(o, pending=coming, journal=written, made=True, fresh=False, applied=0, rejected=0, undone=0)


def _minted(o: Observation, policy: SecretPolicy) -> Observation:
    after = _staged(o, policy)
    return replace(after, credentials=None, accounts={**o.accounts, str(after.pending): _NEW})


def _reverted(o: Observation) -> Observation:
    written = journal.staged(journal.reverting(o.journal, _NEW), str(o.previous), o.current)
    return replace(o, pending=o.previous, previous=None, journal=written, made=True)


def _listed(o: Observation) -> tuple[Credential, ...]:
    account = o.accounts.get(o.current) if o.current else None
    return (Credential(account),) if account else ()


def _ids(o: Observation) -> tuple[str, ...]:
    return tuple(c.id for c in o.credentials or ())


def _tried(o: Observation, version: str | None, *, accepted: bool) -> Observation:
    one_account = o.kind in (TargetKind.SINGLE_SLOT, TargetKind.DUAL)
    refused = {str(version), *((str(o.current), str(o.pending), str(o.previous)) if one_account else ())}
    strict = o.strict if accepted else o.strict | refused
    return replace(o, proofs={**o.proofs, str(version): accepted}, strict=strict)


def _untried(o: Observation, version: str | None) -> dict[str, bool]:
    return {tried: alive for tried, alive in o.proofs.items() if tried != version}


def _healthy(o: Observation, version: str | None) -> bool:
    """Return whether a login with the version is expected to succeed."""
    if o.kind in (TargetKind.GENERATED, TargetKind.MINT) and version != o.previous:
        return True
    if version == o.current:
        return o.kind is not TargetKind.SINGLE_SLOT or o.pending in (None, version) or not o.applied
    if version == o.pending:
        return o.applied > 0 or o.journal.is_rollback
    return o.kind is not TargetKind.SINGLE_SLOT and not o.retired
