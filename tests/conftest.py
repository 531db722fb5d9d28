"""What every test may ask for: one Prefect server a session (shared by all xdist workers), and its client."""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from coverage import Coverage
from filelock import FileLock
from support import prefect_server
from support.prefect_server import PrefectServer
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

HOME = Path(os.environ.get("TMPDIR", "/tmp")) / f"vigiles-prefect-home-{os.getpid()}"
# Before any test module imports Prefect: nothing may read or write the developer's own home or profile.
os.environ["PREFECT_HOME"] = str(HOME)
os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
os.environ.pop("PREFECT_API_URL", None)


LONGEST = (
    "test_rotation_kills",
    "test_random_kills",
    "test_rotation_fault_matrix_served",
    "test_rotation_fault_matrix",
    "test_enforce_retention",
    "test_no_secret_leaks_in_stores",
    "test_secret_store_contract",
    "test_secret_store_contract_faults",
)
"""Files that begin first, as a session ends when its last file does."""

APART = {"test_rotation_fault_matrix", "test_rotation_fault_matrix_served"}
"""Files whose tests need not be in one process."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first, and leave the order within each."""
    places = {stem: place for place, stem in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


class ByFile(LoadFileScheduling):
    """Gives each process whole files, so that a file's servers start once, in the order of the collection."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return nodeid if Path(file).stem in APART else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    """Distribute the tests over the processes of ``-n`` (see xdist's hook of this name)."""
    config.option.loadscopereorder = False
    return ByFile(config, log)


def _session_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.getbasetemp()
    return base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base


def pytest_unconfigure() -> None:
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(autouse=True)
def measured(request: pytest.FixtureRequest) -> Iterator[None]:
    """Stop measuring coverage in a test marked ``unmeasured``: it doubles the time of pure computation."""
    stopped = []
    if request.node.get_closest_marker("unmeasured"):
        # In a process of xdist pytest-cov has started two, and its own marker stops one.
        while found := Coverage.current():
            found.stop()
            stopped.append(found)
    yield
    for found in reversed(stopped):
        found.start()


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty, migrated database that servers start from; made once a session."""
    folder = _session_folder(tmp_path_factory)
    database = folder / "migrated" / "prefect.db"
    with FileLock(folder / "migrated.lock"):
        if not (folder / "migrated.done").exists():
            prefect_server.migrate(database)
            (folder / "migrated.done").touch()
    return database


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, migrated_database: Path) -> Iterator[PrefectServer]:
    """The session's Prefect server; the last process of the session stops it."""
    folder = _session_folder(tmp_path_factory)
    state = folder / "server.json"
    with FileLock(folder / "server.lock"):
        if state.exists():
            record = json.loads(state.read_text())
        else:
            started = prefect_server.start(folder / "server", migrated_database)
            record = {"url": started.url, "home": str(started.home), "log": str(started.log), "pid": started.pid}
        record["users"] = record.get("users", 0) + 1
        state.write_text(json.dumps(record))
    yield PrefectServer(record["url"], Path(record["home"]), Path(record["log"]), record["pid"])
    prefect_server.drain()
    with FileLock(folder / "server.lock"):
        record = json.loads(state.read_text())
        record["users"] -= 1
        state.write_text(json.dumps(record))
        if record["users"] == 0:
            prefect_server.stop(record["pid"])
            state.unlink()


@pytest.fixture(autouse=True)
def events_reach_the_server_of_their_test() -> Iterator[None]:
    """Prefect's events worker keeps the server that it began with, whichever the settings name later."""
    yield
    if "prefect.events.worker" in sys.modules:
        prefect_server.drain()


@pytest.fixture
def prefect_api(server: PrefectServer) -> Iterator[PrefectServer]:
    """Every Prefect call of the test goes to the session's server."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings(updates={PREFECT_API_URL: server.url}):
        yield server
