"""The simulator as a backend: it holds the suite to what a service could do at best."""

from itertools import count
from typing import ClassVar

from support.memory_store import MemoryStore
from support.stores.catalogue import Entry
from support.stores.interface import Backend

from blocks.secret_stores.interface import SecretAddress, SecretStore


class MemoryBackend(Backend):
    """Memory that block objects share; ``store`` may be a broken one, to see whether the suite notices."""

    name: ClassVar[str] = "memory"
    stands_on: ClassVar[str] = "simulator"
    largest: ClassVar[int | None] = None
    reads: ClassVar[tuple[str, ...]] = ("observe", "reveal")
    no_free_text: ClassVar[str] = "the simulator keeps pairs, and no text around them"

    def __init__(self, store: type[MemoryStore] = MemoryStore) -> None:
        self._store = store(label="contract")
        self._numbers = count(1)

    def make(self) -> SecretStore:
        """Return another block over the same memory."""
        return self._store.again()

    def address(self, *, pair: bool) -> SecretAddress:
        """Return a new name."""
        return SecretAddress(f"PASSWORD_{next(self._numbers)}", "USER" if pair else None)

    def put(self, address: SecretAddress, username: str | None, password: str) -> None:
        """Set the current version past the protocol."""
        self._store.put(address, username, password)

    def consume(self, address: SecretAddress) -> tuple[str | None, str] | None:
        """Return the current version past the interface."""
        return self._store.consume(address)

    def surroundings(self, address: SecretAddress) -> object:
        """Return nothing: nothing is around."""
        return None

    def remove(self, address: SecretAddress) -> None:
        """Take the value away; the journal is beside it."""
        self._store._row(address).current = None

    def timeout(self) -> Exception:
        """Return a lost answer."""
        return TimeoutError("no answer")

    def throttled(self) -> Exception:
        """Return a refusal for now."""
        return BlockingIOError("too many")


BACKENDS = (Entry("memory", lambda _: MemoryBackend()),)
