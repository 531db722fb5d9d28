"""Deploying for real: Prefect's own command deploys, then the run form is made to pre-select each policy."""

import subprocess
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client

from blocks.estate.paging import read_all, request
from flows.deploying.checking import flow_name, problems
from flows.deploying.reading import Deployment, reference
from rules.errors import BadInputError, PermanentError


def check_deployments(deployments: Collection[Deployment], publishing: Collection[str]) -> None:
    """Check all deployments against the server, changing nothing.

    Args:
        deployments: what is to be deployed.
        publishing: slugs of the policy blocks that are about to be published.

    Raises:
        BadInputError: naming every problem at once.
        TemporaryError: if the server does not answer.
    """
    with get_client(sync_client=True) as client:
        pools = {row["name"] for row in read_all(client, "/work_pools/filter")}
        found = list(
            problems(deployments, pools, lambda slug: slug in publishing or _document(client, slug) is not None)
        )
    if found:
        raise BadInputError("Nothing was deployed:\n  " + "\n  ".join(found))


@dataclass(frozen=True, slots=True)
class Deployed:
    """What a deployment is like after deploying.

    Attributes:
        name: its full name, as ``flow/deployment``.
        mode: the mode that its runs have by default.
        switched_on: the slugs of its schedules that are switched on.
    """

    name: str
    mode: str
    switched_on: tuple[str, ...]

    def __str__(self) -> str:
        schedules = f"scheduled ({', '.join(self.switched_on)})" if self.switched_on else "its schedule is switched off"
        return f"deployed {self.name}: mode {self.mode}, {schedules}"


def deploy(path: Path, deployments: Collection[Deployment]) -> list[Deployed]:
    """Deploy a checked ``prefect.yaml`` and return what each deployment is like now.

    A schedule that is on the server already stays switched on or off as it is there, also where deploying fails
    halfway; a new one is as the file says.

    Raises:
        PermanentError: if Prefect's own command fails; the message says which deployments were changed.
        TemporaryError: if the server does not answer.
    """
    names = {f"{flow_name(deployment)}/{deployment.name}": deployment for deployment in deployments}
    with get_client(sync_client=True) as client:
        before = {name: _deployment(client, name) for name in names}
        try:
            _prefect_deploy(path)
        except PermanentError as error:
            _finish(client, names, before)
            changed = [n for n in names if _stamp(_deployment(client, n)) != _stamp(before[n])]
            done = f"Changed before that: {', '.join(changed) or 'nothing'}."
            raise PermanentError(f"{error.message} {done}", error.advice) from None
        return _finish(client, names, before)


def _prefect_deploy(path: Path) -> None:
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", path.name]
    done = subprocess.run(command, cwd=path.resolve().parent, capture_output=True, text=True, check=False)  # noqa: S603 - our own interpreter
    if done.returncode:
        # Its output is left out: it holds the server's answer, which may echo what was sent.
        advice = f"See why: prefect --no-prompt deploy --all --prefect-file {path.name}"
        raise PermanentError(f"Prefect's own deploy command failed with exit code {done.returncode}.", advice)


def _finish(
    client: SyncPrefectClient, names: Mapping[str, Deployment], before: Mapping[str, dict[str, Any] | None]
) -> list[Deployed]:
    finished = []
    for name, deployment in names.items():
        row = _deployment(client, name)
        if row is not None:
            _keep_switched(client, row, before[name])
            _preselect(client, row, deployment)
            finished.append(_deployed(client, name))
    return finished


def _deployed(client: SyncPrefectClient, name: str) -> Deployed:
    row = _deployment(client, name) or {"parameters": {}, "schedules": []}
    on = tuple(str(s.get("slug")) for s in row["schedules"] if s["active"])
    return Deployed(name, str(row["parameters"].get("mode", "audit")), on)


def _deployment(client: SyncPrefectClient, name: str) -> dict[str, Any] | None:
    flow, _, deployment = name.partition("/")
    body = {"flows": {"name": {"any_": [flow]}}, "deployments": {"name": {"any_": [deployment]}}}
    return next((dict(row) for row in read_all(client, "/deployments/filter", body)), None)


def _stamp(row: Mapping[str, Any] | None) -> object:
    return row and (row["updated"], row["parameters"])


def _keep_switched(client: SyncPrefectClient, row: Mapping[str, Any], before: Mapping[str, Any] | None) -> None:
    switched = {s["slug"]: s["active"] for s in before["schedules"] if s.get("slug")} if before else {}
    for schedule in row["schedules"]:
        wanted = switched.get(schedule.get("slug"), schedule["active"])
        if wanted != schedule["active"]:
            place = f"/deployments/{row['id']}/schedules/{schedule['id']}"
            request(client, "PATCH", place, {"active": wanted})


def _preselect(client: SyncPrefectClient, row: Mapping[str, Any], deployment: Deployment) -> None:
    # The run form pre-selects a block only by its id; prefect.yaml can only name it by its slug.
    parameters = dict(row["parameters"])
    for parameter, value in deployment.parameters.items():
        slug = reference(value)
        document = _document(client, slug) if slug else None
        if document is not None:
            parameters[parameter] = {"$ref": {"block_document_id": document["id"]}}
    request(client, "PATCH", f"/deployments/{row['id']}", {"parameters": parameters})


def _document(client: SyncPrefectClient, slug: str) -> dict[str, Any] | None:
    block_type, _, name = slug.partition("/")
    body = {
        "block_types": {"slug": {"any_": [block_type]}},
        "block_documents": {"name": {"any_": [name]}, "is_anonymous": {"eq_": False}},
        "include_secrets": False,
    }
    return next((dict(row) for row in read_all(client, "/block_documents/filter", body)), None)
