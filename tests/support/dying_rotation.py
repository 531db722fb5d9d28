"""Rotations of a .env file that are killed before a numbered system call, each in a process of its own."""

import contextlib
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import SecretStr

from blocks.secret_stores.env_file import EnvFileStore
from blocks.secret_stores.interface import SecretAddress
from rules.rotation.journal import claimed, confirmed

ROOT = Path(__file__).parents[2]
PAIR = SecretAddress("DB_PASSWORD", "DB_USER")


@contextlib.contextmanager
def killer(path: Path) -> Iterator[Callable[[int], int]]:
    """Give a function that rotates ``path``, dies before the system call ``at``, and returns the exit code.

    The rotations are forked from a process that has no other thread: a fork of the test's own process would inherit
    whatever earlier tests left there.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    command = [sys.executable, "-m", "support.dying_rotation", str(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True, bufsize=1) as process:

        def kill_at(at: int) -> int:
            process.stdin.write(f"{at}\n")
            ended = int(process.stdout.readline())
            assert ended in (0, -signal.SIGKILL), f"killed before call {at}, the rotation failed instead"
            return ended

        yield kill_at
        process.stdin.close()


def serve(path: Path) -> None:
    """Fork a rotation for each number that is read, and print how it ended: 0, 1 or -SIGKILL."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            rotate_and_die(path, int(line))
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()


def rotate_and_die(path: Path, at: int) -> None:
    """Rotate, and die before the system call number ``at`` that touches the files; never return."""
    try:
        store = EnvFileStore(path=path)
        _arm(at)
        seen = store.observe(PAIR)
        journal = store.claim(PAIR, seen, claimed(seen.journal, "r")).journal
        staged = store.stage(PAIR, journal, "new-user", SecretStr("new-password-" + "x" * 4000))
        state = store.promote(PAIR, staged.journal, staged.pending, staged.current)
        now = datetime(2026, 3, 1, tzinfo=UTC)
        store.confirm(PAIR, confirmed(state.journal, state.current, now, timedelta(0)))
    except BaseException:  # noqa: BLE001 - a fork must not return into its parent's loop
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _arm(at: int) -> None:
    count = 0

    def dying(function):
        def called(*args, **kwargs):
            nonlocal count
            if count == at:
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1
            return function(*args, **kwargs)

        return called

    for name in ("fsync", "fchmod", "fchown", "open", "close"):
        setattr(os, name, dying(getattr(os, name)))
    for name in ("unlink", "replace"):
        setattr(Path, name, dying(getattr(Path, name)))


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
