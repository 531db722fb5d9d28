"""A self-hosted server with everything on that guards it, and the secrets that must show up nowhere."""

import contextlib
from collections.abc import Iterator

from support import canary
from support.prefect_server import PrefectServer

HALVES = (canary.plant("user").split(canary.AWKWARD)[0], canary.plant().split(canary.AWKWARD)[0])

AUTH = f"{HALVES[0]}:'\"%\n\\{{x}}$& {HALVES[1]}"
"""An auth string with awkward characters, but ASCII: a server whose auth string is not locks everybody out."""

FERNET = "cGF0aWVudC1jYW5hcnktZmVybmV0LWtleS0zMmJ5dGU="
"""An encryption key."""

SETTINGS = {
    "PREFECT_SERVER_API_AUTH_STRING": AUTH,
    "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",
    "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": "https://prefect.example.com",
    "PREFECT_SERVER_ENCRYPTION_KEY": FERNET,
}


@contextlib.contextmanager
def client_of(server: PrefectServer, auth: str | None = None, **more: object) -> Iterator[None]:
    """Every Prefect call goes to that server, with that auth string; ``more`` are settings by name."""
    import prefect.settings as known

    wanted = {"PREFECT_API_URL": server.url, "PREFECT_API_AUTH_STRING": auth, **more}
    with known.temporary_settings(updates={getattr(known, name): value for name, value in wanted.items()}):
        yield
