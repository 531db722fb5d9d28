"""A server of HashiCorp Vault or OpenBao: its address, the client of it, and what its KV engine says of a path."""

from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from blocks.secret_stores.vault import vault_numbers
from rules.errors import PermanentError

if TYPE_CHECKING:
    from hvac import Client

SECONDS = 5
"""For each connection and each answer."""


@dataclass(frozen=True, slots=True, repr=False)
class Version:
    """What KV version 2 holds at a path.

    Attributes:
        fields: of the secret, or None where there is none or the version is deleted.
        number: of the version; 0 where there never was one.
        ends_at: when the server will delete it (aware, UTC), or None.
    """

    fields: dict[str, Any] | None
    number: int
    ends_at: datetime | None = None


def new_client(url: str, namespace: str | None, ca_file: str | None) -> "Client":
    """Return a client that has not logged in; nothing of the environment's or the home's tokens is used.

    Raises:
        PermanentError: if hvac is not installed.
    """
    try:
        hvac = import_module("hvac")
    except ImportError:
        raise PermanentError(
            "hvac, which talks to Vault and OpenBao, is not installed.", "Install it: pip install 'vigiles[vault]'"
        ) from None
    # An empty token and not None, for which hvac would look in VAULT_TOKEN and in ~/.vault-token.
    made: Client = hvac.Client(url=url, token="", namespace=namespace, verify=ca_file or True, timeout=SECONDS)
    made.adapter.session.hooks["response"].append(vault_numbers.keep)
    return made


def read_version(client: "Client", mount: str, path: str, version: int | None) -> Version:
    """Return what KV version 2 holds at a path; a path without anything is version 0.

    Args:
        client: makes the call.
        mount: of the engine.
        path: of the secret.
        version: an older one; None for the current one.

    Raises:
        hvac.exceptions.VaultError: if it is not known what is there.
    """
    invalid_path = import_module("hvac.exceptions").InvalidPath
    try:
        found: Any = client.secrets.kv.v2.read_secret_version(
            path, version, mount_point=mount, raise_on_deleted_version=True
        )
    except invalid_path as error:
        # A deleted version is told with its number, which keeps counting; where nothing is, there is no word at all;
        # a mount that does not exist is told in words.
        if error.errors:
            raise
        found = error.json
    if not found.get("data"):
        return Version(None, 0)
    fields, about = found["data"]["data"], found["data"]["metadata"]
    ends = datetime.fromisoformat(about["deletion_time"]) if fields is not None and about["deletion_time"] else None
    return Version(fields, int(about["version"]), ends)


def is_kv_2(client: "Client", mount_path: str) -> bool:
    """Tell whether a mount is a KV engine of version 2.

    Args:
        client: makes the call.
        mount_path: below ``sys/internal/ui/mounts``, which the `vault kv` command asks first, too: no policy has to
            grant it.
    """
    mount: Any = client.adapter.get(f"/v1/{quote(mount_path)}")["data"]
    return mount["type"] in {"kv", "generic"} and (mount.get("options") or {}).get("version") == "2"


def held_versions(client: "Client", mount: str, path: str) -> set[int]:
    """Return the numbers of the versions of a secret that are neither deleted nor destroyed."""
    found: Any = client.secrets.kv.v2.read_secret_metadata(path, mount_point=mount)
    rows = found["data"]["versions"]
    return {int(n) for n, row in rows.items() if not (row["destroyed"] or row["deletion_time"])}


def fault_of_address(url: str) -> str | None:
    """Return what is wrong with a server's address, or None where it will do."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "`address` is no URL"
    if parts.scheme not in {"https", "http"} or not host:
        return "`address` is no URL of a server"
    if parts.username or parts.password or parts.query or parts.fragment or parts.path.strip("/"):
        return "`address` has more in it than scheme, host and port"
    if parts.scheme == "http" and not _is_loopback(host):
        return "`address` is http, and secrets would cross the network in the clear"
    return None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
