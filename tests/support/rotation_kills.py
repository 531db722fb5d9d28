"""Scenarios of killed rotations: preparing an estate, driving the flow, telling Prefect what a worker would tell it."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from support.flow_drivers import RUN
from support.rotation_consumer import SETTINGS
from support.rotations import Estate, make_estate


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


def tell_crashed(folder: Path) -> None:
    """Tell Prefect what a worker tells it when the process of a run is gone."""
    from prefect.client.orchestration import get_client
    from prefect.states import Crashed

    with get_client(sync_client=True) as client:
        client.set_flow_run_state(UUID((folder / RUN).read_text()), Crashed(), force=True)
