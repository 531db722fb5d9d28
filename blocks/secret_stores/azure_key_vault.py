"""Secrets in Azure Key Vault."""

import re
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from importlib import import_module
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, cast
from uuid import uuid4

from pydantic import ConfigDict, Field, PrivateAttr, SecretStr, field_validator, model_validator

from blocks.policies.interface import policy_error
from blocks.presentation import DOCUMENTATION_URL, LOGO_URL
from blocks.secret_stores.azure import key_vault_client, key_vault_errors, key_vault_record
from blocks.secret_stores.azure.arbiter import WRITE_WITHIN, PrefectArbiter
from blocks.secret_stores.azure.key_vault_record import VERSION, Head
from blocks.secret_stores.document import Pair
from blocks.secret_stores.interface import (
    ConflictError,
    DeniedError,
    Permission,
    Quota,
    SecretAddress,
)
from blocks.secret_stores.record import Record
from blocks.secret_stores.sidecar import Loaded, SidecarStore
from rules.errors import PermanentError, TemporaryError, VigilesError
from rules.rotation import StepKind

if TYPE_CHECKING:
    from azure.keyvault.secrets import KeyVaultSecret, SecretClient, SecretProperties

_T = TypeVar("_T")

_SUFFIX = "--vigiles"
_NAME = re.compile(rf"[0-9a-zA-Z-]{{1,{127 - len(_SUFFIX)}}}")
_VAULT = re.compile(r"https://[a-zA-Z0-9-]{3,24}\.vault\.(azure\.net|azure\.cn|usgovcloudapi\.net)/?")
_ALL = (StepKind.CLAIM, StepKind.STAGE, StepKind.PROMOTE, StepKind.CONFIRM, StepKind.FORGET)


class AzureKeyVaultStore(SidecarStore):
    """Keeps secrets in an Azure key vault and can be rotated.

    Consumers read the secret as ever. Key Vault makes every new version current at once, so what is pending sits in a
    secret beside it, ``NAME--vigiles``, with the previous value and the journal. Old versions are disabled and not
    deleted, since Key Vault deletes only whole secrets. Which run may write is arbitrated by the Prefect server.

    Example:
        ```python
        from blocks.secret_stores.azure_key_vault import AzureKeyVaultStore

        azure_key_vault_store = AzureKeyVaultStore.load("BLOCK_NAME")
        ```
    """

    _block_type_name: ClassVar[str | None] = "Azure Key Vault Store"
    _block_type_slug: ClassVar[str | None] = "azure-key-vault-store"
    _documentation_url: ClassVar[Any] = DOCUMENTATION_URL
    _logo_url: ClassVar[Any] = LOGO_URL
    _description: ClassVar[str | None] = "Keeps secrets in an Azure key vault and can be rotated."

    fencing: ClassVar[str] = (
        "Key Vault writes unconditionally: a Prefect variable gives each epoch to one run, and what a superseded run "
        "writes to the record late is passed over when it is read; but a promotion that it began within one call "
        "before it was superseded still happens, and is only detected."
    )
    quota: ClassVar[Quota] = Quota(
        "secret creations: 300 in 10 seconds in a vault",
        30.0,
        writes=12,
        note="A rotation leaves 1 version of the secret and 4 beside it; backup stops at 500 versions of a secret.",
    )

    model_config = ConfigDict(hide_input_in_errors=True)

    vault_url: str = Field(description="URL of the vault, such as https://NAME.vault.azure.net.")
    tenant_id: str | None = Field(default=None, description="Directory of the service principal, if one is used.")
    client_id: str | None = Field(default=None, description="Application id of the service principal.")
    client_secret: SecretStr | None = Field(
        default=None, description="Secret of the service principal; without one, the credential that the machine has."
    )
    _client: Any = PrivateAttr(default=None)
    _connecting: Any = PrivateAttr(default_factory=Lock)
    _arbiter: Any = PrivateAttr(default_factory=PrefectArbiter)
    # The epoch that this object claimed, by the name of the secret.
    _epochs: dict[str, int] = PrivateAttr(default_factory=dict)
    _claimant: str = PrivateAttr(default_factory=lambda: uuid4().hex)

    @field_validator("vault_url")
    @classmethod
    def _is_a_vault(cls, url: str) -> str:
        if not _VAULT.fullmatch(url):
            raise policy_error("P083", "this is not the URL of a vault", "Write https://NAME.vault.azure.net.")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _whole_principal(self) -> Self:
        parts = (self.tenant_id, self.client_id, self.client_secret)
        if any(parts) and not all(parts):
            raise policy_error(
                "P084", "a service principal is tenant, client and secret", "Give all three, or none of them."
            )
        return self

    def preflight(self, address: SecretAddress) -> None:
        """Check the names, that nothing is deleted or disabled, and that the tags fit (see ``SecretStore``)."""
        if not _NAME.fullmatch(address.secret):
            advice = f"A name is letters, digits and dashes, at most {127 - len(_SUFFIX)} of them."
            raise PermanentError(f"`{address.secret}` cannot be rotated in Key Vault.", advice)
        loaded = self._load(address)
        self._state(address, loaded)
        if loaded.record_revision is None:
            self._refuse_deleted(address.secret + _SUFFIX)
        if loaded.main_revision is not None:
            key_vault_record.check_rotatable(address.secret, loaded.main_revision)

    def permissions(self, address: SecretAddress) -> tuple[Permission, ...]:
        """Return the rights; only reading shows without a write that it is granted (see ``SecretStore``)."""
        name = address.secret
        granted = self._may(lambda: self._get(name)), self._may(lambda: self._versions(name))
        rights = (("get", granted[0], _ALL), ("list", granted[1], _ALL), ("set", None, _ALL))
        return tuple(
            Permission(f"secrets/{action}", resource, steps, granted=known)
            for action, known, steps in rights
            for resource in (name, name + _SUFFIX)
        )

    def _load(self, address: SecretAddress) -> Loaded:
        head = key_vault_record.head_of(self._versions(address.secret + _SUFFIX))
        record = self._read_record(address.secret + _SUFFIX, head) if head else None
        main = self._get(address.secret)
        if main is None:
            self._refuse_deleted(address.secret)
            return Loaded(None, record, None, head)
        return Loaded(main.value, record, main.properties, head, expires_at=main.properties.expires_on)

    def _save_record(self, address: SecretAddress, loaded: Loaded, record: Record) -> None:
        name, old = address.secret + _SUFFIX, cast("Head | None", loaded.record_revision)
        if old is None or loaded.record is None or record.journal.epoch > old.epoch:
            self._claim(address, old, record)
            return
        self._check_head(address, old)
        if record.values == loaded.record.values:
            # Tags of that very version: as a claim makes a new one, a late tag lands where nobody reads.
            tags = key_vault_record.tags_of(record, old)
            self._update(name, old.version, tags=tags)
            self._seen(address, old.version, tags)
            return
        versions = self._write(address, record, replace(old, number=old.number + 1))
        if record.pending is None and record.previous is None:
            for version in key_vault_record.dead_records(versions):
                self._update(name, version, enabled=False)

    def _claim(self, address: SecretAddress, old: Head | None, record: Record) -> None:
        """Get the epoch from the arbiter, write it as a new version, and see that it is the one that counts."""
        name, epoch, asked = address.secret + _SUFFIX, record.journal.epoch, time.monotonic()
        if old is None:
            self._refuse_deleted(name)
        claimed = f"{self.vault_url}/{address.secret}".lower()
        turn = self._call(f"ClaimEpoch {name} {epoch}", lambda: self._arbiter.claim_once(claimed, epoch))
        if not turn:
            raise key_vault_errors.superseded(str(address))
        new = Head("", epoch, turn, old.number + 1 if old else 1, self._claimant)
        if self._head(address) != old or time.monotonic() - asked > WRITE_WITHIN:
            self._call(f"WithdrawClaim {name} {epoch}", lambda: self._arbiter.withdraw(claimed, epoch))
            raise key_vault_errors.superseded(str(address))
        self._epochs[address.secret] = epoch
        self._write(address, record, new)
        self._call(f"ReleaseClaims {name} {epoch}", lambda: self._arbiter.release(claimed, epoch))

    def _save_main(self, address: SecretAddress, loaded: Loaded, text: str) -> None:
        record, main, name = loaded.record, cast("SecretProperties | None", loaded.main_revision), address.secret
        assert record is not None
        self._check_head(address, loaded.record_revision)
        before = {v.version for v in self._versions(name)}
        current = self._get(name)
        if current is not None and current.value == text:
            return
        if (current.properties.version if current else None) != (main.version if main else None):
            raise ConflictError(f"{name} was changed a moment ago.", "See who else sets it.")
        # Its expiry counts by this machine's clock, so that no version is ever without one.
        made = self._set(name, text, **key_vault_record.successor(main, record, datetime.now(UTC)))
        after = {v.version: v.tags or {} for v in self._versions(name) if v.version not in before}
        if made not in after:
            raise TemporaryError(f"The new version of {name} cannot be seen yet.", "Run again.")
        others = [tags.get(VERSION) for version, tags in after.items() if version != made]
        if any(other != record.fingerprint(record.pending) for other in others):
            message = f"{name} was set by somebody else at the moment in which it was promoted."
            raise ConflictError(message, "Look at its versions: one of the two displaced the other.")

    def _drop_previous(self, address: SecretAddress, loaded: Loaded) -> None:
        main, record = cast("SecretProperties | None", loaded.main_revision), loaded.record
        current, rotation = main.version if main else None, record.journal.rotation_id if record else ""
        versions = self._versions(address.secret)
        for version in key_vault_record.displaced_by_rotations(versions, current, rotation):
            self._update(address.secret, version, enabled=False)

    def _with_pair(self, address: SecretAddress, text: str | None, pair: Pair) -> str:
        text = super()._with_pair(address, text, pair)
        key_vault_record.check_size(text)
        return text

    def _read_record(self, name: str, head: Head) -> Record:
        secret = self._get(name, head.version)
        record = key_vault_record.record_of(secret.value, secret.properties.tags) if secret else None
        if record is None:
            advice = "Restore it; or, if no rotation was under way, delete and purge it: the next run begins anew."
            raise PermanentError(f"{name} is not what was written there.", advice)
        return record

    def _head(self, address: SecretAddress) -> Head | None:
        return key_vault_record.head_of(self._versions(address.secret + _SUFFIX))

    def _check_head(self, address: SecretAddress, old: Head | None) -> None:
        """Look just before a write whether the record is still what was loaded, and not of who took our claim over."""
        mine = old is None or self._epochs.get(address.secret) != old.epoch or old.claimant == self._claimant
        if not mine or self._head(address) != old:
            raise key_vault_errors.superseded(str(address))

    def _refuse_deleted(self, name: str) -> None:
        try:
            deleted = self._ask(f"GetDeletedSecret {name}", lambda client: client.get_deleted_secret(name))
        except DeniedError:
            # Where only this is not granted, the write will tell.
            return
        if deleted is not None:
            raise key_vault_errors.deleted(f"{self.vault_url}/secrets/{name}")

    def _get(self, name: str, version: str = "") -> "KeyVaultSecret | None":
        return self._ask(f"GetSecret {name}/{version}".rstrip("/"), lambda client: client.get_secret(name, version))

    def _versions(self, name: str) -> "list[SecretProperties]":
        # A page holds 25: one call as long as there are not more, as it is for reading only.
        return self._ask(f"ListSecretVersions {name}", lambda c: [*c.list_properties_of_secret_versions(name)]) or []

    def _write(self, address: SecretAddress, record: Record, head: Head) -> "list[SecretProperties]":
        """Write the record as a new version, and return all versions as they are seen then."""
        value, tags = key_vault_record.value_of(record), key_vault_record.tags_of(record, head)
        version = self._set(address.secret + _SUFFIX, value, tags=tags, content_type="vigiles record")
        return self._seen(address, version, tags)

    def _seen(self, address: SecretAddress, version: str, tags: dict[str, str]) -> "list[SecretProperties]":
        """See that what was just written is what counts; a superseded run learns it here at the latest."""
        versions = self._versions(address.secret + _SUFFIX)
        head = key_vault_record.head_of(versions)
        if head is None or head.version != version or tags not in [v.tags for v in versions if v.version == version]:
            raise key_vault_errors.superseded(str(address))
        return versions

    def _set(self, name: str, value: str, **properties: Any) -> str:
        client = self._connect()
        secret = self._call(f"SetSecret {name}", lambda: client.set_secret(name, value, **properties))
        return str(secret.properties.version)

    def _update(self, name: str, version: str, **changes: Any) -> None:
        client = self._connect()
        self._call(f"UpdateSecret {name}/{version}", lambda: client.update_secret_properties(name, version, **changes))

    def _ask(self, operation: str, request: "Callable[[SecretClient], _T]") -> _T | None:
        """Make a call that reads; None for what does not exist."""
        client = self._connect()
        missing: Any = import_module("azure.core.exceptions").ResourceNotFoundError

        def found() -> _T | None:
            try:
                return request(client)
            except missing:
                return None

        return self._call(operation, found)

    def _may(self, read: Callable[[], object]) -> bool | None:
        try:
            read()
        except DeniedError:
            return False
        except PermanentError:
            return None
        return True

    def _connect(self) -> "SecretClient":
        with self._connecting:
            if self._client is None:
                secret = self.client_secret.get_secret_value() if self.client_secret else None
                self._client = key_vault_client.new_client(self.vault_url, self.tenant_id, self.client_id, secret)
            return cast("SecretClient", self._client)

    def _translated(self, operation: str, error: Exception) -> VigilesError:
        return key_vault_errors.translated(operation, error)
