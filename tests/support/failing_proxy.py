"""A proxy before a real Prefect server that answers the n-th request for one path with 500, and passes on the rest."""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

FAILED = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@contextlib.contextmanager
def before(url: str, path: str, number: int = 1, method: str = "POST") -> Iterator[str]:
    """Yield the address of the API behind the proxy; the ``number``-th request for ``path`` fails."""
    upstream = (urlsplit(url).hostname, urlsplit(url).port)
    seen = []

    class Connection(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                head = b""
                while b"\r\n\r\n" not in head and (chunk := self.request.recv(65536)):
                    head += chunk
                if not head:
                    return
                if head.startswith(f"{method} /api{path}".encode()):
                    seen.append(head)
                    if len(seen) == number:
                        self.request.sendall(FAILED)
                        return
                # One request a connection, so that each is seen; a web socket stays open.
                once = head if b"upgrade" in head.lower() else head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
                self.pass_on(once)

        def pass_on(self, head: bytes) -> None:
            with socket.create_connection(upstream) as server:
                server.sendall(head)
                back = threading.Thread(target=_copy, args=(server, self.request), daemon=True)
                back.start()
                _copy(self.request, server)
                back.join()

    class Proxy(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True
        block_on_close = False
        request_queue_size = 64

    with Proxy(("127.0.0.1", 0), Connection) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{proxy.server_address[1]}/api"
        proxy.shutdown()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(65536):
            target.sendall(chunk)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
