"""Acting on a plan: judge it again, delete in batches that do not block one another, and count again."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.utilities.annotations import quote

from blocks.estate.artifact_removal import ArtifactRemoval, delete_artifacts
from blocks.policies.retention import RetentionPolicy
from blocks.result_stores.interface import ObjectStore, Removal, Removed
from flows.exclusion import Lease
from flows.retention.observing import Observation, list_store, mark_again
from rules.errors import TemporaryError
from rules.findings import Change, Finding, Outcome
from rules.retention.observed import Artifact, StoredObject
from rules.retention.planning import CondemnedArtifact, CondemnedObject, Plan, still_condemned
from rules.retention.verdicts import artifact_change, object_change, past_retention, recount

OBJECT_BATCH = 1_000
ARTIFACT_BATCH = 100
BATCH_SECONDS = 15.0
"""The longest that a batch may take; the lease must outlast it."""

_OUTCOMES = {Removed.GONE: Outcome.DONE, Removed.CHANGED: Outcome.SKIPPED, Removed.FAILED: Outcome.FAILED}
_NOT_DONE = "Its batch was not done: its task failed, or the run's lease ran out."
_SPARED = "Something has begun to refer to it since the plan was made, so it was left."
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Deed:
    """What was done about a plan: its changes, and what that leaves to report."""

    changes: tuple[Change, ...]
    findings: tuple[Finding, ...]


def act(plan: Plan, seen: Observation, policy: RetentionPolicy, now: datetime, lease: Lease) -> Deed:
    """Delete the part of the plan that is still condemned, then count again.

    Args:
        plan: what was condemned.
        seen: what it was made from.
        policy: what is wanted.
        now: the one instant of the run.
        lease: what keeps other runs out; no batch begins without it.

    Raises:
        TemporaryError, PermanentError: if the runs could not be read again; then nothing was deleted.
    """
    since = mark_again(policy, quote(seen.workspace), return_state=False)
    left = still_condemned(plan, seen.workspace.mark, since, policy, now, seen.heads)
    removals = _remove_objects(left.objects, seen, lease)
    artifact_removals = _remove_artifacts(left.artifacts, lease)
    changes = [
        *_spared(plan, left, now),
        *(object_change(c, now, _OUTCOMES[r.outcome], r.reason) for c, r in removals),
        *(artifact_change(c, now, _OUTCOMES[r.outcome], r.reason) for c, r in artifact_removals),
    ]
    remaining = Plan(
        objects=tuple(c for c, r in removals if r.outcome is Removed.FAILED),
        artifacts=tuple(c for c, r in artifact_removals if r.outcome is Removed.FAILED),
        tallies=plan.tallies,
        artifact_counts=plan.artifact_counts,
        missing=(),
    )
    gone = [c for c, r in removals if r.outcome is Removed.GONE]
    return Deed(tuple(changes), (*past_retention(plan, remaining), *_count_again(gone, seen)))


@task(persist_result=False, cache_policy=NO_CACHE)
def delete_objects(store: ObjectStore, objects: Sequence[StoredObject]) -> list[Removal]:
    """Delete one batch of objects, each only if it is still the one that was listed."""
    return list(store.delete(objects))


@task(persist_result=False, cache_policy=NO_CACHE)
def delete_artifact_batch(artifacts: Sequence[Artifact]) -> list[ArtifactRemoval]:
    """Delete one batch of typed artifacts, each only if it is still the one that was read."""
    with get_client(sync_client=True) as client:
        return delete_artifacts(client, artifacts)


def _remove_objects(
    condemned: Sequence[CondemnedObject], seen: Observation, lease: Lease
) -> list[tuple[CondemnedObject, Removal]]:
    done = []
    for opened in seen.workspace.stores:
        mine = {c.object: c for c in condemned if c.store == opened.store.name}
        for batch in _batches(list(mine), OBJECT_BATCH):
            state = delete_objects(opened.store, quote(batch), return_state=True) if _outlasts(lease) else None
            undone = [Removal(listed, Removed.FAILED, _NOT_DONE) for listed in batch]
            removals = state.result() if state and state.is_completed() else undone
            done += [(mine[removal.object], removal) for removal in removals]
    return done


def _remove_artifacts(
    condemned: Sequence[CondemnedArtifact], lease: Lease
) -> list[tuple[CondemnedArtifact, ArtifactRemoval]]:
    mine = {c.artifact: c for c in condemned}
    done = []
    for batch in _batches(list(mine), ARTIFACT_BATCH):
        state = delete_artifact_batch(quote(batch), return_state=True) if _outlasts(lease) else None
        undone = [ArtifactRemoval(artifact, Removed.FAILED, _NOT_DONE) for artifact in batch]
        removals = state.result() if state and state.is_completed() else undone
        done += [(mine[removal.artifact], removal) for removal in removals]
    return done


def _outlasts(lease: Lease) -> bool:
    try:
        lease.check(BATCH_SECONDS)
    except TemporaryError:
        return False
    return True


def _batches(items: Sequence[_T], size: int) -> Iterable[Sequence[_T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _spared(plan: Plan, left: Plan, now: datetime) -> list[Change]:
    objects, artifacts = set(left.objects), set(left.artifacts)
    return [
        *(object_change(c, now, Outcome.SKIPPED, _SPARED) for c in plan.objects if c not in objects),
        *(artifact_change(c, now, Outcome.SKIPPED, _SPARED) for c in plan.artifacts if c not in artifacts),
    ]


def _count_again(gone: Sequence[CondemnedObject], seen: Observation) -> list[Finding]:
    survivors = {}
    for opened in seen.workspace.stores:
        deleted = {c.object for c in gone if c.store == opened.store.name}
        if deleted:
            survivors[opened.store.name] = [o.key for o in list_store(opened, referred_to=True).objects if o in deleted]
    return recount(survivors)
