"""Whether a server's SQLite database holds an encryption key. The key itself is never read."""

import contextlib
import sqlite3
from pathlib import Path

from blocks.access_directories.requester import CannotSeeError
from rules.posture.observations import KeyPlace


def key_place(database: Path, witness: str, seconds: float) -> KeyPlace:
    """Return where the key lies, as far as the database can tell.

    Args:
        database: the file, opened for reading only.
        witness: the id of a block type that the server's API named: a database without it is another server's.
        seconds: how long to wait for a lock.

    Raises:
        CannotSeeError: if the file cannot be read, is another server's, or holds no encrypted block yet.
    """
    if not database.is_file():
        raise CannotSeeError("there is no file at the directory's `database`")
    try:
        uri = f"{database.as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=seconds)) as connection:
            return _look(connection, witness)
    except sqlite3.Error as error:
        raise CannotSeeError(f"the directory's `database` could not be read ({type(error).__name__})") from None


def _look(connection: sqlite3.Connection, witness: str) -> KeyPlace:
    def any_row(query: str, *values: str) -> bool:
        return connection.execute(query, values).fetchone() is not None

    if not any_row("SELECT 1 FROM block_type WHERE id = ?", witness):
        raise CannotSeeError("the directory's `database` is not the one that the server uses")
    if any_row("SELECT 1 FROM configuration WHERE key = 'ENCRYPTION_KEY'"):
        return KeyPlace.DATABASE
    if not any_row("SELECT 1 FROM block_document"):
        # Without a key of its own the server makes one, in the database, when the first block is saved.
        raise CannotSeeError("no block was saved on this server yet, so it has not shown where its key comes from")
    return KeyPlace.ELSEWHERE
