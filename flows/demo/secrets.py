"""The demo's secrets: a ``.env`` file, and a pair of roles in a PostgreSQL server of its own."""

import secrets
from pathlib import Path

from prefect.blocks.system import Secret

from blocks.rotation_targets.postgres_role import PostgresRole
from blocks.secret_stores.env_file import EnvFileStore
from flows.demo.postgres import ADMIN, Postgres

ROLES = ("warehouse_blue", "warehouse_green")
"""The pair of roles that take turns."""


def create_secrets(folder: Path, postgres: Postgres | None) -> Path:
    """Write the ``.env`` file, give the roles their first password, save the blocks; return the file's path.

    Args:
        folder: where the file is made.
        postgres: the database server; without one the target points nowhere, and its secret cannot be checked.
    """
    token, password, admin = (secrets.token_urlsafe(24) for _ in range(3))
    path = folder / ".env"
    path.touch(mode=0o600)
    path.write_text(
        f"# The warehouse job reads this file.\nAPI_TOKEN={token}\nWAREHOUSE_USER={ROLES[0]}\n"
        f"WAREHOUSE_PASSWORD={password}\nLOG_LEVEL=info\n"
    )
    if postgres is not None:
        postgres.execute(*(f"CREATE ROLE {role} LOGIN" for role in ROLES))
        postgres.set_password(ROLES[0], password)
        postgres.set_password(ADMIN, admin)
    EnvFileStore(path=path).save("local", overwrite=True)
    Secret(value=admin).save("warehouse-admin", overwrite=True)
    PostgresRole(
        host=postgres.host if postgres else "127.0.0.1",
        port=postgres.port if postgres else 1,
        roles=list(ROLES),
        admin_user=ADMIN,
        admin_secret="secret/warehouse-admin",  # noqa: S106 - the name of a block
        sslmode="prefer",
    ).save("warehouse", overwrite=True)
    return path
