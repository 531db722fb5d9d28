"""What was seen of a workspace and its result stores, before anything is decided. Times are aware UTC."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


class Class(StrEnum):
    """What an object or artifact is, and so what becomes of it; only ``EXPIRED`` and ``ORPHAN`` are condemned."""

    # Enum's own hash is written in Python; this one counts millions of objects.
    __hash__ = str.__hash__

    LIVE = "live"
    RETAINED = "retained"
    EXPIRED = "expired"
    ORPHAN = "orphan"
    DANGLING = "dangling"
    CACHED = "cached"
    HELD = "held"
    FOREIGN = "foreign"
    UNKNOWN = "unknown"


class StoredObject(NamedTuple):
    """One object as a store lists it.

    Attributes:
        key: its key inside the store, ``/`` between parts; bytes that are no UTF-8 are surrogate-escaped.
        size: in bytes.
        modified_ns: when it was last written, in nanoseconds since 1970.
        version: what changes when the object is replaced (an inode, an ETag, a generation).
    """

    key: str
    size: int
    modified_ns: int
    version: str


class Metadata(NamedTuple):
    """What a result with metadata says of itself.

    Attributes:
        storage_key: the key that it was written under.
        expiration: when its cache entry expires, or None if it never does.
    """

    storage_key: str | None
    expiration: datetime | None


class Reference(NamedTuple):
    """That a run's latest state points to an object.

    Attributes:
        run: the id of the run.
        cacheable: whether a task wrote it, so that it may serve as a cache for runs to come.
        expiration: when that cache expires, or None if never.
    """

    run: str
    cacheable: bool
    expiration: datetime | None


class Run(NamedTuple):
    """What must be known of a flow or task run.

    Attributes:
        id: its id.
        flow: the name of its flow, empty if it has none (a background task), None if it could not be told.
        deployment: ``flow/deployment``, empty if it has none, None if it could not be told (it was deleted).
        tags: its tags.
        state: the type of its state, such as ``COMPLETED``; None before the first.
        retries: how often it may be retried in all.
        run_count: how often it has run.
        started: when it first ran, or None.
        ended: when it reached its terminal state, or None.
        owner: the id of the flow run that it is a part of, or None: of a task run its flow run, of a subflow run the
            flow run that called it.
        is_flow: whether it is a flow run.
    """

    id: str
    flow: str | None
    deployment: str | None
    tags: frozenset[str]
    state: str | None
    retries: int
    run_count: int
    started: datetime | None
    ended: datetime | None
    owner: str | None
    is_flow: bool


class Artifact(NamedTuple):
    """One typed artifact. The untyped ones are the results of flow runs and never get this far.

    Attributes:
        id: its id.
        key: its key, or None.
        run: the id of the task run or flow run that made it, or None.
        updated: when it was last written, as the server wrote it.
        age_from: the later of its creation and update.
        size: the characters of its data.
    """

    id: str
    key: str | None
    run: str | None
    updated: str
    age_from: datetime
    size: int


@dataclass(frozen=True, slots=True)
class Mark:
    """Everything in the workspace that could refer to a result, read completely or not at all.

    Attributes:
        started: the instant before the first row was read.
        runs: every flow and task run, by id.
        references: by store, then by key in it, what refers to the object.
        unlocated: the last parts of keys that runs refer to through blocks whose place is not known; an object of such
            a name is never condemned.
        elsewhere: how many references lead outside every declared store, by directory (absolute) or block.
        artifacts: the typed artifacts.
    """

    started: datetime
    runs: Mapping[str, Run]
    references: Mapping[str, Mapping[str, tuple[Reference, ...]]]
    unlocated: frozenset[str]
    elsewhere: Mapping[str, int]
    artifacts: tuple[Artifact, ...]


class Listing(NamedTuple):
    """What one store holds.

    Attributes:
        store: the store's name in the policy.
        exclusive: whether the policy says that only this server writes to it.
        objects: every object in it.
    """

    store: str
    exclusive: bool
    objects: tuple[StoredObject, ...]
