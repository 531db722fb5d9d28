"""Drongo's server of Google Cloud's Secret Manager, and a strict layer before it for what it lets pass.

Drongo keeps secrets and versions. Annotations, aliases, etags and checksums, and that ``latest`` is the newest version
in whatever state, stand on the layer: it refuses what the service would refuse and remembers what drongo drops.

A fixture module: ``from support.drongo import drongo_server`` in a test module brings the fixture.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock
from typing import Any
from urllib.parse import urlencode

import pytest
from filelock import FileLock
from support.prefect_server import free_port
from support.secret_manager_simulator import Answer, RefusalError, Settings, checked_payload, client_of, precondition

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class Layer:
    """Passes requests on to drongo at ``url``, and is strict where drongo is not."""

    url: str
    settings: dict[str, Settings] = field(default_factory=dict)
    lock: Any = field(default_factory=RLock)

    def client(self) -> Any:
        """Return Google's client, which talks to drongo through this layer."""
        return client_of(self._answer)

    def _answer(self, method: str, path: str, query: dict[str, Any], body: dict[str, Any]) -> Answer:
        with self.lock:
            try:
                return self._strict(method, path, query, body)
            except RefusalError as error:
                return error.answer

    def _strict(self, method: str, path: str, query: dict[str, Any], body: dict[str, Any]) -> Answer:
        resource, _, verb = path.removeprefix("/v1/").partition(":")
        name = "/".join(resource.split("/")[:4])
        if verb == "addVersion":
            checked_payload(body)
        if verb in {"access", "destroy"}:
            path = self._present(path, name, verb)
        code, answer = self._drongo(method, path, query, body)
        if code != 200 or verb or "/versions" in resource:
            return code, answer
        if resource.endswith("/secrets"):
            name = answer["name"]
            self.settings[name] = Settings(body)
        if method == "DELETE":
            del self.settings[name]
            return code, answer
        if method == "PATCH":
            numbers = range(1, self._drongo("GET", f"/v1/{name}/versions", {}, {})[1]["totalSize"] + 1)
            self.settings[name].change(query["updateMask"], body, numbers)
        return code, answer | self.settings[name].shown(name)

    def _present(self, path: str, name: str, verb: str) -> str:
        """Return the path by number; refuse a version in a state in which the service would."""
        number = path.rpartition("/")[2].partition(":")[0]
        if number == "latest":
            number = str(self._drongo("GET", f"/v1/{name}/versions", {}, {})[1].get("totalSize", 0))
        row = self._drongo("GET", f"/v1/{name}/versions/{number}", {}, {})[1]
        if row.get("state") == "DESTROYED" or (verb == "access" and row.get("state") == "DISABLED"):
            raise precondition()
        return f"/v1/{name}/versions/{number}:{verb}"

    def _drongo(self, method: str, path: str, query: dict[str, Any], body: dict[str, Any]) -> Answer:
        data = json.dumps(body).encode() if body or method in {"POST", "PATCH"} else None
        url = f"{self.url}{path}?{urlencode(query)}"
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
        try:
            with _OPENER.open(request, timeout=10) as response:
                return response.status, json.loads(response.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())


def start(log: Path) -> tuple[str, int]:
    """Start a server; return its address and process id."""
    port = free_port()
    command = [sys.executable, "-c", "from drongo.cli import main; main()", "server", "--host", "127.0.0.1"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--port", str(port)], stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    for _ in range(300):
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(f"{url}/v1/projects/ready/secrets", timeout=5).close()
            return url, process.pid
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError(f"drongo did not start:\n{log.read_text()[-2000:]}")


@pytest.fixture(scope="session")
def drongo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the session's server; the last process of the session stops it."""
    base = tmp_path_factory.getbasetemp()
    folder = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    state = folder / "drongo.json"
    with FileLock(folder / "drongo.lock"):
        if state.exists():
            record = json.loads(state.read_text())
        else:
            url, pid = start(folder / "drongo.log")
            record = {"url": url, "pid": pid, "users": 0}
        record["users"] += 1
        state.write_text(json.dumps(record))
    yield record["url"]
    with FileLock(folder / "drongo.lock"):
        record = json.loads(state.read_text())
        record["users"] -= 1
        state.write_text(json.dumps(record))
        if record["users"] == 0:
            with contextlib.suppress(ProcessLookupError):
                os.kill(record["pid"], signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(record["pid"], 0)
            state.unlink()
