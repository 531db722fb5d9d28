"""The probes of a self-hosted server: one question each, asked so that nothing is ever written.

GET and OPTIONS, one POST that only counts, and websocket handshakes without a token. All run at once, so that a server
that hangs costs one deadline and not twenty. A probe that fails becomes the reason why its answer could not be seen.
"""

import asyncio
import base64
import secrets
from collections.abc import Awaitable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar, cast

import httpx

from blocks.access_directories.encryption_key import key_place
from blocks.access_directories.reach import listens, own_addresses
from blocks.access_directories.requester import CannotSeeError, Reply, Requester
from blocks.access_directories.sockets import knock
from rules.advisories import PACKAGES
from rules.findings import Subject
from rules.posture.observations import Answer, KeyPlace, Posture, Transport, Unseen

T = TypeVar("T")

ORIGIN = "https://vigiles-probe.invalid"
"""An origin that can exist nowhere (RFC 6761), so no server allows it on purpose."""

SOCKETS = ("/events/in", "/events/out", "/logs/out")
"""The websockets of a server."""

VERSION = "/admin/version"
"""A path that needs the credential, reads nothing else, and answers a single string."""

SCHEMA_PAGES = {"/docs": b"swagger", "/openapi.json": b'"openapi"', "/redoc": b"redoc"}
"""The pages that show the API schema, and what tells each from the UI, which answers at any path."""

PORTS = {"http": 80, "https": 443}
"""The port that an address means when it names none."""

_REFUSED = (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)


async def observe(server: Subject, transport: Transport, ask: Requester, database: Path | None) -> Posture:
    """Return everything that can be seen of a server.

    Args:
        server: the server as the subject of findings.
        transport: how it is reached.
        ask: sends the requests.
        database: the server's SQLite file, where this run can read it.
    """
    probes: dict[str, Awaitable[Any]] = {
        "health": _health(ask),
        "version": _version(ask),
        "accounts": _accounts(ask),
        "anonymous": _admission(ask, {}),
        "wrong": _admission(ask, _basic(f"vigiles-probe:{secrets.token_hex(16)}")),
        "empty": _admission(ask, {"Authorization": "Basic ="}),
        "non_ascii": _admission(ask, _basic("vigiles-probe:\u00fc")),
        "suffix": _suffix(ask),
        "sockets": _sockets(ask),
        "csrf": _csrf(ask),
        "foreign_origin": _foreign_origin(ask),
        "schema": _schema(ask),
        "ui_settings": _ui_settings(ask),
        "shown_headers": _shown_headers(ask),
        "beyond_loopback": _beyond_loopback(ask, transport),
        "encryption_key": _encryption_key(ask, database),
    }
    answers = await asyncio.gather(*probes.values(), return_exceptions=True)
    seen = {name: _or_unseen(answer) for name, answer in zip(probes, answers, strict=True)}
    return Posture(server=server, transport=transport, packages=installed(PACKAGES), **seen)


def installed(names: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of those distributions that are installed here, by name."""
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _or_unseen(answer: Any) -> Any:
    if isinstance(answer, CannotSeeError):
        return Unseen(str(answer))
    if isinstance(answer, Exception):
        return Unseen(f"the probe failed ({type(answer).__name__})")
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _basic(credential: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(credential.encode()).decode()}


async def _health(ask: Requester) -> bool:
    reply = await ask.anonymous(f"{ask.api}/health")
    if reply.status == httpx.codes.OK and reply.json() is True:
        return True
    raise reply.unexpected()


async def _version(ask: Requester) -> str:
    reply = await ask.credentialed(VERSION)
    version = reply.json()
    if reply.status == httpx.codes.OK and isinstance(version, str):
        return version
    if reply.status not in _REFUSED:
        raise reply.unexpected()
    schema = _mapping(await ask.anonymous(f"{ask.root}/openapi.json"))
    info = schema.get("info")
    if isinstance(info, dict) and isinstance(info.get("version"), str):
        return cast("str", info["version"])
    raise reply.unexpected()


async def _accounts(ask: Requester) -> bool:
    reply = await ask.credentialed("/me/")
    if reply.status == httpx.codes.NOT_FOUND:
        return False
    if reply.status == httpx.codes.OK and _mapping(reply):
        return True
    raise reply.unexpected()


async def _admission(ask: Requester, headers: Mapping[str, str]) -> Answer:
    reply = await ask.anonymous(ask.api + VERSION, headers)
    if reply.status in _REFUSED:
        return Answer.REFUSED
    if reply.status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return Answer.BROKE
    if reply.status == httpx.codes.OK and isinstance(reply.json(), str):
        return Answer.SERVED
    raise reply.unexpected()


async def _suffix(ask: Requester) -> Answer:
    """Ask for a variable that does not exist: 404 means that the request got past the authentication."""
    reply = await ask.anonymous(f"{ask.api}/variables/name/vigiles-probe-health")
    if reply.status in _REFUSED:
        return Answer.REFUSED
    if reply.status == httpx.codes.NOT_FOUND or (reply.status == httpx.codes.OK and _mapping(reply)):
        return Answer.SERVED
    raise reply.unexpected()


async def _sockets(ask: Requester) -> dict[str, Answer]:
    answers = await asyncio.gather(*(knock(ask.api + path, ask.seconds, ask.tls) for path in SOCKETS))
    return dict(zip(SOCKETS, answers, strict=True))


async def _csrf(ask: Requester) -> bool:
    """Count flows without a CSRF token; the protection is checked before the credential."""
    reply = await ask.credentialed("/flows/count", "POST", {})
    content = reply.json()
    said = content if isinstance(content, dict) else {}
    if reply.status == httpx.codes.FORBIDDEN and "CSRF" in str(said.get("detail")):
        return True
    counted = reply.status == httpx.codes.OK and isinstance(content, int)
    if counted or (reply.status == httpx.codes.UNAUTHORIZED and "exception_message" in said):
        return False
    raise reply.unexpected()


async def _foreign_origin(ask: Requester) -> str:
    url, origin = ask.api + VERSION, {"Origin": ORIGIN}
    preflight, plain = await asyncio.gather(
        ask.anonymous(url, {**origin, "Access-Control-Request-Method": "GET"}, "OPTIONS"), ask.anonymous(url, origin)
    )
    for reply in (preflight, plain):
        allowed = reply.headers.get("access-control-allow-origin", "")
        if allowed in ("*", ORIGIN):
            return allowed
        if reply.status >= httpx.codes.INTERNAL_SERVER_ERROR or reply.status in range(300, 400):
            raise reply.unexpected()
    return ""


async def _schema(ask: Requester) -> tuple[str, ...]:
    replies = await asyncio.gather(*(ask.anonymous(ask.root + path) for path in SCHEMA_PAGES))
    for reply in replies:
        if reply.status >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise reply.unexpected()
    shown = zip(SCHEMA_PAGES.items(), replies, strict=True)
    return tuple(path for (path, mark), r in shown if r.status == httpx.codes.OK and mark in r.body.lower())


async def _ui_settings(ask: Requester) -> tuple[str, ...]:
    reply = await ask.anonymous(f"{ask.root}/ui-settings")
    if reply.status in (*_REFUSED, httpx.codes.NOT_FOUND):
        return ()
    content = _mapping(reply)
    if "api_url" not in content:
        raise reply.unexpected()
    return tuple(sorted(content))


async def _shown_headers(ask: Requester) -> tuple[str, ...]:
    """Read the server's settings; of the headers that they show, only the names leave this function."""
    headers: Any = _mapping(await ask.credentialed("/admin/settings"))
    for name in ("client", "custom_headers"):
        headers = headers.get(name) if isinstance(headers, dict) else None
    if not isinstance(headers, dict):
        raise CannotSeeError("the server's settings have another shape than is known")
    return tuple(sorted(n for n, value in headers.items() if not isinstance(value, str) or value.strip("*")))


async def _beyond_loopback(ask: Requester, transport: Transport) -> bool:
    if not transport.loopback:
        return True
    return await listens(own_addresses(), httpx.URL(ask.api).port or PORTS[transport.scheme], ask.seconds)


async def _encryption_key(ask: Requester, database: Path | None) -> KeyPlace:
    if database is None:
        raise CannotSeeError("the API does not tell, and the directory names no `database` that could be read")
    witness = _mapping(await ask.credentialed("/block_types/slug/secret")).get("id")
    if not isinstance(witness, str):
        raise CannotSeeError("the server named nothing by which to know its database again")
    return key_place(database, witness, ask.seconds)


def _mapping(reply: Reply) -> dict[str, Any]:
    content = reply.json()
    if reply.status == httpx.codes.OK and isinstance(content, dict):
        return content
    raise reply.unexpected()
