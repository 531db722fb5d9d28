"""Whether a server that is used over loopback can also be reached from elsewhere, as the machine's own addresses show.

What the server's settings say does not count: with ``prefect server start --host 0.0.0.0`` they still say 127.0.0.1.
"""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Iterable

from blocks.access_directories.requester import CannotSeeError

_ELSEWHERE = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
"""Addresses that are nobody's (RFC 5737, RFC 3849): asked only which way there would lead, nothing is sent."""


def own_addresses() -> tuple[str, ...]:
    """Return the addresses of this machine that are not loopback, as far as it names them without being asked twice."""
    found = set()
    for family, target in _ELSEWHERE:
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as way:
            way.connect((target, 9))
            found.add(str(way.getsockname()[0]))
    with contextlib.suppress(OSError):
        found.update(str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None))
    return tuple(sorted(a for a in found if "%" not in a and not ipaddress.ip_address(a).is_loopback))


async def listens(addresses: Iterable[str], port: int, seconds: float) -> bool:
    """Return whether something accepts connections at that port of any of the addresses.

    Args:
        addresses: of this machine.
        port: the server's.
        seconds: the deadline for all of them.

    Raises:
        CannotSeeError: if an address neither accepts nor refuses.
    """
    try:
        async with asyncio.timeout(seconds):
            return any(await asyncio.gather(*(_accepts(address, port) for address in addresses)))
    except TimeoutError:
        raise CannotSeeError(f"this machine's own address did not answer within {seconds:g} s") from None


async def _accepts(address: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(address, port)
    except OSError:
        return False
    writer.close()
    return True
