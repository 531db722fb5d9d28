"""A TCP server that misbehaves as told, and remembers every request that reached it."""

import contextlib
import socket
import socketserver
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

Fault = Callable[[socket.socket, str], None]
"""What is done to a connection, given the request that came over it."""


def answer(status: str, body: bytes = b"", **headers: str) -> Fault:
    """Answer every request with that."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {status}\r\n{lines}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return lambda connection, _request: connection.sendall(head.encode() + body)


def routes(faults: Mapping[str, Fault], otherwise: Fault) -> Fault:
    """Do what is said for the path of the request."""

    def choose(connection: socket.socket, request: str) -> None:
        faults.get(request.split(" ")[1], otherwise)(connection, request)

    return choose


def hang(connection: socket.socket, _request: str) -> None:
    """Accept, and never say anything."""
    connection.settimeout(20)
    with contextlib.suppress(OSError):
        connection.recv(1)


def drip(connection: socket.socket, _request: str) -> None:
    """Send a byte at a time, so that no single read ever times out."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    with contextlib.suppress(OSError):
        for _ in range(200):
            connection.sendall(b"x")
            time.sleep(0.1)


def flood(connection: socket.socket, _request: str) -> None:
    """Send for as long as anybody listens."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    with contextlib.suppress(OSError):
        for _ in range(64):
            connection.sendall(b" " * 1_000_000)


def reset(connection: socket.socket, _request: str) -> None:
    """Tear the connection down with a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@dataclass
class FaultyServer:
    """A running faulty server.

    Attributes:
        url: the address of its API.
        requests: the head and body of every request that reached it.
    """

    url: str
    requests: list[str] = field(default_factory=list)


@contextlib.contextmanager
def running(fault: Fault, address: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> Iterator[FaultyServer]:
    """A server at that address that answers every connection with ``fault``; with ``tls`` it speaks https."""
    seen = FaultyServer("")

    class Connection(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.settimeout(5)
            content = b""
            with contextlib.suppress(OSError):
                while b"\r\n\r\n" not in content and (chunk := self.request.recv(65536)):
                    content += chunk
                request = content.decode("latin-1")
                seen.requests.append(request)
                fault(self.request, request)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True
        block_on_close = False
        request_queue_size = 64

        def get_request(self) -> tuple[socket.socket, object]:
            connection, peer = super().get_request()
            return (
                tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False) if tls else connection
            ), peer

    with Server((address, 0), Connection) as server:
        seen.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}/api"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield seen
        server.shutdown()
