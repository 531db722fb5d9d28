"""The estates of random kills: each a secret in OpenBao with accounts, blocks and policy of its own."""

import json
import time
import uuid
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from support.openbao import OpenBao
from support.postgres import Postgres
from support.random_consumer import HOST, ROUNDS, SETTINGS
from support.redis import Redis

GRACE_SECONDS = 2.0


@dataclass
class Vault:
    """A KV engine for all estates, with the rights of the least-privilege table, and a consumer's token."""

    server: OpenBao
    mount: str = ""
    store: str = field(default_factory=lambda: f"kv-{uuid.uuid4().hex[:8]}")
    consumer: dict[str, str] = field(default_factory=dict)

    def prepare(self) -> None:
        """Mount the engine, make policies and logins, and save the store's block."""
        from prefect.blocks.system import Secret

        from blocks.rotation_targets.postgres_role import PostgresRole
        from blocks.rotation_targets.redis_user import RedisUser
        from blocks.secret_stores.vault_kv import VaultKvStore

        # Two first blocks of a type that are saved at the same moment are a conflict.
        for kind in (Secret, PostgresRole, RedisUser):
            kind.register_type_and_schema()
        self.mount = self.server.new_mount()
        rules = {
            f"{self.mount}/data/+/db": ["read", "update"],
            f"{self.mount}/data/+/db--vigiles": ["create", "read", "update"],
            f"{self.mount}/metadata/+/db": ["read"],
            f"{self.mount}/metadata/+/db--vigiles": ["create", "update"],
            f"{self.mount}/destroy/+/db": ["update"],
        }
        role = self.server.new_approle(self.server.new_policy(rules))
        login = {"authentication": "approle", "role_id": role.role_id, "secret_id": role.secret_id}
        VaultKvStore(address=self.server.address, mount=self.mount, **login).save(self.store)
        token = self.server.new_token(self.server.new_policy({f"{self.mount}/data/+/db": ["read"]}))
        self.consumer = {"address": self.server.address, "mount": self.mount, "token": token}

    def read(self, path: str) -> dict[str, Any]:
        kv = self.server.client().secrets.kv.v2
        return kv.read_secret_version(path, mount_point=self.mount, raise_on_deleted_version=True)["data"]["data"]

    def readable_versions(self, path: str) -> int:
        kv = self.server.client().secrets.kv.v2
        rows = kv.read_secret_metadata(path, mount_point=self.mount)["data"]["versions"]
        return sum(not row["destroyed"] for row in rows.values())


class Estate(ABC):
    """One secret, and the accounts that it is for."""

    kind: ClassVar[str]

    def __init__(self, vault: Vault, root: Path, name: str) -> None:
        self.vault, self.folder = vault, root / name
        self.id = uuid.uuid4().hex[:10]
        self.path = f"{self.id}/db"
        self.first = self.make_accounts()
        fields = {"username": self.first[0], "password": self.first[1], "host": HOST}
        kv = vault.server.client().secrets.kv.v2
        kv.create_or_update_secret(self.path, fields, cas=0, mount_point=vault.mount)
        self.folder.mkdir()
        settings = {"kind": self.kind, "port": self.port, "path": self.path}
        (self.folder / "settings.tmp").write_text(json.dumps(settings))
        (self.folder / "settings.tmp").rename(self.folder / SETTINGS)

    @property
    @abstractmethod
    def port(self) -> int:
        """Of the server that checks the accounts."""

    @abstractmethod
    def make_accounts(self) -> tuple[str, str]:
        """Make accounts and the target's block, named by the id; return the account and password in use."""

    @abstractmethod
    def accepts(self, user: str, password: str) -> bool:
        """Log in."""

    @abstractmethod
    def passwords(self) -> int:
        """Count the passwords that the server holds for the accounts."""

    def policy(self) -> dict[str, Any]:
        """Return the policy of this one secret, which has a concurrency limit of its own."""
        secret = {
            "name": "db",
            "store": f"vault-kv-store/{self.vault.store}",
            "path": self.path,
            "keys": {"username": "username", "password": "password"},
            "target": self.target,
            "every": "30d",
            "grace": f"{GRACE_SECONDS:.0f}s",
        }
        return {"version": 1, "name": f"p-{self.id}", "secrets": [secret]}

    @property
    @abstractmethod
    def target(self) -> str:
        """Slug of the target's block."""

    def current(self) -> tuple[str, str]:
        """Return what consumers read."""
        fields = self.vault.read(self.path)
        return (fields["username"], fields["password"])

    def record(self) -> dict[str, Any]:
        """Return the record beside the secret, empty where there is none."""
        import hvac.exceptions

        try:
            return self.vault.read(f"{self.path}--vigiles")
        except hvac.exceptions.InvalidPath:
            return {"journal": {}, "pending": None, "previous": None}

    def watched(self) -> dict[str, Any]:
        """Return where the record can be looked at."""
        server = self.vault.server
        path = f"/v1/{self.vault.mount}/metadata/{self.path}--vigiles"
        return {"port": server.port, "path": path, "token": server.root}

    def point(self) -> str:
        """Return how far the rotation is."""
        record, current = self.record(), self.current()
        if record["pending"]:
            return "promoted" if tuple(record["pending"]) == current else "staged"
        if record["journal"].get("retire_after"):
            return "in grace"
        if record["journal"].get("confirmed"):
            return "finished"
        return "claimed" if record["journal"] else "untouched"

    def leave(self) -> None:
        """Let the consumer look here no more, and wait until it has written down its last look."""
        (self.folder / SETTINGS).unlink()
        rounds = self.folder.parent / ROUNDS
        first, deadline = int(rounds.read_text()), time.monotonic() + 60
        while int(rounds.read_text()) < first + 2:
            assert time.monotonic() < deadline, "the consumer stands still"
            time.sleep(0.02)

    def faults(self) -> list[str]:
        """Return what is not as it has to be at the end: one credential works, and no other is kept anywhere."""
        record, found = self.record(), []
        checks = {
            "the rotation is not finished": self.point() == "finished",
            "the secret did not change": self.current() != self.first,
            "the current credential does not work": self.accepts(*self.current()),
            "the first credential still works": not self.accepts(*self.first),
            "another password is alive": self.passwords() == 1,
            "the record holds a value": not record["pending"] and not record["previous"],
            "an old version can be read": self.vault.readable_versions(self.path) == 1,
            "the record has an old version": self.vault.readable_versions(f"{self.path}--vigiles") == 1,
        }
        found += [fault for fault, fine in checks.items() if not fine]
        return found


class PostgresEstate(Estate):
    """Two roles that take turns."""

    kind: ClassVar[str] = "alternating"

    def __init__(self, vault: Vault, root: Path, name: str, postgres: Postgres) -> None:
        self._postgres = postgres
        super().__init__(vault, root, name)

    @property
    def port(self) -> int:
        return self._postgres.port

    @property
    def target(self) -> str:
        return f"postgres-role/pg-{self.id}"

    def make_accounts(self) -> tuple[str, str]:
        from prefect.blocks.system import Secret

        from blocks.rotation_targets.postgres_role import PostgresRole

        self._roles = self._postgres.new_roles(2)
        Secret(value=self._postgres.admin_password).save(f"admin-{self.id}")
        PostgresRole(
            host=self._postgres.host,
            port=self._postgres.port,
            roles=self._roles,
            admin_user=self._postgres.admin,
            admin_secret=f"secret/admin-{self.id}",
        ).save(f"pg-{self.id}")
        return (self._roles[0], f"first-{self._roles[0]}")

    def accepts(self, user: str, password: str) -> bool:
        return self._postgres.accepts(user, password)

    def passwords(self) -> int:
        rows = self._postgres.rows("SELECT rolname FROM pg_authid WHERE rolpassword IS NOT NULL")
        return sum(row[0] in self._roles for row in rows)


class RedisEstate(Estate):
    """One ACL user, who has two passwords for a while."""

    kind: ClassVar[str] = "dual"

    def __init__(self, vault: Vault, root: Path, name: str, redis: Redis) -> None:
        self._redis = redis
        super().__init__(vault, root, name)

    @property
    def port(self) -> int:
        return self._redis.port

    @property
    def target(self) -> str:
        return f"redis-user/redis-{self.id}"

    def make_accounts(self) -> tuple[str, str]:
        from prefect.blocks.system import Secret

        from blocks.rotation_targets.redis_user import RedisUser

        self._user = self._redis.new_user()
        Secret(value=self._redis.admin_password).save(f"admin-{self.id}")
        RedisUser(
            host=self._redis.host,
            port=self._redis.port,
            tls=False,
            user=self._user,
            admin_user=self._redis.admin,
            admin_secret=f"secret/admin-{self.id}",
        ).save(f"redis-{self.id}")
        return (self._user, f"first-{self._user}")

    def accepts(self, user: str, password: str) -> bool:
        return self._redis.accepts(user, password)

    def passwords(self) -> int:
        return str(self._redis.command("ACL", "LIST")).partition(f"user {self._user} ")[2].partition("'")[0].count(" #")
