"""Scenarios of killed rotations: preparing an estate, driving the flow, telling Prefect what a worker would tell it."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from queue import Queue
from typing import Any
from uuid import UUID

from support.prefect_server import PrefectServer
from support.rotation_consumer import SETTINGS
from support.rotations import Estate, make_estate

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Scenario:
    """One estate, and where the run that rotates it is killed."""

    kind: str
    estate: Estate
    kill: tuple[int, str] | None
    mutant: str | None = None
    half: int = 1

    @property
    def folder(self) -> Path:
        return self.estate.env.parent

    def job(self, *, kill: bool, probe: bool = False) -> dict[str, Any]:
        policy = self.estate.policy(self.estate.secret(self.kind))
        return {
            "folder": str(self.folder),
            "policy": policy.model_dump(mode="json", by_alias=True),
            "kill": list(self.kill) if kill and self.kill else None,
            "probe": probe,
            "mutant": self.mutant,
        }


def prepare(postgres, root: Path, kind: str, name: str, kill=None, mutant=None, half=1) -> Scenario:
    """Make an estate below ``root``, watched by a consumer from now on."""
    estate = make_estate(postgres, root / name, kind)
    settings = {
        "key": "API_TOKEN" if kind == "generated" else "DB_PASSWORD",
        "user_key": "DB_USER" if kind == "alternating" else None,
        "user": estate.roles[0] if estate.roles else None,
        "port": 0 if kind == "generated" else postgres.port,
    }
    (estate.env.parent / "settings.tmp").write_text(json.dumps(settings))
    (estate.env.parent / "settings.tmp").replace(estate.env.parent / SETTINGS)
    return Scenario(kind, estate, kill, mutant, half)


def rotate_without_prefect(scenario: Scenario) -> None:
    """Take the estate to where its new version is confirmed and the old one waits for its retirement."""
    from flows.rotating.loading import Blocks
    from flows.rotating.one_secret import Task, observe, rotate
    from rules.rotation import NORMAL

    policy = scenario.estate.policy(scenario.estate.secret(scenario.kind))
    task = Task(policy.name, datetime.now(UTC), NORMAL, lambda _: None, Blocks())
    outcome = rotate(task, observe(task, policy.entries()[0], closely=False))
    assert outcome.changes[-1].action == "confirm", outcome


class Drivers:
    """Processes that run jobs, as many at a time as there are processes."""

    def __init__(self, server: PrefectServer, count: int) -> None:
        environment = {**server.environment, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "PREFECT_LOGGING_LEVEL": "INFO"}
        command = [sys.executable, "-c", "from support.rotation_driver import main; main()"]
        self._processes = [
            subprocess.Popen(
                command, env=environment, cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for _ in range(count)
        ]
        self._idle: Queue[subprocess.Popen[str]] = Queue()
        for process in self._processes:
            self._idle.put(process)

    def run(self, job: dict[str, Any]) -> dict[str, Any]:
        process = self._idle.get()
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())
        finally:
            self._idle.put(process)

    def stop(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


@contextmanager
def consumer(root: Path, pause: float):
    """A process that uses every estate below ``root`` while in the context."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    command = [sys.executable, "-c", "from support.rotation_consumer import main; main()", str(root), str(pause)]
    process = subprocess.Popen(command, env=environment, cwd="/")
    try:
        yield process
        assert process.poll() is None, "the consumer died"
    finally:
        process.kill()
        process.wait()


def tell_crashed(folder: Path) -> None:
    """Tell Prefect what a worker tells it when the process of a run is gone."""
    from prefect.client.orchestration import get_client
    from prefect.states import Crashed

    with get_client(sync_client=True) as client:
        client.set_flow_run_state(UUID((folder / "run.txt").read_text()), Crashed(), force=True)
