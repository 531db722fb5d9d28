"""A Redis ACL user as a rotation target: it accepts the old password and the new one until the old one is retired."""

import hashlib
from typing import Any, ClassVar

from pydantic import Field

from blocks.presentation import DOCUMENTATION_URL, LOGO_URL
from blocks.rotation_targets.admin_secret import AdminSecret, load_password
from blocks.rotation_targets.interface import RotationTarget, UnprovableError
from blocks.rotation_targets.redis_session import PERMISSIONS, Server, Session, User
from blocks.secret_stores.interface import SecretVersion
from rules.errors import PermanentError
from rules.rotation import TargetKind


class RedisUser(RotationTarget):
    """One ACL user of one Redis server, version 6 or later, or of one that speaks its ACL commands.

    Redis lets a user have several passwords, so the new one is added and works beside the old one. The server is only
    ever given SHA-256 hashes. Retiring removes a password and leaves connections open that logged in with it: Redis
    cannot tell them from those of the new one.

    Redis does not copy users to replicas or to other nodes: each of them needs a block and a secret of its own.

    Example:
        ```python
        from blocks.rotation_targets.redis_user import RedisUser

        redis_user = RedisUser.load("BLOCK_NAME")
        ```
    """

    _block_type_name: ClassVar[str | None] = "Redis User"
    _block_type_slug: ClassVar[str | None] = "redis-user"
    _documentation_url: ClassVar[Any] = DOCUMENTATION_URL
    _logo_url: ClassVar[Any] = LOGO_URL
    _description: ClassVar[str | None] = "An ACL user whose password is rotated while the old one still works."

    host: str = Field(description="Name or address of the server.", min_length=1)
    port: int = Field(default=6379, description="Port of the server.", ge=1, le=65535)
    tls: bool = Field(default=True, description="Encrypt the connection; leave it out for a loopback only.")
    ca_file: str | None = Field(default=None, description="File of the certificate authority, if it is a private one.")
    user: str = Field(description="The ACL user whose password is rotated.", pattern=r"^\S+$")
    admin_user: str = Field(description="Another user, who may change it and save the ACL file.", min_length=1)
    admin_secret: AdminSecret = Field(description="Prefect Secret block with its password, such as secret/redis-admin.")
    connect_timeout: int = Field(default=3, description="Seconds for each connection and each command.", ge=1, le=5)
    allow_unsaved: bool = Field(
        default=False,
        description="Rotate on a server without an ACL file; when it restarts, it has the old passwords again.",
    )

    @property
    def kind(self) -> TargetKind:
        """Dual: one account, two passwords."""
        return TargetKind.DUAL

    @property
    def call_seconds(self) -> float:
        """A connection to either of two addresses, a login and the commands, of which the last may begin late."""
        return 6.0 * self.connect_timeout

    @property
    def permissions(self) -> tuple[str, ...]:
        """What the admin user must be allowed."""
        return PERMISSIONS

    def preflight(self) -> None:
        """Check that the user can be changed, and that a restart would not undo it (see ``RotationTarget``)."""
        if self.user == self.admin_user:
            advice = "Name another one, or the admin's own password would be retired."
            raise PermanentError(f"User {self.user} cannot be its own admin.", advice)
        with self._admin() as session:
            self._found(session)
            commands = [("ACL", "SETUSER", self.user)] + [("ACL", "SAVE")] * self._is_saved(session)
            refused = [command for command in commands if not session.may(*command)]
        if refused:
            advice = f"Run: ACL SETUSER {self.admin_user} {' '.join(PERMISSIONS)}"
            raise PermanentError(f"User {self.admin_user} may not do {' '.join(refused[0])}.", advice)

    def next_username(self, current: str | None) -> str | None:
        """Return the one account there is (see ``RotationTarget``)."""
        if current not in (None, self.user):
            advice = f"Store {self.user} as the user name, or correct the block."
            raise PermanentError("The secret names a user that the target does not.", advice)
        return self.user

    def apply(self, pending: SecretVersion, current: SecretVersion | None) -> None:  # noqa: ARG002 - both work then
        """Add the pending version's password (see ``RotationTarget``)."""
        added = self._hash(pending)
        with self._admin() as session:
            saved = self._is_saved(session)
            # A user that takes any password would take only this one from now on.
            if added not in self._found(session).hashes:
                session.change(self.user, f"#{added}")
            if saved:
                session.save()

    def authenticates(self, version: SecretVersion) -> bool:
        """Log in with the version, on a connection of its own (see ``RotationTarget``)."""
        self.next_username(version.username)
        return self._server().accepts(self.user, version.password)

    def retire(self, previous: SecretVersion, current: SecretVersion | None) -> None:
        """Remove the previous version's password and no other (see ``RotationTarget``)."""
        removed, kept = self._hash(previous), self._hash(current) if current is not None else None
        if removed == kept:
            raise PermanentError(f"The password of {self.user} is in use as the current version; it is not retired.")
        with self._admin() as session:
            saved = self._is_saved(session)
            found = self._found(session)
            if removed in found.hashes:
                if kept is not None and kept not in found.hashes:
                    problem = f"User {self.user} does not have the current version's password; the other one is kept."
                    raise PermanentError(problem, "See who changed the user.")
                session.change(self.user, f"!{removed}")
            # Also where it was removed before: that may not have been saved.
            if saved:
                session.save()

    def _hash(self, version: SecretVersion) -> str:
        self.next_username(version.username)
        return hashlib.sha256(version.password.get_secret_value().encode()).hexdigest()

    def _found(self, session: Session) -> User:
        found = session.find(self.user)
        if found is None:
            advice = f"Create it: ACL SETUSER {self.user} on, with its rights."
            raise PermanentError(f"User {self.user} does not exist on {self._server()}.", advice)
        if not found.enabled:
            raise PermanentError(f"User {self.user} is disabled.", f"Run: ACL SETUSER {self.user} on")
        if found.any_password:
            advice = f"Run: ACL SETUSER {self.user} resetpass, then give it a password."
            raise UnprovableError(f"{self._server()} lets user {self.user} in with any password.", advice)
        return found

    def _is_saved(self, session: Session) -> bool:
        try:
            if session.has_file():
                return True
        except PermanentError:
            if not self.allow_unsaved:
                raise
        if not self.allow_unsaved:
            advice = (
                "Give the server an `aclfile`, or set `allow_unsaved` and keep its configuration up to date yourself."
            )
            raise PermanentError(f"{self._server()} has no ACL file: a restart brings the old password back.", advice)
        return False

    def _server(self) -> Server:
        return Server(self.host, self.port, self.tls, self.ca_file, self.connect_timeout)

    def _admin(self) -> Session:
        return self._server().session(self.admin_user, load_password(self.admin_secret))
