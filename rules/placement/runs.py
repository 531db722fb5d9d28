"""Judging runs that have not begun: each stays where it was scheduled, whatever its deployment does."""

from collections.abc import Iterator, Sequence

from rules.findings import Finding, Subject
from rules.placement.catalogue import RUN_MISPLACED, RUN_WITHOUT_DEPLOYMENT
from rules.placement.deployments import weighed
from rules.placement.estate import Deployment, Pool, ScheduledRun
from rules.placement.governing import constraints_on
from rules.placement.places import place_of, refusal, wanted_pool
from rules.placement.policy import Constraint, PlacementPolicy
from rules.selectors import parse_selector


def judge_runs(
    policy: PlacementPolicy,
    pools: Sequence[Pool] | None,
    deployments: Sequence[Deployment],
    runs: Sequence[ScheduledRun],
) -> Iterator[Finding]:
    """Yield a finding for each waiting run that is not where it may be.

    A run that waits where its deployment is says nothing of its own: the finding on the deployment covers it.
    """
    by_id = {d.id: d for d in deployments}
    for run in runs:
        deployment = by_id.get(run.deployment or "")
        if deployment is None:
            yield from _stray(policy, run)
        elif (run.pool, run.queue) != (deployment.pool, deployment.queue):
            yield from _moved(policy, pools, deployment, run)


def _stray(policy: PlacementPolicy, run: ScheduledRun) -> Iterator[Finding]:
    wanted = wanted_pool(policy, run.pool)
    if wanted is None or wanted.accepts is None:
        return
    where = f"The run waits in work pool {wanted.name}, which accepts only `{wanted.accepts}`,"
    if run.deployment is None:
        yield RUN_WITHOUT_DEPLOYMENT.failed(run.subject, f"{where} and belongs to no deployment.")
    else:
        message = f"{where} and its deployment was not among those that were read."
        remedy = "Run again: the deployment was made or deleted meanwhile."
        yield RUN_WITHOUT_DEPLOYMENT.unchecked(run.subject, message, remedy)


def _moved(
    policy: PlacementPolicy, pools: Sequence[Pool] | None, deployment: Deployment, run: ScheduledRun
) -> Iterator[Finding]:
    broken = [(c, why) for c in constraints_on(policy, deployment) if (why := _breach(policy, pools, c, run))]
    wanted = wanted_pool(policy, run.pool)
    refused = refusal(wanted, deployment.tags) if wanted is not None and run.pool != deployment.pool else ""
    if not broken and not refused:
        return
    there = (
        f"The run waits in {_where(run.pool, run.queue)} (state {run.state}), its deployment is in "
        f"{_where(deployment.pool, deployment.queue)}."
    )
    reasons = [f"That breaks constraint {c.name}. {why}" for c, why in broken]
    message = " ".join([there, *reasons, *filter(None, [refused])])
    # Named after its deployment first, so that an exception for the deployment can be one for its runs.
    subject = Subject("flow-run", run.id, f"{deployment.full_name} run {run.name}")
    finding = RUN_MISPLACED.failed(subject, message, pool=run.pool or "", queue=run.queue or "", state=run.state)
    mild = not refused and all(c.mode == "warn" for c, _ in broken)
    yield weighed(finding, broken[0][0]) if mild else finding


def _breach(policy: PlacementPolicy, pools: Sequence[Pool] | None, constraint: Constraint, run: ScheduledRun) -> str:
    if run.pool is None:
        return "Without a work pool, any process that serves the flow may take it."
    return place_of(policy, pools, run.pool, run.queue).objection(parse_selector(constraint.require))


def _where(pool: str | None, queue: str | None) -> str:
    return f"work pool {pool}, queue {queue}" if pool else "no work pool"
