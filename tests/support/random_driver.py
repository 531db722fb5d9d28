"""Runs the real flow in processes that are killed after a given time; started by ``support.random_kills``.

Nothing is put around the code: the kill comes from outside, wherever the run is by then.

A job is a line of JSON: ``folder`` (of the estate), ``policy``, ``record`` (where the secret's record can be seen),
``kill`` (``["start" | "write", seconds after that]`` or null; the write is the run's first to the record) and
``mutant`` (a name or null). The answer is a line of JSON: ``killed``; ``ran`` and ``wrote``, the seconds from its start
to its end and from its first write to its last; and, if it ended by itself, what its report says.
"""

import json
import os
import signal
import time
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from support.flow_drivers import RUN, in_child, reported, rotate, serve
from support.random_mutants import MUTANTS

from blocks.rotation_targets.redis_user import RedisUser
from blocks.secret_stores.vault_kv import VaultKvStore

BLOCKS = (RedisUser, VaultKvStore)
"""Imported so that Prefect finds them by their slugs."""

LOOK_SECONDS = 0.003


def run(job: dict[str, Any], begun: int) -> None:
    """Run the flow; tell on ``begun`` that Prefect has it running, and write down its id."""
    if job["mutant"]:
        MUTANTS[job["mutant"]]()

    def note(_: object, flow_run: Any, __: object) -> None:
        (Path(job["folder"]) / RUN).write_text(str(flow_run.id))
        os.write(begun, b".")

    rotate(job, on_running=[note])


def forked(job: dict[str, Any]) -> dict[str, Any]:
    """Do the job in a child process, and kill that when its time is up."""
    folder = Path(job["folder"])
    begun, told = os.pipe()
    child = in_child(folder, lambda: run(job, told))
    os.close(told)
    os.read(begun, 1)  # returns when the run has begun, or has ended without
    os.close(begun)
    ended = watched(child, Record(**job["record"]), *(job["kill"] or (None, 0.0)))
    return ended | ({} if ended["killed"] else reported(folder))


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
    serve(forked)
