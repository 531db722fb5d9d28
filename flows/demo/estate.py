"""The demo's estate: pools, a worker, deployments of which some break their constraints, runs with results."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.filesystems import LocalFileSystem
from prefect.workers.process import ProcessWorker

from blocks.access_directories.prefect_server import PrefectServerDirectory
from blocks.estate.paging import read_all, request
from flows.demo import samples
from flows.demo.prefect_server import PrefectServer

OLD = timedelta(days=120)
"""How far the old runs and their results are back-dated."""


def create_pools(client: SyncPrefectClient) -> None:
    """Create the work pools ``high-security`` and ``standard``."""
    template = ProcessWorker.get_default_base_job_template()
    for name in ("high-security", "standard"):
        request(client, "POST", "/work_pools/", {"name": name, "type": "process", "base_job_template": template})


def create_deployments(client: SyncPrefectClient) -> list[str]:
    """Create the deployments, some of which break the placement policy, and return them as ``name on pool``.

    A run of ``nightly-load/moved`` is scheduled before its deployment moves to the right pool: the run stays behind.
    """
    secure = ["security:high"]
    _deployment(client, samples.close_the_books, "yearly", "high-security", secure)
    _deployment(client, samples.nightly_load, "careless", "standard", secure)
    _deployment(client, samples.nightly_load, "served", None, secure)
    _deployment(client, samples.train_model, "weekly", "standard", [])
    moved = _deployment(client, samples.nightly_load, "moved", "standard", secure)
    later = (datetime.now(UTC) + timedelta(hours=6)).isoformat()
    scheduled = {"type": "SCHEDULED", "state_details": {"scheduled_time": later}}
    request(client, "POST", f"/deployments/{moved}/create_flow_run", {"state": scheduled})
    _deployment(client, samples.nightly_load, "moved", "high-security", secure)
    rows = read_all(client, "/deployments/filter", {"sort": "NAME_ASC"})
    return [f"{row['name']} on {row['work_pool_name'] or 'no pool'}" for row in rows]


def run_flows(server: PrefectServer, storage: Path) -> Iterator[str]:
    """Run the sample flows, some of them back-dated by ``OLD``, and yield what each left behind.

    The runs are real. Their age is not: after they ended, the demo moves their times, in its own server's database,
    and those of their result files into the past.
    """
    LocalFileSystem(basepath=str(storage)).save("results", overwrite=True)
    for name, sample in (("nightly-load", samples.nightly_load), ("close-the-books", samples.close_the_books)):
        for age in (OLD, OLD / 2, timedelta(0)):
            before = set(storage.rglob("*"))
            run = sample(return_state=True).state_details.flow_run_id
            written = set(storage.rglob("*")) - before
            _back_date(server.database, str(run), written, datetime.now(UTC) - age)
            yield f"{name}: {len(written)} results, {age.days} days old"


def create_directory(server: PrefectServer) -> None:
    """Save the block through which the posture of the demo's own server is inspected."""
    PrefectServerDirectory(api_url=server.url, database=str(server.database)).save("self-hosted", overwrite=True)


def _deployment(client: SyncPrefectClient, sample: Any, name: str, pool: str | None, tags: list[str]) -> str:
    flow = request(client, "POST", "/flows/", {"name": sample.name})
    body = {
        "name": name,
        "flow_id": flow["id"],
        "entrypoint": f"flows.demo.samples.{sample.fn.__name__}",
        "tags": tags,
        "work_pool_name": pool,
        "parameter_openapi_schema": sample.parameters.model_dump(),
    }
    return str(request(client, "POST", "/deployments/", body)["id"])


def _back_date(database: Path, run: str, files: set[Path], then: datetime) -> None:
    for path in files:
        os.utime(path, (then.timestamp(), then.timestamp()))
    stamp = then.strftime("%Y-%m-%d %H:%M:%S.%f")
    with contextlib.closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        times = "SET start_time = ?, end_time = ?"
        connection.execute(f"UPDATE flow_run {times} WHERE id = ?", (stamp, stamp, run))
        connection.execute(f"UPDATE task_run {times} WHERE flow_run_id = ?", (stamp, stamp, run))
        connection.execute(
            "UPDATE artifact SET created = ?, updated = ? WHERE flow_run_id = ? AND type IS NOT NULL",
            (stamp, stamp, run),
        )
