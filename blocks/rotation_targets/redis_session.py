"""Talking to a Redis server: every command bounded in time, every failure told apart, no value in any error."""

import ssl
import time
from dataclasses import dataclass
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pydantic import SecretStr

from rules.errors import PermanentError, TemporaryError, VigilesError

if TYPE_CHECKING:
    from redis.connection import Connection

PERMISSIONS = ("+acl|getuser", "+acl|setuser", "+acl|save", "+config|get")
"""What the admin user must be allowed, as Redis writes it."""

_WRONG_PASSWORD = "invalid username-password pair"  # noqa: S105 - what the server says, its code WRONGPASS taken off
_TLS = ("CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER", "record layer failure")


@dataclass(frozen=True, slots=True)
class User:
    """What the server says of an ACL user.

    Attributes:
        enabled: whether it may log in at all.
        any_password: whether it may log in with whatever password.
        hashes: SHA-256 of each password that it may log in with, in hex.
    """

    enabled: bool
    any_password: bool
    hashes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server is and how to connect to it.

    Attributes:
        host: name or address.
        port: its port.
        tls: whether the connection is encrypted, and the server's certificate verified.
        ca_file: the certificate authority's, where it is a private one.
        seconds: for each connection and each command.
    """

    host: str
    port: int
    tls: bool
    ca_file: str | None
    seconds: int

    def __str__(self) -> str:
        return f"Redis at {self.host}:{self.port}"

    def session(self, user: str, password: SecretStr) -> "Session":
        """Return a session to be used as a context manager."""
        return Session(self, user, password)

    def accepts(self, user: str, password: SecretStr) -> bool:
        """Return whether the server lets the user in; False only where it refused the password.

        Raises:
            TemporaryError: if it cannot be reached or has no room.
            PermanentError: if it refused for another reason.
        """
        redis = load_client()
        failure: VigilesError
        try:
            self.connect(user, password).disconnect()  # type: ignore[no-untyped-call]
        except redis.exceptions.AuthenticationError as error:
            if _WRONG_PASSWORD in str(error):
                return False
            failure = self.explained(error, "let the user in")
        except (redis.exceptions.RedisError, OSError) as error:
            failure = self.explained(error, "let the user in")
        else:
            return True
        raise failure

    def connect(self, user: str, password: SecretStr) -> "Connection":
        """Return a connection on which the user is logged in, and which is never made again by itself.

        Raises:
            redis.RedisError, OSError: if there is none.
        """
        redis = load_client()
        options = {
            "host": self.host,
            "port": self.port,
            "username": user,
            "password": password.get_secret_value(),
            "protocol": 2,
            "decode_responses": True,
            "socket_timeout": self.seconds,
            "socket_connect_timeout": self.seconds,
            "retry": import_module("redis.retry").Retry(import_module("redis.backoff").NoBackoff(), 0),
            "lib_name": None,
            "lib_version": None,
        }
        if self.tls:
            verified = {"ssl_cert_reqs": "required", "ssl_check_hostname": True, "ssl_ca_certs": self.ca_file}
            connection: Connection = redis.SSLConnection(**options, **verified)
        else:
            connection = redis.Connection(**options)
        connection.connect()  # type: ignore[no-untyped-call]
        return connection

    def explained(self, error: Exception, purpose: str) -> VigilesError:
        """Return our error for one of the client's; its text is left out, as it may repeat what was sent."""
        redis = load_client()
        message = f"{self} did not {purpose} ({type(error).__name__})."
        if isinstance(error, ssl.SSLError) or any(word in str(error) for word in _TLS):
            return PermanentError(message, "Correct `tls` and `ca_file` of the block, or the server's certificate.")
        if isinstance(error, redis.exceptions.AuthenticationError):
            return PermanentError(message, "Correct the user, its password, or whether it is enabled.")
        if isinstance(error, redis.exceptions.NoPermissionError):
            return PermanentError(message, f"Allow the admin user: {' '.join(PERMISSIONS)}")
        if isinstance(error, redis.exceptions.ResponseError):
            return PermanentError(message, "Look at the server's log; ACL users need Redis 6 or later.")
        tls = ", and that it speaks TLS at this port" if self.tls else ""
        return TemporaryError(message, f"Check that it runs, has room, can be reached from here{tls}.")


class Session:
    """One connection of the admin user: opened on entry, closed on exit, at most thrice ``seconds`` in between."""

    def __init__(self, server: Server, user: str, password: SecretStr) -> None:
        self._server = server
        self._user = user
        self._password = password
        self._connection: Connection | None = None
        self._deadline = 0.0

    def __enter__(self) -> Self:
        redis = load_client()
        try:
            self._connection = self._server.connect(self._user, self._password)
        except (redis.exceptions.RedisError, OSError) as error:
            failure = self._server.explained(error, f"let {self._user} in")
        else:
            self._deadline = time.monotonic() + 2 * self._server.seconds
            return self
        # Outside of `except`: the cause may hold the password.
        raise failure

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._connection is not None
        self._connection.disconnect()  # type: ignore[no-untyped-call]

    def find(self, user: str) -> User | None:
        """Return what the server says of a user, or None where it has none of this name."""
        answer = self._asked(f"show user {user}", "ACL", "GETUSER", user)
        if answer is None:
            return None
        parts = dict(zip(answer[::2], answer[1::2], strict=True))
        flags = set(parts["flags"])
        return User("on" in flags, "nopass" in flags, frozenset(parts["passwords"]))

    def change(self, user: str, rule: str) -> None:
        """Apply one ACL rule to a user that is there."""
        self._asked(f"change user {user}", "ACL", "SETUSER", user, rule)

    def has_file(self) -> bool:
        """Return whether the server keeps its users in an ACL file."""
        answer = self._asked("say whether it has an ACL file", "CONFIG", "GET", "aclfile")
        return bool(answer and answer[-1])

    def save(self) -> None:
        """Write the users to the ACL file.

        Raises:
            TemporaryError: if the server could not write it; its log says why.
        """
        redis = load_client()
        try:
            self._sent("ACL", "SAVE")
        except redis.exceptions.NoPermissionError as error:
            failure = self._server.explained(error, "save its ACL file")
        except (redis.exceptions.RedisError, OSError) as error:
            message = f"{self._server} did not save its ACL file ({type(error).__name__})."
            failure = TemporaryError(message, "Look at the server's log, then run again.")
        else:
            return
        raise failure

    def may(self, *command: str) -> bool:
        """Return whether the admin user may give a command; True also where the server cannot tell (before Redis 7)."""
        redis = load_client()
        try:
            answer: object = self._sent("ACL", "DRYRUN", self._user, *command)
        except redis.exceptions.ResponseError:
            return True
        except (redis.exceptions.RedisError, OSError) as error:
            failure = self._server.explained(error, f"say what {self._user} may do")
        else:
            return answer == "OK"
        raise failure

    def _asked(self, purpose: str, *command: str) -> Any:
        redis = load_client()
        try:
            return self._sent(*command)
        except (redis.exceptions.RedisError, OSError) as error:
            failure = self._server.explained(error, purpose)
        raise failure

    def _sent(self, *command: str) -> Any:
        assert self._connection is not None
        if time.monotonic() > self._deadline:
            raise TimeoutError
        self._connection.send_command(*command)  # type: ignore[no-untyped-call]
        return self._connection.read_response()


def load_client() -> Any:
    """Return redis-py, imported only now: it is an extra.

    Raises:
        PermanentError: if it is not installed.
    """
    try:
        return import_module("redis")
    except ImportError:
        raise PermanentError(
            "redis, which talks to Redis, is not installed.", "Install it: pip install 'vigiles[redis]'"
        ) from None
