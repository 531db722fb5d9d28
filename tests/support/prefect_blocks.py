"""A simulator of the requests for block documents of Prefect's server, as strict as the real one.

``tests/blocks/test_prefect_secret_store.py`` holds it against the real server, answer by answer.
"""

import json
import re
import ssl
import threading
import uuid
from typing import Any

import httpx
from prefect.client.orchestration import SyncPrefectClient

TYPE = "11111111-1111-4111-8111-111111111111"
SCHEMA = "22222222-2222-4222-8222-222222222222"
OBFUSCATED = "********"
BLOCK_TYPE = {"id": TYPE, "name": "Secret", "slug": "secret"}
BLOCK_SCHEMA = {"id": SCHEMA, "block_type_id": TYPE, "checksum": "sha256:0", "fields": {}, "capabilities": []}


class PrefectBlocks:
    """Secret blocks in memory, behind an httpx transport; ``status`` makes it answer nothing but that."""

    def __init__(self, status: int | None = None) -> None:
        self.status = status
        self._documents: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()

    def refusing(self, status: int) -> "PrefectBlocks":
        """Return the same server as one without rights sees it."""
        other = PrefectBlocks(status)
        other._documents = self._documents
        return other

    def client(self) -> SyncPrefectClient:
        """Return an unmodified client of Prefect's that talks to this."""
        # Making a client reads all certificates that there are; with a transport it needs none.
        settings = {
            "transport": httpx.MockTransport(self._answer),
            "timeout": 15.0,
            "verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        }
        return SyncPrefectClient("http://prefect.invalid/api", httpx_settings=settings)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        with self._lock:
            status, answer = self._answered(request)
        # Told so, the client does not wait before it gives up.
        headers = {"Retry-After": "0"}
        return httpx.Response(status, headers=headers, json=answer) if answer is not None else httpx.Response(status)

    def _answered(self, request: httpx.Request) -> tuple[int, Any]:  # noqa: PLR0911 - a line a route
        path, method = request.url.path.removeprefix("/api"), request.method
        body = json.loads(request.content or b"{}")
        if path == "/csrf-token":
            return 422, {"detail": "CSRF protection is disabled."}
        if self.status:
            return self.status, {"detail": "Refused.", "request_body": body}
        if path == "/block_types/slug/secret":
            return 200, BLOCK_TYPE
        if path == "/block_schemas/filter":
            return 200, [BLOCK_SCHEMA] if body["block_schemas"]["block_type_id"]["any_"] == [TYPE] else []
        if path.startswith("/block_types/slug/secret/block_documents/name/"):
            return self._by_name(path.rpartition("/")[2], request.url.params)
        if path == "/block_documents/filter":
            return self._filtered(body)
        if path == "/block_documents/":
            return self._created(body)
        return self._changed(method, path.rpartition("/")[2], body)

    def _by_name(self, name: str, parameters: httpx.QueryParams) -> tuple[int, Any]:
        for document in self._documents.values():
            if document["name"] == name:
                return 200, _shown(document, parameters.get("include_secrets") == "true")
        return 404, {"detail": "Block document not found"}

    def _filtered(self, body: dict[str, Any]) -> tuple[int, Any]:
        wanted = body["block_documents"]["name"]
        if body["limit"] > 200 or body["block_types"]["slug"]["any_"] != ["secret"]:
            return 422, {"detail": "not simulated"}
        rows = [d for _, d in sorted(self._documents.items(), key=lambda item: item[1]["name"])]
        if "any_" in wanted:
            rows = [row for row in rows if row["name"] in wanted["any_"]]
        else:
            pattern = re.compile(
                ".*".join(re.escape(p) for p in wanted["like_"].split("%")).replace("_", "."), re.IGNORECASE
            )
            rows = [row for row in rows if pattern.search(row["name"])]
        return 200, [_shown(row, body.get("include_secrets", False)) for row in rows[: body["limit"]]]

    def _created(self, body: dict[str, Any]) -> tuple[int, Any]:
        if not re.match("^[a-z0-9-]*$", body["name"]):
            return 422, {"exception_message": "Invalid request received.", "request_body": body}
        assert (body["block_type_id"], body["block_schema_id"]) == (TYPE, SCHEMA)
        if any(document["name"] == body["name"] for document in self._documents.values()):
            return 409, {"detail": "Block already exists"}
        document = {"id": str(uuid.uuid4()), "name": body["name"], "data": body["data"]}
        self._documents[document["id"]] = document
        return 201, _shown(document, secrets=False)

    def _changed(self, method: str, document_id: str, body: dict[str, Any]) -> tuple[int, Any]:
        document = self._documents.get(document_id)
        if document is None:
            return 404, {"detail": "Block document not found"}
        if method == "DELETE":
            del self._documents[document_id]
        elif method == "PATCH":
            # The server takes what it shows for a text as "unchanged".
            if not (body["data"]["value"] == OBFUSCATED and isinstance(document["data"]["value"], str)):
                document["data"] = document["data"] | body["data"]
        else:
            return 405, {"detail": "Method Not Allowed"}
        return 204, None


def _shown(document: dict[str, Any], secrets: bool) -> dict[str, Any]:
    value = document["data"]["value"]
    # An object's fields are not hidden; that is what Prefect 3.8 does.
    shown = value if secrets or isinstance(value, dict) else OBFUSCATED
    return {
        **document,
        "data": document["data"] | {"value": shown},
        "block_type_id": TYPE,
        "block_type_name": "Secret",
        "block_type": BLOCK_TYPE,
        "block_schema_id": SCHEMA,
        "block_schema": BLOCK_SCHEMA,
        "block_document_references": {},
        "is_anonymous": False,
        "created": "2026-03-01T00:00:00Z",
        "updated": "2026-03-01T00:00:00Z",
    }
