"""Results on a local disk: listed, checked and unlinked through directory descriptors, below one root and no further.

No symbolic link is followed, no other file system entered, and no directory removed: a writer may be about to use it.
Between the last look at a file and its unlinking lie microseconds; a file that changed since it was listed stays.
"""

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path

from blocks.result_stores.interface import ObjectStore, Removal, Removed, StorageBlock, StoreUnreadableError
from rules.retention.observed import Metadata, StoredObject
from rules.retention.recognition import HEAD, LONG_HEAD, begins_like_metadata, parse_metadata

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CLIMBING = frozenset({"", ".", ".."})
_SKIPPED = frozenset({"parameters"})


class LocalDiskStore(ObjectStore):
    """A directory on this host that Prefect persists results in.

    Args:
        name: what the policy calls it.
        root: the directory, as its block or setting names it.
    """

    def __init__(self, name: str, root: str) -> None:
        self.name = name
        self.root = os.path.realpath(Path(root).expanduser())
        self._folders: dict[str, str] = {}

    def locate(self, storage_key: str, block: StorageBlock | None) -> str | None:
        """Return the key below the root that a reference means, or None if it leads elsewhere."""
        base = None if block is None else local_root(block)
        if (block is not None and base is None) or (block is None and not storage_key.startswith("/")):
            return None
        path = os.path.normpath(os.path.join(base or "/", storage_key))  # noqa: PTH118 - Path would lose odd bytes' speed
        folder, _, name = path.rpartition("/")
        folder = self._real(folder)
        if folder == self.root:
            return name
        return f"{folder[len(self.root) + 1 :]}/{name}" if folder.startswith(f"{self.root}/") else None

    def overlaps(self, other: ObjectStore) -> bool:
        """Return whether one root lies in the other."""
        if not isinstance(other, LocalDiskStore):
            return False
        mine, theirs = f"{self.root}/", f"{other.root}/"
        return mine.startswith(theirs) or theirs.startswith(mine)

    def is_there(self) -> bool:
        """Return whether the root is a directory on this host."""
        return Path(self.root).is_dir()

    def list_objects(self, shard: str = "") -> Iterator[StoredObject]:
        """Yield every regular file below the root, except in directories named ``parameters``."""
        folders = [shard]
        try:
            with self._open("") as root:
                device = os.fstat(root).st_dev
            while folders:
                yield from self._list_folder(folders.pop(), folders, device)
        except FileNotFoundError:
            raise StoreUnreadableError(
                f"{self.name} has no directory on this host.", "Run this flow on the host that holds the results."
            ) from None
        except OSError as error:
            raise StoreUnreadableError(
                f"{self.name} could not be listed ({os.strerror(error.errno or 0)}).",
                "Let the user of this flow's worker read the whole directory.",
            ) from None

    def read_metadata(self, objects: Iterable[StoredObject]) -> Iterator[tuple[str, Metadata | None]]:
        """Yield key and metadata of each object whose first bytes can be read."""
        for folder, group in _by_folder(objects):
            try:
                with self._open(folder) as descriptor:
                    for listed, name in group:
                        try:
                            yield listed.key, _read_metadata(descriptor, name)
                        except OSError:
                            continue
            except OSError:
                continue

    def delete(self, objects: Iterable[StoredObject]) -> Iterator[Removal]:
        """Unlink each file that is still the one that was listed."""
        for folder, group in _by_folder(objects):
            try:
                with self._open(folder) as descriptor:
                    for listed, name in group:
                        yield _unlink(descriptor, name, listed)
            except FileNotFoundError:
                yield from (Removal(listed, Removed.GONE) for listed, _ in group)
            except OSError as error:
                yield from (_failed(listed, error) for listed, _ in group)

    @contextmanager
    def _open(self, folder: str) -> Iterator[int]:
        descriptor = os.open(self.root, _DIRECTORY)
        try:
            for part in folder.split("/") if folder else ():
                if part in _CLIMBING:
                    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
                inner = os.open(part, _DIRECTORY, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            yield descriptor
        finally:
            os.close(descriptor)

    def _list_folder(self, folder: str, folders: list[str], device: int) -> Iterator[StoredObject]:
        prefix = f"{folder}/" if folder else ""
        # Whatever goes away while it is listed is gone: other sweeps may run beside this one.
        with suppress(FileNotFoundError), self._open(folder) as descriptor:
            if os.fstat(descriptor).st_dev != device:
                return
            with os.scandir(descriptor) as entries:
                for entry in entries:
                    if entry.is_file(follow_symlinks=False):
                        try:
                            found = entry.stat(follow_symlinks=False)
                        except FileNotFoundError:
                            continue
                        yield StoredObject(prefix + entry.name, found.st_size, found.st_mtime_ns, str(found.st_ino))
                    elif entry.is_dir(follow_symlinks=False) and entry.name not in _SKIPPED:
                        folders.append(prefix + entry.name)

    def _real(self, folder: str) -> str:
        real = self._folders.get(folder)
        if real is None:
            real = self._folders[folder] = os.path.realpath(folder)
        return real


def local_root(block: StorageBlock) -> str | None:
    """Return the directory on this host that a block writes to, or None if it writes elsewhere or cannot be told."""
    base = block.fields.get("basepath")
    if not isinstance(base, str) or not base:
        return None
    if block.type_slug == "local-file-system":
        path = str(Path(base).expanduser())
    elif block.type_slug == "remote-file-system" and base.partition("://")[0] in {"file", "local"}:
        path = base.partition("://")[2]
    else:
        return None
    # A relative one means the working directory of whatever process wrote there.
    return path if path.startswith("/") else None


def _by_folder(objects: Iterable[StoredObject]) -> Iterator[tuple[str, list[tuple[StoredObject, str]]]]:
    """Yield runs of objects of the same directory; listings and plans are in such order, more or less."""
    for folder, group in groupby(objects, key=_folder):
        start = len(folder) + 1 if folder else 0
        yield folder, [(listed, listed.key[start:]) for listed in group]


def _folder(listed: StoredObject) -> str:
    return listed.key.rpartition("/")[0]


def _read_metadata(directory: int, name: str) -> Metadata | None:
    descriptor = os.open(name, _FILE, dir_fd=directory)
    try:
        head = os.read(descriptor, HEAD)
        metadata = parse_metadata(head)
        if metadata is None and len(head) == HEAD and begins_like_metadata(head):
            metadata = parse_metadata(head + os.read(descriptor, LONG_HEAD))
        return metadata
    finally:
        os.close(descriptor)


def _unlink(directory: int, name: str, listed: StoredObject) -> Removal:
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if (
            found.st_size != listed.size
            or found.st_mtime_ns != listed.modified_ns
            or str(found.st_ino) != listed.version
            or not stat.S_ISREG(found.st_mode)
        ):
            return Removal(listed, Removed.CHANGED, "It changed after it was listed, so it was left.")
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        pass
    except OSError as error:
        return _failed(listed, error)
    return Removal(listed, Removed.GONE)


def _failed(listed: StoredObject, error: OSError) -> Removal:
    return Removal(listed, Removed.FAILED, f"It could not be deleted ({os.strerror(error.errno or 0)}).")
