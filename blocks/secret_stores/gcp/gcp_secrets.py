"""Calls of Google Cloud's Secret Manager, one function each, and what its errors mean. The SDK is imported late."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from threading import Lock
from typing import TYPE_CHECKING, Any

from blocks.block_loading import load_block
from blocks.secret_stores.interface import DeniedError, ThrottledError
from rules.errors import PermanentError, TemporaryError, VigilesError

if TYPE_CHECKING:
    from google.cloud.secretmanager import Secret, SecretManagerServiceClient

LOCK = Lock()
"""To be held while a client is made."""

# A repeated call is the engine's own decision: a lost answer may be that of a write.
_ONCE: dict[str, Any] = {"retry": None, "timeout": 5.0}
_PREFIX = "gcp-credentials/"
_SERVER_STATUS = 500


class UnusableError(Exception):
    """A version is there and cannot be read: disabled, destroyed, or its key is."""


class DamagedError(Exception):
    """What arrived has another checksum than what was sent."""


@dataclass(frozen=True, slots=True, repr=False)
class Version:
    """A version with its payload."""

    number: int
    text: str


def is_slug(text: str) -> bool:
    """Return whether a text names a GCP Credentials block."""
    return text.startswith(_PREFIX) and text != _PREFIX


def make_client(slug: str, endpoint: str | None) -> "tuple[SecretManagerServiceClient, str | None]":
    """Return a client, and the project of its credentials.

    Args:
        slug: of the credentials block, such as ``gcp-credentials/production``.
        endpoint: address of a service that is asked by REST; None for Google's own.

    Raises:
        TemporaryError: if Prefect's server does not answer.
        PermanentError: if an extra is missing, there is no such block, or it cannot be used.
    """
    try:
        secretmanager = import_module("google.cloud.secretmanager")
        kind = import_module("prefect_gcp.credentials").GcpCredentials
        import_module("google_crc32c")
    except ImportError:
        raise PermanentError(
            "prefect-gcp, which talks to Google Cloud, is not installed.", "Install it: pip install 'vigiles[gcp]'"
        ) from None
    block: Any = load_block(slug, kind, "Save a GCP Credentials block of that name.")
    failure: VigilesError
    try:
        credentials = block.get_credentials_from_service_account()
        if endpoint is None:
            return secretmanager.SecretManagerServiceClient(credentials=credentials), block.project
        client = secretmanager.SecretManagerServiceClient(
            credentials=credentials, client_options={"api_endpoint": endpoint}, transport="rest"
        )
    except ValueError:
        failure = PermanentError(f"Block {slug} holds no usable key.", "Save it again, with a whole key.")
    except Exception as error:  # noqa: BLE001 - whatever Google's libraries think of a key
        failure = translated(f"the client of {slug}", error)
    else:
        return client, block.project
    # Outside of `except`: the cause may hold the key.
    raise failure


def get(client: "SecretManagerServiceClient", name: str) -> "Secret | None":
    """Return a secret's settings, or None where there is no such secret."""
    try:
        return client.get_secret(request={"name": name}, **_ONCE)
    except _exceptions().NotFound:
        return None


def create(client: "SecretManagerServiceClient", name: str, settings: Mapping[str, Any]) -> "Secret | None":
    """Return the new secret, or None where there is one of that name."""
    parent, _, short = name.partition("/secrets/")
    try:
        return client.create_secret(request={"parent": parent, "secret_id": short, "secret": settings}, **_ONCE)
    except _exceptions().Conflict:
        return None


def update(client: "SecretManagerServiceClient", name: str, etag: str, field: str, value: Mapping[str, Any]) -> bool:
    """Replace one of a secret's maps; return False where the etag is not the secret's any more."""
    secret = {"name": name, "etag": etag, field: dict(value)}
    try:
        client.update_secret(request={"secret": secret, "update_mask": {"paths": [field]}}, **_ONCE)
    except _exceptions().BadRequest as error:
        if not _is_precondition(error):
            raise
        return False
    return True


def access(client: "SecretManagerServiceClient", name: str, version: int | str) -> Version | None:
    """Return a version, or None where there is none of that number.

    Raises:
        UnusableError: if it is there and cannot be read.
        DamagedError: if its checksum is wrong.
    """
    try:
        answer = client.access_secret_version(request={"name": f"{name}/versions/{version}"}, **_ONCE)
    except _exceptions().NotFound:
        return None
    except _exceptions().BadRequest as error:
        if not _is_precondition(error):
            raise
        unusable = UnusableError()
    else:
        payload = answer.payload
        if "data_crc32c" in payload and payload.data_crc32c != _checksum(payload.data):
            raise DamagedError
        return Version(int(answer.name.rpartition("/")[2]), payload.data.decode())
    raise unusable


def add(client: "SecretManagerServiceClient", name: str, text: str) -> int:
    """Add a version; return its number."""
    data = text.encode()
    payload = {"data": data, "data_crc32c": _checksum(data)}
    made = client.add_secret_version(request={"parent": name, "payload": payload}, **_ONCE)
    return int(made.name.rpartition("/")[2])


def enabled(client: "SecretManagerServiceClient", name: str) -> list[int]:
    """Return the numbers of a secret's newest enabled versions, newest first."""
    request = {"parent": name, "filter": "state:ENABLED", "page_size": 25}
    page = next(iter(client.list_secret_versions(request=request, **_ONCE).pages))
    numbers = [int(row.name.rpartition("/")[2]) for row in page.versions if row.state.name == "ENABLED"]
    return sorted(numbers, reverse=True)


def destroy(client: "SecretManagerServiceClient", name: str, version: int) -> None:
    """Destroy a version; one that was destroyed stays so."""
    try:
        client.destroy_secret_version(request={"name": f"{name}/versions/{version}"}, **_ONCE)
    except _exceptions().BadRequest as error:
        if not _is_precondition(error):
            raise


def disable(client: "SecretManagerServiceClient", name: str, version: int) -> None:
    """Disable a version."""
    client.disable_secret_version(request={"name": f"{name}/versions/{version}"}, **_ONCE)


def granted(client: "SecretManagerServiceClient", name: str, permissions: list[str]) -> set[str] | None:
    """Return which of the permissions the credentials have on a secret, or None where there is no such secret."""
    try:
        answer = client.test_iam_permissions(request={"resource": name, "permissions": permissions}, **_ONCE)
    except _exceptions().NotFound:
        return None
    return set(answer.permissions)


def translated(operation: str, error: Exception) -> VigilesError:
    """Return our error for one that a call raised; never with its text, which may hold a value."""
    own = _own(operation, error)
    if own is not None:
        return own
    known = _exceptions()
    if not isinstance(error, known.GoogleAPICallError) or not isinstance(error.code, int):
        return _without_answer(operation, error)
    advice = "Renew the credentials block."
    if isinstance(error, known.TooManyRequests):
        return ThrottledError(f"Google asks for fewer calls ({operation}).", "Run fewer rotations at a time.")
    if isinstance(error, known.Forbidden):
        advice = "Grant it (`permissions` lists what a rotation needs), and the use of the key if it is the team's own."
    if isinstance(error, known.Forbidden | known.Unauthorized):
        return DeniedError(f"Google does not allow {operation}.", advice)
    kind = type(error).__name__
    if error.code >= _SERVER_STATUS or isinstance(error, known.Aborted):
        return TemporaryError(f"Google failed at {operation} ({kind}).", "Run again; it may also have been done.")
    advice = "Look at the secret, and at its key (CMEK) if it has one of its own."
    return PermanentError(f"Google refuses {operation} ({kind}).", advice)


def _own(operation: str, error: Exception) -> VigilesError | None:
    if isinstance(error, UnicodeDecodeError):
        return PermanentError(f"{operation} answered no text.", "Only a text (UTF-8) can be rotated.")
    if isinstance(error, DamagedError):
        return TemporaryError(f"{operation} answered something damaged on its way.", "Run again.")
    if isinstance(error, UnusableError):
        advice = "Enable it or add a version; if its key (CMEK) is disabled, enable that."
        return PermanentError(f"{operation} found a version that nobody can read.", advice)
    return None


def _without_answer(operation: str, error: Exception) -> VigilesError:
    kind, google = type(error).__name__, import_module("google.auth.exceptions")
    if isinstance(error, google.RefreshError | google.DefaultCredentialsError):
        return DeniedError(f"Google does not accept the credentials ({operation}).", "Renew the credentials block.")
    lost = OSError | _exceptions().RetryError | google.TransportError | import_module("requests").RequestException
    if isinstance(error, lost):
        advice = "Check the network; it may also have been done."
        return TemporaryError(f"Google did not answer {operation} ({kind}).", advice)
    return PermanentError(f"Google could not be asked for {operation} ({kind}).", "Look at the block and the name.")


def _is_precondition(error: Any) -> bool:
    """Return whether a refusal is FAILED_PRECONDITION; by REST it is known only by the answer's text."""
    if isinstance(error, _exceptions().FailedPrecondition):
        return True
    try:
        return bool(error.response.json()["error"]["status"] == "FAILED_PRECONDITION")
    except (AttributeError, KeyError, TypeError, ValueError):
        return False


def _exceptions() -> Any:
    return import_module("google.api_core.exceptions")


def _checksum(data: bytes) -> int:
    return int(import_module("google_crc32c").value(data))
