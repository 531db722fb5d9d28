"""The plan of one secret: the steps that would follow, found by asking ``next_step`` about a world that behaves."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from rules.rotation.deciding import Decision, Done, Quarantine, Step, StepKind, next_step
from rules.rotation.observations import Observation, SecretPolicy, TargetKind

_LONGEST = 30


class Downtime(StrEnum):
    """What consumers that re-read the secret will notice."""

    NONE = "none"
    WINDOW = "bounded window"


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
    """

    steps: tuple[PlannedStep, ...]
    downtime: Downtime
    notice: str
    ends: Done | Quarantine

    @property
    def changes_now(self) -> bool:
        """Whether a run at this instant would change anything."""
        return any(s.step.has_effect and s.not_before is None for s in self.steps)


def plan(observation: Observation, policy: SecretPolicy, now: datetime) -> Plan:
    """Return the steps that would follow from ``observation``, those after the grace included.

    Args:
        observation: what is true now.
        policy: the secret's entry in the policy.
        now: the instant of the run (aware, UTC).
    """
    steps: list[PlannedStep] = []
    o, instant, started = observation, now, observation.previous is not None
    while len(steps) < _LONGEST:
        decision: Decision = next_step(o, policy, instant)
        if isinstance(decision, Done) and decision.in_grace and started:
            instant = decision.until
            continue
        if not isinstance(decision, Step):
            return _plan(steps, o.kind, decision)
        steps.append(PlannedStep(decision, instant if instant > now else None))
        started = started or decision.has_effect
        o = expected(decision, o, policy, instant)
    return _plan(steps, o.kind, Quarantine("The plan does not end: this is a fault of ours."))


def _plan(steps: list[PlannedStep], kind: TargetKind, ends: Done | Quarantine) -> Plan:
    if kind is TargetKind.SINGLE_SLOT and any(s.step.kind is StepKind.APPLY for s in steps):
        notice = (
            "Logins with the stored value fail from `apply` until `promote`: normally well under a second, at most the "
            "time limits of both calls, and after a crash in between until the next run finishes it."
        )
        return Plan(tuple(steps), Downtime.WINDOW, notice, ends)
    return Plan(tuple(steps), Downtime.NONE, "Consumers that re-read the secret notice nothing.", ends)


def expected(step: Step, o: Observation, policy: SecretPolicy, now: datetime) -> Observation:
    """Return what will be observed after ``step`` where all goes well."""
    j = o.journal
    # Names the version that does not exist yet, as no other is named.
    coming = f"{o.current or ''}+"
    grace_ends = now + policy.grace if o.previous is not None else None
    changed: dict[StepKind, Callable[[], Observation]] = {
        StepKind.CLAIM: lambda: replace(o, claimed=j.epoch + 1, journal=replace(j, epoch=j.epoch + 1)),
        StepKind.STAGE: lambda: replace(o, pending=coming, journal=replace(j, pending=coming, base=o.current)),
        StepKind.APPLY: lambda: replace(o, applied=o.applied + 1, proofs={}),
        StepKind.VERIFY: lambda: replace(o, proofs={**o.proofs, str(step.version): _healthy(o, step.version)}),
        StepKind.PROMOTE: lambda: replace(o, current=o.pending, previous=o.current),
        StepKind.CONFIRM: lambda: replace(
            o,
            pending=None,
            journal=replace(j, pending=None, confirmed=o.current, rotated_at=now, retire_after=grace_ends),
        ),
        StepKind.RETIRE: lambda: replace(o, retired=o.retired + 1, proofs=_without(o.proofs, o.previous)),
        StepKind.FORGET: lambda: replace(o, previous=None, journal=replace(j, retire_after=None)),
    }
    return changed[step.kind]()


def _without(proofs: Mapping[str, bool], version: str | None) -> Mapping[str, bool]:
    return {tried: alive for tried, alive in proofs.items() if tried != version}


def _healthy(o: Observation, version: str | None) -> bool:
    """Return whether a login with the version is expected to succeed."""
    if o.kind is TargetKind.GENERATED:
        return True
    if version == o.current:
        return o.kind is TargetKind.ALTERNATING or o.pending in (None, version) or not o.applied
    if version == o.pending:
        return o.applied > 0
    return o.kind is TargetKind.ALTERNATING and not o.retired
