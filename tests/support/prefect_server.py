"""A real Prefect server for tests: own home, free loopback port, started from a migrated empty database."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

CLEAN = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}


@dataclass(frozen=True)
class PrefectServer:
    """A running server.

    Attributes:
        url: its API, such as ``http://127.0.0.1:4301/api``.
        home: its ``PREFECT_HOME``.
        log: the file that holds its output.
        pid: its process.
    """

    url: str
    home: Path
    log: Path
    pid: int

    @property
    def database(self) -> Path:
        return self.home / "prefect.db"

    @property
    def environment(self) -> dict[str, str]:
        """What a client process needs to talk to this server and to nothing else."""
        return {**CLEAN, "PREFECT_API_URL": self.url, "PREFECT_HOME": str(self.home / "client")}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def migrate(database: Path) -> None:
    """Create an empty database with every migration applied (about 10 s)."""
    home = database.parent
    home.mkdir(parents=True, exist_ok=True)
    environment = {
        **CLEAN,
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{database}",
    }
    command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"]
    subprocess.run(command, env=environment, check=True, capture_output=True)


def start(home: Path, migrated: Path, settings: Mapping[str, str] | None = None) -> PrefectServer:
    """Start a server in ``home`` and wait until it is healthy; ``settings`` are environment variables."""
    home.mkdir(parents=True, exist_ok=True)
    shutil.copy(migrated, home / "prefect.db")
    port = free_port()
    environment = {
        **CLEAN,
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{home / 'prefect.db'}",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        **(settings or {}),
    }
    log = home / "server.log"
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the Prefect server ended at once:\n{log.read_text()[-2000:]}")
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"http://127.0.0.1:{port}/api/health", timeout=2).status_code == httpx.codes.OK:
                return PrefectServer(f"http://127.0.0.1:{port}/api", home, log, process.pid)
        time.sleep(0.2)
    raise RuntimeError(f"the Prefect server did not start in 180 s:\n{log.read_text()[-2000:]}")


def stop(pid: int) -> None:
    """Stop a server and whatever it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGTERM)
    for _ in range(50):
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        if not _alive(pid):
            return
        time.sleep(0.1)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@contextlib.contextmanager
def running(home: Path, migrated: Path, settings: Mapping[str, str] | None = None) -> Iterator[PrefectServer]:
    """A server of one's own, for tests that need other settings than the shared one."""
    server = start(home, migrated, settings)
    try:
        yield server
    finally:
        stop(server.pid)


def drain() -> None:
    """Wait until the logs and events of this process have reached their server."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    APILogWorker.drain_all(timeout=30)
    EventsWorker.drain_all(timeout=30)
