"""What is reported of one secret: findings in both modes, planned changes in audit mode."""

from collections.abc import Sequence

from rules.errors import TemporaryError, VigilesError
from rules.findings import Change, Finding, Outcome, Rule, Severity, Subject
from rules.rotation import rights
from rules.rotation.observations import Observation, SecretPolicy, TargetKind
from rules.rotation.planning import Downtime, Plan
from rules.rotation.rights import Needs
from rules.rotation.schedule import describe_schedule, expires_first, expiry
from rules.rotation.steps import Done, Quarantine, Step, StepKind, when

ROTATION_DUE = Rule(
    id="rotation-due",
    severity=Severity.MEDIUM,
    title="Every secret is rotated as often as its policy says",
    remedy="Run rotate-secrets in enforce mode.",
)
ROTATION_INCOMPLETE = Rule(
    id="rotation-incomplete",
    severity=Severity.MEDIUM,
    title="No rotation was left in the middle",
    remedy="Run rotate-secrets in enforce mode: it continues where the last run was cut.",
)
ROTATION_QUARANTINED = Rule(
    id="rotation-quarantined",
    severity=Severity.CRITICAL,
    title="Every secret's versions can be explained",
    remedy="Find out who changed the secret or the account. Set the value that works as the current one in the store, "
    "or the stored one at the target, then run again.",
)
SINGLE_SLOT_WINDOW = Rule(
    id="single-slot-window",
    severity=Severity.LOW,
    title="Rotations are not felt by consumers",
    remedy="Give the target a second account, so that two alternate, or keep the window to quiet hours.",
)
STORE_UNREADABLE = Rule(
    id="store-unreadable",
    severity=Severity.HIGH,
    title="Every secret's store can be used",
    remedy="Repair the store or its block, then run again.",
)
TARGET_UNCHECKED = Rule(
    id="target-unchecked",
    severity=Severity.HIGH,
    title="Every target says truthfully which credential it accepts",
    remedy="Repair the target or its block, then run again.",
)
CHANGED_OUTSIDE = Rule(
    id="secret-changed-outside",
    severity=Severity.MEDIUM,
    title="Only rotations change a secret that is rotated",
    remedy="Find out who changed it. The next rotation takes the present value as its starting point.",
)
EXPIRES_FIRST = Rule(
    id="credential-expires-first",
    severity=Severity.HIGH,
    title="No credential expires before its rotation may begin",
    remedy="Widen the window, shorten the blackout, or rotate it now: order an emergency for this secret.",
)
ORDER_FITS = Rule(
    id="order-fits",
    severity=Severity.HIGH,
    title="What was ordered fits the policy",
    remedy="Correct the parameters of the run, then run again; nothing was touched.",
)
TOO_MANY_CHANGES = Rule(
    id="too-many-changes",
    severity=Severity.HIGH,
    title="A run changes no more secrets than the policy allows",
    remedy="If all of them are meant to change, raise max_changes in the policy and publish it again.",
)
_NAMED = 10
"""How many secrets one sentence names."""

RULES = (
    ROTATION_DUE,
    ROTATION_INCOMPLETE,
    ROTATION_QUARANTINED,
    SINGLE_SLOT_WINDOW,
    STORE_UNREADABLE,
    TARGET_UNCHECKED,
    CHANGED_OUTSIDE,
    EXPIRES_FIRST,
    ORDER_FITS,
    TOO_MANY_CHANGES,
    *rights.RULES,
)


def secret_subject(policy_name: str, secret: SecretPolicy) -> Subject:
    """Return how a secret of a policy is named in reports."""
    return Subject("secret", f"{policy_name}/{secret.name}", secret.name)


def judge(
    subject: Subject,
    secret: SecretPolicy,
    observation: Observation,
    coming: Plan,
    *,
    enforced: bool = False,
    needs: Needs | None = None,
) -> list[Finding]:
    """Return the findings of one secret that could be observed.

    Args:
        subject: the secret.
        secret: its entry in the policy.
        observation: what was seen last.
        coming: the plan from there.
        enforced: whether a run in enforce mode has just done what could be done.
        needs: what the rotation needs, where that was asked.
    """
    evidence = _evidence(secret, observation, coming) | (rights.evidence(needs) if needs else {})
    state = _state(subject, observation, coming, evidence, enforced=enforced)
    lacking = rights.judge(subject, needs) if needs else []
    return [
        state,
        *_outside(subject, observation),
        *_single_slot(subject, observation),
        *_late(subject, secret, observation, coming),
        *lacking,
    ]


def _state(subject: Subject, o: Observation, coming: Plan, evidence: dict[str, str], *, enforced: bool) -> Finding:
    if isinstance(coming.ends, Quarantine):
        return ROTATION_QUARANTINED.failed(subject, coming.ends.reason, **evidence)
    if not coming.changes_now:
        return _at_rest(subject, coming.ends, coming, evidence)
    first = next(s.step for s in coming.steps if s.step.has_effect)
    if enforced or any((o.pending, o.previous, o.journal.pending, o.journal.intent_at)):
        message = f"A rotation is under way and not finished. {first.reason}"
        return ROTATION_INCOMPLETE.failed(subject, message, **evidence)
    return ROTATION_DUE.failed(subject, f"{_why(coming)} Steps: {evidence['steps']}.", **evidence)


def _at_rest(subject: Subject, ends: Done, coming: Plan, evidence: dict[str, str]) -> Finding:
    if ends.problem:
        return ROTATION_INCOMPLETE.failed(subject, ends.reason, **evidence)
    if ends.due:
        return ROTATION_DUE.skipped(subject, ends.reason, **evidence)
    later = next((s for s in coming.steps if s.not_before), None)
    if later is not None and later.not_before is not None:
        until = f"{later.not_before:%Y-%m-%d %H:%M} UTC"
        return ROTATION_DUE.passed(subject, f"Rotated; the old version lives on until {until}.", **evidence)
    return ROTATION_DUE.passed(subject, ends.reason, **evidence)


def _why(coming: Plan) -> str:
    # The claim's reason names the step it is for; the step after it alone says why now.
    first = next(s.step for s in coming.steps if s.step.has_effect and s.step.kind is not StepKind.CLAIM)
    return first.reason.split(" Generate ")[0].split(" Write down ")[0]


def _evidence(secret: SecretPolicy, o: Observation, coming: Plan) -> dict[str, str]:
    steps = [s.step.kind.value + (f" (from {s.not_before:%Y-%m-%d %H:%M} UTC)" if s.not_before else "")
             for s in coming.steps]  # fmt: skip
    facts = {
        "state": _standing(o),
        "schedule": describe_schedule(secret),
        "target": o.kind.value,
        "epoch": str(o.journal.epoch),
    }
    if o.journal.rotated_at:
        facts["rotated"] = o.journal.rotated_at.isoformat(timespec="seconds")
    expires = expiry(o)
    if expires is not None:
        facts["expires"] = expires.isoformat(timespec="seconds")
    if steps:
        facts |= {"steps": ", ".join(steps), "downtime": coming.downtime.value, "notice": coming.notice}
    return facts


def _standing(o: Observation) -> str:
    if o.journal.pending is not None and o.current == o.journal.pending:
        return "promoted, not confirmed"
    if o.pending is not None:
        return "staged"
    if o.journal.intent_at is not None:
        return "about to mint"
    if o.previous is not None:
        return "rotated, in grace"
    return "at rest" if o.journal.rotated_at else "never rotated"


def _late(subject: Subject, secret: SecretPolicy, o: Observation, coming: Plan) -> list[Finding]:
    expires = expires_first(o, secret, coming.now)
    if expires is not None:
        message = f"It expires on {when(expires)}, before its next rotation can begin."
        advice = "Extend it, shorten `grace` or `every`, or set `before_expiry` where a rotation makes a new expiry."
        return [EXPIRES_FIRST.failed(subject, message, advice)]
    late = isinstance(coming.ends, Done) and coming.ends.late
    return [EXPIRES_FIRST.failed(subject, coming.ends.reason)] if late else []


def _outside(subject: Subject, o: Observation) -> list[Finding]:
    confirmed = o.journal.confirmed
    if confirmed is None or o.current in (confirmed, o.journal.pending):
        return []
    message = "The current version is not the one that the last rotation confirmed: somebody else wrote it."
    return [CHANGED_OUTSIDE.failed(subject, message)]


def _single_slot(subject: Subject, o: Observation) -> list[Finding]:
    if o.kind is not TargetKind.SINGLE_SLOT:
        return []
    message = "One account: at each rotation, logins with the stored value fail for the time from apply to promote."
    return [SINGLE_SLOT_WINDOW.failed(subject, message, downtime=Downtime.WINDOW.value)]


def unobserved(subject: Subject, error: VigilesError, *, at_target: bool) -> Finding:
    """Return the finding for a secret whose store or target could not be asked."""
    rule = TARGET_UNCHECKED if at_target else STORE_UNREADABLE
    return rule.unchecked(subject, error.message, error.advice)


def interrupted(subject: Subject, step: Step | None, error: VigilesError) -> Finding:
    """Return the finding for a rotation that an error stopped in the middle.

    Args:
        subject: the secret.
        step: the step that failed, or None where it was not known yet.
        error: what stopped it.
    """
    at = f"`{step.kind}` failed" if step else "It stopped"
    rest = "It continues at the next run." if isinstance(error, TemporaryError) else "It needs a repair first."
    return ROTATION_INCOMPLETE.unchecked(subject, f"{at}: {error.message} {rest}", error.advice)


def planned(subject: Subject, coming: Plan) -> list[Change]:
    """Return the changes that a run in enforce mode would make now."""
    return [
        Change(s.step.kind.value, subject, Outcome.PLANNED, s.step.reason)
        for s in coming.steps
        if s.step.has_effect and s.not_before is None
    ]


def exceeded(policy_name: str, subjects: Sequence[Subject], max_changes: int) -> list[Finding]:
    """Return an ``error`` when more secrets would be changed than the policy allows; nothing may be changed then."""
    if len(subjects) <= max_changes:
        return []
    names = ", ".join(s.name for s in subjects[:_NAMED]) + (", ..." if len(subjects) > _NAMED else "")
    message = f"{len(subjects)} secrets would be changed ({names}), {max_changes} are allowed: nothing was changed."
    return [TOO_MANY_CHANGES.unchecked(Subject("policy", policy_name, policy_name), message)]


def skipped_by_ceiling(subject: Subject) -> Change:
    """Return the change that was not made because there would have been too many."""
    return Change("rotate", subject, Outcome.SKIPPED, "More secrets would be changed than max_changes allows.")


def done(subject: Subject, step: Step) -> Change:
    """Return the change for a step that was done."""
    return Change(step.kind.value, subject, Outcome.DONE, step.reason)


def undone(subject: Subject, step: Step, error: VigilesError) -> Change:
    """Return the change for a step that failed."""
    return Change(step.kind.value, subject, Outcome.FAILED, str(error))
