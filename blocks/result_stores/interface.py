"""What every result store can do. A new backend is one more implementation; the rules and the flow stay as they are."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from rules.errors import PermanentError
from rules.retention.observed import Metadata, StoredObject


class StoreUnsupportedError(PermanentError):
    """The policy names a store that this version cannot prune, or that does not exist."""


class StoreUnreadableError(PermanentError):
    """A store, or a part of it, could not be listed, so that nothing may be concluded from it."""


@dataclass(frozen=True, slots=True)
class StorageBlock:
    """A block document that may hold results, as the API lists it, without its secrets.

    Attributes:
        id: the id that references carry.
        slug: ``type-slug/name``.
        fields: its public fields.
    """

    id: str
    slug: str
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def type_slug(self) -> str:
        """The slug of its type."""
        return self.slug.partition("/")[0]


class Removed(StrEnum):
    """What became of one object that was to be deleted."""

    GONE = "gone"
    CHANGED = "changed"
    FAILED = "failed"


class Removal(NamedTuple):
    """The outcome of one deletion.

    Attributes:
        object: what was to be deleted, as it was listed.
        outcome: ``GONE`` also if it was gone before.
        reason: why it was left, without any of its content; empty if it is gone.
    """

    object: StoredObject
    outcome: Removed
    reason: str = ""


class ObjectStore(ABC):
    """One place that results lie in.

    Attributes:
        name: what the policy calls it.
    """

    name: str

    @abstractmethod
    def locate(self, storage_key: str, block: StorageBlock | None) -> str | None:
        """Return the key in this store that a reference means, or None if it leads elsewhere.

        Args:
            storage_key: the key in the state's data.
            block: the block it names, or None if it names none.
        """

    @abstractmethod
    def overlaps(self, other: "ObjectStore") -> bool:
        """Return whether an object can lie in both stores."""

    @abstractmethod
    def is_there(self) -> bool:
        """Return whether the store exists here; one that nothing was persisted to yet may not."""

    def shards(self) -> Sequence[str]:
        """Return the parts that can be listed independently; together they are the whole store."""
        return ("",)

    @abstractmethod
    def list_objects(self, shard: str = "") -> Iterator[StoredObject]:
        """Yield every object of a shard, without reading any.

        Raises:
            StoreUnreadableError: if any part could not be listed.
        """

    @abstractmethod
    def read_metadata(self, objects: Iterable[StoredObject]) -> Iterator[tuple[str, Metadata | None]]:
        """Yield, for each object that can be read, its key and its metadata; None if it carries none.

        Nothing is ever unpickled: only the first bytes are read, as JSON.
        """

    @abstractmethod
    def delete(self, objects: Iterable[StoredObject]) -> Iterator[Removal]:
        """Delete each object that is still the one that was listed; yield what became of each. Never raises."""
