"""The .env store on a real file system; its consumer is python-dotenv."""

from itertools import count
from pathlib import Path
from typing import ClassVar

from dotenv import dotenv_values
from support.stores.catalogue import Entry
from support.stores.interface import Backend

from blocks.secret_stores.env_file import EnvFileStore
from blocks.secret_stores.interface import SecretAddress, SecretStore
from rules.errors import TemporaryError


class EnvFileBackend(Backend):
    """One .env file with comments and other keys in it."""

    name: ClassVar[str] = "env-file"
    stands_on: ClassVar[str] = "real file system"
    largest: ClassVar[int | None] = None
    # A local file that is read under a lock shows what was written last.
    reads: ClassVar[tuple[str, ...]] = ()
    document: ClassVar[bool] = True
    no_interleaving: ClassVar[str] = "a lock of the kernel is held from the first call of a write to its last"
    no_free_text: ClassVar[str] = "a .env file is no JSON object; what stands around its keys is compared instead"

    def __init__(self, folder: Path) -> None:
        self._path = folder / ".env"
        self._path.write_text("# first\nexport OTHER='keep me'\n\n")
        self._numbers = count(1)

    def make(self) -> SecretStore:
        """Return a block over the file."""
        return EnvFileStore(path=self._path)

    def address(self, *, pair: bool) -> SecretAddress:
        """Return new keys of the file."""
        number = next(self._numbers)
        return SecretAddress(f"PASSWORD_{number}", f"USER_{number}" if pair else None)

    def put(self, address: SecretAddress, username: str | None, password: str) -> None:
        """Write the keys as an editor would, in lines of their own."""
        lines = [line for line in self._lines() if not self._sets(line, address)]
        lines += [f"{address.password}='{password}' # why\n"]
        lines += [f"{address.username}={username}\n"] if address.username else []
        self._path.write_text("".join(lines))

    def consume(self, address: SecretAddress) -> tuple[str | None, str] | None:
        """Return what python-dotenv makes of the file."""
        values = dotenv_values(self._path)
        password = values.get(address.password)
        return (values.get(address.username) if address.username else None, password) if password else None

    def surroundings(self, address: SecretAddress) -> object:
        """Return every other line."""
        return [line for line in self._lines() if not self._sets(line, address)]

    def remove(self, address: SecretAddress) -> None:
        """Take the lines of the keys away."""
        self._path.write_text("".join(line for line in self._lines() if not self._sets(line, address)))

    def timeout(self) -> Exception:
        """Return what a disk that fails after the write comes to."""
        return TemporaryError("The disk failed.", "Repair it.")

    def throttled(self) -> Exception:
        """Return what a disk without room comes to."""
        return TemporaryError("The disk is full.", "Make room.")

    def _lines(self) -> list[str]:
        return self._path.read_text().splitlines(keepends=True)

    def _sets(self, line: str, address: SecretAddress) -> bool:
        return line.partition("=")[0] in address.keys


BACKENDS = (Entry("env-file", EnvFileBackend),)
