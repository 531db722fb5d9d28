"""Secret blocks over Prefect's API: one request a method, never repeated after a lost answer."""

import json
from collections.abc import Mapping
from threading import Lock
from typing import Any

import httpx
from prefect.client.base import ServerType
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.context import SettingsContext, get_settings_context
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES

from blocks.secret_stores.interface import DeniedError, ThrottledError
from rules.errors import PermanentError, TemporaryError, VigilesError

PAGE = 200
"""The most rows that the server returns at once (``PREFECT_SERVER_API_DEFAULT_LIMIT``)."""

SECONDS = 10.0
"""How long the server may keep one request waiting."""

Row = Mapping[str, Any]
"""A block document as the API writes it, with its secrets."""

# How often a 503 is borne: a server on SQLite says so where another request held its database, and has done nothing.
# Prefect's client waits two seconds, or as long as it is told, before it hands one on.
_PATIENCE = 2
_FILTER = "/block_documents/filter"


class SecretDocuments:
    """The Secret blocks of one server; threads may share it."""

    def __init__(self, client: SyncPrefectClient) -> None:
        """Talk to the server through a client that nobody else closes."""
        self._client = client.__enter__()
        context = get_settings_context()
        # A request that the client repeats by itself meets its own first effect, and looks like another writer's.
        self._settings = context.settings.copy_with_update(updates={PREFECT_CLIENT_MAX_RETRIES: 0})
        self._profile = context.profile
        self._lock = Lock()
        self._ids: dict[str, str] = {}

    @property
    def on_cloud(self) -> bool:
        """Whether the server is Prefect Cloud."""
        return self._client.server_type is ServerType.CLOUD

    def named(self, name: str) -> Row | None:
        """Return the document of this name, or None."""
        return next(iter(self._filtered({"any_": [name]})), None)

    def containing(self, text: str) -> list[Row]:
        """Return the documents whose names contain a text: one page, so that all are of one moment."""
        return self._filtered({"like_": text})

    def read_type(self) -> None:
        """Learn the id of the block type."""
        self._ids["block_type_id"] = self._request("GET", "/block_types/slug/secret")["id"]

    def read_schema(self) -> None:
        """Learn the id of the newest schema of the block type."""
        wanted = {"block_type_id": {"any_": [self._ids["block_type_id"]]}}
        rows = self._request("POST", "/block_schemas/filter", {"block_schemas": wanted, "limit": 1})
        self._ids["block_schema_id"] = rows[0]["id"]

    def create(self, name: str, value: object, like: Row | None) -> str | None:
        """Create a document and return its id, or None where there is one of this name.

        Args:
            name: of the document.
            value: what it holds.
            like: a document whose type and schema it gets; None where ``read_type`` and ``read_schema`` were called.
        """
        ids = like or self._ids
        body = {"name": name, "data": {"value": value}} | {k: ids[k] for k in ("block_type_id", "block_schema_id")}
        try:
            return str(self._request("POST", "/block_documents/", body)["id"])
        except PrefectHTTPStatusError as error:
            if error.response.status_code != httpx.codes.CONFLICT:
                raise
            return None

    def replace(self, document_id: str, value: object) -> bool:
        """Replace what a document holds; return whether it was there."""
        return self._found("PATCH", document_id, {"data": {"value": value}})

    def delete(self, document_id: str) -> bool:
        """Delete a document; return whether it was there."""
        return self._found("DELETE", document_id)

    def _found(self, method: str, document_id: str, body: Mapping[str, Any] | None = None) -> bool:
        try:
            self._request(method, f"/block_documents/{document_id}", body)
        except PrefectHTTPStatusError as error:
            if error.response.status_code != httpx.codes.NOT_FOUND:
                raise
            return False
        return True

    def _filtered(self, name: Mapping[str, Any]) -> list[Row]:
        body = {
            "block_types": {"slug": {"any_": ["secret"]}},
            "block_documents": {"name": name, "is_anonymous": {"eq_": False}},
            "include_secrets": True,
            "limit": PAGE,
        }
        rows: list[Row] = self._request("POST", _FILTER, body)
        return rows

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        with SettingsContext(profile=self._profile, settings=self._settings):
            for _ in range(_PATIENCE):
                try:
                    return self._sent(method, path, body)
                except PrefectHTTPStatusError as error:
                    if error.response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                        raise
            return self._sent(method, path, body)

    def _sent(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        answer = self._client.request(method, path, json=body)  # type: ignore[arg-type]
        return answer.json() if answer.content else None


def own_client() -> SyncPrefectClient:
    """Return a client of the server that Prefect's settings name, and not the one that a run shares and closes.

    Raises:
        PermanentError: if the settings name none.
    """
    try:
        return get_client(httpx_settings={"timeout": SECONDS}, sync_client=True)
    except ValueError:
        raise PermanentError("Prefect's settings name no server.", "Set PREFECT_API_URL.") from None


def explained(operation: str, error: Exception) -> VigilesError:
    """Return our error for one of Prefect's client. Its text is left out: the server echoes what it refuses."""
    if isinstance(error, httpx.HTTPStatusError):
        return _refusal(operation, error.response.status_code)
    if isinstance(error, httpx.HTTPError | OSError | json.JSONDecodeError):
        problem = f"Prefect's API did not answer {operation} properly ({type(error).__name__})."
        return TemporaryError(problem, "Check that the server runs and can be reached.")
    return PermanentError(f"{operation} failed ({type(error).__name__}).", "Check the versions of client and server.")


def _refusal(operation: str, status: int) -> VigilesError:
    message = f"Prefect's API answered {status} to {operation}."
    if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        return DeniedError(message, "Give the run's API key, or the auth string, the right to manage blocks.")
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return ThrottledError(message, "Wait, or rotate fewer secrets at a time.")
    if status >= httpx.codes.INTERNAL_SERVER_ERROR or status == httpx.codes.REQUEST_TIMEOUT:
        return TemporaryError(message, "Look at the server's log, then run again.")
    return PermanentError(message, "Check the versions of client and server.")
