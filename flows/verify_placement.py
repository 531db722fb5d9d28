"""The flow that verifies that flows run only where their constraints allow."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State

from blocks.estate.placement import (
    Inside,
    Observed,
    observe_deployments,
    observe_inside,
    observe_pools,
    observe_waiting_runs,
)
from blocks.policies.placement import PlacementPolicy
from flows.reporting.publishing import conclude
from rules.modes import enforce_not_available
from rules.placement import Deployment, Estate, Pool, ScheduledRun, judge_placement
from rules.placement.governing import governed
from rules.placement.liveness import pools_in_play

NO_ENFORCEMENT = (
    "Prefect has no gate that holds against everybody with access to its API, and moving a deployment or cancelling a "
    "run is left to its owner."
)


@flow(name="verify-placement", persist_result=False)
def verify_placement(policy: PlacementPolicy, mode: Literal["audit", "enforce"] = "audit") -> State[Any]:
    """Verify that deployments and waiting runs are only where the policy's constraints allow.

    Args:
        policy: The placement policy: what is true of work pools, and what deployments require of them.
        mode: Audit reports; enforce does the same and says that there is nothing to enforce with.
    """
    now = datetime.now(UTC)
    estate = observe_estate(policy)
    findings = judge_placement(policy, estate, now)
    unenforced = enforce_not_available(mode, policy.name, NO_ENFORCEMENT)
    return conclude("verify-placement", policy, mode, now, [*findings, *unenforced])


def observe_estate(policy: PlacementPolicy) -> Estate:
    """Return everything that the policy's rules need to see, read in three tasks."""
    pools, deployments = observe_pools_and_deployments()
    chosen = [d.id for d in governed(policy, deployments.seen or ())]
    guarded = [pool.name for pool in policy.pools if pool.accepts is not None]
    runs: Observed[ScheduledRun] = Observed(None)
    if deployments.seen is not None:
        runs = observe_runs(chosen, guarded)
    named = {pool.name for pool in policy.pools} | pools_in_play(policy, deployments.seen, runs.seen)
    gaps = (*pools.gaps, *deployments.gaps, *runs.gaps)
    if pools.seen is None:
        return Estate(None, deployments.seen, runs.seen, gaps)
    inside = observe_queues_and_workers([pool.name for pool in pools.seen if pool.name in named])
    completed = tuple(inside[pool.name].fill(pool) if pool.name in inside else pool for pool in pools.seen)
    missing = (gap for inner in inside.values() for gap in (*inner.queues.gaps, *inner.workers.gaps))
    return Estate(completed, deployments.seen, runs.seen, (*gaps, *missing))


@task(persist_result=False, cache_policy=NO_CACHE)
def observe_pools_and_deployments() -> tuple[Observed[Pool], Observed[Deployment]]:
    """Read all work pools and deployments."""
    with get_client(sync_client=True) as client:
        return observe_pools(client), observe_deployments(client)


@task(persist_result=False, cache_policy=NO_CACHE)
def observe_runs(deployments: Sequence[str], pools: Sequence[str]) -> Observed[ScheduledRun]:
    """Read the waiting runs of governed deployments, and those in pools that accept only some."""
    with get_client(sync_client=True) as client:
        return observe_waiting_runs(client, deployments, pools)


@task(persist_result=False, cache_policy=NO_CACHE)
def observe_queues_and_workers(pools: Sequence[str]) -> dict[str, Inside]:
    """Read the queues and workers of the named pools."""
    with get_client(sync_client=True) as client:
        return {name: observe_inside(client, name) for name in pools}
