"""Secrets in a .env file on one machine, for development."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, field_validator

from blocks.policies.interface import policy_error
from blocks.presentation import DOCUMENTATION_URL, LOGO_URL
from blocks.secret_stores.document import Pair
from blocks.secret_stores.env import env_disk, env_text
from blocks.secret_stores.interface import Permission, Quota, SecretAddress
from blocks.secret_stores.record import Record, record_from_json
from blocks.secret_stores.sidecar import Loaded, SidecarStore
from rules.errors import PermanentError, VigilesError
from rules.rotation import StepKind


class EnvFileStore(SidecarStore):
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

    fencing: ClassVar[str] = "Every write is compared with what was read, under a lock of the kernel."
    quota: ClassVar[Quota] = Quota("none: a local disk", None, writes=5)

    path: Path = Field(description="Absolute path of the .env file on the machine that runs the flow.")

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
        if address.secret or not address.password:
            raise PermanentError(f"{self.path} holds keys, not secrets of their own.", "Give `key` or `keys` alone.")
        self._check()
        env_disk.check_writable(self.path)
        self.observe(address)

    def permissions(self, address: SecretAddress) -> tuple[Permission, ...]:  # noqa: ARG002 - one file, whatever the key
        """Return what the file system has to allow; ``preflight`` has checked it (see ``SecretStore``)."""
        writes = (StepKind.CLAIM, StepKind.STAGE, StepKind.PROMOTE, StepKind.CONFIRM, StepKind.FORGET)
        return (Permission("write", str(self.path.parent), writes, granted=True),)

    def _load(self, address: SecretAddress) -> Loaded:
        text = (self._read(self.path) or b"").decode("utf-8", "surrogateescape")
        file = self._parse(self._read(self.sidecar))
        row = file["secrets"].get(address.password)
        if row is None and file["key"]:
            row = {"journal": {"epoch": "0"}, "pending": None, "previous": None}
        record = record_from_json({"version": 1, "key": file["key"], **row}) if row else None
        return Loaded(text, record, record_revision=file)

    def _save_record(self, address: SecretAddress, loaded: Loaded, record: Record) -> None:
        file, row = loaded.record_revision, record.to_json()
        file["key"] = row["key"]
        file["secrets"][address.password] = {part: row[part] for part in ("journal", "pending", "previous")}
        self._write(self.sidecar, json.dumps(file, indent=1).encode())

    def _save_main(self, address: SecretAddress, loaded: Loaded, text: str) -> None:  # noqa: ARG002 - the lock is held
        self._write(self.path, text.encode("utf-8", "surrogateescape"))

    def _read_pair(self, address: SecretAddress, text: str | None) -> Pair | None:
        password = env_text.read_value(text or "", address.password)
        if address.username is None:
            return (None, password) if password else None
        username = env_text.read_value(text or "", address.username)
        return (username, password) if username and password else None

    def _with_pair(self, address: SecretAddress, text: str | None, pair: Pair) -> str:
        username, password = pair
        values = {address.password: password}
        if address.username is not None:
            if username is None:
                message = f"{address.username} has no value to be set to."
                raise PermanentError(message, "Name a target that says which account.")
            values = {address.username: username, **values}
        return env_text.with_values(text or "", values)

    def _read(self, path: Path) -> bytes | None:
        return self._call(f"read {path.name}", lambda: env_disk.read(path))

    def _write(self, path: Path, content: bytes) -> None:
        self._call(f"write {path.name}", lambda: env_disk.replace(path, content))

    def _translated(self, operation: str, error: Exception) -> VigilesError:
        return PermanentError(f"The attempt to {operation} failed ({type(error).__name__}).", "Look at the disk.")

    def _check(self) -> None:
        env_disk.check_safe(self.path, must_exist=True)
        env_disk.check_safe(self.sidecar, must_exist=False)

    @contextmanager
    def _locked(self, address: SecretAddress, *, writing: bool) -> Iterator[None]:  # noqa: ARG002 - one lock a file
        self._check()
        with env_disk.locked(self.path, exclusive=writing):
            yield

    def _parse(self, content: bytes | None) -> dict[str, Any]:
        if content is None:
            return {"version": 1, "key": "", "secrets": {}}
        try:
            file: dict[str, Any] = json.loads(content)
            for row in file["secrets"].values():
                record_from_json({"version": file["version"], "key": file["key"], **row})
            intact = bool(bytes.fromhex(file["key"]))
        except (KeyError, TypeError, ValueError, AttributeError):
            intact = False
        if not intact:
            raise PermanentError(
                f"{self.sidecar} is not what was written there.",
                "Restore it; or, if no rotation was under way, delete it: the next run starts from the current value.",
            )
        return file
