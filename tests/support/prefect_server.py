"""A real Prefect server for tests: the demo's own, started from a migrated empty database."""

from flows.demo.prefect_server import CLEAN, PrefectServer, free_port, migrate, running, start, stop

__all__ = ["CLEAN", "PrefectServer", "drain", "free_port", "migrate", "running", "start", "stop"]


def drain() -> None:
    """Wait until the logs and events of this process have reached their server."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    APILogWorker.drain_all(timeout=30)
    EventsWorker.drain_all(timeout=30)
