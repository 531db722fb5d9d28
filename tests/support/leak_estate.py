"""An estate whose secrets rotate in several stores and at several targets, well and in every bad way there is.

Every value in it is planted, so that a scan for it means something; the blocks are real, saved on Prefect's server.
"""

import json
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from support import echoing_proxy
from support.canary import AWKWARD, plant
from support.moto import EVERYTHING, REGION, Key, Moto
from support.openbao import OpenBao
from support.postgres import Postgres
from support.redis import Redis

NOWHERE = "http://127.0.0.1:1"
PAIR = {"username": "username", "password": "password"}
FAULTS: tuple[echoing_proxy.Fault, ...] = get_args(echoing_proxy.Fault)


def _marker() -> str:
    # Not longer: what looks random, a policy refuses as a secret.
    return f"marker-{uuid.uuid4().hex[:12]}"


@dataclass
class Estate:
    """Blocks on the server, and a policy over them.

    Attributes:
        folder: of the files.
        values: every value that is known.
        entries: the policy's secrets, by name; those of ``held`` can be rolled back, those of ``working`` rotate.
        marker: a text in the names of the secrets, which is no value and unique to one estate.
    """

    folder: Path
    values: set[str] = field(default_factory=set)
    entries: dict[str, dict[str, Any]] = field(default_factory=dict)
    marker: str = field(default_factory=_marker)

    @property
    def held(self) -> list[str]:
        return [name for name in self.entries if name.startswith("held-")]

    @property
    def working(self) -> list[str]:
        return [name for name in self.entries if name.startswith("good-")]

    def new(self, name: str, *, plain: bool = False) -> str:
        """Plant a value; a plain one stands in a dotenv file and in a header."""
        value = plant(name).replace(AWKWARD, "") if plain else plant(name)
        self.values.add(value)
        return value

    def add(self, name: str, store: str, **fields: Any) -> None:
        """Add a secret to the policy."""
        self.entries[name] = {"name": name, "store": store, "every": "30d", "grace": "1s", **fields}

    def publish(self) -> None:
        """Save the policy as a block."""
        from blocks.policies.rotation import RotationPolicy

        made = RotationPolicy(version=1, name="leaks", max_changes=100, secrets=[*self.entries.values()])
        made.model_copy(update={"digest": made.compute_digest()}).save("leaks")


def build(estate: Estate, stack: ExitStack, *, bao: OpenBao, moto: Moto, postgres: Postgres, redis: Redis) -> None:
    """Save all blocks and secrets; the proxies live as long as ``stack``."""
    from prefect.blocks.system import Secret

    roles = Roles(estate, postgres)
    Secret(value=roles.admin).save("leaks-admin")
    Secret(value=estate.new("wrong")).save("leaks-wrong")
    Secret(value={"password": estate.new("object")}).save("leaks-object")
    _vault(estate, stack, bao, roles)
    _aws(estate, stack, moto)
    _files(estate, redis)
    _prefect(estate)
    _clouds_away(estate)
    estate.publish()


class Roles:
    """PostgreSQL roles and blocks over them."""

    def __init__(self, estate: Estate, postgres: Postgres) -> None:
        self.estate, self.postgres = estate, postgres
        self.admin = estate.new("admin")
        self.admins = [f"admin-{uuid.uuid4().hex[:8]}" for _ in range(2)]
        for name, rights in zip(self.admins, ("SUPERUSER", "NOCREATEROLE"), strict=True):
            postgres.execute(f"CREATE ROLE {{}} LOGIN {rights}", name)
            self.set_password(name, self.admin)

    def set_password(self, role: str, password: str) -> None:
        from psycopg import sql

        with self.postgres.connect() as connection:
            statement = sql.SQL("ALTER ROLE {} PASSWORD {}")
            connection.execute(statement.format(sql.Identifier(role), sql.Literal(password)))

    def target(self, name: str, count: int = 2, **fields: Any) -> dict[str, str]:
        """Save a target; return the pair that its first role has."""
        from blocks.rotation_targets.postgres_role import PostgresRole

        roles, first = self.postgres.new_roles(count), self.estate.new("first")
        self.set_password(roles[0], first)
        where = {"host": self.postgres.host, "port": self.postgres.port, "admin_user": self.admins[0]}
        PostgresRole(**where | {"roles": roles, "admin_secret": "secret/leaks-admin"} | fields).save(f"leaks-{name}")
        return {"username": roles[0], "password": first}


def _vault(estate: Estate, stack: ExitStack, bao: OpenBao, roles: Roles) -> None:
    from blocks.secret_stores.vault_kv import VaultKvStore

    mount = bao.new_mount()
    login = {"mount": mount, "authentication": "approle"}
    for name, rules in (("full", {f"{mount}/*": ["create", "read", "update", "delete", "list"]}), ("poor", {})):
        role = bao.new_approle(bao.new_policy(rules or {"nothing": ["read"]}))
        estate.values.add(role.secret_id)
        login |= {"role_id": role.role_id, "secret_id": role.secret_id} if name == "full" else {}
        VaultKvStore(address=bao.address, **login | {"role_id": role.role_id, "secret_id": role.secret_id}).save(
            f"leaks-{name}"
        )
    VaultKvStore(address=NOWHERE, **login).save("leaks-away")
    token = estate.new("token", plain=True)
    VaultKvStore(address=bao.address, mount=mount, authentication="token", token=token).save("leaks-unknown")
    for fault in FAULTS:
        address = stack.enter_context(echoing_proxy.before(bao.address, fault))
        VaultKvStore(address=address, **login).save(f"leaks-{fault}")
    kv = bao.client().secrets.kv.v2

    def secret(name: str, store: str, fields: Mapping[str, object], **entry: Any) -> None:
        path = f"{estate.marker}/{name}"
        kv.create_or_update_secret(path, {"host": "db", **fields}, mount_point=mount)
        estate.add(name, f"vault-kv-store/leaks-{store}", path=path, **entry)

    def pair(name: str, store: str = "full", count: int = 2, grace: str = "1s", **fields: Any) -> None:
        target = {"keys": PAIR, "target": f"postgres-role/leaks-{name}", "grace": grace}
        secret(name, store, roles.target(name, count, **fields), **target)

    pair("good-vault")
    pair("good-single-slot", count=1)
    pair("held-vault", grace="1h")
    pair("bad-admin-password", admin_secret="secret/leaks-wrong")
    pair("bad-admin-object", admin_secret="secret/leaks-object")
    pair("bad-rights-at-target", admin_user=roles.admins[1])
    pair("bad-target-away", port=1)
    for store in FAULTS:
        pair(f"bad-vault-{store}", store)
    for store in ("poor", "away", "unknown"):
        secret(f"bad-vault-{store}", store, {"password": estate.new("old")}, key="password")
    secret("bad-vault-number", "full", {"password": {"not": estate.new("nested")}}, key="password")
    secret("bad-vault-record", "full", {"password": estate.new("old")}, key="password")
    broken = {"version": 1, "key": estate.new("key"), "journal": {"x": estate.new("j")}, "pending": estate.new("p")}
    kv.create_or_update_secret(f"{estate.marker}/bad-vault-record--vigiles", broken, mount_point=mount)
    secret("bad-target-type", "full", {"password": estate.new("old")}, key="password", target="secret/leaks-admin")
    estate.add("bad-store-type", "secret/leaks-admin", path="x")


def _aws(estate: Estate, stack: ExitStack, moto: Moto) -> None:  # noqa: C901 - one scene, with what it is built of
    from prefect_aws import AwsCredentials

    from blocks.rotation_targets.aws_iam_user import AwsIamUser
    from blocks.secret_stores.aws_parameter_store import AwsParameterStore
    from blocks.secret_stores.aws_secrets_manager import AwsSecretsManagerStore

    def credentials(name: str, key: Key) -> None:
        estate.values.add(key.secret)
        made = AwsCredentials(aws_access_key_id=key.id, aws_secret_access_key=key.secret, region_name=REGION)
        made.save(f"leaks-{name}")

    full, manager, parameters = moto.new_key(EVERYTHING), moto.client("secretsmanager"), moto.client("ssm")
    credentials("full", full)
    credentials("poor", moto.new_key(None))
    credentials("forged", Key(full.id, estate.new("forged", plain=True), full.user))

    def current(name: str) -> dict[str, Any]:
        answer = manager.get_secret_value(SecretId=name, VersionStage="AWSCURRENT")
        return {key: answer[key] for key in ("ARN", "Name", "VersionId", "SecretString")}

    places = {"away": ("full", NOWHERE), "poor": ("poor", moto.url), "forged": ("forged", moto.url)}
    for name in ("full", *FAULTS):
        proxy = echoing_proxy.before(moto.url, None if name == "full" else name, current)
        places[str(name)] = ("full", stack.enter_context(proxy))
    for name, (slug, url) in places.items():
        where = {"credentials": f"aws-credentials/leaks-{slug}", "region_name": REGION, "endpoint_url": url}
        AwsSecretsManagerStore(**where).save(f"leaks-{name}")
        AwsParameterStore(**where).save(f"leaks-{name}")

    def managed(name: str, store: str, text: str, **entry: Any) -> None:
        manager.create_secret(Name=f"{estate.marker}/{name}", SecretString=text)
        estate.add(name, f"aws-secrets-manager-store/leaks-{store}", path=f"{estate.marker}/{name}", **entry)

    def parameter(name: str, store: str, text: str, **entry: Any) -> None:
        parameters.put_parameter(Name=f"/{estate.marker}/{name}", Value=text, Type="SecureString")
        estate.add(name, f"aws-parameter-store/leaks-{store}", path=f"/{estate.marker}/{name}", **entry)

    def user(name: str) -> str:
        key = moto.new_key(None)
        estate.values.add(key.secret)
        where = {"region_name": REGION, "endpoint_url": moto.url, "propagation_seconds": 1}
        AwsIamUser(aws_credentials="aws-credentials/leaks-full", user_name=key.user, **where).save(f"leaks-{name}")
        return json.dumps({"username": key.id, "password": key.secret})

    for name in ("good-iam", "bad-iam-lose", "bad-iam-refuse"):
        store = name.rpartition("-")[2] if name.startswith("bad") else "full"
        managed(name, store, user(name), keys=PAIR, target=f"aws-iam-user/leaks-{name}")
    put: dict[str, Callable[..., None]] = {"sm": managed, "ssm": parameter}
    for service, make in put.items():
        make(f"good-{service}", "full", json.dumps({"password": estate.new("old"), "port": 1}), key="password")
        make(f"bad-{service}-no-json", "full", f"{{no json: {estate.new('text')}", key="password")
        for place in [name for name in places if name != "full"]:
            make(f"bad-{service}-{place}", place, estate.new("old"))
    parameter("bad-ssm-record", "full", estate.new("old"))
    record = f"/vigiles/{estate.marker}/bad-ssm-record/000000000001"
    parameters.put_parameter(Name=record, Value=estate.new("record"), Type="SecureString")


def _files(estate: Estate, redis: Redis) -> None:
    from prefect.blocks.system import Secret

    from blocks.rotation_targets.redis_user import RedisUser
    from blocks.secret_stores.env_file import EnvFileStore

    admin, password, lines = f"admin-{uuid.uuid4().hex[:8]}", estate.new("redis"), []
    Secret(value=password).save("leaks-redis")
    redis.command("ACL", "SETUSER", admin, "on", f">{password}", "~*", "+@all")
    for name, fields in {
        "good-redis": {},
        "held-redis": {},
        "bad-redis-away": {"port": 1},
        "bad-redis-admin": {"admin_secret": "secret/leaks-wrong"},
    }.items():
        first, user = estate.new("first", plain=True), redis.new_user()
        redis.command("ACL", "SETUSER", user, f">{first}")
        where = {"host": redis.host, "port": redis.port, "tls": False, "admin_user": admin}
        RedisUser(**where | {"user": user, "admin_secret": "secret/leaks-redis"} | fields).save(f"leaks-{name}")
        key = name.replace("-", "_").upper()
        lines.append(f"{key}={first}\n")
        grace = "1h" if name.startswith("held") else "1s"
        estate.add(name, "env-file-store/leaks", key=key, target=f"redis-user/leaks-{name}", grace=grace)
    env = estate.folder / ".env"
    env.write_text("".join(lines))
    env.chmod(0o600)
    EnvFileStore(path=env).save("leaks")


def _prefect(estate: Estate) -> None:
    from prefect.blocks.system import Secret

    from blocks.secret_stores.prefect_secret import PrefectSecretStore

    PrefectSecretStore(prefix="leaks-").save("leaks")
    secrets: dict[str, tuple[object, str | None]] = {
        "good-prefect": (estate.new("old"), None),
        "good-prefect-object": ({"password": estate.new("old"), "port": 1}, "password"),
        "held-prefect": (estate.new("old"), None),
        "bad-prefect-no-json": (f"{{no json: {estate.new('text')}", "password"),
        "bad-prefect-record": (estate.new("old"), None),
    }
    for name, (value, key) in secrets.items():
        Secret(value=value).save(f"leaks-{name}")
        grace = {"grace": "1h"} if name.startswith("held") else {}
        estate.add(name, "prefect-secret-store/leaks", path=f"leaks-{name}", **({"key": key} if key else {}), **grace)
    Secret(value=estate.new("record")).save("vigiles--leaks-bad-prefect-record--1")


def _clouds_away(estate: Estate) -> None:
    """Google's and Azure's stores cannot be pointed at a server here; their credentials are real, and out of reach."""
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import rsa
    from prefect_gcp import GcpCredentials

    from blocks.secret_stores.azure_key_vault import AzureKeyVaultStore
    from blocks.secret_stores.gcp_secret_manager import GcpSecretManagerStore

    made = rsa.generate_private_key(65537, 2048)
    pem = made.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()).decode()
    estate.values |= set(pem.splitlines()[3:5])
    info = {"type": "service_account", "project_id": "p", "private_key_id": "k", "private_key": pem}
    info |= {"client_email": "a@p.iam.gserviceaccount.com", "client_id": "1", "token_uri": f"{NOWHERE}/token"}
    GcpCredentials(service_account_info=info, project="p").save("leaks")
    GcpSecretManagerStore(credentials="gcp-credentials/leaks", endpoint=NOWHERE).save("leaks")
    who = {"tenant_id": str(uuid.uuid4()), "client_id": str(uuid.uuid4()), "client_secret": estate.new("client")}
    AzureKeyVaultStore(vault_url="https://vigiles-leaks.vault.azure.net", **who).save("leaks")
    estate.add("bad-gcp-away", "gcp-secret-manager-store/leaks", path="away")
    estate.add("bad-azure-away", "azure-key-vault-store/leaks", path="away")
