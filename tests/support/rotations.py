"""An estate to rotate in: a .env file, PostgreSQL roles, the blocks that name them, and a consumer."""

import uuid
from dataclasses import dataclass, field
from pathlib import Path

from dotenv import dotenv_values
from support.postgres import Postgres

OTHER_LINES = "# the application's own\nexport OTHER='keep me'\n"


@dataclass
class Estate:
    """What one test rotates; every name is its own."""

    postgres: Postgres
    env: Path
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:10])
    roles: list[str] = field(default_factory=list)

    @property
    def store(self) -> str:
        return f"env-file-store/env-{self.id}"

    @property
    def target(self) -> str:
        return f"postgres-role/pg-{self.id}"

    def save_blocks(self) -> None:
        from prefect.blocks.system import Secret

        from blocks.rotation_targets.postgres_role import PostgresRole
        from blocks.secret_stores.env_file import EnvFileStore

        EnvFileStore(path=self.env).save(f"env-{self.id}", overwrite=True)
        Secret(value=self.postgres.admin_password).save(f"admin-{self.id}", overwrite=True)
        if self.roles:
            PostgresRole(
                host=self.postgres.host,
                port=self.postgres.port,
                roles=self.roles,
                admin_user=self.postgres.admin,
                admin_secret=f"secret/admin-{self.id}",
            ).save(f"pg-{self.id}", overwrite=True)

    def secret(self, kind: str, **fields: object) -> dict[str, object]:
        """Return the policy entry for a ``generated``, ``alternating`` or ``single-slot`` secret."""
        entry: dict[str, object] = {"name": kind, "store": self.store, "every": "30d", "grace": "1s"}
        if kind == "generated":
            entry |= {"key": "API_TOKEN"}
        elif kind == "alternating":
            entry |= {"keys": {"username": "DB_USER", "password": "DB_PASSWORD"}, "target": self.target}
        else:
            entry |= {"key": "DB_PASSWORD", "target": self.target}
        return entry | fields

    def policy(self, *secrets: dict[str, object], **fields: object):
        from blocks.policies.rotation import RotationPolicy

        return RotationPolicy(version=1, name=f"p-{self.id}", secrets=list(secrets), **fields)

    def read(self) -> dict[str, str | None]:
        """Read the file as a consumer does."""
        return dict(dotenv_values(self.env, interpolate=False))

    def consumer_logs_in(self) -> bool:
        """Read the current credential and log in with it."""
        values = self.read()
        return self.postgres.accepts(values.get("DB_USER") or self.roles[0], values["DB_PASSWORD"])

    def snapshot(self) -> tuple[object, ...]:
        """Return everything that an audit must leave as it is: bytes of the folder, passwords of the server."""
        folder = self.env.parent
        files = {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in sorted(folder.iterdir()) if p.is_file()}
        rows = self.postgres.rows("SELECT rolname, rolpassword FROM pg_authid ORDER BY rolname")
        return (files, [row for row in rows if row[0] in self.roles])


def make_estate(postgres: Postgres, folder: Path, kind: str = "generated") -> Estate:
    """Return an estate whose file, roles and blocks fit the kind of secret; call it where Prefect is reachable."""
    folder.mkdir(mode=0o700, exist_ok=True)
    estate = Estate(postgres, folder / ".env")
    lines = OTHER_LINES
    if kind == "generated":
        lines += "API_TOKEN=first\n"
    else:
        estate.roles = postgres.new_roles(2 if kind == "alternating" else 1)
        if kind == "alternating":
            lines += f'DB_USER="{estate.roles[0]}"\n'
        lines += f'DB_PASSWORD="first-{estate.roles[0]}"  # rotated\n'
    estate.env.write_text(lines)
    estate.env.chmod(0o600)
    estate.save_blocks()
    return estate
