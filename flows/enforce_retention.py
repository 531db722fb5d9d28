"""The flow that deletes results and artifacts past their retention, and nothing that anybody can still ask for."""

import gc
from datetime import UTC, datetime
from typing import Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State

from blocks.policies.retention import RetentionPolicy
from flows.exclusion import Lease, exclusive
from flows.reporting.publishing import conclude
from flows.retention.acting import act
from flows.retention.observing import Observation, observe
from rules.errors import VigilesError
from rules.exclusion import EXCLUSION
from rules.findings import Change, Finding, Outcome, Subject
from rules.retention.judging import Judge
from rules.retention.planning import Plan, make_plan
from rules.retention.verdicts import (
    caches_kept,
    declared_but_idle,
    exceeded_limits,
    missing_results,
    not_marked,
    out_of_reach,
    past_retention,
    plan_finding,
    planned_changes,
    store_closed,
)

FLOW = "enforce-retention"


@flow(name=FLOW, persist_result=False)
def enforce_retention(policy: RetentionPolicy, mode: Literal["audit", "enforce"] = "audit") -> State[Any]:
    """Delete persisted results and artifacts that are past the policy's retention and that nothing refers to any more.

    Args:
        policy: The retention policy: stores, how long what is kept, holds and limits.
        mode: Audit lists everything that would be deleted; enforce deletes exactly that.
    """
    now = datetime.now(UTC)
    findings: list[Finding] = []
    changes: list[Change] = []
    try:
        with exclusive(FLOW, policy.name, mode) as lease:
            prune(policy, mode, now, lease, findings, changes)
    except VigilesError as error:
        subject = Subject("policy", policy.name, policy.name)
        findings.append(EXCLUSION.unchecked(subject, error.message, error.advice))
    return conclude(FLOW, policy, mode, now, findings, changes)


def prune(
    policy: RetentionPolicy, mode: str, now: datetime, lease: Lease, findings: list[Finding], changes: list[Change]
) -> None:
    """Add what was found and what was changed; anything that could not be read means that nothing is deleted.

    Both lists are the caller's, so that what was done is reported even if the lease is lost at the end.
    """
    try:
        seen = observe(policy, now)
        plan = decide(seen, policy, now)
        too_much = exceeded_limits(plan, policy)
        findings += [*judge(plan, seen, policy, now), *too_much]
        if mode == "enforce" and not too_much:
            deed = act(plan, seen, policy, now, lease)
            findings += deed.findings
            changes += deed.changes
            return
        findings += past_retention(plan, plan)
        if mode == "audit":
            changes += planned_changes(plan, now, Outcome.PLANNED)
    except VigilesError as error:
        findings.append(not_marked(policy, error))
    finally:
        gc.unfreeze()


def decide(seen: Observation, policy: RetentionPolicy, now: datetime) -> Plan:
    """Return the plan: everything that is condemned at this instant."""
    mark = seen.workspace.mark
    return make_plan(Judge(mark, policy, now), mark, seen.surveys, seen.heads)


def judge(plan: Plan, seen: Observation, policy: RetentionPolicy, now: datetime) -> list[Finding]:
    """Return what there is to say beside what is past its retention."""
    return [
        plan_finding(plan, policy),
        *(store_closed(closed.name, closed.error) for closed in seen.workspace.closed),
        *missing_results(plan.missing),
        *out_of_reach(seen.workspace.mark, policy),
        *caches_kept(plan, policy),
        *declared_but_idle(policy, now.date()),
    ]
