"""Deleting typed artifacts one by one, each only if it is still the one that was read."""

from collections.abc import Sequence
from typing import NamedTuple

from prefect.client.orchestration import SyncPrefectClient

from blocks.estate.marking import artifact_from
from blocks.estate.paging import PAGE, Row, request
from blocks.result_stores.interface import Removed
from rules.errors import PermanentError, VigilesError
from rules.retention.observed import Artifact


class ArtifactRemoval(NamedTuple):
    """The outcome of one deletion.

    Attributes:
        artifact: what was to be deleted, as it was read.
        outcome: ``GONE`` also if it was gone before.
        reason: why it was left; empty if it is gone.
    """

    artifact: Artifact
    outcome: Removed
    reason: str = ""


def delete_artifacts(client: SyncPrefectClient, artifacts: Sequence[Artifact]) -> list[ArtifactRemoval]:
    """Return what became of each artifact; the untyped ones and those that changed are left.

    Args:
        client: a client of the server.
        artifacts: at most a page of them.

    Raises:
        TemporaryError, PermanentError: if they cannot be read again; then none was deleted.
    """
    current = _read(client, artifacts)
    return [_delete(client, artifact, current.get(artifact.id)) for artifact in artifacts]


def _read(client: SyncPrefectClient, artifacts: Sequence[Artifact]) -> dict[str, Row]:
    wanted = {"id": {"any_": [artifact.id for artifact in artifacts]}}
    rows = request(client, "POST", "/artifacts/filter", {"artifacts": wanted, "limit": PAGE})
    return {row["id"]: row for row in rows}


def _delete(client: SyncPrefectClient, artifact: Artifact, row: Row | None) -> ArtifactRemoval:
    if row is None:
        return ArtifactRemoval(artifact, Removed.GONE)
    if row["type"] is None or artifact_from(row) != artifact:
        return ArtifactRemoval(artifact, Removed.CHANGED, "It changed after it was read, so it was left.")
    try:
        request(client, "DELETE", f"/artifacts/{artifact.id}")
    except PermanentError as error:
        # Not found is success: somebody else was faster.
        gone = not _read(client, [artifact])
        return ArtifactRemoval(artifact, *((Removed.GONE, "") if gone else (Removed.FAILED, error.message)))
    except VigilesError as error:
        return ArtifactRemoval(artifact, Removed.FAILED, error.message)
    return ArtifactRemoval(artifact, Removed.GONE)
