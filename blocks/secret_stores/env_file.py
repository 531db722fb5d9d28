"""Secrets in a .env file on one machine, for development."""

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, PrivateAttr, SecretStr, field_validator

from blocks.policies.interface import policy_error
from blocks.presentation import DOCUMENTATION_URL, LOGO_URL
from blocks.secret_stores import env_disk, env_text
from blocks.secret_stores.interface import (
    ConflictError,
    SecretAddress,
    SecretStore,
    SecretVersion,
    StoreState,
    SupersededError,
    VersionGoneError,
)
from rules.errors import PermanentError
from rules.rotation import Journal
from rules.rotation.observations import journal_from_json

_Pair = tuple[str | None, str]


@dataclass
class _Record:
    """What the sidecar keeps of one secret."""

    journal: Journal
    pending: _Pair | None
    previous: _Pair | None


@dataclass
class _Files:
    """Both files, read; the version id of a value is keyed, so that it tells nothing of the value."""

    text: str
    sidecar: dict[str, Any]

    def record(self, address: SecretAddress) -> _Record:
        row = self.sidecar["secrets"].get(address.password)
        if row is None:
            return _Record(Journal(), None, None)
        return _Record(journal_from_json(row["journal"]), _pair(row["pending"]), _pair(row["previous"]))

    def keep(self, address: SecretAddress, record: _Record) -> None:
        row = {"journal": record.journal.to_json(), "pending": record.pending, "previous": record.previous}
        self.sidecar["secrets"][address.password] = row

    def current(self, address: SecretAddress) -> _Pair | None:
        password = env_text.read_value(self.text, address.password)
        if address.username is None:
            return (None, password) if password else None
        username = env_text.read_value(self.text, address.username)
        return (username, password) if username and password else None

    def version(self, pair: _Pair | None) -> str | None:
        if pair is None:
            return None
        key = bytes.fromhex(self.sidecar["key"])
        return hmac.new(key, json.dumps(pair).encode(), hashlib.sha256).hexdigest()[:16]

    def state(self, address: SecretAddress) -> StoreState:
        record = self.record(address)
        return StoreState(
            current=self.version(self.current(address)),
            pending=self.version(record.pending),
            previous=self.version(record.previous),
            journal=record.journal,
        )


class EnvFileStore(SecretStore):
    """Keeps secrets in a .env file that any dotenv reader understands. For development: it protects nothing at rest.

    The current version is in the file itself; pending and previous versions and the journal are in a private file
    beside it. Processes that are running do not notice a change until they read the file again.

    Example:
        ```python
        from blocks.secret_stores.env_file import EnvFileStore

        env_file_store = EnvFileStore.load("BLOCK_NAME")
        ```
    """

    _block_type_name: ClassVar[str | None] = "Env File Store (development)"
    _block_type_slug: ClassVar[str | None] = "env-file-store"
    _documentation_url: ClassVar[Any] = DOCUMENTATION_URL
    _logo_url: ClassVar[Any] = LOGO_URL
    _description: ClassVar[str | None] = "Keeps secrets in a .env file, for development only, and can be rotated."

    path: Path = Field(description="Absolute path of the .env file on the machine that runs the flow.")
    # The key of the version ids until the sidecar exists and holds one.
    _key: str = PrivateAttr(default_factory=lambda: secrets.token_hex(32))

    @field_validator("path")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        if not path.is_absolute():
            raise policy_error("P076", "the path of an env file is absolute", "Flows run in a temporary directory.")
        return path

    @property
    def sidecar(self) -> Path:
        """The private file beside the .env file: pending and previous versions, journal."""
        return self.path.with_name(self.path.name + ".vigiles")

    def preflight(self, address: SecretAddress) -> None:
        """Check files, owners, permissions and the lines that set the secret (see ``SecretStore``)."""
        self._check()
        env_disk.check_writable(self.path)
        self.observe(address)

    def observe(self, address: SecretAddress) -> StoreState:
        """Return pointers and journal; nothing is written, not even a lock file (see ``SecretStore``)."""
        with self._files(exclusive=False) as files:
            return files.state(address)

    def reveal(self, address: SecretAddress, version: str) -> SecretVersion:
        """Return a version with its value (see ``SecretStore``)."""
        with self._files(exclusive=False) as files:
            record = files.record(address)
            for pair in (files.current(address), record.pending, record.previous):
                if pair is not None and files.version(pair) == version:
                    return SecretVersion(id=version, username=pair[0], password=SecretStr(pair[1]))
        raise VersionGoneError(f"{self.path} no longer holds version {version} of {address.password}.", "Run again.")

    def claim(self, address: SecretAddress, expected_epoch: int, rotation_id: str) -> int:
        """Claim the next epoch (see ``SecretStore``)."""
        with self._writing(address, expected_epoch) as (files, record):
            epoch = expected_epoch + 1
            record.journal = replace(record.journal, epoch=epoch, rotation_id=rotation_id)
            self._store(files, address, record)
        return epoch

    def stage(self, address: SecretAddress, epoch: int, username: str | None, password: SecretStr) -> str:
        """Store a pending version in the sidecar (see ``SecretStore``)."""
        with self._writing(address, epoch) as (files, record):
            if record.pending is None:
                record.pending = (username, password.get_secret_value())
                # Refused here rather than at the promotion: what cannot be written must not be applied either.
                env_text.with_values(files.text, _values(address, record.pending))
                state = files.state(address)
                pending = files.version(record.pending)
                record.journal = replace(record.journal, base=state.current, pending=pending)
                self._store(files, address, record)
            return str(files.version(record.pending))

    def promote(self, address: SecretAddress, epoch: int, pending: str, expected_current: str | None) -> None:
        """Keep current as previous in the sidecar, then replace the .env file once (see ``SecretStore``)."""
        with self._writing(address, epoch) as (files, record):
            state = files.state(address)
            if state.current == pending:
                return
            if state.current != expected_current or record.pending is None or state.pending != pending:
                raise ConflictError(f"{address.password} in {self.path} is not what was observed.", "Run again.")
            record.previous = files.current(address)
            self._store(files, address, record)
            text = env_text.with_values(files.text, _values(address, record.pending))
            env_disk.replace(self.path, text.encode("utf-8", "surrogateescape"))

    def confirm(self, address: SecretAddress, epoch: int, rotated_at: datetime, retire_after: datetime | None) -> None:
        """Write down in the sidecar that the promoted version works (see ``SecretStore``)."""
        with self._writing(address, epoch) as (files, record):
            current, journal = files.state(address).current, record.journal
            if journal.pending is None and current is not None and current == journal.confirmed:
                return
            if journal.pending is None or current != journal.pending:
                raise ConflictError(f"{address.password} in {self.path} is not the promoted version.", "Run again.")
            record.pending = None
            record.journal = replace(
                journal,
                pending=None,
                confirmed=current,
                rotated_at=rotated_at,
                retire_after=retire_after if record.previous else None,
            )
            self._store(files, address, record)

    def forget(self, address: SecretAddress, epoch: int, previous: str) -> None:
        """Drop the previous version from the sidecar (see ``SecretStore``)."""
        with self._writing(address, epoch) as (files, record):
            if record.previous is None:
                return
            if files.version(record.previous) != previous:
                raise ConflictError(f"The previous version of {address.password} is another one.", "Run again.")
            record.previous = None
            record.journal = replace(record.journal, retire_after=None)
            self._store(files, address, record)

    def _check(self) -> None:
        env_disk.check_safe(self.path, must_exist=True)
        env_disk.check_safe(self.sidecar, must_exist=False)

    @contextmanager
    def _files(self, *, exclusive: bool) -> Iterator[_Files]:
        self._check()
        with env_disk.locked(self.path, exclusive=exclusive):
            text = (env_disk.read(self.path) or b"").decode("utf-8", "surrogateescape")
            yield _Files(text, self._parse(env_disk.read(self.sidecar)))

    @contextmanager
    def _writing(self, address: SecretAddress, epoch: int) -> Iterator[tuple[_Files, _Record]]:
        with self._files(exclusive=True) as files:
            record = files.record(address)
            if record.journal.epoch != epoch:
                raise SupersededError(
                    f"{address.password} in {self.path} is at epoch {record.journal.epoch}, this run holds {epoch}.",
                    "Another run works on it; run again when it has ended.",
                )
            yield files, record

    def _store(self, files: _Files, address: SecretAddress, record: _Record) -> None:
        files.keep(address, record)
        env_disk.replace(self.sidecar, json.dumps(files.sidecar, indent=1).encode())

    def _parse(self, content: bytes | None) -> dict[str, Any]:
        if content is None:
            return {"version": 1, "key": self._key, "secrets": {}}
        try:
            document = json.loads(content)
            files = _Files("", document)
            for name in document["secrets"]:
                files.record(SecretAddress(name))
            intact = document["version"] == 1 and len(bytes.fromhex(document["key"])) > 0
        except (KeyError, TypeError, ValueError, AttributeError):
            intact = False
        if not intact:
            raise PermanentError(
                f"{self.sidecar} is not what was written there.",
                "Restore it; or, if no rotation was under way, delete it: the next run starts from the current value.",
            )
        return dict(document)


def _pair(row: Any) -> _Pair | None:
    if row is None:
        return None
    username, password = row
    if not isinstance(password, str):
        raise TypeError("a stored value is text")
    return (username, password)


def _values(address: SecretAddress, pair: _Pair) -> dict[str, str]:
    username, password = pair
    if address.username is None:
        return {address.password: password}
    if username is None:
        raise PermanentError(f"{address.username} has no value to be set to.", "Name a target that says which account.")
    return {address.username: username, address.password: password}
