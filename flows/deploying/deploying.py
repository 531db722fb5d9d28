"""Deploying for real: Prefect's own command deploys, then the run form is made to pre-select each policy."""

import subprocess
import sys
from collections.abc import Collection
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


def deploy(path: Path, deployments: Collection[Deployment]) -> list[str]:
    """Deploy a checked ``prefect.yaml`` and return the full name of each deployment.

    A schedule that was switched on stays on.

    Raises:
        PermanentError: if Prefect's own command fails.
        TemporaryError: if the server does not answer.
    """
    names = [f"{flow_name(deployment)}/{deployment.name}" for deployment in deployments]
    with get_client(sync_client=True) as client:
        switched_on = {name: _active_schedules(client, name) for name in names}
        _prefect_deploy(path)
        for name, deployment in zip(names, deployments, strict=True):
            _preselect(client, name, deployment)
            _switch_on(client, name, switched_on[name])
    return names


def _prefect_deploy(path: Path) -> None:
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", path.name]
    done = subprocess.run(command, cwd=path.resolve().parent, capture_output=True, text=True, check=False)  # noqa: S603 - our own interpreter
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-5:])
        raise PermanentError(f"prefect deploy failed:\n{tail}", "What it deployed before that stays deployed.")


def _deployment(client: SyncPrefectClient, name: str) -> dict[str, Any] | None:
    flow, _, deployment = name.partition("/")
    body = {"flows": {"name": {"any_": [flow]}}, "deployments": {"name": {"any_": [deployment]}}}
    return next((dict(row) for row in read_all(client, "/deployments/filter", body)), None)


def _active_schedules(client: SyncPrefectClient, name: str) -> set[str]:
    row = _deployment(client, name)
    return {s["slug"] for s in row["schedules"] if s["active"] and s.get("slug")} if row else set()


def _switch_on(client: SyncPrefectClient, name: str, slugs: Collection[str]) -> None:
    row = _deployment(client, name)
    for schedule in row["schedules"] if row else ():
        if schedule.get("slug") in slugs and not schedule["active"]:
            place = f"/deployments/{row['id']}/schedules/{schedule['id']}" if row else ""
            request(client, "PATCH", place, {"active": True})


def _preselect(client: SyncPrefectClient, name: str, deployment: Deployment) -> None:
    # The run form pre-selects a block only by its id; prefect.yaml can only name it by its slug.
    row = _deployment(client, name)
    if row is None:
        raise PermanentError(f"{name} is not on the server after deploying.", "Deploy again and look at its output.")
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
