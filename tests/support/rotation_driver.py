"""Runs the real flow in processes that can be killed at any call; started by ``support.rotation_kills``.

Failpoints are put around the blocks' own functions from here: shipped code knows nothing of them.

A job is a line of JSON: ``folder`` (of the estate), ``policy``, ``kill`` (``[call, "before" | "after"]`` or null),
``probe`` (whether to look as a consumer at every call) and ``mutant`` (a name or null). The answer is a line of JSON:
``signal`` that ended it, ``status`` of the report, ``messages`` of its findings.
"""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support import rotation_mutants
from support.flow_drivers import RUN, in_child, reported, rotate, serve
from support.rotation_consumer import CALLS, look, write_down

from blocks.rotation_targets.postgres_role import PostgresRole
from blocks.secret_stores.env import env_disk


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
    kill = (job["kill"][0], job["kill"][1]) if job["kill"] else None
    if job["mutant"]:
        rotation_mutants.install(job["mutant"])
    Failpoints(Path(job["folder"]), kill, probe=job["probe"]).install()
    rotate(job)


def forked(job: dict[str, Any]) -> dict[str, Any]:
    folder = Path(job["folder"])
    _, status = os.waitpid(in_child(folder, lambda: run(job)), 0)
    return {"signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0} | reported(folder)


def main() -> None:
    serve(forked)
