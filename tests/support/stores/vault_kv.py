"""The KV store on OpenBao's real server, and on a simulator; its consumer is a plain hvac client."""

import json
import uuid
from itertools import count
from typing import Any, ClassVar

from support.stores.catalogue import Entry
from support.stores.interface import Backend

from blocks.secret_stores.interface import SecretAddress, SecretStore
from blocks.secret_stores.vault_kv import LARGEST, VaultKvStore

OTHERS = {"host": "db.example", "port": 5432, "ünïcödé": [1, {"a": None}], "ratio": 0.1}
CUSTOM = {"team": "payments"}


class VaultKvBackend(Backend):
    """A KV version 2 engine; each secret has other fields and custom metadata, and demands check-and-set."""

    name: ClassVar[str] = "vault-kv"
    largest: ClassVar[int | None] = LARGEST - len(json.dumps(OTHERS | {"password": ""}))
    # A standby that serves reads may be behind.
    reads: ClassVar[tuple[str, ...]] = ("read ",)
    document: ClassVar[bool] = True
    creates: ClassVar[bool] = False
    restores: ClassVar[bool] = True
    # The current one, and the record's only one.
    kept_at_most: ClassVar[int | None] = 2
    no_free_text: ClassVar[str] = "the server keeps fields and not their text; other fields are compared instead"

    def __init__(self, url: str, mount: str, token: str, powerless: str) -> None:
        self._url, self._mount, self._token, self._powerless = url, mount, token, powerless
        self._numbers = count(1)
        self._client = self._connected()

    def make(self) -> SecretStore:
        """Return a block over the server."""
        return self._block(self._token)

    def denied(self) -> SecretStore | None:
        """Return a block whose token has no policy for the engine."""
        return self._block(self._powerless)

    def address(self, *, pair: bool) -> SecretAddress:
        """Return a new path."""
        path = f"apps/{next(self._numbers)}-{uuid.uuid4().hex[:8]}/db"
        return SecretAddress("password", "username" if pair else None, path)

    def put(self, address: SecretAddress, username: str | None, password: str) -> None:
        """Write a version, as ``vault kv put -cas`` does; the first one after its metadata."""
        fields = OTHERS | {"password": password} | ({"username": username} if address.username else {})
        version = self._metadata(address).get("current_version")
        if version is None:
            self._kv.update_metadata(address.secret, cas_required=True, custom_metadata=CUSTOM, mount_point=self._mount)
        self._kv.create_or_update_secret(address.secret, fields, cas=version or 0, mount_point=self._mount)

    def consume(self, address: SecretAddress) -> tuple[str | None, str] | None:
        """Return what a client that has just come reads."""
        import hvac.exceptions

        try:
            fields = self._fields(address)
        except hvac.exceptions.InvalidPath:
            return None
        return (fields[address.username] if address.username else None, fields[address.password])

    def surroundings(self, address: SecretAddress) -> object:
        """Return the other fields, and the settings and custom metadata of the path."""
        fields = {key: value for key, value in self._fields(address).items() if key not in address.keys}
        kept = ("cas_required", "custom_metadata", "max_versions")
        return (fields, {name: self._metadata(address)[name] for name in kept})

    def remove(self, address: SecretAddress) -> None:
        """Delete the current version, as ``vault kv delete`` does."""
        self._kv.delete_latest_version_of_secret(address.secret, mount_point=self._mount)

    def restore(self, address: SecretAddress) -> None:
        """Undelete it."""
        versions = [self._metadata(address)["current_version"]]
        self._kv.undelete_secret_versions(address.secret, versions, mount_point=self._mount)

    def versions_kept(self, address: SecretAddress) -> int:
        """Count the versions whose values can be read, of the secret and of its record."""
        record = SecretAddress(address.password, address.username, address.secret + "--vigiles")
        rows = [row for a in (address, record) for row in self._metadata(a)["versions"].values()]
        return sum(not row["destroyed"] for row in rows)

    def timeout(self) -> Exception:
        """Return what requests raises when no answer comes."""
        import requests

        return requests.exceptions.ReadTimeout("no answer")

    def throttled(self) -> Exception:
        """Return what hvac makes of 429."""
        import hvac.exceptions

        return hvac.exceptions.RateLimitExceeded(errors=["request path: rate limit quota exceeded"])

    @property
    def _kv(self) -> Any:
        return self._client.secrets.kv.v2

    def _block(self, token: str) -> SecretStore:
        return VaultKvStore(address=self._url, mount=self._mount, authentication="token", token=token)

    def _connected(self) -> Any:
        import hvac

        return hvac.Client(url=self._url, token=self._token, timeout=10)

    def _fields(self, address: SecretAddress) -> dict[str, Any]:
        read = self._connected().secrets.kv.v2.read_secret_version
        return read(address.secret, mount_point=self._mount, raise_on_deleted_version=True)["data"]["data"]

    def _metadata(self, address: SecretAddress) -> dict[str, Any]:
        import hvac.exceptions

        try:
            return self._kv.read_secret_metadata(address.secret, mount_point=self._mount)["data"]
        except hvac.exceptions.InvalidPath:
            return {}


class Simulated(VaultKvBackend):
    """Over the simulator."""

    stands_on: ClassVar[str] = "simulator"


class Real(VaultKvBackend):
    """Over OpenBao."""

    stands_on: ClassVar[str] = "real server"


def _simulated(_: Any) -> VaultKvBackend:
    from support import vault_simulator as simulator

    return Simulated(simulator.address(), simulator.MOUNT, simulator.TOKEN, simulator.POWERLESS)


def _real(_: Any, openbao: Any) -> VaultKvBackend:
    return Real(openbao.address, openbao.new_mount(), openbao.root, openbao.new_token())


BACKENDS = (
    Entry("vault-kv-simulator", _simulated),
    Entry("vault-kv-openbao", _real, ("openbao",)),
)
