"""One secret of a policy: observed, or taken as far as it goes, with what is to be reported of it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from blocks.policies.rotation import SecretEntry
from flows.rotating.loading import Blocks
from flows.rotating.performing import Rotation
from rules.errors import VigilesError
from rules.findings import Change, Finding, Subject
from rules.rotation import Plan, plan, verdicts


@dataclass(frozen=True, slots=True)
class Seen:
    """A secret that was observed, without any value.

    Attributes:
        secret: its entry in the policy.
        subject: how reports name it.
        findings: what is to be reported of it as it is.
        coming: the plan, or None where it could not be observed.
    """

    secret: SecretEntry
    subject: Subject
    findings: tuple[Finding, ...]
    coming: Plan | None

    @property
    def changes_now(self) -> bool:
        """Whether a run in enforce mode would change it now."""
        return self.coming is not None and self.coming.changes_now


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a secret in enforce mode.

    Attributes:
        findings: its state afterwards.
        changes: what was done to it, in order; a step that failed comes last.
    """

    findings: tuple[Finding, ...]
    changes: tuple[Change, ...]


def observe(policy_name: str, secret: SecretEntry, blocks: Blocks, now: datetime) -> Seen:
    """Return what is true of the secret; logs in and reads, changes nothing."""
    subject = verdicts.secret_subject(policy_name, secret)
    rotation: Rotation | None = None
    try:
        rotation = _rotation(secret, blocks, now, _no_lease)
        rotation.preflight()
        observation, _ = rotation.advance(effects=False)
    except VigilesError as error:
        at_target = rotation is not None and rotation.at_target
        return Seen(secret, subject, (verdicts.unobserved(subject, error, at_target=at_target),), None)
    coming = plan(observation, secret, now)
    return Seen(secret, subject, tuple(verdicts.judge(subject, secret, observation, coming)), coming)


def rotate(
    policy_name: str, secret: SecretEntry, blocks: Blocks, now: datetime, check_lease: Callable[[float], None]
) -> Outcome:
    """Take the secret's rotation as far as it goes now, and return what became of it."""
    subject = verdicts.secret_subject(policy_name, secret)
    rotation: Rotation | None = None
    try:
        rotation = _rotation(secret, blocks, now, check_lease)
        observation, _ = rotation.advance(effects=True)
    except VigilesError as error:
        return _stopped(subject, rotation, error)
    findings = verdicts.judge(subject, secret, observation, plan(observation, secret, now), enforced=True)
    return Outcome(tuple(findings), tuple(verdicts.done(subject, step) for step in rotation.steps))


def _rotation(secret: SecretEntry, blocks: Blocks, now: datetime, check_lease: Callable[[float], None]) -> Rotation:
    store = blocks.store(secret.store)
    target = blocks.target(secret.target) if secret.target else None
    return Rotation(secret, store, target, now, check_lease)


def _stopped(subject: Subject, rotation: Rotation | None, error: VigilesError) -> Outcome:
    step = rotation.step if rotation else None
    changes = [verdicts.done(subject, done) for done in rotation.steps] if rotation else []
    if step is not None and step.has_effect:
        changes.append(verdicts.undone(subject, step, error))
    return Outcome((verdicts.interrupted(subject, step, error),), tuple(changes))


def _no_lease(_seconds: float) -> None:
    return
