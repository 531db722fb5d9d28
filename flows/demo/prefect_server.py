"""A Prefect server of one's own: own home, free loopback port, gone when it is stopped."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from rules.errors import TemporaryError

CLEAN = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
"""The environment without any setting of Prefect: a server or client of ours takes none by accident."""

START_TIMEOUT = 180.0
"""Seconds that a server may take to become healthy; 7 on an idle machine, up to 60 on a busy one."""


@dataclass(frozen=True)
class PrefectServer:
    """A running server.

    Attributes:
        url: its API, such as ``http://127.0.0.1:4301/api``.
        home: its ``PREFECT_HOME``.
        log: the file that holds its output.
        pid: its process, the leader of its own process group.
    """

    url: str
    home: Path
    log: Path
    pid: int

    @property
    def database(self) -> Path:
        """The server's SQLite database."""
        return self.home / "prefect.db"

    @property
    def environment(self) -> dict[str, str]:
        """What a client process needs to talk to this server and to nothing else."""
        return {**CLEAN, "PREFECT_API_URL": self.url, "PREFECT_HOME": str(self.home / "client")}


def free_port() -> int:
    """Return a loopback port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def migrate(database: Path) -> None:
    """Create an empty database with every migration applied; about 10 s that each later start saves.

    Raises:
        subprocess.CalledProcessError: if Prefect's command fails.
    """
    database.parent.mkdir(parents=True, exist_ok=True)
    environment = _server_environment(database.parent, database)
    command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"]
    subprocess.run(command, env=environment, check=True, capture_output=True)


def start(
    home: Path,
    migrated: Path | None = None,
    settings: Mapping[str, str] | None = None,
    waiting: Callable[[], None] = lambda: None,
) -> PrefectServer:
    """Start a server in ``home`` and return it once it is healthy.

    Args:
        home: its folder; made if missing.
        migrated: an empty database to start from; without one the server migrates its own.
        settings: further settings, as environment variables.
        waiting: called several times a second until it is healthy, to show progress.

    Raises:
        TemporaryError: if it ends or is not healthy in time; the end of its log is in the message.
    """
    home.mkdir(parents=True, exist_ok=True)
    if migrated:
        shutil.copy(migrated, home / "prefect.db")
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    own = {"PREFECT_SERVER_UI_API_URL": url, "PREFECT_API_URL": url}
    environment = {**_server_environment(home, home / "prefect.db"), **own, **(settings or {})}
    log = home / "server.log"
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    deadline = time.monotonic() + START_TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        if _healthy(url):
            return PrefectServer(url, home, log, process.pid)
        waiting()
        time.sleep(0.2)
    stop(process.pid)
    raise TemporaryError(f"The Prefect server did not start:\n{log.read_text(errors='replace')[-2000:]}")


def start_worker(server: PrefectServer, pool: str) -> int:
    """Start a real process worker on ``pool``, made if missing; return its process id, which leads its own group."""
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--name", "night-watch"]
    with (server.home / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=server.home,
            env=server.environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return process.pid


def stop(pid: int) -> None:
    """Stop a server and whatever it started; one that is gone already is fine."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGTERM)
    for _ in range(50):
        if not _alive(pid):
            return
        time.sleep(0.1)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


@contextlib.contextmanager
def running(
    home: Path, migrated: Path | None = None, settings: Mapping[str, str] | None = None
) -> Iterator[PrefectServer]:
    """Yield a started server and stop it afterwards; parameters as for ``start``."""
    server = start(home, migrated, settings)
    try:
        yield server
    finally:
        stop(server.pid)


def _server_environment(home: Path, database: Path) -> dict[str, str]:
    return {
        **CLEAN,
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{database}",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }


def _healthy(url: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"{url}/health", timeout=2).status_code == httpx.codes.OK
    return False


def _alive(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
