"""Judging whether a live worker could take the runs of governed deployments.

A worker counts as live while its last heartbeat is younger than three of its own intervals. The status that the server
gives is not asked: it is the same sum, done at another time.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from rules.findings import Finding
from rules.placement.catalogue import POOL_TAKES_NO_RUNS
from rules.placement.deployments import listed
from rules.placement.estate import Deployment, Pool, ScheduledRun, Worker
from rules.placement.governing import governed
from rules.placement.policy import PlacementPolicy

HEARTBEATS = 3
"""How many intervals a worker may be silent."""

SKEW = timedelta(seconds=60)
"""How far the server's clock may be ahead of ours."""


def pools_in_play(
    policy: PlacementPolicy, deployments: Sequence[Deployment] | None, runs: Sequence[ScheduledRun] | None
) -> set[str]:
    """Return the names of the pools that must be able to take runs: those of governed deployments and their runs."""
    chosen = governed(policy, deployments or ())
    ids = {d.id for d in chosen}
    return {d.pool for d in chosen if d.pool} | {r.pool for r in runs or () if r.pool and r.deployment in ids}


def judge_liveness(
    policy: PlacementPolicy,
    pools: Sequence[Pool],
    deployments: Sequence[Deployment],
    runs: Sequence[ScheduledRun] | None,
    now: datetime,
) -> Iterator[Finding]:
    """Yield one finding for each pool that governed deployments need."""
    names = pools_in_play(policy, deployments, runs)
    chosen = governed(policy, deployments)
    for pool in pools:
        if pool.name in names:
            queues = {d.queue for d in chosen if d.pool == pool.name and d.queue}
            late = [r for r in runs or () if r.pool == pool.name and r.due is not None and r.due < now]
            yield from _pool(pool, queues, late, now)


def _pool(pool: Pool, needed: set[str], late: Sequence[ScheduledRun], now: datetime) -> Iterator[Finding]:
    halts = [*_halts(pool), *_queue_halts(pool, needed)]
    workers = () if _run_by_the_cloud(pool) else pool.workers
    live = [w for w in workers or () if is_live(w, now)]
    if workers is not None and not live and not _run_by_the_cloud(pool):
        if any(w.heartbeat and w.heartbeat > now + SKEW for w in workers):
            message = "The heartbeats lie in the future: the clocks of this run and of the server differ."
            yield POOL_TAKES_NO_RUNS.unchecked(pool.subject, message, "Set both clocks by NTP, then run again.")
            return
        halts.append(_silence(workers, now))
    if halts:
        sentences = [*halts, *_waiting(late, now)]
        yield POOL_TAKES_NO_RUNS.failed(pool.subject, " ".join(sentences), live=str(len(live)))
    elif _run_by_the_cloud(pool):
        message = f"Work pools of type {pool.type} are run by Prefect Cloud and show no workers."
        yield POOL_TAKES_NO_RUNS.skipped(pool.subject, message)
    elif workers is not None:
        message = f"{len(live)} of {len(workers)} workers are live: {listed([w.name for w in live])}."
        yield POOL_TAKES_NO_RUNS.passed(pool.subject, message, live=str(len(live)))


def is_live(worker: Worker, now: datetime) -> bool:
    """Return whether a worker was heard of within three of its intervals, and not in the future."""
    if worker.heartbeat is None:
        return False
    return -SKEW <= now - worker.heartbeat <= HEARTBEATS * worker.interval


def _run_by_the_cloud(pool: Pool) -> bool:
    return pool.type.endswith((":push", ":managed"))


def _halts(pool: Pool) -> Iterator[str]:
    if pool.paused:
        yield "The work pool is paused: it gives out no runs."
    if pool.concurrency_limit == 0:
        yield "The work pool's concurrency limit is 0: it gives out no runs."


def _queue_halts(pool: Pool, needed: set[str]) -> Iterator[str]:
    for queue in pool.queues or ():
        if queue.name in needed and queue.paused:
            yield f"Queue {queue.name} is paused."
        if queue.name in needed and queue.concurrency_limit == 0:
            yield f"Queue {queue.name} has a concurrency limit of 0."


def _silence(workers: Sequence[Worker], now: datetime) -> str:
    heard = [(w.heartbeat, w) for w in workers if w.heartbeat is not None]
    if not heard:
        return "No worker was ever heard of."
    heartbeat, last = max(heard, key=lambda pair: pair[0])
    return (
        f"No worker is live: the last of {len(workers)}, {last.name}, was heard of {_age(now - heartbeat)} ago, and is "
        f"given {_age(HEARTBEATS * last.interval)}."
    )


def _waiting(late: Sequence[ScheduledRun], now: datetime) -> Iterator[str]:
    ages = [now - run.due for run in late if run.due is not None]
    if ages:
        runs = "1 run" if len(ages) == 1 else f"{len(ages)} runs"
        yield f"{runs} should have begun already, the first {_age(max(ages))} ago."


def _age(age: timedelta) -> str:
    seconds = int(age.total_seconds())
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} seconds"
