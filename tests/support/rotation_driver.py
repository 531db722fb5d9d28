"""Runs the real flow in processes that can be killed at any call; started by ``support.rotation_kills``.

It imports everything once and forks a process for each job, as importing Prefect costs more than a rotation. Failpoints
are put around the blocks' own functions from here: shipped code knows nothing of them.

A job is a line of JSON: ``folder`` (of the estate), ``policy``, ``kill`` (``[call, "before" | "after"]`` or null),
``probe`` (whether to look as a consumer at every call) and ``mutant`` (a name or null). The answer is a line of JSON:
``signal`` that ended it, ``status`` of the report, ``messages`` of its findings.
"""

import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from support import rotation_mutants
from support.rotation_consumer import CALLS, look, write_down

from blocks.policies.rotation import RotationPolicy
from blocks.rotation_targets.postgres_role import PostgresRole
from blocks.secret_stores import env_disk
from flows.rotate_secrets import rotate_secrets

RESULT = "result.json"
RUN = "run.txt"


class Failpoints:
    """Counts every write of the store and every call of the target; kills this process at one of them."""

    def __init__(self, folder: Path, kill: tuple[int, str] | None, *, probe: bool) -> None:
        self.folder = folder
        self.kill = kill
        self.probe = probe
        self.count = 0

    def around(self, name: Callable[..., str], function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            number = self.count
            self.reach(number, "before", name(*args))
            result = function(*args, **kwargs)
            self.reach(number, "after", name(*args))
            return result

        return called

    def reach(self, number: int, side: str, name: str) -> None:
        from prefect.runtime import flow_run

        (self.folder / RUN).write_text(str(flow_run.id))
        row = {"number": number, "side": side, "name": name, "at": time.time(), "pid": os.getpid()}
        with (self.folder / CALLS).open("a") as file:
            file.write(json.dumps(row) + "\n")
        if self.probe:
            write_down(self.folder, look(self.folder))
        if self.kill == (number, side):
            os.kill(os.getpid(), signal.SIGKILL)

    def install(self) -> None:
        env_disk.replace = self.around(lambda path, _: f"write {Path(path).name}", env_disk.replace)
        for method in ("apply", "authenticates", "retire"):
            setattr(PostgresRole, method, self.around(lambda *_, m=method: m, getattr(PostgresRole, method)))


def run(job: dict[str, Any]) -> None:
    folder = Path(job["folder"])
    kill = (job["kill"][0], job["kill"][1]) if job["kill"] else None
    if job["mutant"]:
        rotation_mutants.install(job["mutant"])
    Failpoints(folder, kill, probe=job["probe"]).install()
    state = rotate_secrets(RotationPolicy(**job["policy"]), "enforce", return_state=True)
    result = state.result(raise_on_failure=False)
    report = getattr(result, "report", result)
    document = {"status": report.status.value, "messages": [f"{f.rule}: {f.message}" for f in report.findings]}
    document["changes"] = [asdict(c)["action"] for c in report.changes]
    (folder / RESULT).write_text(json.dumps(document))


def forked(job: dict[str, Any]) -> dict[str, Any]:
    folder = Path(job["folder"])
    (folder / RESULT).unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        output = os.open(folder / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        try:
            run(job)
        except BaseException:  # noqa: BLE001 - a forked process must not return into its parent's loop
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    ended = {"signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0}
    result = folder / RESULT
    return ended | (json.loads(result.read_text()) if result.exists() else {})


def main() -> None:
    # A fork copies one thread only: what Prefect would start must not run yet.
    assert threading.active_count() == 1, threading.enumerate()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(forked(json.loads(line))) + "\n")
        sys.stdout.flush()
