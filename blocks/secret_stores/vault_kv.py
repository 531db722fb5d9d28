"""Secrets in a KV version 2 secrets engine of HashiCorp Vault or OpenBao."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar, cast

from pydantic import ConfigDict, Field, PrivateAttr, SecretStr, field_validator, model_validator

from blocks.policies.interface import policy_error
from blocks.presentation import DOCUMENTATION_URL, LOGO_URL
from blocks.secret_stores.document import Pair
from blocks.secret_stores.interface import DeniedError, Permission, Quota, SecretAddress
from blocks.secret_stores.record import Record, record_from_json
from blocks.secret_stores.sidecar import Loaded, SidecarStore
from blocks.secret_stores.vault import vault_errors, vault_numbers, vault_permissions, vault_server
from blocks.secret_stores.vault.vault_server import Version
from rules.errors import PermanentError, VigilesError

if TYPE_CHECKING:
    from hvac import Client

_T = TypeVar("_T")

LARGEST = 128 * 1024
"""Characters of a secret's JSON. The record holds two values, and Consul storage takes no more than 512 KiB."""

_SUFFIX = "--vigiles"
_NEEDED = {"token": ("token",), "approle": ("role_id", "secret_id"), "kubernetes": ("role",)}


class VaultKvStore(SidecarStore):
    """Keeps secrets in a KV version 2 secrets engine of HashiCorp Vault or OpenBao.

    A secret is a path with fields; a policy names the fields that rotate, and the others stay as they are. Numbers are
    kept as JSON doubles: a secret with one that such cannot hold is refused before it is staged. Consumers read the
    path as ever. Pending and previous versions and the journal are in a second secret beside it, of the same path and
    ``--vigiles``: whoever may read that one can read the pending value.

    Example:
        ```python
        from blocks.secret_stores.vault_kv import VaultKvStore

        vault_kv_store = VaultKvStore.load("BLOCK_NAME")
        ```
    """

    _block_type_name: ClassVar[str | None] = "Vault KV Store"
    _block_type_slug: ClassVar[str | None] = "vault-kv-store"
    _documentation_url: ClassVar[Any] = DOCUMENTATION_URL
    _logo_url: ClassVar[Any] = LOGO_URL
    _description: ClassVar[str | None] = "Keeps secrets in KV version 2 of HashiCorp Vault or OpenBao; can be rotated."

    fencing: ClassVar[str] = (
        "Every write carries the version that was read (check-and-set), and a claim over a pending value writes the "
        "secret again, unchanged, so that whoever read it before cannot promote any more."
    )
    compares_main: ClassVar[bool] = True
    quota: ClassVar[Quota] = Quota(
        "rate limit quotas, where the operator has set some", None, writes=6, note="Retired values are destroyed."
    )

    model_config = ConfigDict(hide_input_in_errors=True)

    address: str = Field(description="URL of the server, such as https://vault.example:8200; http on a loopback only.")
    mount: str = Field(default="secret", description="Path where the KV version 2 engine is mounted.", min_length=1)
    namespace: str | None = Field(default=None, description="Namespace, where the server has some.")
    ca_file: str | None = Field(default=None, description="File of the certificate authority, if it is a private one.")
    authentication: Literal["token", "approle", "kubernetes"] = Field(
        default="approle", description="How to log in; a token is not renewed and ends when it ends."
    )
    auth_mount: str | None = Field(
        default=None, description="Path where the login method is mounted, if not at its own name."
    )
    token: SecretStr | None = Field(default=None, description="The token, for token.")
    role_id: str | None = Field(default=None, description="The id of the role, for approle.")
    secret_id: SecretStr | None = Field(default=None, description="The secret id, for approle.")
    role: str | None = Field(default=None, description="The name of the role, for kubernetes.")
    service_account_token_path: Path = Field(
        default=Path("/var/run/secrets/kubernetes.io/serviceaccount/token"),
        description="File of the pod's service account token, for kubernetes.",
    )
    _client: Any = PrivateAttr(default=None)
    _lock: Any = PrivateAttr(default_factory=Lock)

    @field_validator("address")
    @classmethod
    def _is_private(cls, address: str) -> str:
        fault = vault_server.fault_of_address(address)
        if fault is not None:
            raise policy_error("P078", fault, "Write for example https://vault.example:8200.")
        return address.rstrip("/")

    @field_validator("mount")
    @classmethod
    def _without_slashes(cls, mount: str) -> str:
        return mount.strip("/")

    @model_validator(mode="after")
    def _can_log_in(self) -> Self:
        missing = [name for name in _NEEDED[self.authentication] if not getattr(self, name)]
        if missing:
            names = " and ".join(f"`{name}`" for name in missing)
            raise policy_error("P079", f"to log in by {self.authentication} takes {names}", "Give it to the block.")
        return self

    def preflight(self, address: SecretAddress) -> None:
        """Check the engine's version, and that the secret exists and has the fields (see ``SecretStore``)."""
        path = f"sys/internal/ui/mounts/{self.mount}/{_path(address)}"
        if not self._ask(f"read {path}", lambda client: vault_server.is_kv_2(client, path)):
            raise PermanentError(
                f"{self.mount} is not a KV version 2 engine.", f"Run: vault kv enable-versioning {self.mount}"
            )
        loaded = self._load(address)
        if loaded.main is None:
            raise self._missing(address, deleted=bool(loaded.main_revision))
        # Fails where a field is missing or no text, as the promotion would.
        self._with_pair(address, loaded.main, ("account", "value"))

    def permissions(self, address: SecretAddress) -> tuple[Permission, ...]:
        """Return the capabilities, as the server tells them of the login's policies (see ``SecretStore``)."""
        path = _path(address)
        needed = vault_permissions.needed(self.mount, path, path + _SUFFIX)
        paths = sorted({permission.resource for permission in needed})
        try:
            found = self._ask("read the capabilities", lambda client: vault_permissions.capabilities(client, paths))
        except DeniedError:
            return needed
        return tuple(replace(row, granted=not {row.action, "root"}.isdisjoint(found[row.resource])) for row in needed)

    def _load(self, address: SecretAddress) -> Loaded:
        # The record first: what is promoted after it was read shows as current, and is then recognised.
        path = _path(address)
        record, main = self._read(path + _SUFFIX), self._read(path)
        return Loaded(
            None if main.fields is None else json.dumps(main.fields),
            self._parsed(path, record.fields),
            main_revision=main.number,
            record_revision=record.number,
            expires_at=main.ends_at,
        )

    def _save_record(self, address: SecretAddress, loaded: Loaded, record: Record) -> None:
        path = _path(address) + _SUFFIX
        if not loaded.record_revision:
            self._keep_one_version(path)
        self._write(f"{vault_errors.RECORD}{self.mount}/data/{path}", path, record.to_json(), loaded.record_revision)

    def _save_main(self, address: SecretAddress, loaded: Loaded, text: str) -> None:
        path = _path(address)
        fields = vault_numbers.fields_of(f"{self.mount}/{path}", text)
        self._write(f"write {self.mount}/data/{path}", path, fields, loaded.main_revision)

    def _drop_previous(self, address: SecretAddress, loaded: Loaded) -> None:
        """Destroy the secret's versions that hold the previous pair; where that is not granted, they stay."""
        previous = loaded.record.previous if loaded.record else None
        if previous is None:
            return
        path = _path(address)
        try:
            dead = [*self._versions_with(address, path, previous, loaded)]
            if dead:
                self._ask(
                    f"destroy versions of {self.mount}/destroy/{path}",
                    lambda client: client.secrets.kv.v2.destroy_secret_versions(path, dead, mount_point=self.mount),
                )
        except DeniedError:
            # The credential in them is dead; `permissions` shows that they are kept.
            return

    def _versions_with(self, address: SecretAddress, path: str, previous: Pair, loaded: Loaded) -> Iterator[int]:
        """Yield from the newest, up to the first that holds neither the previous pair nor the current one."""
        current = self._read_pair(address, loaded.main)
        for version in self._older_versions(path, loaded.main_revision):
            pair = self._pair_in(address, self._read(path, version).fields)
            if pair == previous:
                yield version
            elif pair != current:
                return

    def _older_versions(self, path: str, current: int) -> list[int]:
        held = self._ask(
            f"read {self.mount}/metadata/{path}",
            lambda client: vault_server.held_versions(client, self.mount, path),
        )
        return sorted((version for version in held if version < current), reverse=True)

    def _pair_in(self, address: SecretAddress, fields: dict[str, Any] | None) -> Pair | None:
        try:
            return self._read_pair(address, None if fields is None else json.dumps(fields))
        except PermanentError:
            return None

    def _keep_one_version(self, path: str) -> None:
        """Let the server drop each version of the record as the next one is written, as old ones hold dead values."""
        try:
            self._ask(
                f"limit the versions of {self.mount}/metadata/{path}",
                lambda client: client.secrets.kv.v2.update_metadata(path, max_versions=1, mount_point=self.mount),
            )
        except DeniedError:
            return

    def _read(self, path: str, version: int | None = None) -> Version:
        what = f"read {self.mount}/data/{path}" + (f" version {version}" if version else "")
        return self._ask(what, lambda client: vault_server.read_version(client, self.mount, path, version))

    def _write(self, operation: str, path: str, fields: dict[str, Any], revision: int) -> None:
        self._ask(
            operation,
            lambda client: client.secrets.kv.v2.create_or_update_secret(
                path, fields, cas=revision, mount_point=self.mount
            ),
        )

    def _parsed(self, path: str, fields: dict[str, Any] | None) -> Record | None:
        try:
            return None if fields is None else record_from_json(fields)
        except (KeyError, TypeError, ValueError, AttributeError):
            pass
        raise PermanentError(
            f"{self.mount}/{path}{_SUFFIX} is not what was written there.",
            "Restore it; or, if no rotation was under way, delete it: the next run starts from the current value.",
        )

    def _with_pair(self, address: SecretAddress, text: str | None, pair: Pair) -> str:
        if text is None:
            raise self._missing(address)
        text, where = super()._with_pair(address, text, pair), f"{self.mount}/{_path(address)}"
        if len(text) > LARGEST:
            raise PermanentError(f"{where} would be too large.", f"Keep it under {LARGEST} bytes.")
        vault_numbers.fields_of(where, text)
        return text

    def _missing(self, address: SecretAddress, *, deleted: bool = False) -> PermanentError:
        path = _path(address)
        if deleted:
            advice = f"Undelete it: vault kv undelete -mount={self.mount} -versions=N {path}"
            return PermanentError(f"{self.mount}/{path} is deleted.", advice)
        return PermanentError(f"There is no secret {self.mount}/{path}.", "Store the first version, with its fields.")

    def _ask(self, operation: str, request: "Callable[[Client], _T]") -> _T:
        """Make one call; once more after a new login where it is denied, as the login may have ended meanwhile."""
        client = self._logged_in()
        try:
            return self._call(operation, lambda: request(client))
        except DeniedError:
            if self.authentication == "token":
                raise
        with self._lock:
            # Unless another thread has logged in again already.
            self._client = None if self._client is client else self._client
        client = self._logged_in()
        return self._call(operation, lambda: request(client))

    def _logged_in(self) -> "Client":
        with self._lock:
            if self._client is None:
                client = vault_server.new_client(self.address, self.namespace, self.ca_file)
                self._log_in(client)
                self._client = client
            return cast("Client", self._client)

    def _log_in(self, client: "Client") -> None:
        if self.authentication == "token":
            client.token = _shown(self.token)
            return
        mount = self.auth_mount or self.authentication

        def request() -> None:
            if self.authentication == "approle":
                client.auth.approle.login(self.role_id, _shown(self.secret_id), mount_point=mount)
            else:
                token = self.service_account_token_path.read_text().strip()
                client.auth.kubernetes.login(self.role, token, mount_point=mount)

        self._call(f"log in at auth/{mount}", request)

    def _translated(self, operation: str, error: Exception) -> VigilesError:
        return vault_errors.explained(operation, error)


def _path(address: SecretAddress) -> str:
    if not address.secret.strip("/") or not address.password:
        raise PermanentError("A KV secret has a path and fields.", "Give the policy `path` and `key`, or `keys`.")
    return address.secret.strip("/")


def _shown(secret: SecretStr | None) -> str:
    assert secret is not None
    return secret.get_secret_value()
