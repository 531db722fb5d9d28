"""Prefect's Secret blocks as a backend: a simulator of the API, and a real server."""

import json
import uuid
from abc import abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from support.stores.catalogue import Entry
from support.stores.interface import Backend

from blocks.secret_stores.interface import SecretAddress, SecretStore

if TYPE_CHECKING:
    from prefect.blocks.system import Secret
    from prefect.client.orchestration import SyncPrefectClient
    from support.prefect_blocks import PrefectBlocks
    from support.prefect_server import PrefectServer

    from blocks.secret_stores.secret_documents import SecretDocuments

AROUND = {"host": "db.internal", "ports": [5432, 5433], "options": {"tls": True, "none": {}}}


class SecretBlocks(Backend):
    """Secret blocks that hold a text: a value alone, or a JSON object in a text."""

    name: ClassVar[str] = "prefect-secret"
    largest: ClassVar[int | None] = None
    reads: ClassVar[tuple[str, ...]] = ("read_",)
    document: ClassVar[bool] = True
    no_fence: ClassVar[str] = "Prefect replaces a block's value whatever it is by then"
    no_free_text: ClassVar[str] = ""
    as_object: ClassVar[bool] = False

    @abstractmethod
    def client(self) -> "SyncPrefectClient":
        """Return a new client of Prefect's that talks to the service."""

    @abstractmethod
    def load(self, name: str) -> "Secret":
        """Return the block as a flow loads it.

        Raises:
            ValueError: if there is none.
        """

    def make(self) -> SecretStore:
        """Return a block that asks the service; all share a client, which takes longer to make than most tests do."""
        from blocks.secret_stores.prefect_secret import PrefectSecretStore

        store = PrefectSecretStore(prefix="contract-")
        store._opened = self._documents
        return store

    @cached_property
    def _documents(self) -> "SecretDocuments":
        from blocks.secret_stores.secret_documents import SecretDocuments

        return SecretDocuments(self.client())

    def address(self, *, pair: bool) -> SecretAddress:
        """Return a new block's name."""
        name = f"contract-{uuid.uuid4().hex[:12]}"
        if pair or self.as_object:
            return SecretAddress("password", "user" if pair else None, name)
        return SecretAddress(secret=name)

    def put(self, address: SecretAddress, username: str | None, password: str) -> None:
        """Save the block as anybody does."""
        if not address.password:
            self._save(address, password)
            return
        fields = AROUND | {"password": password} | ({address.username: username} if address.username else {})
        self._save(address, fields if self.as_object else json.dumps(fields, indent=2))

    def consume(self, address: SecretAddress) -> tuple[str | None, str] | None:
        """Return what ``Secret.load(...).get()`` gives a flow."""
        block = self._block(address)
        if block is None:
            return None
        value = block.get()
        if not address.password:
            return (None, value)
        return (value[address.username] if address.username else None, value[address.password])

    def surroundings(self, address: SecretAddress) -> object:
        """Return the fields that do not rotate, the kind of the value, and the id of the block."""
        block = self._block(address)
        if block is None:
            return None
        value = block.get()
        others = {k: v for k, v in value.items() if k not in address.keys} if isinstance(value, dict) else None
        return (others, type(block.value.get_secret_value()).__name__, str(block._block_document_id))

    def remove(self, address: SecretAddress) -> None:
        """Delete the block."""
        block = self._block(address)
        if block is not None:
            with self.client() as client:
                client.request("DELETE", f"/block_documents/{block._block_document_id}")

    def timeout(self) -> Exception:
        """Return what the client raises when no answer comes."""
        import httpx

        return httpx.ReadTimeout("no answer")

    def throttled(self) -> Exception:
        """Return what the client makes of a 429."""
        import httpx
        from prefect.exceptions import PrefectHTTPStatusError

        request = httpx.Request("POST", "http://prefect.invalid/api")
        return PrefectHTTPStatusError("too many", request=request, response=httpx.Response(429, request=request))

    def text_address(self, *, username: str | None, password: str) -> SecretAddress:
        """Return a new block's name with these fields."""
        return SecretAddress(password, username, f"contract-{uuid.uuid4().hex[:12]}")

    def put_text(self, address: SecretAddress, text: str) -> None:
        """Save the block with this text."""
        self._save(address, text)

    def text(self, address: SecretAddress) -> str:
        """Return the text as it is stored, which ``get`` would decode."""
        return self._block(address).value.get_secret_value()

    def _save(self, address: SecretAddress, value: Any) -> None:
        block = self._block(address)
        with self.client() as client:
            if block is not None:
                body = {"data": {"value": value}}
                client.request("PATCH", f"/block_documents/{block._block_document_id}", json=body)
                return
            type_id = client.request("GET", "/block_types/slug/secret").json()["id"]
            wanted = {"block_schemas": {"block_type_id": {"any_": [type_id]}}, "limit": 1}
            schema_id = client.request("POST", "/block_schemas/filter", json=wanted).json()[0]["id"]
            ids = {"block_type_id": type_id, "block_schema_id": schema_id}
            client.request("POST", "/block_documents/", json={"name": address.secret, "data": {"value": value}} | ids)

    def _block(self, address: SecretAddress) -> "Secret | None":
        try:
            return self.load(address.secret)
        except ValueError:
            return None


class SimulatedSecretBlocks(SecretBlocks):
    """The simulator of the API, through Prefect's unmodified client."""

    stands_on: ClassVar[str] = "simulator"

    def __init__(self, service: "PrefectBlocks") -> None:
        self._service = service

    def client(self) -> "SyncPrefectClient":
        """Return a client whose transport is the simulator."""
        return self._service.client()

    def load(self, name: str) -> "Secret":
        """Return what ``Secret.load`` makes of the answer; itself it would also send an event, to a real server."""
        from prefect.blocks.system import Secret
        from prefect.exceptions import ObjectNotFound

        try:
            document = self._consumer.read_block_document_by_name(name, "secret")
        except ObjectNotFound:
            raise ValueError(name) from None
        block = Secret.model_validate(document.data)
        block._block_document_id = document.id
        return block

    @cached_property
    def _consumer(self) -> "SyncPrefectClient":
        return self.client()

    def denied(self) -> SecretStore:
        """Return a block that a 403 answers."""
        return type(self)(self._service.refusing(403)).make()


class SimulatedSecretObjects(SimulatedSecretBlocks):
    """Secret blocks that hold an object instead of a text."""

    as_object: ClassVar[bool] = True
    no_free_text: ClassVar[str] = "an object has no text of somebody's own"


class ServedSecretBlocks(SecretBlocks):
    """A real Prefect server."""

    stands_on: ClassVar[str] = "real server"

    def __init__(self, server: "PrefectServer") -> None:
        self._url = server.url

    def client(self) -> "SyncPrefectClient":
        """Return a client of the session's server."""
        from prefect.client.orchestration import SyncPrefectClient

        return SyncPrefectClient(self._url)

    def load(self, name: str) -> "Secret":
        """Load the block from the server that the fixture ``prefect_api`` names."""
        from prefect.blocks.system import Secret

        return Secret.load(name)


def _simulated(backend: type[SimulatedSecretBlocks]) -> Backend:
    from support.prefect_blocks import PrefectBlocks

    return backend(PrefectBlocks())


BACKENDS = (
    Entry("prefect-secret", lambda _: _simulated(SimulatedSecretBlocks)),
    Entry("prefect-secret-object", lambda _: _simulated(SimulatedSecretObjects), slow=True),
    Entry("prefect-secret-server", lambda _, server: ServedSecretBlocks(server), ("prefect_api",), slow=True),
)
