"""Talking to a PostgreSQL server: every call bounded in time, every failure told apart, no value in any error."""

import os
import re
import secrets
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pydantic import SecretStr

from rules.errors import PermanentError, TemporaryError, VigilesError

if TYPE_CHECKING:
    import psycopg

# What the server says before it knows whom it talks to, in its own language; hence the second way below.
_WRONG_PASSWORD = re.compile(r'FATAL: .*password authentication failed for user "', re.DOTALL)
_MISCONFIGURED = re.compile(
    r'FATAL: .*(no pg_hba\.conf entry|is not permitted to log in|database ".*" does not exist|role ".*" does not exist'
    r"|authentication failed for user)|does not support SSL|certificate verify failed|root certificate file",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Login:
    """A role and its password."""

    role: str
    password: SecretStr


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server is and how to connect to it.

    Attributes:
        host: name or address.
        port: its port.
        database: the database to log in to.
        sslmode: as libpq understands it.
        seconds: for each connection and each statement.
    """

    host: str
    port: int
    database: str
    sslmode: str
    seconds: int

    def __str__(self) -> str:
        return f"PostgreSQL at {self.host}:{self.port}"

    def session(self, login: Login) -> "Session":
        """Return a session to be used as a context manager."""
        return Session(self, login)

    def accepts(self, login: Login) -> bool:
        """Return whether the server lets the login in; False only where it refused the password.

        Raises:
            TemporaryError: if it cannot be reached or has no room.
            PermanentError: if it refused for another reason.
        """
        psycopg = load_driver()
        try:
            connection = self.connect(login)
        except psycopg.OperationalError as error:
            text, asked = _said(error)
        else:
            connection.close()
            return True
        if _WRONG_PASSWORD.search(text):
            return False
        if asked and self._words_for_wrong_password(login) == text:
            return False
        raise self.explained(text, login.role)

    def connect(self, login: Login) -> "psycopg.Connection[Any]":
        """Return a connection.

        Raises:
            psycopg.OperationalError: if there is none; it holds the password, so it must not be passed on.
        """
        connection: psycopg.Connection[Any] = load_driver().connect(
            host=self.host,
            port=self.port,
            dbname=self.database,
            user=login.role,
            password=login.password.get_secret_value(),
            sslmode=self.sslmode,
            connect_timeout=self.seconds,
            tcp_user_timeout=self.seconds * 1000,
            options=f"-c statement_timeout={self.seconds * 1000} -c lock_timeout={self.seconds * 1000}",
            application_name="vigiles",
            # What the environment of the flow would add must not decide who logs in.
            passfile="/dev/null",
            autocommit=False,
        )
        return connection

    def explained(self, text: str, role: str) -> VigilesError:
        """Return the error for what the server, or the way to it, said when ``role`` logged in."""
        reason = text.rsplit("FATAL:", 1)[-1].strip().splitlines()[0] if text.strip() else "no answer"
        message = f"{self} did not let role {role} in: {reason}."
        if _MISCONFIGURED.search(text):
            return PermanentError(message, "Correct the block, the role or pg_hba.conf.")
        return TemporaryError(message, "Check that it runs, has room, and can be reached from here.")

    def _words_for_wrong_password(self, login: Login) -> str | None:
        """Return what the server says to a wrong password of the role, in whatever language it speaks."""
        psycopg = load_driver()
        try:
            self.connect(Login(login.role, SecretStr(secrets.token_hex(16)))).close()
        except psycopg.OperationalError as error:
            text, asked = _said(error)
            return text if asked else None
        return None


class Session:
    """One connection of the admin role: opened on entry, committed or rolled back and closed on exit."""

    def __init__(self, server: Server, login: Login) -> None:
        self._server = server
        self._login = login
        self._connection: psycopg.Connection[Any] | None = None

    def __enter__(self) -> Self:
        psycopg = load_driver()
        try:
            self._connection = self._server.connect(self._login)
        except psycopg.OperationalError as error:
            text, _ = _said(error)
        else:
            return self
        raise self._server.explained(text, self._login.role)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._connection is not None
        self._connection.close()

    def login_roles(self, roles: Sequence[str]) -> dict[str, bool]:
        """Return which of the roles exist, and whether each may log in."""
        with self._bounded("look at the roles") as connection:
            query = "SELECT rolname, rolcanlogin FROM pg_catalog.pg_roles WHERE rolname = ANY(%s)"
            return dict(connection.execute(query, [list(roles)]).fetchall())

    def set_password(self, role: str, password: SecretStr) -> None:
        """Give the role a password. The server gets a SCRAM verifier, so that no log of it can show the password."""
        with self._bounded(f"set the password of {role}") as connection:
            verifier = connection.pgconn.encrypt_password(
                password.get_secret_value().encode(), role.encode(), b"scram-sha-256"
            )
            self._alter(connection, role, verifier.decode())

    def remove_password(self, role: str) -> None:
        """Take the role's password away, so that no login with one succeeds."""
        with self._bounded(f"remove the password of {role}") as connection:
            self._alter(connection, role, None)

    def _alter(self, connection: "psycopg.Connection[Any]", role: str, verifier: str | None) -> None:
        sql = import_module("psycopg.sql")
        statement = sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(verifier))
        connection.execute(statement)
        connection.commit()

    @contextmanager
    def _bounded(self, purpose: str) -> "Iterator[psycopg.Connection[Any]]":
        """Cut the connection when the time is up: a server that hangs answers no time limit of its own."""
        psycopg = load_driver()
        assert self._connection is not None
        timer = threading.Timer(self._server.seconds * 2, _cut, [self._connection.pgconn.socket])
        timer.start()
        failure: VigilesError
        try:
            yield self._connection
        except (psycopg.OperationalError, psycopg.InternalError) as error:
            failure = TemporaryError(
                f"{self._server} did not {purpose} ({error.sqlstate or 'connection lost'}).", "Run again."
            )
        except psycopg.Error as error:
            failure = PermanentError(
                f"{self._server} refused to {purpose} ({error.sqlstate}: {type(error).__name__}).",
                f"Check that the role exists and that {self._login.role} may alter it (CREATEROLE or superuser).",
            )
        else:
            return
        finally:
            timer.cancel()
        # Outside of `except`: the cause may hold the statement.
        raise failure from None


def load_driver() -> Any:
    """Return psycopg, imported only now: it is an extra.

    Raises:
        PermanentError: if it is not installed.
    """
    try:
        return import_module("psycopg")
    except ImportError:
        raise PermanentError(
            "psycopg, which talks to PostgreSQL, is not installed.", "Install it: pip install 'vigiles[postgres]'"
        ) from None


def _said(error: Any) -> tuple[str, bool]:
    """Return the text of a failed connection, and whether the server had asked for a password."""
    return str(error), bool(error.pgconn is not None and error.pgconn.used_password)


def _cut(descriptor: int) -> None:
    with socket.socket(fileno=os.dup(descriptor)) as connection:
        connection.shutdown(socket.SHUT_RDWR)
