"""Key Vault as a backend: a double behind Microsoft's own client, in the process and over HTTPS, and an arbiter."""

import atexit
import contextlib
import json
import tempfile
import uuid
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from support.key_vault_double import DENIED, Vault, in_process, over_https, serving
from support.memory_arbiter import Claims
from support.stores.catalogue import Entry
from support.stores.interface import Backend

from blocks.secret_stores.azure.key_vault_record import LARGEST, MARKS
from blocks.secret_stores.azure_key_vault import AzureKeyVaultStore
from blocks.secret_stores.interface import SecretAddress, SecretStore

REST = {"host": "db.example", "port": 5432, "ünïcödé": [1.0, None]}
TAGS = {"team": "payments", "file-encoding": "utf-8"}
EMPTY = {"version": 1, "key": "0" * 64, "pending": [None, ""], "previous": [None, ""]}


class AzureKeyVaultBackend(Backend):
    """A vault; its first client is the consumers' and outsiders'."""

    name: ClassVar[str] = "azure-key-vault"
    stands_on: ClassVar[str] = "simulator"
    # Pending and previous value are in one secret.
    largest: ClassVar[int | None] = (LARGEST - len(json.dumps(EMPTY))) // 2
    reads: ClassVar[tuple[str, ...]] = ("GetSecret ", "GetDeletedSecret ", "ListSecretVersions ")
    document: ClassVar[bool] = True
    restores: ClassVar[bool] = True
    no_fence: ClassVar[str] = "Key Vault sets a secret whatever it is by then"
    no_free_text: ClassVar[str] = ""

    def __init__(self, connect: Callable[..., Any]) -> None:
        self._connect = connect
        self._claims = Claims()
        self._outsider = connect()
        self._client = connect()

    def make(self) -> SecretStore:
        """Return another block over the same vault, in a run that comes after those before."""
        return self._block(self._client)

    def denied(self) -> SecretStore | None:
        """Return a block whose token the vault knows, and lets do nothing."""
        return self._block(self._connect(token=DENIED))

    def _block(self, client: Any) -> SecretStore:
        store = AzureKeyVaultStore(vault_url="https://double.vault.azure.net")
        store._client = client
        store._arbiter = self._claims.arbiter()
        return store

    def address(self, *, pair: bool) -> SecretAddress:
        """Return a new name, of a JSON object or of a text."""
        name = f"Db-{uuid.uuid4().hex[:12]}"
        return SecretAddress("password", "username", name) if pair else SecretAddress(secret=name)

    def put(self, address: SecretAddress, username: str | None, password: str) -> None:
        """Set a new version, with the tags and the content type that this outsider always gives."""
        text = password
        if address.password:
            text = json.dumps(REST | {"username": username, "password": password})
        self.put_text(address, text)

    def consume(self, address: SecretAddress) -> tuple[str | None, str] | None:
        """Return what the newest version holds, as every reader of Key Vault gets it."""
        try:
            text = self.text(address)
        except _missing():
            return None
        if not address.password:
            return (None, text)
        fields = json.loads(text)
        return (fields[address.username] if address.username else None, fields[address.password])

    def surroundings(self, address: SecretAddress) -> object:
        """Return the other fields of the object, its tags without ours, its content type, and whether it is enabled."""
        secret = self._outsider.get_secret(address.secret)
        fields = json.loads(secret.value) if address.password else {}
        rest = {name: value for name, value in fields.items() if name not in address.keys}
        tags = {name: text for name, text in (secret.properties.tags or {}).items() if name not in MARKS}
        return [rest, tags, secret.properties.content_type, secret.properties.enabled]

    def remove(self, address: SecretAddress) -> None:
        """Delete the secret; like every vault of today, this one deletes softly."""
        self._outsider.begin_delete_secret(address.secret, _polling_interval=0.01).wait()

    def restore(self, address: SecretAddress) -> None:
        """Recover it."""
        self._outsider.begin_recover_deleted_secret(address.secret, _polling_interval=0.01).wait()

    def text_address(self, *, username: str | None, password: str) -> SecretAddress:
        """Return a new name, with fields."""
        return SecretAddress(password, username, f"text-{uuid.uuid4().hex[:12]}")

    def put_text(self, address: SecretAddress, text: str) -> None:
        """Set a new version."""
        self._outsider.set_secret(address.secret, text, tags=TAGS, content_type="text/plain")

    def text(self, address: SecretAddress) -> str:
        """Return the newest version's value."""
        return self._outsider.get_secret(address.secret).value

    def timeout(self) -> Exception:
        """Return the client's error for an answer that did not come in time."""
        from azure.core.exceptions import ServiceResponseError

        return ServiceResponseError("read timed out")

    def throttled(self) -> Exception:
        """Return the client's error for 429."""
        from azure.core.exceptions import HttpResponseError

        error = HttpResponseError("too many requests")
        error.status_code = 429
        return error


class AzureKeyVaultDouble(AzureKeyVaultBackend):
    """The same over HTTPS."""

    name: ClassVar[str] = "azure-key-vault-https"
    stands_on: ClassVar[str] = "double"


def _missing() -> type[Exception]:
    from azure.core.exceptions import ResourceNotFoundError

    return ResourceNotFoundError


def _in_process(_: Any) -> Backend:
    vault = Vault("https://double.vault.azure.net")
    return AzureKeyVaultBackend(lambda **token: in_process(vault, **token))


@cache
def _served() -> tuple[Vault, Path]:
    """Return the process's server: it stops when the process ends."""
    ending = contextlib.ExitStack()
    atexit.register(ending.close)
    folder = ending.enter_context(tempfile.TemporaryDirectory())
    return ending.enter_context(serving(Path(folder)))


def _over_https(_: Any) -> Backend:
    vault, certificate = _served()
    return AzureKeyVaultDouble(lambda **token: over_https(vault, certificate, **token))


BACKENDS = (Entry("azure-key-vault", _in_process), Entry("azure-key-vault-https", _over_https, slow=True))
