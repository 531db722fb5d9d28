"""A proxy before a store's real server that fails in the worst way: whatever it says repeats what it was sent.

Without a fault it passes everything on. Before moto it answers GetSecretValue as AWS does, whose default is AWSCURRENT.
"""

import contextlib
import http.client
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import urlsplit

Fault = Literal["throttle", "refuse", "break", "lose", "garble"]
"""Of a write that holds a pending value: 429, 400 or 500 with it in the text, or no answer although it was done.
Of a read (garble): an answer that is cut off."""

THROTTLES = 4
"""How many writes a proxy throttles: a run has more patience with those than a test has."""

STATUS = {"throttle": 429, "refuse": 400, "break": 500}
CODES = {"throttle": "ThrottlingException", "refuse": "ValidationException", "break": "InternalServiceError"}
_HOPS = {"connection", "transfer-encoding", "content-length", "keep-alive"}


def _stages(body: bytes) -> bool:
    compact = body.replace(b" ", b"")
    return b'"pending":[' in compact or b'\\"pending\\":[' in compact or b"AWSPENDING" in compact


def _reads(method: str, headers: http.client.HTTPMessage) -> bool:
    operation = headers.get("X-Amz-Target")
    return operation.endswith(("GetSecretValue", "GetParameter")) if operation else method == "GET"


def _names_no_version(headers: http.client.HTTPMessage, body: bytes) -> bool:
    if not headers.get("X-Amz-Target", "").endswith("GetSecretValue"):
        return False
    return not {"VersionId", "VersionStage"} & set(json.loads(body))


@contextlib.contextmanager
def before(url: str, fault: Fault | None, current: Callable[[str], dict[str, Any]] | None = None) -> Iterator[str]:
    """Yield the address of the proxy.

    Args:
        url: address of the real server.
        fault: what goes wrong.
        current: returns AWSCURRENT of a secret, where the real server is moto.
    """
    upstream, throttles = urlsplit(url), iter(range(THROTTLES))

    class Request(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            staging = _stages(body)
            if staging and fault in STATUS and (fault != "throttle" or next(throttles, None) is not None):
                text = body.decode()
                answer = {"errors": [text], "__type": CODES[fault], "message": text, "Message": text}
                self._answer(STATUS[fault], {"Content-Type": "application/json"}, json.dumps(answer).encode())
                return
            status, headers, content = self._upstream(body)
            if current and status == 200 and _names_no_version(self.headers, body):
                content = json.dumps(current(json.loads(body)["SecretId"])).encode()
            if staging and fault == "lose":
                self.close_connection = True
                return
            if fault == "garble" and status == 200 and _reads(self.command, self.headers):
                content = content[:-3]
            self._answer(status, headers, content)

        def _upstream(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
            connection = http.client.HTTPConnection(str(upstream.hostname), upstream.port, timeout=20)
            # The host stays what the client has signed.
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            return answer.status, {k: v for k, v in answer.getheaders() if k.lower() not in _HOPS}, content

        def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815 - so they are called

    with ThreadingHTTPServer(("127.0.0.1", 0), Request) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
