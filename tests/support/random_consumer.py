"""What depends on secrets in OpenBao while they are rotated: reads the current version, logs in, notes how it went.

An application of its own, in a process of its own, with a plain hvac client whose policy lets it read the secrets and
nothing else. It knows nothing of rotations. Each estate is a folder with the settings that say where its secret is.
"""

import json
import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

SETTINGS = "consumer.json"
LOOKS = "looks.jsonl"
ROUNDS = "rounds.txt"
HOST = "db.example"


class Consumer:
    """Reads secrets by one client and logs in with what it read."""

    def __init__(self, vault: Mapping[str, str]) -> None:
        import hvac

        self._mount = vault["mount"]
        self._client = hvac.Client(url=vault["address"], token=vault["token"], timeout=20)

    def look(self, settings: Mapping[str, Any]) -> str:
        """Return what was wrong, or nothing."""
        import hvac.exceptions

        read = self._client.secrets.kv.v2.read_secret_version
        try:
            fields = read(settings["path"], mount_point=self._mount, raise_on_deleted_version=True)["data"]["data"]
        except hvac.exceptions.VaultError as error:
            return f"the secret could not be read: {type(error).__name__}"
        if fields.keys() != {"username", "password", "host"} or fields["host"] != HOST:
            return "the secret is not complete"
        return LOGINS[settings["kind"]](int(settings["port"]), fields["username"], fields["password"])


def log_in_to_postgres(port: int, user: str, password: str) -> str:
    import psycopg

    options = {"host": "127.0.0.1", "port": port, "dbname": "postgres", "connect_timeout": 20}
    try:
        psycopg.connect(user=user, password=password, **options).close()
    except psycopg.OperationalError as error:
        return f"the login of {user} failed: {error}"
    return ""


def log_in_to_redis(port: int, user: str, password: str) -> str:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    # Without the client's own retries, which would hide a login that fails for a moment.
    options = {"host": "127.0.0.1", "port": port, "socket_timeout": 20, "retry": Retry(NoBackoff(), 0)}
    try:
        with redis.Redis(username=user, password=password, **options) as client:
            client.ping()
    except redis.RedisError as error:
        return f"the login of {user} failed: {error}"
    return ""


LOGINS = {"alternating": log_in_to_postgres, "dual": log_in_to_redis}


def main() -> None:
    """Look at every estate below the folder in turn, until the process that started this one is gone."""
    root, parent = Path(sys.argv[1]), os.getppid()
    consumer = Consumer(json.loads(sys.argv[2]))
    for number in count(1):
        if os.getppid() != parent:
            return
        for settings in sorted(root.glob(f"*/{SETTINGS}")):
            with suppress(FileNotFoundError):  # nobody is interested any more
                wanted = json.loads(settings.read_text())
                began = time.time()
                problem = consumer.look(wanted)
                with (settings.parent / LOOKS).open("a") as file:
                    file.write(json.dumps([began, time.time(), problem]) + "\n")
        (root / "rounds.tmp").write_text(str(number))
        (root / "rounds.tmp").rename(root / ROUNDS)
        time.sleep(0.02)
