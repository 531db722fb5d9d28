"""The mark: everything in the workspace that could refer to a result, read completely or not at all.

The names of flows, deployments and blocks are read first and any store is listed last: what appears in between is
unknown or young, and both are kept. A run that begins meanwhile can only refer to objects that are younger than the
mark, or to caches; ``read_since`` reads those runs again before anything is deleted.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from prefect.client.orchestration import SyncPrefectClient

from blocks.estate.locating import References
from blocks.estate.paging import Row, read_all
from blocks.result_stores.interface import ObjectStore, StorageBlock
from rules.errors import PermanentError
from rules.retention.observed import Artifact, Mark, Run
from rules.retention.recognition import parse_time
from rules.retention.standings import TERMINAL

_LIVE_STATES = ["SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING"]
# SQL's NOT IN is not true of NULL: this leaves out the untyped artifacts, which hold the results of flow runs.
_TYPED = {"type": {"not_any_": ["no-type-has-this-name"]}}


def read_mark(
    client: SyncPrefectClient, stores: Sequence[ObjectStore], blocks: Mapping[str, StorageBlock], started: datetime
) -> Mark:
    """Return the complete mark.

    Args:
        client: a client of the server to read.
        stores: the stores that references are looked for in.
        blocks: every block document by id.
        started: the instant before the first row is read.

    Raises:
        TemporaryError, PermanentError: if any page of any list cannot be read; then there is no mark.
    """
    with _understood():
        artifacts = read_all(client, "/artifacts/filter", {"sort": "ID_DESC", "artifacts": _TYPED})
        typed = tuple(artifact_from(row) for row in artifacts if row["type"] is not None)
        mark = _read(client, References(stores, blocks), started, {}, {}, {})
    return replace(mark, artifacts=typed)


def read_since(
    client: SyncPrefectClient,
    stores: Sequence[ObjectStore],
    blocks: Mapping[str, StorageBlock],
    mark: Mark,
    since: datetime,
) -> Mark:
    """Return what changed since a mark: runs that began or ended after ``since``, and every run that is live now.

    Args:
        client: a client of the server to read.
        stores: the stores that references are looked for in.
        blocks: every block document by id.
        mark: the mark that is to be brought up to date.
        since: some time before the mark, as task runs reach the server late.

    Raises:
        TemporaryError, PermanentError: if any page of any list cannot be read.
    """
    after = {"after_": since.isoformat()}
    recent = {"operator": "or_", "start_time": after, "end_time": after, "state": {"type": {"any_": _LIVE_STATES}}}
    narrowed = {"flow_runs": recent}, {"task_runs": recent}
    with _understood():
        return _read(client, References(stores, blocks), since, *narrowed, mark.runs)


def artifact_from(row: Row) -> Artifact:
    """Return an artifact as the rules know it."""
    written = [moment for moment in (parse_time(row["created"]), parse_time(row["updated"])) if moment is not None]
    data = row["data"]
    return Artifact(
        id=row["id"],
        key=row["key"],
        run=row["task_run_id"] or row["flow_run_id"],
        updated=str(row["updated"]),
        age_from=max(written),
        size=len(data if isinstance(data, str) else str(data or "")),
    )


@contextmanager
def _understood() -> Iterator[None]:
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        problem = f"Prefect's API listed a row that this version does not understand ({type(error).__name__})."
        raise PermanentError(problem, "Compare the versions of server and client.") from None


def _read(
    client: SyncPrefectClient,
    references: References,
    started: datetime,
    flow_filter: Mapping[str, Any],
    task_filter: Mapping[str, Any],
    known: Mapping[str, Run],
) -> Mark:
    flows = {row["id"]: row["name"] for row in read_all(client, "/flows/filter", {"sort": "NAME_ASC"})}
    deployments = {
        row["id"]: f"{flows[row['flow_id']]}/{row['name']}"
        for row in read_all(client, "/deployments/filter", {"sort": "NAME_ASC"})
        if row["flow_id"] in flows
    }
    runs: dict[str, Run] = {}
    parents: dict[str, str] = {}
    for row in read_all(client, "/flow_runs/filter", {"sort": "ID_DESC", **flow_filter}):
        runs[row["id"]] = _flow_run(row, flows, deployments)
        references.add(row, by_task=False)
        if row["parent_task_run_id"]:
            parents[row["id"]] = row["parent_task_run_id"]
    for row in read_all(client, "/task_runs/filter", {"sort": "ID_DESC", **task_filter}):
        owner = row["flow_run_id"]
        runs[row["id"]] = _task_run(row, (runs.get(owner) or known.get(owner)) if owner else None)
        # The task run that stands for a subflow in its parent carries the subflow's own result.
        references.add(row, by_task=not (row["state"] or {}).get("state_details", {}).get("child_flow_run_id"))
    for child, parent in parents.items():
        owner = (runs.get(parent) or known.get(parent) or runs[child]).owner
        runs[child] = runs[child]._replace(owner=owner)
    return Mark(
        started=started,
        runs=runs,
        references=references.by_store(),
        unlocated=frozenset(references.unlocated),
        elsewhere=dict(references.elsewhere),
        artifacts=(),
    )


def _flow_run(row: Row, flows: Mapping[str, str], deployments: Mapping[str, str]) -> Run:
    deployment = row["deployment_id"]
    named = deployments.get(deployment) if deployment else ""
    return Run(**_common(row), flow=flows.get(row["flow_id"]), deployment=named, owner=None, is_flow=True)


def _task_run(row: Row, flow_run: Run | None) -> Run:
    if row["flow_run_id"] is None:
        return Run(**_common(row), flow="", deployment="", owner=None, is_flow=False)
    flow, deployment = (flow_run.flow, flow_run.deployment) if flow_run else (None, None)
    return Run(**_common(row), flow=flow, deployment=deployment, owner=row["flow_run_id"], is_flow=False)


def _common(row: Row) -> dict[str, Any]:
    terminal = row["state_type"] in TERMINAL
    reached = parse_time(row["end_time"]) or parse_time((row["state"] or {}).get("timestamp"))
    return {
        "id": row["id"],
        "tags": frozenset(row["tags"]),
        "state": row["state_type"],
        "retries": row["empirical_policy"].get("retries") or row["empirical_policy"].get("max_retries") or 0,
        "run_count": row["run_count"],
        "started": parse_time(row["start_time"]),
        "ended": reached if terminal else None,
    }
