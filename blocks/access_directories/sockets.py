"""Whether a websocket lets in a client without a token. Nothing but an empty handshake is ever sent."""

import asyncio
import json
import ssl

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from blocks.access_directories.requester import CannotSeeError
from rules.posture.observations import Answer

POLICY_VIOLATION = 1008
"""The close code with which Prefect turns a client away."""

_REFUSED = (401, 403)


class _Connect(connect):
    """A connection that follows no redirect: another place's answer says nothing about this server."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


async def knock(url: str, seconds: float, tls: ssl.SSLContext) -> Answer:
    """Return how a websocket meets a client that has no token.

    Args:
        url: the ``http`` or ``https`` address of the websocket.
        seconds: the deadline.
        tls: how certificates are checked.

    Raises:
        CannotSeeError: if it is neither let in nor turned away.
    """
    address = "ws" + url.removeprefix("http")
    try:
        async with (
            asyncio.timeout(seconds),
            _Connect(
                address,
                subprotocols=[Subprotocol("prefect")],
                ssl=tls if address.startswith("wss") else None,
                open_timeout=None,
                close_timeout=1,
            ) as socket,
        ):
            return await _handshake(socket)
    except InvalidStatus as error:
        if error.response.status_code in _REFUSED:
            return Answer.REFUSED
        raise CannotSeeError(f"a websocket answered {error.response.status_code}") from None
    except ConnectionClosed as error:
        if error.rcvd and error.rcvd.code == POLICY_VIOLATION:
            return Answer.REFUSED
        raise CannotSeeError("a websocket was closed without a verdict") from None
    except TimeoutError:
        raise CannotSeeError(f"a websocket did not answer within {seconds:g} s") from None
    except (WebSocketException, OSError, ValueError) as error:
        raise CannotSeeError(f"a websocket failed ({type(error).__name__})") from None


async def _handshake(socket: ClientConnection) -> Answer:
    if socket.subprotocol is None:
        # A server before the handshake existed: it is listening already.
        return Answer.SERVED
    await socket.send(json.dumps({"type": "auth", "token": None}))
    reply = json.loads(await socket.recv())
    if isinstance(reply, dict) and reply.get("type") == "auth_success":
        return Answer.SERVED
    raise CannotSeeError("a websocket answered something that is not Prefect's")
