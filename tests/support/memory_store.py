"""A secret store in memory: the real interface, with the strictness that a service would have."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from threading import Lock
from typing import Any, ClassVar

from pydantic import Field, PrivateAttr, SecretStr

from blocks.secret_stores.interface import (
    ConflictError,
    Permission,
    Quota,
    SecretAddress,
    SecretStore,
    SecretVersion,
    StoreState,
    SupersededError,
    ThrottledError,
    VersionGoneError,
)
from rules.errors import PermanentError, TemporaryError, VigilesError
from rules.rotation import Journal, StepKind
from rules.rotation.journal import staged

_STEPS = ("claim", "stage", "promote", "confirm", "discard", "forget")


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

    fencing: ClassVar[str] = "Memory is compared and set at once."
    quota: ClassVar[Quota] = Quota("none", None, writes=5)

    label: str = Field(description="Any text.")
    _rows: dict[SecretAddress, Row] = PrivateAttr(default_factory=dict)
    _numbers: Iterator[int] = PrivateAttr(default_factory=lambda: count(1))
    _lock: Any = PrivateAttr(default_factory=Lock)

    def again(self) -> "MemoryStore":
        """Return another block object over the same memory."""
        store = type(self)(label=self.label)
        store._rows, store._numbers, store._lock = self._rows, self._numbers, self._lock
        return store

    def put(self, address: SecretAddress, username: str | None, password: str) -> None:
        """Set the current version as somebody outside does."""
        self._row(address).current = self._version(username, SecretStr(password))

    def consume(self, address: SecretAddress) -> tuple[str | None, str] | None:
        """Return what a consumer reads."""
        current = self._row(address).current
        return (current.username, current.password.get_secret_value()) if current else None

    def preflight(self, address: SecretAddress) -> None:
        self._row(address)

    def permissions(self, address: SecretAddress) -> tuple[Permission, ...]:
        return tuple(Permission(name, "memory", (StepKind(name),), granted=True) for name in _STEPS)

    def observe(self, address: SecretAddress) -> StoreState:
        return self._call("observe", lambda: self._state(self._row(address)))

    def reveal(self, address: SecretAddress, version: str) -> SecretVersion:
        row = self._call("reveal", lambda: self._row(address))
        for held in (row.current, row.pending, row.previous):
            if held is not None and held.id == version:
                return held
        raise VersionGoneError("The version is gone.", "Run again.")

    def claim(self, address: SecretAddress, seen: StoreState, journal: Journal) -> StoreState:
        def change(row: Row) -> Row:
            if row.journal != seen.journal:
                raise SupersededError("Not what was observed.", "Run again.")
            return replace(row, journal=journal)

        return self._write("claim", address, seen.journal.epoch, change)

    def record(self, address: SecretAddress, journal: Journal) -> StoreState:
        return self._write("record", address, journal.epoch, lambda row: replace(row, journal=journal))

    def stage(self, address: SecretAddress, journal: Journal, username: str | None, password: SecretStr) -> StoreState:
        def change(row: Row) -> Row:
            if row.pending is not None:
                return row
            if not password.get_secret_value():
                raise PermanentError("An empty value.", "Run again.")
            pending = self._version(username, password)
            base = row.current.id if row.current else None
            return replace(row, pending=pending, journal=staged(journal, pending.id, base), previous=None)

        return self._write("stage", address, journal.epoch, change)

    def promote(
        self, address: SecretAddress, journal: Journal, pending: str, expected_current: str | None
    ) -> StoreState:
        def change(row: Row) -> Row:
            current = row.current.id if row.current else None
            if current == pending:
                return row
            if row.pending is None or row.pending.id != pending or current != expected_current:
                raise ConflictError("Not what was observed.", "Run again.")
            if row.journal.base != current:
                raise ConflictError("Changed since it was staged.", "Run again.")
            return replace(row, previous=row.current, current=row.pending)

        return self._write("promote", address, journal.epoch, change)

    def confirm(self, address: SecretAddress, journal: Journal) -> StoreState:
        def change(row: Row) -> Row:
            current = row.current.id if row.current else None
            if row.pending is None and current is not None and current == row.journal.confirmed:
                return row
            if row.pending is None or row.pending.id != current:
                raise ConflictError("Not the promoted version.", "Run again.")
            kept = row.previous if journal.retire_after is not None else None
            return replace(row, pending=None, previous=kept, journal=journal)

        return self._write("confirm", address, journal.epoch, change)

    def discard(self, address: SecretAddress, journal: Journal, pending: str) -> StoreState:
        def change(row: Row) -> Row:
            if row.pending is not None and (row.pending.id != pending or row.pending == row.current):
                raise ConflictError("Another pending version, or current.", "Run again.")
            return replace(row, pending=None, previous=None, journal=journal)

        return self._write("discard", address, journal.epoch, change)

    def forget(self, address: SecretAddress, journal: Journal, previous: str) -> StoreState:
        def change(row: Row) -> Row:
            if row.previous is None and row.journal.retire_after is None:
                return row
            if row.previous is not None and row.previous.id != previous:
                raise ConflictError("Another previous version.", "Run again.")
            return replace(row, previous=None, journal=journal)

        return self._write("forget", address, journal.epoch, change)

    def _write(self, name: str, address: SecretAddress, epoch: int, change: Callable[[Row], Row]) -> StoreState:
        def conditionally() -> StoreState:
            with self._lock:
                row = self._row(address)
                if row.journal.epoch != epoch:
                    raise SupersededError("Superseded.", "Run again.")
                self._rows[address] = change(row)
                return self._state(self._rows[address])

        return self._call(name, conditionally)

    def _translated(self, operation: str, error: Exception) -> VigilesError:
        if isinstance(error, BlockingIOError):
            return ThrottledError(f"{operation} was asked for too often.", "Wait.")
        if isinstance(error, ConnectionError | TimeoutError):
            return TemporaryError(f"{operation} was not answered.", "Try again.")
        return PermanentError(f"{operation} failed ({type(error).__name__}).", "Look at the simulator.")

    def _row(self, address: SecretAddress) -> Row:
        return self._rows.setdefault(address, Row(Journal()))

    def _state(self, row: Row) -> StoreState:
        ids = [version.id if version else None for version in (row.current, row.pending, row.previous)]
        return StoreState(*ids, journal=row.journal)

    def _version(self, username: str | None, password: SecretStr) -> SecretVersion:
        return SecretVersion(id=f"v{next(self._numbers)}", username=username, password=password)
