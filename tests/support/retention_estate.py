"""A workspace with real flows that persist real results into a block of its own, for tests of retention."""

import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prefect.client.orchestration import get_client
from prefect.filesystems import LocalFileSystem

from blocks.policies.retention import RetentionPolicy
from flows.enforce_retention import enforce_retention
from flows.reporting.publishing import FindingsFailedError
from rules.reports import Report

LONG_AGO = 40 * 86_400
TERMINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@dataclass
class Estate:
    """One block that is a store, its directory, and what tests do with both."""

    root: Path
    block: LocalFileSystem
    slug: str
    executions: list[str] = field(default_factory=list)

    def policy(self, **changes: Any) -> RetentionPolicy:
        document: dict[str, Any] = {
            "version": 1,
            "name": self.slug.partition("/")[2],
            "stores": [{"block": self.slug}],
            "rules": [{"name": "everything", "match": {"all": True}, "results": "1s"}],
            "limits": {"objects": 10_000, "percent": 100},
            "caches": "expire",
            "grace": "1m",
        }
        return RetentionPolicy(**{**document, **changes})

    def exclusive(self, **changes: Any) -> RetentionPolicy:
        return self.policy(stores=[{"block": self.slug, "exclusive": True}], **changes)

    def files(self) -> set[str]:
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file()}

    def age(self, seconds: int = LONG_AGO) -> None:
        """Back-date every file, and wait until the ends of all runs are older than a second."""
        wait_until_recorded()
        for path in self.root.rglob("*"):
            if path.is_file():
                os.utime(path, (time.time() - seconds,) * 2)
        time.sleep(1.1)


def new_estate(folder: Path) -> Estate:
    name = f"results-{uuid.uuid4().hex[:8]}"
    root = folder / name
    root.mkdir(parents=True)
    block = LocalFileSystem(basepath=str(root))
    block.save(name)
    return Estate(root, block, f"local-file-system/{name}")


def run(policy: RetentionPolicy, mode: str = "enforce") -> Report:
    """Run the flow and return its report, whatever its final state."""
    state = enforce_retention(policy, mode, return_state=True)
    found = state.result(raise_on_failure=False)
    return found.report if isinstance(found, FindingsFailedError) else found


def rows(path: str, body: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    with get_client(sync_client=True) as client:
        return client.request("POST", path, json={"limit": 200, **(body or {})}).json()


def wait_until_recorded(seconds: float = 30) -> None:
    """Wait until no finished flow run has a task run that the server has not heard the end of."""

    def recorded() -> bool:
        live = {row["id"] for row in rows("/flow_runs/filter") if row["state_type"] not in TERMINAL}
        tasks = rows("/task_runs/filter")
        return all(row["state_type"] in TERMINAL or row["flow_run_id"] in live for row in tasks)

    time.sleep(0.5)
    wait_for(recorded, seconds)


def wait_for(condition: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)


@contextmanager
def in_background(call: Callable[[], Any]) -> Iterator[list[Any]]:
    """Run ``call`` in a thread with the settings of this one; yields a list that its result will be put into."""
    results: list[Any] = []
    context = copy_context()
    thread = threading.Thread(target=lambda: results.append(context.run(call)), daemon=True)
    thread.start()
    yield results
    thread.join(60)
    assert not thread.is_alive()


def statuses(report: Report) -> dict[str, str]:
    return {finding.rule: finding.status.value for finding in report.findings}


def deleted(report: Report) -> Sequence[str]:
    return sorted(change.subject.name for change in report.changes if change.outcome.value == "done")
