"""What rotations cost: calls and connections of one, time of many at once, memory of very many.

* One rotation of a database user whose password is in Secrets Manager as JSON, from its schedule to its end, with a
  real PostgreSQL server and a strict simulator of Secrets Manager. Its peer is AWS's own single-user rotation function
  for PostgreSQL, which makes 14 calls of Secrets Manager and 3 connections for the same, by a count of its source
  (aws-samples/aws-secrets-manager-rotation-lambdas): four invocations that each begin with DescribeSecret.
* 500 secrets in a simulated store whose every call takes 20 ms. The floor is latency x calls / concurrency; the peers
  are one secret after the other, and one Prefect task for each secret.
* The peak memory of a process that rotates 5,000 secrets, against one that rotates 500.

    python benchmarks/rotation.py [--rounds N] [--secrets N] [--json FILE]
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support import postgres as postgres_server  # noqa: E402 - found through the line above
from support import prefect_server  # noqa: E402
from support.memory_store import MemoryStore  # noqa: E402
from support.stores.aws_secrets_manager import SimulatedSecretsManager  # noqa: E402
from support.stores.interface import intercept  # noqa: E402

from blocks.policies.rotation import SecretEntry  # noqa: E402
from blocks.rotation_targets.postgres_session import Server  # noqa: E402
from blocks.secret_stores.interface import Quota  # noqa: E402
from flows import rotate_secrets as rotating  # noqa: E402
from flows.rotating.loading import Blocks  # noqa: E402
from flows.rotating.one_secret import Task  # noqa: E402
from rules.rotation import NORMAL  # noqa: E402

LATENCY = 0.02
CONCURRENCY = 32
PEER_CALLS, PEER_CONNECTIONS = 14, 3
GOAL_CALLS, GOAL_CONNECTIONS = 9, 4
GOAL_FLOOR, GOAL_MEMORY = 1.3, 1.2
SLOW = "memory-store/slow"


class SlowStore(MemoryStore):
    """A store that bears 32 secrets at a time.

    Example:
        ```python
        from benchmarks.rotation import SlowStore

        slow_store = SlowStore.load("BLOCK_NAME")
        ```
    """

    _block_type_slug = "slow-store"
    quota = Quota("none", None, writes=5, concurrency=CONCURRENCY)


class Counted:
    """Counts the calls of a store, each of which takes a while."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.calls: list[str] = []
        self._seconds = seconds

    def act(self, operation: str, request: Callable[[], Any]) -> Any:
        """Make one call."""
        self.calls.append(operation)
        if self._seconds:
            time.sleep(self._seconds)
        return request()


@contextmanager
def counted_connections() -> Iterator[list[str]]:
    """Count the connections to PostgreSQL while in the context."""
    made: list[str] = []
    connect = Server.connect

    def counting(server: Server, login: Any) -> Any:
        made.append(login.role)
        return connect(server, login)

    Server.connect = counting  # type: ignore[method-assign]
    try:
        yield made
    finally:
        Server.connect = connect  # type: ignore[method-assign]


def prepared(store: Any, target: Any, now: datetime) -> Task:
    """Return what the secrets of a run share, with these blocks in the place of those that Prefect would load."""
    blocks = Blocks()
    blocks._loaded = {SLOW: store} | ({"postgres-role/db": target} if target else {})
    return Task("benchmark", now, NORMAL, lambda _: None, blocks)


def one_rotation(server: Any) -> tuple[list[str], list[str]]:
    """Return the calls and the connections of the second rotation of a database user, the first having been tried."""
    from prefect import flow
    from prefect.blocks.system import Secret

    from blocks.rotation_targets.postgres_role import PostgresRole

    Secret(value=server.admin_password).save("benchmark-admin", overwrite=True)
    (role,) = server.new_roles(1)
    target = PostgresRole(
        host=server.host,
        port=server.port,
        roles=[role],
        admin_user=server.admin,
        admin_secret="secret/benchmark-admin",
    )
    backend = SimulatedSecretsManager()
    address = backend.address(pair=True)
    keys = {"username": address.username, "password": address.password}
    secret = SecretEntry(
        name="db", store=SLOW, path=address.secret, keys=keys, target="postgres-role/db", every="30d", grace="1h"
    )
    backend.put(address, role, f"first-{role}")

    @flow(name="benchmark", persist_result=False)
    def rotation(now: datetime) -> tuple[list[str], list[str]]:
        counter, store = Counted(), backend.make()
        task = prepared(intercept(store, counter.act), target, now)
        with counted_connections() as connections:
            (seen,) = rotating.observe_secrets.fn(task, [secret], closely=False)
            (outcome,) = rotating.rotate_batch.fn(task, [seen])
        assert [c.action for c in outcome.changes][-1] == "confirm", outcome
        return counter.calls, connections

    rotation(datetime.now(UTC))
    return rotation(datetime.now(UTC) + timedelta(days=40))


def many(count: int, latency: float, *, apart: str = "batched") -> tuple[float, int]:
    """Rotate many secrets inside a flow run; return the seconds of its tasks, and the calls that they made.

    Args:
        count: of secrets.
        latency: of each call, in seconds.
        apart: ``batched`` as the flow does, ``tasks`` for a task a secret, ``one by one``.
    """
    from prefect import flow

    counter, store = Counted(latency), SlowStore(label="benchmark")
    intercept(store, counter.act)
    entries = [SecretEntry(name=f"s{n}", store=SLOW, path=f"k{n}", every="30d", grace="1h") for n in range(count)]
    for entry in entries:
        store.put(entry.address, None, "first")
    task = prepared(store, None, datetime.now(UTC))
    size = {"batched": rotating.BATCH, "one by one": 1, "tasks": 1}[apart]

    @flow(name="benchmark", persist_result=False)
    def rotations() -> float:
        began = time.perf_counter()
        batches = [entries[start : start + size] for start in range(0, count, size)]
        if apart == "one by one":
            seen = [s for some in batches for s in rotating.observe_secrets.fn(task, some, closely=False)]
            for one in seen:
                rotating.rotate_batch.fn(task, [one])
        elif apart == "tasks":
            looked = [rotating.observe_secrets.submit(task, some, closely=False) for some in batches]
            done = [rotating.rotate_batch.submit(task, look) for look in looked]
            _ = [future.result() for future in done]
        else:
            opaque = rotating._opaque
            seen = [s for b in batches for s in rotating.observe_secrets(opaque(task), opaque(b), closely=False)]
            for start in range(0, count, size):
                rotating.rotate_batch(opaque(task), opaque(seen[start : start + size]))
        return time.perf_counter() - began

    return rotations(), len(counter.calls)


def row(
    case: str, subject: str, unit: str, value: float, ratio: float, goal: float | None, *, met: bool | None
) -> dict:
    """Return one row of the table."""
    return {
        "case": case, "subject": subject, "unit": unit, "value": round(value, 3), "ratio": round(ratio, 2),
        "goal": goal, "met": met,
    }  # fmt: skip


def counts(calls: list[str], connections: list[str]) -> list[dict]:
    """Return the rows of one rotation."""
    case = "one rotation of a database user"
    made, opened = len(calls), len(connections)
    return [
        row(case, "AWS function", "calls", PEER_CALLS, 1, None, met=None),
        row(case, "rotate_secrets", "calls", made, made / PEER_CALLS, GOAL_CALLS, met=made <= GOAL_CALLS),
        row(case, "AWS function", "connections", PEER_CONNECTIONS, 1, None, met=None),
        row(case, "rotate_secrets", "connections", opened, opened / PEER_CONNECTIONS, GOAL_CONNECTIONS,
            met=opened <= GOAL_CONNECTIONS),
    ]  # fmt: skip


def times(count: int, rounds: int) -> list[dict]:
    """Return the rows of many rotations: medians over the rounds, every subject in every round."""
    subjects = {"rotate_secrets": "batched", "a task a secret": "tasks"}
    seconds: dict[str, list[float]] = {subject: [] for subject in subjects}
    floors = []
    for _ in range(rounds):
        for subject, apart in subjects.items():
            taken, calls = many(count, LATENCY, apart=apart)
            seconds[subject].append(taken)
            floors.append(LATENCY * calls / CONCURRENCY)
    # One after the other takes calls x latency by itself; a tenth of the secrets tell it.
    serial = many(max(1, count // 10), LATENCY, apart="one by one")[0] * 10
    floor, case = statistics.median(floors), f"{count} secrets, 20 ms a call"
    rows = [row(case, f"floor, {CONCURRENCY} at a time", "s", floor, 1, None, met=None)]
    for subject, taken in seconds.items():
        value = statistics.median(taken)
        goal = GOAL_FLOOR if subject == "rotate_secrets" else None
        rows.append(
            row(case, subject, "s", value, value / floor, goal, met=value <= GOAL_FLOOR * floor if goal else None)
        )
    return [*rows, row(case, "one by one (of a tenth)", "s", serial, serial / floor, None, met=None)]


def memory(rounds: int) -> list[dict]:
    """Return the rows of peak memory: a process of its own for each count."""
    peaks: dict[int, list[int]] = {500: [], 5000: []}
    for _ in range(rounds):
        for count, taken in peaks.items():
            command = [sys.executable, str(Path(__file__).resolve()), "--peak", str(count)]
            said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            taken.append(int(said.splitlines()[-1]))
    few, lots = statistics.median(peaks[500]), statistics.median(peaks[5000])
    return [
        row("peak memory", "500 secrets", "MiB", few / 1024, 1, None, met=None),
        row("peak memory", "5000 secrets", "MiB", lots / 1024, lots / few, GOAL_MEMORY, met=lots <= GOAL_MEMORY * few),
    ]


def main() -> int:
    """Measure, print the table, write the rows; exit 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--secrets", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        many(options.peak, 0.0)
        print(peak())
        return 0
    rows = measure(options.secrets, options.rounds)
    for one in rows:
        met = {None: "", True: "met", False: "missed"}[one["met"]]
        subject, value = f"{one['case']:<32} {one['subject']:<26}", f"{one['value']:>9.3f} {one['unit']:<12}"
        print(f"{subject} {value} {one['ratio']:>6.2f} x {met}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
    return 0 if all(one["met"] is not False for one in rows) else 1


def peak() -> int:
    """Return the most memory that this process had, in KiB; what ``getrusage`` says is inherited from the parent."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def measure(count: int, rounds: int) -> list[dict]:
    """Start the servers, measure everything, and return the rows."""
    import os

    from prefect.settings import PREFECT_API_URL, temporary_settings

    with tempfile.TemporaryDirectory() as folder, postgres_server.running() as database:
        migrated = Path(folder) / "migrated" / "prefect.db"
        prefect_server.migrate(migrated)
        server = prefect_server.start(Path(folder) / "server", migrated)
        # For the processes that measure memory.
        os.environ.update({"PREFECT_API_URL": server.url, "PREFECT_HOME": str(Path(folder) / "client")})
        os.environ.update({"PREFECT_LOGGING_LEVEL": "WARNING"})
        try:
            with temporary_settings(updates={PREFECT_API_URL: server.url}):
                found = [*counts(*one_rotation(database)), *times(count, rounds)]
                prefect_server.drain()
            return [*found, *memory(rounds)]
        finally:
            prefect_server.stop(server.pid)


if __name__ == "__main__":
    sys.exit(main())
