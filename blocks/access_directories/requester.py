"""Single requests to a server under inspection: one connection each, a hard deadline, no redirects, bounded answers."""

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

LIMIT = 8 * 1024 * 1024
"""The most bytes of an answer that are read; the API schema is about half a megabyte."""


class CannotSeeError(Exception):
    """A probe did not see what it looked for.

    Its text becomes the reason in the finding, so it ends a sentence and never holds a secret.
    """


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered.

    Attributes:
        status: the HTTP status.
        headers: the headers, by lower-case name.
        body: the whole body.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the decoded body, or None where it is not JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def unexpected(self) -> CannotSeeError:
        """Return the error that this is not an answer to judge by; the body is left out, it may echo anything."""
        if 300 <= self.status < 400:  # noqa: PLR2004 - the range of redirects
            return CannotSeeError(f"the server answered with a redirect ({self.status}), which probes do not follow")
        if self.status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            return CannotSeeError(f"the server refused what credential this run has ({self.status})")
        if self.status == httpx.codes.OK:
            return CannotSeeError("the server answered 200 with something that is not Prefect's")
        return CannotSeeError(f"the server answered {self.status}")


@dataclass(frozen=True, slots=True)
class Requester:
    """Sends requests to one server.

    Every request has a client of its own: no cookie and no connection that a credential opened is ever reused by a
    request that must have none.

    Attributes:
        api: the address of the API, without a slash at the end.
        seconds: the deadline of each request, from connecting to the last byte.
        tls: how certificates are checked.
        credential: the headers that carry the credential; empty where the server may not be given one.
    """

    api: str
    seconds: float
    tls: ssl.SSLContext
    credential: Mapping[str, str] = field(repr=False)

    @property
    def root(self) -> str:
        """The address that the UI and the public pages are under."""
        return self.api.removesuffix("/api")

    async def anonymous(self, url: str, headers: Mapping[str, str] | None = None, method: str = "GET") -> Reply:
        """Return the answer to a request that carries nothing but the given headers.

        Raises:
            CannotSeeError: if there is no answer within the deadline, or it is too large.
        """
        return await self._send(method, url, headers or {}, None)

    async def credentialed(self, path: str, method: str = "GET", body: object = None) -> Reply:
        """Return the answer of the API to a request with the credential, if there is one.

        Raises:
            CannotSeeError: if there is no answer within the deadline, or it is too large.
        """
        return await self._send(method, self.api + path, self.credential, body)

    async def _send(self, method: str, url: str, headers: Mapping[str, str], body: object) -> Reply:
        try:
            async with asyncio.timeout(self.seconds):
                return await self._exchange(method, url, headers, body)
        except TimeoutError:
            raise CannotSeeError(f"the server did not answer within {self.seconds:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            # Only the kind: the text of some errors shows headers.
            raise CannotSeeError(f"the request failed ({type(error).__name__})") from None

    async def _exchange(self, method: str, url: str, headers: Mapping[str, str], body: object) -> Reply:
        # The deadline around this ends it; httpx's own timeouts count each read anew.
        async with (
            httpx.AsyncClient(verify=self.tls, timeout=2 * self.seconds, follow_redirects=False) as client,
            client.stream(method, url, headers=dict(headers), json=body) as answer,
        ):
            content = bytearray()
            async for chunk in answer.aiter_bytes():
                content += chunk
                if len(content) > LIMIT:
                    raise CannotSeeError(f"the answer was longer than {LIMIT} bytes")
            return Reply(answer.status_code, dict(answer.headers), bytes(content))
