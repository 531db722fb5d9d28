"""A self-hosted Prefect server, which has no users and no roles: what can be seen is how it is guarded."""

import asyncio
import base64
import re
import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import SplitResult, urlsplit

import certifi
from prefect.settings import get_current_settings
from pydantic import ConfigDict, Field, field_validator

from blocks.access_directories import probes
from blocks.access_directories.interface import AccessDirectory
from blocks.access_directories.requester import Requester
from blocks.presentation import DOCUMENTATION_URL, LOGO_URL
from rules.access import Access
from rules.findings import Subject
from rules.posture.observations import Transport, Unseen

_CLOUD_PATH = re.compile(r"/accounts/[^/]+/workspaces/[^/]+")


class PrefectServerDirectory(AccessDirectory):
    """A self-hosted Prefect server, inspected from outside and, where its database can be read, from inside.

    The credential is the client's own (PREFECT_API_AUTH_STRING). It is sent only where the run's own API is, which is
    where Prefect sends it anyway; of any other server this directory sees what an anonymous caller sees.

    Example:
        Load a saved directory and look at its server:
        ```python
        from blocks.access_directories.prefect_server import PrefectServerDirectory

        directory = PrefectServerDirectory.load("BLOCK_NAME")
        directory.observe()
        ```
    """

    # Prefect's server keeps names that begin with its own for itself.
    _block_type_name: ClassVar[str | None] = "Self-hosted Prefect Server"
    _block_type_slug: ClassVar[str | None] = "prefect-server-directory"
    _documentation_url: ClassVar[Any] = DOCUMENTATION_URL
    _logo_url: ClassVar[Any] = LOGO_URL

    model_config = ConfigDict(hide_input_in_errors=True)

    api_url: str = Field(description="The address of the server's API, such as https://prefect.example.com/api.")
    database: str | None = Field(
        default=None, description="The absolute path of the server's SQLite file, if runs can read it."
    )
    timeout_seconds: float = Field(default=10, gt=0, le=300, description="The deadline of each probe, in seconds.")

    @field_validator("api_url")
    @classmethod
    def _check_api_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in probes.PORTS or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("api_url is an http or https address without query and fragment")
        if "@" in parts.netloc:
            raise ValueError("api_url holds no credential: set PREFECT_API_AUTH_STRING instead")
        return value.rstrip("/")

    @field_validator("database")
    @classmethod
    def _check_database(cls, value: str | None) -> str | None:
        if value is not None and not Path(value).is_absolute():
            raise ValueError("database is an absolute path: runs have a working directory of their own")
        return value

    def observe(self) -> Access:
        """Return how the server is guarded; of Prefect Cloud, that it is not supported yet.

        All probes run at once, each with its own deadline of ``timeout_seconds``.
        """
        place = Subject("server", self.api_url, self.api_url)
        parts = urlsplit(self.api_url)
        if is_cloud(parts):
            return Access(place, Unseen("this is Prefect Cloud, and drift on Cloud follows in a later version"))
        verified = not get_current_settings().api.tls_insecure_skip_verify
        transport = Transport(parts.scheme, parts.hostname or "", verified)
        requester = Requester(self.api_url, self.timeout_seconds, _tls(), self._credential())
        database = Path(self.database) if self.database else None
        # A thread of its own, because a caller may have an event loop running in this one.
        with ThreadPoolExecutor(max_workers=1) as thread:
            posture = thread.submit(asyncio.run, probes.observe(place, transport, requester, database)).result()
        return Access(place, posture)

    def _credential(self) -> dict[str, str]:
        settings = get_current_settings()
        if not settings.api.url or _address(settings.api.url) != _address(self.api_url):
            return {}
        headers = dict(settings.client.custom_headers)
        secret = settings.api.auth_string
        if secret and secret.get_secret_value():
            token = base64.b64encode(secret.get_secret_value().encode()).decode()
            headers["Authorization"] = f"Basic {token}"
        return headers


def is_cloud(address: SplitResult) -> bool:
    """Return whether an API address is one of Prefect Cloud, by its host or by the shape of its path."""
    host = (address.hostname or "").lower()
    cloud = urlsplit(get_current_settings().cloud.api_url).hostname
    return host == cloud or host.endswith(".prefect.cloud") or _CLOUD_PATH.search(address.path) is not None


def _address(url: str) -> tuple[str, str | None, int | None, str]:
    parts = urlsplit(url)
    return (parts.scheme, parts.hostname, parts.port or probes.PORTS.get(parts.scheme), parts.path.rstrip("/"))


def _tls() -> ssl.SSLContext:
    settings = get_current_settings().api
    context = ssl.create_default_context(cafile=settings.ssl_cert_file or certifi.where())
    if settings.tls_insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
