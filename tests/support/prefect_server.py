"""A real Prefect server for tests: the demo's own, started from a migrated empty database."""

import time
from collections.abc import Mapping
from typing import Any

import httpx

from flows.demo.prefect_server import CLEAN, PrefectServer, free_port, migrate, running, start, stop

__all__ = ["CLEAN", "PrefectServer", "drain", "free_port", "migrate", "request", "running", "send", "start", "stop"]


def drain() -> None:
    """Wait until the logs and events of this process have reached their server."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    APILogWorker.drain_all(timeout=30)
    EventsWorker.drain_all(timeout=30)


def request(method: str, url: str, body: object = None, headers: Mapping[str, str] | None = None) -> httpx.Response:
    """Return a good answer, asking again while SQLite is locked by another client: 503 says that nothing was done."""
    for _ in range(60):
        answer = httpx.request(method, url, json=body, headers=dict(headers or {}), timeout=60)
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            break
        time.sleep(0.5)
    return answer.raise_for_status()


def send(api: str, method: str, path: str, body: object = None) -> Any:
    """Send a request to an API and return what its answer says."""
    answer = request(method, f"{api}{path}", body)
    return answer.json() if answer.content else None
