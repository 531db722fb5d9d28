"""One secret of a policy: observed, or taken as far as it goes, with what is to be reported of it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from blocks.policies.rotation import SecretEntry
from blocks.secret_stores.interface import StoreState
from flows.rotating.loading import Blocks
from flows.rotating.performing import Rotation
from rules.errors import PermanentError, VigilesError
from rules.findings import Change, Finding, Subject
from rules.rotation import Journal, Order, Plan, plan, verdicts
from rules.rotation.rights import Needs


@dataclass(frozen=True, slots=True)
class Seen:
    """A secret that was observed, without any value.

    Attributes:
        secret: its entry in the policy.
        subject: how reports name it.
        findings: what is to be reported of it as it is.
        coming: the plan, or None where it could not be observed.
        state: what its store said, or None where it said nothing.
    """

    secret: SecretEntry
    subject: Subject
    findings: tuple[Finding, ...]
    coming: Plan | None
    state: StoreState | None = None

    @property
    def journal(self) -> Journal:
        """What its journal says; an empty one where it could not be read."""
        return self.state.journal if self.state else Journal()

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


@dataclass(frozen=True, slots=True)
class Task:
    """What all secrets of a run share.

    Attributes:
        policy_name: of the policy.
        now: the instant of the run (aware, UTC).
        order: what is wanted of the run.
        check_lease: raises unless the run's lease lasts for so many seconds.
        blocks: the blocks that the policy names; one object of each a run, as a store whose secret has no journal yet
            names its versions under a key that it made up.
        pause: waits so many seconds before a store is asked again.
    """

    policy_name: str
    now: datetime
    order: Order
    check_lease: Callable[[float], None]
    blocks: Blocks
    pause: Callable[[float], None] = time.sleep


def observe(task: Task, secret: SecretEntry, *, closely: bool, on_throttle: Callable[[], None] = lambda: None) -> Seen:
    """Return what is true of the secret; changes nothing.

    Args:
        task: what all secrets of the run share.
        secret: the secret's entry in the policy.
        closely: whether to log in and to ask for permissions too, so that the plan can be relied on; without, only the
            store's pointers and journal are read, which tells whether anything is due.
        on_throttle: called whenever the store asks for fewer calls.
    """
    subject = verdicts.secret_subject(task.policy_name, secret)
    rotation: Rotation | None = None
    try:
        rotation = _rotation(task, secret, None, on_throttle)
        if closely:
            rotation.preflight()
            observation, _ = rotation.advance(effects=False)
        else:
            observation = rotation.look()
        coming = plan(observation, secret, task.now, task.order)
        needs = _needs(task, secret) if closely else None
        findings = verdicts.judge(subject, secret, observation, coming, needs=needs)
    except Exception as error:  # noqa: BLE001 - one secret must not end the run of all
        at_target = rotation is not None and rotation.at_target
        return Seen(secret, subject, (verdicts.unobserved(subject, _ours(error), at_target=at_target),), None)
    return Seen(secret, subject, tuple(findings), coming, rotation.state)


def rotate(task: Task, seen: Seen, *, on_throttle: Callable[[], None] = lambda: None) -> Outcome:
    """Take the secret's rotation as far as it goes now, and return what became of it."""
    rotation: Rotation | None = None
    # What was seen before a change by somebody else is reported, although the rotation goes over it.
    outside = [f for f in seen.findings if f.rule == verdicts.CHANGED_OUTSIDE.id]
    try:
        rotation = _rotation(task, seen.secret, seen.state, on_throttle)
        if seen.journal.rotated_at is None:
            # The first time, everything is tried that can be tried before the first change.
            rotation.preflight()
        observation, _ = rotation.advance(effects=True)
        coming = plan(observation, seen.secret, task.now, task.order)
        findings = verdicts.judge(seen.subject, seen.secret, observation, coming, enforced=True)
        findings += [f for f in outside if f.rule not in {found.rule for found in findings}]
    except Exception as error:  # noqa: BLE001 - one secret must not end the run of all
        return _stopped(seen.subject, rotation, _ours(error))
    return Outcome(tuple(findings), tuple(verdicts.done(seen.subject, step) for step in rotation.steps))


def _ours(error: Exception) -> VigilesError:
    """Return an error of ours as it is, and for any other one without its text, which may hold a value."""
    if isinstance(error, VigilesError):
        return error
    return PermanentError(f"It failed with an unexpected {type(error).__name__}.", "Please report it.")


def _rotation(task: Task, secret: SecretEntry, state: StoreState | None, on_throttle: Callable[[], None]) -> Rotation:
    store = task.blocks.store(secret.store)
    target = task.blocks.target(secret.target) if secret.target else None
    return Rotation(
        secret,
        store,
        target,
        task.now,
        task.check_lease,
        order=task.order,
        seen=state,
        on_throttle=on_throttle,
        pause=task.pause,
    )


def _needs(task: Task, secret: SecretEntry) -> Needs:
    store = task.blocks.store(secret.store)
    return Needs(
        permissions=store.permissions(secret.address),
        at_target=task.blocks.target(secret.target).permissions if secret.target else (),
        fencing=store.fencing,
        quota=f"{store.quota.writes} writes a rotation of {store.quota.name}. {store.quota.note}".strip(),
    )


def _stopped(subject: Subject, rotation: Rotation | None, error: VigilesError) -> Outcome:
    step = rotation.step if rotation else None
    if rotation is None or (not rotation.steps and (step is None or not step.has_effect)):
        at_target = rotation is not None and rotation.at_target
        return Outcome((verdicts.unobserved(subject, error, at_target=at_target),), ())
    changes = [verdicts.done(subject, done) for done in rotation.steps]
    if step is not None and step.has_effect:
        changes.append(verdicts.undone(subject, step, error))
    return Outcome((verdicts.interrupted(subject, step, error),), tuple(changes))
