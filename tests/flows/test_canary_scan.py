"""The positive control of the canary scan: a flow that leaks on purpose is caught in every place and every form."""

import base64
import json
import urllib.parse

import pytest
from support.canary import forms, plant, scan, scan_files, search


@pytest.mark.parametrize(
    "written",
    [
        str,
        repr,
        lambda s: urllib.parse.quote(s, safe=""),
        lambda s: json.dumps({"x": s}),
        lambda s: json.dumps(json.dumps({"x": s})),
        lambda s: s.encode().hex(),
        lambda s: base64.b64encode(s.encode()).decode(),
        lambda s: base64.b64encode(b"user:" + s.encode() + b":more").decode(),
        lambda s: base64.b64encode(b"us:" + s.encode() + b"more").decode(),
        lambda s: base64.urlsafe_b64encode(b"user" + s.encode()).decode(),
        lambda s: s[::-1],
        lambda s: s.split("'")[0],
    ],
)
def test_every_form_of_a_secret_is_found(written):
    secret = plant()

    assert search(f"before {written(secret)} after".encode(), "here", [secret])


def test_other_text_is_not_a_leak():
    assert search(plant().encode(), "here", [plant()]) == []


def test_no_form_is_so_short_that_it_would_match_by_chance():
    assert min(len(form) for form in forms(plant()).values()) >= 32


@pytest.fixture(scope="module")
def leaky_run(server, tmp_path_factory):
    """A real flow run that leaks one secret through each of Prefect's surfaces."""
    from prefect import flow, get_run_logger, task
    from prefect.artifacts import create_markdown_artifact
    from prefect.events import emit_event
    from prefect.settings import PREFECT_API_URL, temporary_settings

    secrets = {name: plant(name) for name in ("log", "artifact", "event", "parameter", "state", "result", "task")}
    results = tmp_path_factory.mktemp("results")

    @task(persist_result=True, result_storage_key="leaky-task")
    def leak_task(value):
        return value

    @flow(name="leaky", persist_result=True)
    def leaky(parameter):
        get_run_logger().info("It is %s", secrets["log"])
        create_markdown_artifact(key="leaky", markdown=secrets["artifact"])
        emit_event("leaky", resource={"prefect.resource.id": "leaky"}, payload={"x": secrets["event"]})
        leak_task(secrets["task"])
        raise ValueError(secrets["state"])

    @flow(name="leaky-result", persist_result=True)
    def leaky_result():
        return secrets["result"]

    from prefect.settings import PREFECT_LOCAL_STORAGE_PATH

    with temporary_settings(updates={PREFECT_API_URL: server.url, PREFECT_LOCAL_STORAGE_PATH: results}):
        leaky(secrets["parameter"], return_state=True)
        leaky_result()
    from support.prefect_server import drain

    drain()
    return secrets, results


@pytest.mark.parametrize(
    ("leaked", "place"),
    [
        ("log", "api:logs"),
        ("log", "database:log.message"),
        ("artifact", "api:artifacts"),
        ("event", "database:events.payload"),
        ("parameter", "api:flow runs"),
        ("state", "api:flow runs"),
    ],
)
def test_a_leak_through_prefect_is_found(server, leaky_run, leaked, place):
    secrets, _ = leaky_run

    assert place in {leak.place for leak in scan([secrets[leaked]], server=server)}


@pytest.mark.parametrize("leaked", ["task", "result"])
def test_a_leak_through_a_persisted_result_is_found(leaky_run, leaked):
    secrets, results = leaky_run

    assert scan_files(results, [secrets[leaked]])


def test_a_leak_in_captured_output_is_found(server):
    secret = plant()

    assert scan([secret], server=server, output={"stdout": f"password={secret}"})


def test_a_secret_that_leaked_nowhere_is_not_reported(server, leaky_run):
    assert scan([plant()], server=server, folders=[leaky_run[1]]) == []
