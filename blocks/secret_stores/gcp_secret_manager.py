"""Secrets in Google Cloud's Secret Manager.

The service has one thing that compares and sets: the etag of a secret's settings. So the record is a version of a
second secret, and an annotation of that secret says which version: it is set with the etag that was read, and the
version is read by its number, which alone is consistent. ``latest`` and aliases may lag, for minutes and sometimes for
hours: whatever is decided here, is decided by numbers. What is shown as revealed is what ``latest`` gives.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pydantic import Field, PrivateAttr, field_validator

from blocks.policies.interface import policy_error
from blocks.presentation import DOCUMENTATION_URL, LOGO_URL
from blocks.secret_stores.document import Pair
from blocks.secret_stores.gcp import gcp_records, gcp_secrets
from blocks.secret_stores.gcp.gcp_records import BESIDE, LIMIT, POINTER, Newest, Pointer
from blocks.secret_stores.gcp.gcp_secrets import UnusableError, Version
from blocks.secret_stores.interface import (
    ConflictError,
    Permission,
    Quota,
    SecretAddress,
    SecretVersion,
    SupersededError,
)
from blocks.secret_stores.record import Record
from blocks.secret_stores.sidecar import Loaded, SidecarStore
from rules.errors import PermanentError, TemporaryError, VigilesError
from rules.rotation import StepKind

if TYPE_CHECKING:
    from google.cloud.secretmanager import Secret

_T = TypeVar("_T")

LARGEST = 32_000
"""Bytes of a value: a record, of the 64 KiB that the service takes, holds two of them."""

_EPOCH = "vigiles-epoch"
_CURRENT, _PREVIOUS = "current", "previous"


class GcpSecretManagerStore(SidecarStore):
    """Keeps secrets in Google Cloud's Secret Manager.

    Consumers read ``versions/latest``, as prefect-gcp's GcpSecret does. Pending and previous versions and the journal
    are in a second secret of the same name and ``--vigiles``: whoever may read that one can read the pending value.
    Google lets ``latest`` lag for minutes, sometimes hours: choose a longer grace. Where the secret has an alias
    ``current``, it and ``previous`` are moved when a promotion is confirmed. The displaced version is disabled at the
    end of the grace and not destroyed.

    Example:
        ```python
        from blocks.secret_stores.gcp_secret_manager import GcpSecretManagerStore

        gcp_secret_manager_store = GcpSecretManagerStore.load("BLOCK_NAME")
        ```
    """

    _block_type_name: ClassVar[str | None] = "GCP Secret Manager Store"
    _block_type_slug: ClassVar[str | None] = "gcp-secret-manager-store"
    _documentation_url: ClassVar[Any] = DOCUMENTATION_URL
    _logo_url: ClassVar[Any] = LOGO_URL
    _description: ClassVar[str | None] = "Keeps secrets in Google Cloud's Secret Manager and can be rotated."

    fencing: ClassVar[str] = (
        "The record moves by compare-and-set on an etag, also just before a promotion; adding a version to the secret "
        "itself is unconditional, so a run superseded between those two calls is noticed by the number, not prevented."
    )
    quota: ClassVar[Quota] = Quota(
        "write requests of a project, 600 a minute",
        10.0,
        writes=19,
        concurrency=4,
        note="A project takes 600 reads a minute, and versions cost until they are destroyed.",
    )

    credentials: str = Field(description="GCP Credentials block of prefect-gcp, such as gcp-credentials/production.")
    project: str | None = Field(default=None, description="Project, if not that of the credentials block.")
    endpoint: str | None = Field(default=None, description="Address of the service (REST), if not Google's own.")
    _client: Any = PrivateAttr(default=None)
    _own_project: str | None = PrivateAttr(default=None)

    @field_validator("credentials")
    @classmethod
    def _credentials_slug(cls, slug: str) -> str:
        if not gcp_secrets.is_slug(slug):
            advice = "Save them as a GCP Credentials block first."
            raise policy_error("P077", "the credentials are named as gcp-credentials/NAME", advice)
        return slug

    def preflight(self, address: SecretAddress) -> None:
        """Check the name and that its newest version can be read (see ``SecretStore``)."""
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,246}", address.secret) or address.secret.endswith(BESIDE):
            advice = "Give the policy `path`: the secret's short name, of 246 characters at the most."
            raise PermanentError(f"{address.secret or 'An empty name'} cannot be a secret to rotate.", advice)
        loaded = self._load(address)
        self._state(address, loaded)
        if loaded.main is None:
            advice = f"Add one: gcloud secrets versions add {address.secret} --data-file=-"
            raise PermanentError(f"There is no secret {address.secret} with a version.", advice)

    def permissions(self, address: SecretAddress) -> tuple[Permission, ...]:
        """Return what IAM has to grant, asking Google what it does (see ``SecretStore``)."""
        main, beside = address.secret, address.secret + BESIDE
        rows = self._granted(main, gcp_records.OF_SECRET) + self._granted(beside, gcp_records.OF_RECORD)
        return (*rows, Permission("secretmanager.secrets.create", "the project", (StepKind.CLAIM,)))

    def reveal(self, address: SecretAddress, version: str) -> SecretVersion:
        """Return a version; the current one only when readers of ``latest`` get it (see ``SecretStore``)."""
        loaded = self._load(address)
        pair, newest = self._read_pair(address, loaded.main), loaded.main_revision
        behind = newest.latest != newest.number
        if behind and pair is not None and self._record(loaded).fingerprint(pair) == version:
            raise TemporaryError(
                f"Readers of {address.secret} still get version {newest.latest}, not {newest.number}.",
                "Google lets `latest` lag, mostly for minutes: run again.",
            )
        return super().reveal(address, version)

    def _load(self, address: SecretAddress) -> Loaded:
        # The record first: what is promoted after it was read shows as current, and is then recognised.
        beside = address.secret + BESIDE
        settings = self._settings(beside)
        pointer = gcp_records.pointed_at(settings)
        found = self._version(beside, pointer) if pointer else None
        main = self._settings(address.secret)
        latest = self._version(address.secret, "latest") if main is not None else None
        newest = self._newest(address.secret, latest) if main is not None else None
        return Loaded(
            newest.text if newest is not None else None,
            gcp_records.parsed(beside, found.text if found is not None else "") if pointer else None,
            main_revision=Newest(newest.number if newest else 0, latest.number if latest else 0, main),
            record_revision=Pointer(pointer, settings),
            expires_at=main.expire_time if main is not None and "expire_time" in main else None,
        )

    def _newest(self, name: str, latest: Version | None) -> Version | None:
        """Return the newest version: only numbers are consistent, and they have no gaps."""
        newest = latest
        while following := self._version(name, newest.number + 1 if newest else 1):
            newest = following
        return newest

    def _save_record(self, address: SecretAddress, loaded: Loaded, record: Record) -> None:
        text = gcp_records.packed(address.secret, record)
        if self._record(loaded).pending is not None and record.pending is None:
            self._move_aliases(address, loaded)
        name, pointer = address.secret + BESIDE, loaded.record_revision
        settings = pointer.settings
        if settings is None:
            settings = self._created(name, loaded.main_revision.settings)
        else:
            self._destroy_older(name, pointer.number)
        number = self._added(name, text) if settings is not None else 0
        if settings is None or not self._pointed(name, settings, number, record.journal.epoch):
            raise _superseded(address)

    def _save_main(self, address: SecretAddress, loaded: Loaded, text: str) -> None:
        newest, pointer = loaded.main_revision, loaded.record_revision
        # Nothing changes but the etag: whatever was read, nobody else has moved the record until now (see `fencing`).
        if not self._pointed(
            address.secret + BESIDE, pointer.settings, pointer.number, self._record(loaded).journal.epoch
        ):
            raise _superseded(address)
        if newest.settings is None and self._created(address.secret, None) is None:
            raise ConflictError(f"Somebody else created {address.secret} at the same moment.", "Run again.")
        number = self._added(address.secret, text)
        if number != newest.number + 1:
            raise ConflictError(
                f"Somebody else added a version to {address.secret} at the same moment; {number} is ours.",
                f"See which value is right: gcloud secrets versions list {address.secret}",
            )

    def _drop_previous(self, address: SecretAddress, loaded: Loaded) -> None:
        """Disable the version that was displaced, if it still holds what the record says; no other one is touched."""
        name, previous = address.secret, self._record(loaded).previous
        numbers = self._ask(f"ListSecretVersions {name}", gcp_secrets.enabled, name)
        for number in [n for n in numbers if n < loaded.main_revision.number][:3]:
            found = self._version(name, number)
            with suppress(PermanentError):
                if found is not None and previous and self._read_pair(address, found.text) == previous:
                    break
        else:
            return
        self._ask(
            f"DisableSecretVersion {number} of {name}",
            lambda client, path: gcp_secrets.disable(client, path, number),
            name,
        )

    def _with_pair(self, address: SecretAddress, text: str | None, pair: Pair) -> str:
        if len(pair[1].encode()) > LARGEST:
            raise PermanentError(f"The new value of {address} has over {LARGEST} bytes.", "Let a shorter one be made.")
        made = super()._with_pair(address, text, pair)
        if len(made.encode()) > LIMIT:
            raise PermanentError(f"{address.secret} would be larger than 64 KiB.", "Shorten it.")
        return made

    def _move_aliases(self, address: SecretAddress, loaded: Loaded) -> None:
        """Move `current` and `previous`, where somebody uses them, before the promotion is confirmed."""
        newest, pending = loaded.main_revision, self._record(loaded).pending
        aliases = dict(newest.settings.version_aliases) if newest.settings is not None else {}
        moved = aliases.get(_CURRENT, newest.number) != newest.number
        if moved and self._read_pair(address, loaded.main) == pending:
            aliases |= {_PREVIOUS: aliases[_CURRENT], _CURRENT: newest.number}
            if not self._updated(address.secret, newest.settings.etag, "version_aliases", aliases):
                raise TemporaryError(f"Somebody else changed the settings of {address.secret}.", "Run again.")

    def _granted(self, name: str, actions: Mapping[str, tuple[StepKind, ...]]) -> list[Permission]:
        found = self._ask(
            f"TestIamPermissions {name}", lambda client, path: gcp_secrets.granted(client, path, list(actions)), name
        )
        return [
            Permission(action, name, steps, granted=None if found is None else action in found)
            for action, steps in actions.items()
        ]

    def _settings(self, name: str) -> "Secret | None":
        return self._ask(f"GetSecret {name}", gcp_secrets.get, name)

    def _version(self, name: str, version: int | str) -> Version | None:
        return self._ask(
            f"AccessSecretVersion {version} of {name}",
            lambda client, path: gcp_secrets.access(client, path, version),
            name,
        )

    def _created(self, name: str, like: "Secret | None") -> "Secret | None":
        settings: dict[str, Any] = {"replication": like.replication if like is not None else {"automatic": {}}}
        return self._ask(f"CreateSecret {name}", lambda client, path: gcp_secrets.create(client, path, settings), name)

    def _added(self, name: str, text: str) -> int:
        return self._ask(f"AddSecretVersion {name}", lambda client, path: gcp_secrets.add(client, path, text), name)

    def _pointed(self, name: str, settings: "Secret", number: int, epoch: int) -> bool:
        annotations = {**settings.annotations, POINTER: str(number), _EPOCH: str(epoch)}
        return self._updated(name, settings.etag, "annotations", annotations)

    def _updated(self, name: str, etag: str, field: str, value: dict[str, Any]) -> bool:
        return self._ask(
            f"UpdateSecret {name}", lambda client, path: gcp_secrets.update(client, path, etag, field, value), name
        )

    def _destroy_older(self, name: str, pointer: int) -> None:
        numbers = self._ask(f"ListSecretVersions {name}", gcp_secrets.enabled, name)
        for number in [n for n in numbers if n < pointer]:
            self._ask(f"DestroySecretVersion {number} of {name}", _on_version(gcp_secrets.destroy, number), name)

    def _ask(self, operation: str, request: Callable[[Any, str], _T], name: str) -> _T:
        with gcp_secrets.LOCK:
            if self._client is None:
                self._client, self._own_project = gcp_secrets.make_client(self.credentials, self.endpoint)
        project = self.project or self._own_project
        if not project:
            raise PermanentError("Neither the block nor its credentials name a project.", "Give the block `project`.")
        return self._call(operation, lambda: request(self._client, f"projects/{project}/secrets/{name}"))

    def _translated(self, operation: str, error: Exception) -> VigilesError:
        if isinstance(error, UnusableError) and operation.endswith(BESIDE):
            advice = f"Run again; if it stays so and no rotation was under way, delete the secret *{BESIDE}."
            return TemporaryError(f"{operation}: the record was replaced, or destroyed.", advice)
        return gcp_secrets.translated(operation, error)


def _superseded(address: SecretAddress) -> SupersededError:
    message = f"Another run has written the record of {address.secret}."
    return SupersededError(message, "Run again when it has ended.")


def _on_version(call: Callable[[Any, str, int], _T], number: int) -> Callable[[Any, str], _T]:
    return lambda client, path: call(client, path, number)
