"""Rotate secrets: bring every secret of a policy to where its schedule wants it, one crash-proof step at a time."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State

from blocks.policies.rotation import RotationPolicy, SecretEntry
from flows.exclusion import Lease, exclusive
from flows.reporting.publishing import conclude
from flows.rotating.loading import Blocks
from flows.rotating.one_secret import Outcome, Seen, observe, rotate
from rules.errors import VigilesError
from rules.exclusion import EXCLUSION
from rules.findings import Change, Finding, Subject
from rules.rotation import verdicts

NAME = "rotate-secrets"


@flow(name=NAME, persist_result=False)
def rotate_secrets(policy: RotationPolicy, mode: Literal["audit", "enforce"] = "audit") -> State[Any]:
    """Rotate the secrets of a policy that are due, without a moment in which the stored value does not work.

    Args:
        policy: Which secrets, where they are, how often and when.
        mode: audit shows the plan and changes nothing; enforce rotates.
    """
    now = datetime.now(UTC)
    findings: list[Finding] = []
    changes: list[Change] = []
    try:
        with exclusive(NAME, policy.name, mode) as lease:
            seen = observe_secrets(policy.name, policy.secrets, now)
            findings, changes = _act(policy, mode, now, seen, lease)
    except VigilesError as error:
        subject = Subject("policy", policy.name, policy.name)
        findings = [*findings, EXCLUSION.unchecked(subject, error.message, error.advice)]
    return conclude(NAME, policy, mode, now, findings, changes)


def _act(
    policy: RotationPolicy, mode: str, now: datetime, seen: Sequence[Seen], lease: Lease
) -> tuple[list[Finding], list[Change]]:
    due = [s for s in seen if s.changes_now]
    too_many = verdicts.exceeded(policy.name, [s.subject for s in due], policy.max_changes)
    if mode == "audit" or too_many:
        findings = [f for s in seen for f in s.findings]
        planned = [c for s in due if s.coming for c in verdicts.planned(s.subject, s.coming)]
        skipped = [verdicts.skipped_by_ceiling(s.subject) for s in due]
        return [*findings, *too_many], skipped if too_many and mode == "enforce" else planned
    outcomes = [rotate_secret(policy.name, s.secret, now, lease) for s in due]
    findings = [f for s in seen if not s.changes_now for f in s.findings]
    return [*findings, *(f for o in outcomes for f in o.findings)], [c for o in outcomes for c in o.changes]


@task(name="observe-secrets", persist_result=False, cache_policy=NO_CACHE)
def observe_secrets(policy_name: str, secrets: Sequence[SecretEntry], now: datetime) -> list[Seen]:
    """Look at every secret: read its store, log in where that tells something, change nothing."""
    blocks = Blocks()
    return [observe(policy_name, secret, blocks, now) for secret in secrets]


@task(name="rotate-secret", task_run_name="rotate-{secret.name}", persist_result=False, cache_policy=NO_CACHE)
def rotate_secret(policy_name: str, secret: SecretEntry, now: datetime, lease: Lease) -> Outcome:
    """Take one secret's rotation as far as it goes now; a failure is an outcome, so that the others go on."""
    return rotate(policy_name, secret, Blocks(), now, lease.check)
