"""A simulator of the part of Vault's API that a KV store needs: in memory, over real HTTP, as strict as OpenBao is.

What it answers was compared with OpenBao: the same contract suite is run over both.
"""

import json
import threading
from datetime import UTC, datetime
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "token-of-the-simulator"
POWERLESS = "token-without-rights"
MOUNT = "secret"
DEFAULT_VERSIONS = 10


class RefusalError(Exception):
    """An answer with an error status."""

    def __init__(self, status: int, *errors: str, data: Any = None) -> None:
        super().__init__(status)
        self.status = status
        self.body = {"data": data} if data else {"errors": list(errors)}


class Secret:
    """One path of the engine: its versions, numbered from 1, and its settings."""

    def __init__(self) -> None:
        self.versions: dict[int, dict[str, Any]] = {}
        self.current = 0
        self.settings = {"max_versions": 0, "cas_required": False, "custom_metadata": None}

    def read(self, number: int) -> dict[str, Any]:
        row = self.versions.get(number or self.current)
        if row is None:
            raise RefusalError(404)
        data = {
            "data": row["data"],
            "metadata": self.about(row) | {"custom_metadata": self.settings["custom_metadata"]},
        }
        if row["deletion_time"] or row["destroyed"]:
            raise RefusalError(404, data=data | {"data": None})
        return data

    def write(self, body: dict[str, Any]) -> dict[str, Any]:
        cas = body.get("options", {}).get("cas")
        if cas is None and self.settings["cas_required"]:
            raise RefusalError(400, "check-and-set parameter required for this call")
        if cas is not None and cas != self.current:
            raise RefusalError(400, "check-and-set parameter did not match the current version")
        if not isinstance(body.get("data"), dict):
            raise RefusalError(400, "no data provided")
        self.current += 1
        row = {"data": body["data"], "version": self.current, "created_time": now(), "deletion_time": ""}
        self.versions[self.current] = row | {"destroyed": False}
        for number in sorted(self.versions)[: -(self.settings["max_versions"] or DEFAULT_VERSIONS)]:
            del self.versions[number]
        return self.about(self.versions[self.current])

    def mark(self, numbers: list[int], **marks: Any) -> None:
        for number in numbers:
            if number in self.versions:
                self.versions[number] |= marks

    def about(self, row: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in row.items() if name != "data"}

    def metadata(self) -> dict[str, Any]:
        rows = {str(number): self.about(row) for number, row in self.versions.items()}
        return {"current_version": self.current, "versions": rows, **self.settings}


class Engine:
    """All paths, behind one lock, as a server has them."""

    def __init__(self) -> None:
        self.secrets: dict[str, Secret] = {}
        self.lock = threading.Lock()

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: dict[str, Any], token: str) -> Any:
        if token not in {TOKEN, POWERLESS}:
            raise RefusalError(403, "permission denied")
        if path == "sys/capabilities-self" and method == "POST":
            return {name: ["root"] if token == TOKEN else ["deny"] for name in body["paths"]}
        if token == POWERLESS:
            raise RefusalError(403, "1 error occurred:\n\t* permission denied\n\n")
        if path.startswith(f"sys/internal/ui/mounts/{MOUNT}/"):
            return {"type": "kv", "options": {"version": "2"}}
        mount, _, rest = path.partition("/")
        kind, _, name = rest.partition("/")
        if mount != MOUNT or kind not in {"data", "metadata", "delete", "undelete", "destroy"}:
            raise RefusalError(404, f'no handler for route "{path}". route entry not found.')
        with self.lock:
            return self._routed(method, kind, name, int(query.get("version", ["0"])[0]), body)

    def _routed(self, method: str, kind: str, name: str, version: int, body: dict[str, Any]) -> Any:
        secret = self.secrets.get(name)
        if method == "POST" and kind in {"data", "metadata"}:
            secret = self.secrets.setdefault(name, Secret())
            if kind == "data":
                return secret.write(body)
            secret.settings |= {key: value for key, value in body.items() if key in secret.settings}
            return None
        if secret is None:
            raise RefusalError(404)
        calls = {
            ("GET", "data"): lambda: secret.read(version),
            ("GET", "metadata"): secret.metadata,
            ("DELETE", "data"): lambda: secret.mark([secret.current], deletion_time=now()),
            ("POST", "undelete"): lambda: secret.mark(body["versions"], deletion_time=""),
            ("POST", "destroy"): lambda: secret.mark(body["versions"], destroyed=True, data=None),
        }
        if (method, kind) not in calls:
            raise RefusalError(405, "unsupported operation")
        return calls[method, kind]()


def now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "000Z")


class _Requests(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet an answer
    server: "_Server"

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            token = self.headers.get("X-Vault-Token", "")
            path, body = unquote(parts.path).removeprefix("/v1/"), json.loads(text or "{}")
            data = self.server.engine.answer(self.command, path, parse_qs(parts.query), body, token)
            self._send(204 if data is None else 200, {"data": data})
        except RefusalError as refused:
            self._send(refused.status, refused.body)

    do_GET = do_POST = do_DELETE = do_PUT = do_PATCH = _serve  # noqa: N815 - http.server's names

    def _send(self, status: int, body: Any) -> None:
        content = b"" if status == 204 else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    engine: Engine


@cache
def address() -> str:
    """Return the address of this process's simulator; it starts with the first call and ends with the process."""
    server = _Server(("127.0.0.1", 0), _Requests)
    server.engine = Engine()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"
