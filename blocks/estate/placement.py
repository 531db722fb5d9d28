"""Observing what placement depends on: work pools, queues, workers, deployments and the runs that wait.

A list that cannot be read becomes a gap, which the rules report as an error; nothing here raises for it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from prefect.client.orchestration import SyncPrefectClient

from blocks.estate.bisecting import Hole, read_around
from blocks.estate.paging import Row, read_all
from rules.errors import VigilesError
from rules.findings import Subject
from rules.placement import Deployment, Gap, Pool, Queue, ScheduledRun, Worker

BATCH = 200
"""How many deployments one filter names."""

DEFAULT_HEARTBEAT = 30
"""Seconds between heartbeats of a worker that does not say, as the server counts them."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Observed(Generic[T]):
    """What was read of one list.

    Attributes:
        seen: its rows, or None if it could not be read.
        gaps: what is missing of it.
    """

    seen: tuple[T, ...] | None
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True, slots=True)
class Inside:
    """What was read inside one work pool.

    Attributes:
        queues: its queues.
        workers: its workers.
    """

    queues: Observed[Queue]
    workers: Observed[Worker]

    def fill(self, pool: Pool) -> Pool:
        """Return the pool with its queues and workers."""
        return replace(pool, queues=self.queues.seen, workers=self.workers.seen)


def observe_pools(client: SyncPrefectClient) -> Observed[Pool]:
    """Return all work pools of the server, without their queues and workers."""
    unknown = "Whether the pools of the policy exist, are the ones that were meant and can take runs is not known."
    return _observed("work pools", unknown, lambda: [_pool(row) for row in read_all(client, "/work_pools/filter")])


def observe_inside(client: SyncPrefectClient, pool: str) -> Inside:
    """Return the queues and workers of one work pool."""
    path = f"/work_pools/{quote(pool, safe='')}"
    queues, workers = f"queues of work pool {pool}", f"workers of work pool {pool}"
    return Inside(
        _observed(
            queues,
            "Which queues were added, are paused or have no slots is not known.",
            lambda: [_queue(row) for row in read_all(client, f"{path}/queues/filter")],
        ),
        _observed(
            workers,
            "Whether a live worker could take its runs is not known.",
            lambda: [_worker(row) for row in read_all(client, f"{path}/workers/filter")],
        ),
    )


def observe_deployments(client: SyncPrefectClient) -> Observed[Deployment]:
    """Return all deployments of the server, with the names of their flows."""

    def read() -> list[Deployment]:
        rows = list(read_all(client, "/deployments/filter", {"sort": "CREATED_DESC"}))
        # Read after the deployments, so that the flow of each is among them.
        flows = {row["id"]: str(row["name"]) for row in read_all(client, "/flows/filter", {"sort": "CREATED_DESC"})}
        return [_deployment(row, flows[row["flow_id"]]) for row in rows]

    return _observed("deployments", "No deployment and no waiting run was held against the policy.", read)


def observe_waiting_runs(
    client: SyncPrefectClient, deployments: Sequence[str], pools: Sequence[str]
) -> Observed[ScheduledRun]:
    """Return the runs that have not begun, late and pending ones included.

    Args:
        client: a client of the server to ask.
        deployments: ids of deployments, all of whose runs are wanted.
        pools: names of work pools, all of whose runs are wanted.
    """
    filters = [{"deployments": {"id": {"any_": list(ids)}}} for ids in _batches(deployments)]
    filters += [{"work_pools": {"name": {"any_": list(pools)}}}] if pools else []
    holes: dict[str, Gap] = {}

    def read() -> list[ScheduledRun]:
        runs: dict[str, ScheduledRun] = {}
        for chosen in filters:
            rows, missing = read_around(client, "/flow_runs/filter", {**_WAITING, **chosen}, "/ui/flow_runs/history")
            runs |= {row["id"]: _run(row) for row in rows}
            holes.update({gap.subject.id: gap for gap in map(_unshown, missing)})
        return list(runs.values())

    unknown = "Runs that wait in another place than their deployment's were not looked for."
    observed = _observed("waiting runs", unknown, read)
    return Observed(observed.seen, (*observed.gaps, *holes.values()))


_WAITING = {"sort": "ID_DESC", "flow_runs": {"state": {"type": {"any_": ["SCHEDULED", "PENDING"]}}}}


def _observed(name: str, unknown: str, read: Callable[[], list[T]]) -> Observed[T]:
    try:
        return Observed(tuple(read()))
    except VigilesError as error:
        message, remedy = error.message, error.advice
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        message = f"The server's list of {name} was not understood ({type(error).__name__})."
        remedy = "Run again; if it fails again, compare the versions of client and server."
    return Observed(None, (Gap(Subject("list", name, name), f"{message} {unknown}", remedy),))


def _unshown(hole: Hole) -> Gap:
    name = hole.id or f"waiting run number {hole.offset + 1}"
    message = (
        "The server cannot show this waiting run, and answers 500 to every list that holds it. Where it waits is not "
        "known; once it is due, the same fault keeps every worker of its work pool from getting runs."
    )
    remedy = (
        "The usual cause is a label that was set to null, a list or a mapping: set that label to a text (PATCH "
        "/flow_runs/ID/labels), or delete the run."
    )
    return Gap(Subject("flow-run", hole.id or f"offset:{hole.offset}", name), message, remedy)


def _batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), BATCH):
        yield ids[start : start + BATCH]


def _pool(row: Row) -> Pool:
    return Pool(
        id=str(row["id"]),
        name=str(row["name"]),
        type=str(row["type"]),
        paused=bool(row["is_paused"]),
        concurrency_limit=row["concurrency_limit"],
        default_queue=row["default_queue_id"],
        template=row["base_job_template"],
        queues=None,
        workers=None,
    )


def _queue(row: Row) -> Queue:
    return Queue(str(row["id"]), str(row["name"]), bool(row["is_paused"]), row["concurrency_limit"])


def _worker(row: Row) -> Worker:
    seconds = row["heartbeat_interval_seconds"] or DEFAULT_HEARTBEAT
    return Worker(str(row["name"]), _instant(row["last_heartbeat_time"]), timedelta(seconds=seconds))


def _deployment(row: Row, flow: str) -> Deployment:
    return Deployment(
        id=str(row["id"]),
        flow=flow,
        name=str(row["name"]),
        tags=tuple(row["tags"]),
        pool=row["work_pool_name"],
        queue=row["work_queue_name"],
    )


def _run(row: Row) -> ScheduledRun:
    return ScheduledRun(
        id=str(row["id"]),
        name=str(row["name"]),
        deployment=row["deployment_id"],
        pool=row["work_pool_name"],
        queue=row["work_queue_name"],
        state=str(row["state_name"]),
        due=_instant(row["next_scheduled_start_time"] or row["expected_start_time"]),
    )


def _instant(value: Any) -> datetime | None:
    return datetime.fromisoformat(value) if value else None
