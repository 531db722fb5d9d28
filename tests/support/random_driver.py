"""Runs the real flow in processes that are killed after a given time; started by ``support.random_kills``.

It imports everything once and forks a process for each job, as importing Prefect costs more than a rotation. Nothing is
put around the code: the kill comes from outside, wherever the run is by then.

A job is a line of JSON: ``folder`` (of the estate), ``policy``, ``record`` (where the secret's record can be seen),
``kill`` (``["start" | "write", seconds after that]`` or null; the write is the run's first to the record) and
``mutant`` (a name or null). The answer is a line of JSON: ``killed``; ``ran`` and ``wrote``, the seconds from its start
to its end and from its first write to its last; and, if it ended by itself, what its report says.
"""

import json
import os
import signal
import sys
import threading
import time
import traceback
from dataclasses import asdict
from http import HTTPStatus
from http.client import HTTPConnection
from importlib import import_module
from pathlib import Path
from typing import Any

from prefect.plugins import load_prefect_collections
from support.random_mutants import MUTANTS

from blocks.policies.rotation import RotationPolicy
from blocks.rotation_targets.redis_user import RedisUser
from blocks.secret_stores.vault_kv import VaultKvStore
from flows.rotate_secrets import rotate_secrets

BLOCKS = (RedisUser, VaultKvStore)
"""Imported so that Prefect finds them by their slugs."""

LATER = (
    "anyio._backends._asyncio",
    "fastapi.applications",
    "hvac",
    "prefect.concurrency.services",
    "prefect.task_engine",
    "psycopg",
    "redis",
)
"""What a run imports when it comes to it; imported once here, as each forked process would else do it again."""

RESULT = "result.json"
RUN = "run.txt"
LOOK_SECONDS = 0.003


def run(job: dict[str, Any], begun: int) -> None:
    """Run the flow, and write down its report; tell on ``begun`` that Prefect has it running, and its id."""
    folder = Path(job["folder"])
    if job["mutant"]:
        MUTANTS[job["mutant"]]()

    def note(_: object, flow_run: Any, __: object) -> None:
        (folder / RUN).write_text(str(flow_run.id))
        os.write(begun, b".")

    rotates = rotate_secrets.with_options(on_running=[note])
    state = rotates(RotationPolicy(**job["policy"]), "enforce", return_state=True)
    result = state.result(raise_on_failure=False)
    report = getattr(result, "report", result)
    document = {"status": report.status.value, "messages": [f"{f.rule}: {f.message}" for f in report.findings]}
    document["changes"] = [asdict(c)["action"] for c in report.changes]
    (folder / RESULT).write_text(json.dumps(document))


def forked(job: dict[str, Any]) -> dict[str, Any]:
    """Do the job in a child process, and kill that when its time is up."""
    folder = Path(job["folder"])
    for name in (RESULT, RUN):
        (folder / name).unlink(missing_ok=True)
    begun, told = os.pipe()
    child = os.fork()
    if child == 0:
        output = os.open(folder / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        try:
            run(job, told)
        except BaseException:  # noqa: BLE001 - a forked process must not return into its parent's loop
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(0)
    os.close(told)
    os.read(begun, 1)  # returns when the run has begun, or has ended without
    os.close(begun)
    ended = watched(child, Record(**job["record"]), *(job["kill"] or (None, 0.0)))
    result = folder / RESULT
    return ended | (json.loads(result.read_text()) if result.exists() and not ended["killed"] else {})


class Record:
    """The record beside a secret, as somebody sees it who looks all the time whether it was written."""

    def __init__(self, port: int, path: str, token: str) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=20)
        self._path, self._headers = path, {"X-Vault-Token": token}

    def version(self) -> int:
        """Return the version's number, 0 for none."""
        self._connection.request("GET", self._path, headers=self._headers)
        answer = self._connection.getresponse()
        text = answer.read()
        return json.loads(text)["data"]["current_version"] if answer.status == HTTPStatus.OK else 0


def watched(child: int, record: Record, event: str | None, seconds: float) -> dict[str, Any]:
    """Wait for the child, killing it so long after the event; return how it went."""
    start, written = time.monotonic(), []
    known = record.version()
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        now = time.monotonic()
        if ended:
            wrote = written[-1] - written[0] if written else 0.0
            return {"killed": os.WIFSIGNALED(status), "ran": now - start, "wrote": wrote}
        since = start if event == "start" else written[0] if event and written else None
        if since is not None and now >= since + seconds:
            # As the kernel does when memory is short: without a word.
            os.kill(child, signal.SIGKILL)
            event = None
        if event != "start":
            found = record.version()
            written += [now] * (found != known)
            known = found
        time.sleep(LOOK_SECONDS)


def main() -> None:
    """Do the jobs that come in."""
    for name in LATER:
        import_module(name)
    # Prefect imports every collection that is installed when the first block is loaded.
    load_prefect_collections()
    assert threading.active_count() == 1, threading.enumerate()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(forked(json.loads(line))) + "\n")
        sys.stdout.flush()
