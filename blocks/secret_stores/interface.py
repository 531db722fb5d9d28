"""What a secret store must be able to do, the values it deals in, and its errors.

A store keeps three versions of a secret apart: *current*, which consumers read by the habits of the ecosystem;
*pending*, which no consumer ever sees; *previous*. Beside them it keeps the journal of the rotation, without values.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime

from prefect.blocks.core import Block
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from rules.errors import PermanentError, TemporaryError
from rules.rotation import Journal


class SupersededError(TemporaryError):
    """Another run has claimed a newer epoch: nothing was written, and this run has to stop."""


class ConflictError(PermanentError):
    """The store holds something else than the caller expects; nothing was written."""


class VersionGoneError(PermanentError):
    """The store no longer holds the version that was asked for."""


@dataclass(frozen=True, slots=True)
class SecretAddress:
    """Where in a store a secret is.

    Attributes:
        password: the key of the value that rotates.
        username: the key of the account's name, where the account rotates too.
    """

    password: str
    username: str | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key that a promotion writes."""
        return (self.password,) if self.username is None else (self.username, self.password)


class SecretVersion(BaseModel):
    """One version of a secret; its representation never shows the value."""

    model_config = ConfigDict(frozen=True)

    id: str = Field(description="Names the version; says nothing of its value.")
    username: str | None = Field(default=None, description="The account, where the secret is a pair.")
    password: SecretStr = Field(description="The value.")


@dataclass(frozen=True, slots=True)
class StoreState:
    """What a store says of one secret, without any value.

    Attributes:
        current: id of the version that consumers read, or None.
        pending: id of the staged version, or None.
        previous: id of the version that was current before, while it is kept, or None.
        journal: the rotation's journal; an empty one where there is none.
    """

    current: str | None
    pending: str | None
    previous: str | None
    journal: Journal


class SecretStore(Block, ABC):
    """A place that keeps secrets and can be rotated.

    Every write is refused with ``SupersededError`` unless it comes from the newest claimed epoch, and repeating a write
    that succeeded is a success. Any method raises ``TemporaryError`` where the same call may succeed later and
    ``PermanentError`` where somebody has to act; no error ever holds a value.
    """

    @abstractmethod
    def preflight(self, address: SecretAddress) -> None:
        """Check, without writing, that the secret could be rotated here.

        Raises:
            TemporaryError, PermanentError: if it could not, saying what to repair.
        """

    @abstractmethod
    def observe(self, address: SecretAddress) -> StoreState:
        """Return pointers and journal, from one consistent moment."""

    @abstractmethod
    def reveal(self, address: SecretAddress, version: str) -> SecretVersion:
        """Return a version with its value, current ones by the path that consumers use.

        Raises:
            VersionGoneError: if none of the three pointers names that version.
        """

    @abstractmethod
    def claim(self, address: SecretAddress, expected_epoch: int, rotation_id: str) -> int:
        """Claim the next epoch, so that writes of every earlier one are refused, and return it.

        Args:
            address: the secret.
            expected_epoch: the epoch that was observed.
            rotation_id: names the rotation that is begun or continued.

        Raises:
            SupersededError: if the journal's epoch is another one by now.
        """

    @abstractmethod
    def stage(self, address: SecretAddress, epoch: int, username: str | None, password: SecretStr) -> str:
        """Store a version as pending, durably, and return its id; where one is pending already, return that one's."""

    @abstractmethod
    def promote(self, address: SecretAddress, epoch: int, pending: str, expected_current: str | None) -> None:
        """Make the pending version current, at once for all keys, and keep the one before as previous.

        Raises:
            ConflictError: if current or pending is not what the caller expects.
        """

    @abstractmethod
    def confirm(self, address: SecretAddress, epoch: int, rotated_at: datetime, retire_after: datetime | None) -> None:
        """Write down that the promoted version works, and that the previous one may be retired from then on.

        Raises:
            ConflictError: if the current version is not the one that was pending.
        """

    @abstractmethod
    def forget(self, address: SecretAddress, epoch: int, previous: str) -> None:
        """Drop the previous version.

        Raises:
            ConflictError: if the previous version is another one.
        """
