"""Which backends the fault matrix is played over, and the servers that they need, started without pytest."""

import contextlib
import os
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from support import drongo, moto, openbao, prefect_server
from support.stores.catalogue import Entry, entries
from support.stores.interface import Backend

IN_PROCESS = {
    "memory": "memory",
    "env-file": "env-file",
    "prefect-secret": "prefect-secret",
    "vault-kv": "vault-kv-simulator",
    "aws-secrets-manager": "aws-secrets-manager-simulated",
    "aws-parameter-store": "aws-parameter-store-simulator",
    "azure-key-vault": "azure-key-vault",
    "gcp-secret-manager": "gcp-secret-manager-simulator",
}
"""By store, the entry of the catalogue that needs no server; the first is the reference, of no service."""

SERVED = {
    "env-file": "env-file",
    "prefect-secret": "prefect-secret-server",
    "vault-kv": "vault-kv-openbao",
    "aws-secrets-manager": "aws-secrets-manager-moto",
    "aws-parameter-store": "aws-parameter-store-moto",
    "azure-key-vault": "azure-key-vault-https",
    "gcp-secret-manager": "gcp-secret-manager-drongo",
}
"""By store, the entry that is nearest to the service."""


def entry_named(name: str) -> Entry:
    """Return the entry of the catalogue."""
    known = {entry.name: entry for entry in entries()}
    return known[name]


def backends(entry: Entry, folder: Path, servers: tuple[Any, ...] = ()) -> Iterator[Backend]:
    """Return empty backends, as many as are asked for, each in a folder of its own."""
    for number in count():
        own = folder / f"{entry.name}-{number}"
        own.mkdir(parents=True)
        yield entry.make(own, *servers)


@contextmanager
def _drongo() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="vigiles-drongo-") as folder:
        url, pid = drongo.start(Path(folder) / "log")
        try:
            yield url
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


@contextmanager
def _prefect() -> Iterator[prefect_server.PrefectServer]:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with (
        tempfile.TemporaryDirectory(prefix="vigiles-prefect-") as folder,
        prefect_server.running(Path(folder) / "server") as server,
        temporary_settings(updates={PREFECT_API_URL: server.url}),
    ):
        yield server


SERVERS: Mapping[str, Callable[[], AbstractContextManager[Any]]] = {
    "openbao": openbao.running,
    "moto": moto.running,
    "drongo_server": _drongo,
    "prefect_api": _prefect,
}
"""By the name of the fixture that tests ask for, what starts and stops the same server."""
