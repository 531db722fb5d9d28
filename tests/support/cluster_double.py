"""A double of the one Kubernetes call that a login by service account leads to: the server asks who a token is of."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

NAMESPACE, NAME, UID = "jobs", "vigiles", "0b5c1f6e-0000-4000-8000-000000000001"


@contextmanager
def cluster_double(known: str) -> Iterator[str]:
    """Answer reviews of tokens, and vouch for this one; yields the address."""

    class Reviews(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            user = {"username": f"system:serviceaccount:{NAMESPACE}:{NAME}", "uid": UID}
            good = self.path.endswith("/tokenreviews") and asked["spec"]["token"] == known
            status = {"authenticated": True, "user": user} if good else {"error": "unknown"}
            content = json.dumps(asked | {"status": status}).encode()
            self.send_response(201)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Reviews)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def service_account(folder: Path, signature: bytes = b"of the double") -> Path:
    """Write a service account's token, as a pod finds one, and return its file."""
    claims = {
        "iss": "kubernetes/serviceaccount",
        "sub": f"system:serviceaccount:{NAMESPACE}:{NAME}",
        "kubernetes.io/serviceaccount/namespace": NAMESPACE,
        "kubernetes.io/serviceaccount/service-account.name": NAME,
        "kubernetes.io/serviceaccount/service-account.uid": UID,
    }
    parts = (json.dumps({"alg": "RS256", "kid": "k"}).encode(), json.dumps(claims).encode(), signature)
    path = folder / f"token-{signature.hex()}"
    path.write_text(".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "\n")
    return path
