"""Observing for retention: the mark first, then every store, then the first bytes of what metadata decides."""

import gc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.utilities.annotations import quote

from blocks.estate.marking import read_mark, read_since
from blocks.policies.retention import RetentionPolicy
from blocks.result_stores.interface import ObjectStore, StorageBlock
from blocks.result_stores.opening import ClosedStore, OpenStore, open_stores, read_storage_blocks
from rules.retention.judging import Judge
from rules.retention.observed import Listing, Mark, Metadata, StoredObject
from rules.retention.planning import Heads, Survey, survey

METADATA_BATCH = 20_000
"""How many objects one task reads the first bytes of."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """What the API says.

    Attributes:
        stores: the stores that can be listed.
        closed: the stores of the policy that cannot.
        blocks: every block document by id.
        mark: everything that could refer to a result.
    """

    stores: tuple[OpenStore, ...]
    closed: tuple[ClosedStore, ...]
    blocks: Mapping[str, StorageBlock]
    mark: Mark


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything that the plan is made from.

    Attributes:
        workspace: what the API says.
        surveys: what a first look at each store settled.
        heads: the metadata of the rest.
    """

    workspace: Workspace
    surveys: tuple[Survey, ...]
    heads: Heads


def observe(policy: RetentionPolicy, now: datetime) -> Observation:
    """Return what is there, complete.

    Raises:
        TemporaryError, PermanentError: if anything could not be read; then nothing may be concluded.
    """
    workspace = mark_workspace(policy, now)
    judge = Judge(workspace.mark, policy, now)
    mark = workspace.mark
    surveys = [survey(judge, mark, list_store(each, each.store.name in mark.references)) for each in workspace.stores]
    heads = {
        each.store.name: _read_heads(each.store, seen.pending)
        for each, seen in zip(workspace.stores, surveys, strict=True)
    }
    return Observation(workspace, tuple(surveys), heads)


@task(persist_result=False, cache_policy=NO_CACHE)
def mark_workspace(policy: RetentionPolicy, now: datetime) -> Workspace:
    """Read every run, what it refers to, and the typed artifacts."""
    with get_client(sync_client=True) as client:
        blocks = read_storage_blocks(client)
        opened, closed = open_stores(client, policy.stores, blocks)
        mark = read_mark(client, [each.store for each in opened], blocks, now)
    # The mark is large and lives until the end: looking through it for cycles again and again doubles some steps.
    gc.freeze()
    return Workspace(tuple(opened), tuple(closed), blocks, mark)


@task(persist_result=False, cache_policy=NO_CACHE)
def mark_again(policy: RetentionPolicy, workspace: Workspace) -> Mark:
    """Read again the runs that began or ended since the mark, and those that live."""
    stores = [each.store for each in workspace.stores]
    since = workspace.mark.started - policy.grace
    with get_client(sync_client=True) as client:
        return read_since(client, stores, workspace.blocks, workspace.mark, since)


@task(persist_result=False, cache_policy=NO_CACHE)
def list_store(opened: OpenStore, referred_to: bool) -> Listing:
    """List one store, without reading any object; one that is not there and that no run refers to is empty."""
    store = opened.store
    if not referred_to and not store.is_there():
        return Listing(store.name, opened.exclusive, ())
    objects = (listed for shard in store.shards() for listed in store.list_objects(shard))
    return Listing(store.name, opened.exclusive, tuple(objects))


@task(persist_result=False, cache_policy=NO_CACHE)
def read_metadata(store: ObjectStore, objects: Sequence[StoredObject]) -> dict[str, Metadata | None]:
    """Read the metadata of some objects from their first bytes."""
    return dict(store.read_metadata(objects))


def _read_heads(store: ObjectStore, pending: Sequence[StoredObject]) -> dict[str, Metadata | None]:
    heads: dict[str, Metadata | None] = {}
    for start in range(0, len(pending), METADATA_BATCH):
        heads |= read_metadata(store, quote(pending[start : start + METADATA_BATCH]))
    return heads
