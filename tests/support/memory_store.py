"""A secret store in memory: the real interface, with the strictness that a service would have."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pydantic import Field, PrivateAttr, SecretStr

from blocks.secret_stores.interface import (
    ConflictError,
    SecretAddress,
    SecretStore,
    SecretVersion,
    StoreState,
    SupersededError,
    VersionGoneError,
)
from rules.rotation import Journal


@dataclass
class Row:
    journal: Journal
    current: SecretVersion | None = None
    pending: SecretVersion | None = None
    previous: SecretVersion | None = None


class MemoryStore(SecretStore):
    """Keeps secrets in memory, for tests.

    Example:
        ```python
        from support.memory_store import MemoryStore

        memory_store = MemoryStore.load("BLOCK_NAME")
        ```
    """

    _block_type_name = "Memory Store"
    _block_type_slug = "memory-store"
    _documentation_url: Any = "https://docs.prefect.io/v3/concepts/blocks"

    label: str = Field(description="Any text.")
    _rows: dict[SecretAddress, Row] = PrivateAttr(default_factory=dict)
    _made: int = PrivateAttr(default=0)

    def put(self, address: SecretAddress, username: str | None, password: str) -> None:
        """Set the current version as somebody outside does."""
        self._row(address).current = self._version(username, SecretStr(password))

    def consume(self, address: SecretAddress) -> tuple[str | None, str] | None:
        """Return what a consumer reads."""
        current = self._row(address).current
        return (current.username, current.password.get_secret_value()) if current else None

    def preflight(self, address: SecretAddress) -> None:
        self._row(address)

    def observe(self, address: SecretAddress) -> StoreState:
        row = self._row(address)
        ids = (version.id if version else None for version in (row.current, row.pending, row.previous))
        return StoreState(*ids, journal=row.journal)

    def reveal(self, address: SecretAddress, version: str) -> SecretVersion:
        row = self._row(address)
        for held in (row.current, row.pending, row.previous):
            if held is not None and held.id == version:
                return held
        raise VersionGoneError("The version is gone.")

    def claim(self, address: SecretAddress, expected_epoch: int, rotation_id: str) -> int:
        row = self._fenced(address, expected_epoch)
        row.journal = replace(row.journal, epoch=expected_epoch + 1, rotation_id=rotation_id)
        return expected_epoch + 1

    def stage(self, address: SecretAddress, epoch: int, username: str | None, password: SecretStr) -> str:
        row = self._fenced(address, epoch)
        if row.pending is None:
            row.pending = self._version(username, password)
            base = row.current.id if row.current else None
            row.journal = replace(row.journal, base=base, pending=row.pending.id)
        return row.pending.id

    def promote(self, address: SecretAddress, epoch: int, pending: str, expected_current: str | None) -> None:
        row = self._fenced(address, epoch)
        current = row.current.id if row.current else None
        if current == pending:
            return
        if row.pending is None or row.pending.id != pending or current != expected_current:
            raise ConflictError("Not what was observed.")
        row.previous, row.current = row.current, row.pending

    def confirm(self, address: SecretAddress, epoch: int, rotated_at: datetime, retire_after: datetime | None) -> None:
        row = self._fenced(address, epoch)
        current = row.current.id if row.current else None
        if row.journal.pending is None and current is not None and current == row.journal.confirmed:
            return
        if row.journal.pending is None or row.journal.pending != current:
            raise ConflictError("Not the promoted version.")
        row.pending = None
        after = retire_after if row.previous else None
        row.journal = replace(row.journal, pending=None, confirmed=current, rotated_at=rotated_at, retire_after=after)

    def forget(self, address: SecretAddress, epoch: int, previous: str) -> None:
        row = self._fenced(address, epoch)
        if row.previous is None:
            return
        if row.previous.id != previous:
            raise ConflictError("Another previous version.")
        row.previous = None
        row.journal = replace(row.journal, retire_after=None)

    def _row(self, address: SecretAddress) -> Row:
        return self._rows.setdefault(address, Row(Journal()))

    def _fenced(self, address: SecretAddress, epoch: int) -> Row:
        row = self._row(address)
        if row.journal.epoch != epoch:
            raise SupersededError("Superseded.")
        return row

    def _version(self, username: str | None, password: SecretStr) -> SecretVersion:
        self._made += 1
        return SecretVersion(id=f"v{self._made}", username=username, password=password)
