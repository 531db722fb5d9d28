"""Google Cloud's Secret Manager on drongo's server behind a strict layer, and on a simulator.

Its consumer is Google's own client that accesses ``versions/latest``, as prefect-gcp's GcpSecret does.
"""

import json
import re
import uuid
from itertools import count
from typing import Any, ClassVar

from support.stores.catalogue import Entry
from support.stores.interface import Backend

from blocks.secret_stores.gcp_secret_manager import LARGEST, GcpSecretManagerStore
from blocks.secret_stores.interface import SecretAddress, SecretStore

PROJECT = "vigiles-test"
TEXT = '{{\n  "host": "db",  "password" : {password},\n  {username}"port": 5432}}'
ANNOTATIONS = {"team": "payments"}


class SecretManagerBackend(Backend):
    """A project's secrets; pairs are JSON with more in it."""

    name: ClassVar[str] = "gcp-secret-manager"
    largest: ClassVar[int | None] = LARGEST
    # By number a version is consistent, by `latest` it is not; settings and lists are not either.
    reads: ClassVar[tuple[str, ...]] = ("GetSecret", "AccessSecretVersion latest", "ListSecretVersions")
    document: ClassVar[bool] = True
    no_fence: ClassVar[str] = "the service adds a version unconditionally"
    no_free_text: ClassVar[str] = ""

    def __init__(self, client: Any, powerless: Any = None) -> None:
        self._client, self._powerless = client, powerless
        self._numbers = count(1)

    def make(self) -> SecretStore:
        """Return a block over the service."""
        return over(self._client)

    def denied(self) -> SecretStore | None:
        """Return a block whose credentials may do nothing, where the service knows rights."""
        return over(self._powerless) if self._powerless else None

    def address(self, *, pair: bool) -> SecretAddress:
        """Return a new name: of JSON with a pair in it, or of a plain value."""
        if pair:
            return self.text_address(username="username", password="password")
        return SecretAddress(secret=f"app-{next(self._numbers)}-{uuid.uuid4().hex[:8]}")

    def text_address(self, *, username: str | None, password: str) -> SecretAddress:
        """Return fields of a new name."""
        return SecretAddress(password, username, f"app-{next(self._numbers)}-{uuid.uuid4().hex[:8]}")

    def put(self, address: SecretAddress, username: str | None, password: str) -> None:
        """Add a version past the store."""
        name = f'"username":{json.dumps(username)},' if username else ""
        self.put_text(address, TEXT.format(password=json.dumps(password), username=name) if username else password)

    def put_text(self, address: SecretAddress, text: str) -> None:
        """Add a version, as ``gcloud secrets versions add`` does; the first one with the secret."""
        from google.api_core.exceptions import NotFound

        add = {"parent": self.path(address), "payload": {"data": text.encode()}}
        try:
            self._client.add_secret_version(request=add)
        except NotFound:
            secret = {"replication": {"automatic": {}}, "annotations": ANNOTATIONS}
            request = {"parent": f"projects/{PROJECT}", "secret_id": address.secret, "secret": secret}
            self._client.create_secret(request=request)
            self._client.add_secret_version(request=add)

    def text(self, address: SecretAddress) -> str:
        """Return what a consumer gets as ``latest``."""
        answer = self._client.access_secret_version(request={"name": f"{self.path(address)}/versions/latest"})
        return answer.payload.data.decode()

    def consume(self, address: SecretAddress) -> tuple[str | None, str] | None:
        """Return the fields of the JSON, or the text."""
        from google.api_core.exceptions import NotFound

        try:
            text = self.text(address)
        except NotFound:
            return None
        if not address.password:
            return (None, text)
        document = json.loads(text)
        return (document[address.username] if address.username else None, document[address.password])

    def surroundings(self, address: SecretAddress) -> object:
        """Return the rest of the text, and the settings of the secret."""
        settings = self._client.get_secret(request={"name": self.path(address)})
        text = self.text(address) if address.password else ""
        rest = re.sub(r'("(?:username|password)"\s*:\s*)"(?:\\.|[^"\\])*"', r"\1", text)
        return (rest, dict(settings.annotations), dict(settings.version_aliases), settings.etag)

    def remove(self, address: SecretAddress) -> None:
        """Delete the secret; the service keeps nothing of it."""
        self._client.delete_secret(request={"name": self.path(address)})

    def timeout(self) -> Exception:
        """Return what the client raises when no answer comes."""
        from google.api_core.exceptions import DeadlineExceeded

        return DeadlineExceeded("no answer")

    def throttled(self) -> Exception:
        """Return what the client makes of too many calls."""
        from google.api_core.exceptions import ResourceExhausted

        return ResourceExhausted("quota exceeded")

    def path(self, address: SecretAddress, suffix: str = "") -> str:
        """Return the full name of a secret."""
        return f"projects/{PROJECT}/secrets/{address.secret}{suffix}"


class Simulated(SecretManagerBackend):
    """Over the simulator."""

    stands_on: ClassVar[str] = "simulator"


class Real(SecretManagerBackend):
    """Over drongo's server; etags, annotations, checksums and the state of ``latest`` stand on the layer before it."""

    stands_on: ClassVar[str] = "real server (drongo) behind a strict layer"


def over(client: Any, **fields: Any) -> GcpSecretManagerStore:
    """Return a block that uses this client."""
    store = GcpSecretManagerStore(credentials="gcp-credentials/test", project=PROJECT, **fields)
    store._client = client
    return store


def _simulated(_: Any) -> SecretManagerBackend:
    from support.secret_manager_simulator import SecretManagerSimulator

    simulator = SecretManagerSimulator()
    return Simulated(simulator.client(), simulator.client(allowed=False))


def _real(_: Any, drongo_server: str) -> SecretManagerBackend:
    from support.drongo import Layer

    return Real(Layer(drongo_server).client())


BACKENDS = (
    Entry("gcp-secret-manager-simulator", _simulated),
    Entry("gcp-secret-manager-drongo", _real, ("drongo_server",), slow=True),
)
