"""From the names in a policy to stores that can be listed: blocks by their document, and the default storage."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from prefect.client.orchestration import SyncPrefectClient
from prefect.settings import get_current_settings

from blocks.estate.paging import read_all, request
from blocks.result_stores.interface import ObjectStore, StorageBlock, StoreUnsupportedError
from blocks.result_stores.local_disk import LocalDiskStore, local_root
from rules.errors import VigilesError

DEFAULT = "default"
_LOCAL_TYPES = frozenset({"local-file-system"})
_REMOTE_TYPES = frozenset({"s3-bucket", "gcs-bucket", "azure-blob-storage-container"})


class StoreName(Protocol):
    """One store as the policy names it."""

    @property
    def block(self) -> str:
        """``default`` or ``type-slug/name``."""

    @property
    def exclusive(self) -> bool:
        """Whether only this server writes to it."""


@dataclass(frozen=True, slots=True)
class OpenStore:
    """A store of the policy that can be listed."""

    store: ObjectStore
    exclusive: bool


@dataclass(frozen=True, slots=True)
class ClosedStore:
    """A store of the policy that cannot be pruned, and why."""

    name: str
    error: VigilesError


def read_storage_blocks(client: SyncPrefectClient) -> dict[str, StorageBlock]:
    """Return every block document of the server by id, without secrets.

    Raises:
        TemporaryError, PermanentError: if any page cannot be read.
    """
    body = {"block_documents": {"operator": "and_"}, "include_secrets": False}
    rows = read_all(client, "/block_documents/filter", body)
    return {
        row["id"]: StorageBlock(row["id"], f"{row['block_type']['slug']}/{row['name'] or row['id']}", row["data"] or {})
        for row in rows
    }


def place_is_known(block: StorageBlock) -> bool:
    """Return whether it can be told where a block writes to; one of any other type may write anywhere."""
    return block.type_slug in _REMOTE_TYPES or local_root(block) is not None


def open_stores(
    client: SyncPrefectClient, names: Iterable[StoreName], blocks: Mapping[str, StorageBlock]
) -> tuple[list[OpenStore], list[ClosedStore]]:
    """Return the stores that can be listed, and those that cannot with the reason.

    Stores that overlap are both left closed: one object would be judged twice, by different words.

    Args:
        client: asks for the server's default storage.
        names: the stores that the policy names.
        blocks: every block document by id.
    """
    opened: list[OpenStore] = []
    closed: list[ClosedStore] = []
    for name in names:
        try:
            opened.append(OpenStore(_open(client, name.block, blocks), name.exclusive))
        except VigilesError as error:
            closed.append(ClosedStore(name.block, error))
    clear = [one for one in opened if not _overlapping(one, opened)]
    closed += [ClosedStore(one.store.name, _overlap_error(one.store)) for one in opened if one not in clear]
    return clear, closed


def _open(client: SyncPrefectClient, name: str, blocks: Mapping[str, StorageBlock]) -> ObjectStore:
    if name != DEFAULT:
        return _from_block(name, next((b for b in blocks.values() if b.slug == name), None))
    settings = get_current_settings().results
    if settings.default_storage_block:
        slug = settings.default_storage_block
        return _from_block(name, next((b for b in blocks.values() if b.slug == slug), None))
    # Prefect falls back to the local path when this request fails. Here that could mean the wrong store.
    document = request(client, "GET", "/admin/storage")
    if document["default_result_storage_block_id"]:
        return _from_block(name, blocks.get(document["default_result_storage_block_id"]))
    return LocalDiskStore(name, str(settings.local_storage_path))


def _from_block(name: str, block: StorageBlock | None) -> ObjectStore:
    if block is None:
        raise StoreUnsupportedError(f"There is no block for the store {name}.", "Save it, or correct the policy.")
    if block.type_slug not in _LOCAL_TYPES:
        raise StoreUnsupportedError(f"Stores of type {block.type_slug} cannot be pruned by this version ({name}).")
    root = local_root(block)
    if root is None:
        raise StoreUnsupportedError(
            f"The block {block.slug} has no absolute basepath: it means another directory in every process.",
            "Give the block an absolute basepath.",
        )
    if Path(root) == Path(root).parent:
        raise StoreUnsupportedError(f"The block {block.slug} is the root of the file system.")
    return LocalDiskStore(name, root)


def _overlapping(one: OpenStore, others: Sequence[OpenStore]) -> bool:
    return any(one is not other and one.store.overlaps(other.store) for other in others)


def _overlap_error(store: ObjectStore) -> StoreUnsupportedError:
    return StoreUnsupportedError(
        f"The store {store.name} overlaps another store of the policy.", "Name only the one that holds the results."
    )
