"""The flow that reports who may do what: on a self-hosted server, how the one shared credential is guarded."""

from datetime import UTC, datetime
from typing import Any, Literal

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State

from blocks.access_directories.interface import load_directory
from blocks.policies.access import AccessPolicy
from flows.reporting.publishing import conclude
from rules.access import Access, judge_access
from rules.errors import VigilesError
from rules.findings import Subject
from rules.modes import enforce_not_available
from rules.posture.observations import Unseen

NAME = "report-rbac-drift"

NO_ENFORCEMENT = "A server's settings are not changed through its API, and access is left to those who own it."


@flow(name=NAME, persist_result=False)
def report_rbac_drift(policy: AccessPolicy, mode: Literal["audit", "enforce"] = "audit") -> State[Any]:
    """Report who may do what; on a self-hosted server, how its one credential is guarded.

    Args:
        policy: The access policy: which directory to look into, and which checks are out of reach.
        mode: Audit reports; enforce does the same and says that there is nothing to enforce with.
    """
    now = datetime.now(UTC)
    access = observe_access(policy.directory)
    findings = judge_access(access, policy, now)
    unenforced = enforce_not_available(mode, policy.name, NO_ENFORCEMENT)
    return conclude(NAME, policy, mode, now, [*findings, *unenforced])


@task(name="observe-access", persist_result=False, cache_policy=NO_CACHE)
def observe_access(directory: str) -> Access:
    """Return what a directory shows; what it cannot see is part of that.

    Args:
        directory: the slug of the access directory.
    """
    try:
        return load_directory(directory).observe()
    except VigilesError as error:
        return Access(Subject("directory", directory, directory), Unseen(str(error).rstrip(".")))
