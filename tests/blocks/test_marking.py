"""The mark is complete or there is none: every page of every list is made to fail in turn."""

import json
import uuid
from datetime import UTC, datetime

import httpx
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_CLIENT_CSRF_SUPPORT_ENABLED, temporary_settings

from blocks.estate.artifact_removal import delete_artifacts
from blocks.estate.locating import References
from blocks.estate.marking import artifact_from, read_mark, read_since
from blocks.result_stores.interface import Removed, StorageBlock
from blocks.result_stores.local_disk import LocalDiskStore
from blocks.result_stores.opening import open_stores, read_storage_blocks
from rules.errors import PermanentError, VigilesError

LISTS = ("flows", "deployments", "flow_runs", "task_runs", "artifacts")
NOW = datetime(2026, 11, 23, tzinfo=UTC)


def state(kind="COMPLETED", **data):
    return {"type": kind, "timestamp": "2026-11-01T00:00:00Z", "data": data or None, "state_details": {}}


def run_row(run_id: str, **changes):
    row = {
        "id": run_id,
        "tags": [],
        "state_type": "COMPLETED",
        "state": state(storage_key=f"/results/{run_id}", storage_block_id=None, expiration=None),
        "empirical_policy": {"retries": 2},
        "run_count": 1,
        "start_time": "2026-11-01T00:00:00Z",
        "end_time": "2026-11-01T01:00:00Z",
    }
    return {**row, **changes}


def flow_run_row(run_id: str, **changes):
    return run_row(run_id, **{"flow_id": "f", "deployment_id": None, "parent_task_run_id": None, **changes})


def task_run_row(run_id: str, **changes):
    return run_row(run_id, **{"flow_run_id": "fr-0", "task_key": "t", **changes})


def artifact_row(artifact_id: str, **changes):
    row = {
        "id": artifact_id,
        "key": "notes",
        "type": "markdown",
        "data": "text",
        "flow_run_id": "fr-0",
        "task_run_id": None,
        "created": "2026-11-01T00:00:00Z",
        "updated": "2026-11-02T00:00:00Z",
    }
    return {**row, **changes}


class Server(httpx.BaseTransport):
    """Prefect's list endpoints over rows in memory; the n-th request can be made to fail in some way."""

    def __init__(self, **lists) -> None:
        self.rows = {"flows": [{"id": "f", "name": "books"}], "deployments": [], **lists}
        self.requests: list[str] = []
        self.fail_at: int | None = None
        self.failure = httpx.Response(500)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        name = request.url.path.strip("/").split("/")[-2]
        self.requests.append(name)
        if self.fail_at == len(self.requests) - 1:
            return self.failure
        body = json.loads(request.content)
        return httpx.Response(200, json=self.rows.get(name, [])[body["offset"] : body["offset"] + body["limit"]])

    @property
    def client(self) -> SyncPrefectClient:
        with temporary_settings(updates={PREFECT_CLIENT_CSRF_SUPPORT_ENABLED: False}):
            return SyncPrefectClient("http://server.test/api", httpx_settings={"transport": self})


def full_server(count: int = 250) -> Server:
    return Server(
        deployments=[{"id": "d", "name": "prod", "flow_id": "f"}],
        flow_runs=[flow_run_row(f"fr-{number}") for number in range(count)],
        task_runs=[task_run_row(f"tr-{number}") for number in range(count)],
        artifacts=[artifact_row(f"a-{number}") for number in range(count)],
    )


STORE = LocalDiskStore("store", "/results")


def test_the_mark_holds_every_row_of_every_page():
    mark = read_mark(full_server().client, [STORE], {}, NOW)
    assert (len(mark.runs), len(mark.references["store"]), len(mark.artifacts)) == (500, 500, 250)
    run = mark.runs["tr-7"]
    assert (run.flow, run.owner, run.retries, run.is_flow) == ("books", "fr-0", 2, False)


REQUESTS = 8


def test_the_number_of_requests_that_can_fail_is_known():
    server = full_server()
    read_mark(server.client, [STORE], {}, NOW)
    assert len(server.requests) == REQUESTS
    assert set(server.requests) == set(LISTS)


@pytest.mark.parametrize("number", range(REQUESTS))
@pytest.mark.parametrize(
    "failure",
    [httpx.Response(500), httpx.Response(404), httpx.Response(200, text="<html>"), httpx.Response(200, json=[{}])],
    ids=["500", "404", "no-json", "strange-row"],
)
def test_if_any_page_fails_there_is_no_mark(number, failure):
    server = full_server()
    server.fail_at, server.failure = number, failure
    with pytest.raises(VigilesError):
        read_mark(server.client, [STORE], {}, NOW)


def test_a_row_that_is_not_understood_is_no_mark():
    server = Server(flow_runs=[flow_run_row("x", end_time="yesterday")])
    with pytest.raises(PermanentError, match="does not understand"):
        read_mark(server.client, [STORE], {}, NOW)


def test_what_changed_since_is_asked_for_by_time_and_state(monkeypatch):
    server = Server(flow_runs=[flow_run_row("child", parent_task_run_id="tr-1")], task_runs=[task_run_row("tr-9")])
    first = read_mark(full_server(5).client, [STORE], {}, NOW)
    mark = read_since(server.client, [STORE], {}, first, NOW)
    assert set(mark.runs) == {"child", "tr-9"}
    assert (mark.runs["tr-9"].flow, mark.runs["child"].owner) == ("books", "fr-0")
    assert not mark.artifacts


def test_a_subflow_is_owned_by_the_flow_run_that_called_it():
    server = Server(
        flow_runs=[flow_run_row("child", parent_task_run_id="tr-1"), flow_run_row("fr-0")],
        task_runs=[task_run_row("tr-1", state={**state(), "state_details": {"child_flow_run_id": "child"}})],
    )
    assert read_mark(server.client, [STORE], {}, NOW).runs["child"].owner == "fr-0"


def test_the_task_run_that_stands_for_a_subflow_refers_to_no_cache():
    data = {"storage_key": "/results/x", "storage_block_id": None}
    proxy = {**state(**data), "state_details": {"child_flow_run_id": "child"}}
    server = Server(task_runs=[task_run_row("proxy", state=proxy), task_run_row("task", state=state(**data))])
    found = read_mark(server.client, [STORE], {}, NOW).references["store"]["x"]
    assert [reference.cacheable for reference in found] == [False, True]


def test_a_deleted_deployment_a_new_flow_and_a_missing_flow_run_are_unknown():
    server = Server(
        flow_runs=[flow_run_row("a", deployment_id="gone", flow_id="new")],
        task_runs=[task_run_row("b", flow_run_id="gone"), task_run_row("c", flow_run_id=None)],
    )
    runs = read_mark(server.client, [STORE], {}, NOW).runs
    assert (runs["a"].flow, runs["a"].deployment) == (None, None)
    assert (runs["b"].flow, runs["b"].deployment, runs["b"].owner) == (None, None, "gone")
    assert (runs["c"].flow, runs["c"].deployment, runs["c"].owner) == ("", "", None)


def test_a_terminal_run_without_an_end_ended_with_its_state():
    rows = [flow_run_row("a", end_time=None), flow_run_row("b", state_type="RUNNING"), flow_run_row("c", state=None)]
    runs = read_mark(Server(flow_runs=rows).client, [STORE], {}, NOW).runs
    assert runs["a"].ended == datetime(2026, 11, 1, tzinfo=UTC)
    assert runs["b"].ended is None


def test_untyped_artifacts_are_not_even_read_into_the_mark():
    server = Server(artifacts=[artifact_row("a", type=None), artifact_row("b", data={"x": 1}, key=None)])
    assert [artifact.id for artifact in read_mark(server.client, [], {}, NOW).artifacts] == ["b"]


def test_references_are_sorted_into_stores_or_told_to_lead_elsewhere():
    blocks = {
        "1": StorageBlock("1", "local-file-system/mine", {"basepath": "/results"}),
        "2": StorageBlock("2", "s3-bucket/other"),
        "3": StorageBlock("3", "home-made/storage"),
    }
    keys = [("k", "1"), ("s3", "2"), ("x/mine", "3"), ("gone", "9"), ("/tmp/else/k", None), ("odd", None)]
    found = References([STORE], blocks)
    for key, block in keys:
        found.add({"id": "r", "state": state(storage_key=key, storage_block_id=block)}, by_task=False)
    assert list(found.by_store()["store"]) == ["k"]
    assert found.unlocated == {"mine", "gone", "odd"}
    assert set(found.elsewhere) == {"s3-bucket/other", "home-made/storage", "deleted block 9", "/tmp/else", "no block"}


@pytest.mark.parametrize("data", [None, [1], {"type": "unpersisted"}, {"storage_key": None}])
def test_states_without_a_reference_are_passed_over(data):
    found = References([STORE], {})
    found.add({"id": "r", "state": {"data": data}}, by_task=True)
    found.add({"id": "r", "state": None}, by_task=True)
    assert not found.by_store()
    assert not found.elsewhere


@pytest.fixture
def client(prefect_api):
    with get_client(sync_client=True) as client:
        yield client


def make_artifact(client, **changes):
    body = {"key": f"k-{uuid.uuid4().hex[:8]}", "type": "markdown", "data": "x", **changes}
    return client.request("POST", "/artifacts/", json=body).json()


def test_an_artifact_that_is_unchanged_is_deleted_and_one_that_is_gone_is_gone(client):
    artifact = artifact_from(make_artifact(client))
    assert [r.outcome for r in delete_artifacts(client, [artifact])] == [Removed.GONE]
    assert [r.outcome for r in delete_artifacts(client, [artifact])] == [Removed.GONE]


def test_an_artifact_that_changed_or_has_no_type_is_left(client):
    row = make_artifact(client)
    untyped = make_artifact(client, type=None, key=None)
    client.request("PATCH", f"/artifacts/{row['id']}", json={"data": "longer"})
    removals = delete_artifacts(client, [artifact_from(row), artifact_from(untyped)])
    assert [r.outcome for r in removals] == [Removed.CHANGED, Removed.CHANGED]


class Deleting(Server):
    """Lists one artifact as often as told, and answers each DELETE with the failure."""

    def __init__(self, lists: int, status: int) -> None:
        super().__init__()
        self.left, self.status = lists, status

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "DELETE":
            return httpx.Response(self.status)
        self.left -= 1
        return httpx.Response(200, json=[artifact_row("a")] if self.left >= 0 else [])


@pytest.mark.parametrize(
    ("lists", "status", "outcome"), [(1, 404, "gone"), (2, 403, "failed"), (1, 500, "failed"), (1, 204, "gone")]
)
def test_a_failed_deletion_is_success_only_if_the_artifact_is_gone(lists, status, outcome):
    artifact = artifact_from(artifact_row("a"))
    removal = delete_artifacts(Deleting(lists, status).client, [artifact])[0]
    assert removal.outcome == outcome


class Named:
    def __init__(self, block: str, exclusive: bool = False) -> None:
        self.block, self.exclusive = block, exclusive


def opened(client, *names, blocks=()):
    found, closed = open_stores(client, [Named(name) for name in names], {b.id: b for b in blocks})
    return [each.store.name for each in found], {each.name: str(each.error) for each in closed}


def test_the_blocks_of_a_real_server_are_read_with_their_public_fields(client, tmp_path):
    from prefect.filesystems import LocalFileSystem

    name = f"store-{uuid.uuid4().hex[:8]}"
    block_id = str(LocalFileSystem(basepath=str(tmp_path)).save(name))
    block = read_storage_blocks(client)[block_id]
    assert (block.slug, block.fields["basepath"]) == (f"local-file-system/{name}", str(tmp_path))
    assert opened(client, block.slug, blocks=[block]) == ([block.slug], {})


@pytest.mark.parametrize(
    ("block", "why"),
    [
        (None, "There is no block"),
        (StorageBlock("1", "s3-bucket/x"), "cannot be pruned by this version"),
        (StorageBlock("1", "local-file-system/x", {"basepath": "here"}), "no absolute basepath"),
        (StorageBlock("1", "local-file-system/x", {"basepath": "/"}), "root of the file system"),
    ],
)
def test_a_store_that_cannot_be_pruned_stays_closed_and_says_why(block, why):
    name = block.slug if block else "local-file-system/x"
    found, closed = opened(Server().client, name, blocks=[block] if block else [])
    assert not found
    assert why in closed[name]


def test_stores_that_overlap_both_stay_closed():
    blocks = [
        StorageBlock(str(n), f"local-file-system/{n}", {"basepath": p}) for n, p in enumerate(("/a", "/a/b", "/c"))
    ]
    found, closed = opened(Server().client, *(b.slug for b in blocks), blocks=blocks)
    assert found == ["local-file-system/2"]
    assert set(closed) == {"local-file-system/0", "local-file-system/1"}


def test_the_default_store_is_the_block_of_the_settings_then_of_the_server_then_the_local_path(tmp_path):
    from prefect.settings import PREFECT_DEFAULT_RESULT_STORAGE_BLOCK, PREFECT_LOCAL_STORAGE_PATH, temporary_settings

    blocks = [StorageBlock(n, f"local-file-system/{n}", {"basepath": f"/{n}"}) for n in ("one", "two")]
    for server_block, setting, root in (
        ("one", "local-file-system/two", "/two"),
        ("one", None, "/one"),
        (None, None, None),
    ):
        updates = {PREFECT_DEFAULT_RESULT_STORAGE_BLOCK: setting, PREFECT_LOCAL_STORAGE_PATH: tmp_path / "storage"}
        with temporary_settings(updates=updates):
            client = Storage(server_block).client
            found, _ = open_stores(client, [Named("default")], {b.id: b for b in blocks})
        assert found[0].store.root == (root or str(tmp_path / "storage"))


class Storage(Server):
    """Answers what the server's default result storage is."""

    def __init__(self, block_id) -> None:
        super().__init__()
        self.block_id = block_id

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"default_result_storage_block_id": self.block_id})
