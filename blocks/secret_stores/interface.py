"""What a secret store must be able to do, the values it deals in, and its errors.

A store keeps three versions of a secret apart: *current*, which consumers read by the habits of the ecosystem;
*pending*, which no consumer ever sees; *previous*. Beside them it keeps the journal of the rotation, without values.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, TypeVar

from prefect.blocks.core import Block
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from rules.errors import PermanentError, TemporaryError, VigilesError
from rules.rotation import Journal, StepKind

_T = TypeVar("_T")


class SupersededError(TemporaryError):
    """Another run has claimed a newer epoch: nothing was written, and this run has to stop."""


class ThrottledError(TemporaryError):
    """The store asks for fewer calls a second."""


class ConflictError(PermanentError):
    """The store holds something else than the caller expects; nothing was written."""


class DeniedError(PermanentError):
    """The store's credential may not make this call."""


class VersionGoneError(TemporaryError):
    """The store no longer holds the version that was asked for: what the caller saw of it is out of date."""


@dataclass(frozen=True, slots=True)
class SecretAddress:
    """Where in a store a secret is.

    Attributes:
        password: the key (of a store that is one document) or the JSON field (of a secret that is one) whose value
            rotates; empty where the whole secret is the value.
        username: the key or field of the account's name, where the account rotates too.
        secret: the secret's name or path in the store; empty in a store that is one document.
    """

    password: str = ""
    username: str | None = None
    secret: str = ""

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key or field that a promotion writes."""
        return (self.password,) if self.username is None else (self.username, self.password)

    def __str__(self) -> str:
        return "#".join(part for part in (self.secret, self.password) if part)


class SecretVersion(BaseModel):
    """One version of a secret; its representation never shows the value."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    id: str = Field(description="Names the version; says nothing of its value.")
    username: str | None = Field(default=None, description="The account, where the secret is a pair.")
    password: SecretStr = Field(description="The value.")


@dataclass(frozen=True, slots=True)
class StoreState:
    """What a store says of one secret, without any value.

    Attributes:
        current: id of the version that consumers read, or None.
        pending: id of the staged version, or None; once promoted, the same as ``current`` until it is confirmed.
        previous: id of the version that was current before, while it is kept, or None.
        journal: the rotation's journal; an empty one where there is none.
        expires_at: when the store says that the secret expires (aware, UTC), or None.
    """

    current: str | None
    pending: str | None
    previous: str | None
    journal: Journal
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Permission:
    """One right that a rotation needs.

    Attributes:
        action: what the provider calls it.
        resource: on what.
        steps: the steps that use it.
        granted: whether the store's credential has it, or None where only the call itself would tell.
    """

    action: str
    resource: str
    steps: tuple[StepKind, ...]
    granted: bool | None = None


@dataclass(frozen=True, slots=True)
class Quota:
    """What a provider allows, and how much of it a rotation takes.

    Attributes:
        name: of the quota, in the provider's words.
        writes_per_second: that the provider allows for all secrets together; None for no stated limit.
        writes: remote writes of one rotation, from claim to forget.
        concurrency: rotations at a time with which a run begins; it adapts to what the provider bears.
        note: what else is limited, such as versions kept.
    """

    name: str
    writes_per_second: float | None
    writes: int
    concurrency: int = 8
    note: str = ""


class SecretStore(Block, ABC):
    """A place that keeps secrets and can be rotated.

    Every write is refused with ``SupersededError`` unless it comes from the newest claimed epoch, and repeating a write
    that succeeded is a success. Any method raises ``TemporaryError`` where the same call may succeed later and
    ``PermanentError`` where somebody has to act; no error ever holds a value. Methods may be called from several
    threads at a time, for different secrets.

    Attributes:
        fencing: what keeps a superseded run from writing here, in one sentence.
        quota: what the provider allows.
    """

    fencing: ClassVar[str]
    quota: ClassVar[Quota]

    @abstractmethod
    def preflight(self, address: SecretAddress) -> None:
        """Check, without writing, that the secret could be rotated here.

        Raises:
            TemporaryError, PermanentError: if it could not, saying what to repair.
        """

    @abstractmethod
    def permissions(self, address: SecretAddress) -> tuple[Permission, ...]:
        """Return every right that a rotation needs, asking the provider which are granted where it can tell."""

    @abstractmethod
    def observe(self, address: SecretAddress) -> StoreState:
        """Return pointers and journal, from one consistent moment as far as the store has one."""

    @abstractmethod
    def reveal(self, address: SecretAddress, version: str) -> SecretVersion:
        """Return a version with its value, current ones by the path that consumers use.

        Raises:
            VersionGoneError: if none of the three pointers names that version.
        """

    @abstractmethod
    def claim(self, address: SecretAddress, seen: StoreState, journal: Journal) -> StoreState:
        """Claim the next epoch, so that writes of every earlier one are refused, and write its journal.

        Args:
            address: the secret.
            seen: what was observed.
            journal: the journal to write; its epoch is that of ``seen`` and one.

        Returns:
            What is true after the claim.

        Raises:
            SupersededError: if the journal is another one by now: another epoch, or a late write of the same one.
        """

    @abstractmethod
    def record(self, address: SecretAddress, journal: Journal) -> StoreState:
        """Replace the journal; versions stay as they are."""

    @abstractmethod
    def stage(self, address: SecretAddress, journal: Journal, username: str | None, password: SecretStr) -> StoreState:
        """Store a version as pending, durably, and note it in the journal; one that is pending already is kept."""

    @abstractmethod
    def promote(
        self, address: SecretAddress, journal: Journal, pending: str, expected_current: str | None
    ) -> StoreState:
        """Make the pending version current, at once for all keys, and keep the one before as previous.

        Raises:
            ConflictError: if current or pending is not what the caller expects.
        """

    @abstractmethod
    def confirm(self, address: SecretAddress, journal: Journal) -> StoreState:
        """Replace the journal by one in which the promoted version is confirmed, and drop the mark of pending.

        Raises:
            ConflictError: if the current version is not the one that was pending.
        """

    @abstractmethod
    def discard(self, address: SecretAddress, journal: Journal, pending: str) -> StoreState:
        """Drop the pending version, which was not promoted, and replace the journal.

        Raises:
            ConflictError: if the pending version is another one, or is current.
        """

    @abstractmethod
    def forget(self, address: SecretAddress, journal: Journal, previous: str) -> StoreState:
        """Drop the previous version as far as the store can drop one, and replace the journal.

        Raises:
            ConflictError: if the previous version is another one.
        """

    @abstractmethod
    def _translated(self, operation: str, error: Exception) -> VigilesError:
        """Return our error for one that a client raised in a remote call; without its text, which may hold a value."""

    def _call(self, operation: str, request: Callable[[], _T]) -> _T:
        """Make one remote call; every one of the store's passes here.

        Args:
            operation: the provider's name of the call and what it concerns, such as ``GetSecretValue prod/db``.
            request: makes the call.

        Raises:
            VigilesError: for whatever the call raised.
        """
        try:
            return request()
        except VigilesError:
            raise
        except Exception as error:  # noqa: BLE001 - each store says what its client's errors mean
            failure = self._translated(operation, error)
        # Outside of `except`: the cause may hold a value.
        raise failure
