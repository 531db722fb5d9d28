"""The protocol of ``SidecarStore`` over the least that a service can be: texts with revisions, in memory.

It has everything that a backend may lack (rights, soft deletion, a limit of size, free text), so that every case of the
suite is met by some store on every machine.
"""

import json
import re
from dataclasses import dataclass, field
from itertools import count
from threading import Lock
from typing import Any, ClassVar

from pydantic import Field, PrivateAttr
from support.stores.catalogue import Entry
from support.stores.interface import Backend

from blocks.secret_stores.document import Pair
from blocks.secret_stores.interface import (
    ConflictError,
    DeniedError,
    Permission,
    Quota,
    SecretAddress,
    SecretStore,
    SupersededError,
    ThrottledError,
)
from blocks.secret_stores.record import Record, record_from_json
from blocks.secret_stores.sidecar import Loaded, SidecarStore
from rules.errors import PermanentError, TemporaryError, VigilesError
from rules.rotation import StepKind

LARGEST = 4000


class RevisionError(Exception):
    """The service's refusal of a write to another revision."""


@dataclass
class Service:
    """Texts by name, each with a revision, that are compared and set at once."""

    texts: dict[str, tuple[int, str]] = field(default_factory=dict)
    deleted: dict[str, tuple[int, str]] = field(default_factory=dict)
    numbers: Any = field(default_factory=lambda: count(1))
    lock: Any = field(default_factory=Lock)

    def read(self, name: str, *, allowed: bool = True) -> tuple[int, str] | None:
        """Return revision and text, or None."""
        if not allowed:
            raise PermissionError
        return self.texts.get(name)

    def write(self, name: str, text: str, revision: int | None, *, allowed: bool = True) -> None:
        """Replace the text of this revision; None for one that must not be there."""
        if not allowed:
            raise PermissionError
        with self.lock:
            found = self.texts.get(name)
            if (found[0] if found else None) != revision:
                raise RevisionError
            self.texts[name] = (next(self.numbers), text)


class TextStore(SidecarStore):
    """Keeps a secret and its record as two texts.

    Example:
        ```python
        from support.stores.texts import TextStore

        text_store = TextStore.load("BLOCK_NAME")
        ```
    """

    _block_type_name = "Text Store"
    _block_type_slug = "text-store"
    _documentation_url: Any = "https://docs.prefect.io/v3/concepts/blocks"

    fencing: ClassVar[str] = "Memory compares revisions and sets at once."
    quota: ClassVar[Quota] = Quota("none", None, writes=5)
    compares_main: ClassVar[bool] = True

    allowed: bool = Field(default=True, description="Whether the calls are allowed.")
    _service: Service = PrivateAttr(default_factory=Service)

    def preflight(self, address: SecretAddress) -> None:
        """Look whether the secret can be read."""
        if self.observe(address).current is None:
            raise PermanentError(f"There is no {address}.", "Make it.")

    def permissions(self, address: SecretAddress) -> tuple[Permission, ...]:
        """Return the one right there is."""
        return (Permission("write", str(address), tuple(StepKind), granted=self.allowed),)

    def _load(self, address: SecretAddress) -> Loaded:
        beside, main = self._read(f"{address.secret}.record"), self._read(address.secret)
        record = record_from_json(json.loads(beside[1])) if beside else None
        revisions = [found[0] if found else None for found in (main, beside)]
        return Loaded(main[1] if main else None, record, *revisions)

    def _save_record(self, address: SecretAddress, loaded: Loaded, record: Record) -> None:
        try:
            self._write(f"{address.secret}.record", json.dumps(record.to_json()), loaded.record_revision)
        except ConflictError:
            raise SupersededError(f"The record of {address} is another one.", "Run again.") from None

    def _save_main(self, address: SecretAddress, loaded: Loaded, text: str) -> None:
        self._write(address.secret, text, loaded.main_revision)

    def _with_pair(self, address: SecretAddress, text: str | None, pair: Pair) -> str:
        if len(pair[1]) > LARGEST:
            raise PermanentError("The value is too large.", "Use a shorter one.")
        return super()._with_pair(address, text, pair)

    def _read(self, name: str) -> tuple[int, str] | None:
        return self._call(f"read {name}", lambda: self._service.read(name, allowed=self.allowed))

    def _write(self, name: str, text: str, revision: int | None) -> None:
        self._call(f"write {name}", lambda: self._service.write(name, text, revision, allowed=self.allowed))

    def _translated(self, operation: str, error: Exception) -> VigilesError:
        if isinstance(error, RevisionError):
            return ConflictError(f"{operation} met another revision.", "Run again.")
        if isinstance(error, PermissionError):
            return DeniedError(f"{operation} is not allowed.", "Allow it.")
        if isinstance(error, BlockingIOError):
            return ThrottledError(f"{operation} was asked for too often.", "Wait.")
        if isinstance(error, TimeoutError):
            return TemporaryError(f"{operation} was not answered.", "Try again.")
        return PermanentError(f"{operation} failed ({type(error).__name__}).", "Look at the simulator.")


class TextBackend(Backend):
    """Texts in memory, each a JSON object with the rotated fields among others."""

    name: ClassVar[str] = "texts"
    stands_on: ClassVar[str] = "simulator"
    largest: ClassVar[int | None] = LARGEST
    reads: ClassVar[tuple[str, ...]] = ("read ",)
    document: ClassVar[bool] = True
    restores: ClassVar[bool] = True
    kept_at_most: ClassVar[int | None] = 2
    no_free_text: ClassVar[str] = ""

    def __init__(self, store: type[TextStore] = TextStore) -> None:
        self._made = store
        self._service = Service()
        self._numbers = count(1)

    def make(self) -> SecretStore:
        """Return another block over the same texts."""
        return self._over(self._made())

    def denied(self) -> SecretStore | None:
        """Return a block whose every call is refused."""
        return self._over(self._made(allowed=False))

    def address(self, *, pair: bool) -> SecretAddress:
        """Return fields of a new text."""
        return self.text_address(username="user" if pair else None, password="password")

    def text_address(self, *, username: str | None, password: str) -> SecretAddress:
        """Return fields of a new text."""
        return SecretAddress(password, username, f"secret-{next(self._numbers)}")

    def put(self, address: SecretAddress, username: str | None, password: str) -> None:
        """Write a document with more in it."""
        fields = {"host": "db"} | ({address.username: username} if address.username else {})
        self.put_text(address, json.dumps(fields | {address.password: password, "port": 5432}, indent=1))

    def put_text(self, address: SecretAddress, text: str) -> None:
        """Write the text past the protocol."""
        self._service.texts[address.secret] = (next(self._service.numbers), text)

    def text(self, address: SecretAddress) -> str:
        """Return the text."""
        return self._service.texts[address.secret][1]

    def consume(self, address: SecretAddress) -> tuple[str | None, str] | None:
        """Return the fields of the document, as any JSON reader does."""
        if address.secret not in self._service.texts:
            return None
        if not address.password:
            return (None, self.text(address))
        document = json.loads(self.text(address))
        return (document[address.username] if address.username else None, document[address.password])

    def surroundings(self, address: SecretAddress) -> object:
        """Return the text without the values of its two fields."""
        return re.sub(r'("(?:user|password)"\s*:\s*)"(?:\\.|[^"\\])*"', r"\1", self.text(address))

    def remove(self, address: SecretAddress) -> None:
        """Delete the text; it can be had back."""
        self._service.deleted[address.secret] = self._service.texts.pop(address.secret)

    def restore(self, address: SecretAddress) -> None:
        """Have it back."""
        self._service.texts[address.secret] = self._service.deleted.pop(address.secret)

    def versions_kept(self, address: SecretAddress) -> int:
        """Count the texts that belong to the secret."""
        return len([name for name in self._service.texts if name.split(".", maxsplit=1)[0] == address.secret])

    def timeout(self) -> Exception:
        """Return a lost answer."""
        return TimeoutError("no answer")

    def throttled(self) -> Exception:
        """Return a refusal for now."""
        return BlockingIOError("too many")

    def _over(self, store: TextStore) -> TextStore:
        store._service = self._service
        return store


BACKENDS = (Entry("texts", lambda _: TextBackend()),)
