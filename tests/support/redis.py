"""A real Redis server for tests: own folder, free loopback port, users in an ACL file; one a session, for all workers.

A fixture module: ``pytest_plugins = ["support.redis"]`` in a test module brings the fixture.
"""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from support.prefect_server import free_port

ADMIN = "vigiles-admin"
ADMIN_PASSWORD = "12345e1"  # a text that a JSON decoder would take for a number


@dataclass(frozen=True)
class Redis:
    """A running server."""

    port: int
    folder: str
    pid: int
    host: str = "127.0.0.1"
    admin: str = ADMIN
    admin_password: str = ADMIN_PASSWORD

    def client(self, user: str = ADMIN, password: str = ADMIN_PASSWORD) -> Any:
        import redis

        return redis.Redis(
            host=self.host, port=self.port, username=user, password=password, decode_responses=True, protocol=2
        )

    def command(self, *words: str) -> Any:
        """Give a command as the admin."""
        with self.client() as client:
            return client.execute_command(*words)

    def new_user(self, *rules: str) -> str:
        """Create a user that may log in with ``first-NAME``, and save it."""
        name = f"u-{uuid.uuid4().hex[:8]}"
        self.command("ACL", "SETUSER", name, "on", f">first-{name}", "~*", "+@all", *rules)
        if self.users_file.exists():
            self.command("ACL", "SAVE")
        return name

    def accepts(self, user: str, password: str) -> bool:
        """Log in as a consumer does; a server that cannot be reached is an error, not a refusal."""
        import redis

        try:
            with self.client(user, password) as client:
                client.execute_command("ACL", "WHOAMI")
        except redis.AuthenticationError:
            return False
        except redis.exceptions.NoPermissionError:
            return True
        return True

    @property
    def users_file(self) -> Path:
        return Path(self.folder) / "users.acl"

    @property
    def log(self) -> str:
        return (Path(self.folder) / "log").read_text()


def start(folder: Path, *, users_file: bool = True, port: int | None = None, options: tuple[str, ...] = ()) -> Redis:
    """Start a server in ``folder``, whose users survive there if ``users_file``."""
    port = port or free_port()
    admin = f"user {ADMIN} on #{hashlib.sha256(ADMIN_PASSWORD.encode()).hexdigest()} ~* &* +@all\n"
    users = folder / "users.acl"
    lines = [f"port {port}", "bind 127.0.0.1", 'save ""', f"dir {folder}", f"logfile {folder}/log", "loglevel debug"]
    if users_file:
        lines.append(f"aclfile {users}")
        if not users.exists():
            users.write_text(f"user default off\n{admin}")
    else:
        lines += ["user default off", admin]
    (folder / "redis.conf").write_text("\n".join((*lines, *options)) + "\n")
    process = subprocess.Popen(
        ["redis-server", str(folder / "redis.conf")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    server = Redis(port, str(folder), process.pid)
    import redis

    for _ in range(100):
        if process.poll() is not None:
            break
        with contextlib.suppress(redis.ConnectionError):
            server.command("PING")
            return server
        time.sleep(0.05)
    raise RuntimeError(f"Redis did not start:\n{server.log[-2000:]}")


def end(server: Redis) -> None:
    """End the process and keep the folder."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(server.pid, signal.SIGCONT)
        os.kill(server.pid, signal.SIGKILL)
    for _ in range(100):
        with contextlib.suppress(ChildProcessError):
            os.waitpid(server.pid, os.WNOHANG)
        try:
            os.kill(server.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)


@contextlib.contextmanager
def running(*, users_file: bool = True, options: tuple[str, ...] = ()) -> Iterator[Redis]:
    """A server of one's own, for tests that stop it, restart it or fill it."""
    require()
    folder = Path(tempfile.mkdtemp(prefix="vigiles-redis-"))
    server = start(folder, users_file=users_file, options=options)
    try:
        yield server
    finally:
        end(server)
        import redis

        # One that a test started again on the same files.
        with contextlib.suppress(redis.RedisError):
            server.command("SHUTDOWN", "NOSAVE")
        shutil.rmtree(folder, ignore_errors=True)


def require() -> None:
    """Skip where there is no Redis; fail in CI, where there has to be one."""
    if shutil.which("redis-server") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no redis-server found: install the package")


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """The session's Redis server; the last process of the session stops it."""
    require()
    base = tmp_path_factory.getbasetemp()
    folder = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    state = folder / "redis.json"
    with FileLock(folder / "redis.lock"):
        if state.exists():
            record = json.loads(state.read_text())
        else:
            started = start(Path(tempfile.mkdtemp(prefix="vigiles-redis-")))
            record = {"port": started.port, "folder": started.folder, "pid": started.pid, "users": 0}
        record["users"] += 1
        state.write_text(json.dumps(record))
    server = Redis(record["port"], record["folder"], record["pid"])
    yield server
    with FileLock(folder / "redis.lock"):
        record = json.loads(state.read_text())
        record["users"] -= 1
        state.write_text(json.dumps(record))
        if record["users"] == 0:
            end(server)
            shutil.rmtree(server.folder, ignore_errors=True)
            state.unlink()
