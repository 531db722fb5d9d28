"""Reading the estate for placement: around rows that the server cannot show, and with lists that do not come."""

import json

import httpx
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from support.placement_estate import PlacementEstate

from blocks.estate.bisecting import MOST_HOLES, read_around
from blocks.estate.placement import observe_deployments, observe_inside, observe_pools, observe_waiting_runs
from rules.errors import TemporaryError


class FakeApi:
    """Lists as the server pages them, with the faults a test asks for: the real one cannot be made to have them."""

    def __init__(self, runs=0, poisoned=(), faults=None):
        self.runs = [run_row(n) for n in range(runs)]
        self.poisoned = {str(n) for n in poisoned}
        self.faults = faults or {}
        self.asked = []

    def answer(self, request):
        path = request.url.path.removeprefix("/api")
        if request.method == "GET":
            # The client asks for the server's version and for a CSRF token; an old server has neither.
            return httpx.Response(404)
        self.asked.append(path)
        if path in self.faults:
            return self.faults[path]()
        body = json.loads(request.content)
        page = self.runs[body["offset"] : body["offset"] + body["limit"]]
        if path == "/ui/flow_runs/history":
            return httpx.Response(200, json=[{"id": row["id"]} for row in page])
        if any(row["id"] in self.poisoned for row in page):
            return httpx.Response(500, json={"exception_message": "Internal Server Error"})
        return httpx.Response(200, json=page)

    @property
    def client(self):
        transport = httpx.MockTransport(self.answer)
        return SyncPrefectClient("http://fake.test/api", httpx_settings={"transport": transport})


def run_row(n):
    fields = {"deployment_id": None, "work_pool_name": "high", "work_queue_name": "default", "state_name": "Late"}
    return {"id": str(n), "name": f"run-{n}", **fields, "next_scheduled_start_time": None, "expected_start_time": None}


def broken(status=500, **answer):
    return lambda: httpx.Response(status, **answer)


def hang():
    raise httpx.ReadTimeout("the server said nothing")


def html():
    return httpx.Response(200, html="<h1>Sign in</h1>")


def garbled():
    return httpx.Response(200, json=[{"id": "1"}])


@pytest.fixture(autouse=True)
def without_retries():
    with temporary_settings(updates={PREFECT_CLIENT_MAX_RETRIES: 0}):
        yield


@hypothesis_settings(max_examples=40, deadline=None)
@given(size=st.integers(1, 450), poisoned=st.sets(st.integers(0, 449), max_size=5))
def test_every_row_but_the_poisoned_ones_is_read_and_those_are_named(size, poisoned):
    api = FakeApi(size, poisoned)

    rows, holes = read_around(api.client, "/flow_runs/filter", {}, "/ui/flow_runs/history")

    there = {n for n in poisoned if n < size}
    assert {row["id"] for row in rows} == {str(n) for n in set(range(size)) - there}
    assert {hole.id for hole in holes} == {str(n) for n in there}


def test_one_poisoned_row_costs_few_requests():
    api = FakeApi(200, [77])

    read_around(api.client, "/flow_runs/filter", {})

    assert len(api.asked) < 25


@pytest.mark.parametrize("fault", [broken(404), broken(500), html, broken(200, json=[])])
def test_a_poisoned_row_whose_id_cannot_be_found_is_named_by_its_place(fault):
    api = FakeApi(10, [3], {"/ui/flow_runs/history": fault})

    rows, holes = read_around(api.client, "/flow_runs/filter", {}, "/ui/flow_runs/history")

    assert [(hole.id, hole.offset) for hole in holes] == [(None, 3)]
    assert len(rows) == 9


def test_a_list_in_which_too_much_is_poisoned_counts_as_unreadable():
    api = FakeApi(200, range(MOST_HOLES + 1))

    with pytest.raises(TemporaryError, match="cannot be read"):
        read_around(api.client, "/flow_runs/filter", {})


def test_a_server_that_answers_nothing_well_is_not_bisected():
    api = FakeApi(200, faults={"/flow_runs/filter": broken(500)})

    with pytest.raises(TemporaryError):
        read_around(api.client, "/flow_runs/filter", {})

    assert len(api.asked) == 2


@pytest.mark.parametrize("fault", [broken(500), broken(404), broken(200, json={}), hang, html, garbled])
@pytest.mark.parametrize(
    ("path", "observe"),
    [
        ("/work_pools/filter", observe_pools),
        ("/deployments/filter", observe_deployments),
        ("/work_pools/high/queues/filter", lambda client: observe_inside(client, "high").queues),
        ("/work_pools/high/workers/filter", lambda client: observe_inside(client, "high").workers),
        ("/flow_runs/filter", lambda client: observe_waiting_runs(client, [], ["high"])),
    ],
)
def test_a_list_that_does_not_come_is_one_gap_and_no_crash(path, observe, fault):
    observed = observe(FakeApi(faults={path: fault}).client)

    assert observed.seen is None
    assert len(observed.gaps) == 1
    assert observed.gaps[0].message.startswith(("Prefect's API", "The server's list"))
    assert observed.gaps[0].remedy


@pytest.mark.parametrize("observe", [observe_pools, observe_deployments])
def test_a_list_that_comes_leaves_no_gap(observe):
    """The positive control: the same fake without a fault."""
    observed = observe(FakeApi().client)

    assert (observed.seen, observed.gaps) == ((), ())


def test_the_other_list_of_a_pool_is_still_read():
    inside = observe_inside(FakeApi(faults={"/work_pools/high/workers/filter": broken(500)}).client, "high")

    assert inside.queues.seen == ()
    assert inside.workers.seen is None


def test_a_poisoned_run_that_two_filters_list_is_one_gap():
    api = FakeApi(5, [2])

    observed = observe_waiting_runs(api.client, ["a-deployment"], ["high"])

    assert [gap.subject.id for gap in observed.gaps] == ["2"]
    assert len(observed.seen) == 4


def test_nothing_is_asked_where_no_run_can_matter():
    api = FakeApi(5)

    assert observe_waiting_runs(api.client, [], []).seen == ()
    assert api.asked == []


def test_deployments_are_named_in_batches():
    api = FakeApi(1)

    observe_waiting_runs(api.client, [str(n) for n in range(401)], [])

    assert api.asked == ["/flow_runs/filter"] * 3


@pytest.fixture
def estate(prefect_api):
    return PlacementEstate(prefect_api.url)


@pytest.fixture
def client(prefect_api):
    with get_client(sync_client=True) as client:
        yield client


def test_pools_and_what_is_inside_them_are_read_as_the_server_has_them(estate, client):
    row = estate.pool("high", concurrency_limit=0)

    (pool,) = [p for p in observe_pools(client).seen if p.name == estate.name("high")]
    inside = observe_inside(client, pool.name)
    filled = inside.fill(pool)

    assert (pool.id, pool.type, pool.concurrency_limit, pool.workers) == (row["id"], "process", 0, None)
    assert [queue.id for queue in filled.queues] == [pool.default_queue]
    assert [(w.name, w.interval.seconds) for w in filled.workers] == [("worker-1", 30)]
    assert filled.workers[0].heartbeat.utcoffset().seconds == 0


def test_a_pool_with_a_name_that_an_address_cannot_hold_is_read(estate, client):
    estate.post("/work_pools/", {"name": estate.name("high and dry? #1"), "type": "process"})

    inside = observe_inside(client, estate.name("high and dry? #1"))

    assert len(inside.queues.seen) == 1
    assert inside.workers.seen == ()


def test_deployments_are_read_with_flow_pool_queue_and_tags(estate, client):
    estate.pool("high")
    id_ = estate.deployment("books", "high", ["security:high"], queue="secure")

    (deployment,) = [d for d in observe_deployments(client).seen if d.id == id_]

    assert deployment.full_name == f"{estate.name('nightly')}/{estate.name('books')}"
    assert (deployment.pool, deployment.queue) == (estate.name("high"), "secure")
    assert deployment.tags == ("security:high",)


def test_waiting_runs_are_those_of_the_deployments_and_of_the_pools(estate, client):
    estate.pool("high")
    estate.pool("other")
    first, second, third = (estate.deployment(n, p) for n, p in (("a", "other"), ("b", "high"), ("c", "other")))
    runs = [estate.run(first), estate.run(second)]
    estate.run(third)

    observed = observe_waiting_runs(client, [first], [estate.name("high")])

    assert {run.id for run in observed.seen} == set(runs)
    assert {run.pool for run in observed.seen} == {estate.name("high"), estate.name("other")}
    assert all(run.due is not None for run in observed.seen)


def test_a_run_that_has_ended_does_not_wait(estate, client):
    estate.pool("high")
    deployment = estate.deployment("a", "high")
    pending, cancelled = estate.run(deployment), estate.run(deployment)
    estate.post(f"/flow_runs/{pending}/set_state", {"state": {"type": "PENDING"}})
    estate.post(f"/flow_runs/{cancelled}/set_state", {"state": {"type": "CANCELLED"}})

    observed = observe_waiting_runs(client, [deployment], [])

    assert [(run.id, run.state) for run in observed.seen] == [(pending, "Pending")]
