"""Where the results lie that runs refer to: a key in a store of the policy, or somewhere else."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from blocks.estate.paging import Row
from blocks.result_stores.interface import ObjectStore, StorageBlock
from blocks.result_stores.opening import place_is_known
from rules.retention.observed import Reference
from rules.retention.recognition import parse_time


class References:
    """References as they are sorted into stores.

    Args:
        stores: the stores of the policy.
        blocks: every block document by id.

    Attributes:
        unlocated: the last parts of keys whose place is not known.
        elsewhere: how many references lead outside every store, by directory or block.
    """

    def __init__(self, stores: Iterable[ObjectStore], blocks: Mapping[str, StorageBlock]) -> None:
        self.unlocated: set[str] = set()
        self.elsewhere: Counter[str] = Counter()
        self._found: defaultdict[str, dict[str, tuple[Reference, ...]]] = defaultdict(dict)
        self._stores = list(stores)
        self._blocks = blocks

    def add(self, row: Row, *, by_task: bool) -> None:
        """Sort in the reference of one run, if its latest state has one.

        Args:
            row: the run as the API lists it.
            by_task: whether a task wrote the result, so that it may be a cache.
        """
        data: Any = (row["state"] or {}).get("data")
        if not isinstance(data, dict) or not isinstance(data.get("storage_key"), str):
            return
        key, block_id = data["storage_key"], data.get("storage_block_id")
        block = self._blocks.get(block_id) if block_id else None
        found = None if block_id and block is None else self._find(key, block)
        if found is None:
            self._leads_elsewhere(key, block_id, block)
            return
        store, located = found
        known = self._found[store]
        reference = Reference(row["id"], by_task, parse_time(data.get("expiration")))
        known[located] = (*known.get(located, ()), reference)

    def by_store(self) -> dict[str, dict[str, tuple[Reference, ...]]]:
        """Return what was sorted in: by store, then by key."""
        return dict(self._found)

    def _find(self, key: str, block: StorageBlock | None) -> tuple[str, str] | None:
        for store in self._stores:
            located = store.locate(key, block)
            if located is not None:
                return store.name, located
        return None

    def _leads_elsewhere(self, key: str, block_id: str | None, block: StorageBlock | None) -> None:
        if block_id is None and key.startswith("/"):
            self.elsewhere[key.rpartition("/")[0] or "/"] += 1
            return
        if block is None or not place_is_known(block):
            # It could be a store of the policy by another name.
            self.unlocated.add(key.rpartition("/")[2])
        self.elsewhere[block.slug if block else f"deleted block {block_id}" if block_id else "no block"] += 1
