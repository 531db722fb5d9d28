"""A simulator of Google Cloud's Secret Manager: in memory, below Google's own REST client, as strict as the reference.

The client is an unmodified one, which transcodes every request and makes every exception itself; only what it would
send is answered here. ``latest`` is the version that was created last, whatever its state.
"""

import base64
import json
import re
from collections.abc import Callable
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

PROJECT = "vigiles-test"
LIMIT = 65_536
_CODES = {400: "INVALID_ARGUMENT", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "ALREADY_EXISTS"}

Answer = tuple[int, dict[str, Any]]


class RefusalError(Exception):
    """An answer with an error status."""

    def __init__(self, code: int, status: str = "") -> None:
        super().__init__(code)
        self.answer = (code, {"error": {"code": code, "message": "refused", "status": status or _CODES[code]}})


def precondition() -> RefusalError:
    """Return the refusal of what does not fit the present state."""
    return RefusalError(400, "FAILED_PRECONDITION")


def client_of(answer: Callable[[str, str, dict[str, Any], dict[str, Any]], Answer]) -> Any:
    """Return Google's client by REST, whose requests get ``answer(method, path, query, body)``."""
    import requests
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.secretmanager import SecretManagerServiceClient

    class Adapter(requests.adapters.BaseAdapter):
        def send(self, request: Any, **_: Any) -> Any:
            url = urlsplit(request.url)
            query = {name: values[-1] for name, values in parse_qs(url.query).items()}
            code, body = answer(request.method, unquote(url.path), query, json.loads(request.body or "{}"))
            response = requests.Response()
            response.status_code, response._content = code, json.dumps(body).encode()
            response.headers["content-type"] = "application/json"
            response.request, response.url = request, request.url
            return response

        def close(self) -> None:
            """Nothing is open."""

    client = SecretManagerServiceClient(
        credentials=AnonymousCredentials(), client_options={"api_endpoint": "http://simulator"}, transport="rest"
    )
    client.transport._session.trust_env = False
    client.transport._session.mount("http://", Adapter())
    return client


def checked_payload(body: dict[str, Any]) -> bytes:
    """Return the bytes of a version that is added, if size and checksum are right."""
    import google_crc32c

    data = base64.b64decode(body["payload"].get("data", ""))
    given = body["payload"].get("dataCrc32c")
    if not data or len(data) > LIMIT or (given is not None and int(given) != google_crc32c.value(data)):
        raise RefusalError(400)
    return data


class Settings:
    """A secret without its versions: etag, annotations, aliases."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.revision = 1
        self.fields = {"replication": {"automatic": {}}} | body

    def shown(self, name: str) -> dict[str, Any]:
        """Return the resource."""
        return {**self.fields, "name": name, "etag": f'"{self.revision}"'}

    def change(self, mask: str, body: dict[str, Any], numbers: range) -> None:
        """Replace the fields of the mask, if the etag is the present one."""
        if "etag" in body and body["etag"] != f'"{self.revision}"':
            raise precondition()
        for name in mask.split(","):
            if name not in {"annotations", "versionAliases", "labels"}:
                raise RefusalError(400)
            self.fields[name] = body.get(name, {})
        aliases = self.fields.get("versionAliases", {})
        size = sum(len(text) for pair in self.fields.get("annotations", {}).items() for text in pair)
        if size > 16 * 1024 or len(aliases) > 50 or not {int(n) for n in aliases.values()} <= set(numbers):
            raise RefusalError(400)
        self.revision += 1


class SecretManagerSimulator:
    """The secrets of one project."""

    def __init__(self) -> None:
        self.settings: dict[str, Settings] = {}
        self.versions: dict[str, list[dict[str, Any]]] = {}
        self._lock = Lock()

    def client(self, *, allowed: bool = True) -> Any:
        """Return a client whose requests are answered here."""

        def answer(method: str, path: str, query: dict[str, Any], body: dict[str, Any]) -> Answer:
            try:
                with self._lock:
                    return 200, self.route(method, path.removeprefix("/v1/"), query, body, allowed)
            except RefusalError as error:
                return error.answer

        return client_of(answer)

    def route(
        self, method: str, path: str, query: dict[str, Any], body: dict[str, Any], allowed: bool = True
    ) -> dict[str, Any]:
        """Return the answer to a request."""
        path, _, verb = path.partition(":")
        name = "/".join(path.split("/")[:4])
        if verb == "testIamPermissions":
            self._found(name)
            return {"permissions": body["permissions"]} if allowed else {}
        if not allowed:
            raise RefusalError(403)
        if "/versions" in path:
            number = path.partition("/versions")[2].strip("/")
            return self._on_version(name, number, verb) if number else self._listed(name, query)
        if verb == "addVersion":
            return self._add(name, checked_payload(body))
        return self._on_secret(name, method, query, body)

    def _on_secret(self, name: str, method: str, query: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
        if name.endswith("/secrets"):
            return self._create(f"{name}/{query['secretId']}", body)
        settings = self.settings[self._found(name)]
        if method == "DELETE":
            del self.settings[name], self.versions[name]
            return {}
        if method == "PATCH":
            settings.change(query["updateMask"], body, range(1, len(self.versions[name]) + 1))
        return settings.shown(name)

    def _create(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,255}", name.rpartition("/")[2]) or "replication" not in body:
            raise RefusalError(400)
        if name in self.settings:
            raise RefusalError(409)
        self.settings[name], self.versions[name] = Settings(body), []
        return self.settings[name].shown(name)

    def _add(self, name: str, data: bytes) -> dict[str, Any]:
        rows = self.versions[self._found(name)]
        rows.append({"name": f"{name}/versions/{len(rows) + 1}", "state": "ENABLED", "data": data})
        return self._shown(rows[-1])

    def _listed(self, name: str, query: dict[str, Any]) -> dict[str, Any]:
        rows = reversed(self.versions[self._found(name)])
        return {"versions": [self._shown(row) for row in rows if "filter" not in query or row["state"] == "ENABLED"]}

    def _on_version(self, name: str, number: str, verb: str) -> dict[str, Any]:
        import google_crc32c

        aliases = self.settings[self._found(name)].fields.get("versionAliases", {})
        row = self._version(name, aliases.get(number, number))
        if verb == "access":
            if row["state"] != "ENABLED":
                raise precondition()
            checksum = str(google_crc32c.value(row["data"]))
            payload = {"data": base64.b64encode(row["data"]).decode(), "dataCrc32c": checksum}
            return {"name": row["name"], "payload": payload}
        if row["state"] == "DESTROYED":
            raise precondition()
        row["state"] = {"destroy": "DESTROYED", "disable": "DISABLED", "enable": "ENABLED"}[verb]
        return self._shown(row)

    def _version(self, name: str, number: Any) -> dict[str, Any]:
        rows = self.versions[name]
        index = len(rows) if number == "latest" else int(number)
        if not 1 <= index <= len(rows):
            raise RefusalError(404)
        return rows[index - 1]

    def _shown(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"name": row["name"], "state": row["state"]}

    def _found(self, name: str) -> str:
        if name not in self.settings:
            raise RefusalError(404)
        return name
