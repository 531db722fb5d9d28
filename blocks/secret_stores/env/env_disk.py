"""Files that hold secrets: whole or not at all, never readable by others, one writer at a time."""

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from rules.errors import PermanentError, TemporaryError, VigilesError

LOCK_SECONDS = 10.0
"""How long to wait for another writer; one write takes milliseconds."""

_PRIVATE = 0o600
_TEMPORARY = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EAGAIN, errno.EMFILE, errno.ENFILE}


def check_safe(path: Path, *, must_exist: bool) -> None:
    """Check that nobody else could swap or write the file.

    Args:
        path: the file.
        must_exist: whether a missing file is an error.

    Raises:
        PermanentError: if its directory is missing or world-writable, or it is a symbolic link, not a regular file,
            of another owner, or writable by everyone.
    """
    folder = _status(path.parent)
    if folder is None or not stat.S_ISDIR(folder.st_mode):
        raise PermanentError(f"There is no directory {path.parent}.", "Create it on the machine that runs this flow.")
    if folder.st_mode & stat.S_IWOTH:
        raise PermanentError(f"Anybody may write to {path.parent}.", f"Run: chmod o-w {path.parent}")
    found = _status(path)
    if found is None:
        if must_exist:
            raise PermanentError(f"There is no file {path}.", f"Create it: (umask 077; touch {path})")
        return
    if not stat.S_ISREG(found.st_mode):
        kind = "a symbolic link" if stat.S_ISLNK(found.st_mode) else "no regular file"
        raise PermanentError(f"{path} is {kind}.", "Give the path of the file itself.")
    if found.st_uid != os.geteuid():
        raise PermanentError(f"{path} belongs to another user.", "Run as its owner, or change the owner.")
    if found.st_mode & stat.S_IWOTH:
        raise PermanentError(f"Anybody may write to {path}.", f"Run: chmod o-w {path}")


def check_writable(path: Path) -> None:
    """Check, without writing, that a file can be replaced beside ``path``.

    Raises:
        PermanentError: if its directory cannot be written.
    """
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise PermanentError(f"The directory {path.parent} is read-only.", "Replacing a file needs a writable one.")


def read(path: Path) -> bytes | None:
    """Return what the file holds, or None where there is none.

    Raises:
        TemporaryError, PermanentError: if it cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _translated(error, f"{path} cannot be read") from None
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def replace(path: Path, content: bytes) -> None:
    """Replace the file in one step; a reader sees the old content or the new one, also across a crash.

    The temporary file has a fixed name, so that one left by a killed writer is overwritten and does not pile up. The
    caller holds the lock. Mode and group of an existing file are kept, a new one is private.

    Raises:
        TemporaryError: if the disk is full or fails; the old content is still there.
        PermanentError: if the directory cannot be written; the old content is still there.
    """
    temporary = path.with_name(path.name + ".vigiles-tmp")
    try:
        temporary.unlink(missing_ok=True)
        _write(temporary, content, _status(path))
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise _translated(error, f"{path} cannot be replaced and keeps its old content") from None


@contextlib.contextmanager
def locked(path: Path, *, exclusive: bool) -> Iterator[None]:
    """Hold the lock that lies beside ``path`` while in the context.

    A lock of the kernel: it is gone when its holder is, however it died. A reader that finds no lock file needs none,
    as nobody has ever written here; so reading leaves no trace.

    Args:
        path: the file to guard.
        exclusive: whether to keep readers out too.

    Raises:
        TemporaryError: if another process holds it for longer than 10 s.
        PermanentError: if the lock file cannot be made.
    """
    lock = path.with_name(path.name + ".vigiles-lock")
    flags = os.O_RDWR | os.O_CREAT if exclusive else os.O_RDONLY
    try:
        descriptor = os.open(lock, flags | os.O_NOFOLLOW | os.O_CLOEXEC, _PRIVATE)
    except FileNotFoundError:
        if exclusive:
            raise PermanentError(f"There is no directory {path.parent}.", "Create it, then run again.") from None
        yield
        return
    except OSError as error:
        raise _translated(error, f"{lock} cannot be opened") from None
    try:
        _wait_for_lock(descriptor, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH, lock)
        yield
    finally:
        os.close(descriptor)


def _wait_for_lock(descriptor: int, operation: int, lock: Path) -> None:
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise TemporaryError(f"Another process holds {lock}.", "See who with: fuser -v FILE") from None
            time.sleep(0.02)
        else:
            return


def _write(temporary: Path, content: bytes, like: os.stat_result | None) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, _PRIVATE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        if like is not None:
            os.fchown(descriptor, -1, like.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(like.st_mode))
        file.flush()
        os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _translated(error, f"{path} cannot be looked at") from None


def _translated(error: OSError, problem: str) -> VigilesError:
    reason = os.strerror(error.errno) if error.errno else type(error).__name__
    if error.errno in _TEMPORARY:
        return TemporaryError(f"{problem}: {reason}.", "Make room or repair the disk, then run again.")
    return PermanentError(f"{problem}: {reason}.", "Check who owns it, its permissions and how it is mounted.")
