"""PostgreSQL roles as a rotation target: two that take turns, or one whose password is replaced in place."""

from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from blocks.policies.interface import policy_error
from blocks.presentation import DOCUMENTATION_URL, LOGO_URL
from blocks.rotation_targets.admin_secret import AdminSecret, load_password
from blocks.rotation_targets.interface import RotationTarget, UnprovableError
from blocks.rotation_targets.postgres_session import Login, Server, Session
from blocks.secret_stores.generation import generate_password
from blocks.secret_stores.interface import SecretVersion
from rules.errors import PermanentError
from rules.rotation import TargetKind


class PostgresRole(RotationTarget):
    """One or two login roles of a PostgreSQL server.

    Setting a role's password kills the old one at once. So with two roles the new version is always for the one that is
    not in use, and no login ever fails; both need the same rights. With one role, logins with the stored value fail
    from the moment the new password is set until the store is updated: this is labelled ``single-slot``.

    Example:
        ```python
        from blocks.rotation_targets.postgres_role import PostgresRole

        postgres_role = PostgresRole.load("BLOCK_NAME")
        ```
    """

    _block_type_name: ClassVar[str | None] = "PostgreSQL Role"
    _block_type_slug: ClassVar[str | None] = "postgres-role"
    _documentation_url: ClassVar[Any] = DOCUMENTATION_URL
    _logo_url: ClassVar[Any] = LOGO_URL
    _description: ClassVar[str | None] = "One or two login roles whose passwords are rotated."

    host: str = Field(description="Name or address of the server.", min_length=1)
    port: int = Field(default=5432, description="Port of the server.", ge=1, le=65535)
    database: str = Field(default="postgres", description="Database to log in to.", min_length=1)
    roles: list[str] = Field(
        description="Two roles with the same rights that take turns, or one whose password is replaced in place.",
        min_length=1,
        max_length=2,
    )
    admin_user: str = Field(description="A role that may set the passwords of the others.", min_length=1)
    admin_secret: AdminSecret = Field(
        description="Prefect Secret block with its password, such as secret/warehouse-admin."
    )
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] = Field(
        default="prefer", description="How the connection is encrypted; verify-full for anything but a loopback."
    )
    connect_timeout: int = Field(default=5, description="Seconds for each connection and each statement.", ge=2, le=8)

    @field_validator("roles")
    @classmethod
    def _distinct(cls, roles: list[str]) -> list[str]:
        if len(set(roles)) != len(roles) or not all(roles):
            raise policy_error("P045", "the roles of a target are two different names", "Name one role, or two.")
        return roles

    @property
    def kind(self) -> TargetKind:
        """Alternating with two roles, single-slot with one."""
        return TargetKind.ALTERNATING if len(self.roles) > 1 else TargetKind.SINGLE_SLOT

    @property
    def call_seconds(self) -> float:
        """Two connections and a transaction at the most."""
        return 4.0 * self.connect_timeout

    @property
    def permissions(self) -> tuple[str, ...]:
        """What the admin role needs (see ``RotationTarget``)."""
        return tuple(f"CREATEROLE, or ADMIN OPTION on {role}, for {self.admin_user}" for role in self.roles)

    def preflight(self) -> None:
        """Check that the roles exist, may log in, and not with any password (see ``RotationTarget``)."""
        with self._admin() as session:
            found = session.login_roles(self.roles)
        for role in self.roles:
            if role not in found:
                advice = f"Create it: CREATE ROLE {role} LOGIN, with the rights of the other one."
                raise PermanentError(f"Role {role} does not exist on {self._server()}.", advice)
            if not found[role]:
                raise PermanentError(f"Role {role} may not log in.", f"Run: ALTER ROLE {role} LOGIN")
            if self._server().accepts(Login(role, generate_password())):
                advice = "Let pg_hba.conf ask for scram-sha-256 from the machine that runs this flow."
                raise UnprovableError(f"{self._server()} lets role {role} in with any password.", advice)

    def next_username(self, current: str | None) -> str | None:
        """Return the role whose turn it is (see ``RotationTarget``)."""
        if current is None:
            return self.roles[0]
        if current not in self.roles:
            advice = f"Store one of them as the user name, or correct the block: {', '.join(self.roles)}."
            raise PermanentError("The current version is for a role that the target does not name.", advice)
        return next((role for role in self.roles if role != current), current)

    def apply(self, pending: SecretVersion, current: SecretVersion | None) -> None:
        """Set the pending version's password, as a SCRAM verifier (see ``RotationTarget``)."""
        role = self._role(pending)
        if self.kind is TargetKind.ALTERNATING and current is not None and self._role(current) == role:
            raise PermanentError(f"Role {role} is in use as the current version; its password is not touched.")
        with self._admin() as session:
            session.set_password(role, pending.password)

    def authenticates(self, version: SecretVersion) -> bool:
        """Log in with the version (see ``RotationTarget``)."""
        role = self._role(version)
        return self._server().accepts(Login(role, version.password))

    def retire(self, previous: SecretVersion, current: SecretVersion | None) -> None:
        """Remove the previous role's password (see ``RotationTarget``)."""
        role = self._role(previous)
        if current is not None and role == self._role(current):
            raise PermanentError(f"Role {role} is in use as the current version; it is not retired.")
        with self._admin() as session:
            session.remove_password(role)

    def _role(self, version: SecretVersion) -> str:
        role = version.username or (self.roles[0] if len(self.roles) == 1 else None)
        if role not in self.roles:
            known = ", ".join(self.roles)
            raise PermanentError(f"The secret does not name a role of the target ({known}).", "Give the policy `keys`.")
        return role

    def _server(self) -> Server:
        return Server(self.host, self.port, self.database, self.sslmode, self.connect_timeout)

    def _admin(self) -> Session:
        return self._server().session(Login(self.admin_user, load_password(self.admin_secret)))
