"""A double of Azure Key Vault's secrets, held to the REST contract that Microsoft publishes.

What it takes from recordings of the real service in Microsoft's own SDKs: the challenge, the bodies of errors, whole
seconds, pages of at most 25 versions in the order of their ids (not of their age), an empty list for versions of a
secret that is not there, a disabled version whose value is refused and whose properties can be changed.
``Vault`` is the service; ``in_process`` and ``over_https`` give Microsoft's client a way to it.
"""

import contextlib
import datetime as dt
import io
import ipaddress
import json
import re
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

TENANT = "00000000-0000-0000-0000-000000000001"
DENIED = "denied"
RESOURCE = "https://vault.azure.net"
LARGEST, MOST_TAGS, LONGEST_TAG, PAGE = 25_600, 15, 256, 25
CHALLENGE = f'Bearer authorization="https://login.windows.net/{TENANT}", resource="{RESOURCE}"'


class RefusedError(Exception):
    """What the service answers instead."""

    def __init__(self, status: int, code: str, message: str, inner: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"code": code, "message": message} | ({"innererror": {"code": inner}} if inner else {})}


@dataclass
class Version:
    """One version of a secret, as JSON without its value, and the value."""

    id: str
    value: str
    bundle: dict


@dataclass
class Vault:
    """The secrets of a vault; ``url`` begins their ids."""

    url: str
    secrets: dict[str, list[Version]] = field(default_factory=dict)
    deleted: dict[str, list[Version]] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def answer(self, method: str, url: str, token: str | None, body: bytes) -> tuple[int, dict, dict[str, str]]:
        """Return status, body and headers."""
        parts, query = urlsplit(url), parse_qs(urlsplit(url).query)
        try:
            self._let_in(token, query)
            with self.lock:
                # A path may end in a slash: the client's way to leave the version out.
                return 200, self._route(method, parts.path.strip("/").split("/"), query, body), {}
        except RefusedError as refused:
            return refused.status, refused.body, {"WWW-Authenticate": CHALLENGE} if refused.status == 401 else {}

    def _let_in(self, token: str | None, query: dict) -> None:
        if token is None:
            raise RefusedError(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.")
        if token == DENIED:
            message = "Caller is not authorized to perform action on resource."
            raise RefusedError(403, "Forbidden", message, "ForbiddenByRbac")
        if not re.fullmatch(r"7\.\d|20\d\d-\d\d-\d\d", query.get("api-version", [""])[0]):
            raise RefusedError(400, "BadParameter", "The specified version is not recognized.")

    def _route(self, method: str, path: list[str], query: dict, body: bytes) -> dict:  # noqa: PLR0911 - one a route
        match method, path:
            case "PUT", ["secrets", name]:
                return self._set(name, json.loads(body))
            case "GET", ["secrets", name, "versions"]:
                return self._list(name, query)
            case "GET", ["secrets", name, *version]:
                found = self._find(name, version)
                if not found.bundle["attributes"]["enabled"]:
                    message = "Operation get is not allowed on a disabled secret."
                    raise RefusedError(403, "Forbidden", message, "SecretDisabled")
                return {"value": found.value, **found.bundle}
            case "PATCH", ["secrets", name, *version]:
                return self._update(self._find(name, version), json.loads(body))
            case "DELETE", ["secrets", name]:
                self._find(name, [])
                self.deleted[name.lower()] = self.secrets.pop(name.lower())
                return self._deleted(name)
            case "GET", ["deletedsecrets", name]:
                return self._deleted(name)
            case "POST", ["deletedsecrets", name, "recover"]:
                self._deleted(name)
                self.secrets[name.lower()] = self.deleted.pop(name.lower())
                return self._find(name, []).bundle
        raise RefusedError(405, "BadParameter", "Method not allowed.")

    def _set(self, name: str, given: dict) -> dict:
        if not re.fullmatch(r"[0-9a-zA-Z-]{1,127}", name):
            raise RefusedError(400, "BadParameter", "The request URI contains an invalid name.")
        if name.lower() in self.deleted:
            message = f"Secret {name} is currently in a deleted but recoverable state, and its name cannot be reused."
            raise RefusedError(409, "Conflict", message, "ObjectIsDeletedButRecoverable")
        if not isinstance(given.get("value"), str) or len(given["value"].encode()) > LARGEST:
            raise RefusedError(400, "BadParameter", "Property value is missing or too long.")
        now, version = int(time.time()), uuid.uuid4().hex
        attributes = {"enabled": True, "created": now, "updated": now}
        attributes |= {"recoveryLevel": "CustomizedRecoverable+Purgeable", "recoverableDays": 7}
        bundle = {"id": f"{self.url}/secrets/{name}/{version}", "attributes": attributes}
        made = Version(version, given["value"], bundle)
        self._change(made, given)
        self.secrets.setdefault(name.lower(), []).append(made)
        return {"value": made.value, **made.bundle}

    def _update(self, version: Version, given: dict) -> dict:
        self._change(version, given)
        version.bundle["attributes"]["updated"] = int(time.time())
        return version.bundle

    def _change(self, version: Version, given: dict) -> None:
        tags = given.get("tags") or {}
        if len(tags) > MOST_TAGS or any(len(t) > LONGEST_TAG for pair in tags.items() for t in pair):
            raise RefusedError(400, "BadParameter", "Too many tags, or too long ones.")
        for name in ("tags", "contentType"):
            if given.get(name) is not None:
                version.bundle[name] = given[name]
        known = {k: v for k, v in (given.get("attributes") or {}).items() if v is not None}
        if set(known) - {"enabled", "exp", "nbf"}:
            raise RefusedError(400, "BadParameter", "An attribute cannot be set.")
        version.bundle["attributes"] = version.bundle["attributes"] | known

    def _find(self, name: str, version: list[str]) -> Version:
        found = self.secrets.get(name.lower(), [])
        if version:
            found = [v for v in found if v.id == version[0]]
        if not found:
            message = f"A secret with (name/id) {'/'.join([name, *version])} was not found in this key vault."
            raise RefusedError(404, "SecretNotFound", message)
        return found[-1]

    def _list(self, name: str, query: dict) -> dict:
        rows = sorted(self.secrets.get(name.lower(), []), key=lambda version: version.id)
        start, size = int(query.get("$skiptoken", ["0"])[0]), int(query.get("maxresults", [str(PAGE)])[0])
        if not 1 <= size <= PAGE:
            raise RefusedError(400, "BadParameter", "maxresults is out of range.")
        link, after = None, start + size
        if after < len(rows):
            version = quote(query["api-version"][0])
            link = f"{self.url}/secrets/{name}/versions?api-version={version}&$skiptoken={after}&maxresults={size}"
        return {"value": [row.bundle for row in rows[start:after]], "nextLink": link}

    def _deleted(self, name: str) -> dict:
        if name.lower() not in self.deleted:
            raise RefusedError(404, "SecretNotFound", f"Deleted Secret not found: {name}")
        now = int(time.time())
        times = {"deletedDate": now, "scheduledPurgeDate": now + 7 * 86400}
        return self.deleted[name.lower()][-1].bundle | {"recoveryId": f"{self.url}/deletedsecrets/{name}", **times}


class FakeCredential:
    """Gives a token that says who one is to the double; the real one is Entra's business."""

    def __init__(self, token: str = "token") -> None:
        self._token = token

    def get_token(self, *scopes: str, **_: object):
        """Return the token, for the scope of Key Vault only."""
        from azure.core.credentials import AccessToken

        assert scopes == (f"{RESOURCE}/.default",)
        return AccessToken(self._token, int(time.time()) + 3600)


def in_process(vault: Vault, token: str = "token"):
    """Return Microsoft's client, whose requests reach the vault without a socket; its checks are all on."""
    import requests
    from azure.core.pipeline.transport import RequestsTransport
    from azure.keyvault.secrets import SecretClient

    class Adapter(requests.adapters.BaseAdapter):
        def send(self, request, **_):
            _, _, given = request.headers.get("Authorization", "").partition(" ")
            body = request.body or b""
            body = body.encode() if isinstance(body, str) else body
            status, said, headers = vault.answer(request.method, request.url, given or None, body)
            answer = requests.Response()
            answer.status_code, answer.request, answer.url = status, request, request.url
            answer._content = json.dumps(said).encode()
            answer.headers.update({"Content-Type": "application/json; charset=utf-8", **headers})
            answer.raw = io.BytesIO()
            return answer

        def close(self):
            pass

    session = requests.Session()
    session.mount("https://", Adapter())
    transport = RequestsTransport(session=session, session_owner=False)
    return SecretClient(vault.url, FakeCredential(token), transport=transport, retry_total=0)


def over_https(vault: Vault, certificate: Path, token: str = "token", seconds: float = 5):
    """Return Microsoft's client for the double's own server; only the name in the challenge cannot be checked there."""
    from azure.keyvault.secrets import SecretClient

    return SecretClient(
        vault.url,
        FakeCredential(token),
        verify_challenge_resource=False,
        connection_verify=str(certificate),
        retry_total=0,
        connection_timeout=seconds,
        read_timeout=seconds,
    )


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[tuple[Vault, Path]]:
    """Serve an empty vault over HTTPS on a free loopback port; yield it and the certificate to trust."""
    import ssl

    certificate = _certificate(folder)
    vault = Vault("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # One packet an answer: two would wait for one another.
        wbufsize = -1
        disable_nagle_algorithm = True

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            _, _, given = self.headers.get("Authorization", "").partition(" ")
            status, said, headers = vault.answer(self.command, self.path, given or None, body)
            content = json.dumps(said).encode()
            self.send_response(status)
            for name, text in {"Content-Type": "application/json; charset=utf-8", **headers}.items():
                self.send_header(name, text)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            self.wfile.flush()

        do_GET = do_PUT = do_PATCH = do_DELETE = do_POST = _answer  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass  # a client that went away

    server = Server(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, folder / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    vault.url = f"https://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield vault, certificate
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _certificate(folder: Path) -> Path:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "key vault double")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - dt.timedelta(hours=1))
    builder = builder.not_valid_after(now + dt.timedelta(days=1)).add_extension(address, critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return folder / "certificate.pem"
