"""AWS's API by moto's server, which checks keys, signatures and policies; one a session, shared by xdist workers.

A fixture module: ``from support.moto import moto`` in a test module brings the fixture. Where moto is laxer than AWS,
the backend puts a stricter layer in front of its client.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from support.prefect_server import free_port

REGION = "eu-central-1"
ACCOUNT = "123456789012"
EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


@dataclass(frozen=True)
class Key:
    """An access key, and the user it belongs to."""

    id: str
    secret: str
    user: str


@dataclass(frozen=True)
class Moto:
    """A running server, and the key of its administrator."""

    url: str
    pid: int
    admin: Key

    def client(self, service: str, key: Key | None = None) -> Any:
        """Return a boto3 client of a service, by default with the administrator's key; retries are off."""
        return make_client(self.url, service, key or self.admin)

    def new_key(self, policy: dict[str, Any] | None) -> Key:
        """Create an IAM user with a unique name, this policy document (None for no right at all), and a key."""
        return make_key(self.client("iam"), policy)


def allowing(*actions: str) -> dict[str, Any]:
    """Return a policy document that allows these actions on everything."""
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]}


def make_client(url: str, service: str, key: Key) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.Session(aws_access_key_id=key.id, aws_secret_access_key=key.secret, region_name=REGION).client(
        service, endpoint_url=url, config=Config(retries={"total_max_attempts": 1, "mode": "standard"})
    )


def make_key(iam: Any, policy: dict[str, Any] | None) -> Key:
    name = f"user-{uuid.uuid4().hex[:12]}"
    iam.create_user(UserName=name)
    if policy is not None:
        iam.put_user_policy(UserName=name, PolicyName="rights", PolicyDocument=json.dumps(policy))
    made = iam.create_access_key(UserName=name)["AccessKey"]
    return Key(made["AccessKeyId"], made["SecretAccessKey"], name)


def start(log: Path) -> Moto:
    """Start a server and let it check every call from then on."""
    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    for _ in range(600):
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(f"{url}/moto-api/data.json", timeout=5).close()
            break
        if process.poll() is not None:
            break
        time.sleep(0.1)
    else:
        process.kill()
    if process.poll() is not None:
        raise RuntimeError(f"moto did not start:\n{log.read_text()[-2000:]}")
    admin = make_key(make_client(url, "iam", Key("nobody", "nothing", "nobody")), EVERYTHING)
    _check_every_call(url)
    return Moto(url, process.pid, admin)


def _check_every_call(url: str) -> None:
    request = urllib.request.Request(
        f"{url}/moto-api/reset-auth", data=b"0", headers={"Content-Type": "text/plain"}, method="POST"
    )
    urllib.request.urlopen(request, timeout=30).close()


def stop(server: Moto) -> None:
    """Stop the server."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(server.pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(server.pid, 0)


@contextlib.contextmanager
def running() -> Iterator[Moto]:
    """A server of one's own, outside of pytest's session."""
    with tempfile.TemporaryDirectory(prefix="vigiles-moto-") as folder:
        server = start(Path(folder) / "moto.log")
        try:
            yield server
        finally:
            stop(server)


@contextlib.contextmanager
def shared(folder: Path) -> Iterator[Moto]:
    """The server of everybody who names this folder; the last one stops it."""
    state = folder / "moto.json"
    lock = FileLock(folder / "moto.lock")
    with lock:
        started = not state.exists()
        record = {**asdict(start(folder / "moto.log")), "users": 0} if started else json.loads(state.read_text())
        record["users"] += 1
        state.write_text(json.dumps(record))
    server = Moto(record["url"], record["pid"], Key(**record["admin"]))
    try:
        yield server
    finally:
        with lock:
            record = json.loads(state.read_text())
            record["users"] -= 1
            state.write_text(json.dumps(record))
            if record["users"] == 0:
                stop(server)
                state.unlink()


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    """The session's server; every test makes its own secrets, parameters and users in it."""
    base = tmp_path_factory.getbasetemp()
    with shared(base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) as server:
        yield server
