"""Being somebody without rights, in tests that root would otherwise pass for the wrong reason."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534


def make_reachable(path: Path) -> None:
    """Let every user walk to ``path``, through pytest's private folders."""
    for folder in path.parents:
        if folder == Path(tempfile.gettempdir()) or folder == folder.parent:
            return
        folder.chmod(0o755)


@contextmanager
def unprivileged(*own: Path) -> Iterator[None]:
    """Be somebody without rights, who owns the paths ``own``; nothing changes where one is that already."""
    if os.geteuid() != 0:
        yield
        return
    for path in own:
        make_reachable(path)
        os.chown(path, NOBODY, NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
