"""End to end: a server, `make deploy`, a process worker started elsewhere, every deployment run from the API."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from dotenv import dotenv_values
from support.canary import scan
from support.postgres import require
from support.prefect_server import running, send, stop

from flows.reporting.rendering import embedded_json

ROOT = Path(__file__).parents[2]
FLOWS = ["rotate-secrets", "verify-placement", "enforce-retention", "report-rbac-drift"]


def make_deploy(server):
    """`make deploy` as a user calls it, in the environment that runs the tests."""
    command = ["make", "--no-print-directory", "-o", "install", "deploy", f"BIN={Path(sys.executable).parent}"]
    # A make that runs the tests hands its own variables down.
    environment = {k: v for k, v in server.environment.items() if not k.startswith(("MAKE", "MFLAGS", "ARGS"))}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def post(server, path, body=None):
    return send(server.url, "POST", path, body or {})


@pytest.fixture(scope="module")
def server(tmp_path_factory, migrated_database):
    with running(tmp_path_factory.mktemp("worker-run"), migrated_database) as started:
        yield started


@pytest.fixture(scope="module")
def estate(server, tmp_path_factory):
    """The blocks that the example policies name, on a real secrets file and a real pair of PostgreSQL roles."""
    require()
    from prefect.filesystems import LocalFileSystem
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from blocks.access_directories.prefect_server import PrefectServerDirectory
    from flows.demo import postgres
    from flows.demo.secrets import create_secrets

    folder = tmp_path_factory.mktemp("estate")
    (folder / "results").mkdir()
    with postgres.running() as database, temporary_settings(updates={PREFECT_API_URL: server.url}):
        LocalFileSystem(basepath=str(folder / "results")).save("results")
        PrefectServerDirectory(api_url=server.url, database=str(server.database)).save("self-hosted")
        yield create_secrets(folder, database)


@pytest.fixture(scope="module")
def refused(server, estate):
    """What `make deploy` says while the work pool is missing, and what it left on the server then."""
    done = make_deploy(server)
    return done, post(server, "/deployments/filter"), post(server, "/block_documents/filter")


@pytest.fixture(scope="module")
def deployed(server, refused):
    for name in ("high-security", "standard"):
        post(server, "/work_pools/", {"name": name, "type": "process", "base_job_template": template()})
    done = make_deploy(server)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def template():
    from prefect.workers.process import ProcessWorker

    return ProcessWorker.get_default_base_job_template()


@pytest.fixture(scope="module")
def worker(server, deployed, tmp_path_factory):
    """A process worker in a directory that has nothing to do with the project."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "high-security", "--name", "watch"]
    with (elsewhere / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=elsewhere, env=server.environment, stdout=log, stderr=log, start_new_session=True
        )
    yield elsewhere / "worker.log"
    stop(process.pid)


def run_deployment(server, flow, parameters=None):
    found = post(server, "/deployments/filter", {"flows": {"name": {"any_": [flow]}}})
    return post(server, f"/deployments/{found[0]['id']}/create_flow_run", {"parameters": parameters or {}})["id"]


def wait_for(server, runs):
    """Return the runs once all have ended."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        rows = post(server, "/flow_runs/filter", {"flow_runs": {"id": {"any_": list(runs)}}})
        if all(row["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") for row in rows):
            return {row["id"]: row for row in rows}
        time.sleep(1)
    raise AssertionError(f"runs did not end: {[(r['name'], r['state_name']) for r in rows]}")


@pytest.fixture(scope="module")
def audited(server, worker):
    """The final run of each flow, run by the worker with the parameters that the deployment has."""
    runs = {flow: run_deployment(server, flow) for flow in FLOWS}
    ended = wait_for(server, runs.values())
    return {flow: ended[run] for flow, run in runs.items()}


def report(server, flow):
    body = {"artifacts": {"key": {"any_": [f"vigiles-{flow}-production"]}}, "sort": "CREATED_DESC"}
    return embedded_json(post(server, "/artifacts/filter", body)[0]["data"])


def test_a_missing_work_pool_is_found_before_anything_is_changed(refused):
    done, deployments, documents = refused

    assert done.returncode == 2
    assert "the work pool high-security does not exist" in done.stderr
    assert "Traceback" not in done.stderr
    assert deployments == []
    assert documents
    assert not [row for row in documents if row["block_type"]["slug"].endswith("-policy")]


def test_deploying_names_what_it_did(deployed):
    for flow in FLOWS:
        assert f"deployed {flow}/production: mode audit, its schedule is switched off" in deployed.stdout


def test_the_policy_is_preselected_and_the_schedule_inactive(server, deployed):
    for row in post(server, "/deployments/filter"):
        assert list(row["parameters"]["policy"]["$ref"]) == ["block_document_id"]
        assert [schedule["active"] for schedule in row["schedules"]] == [False]
        assert (row["pull_steps"] or [], row["tags"]) == ([], ["vigiles", "security:high"])
        assert row["description"]


def switch(server, flow, active):
    row = post(server, "/deployments/filter", {"flows": {"name": {"any_": [flow]}}})[0]
    send(server.url, "PATCH", f"/deployments/{row['id']}/schedules/{row['schedules'][0]['id']}", {"active": active})


def switched(server):
    """Return by flow whether its schedule is on and whether its policy is pre-selected."""
    flows = {row["id"]: row["name"] for row in post(server, "/flows/filter")}
    return {
        flows[row["flow_id"]]: (row["schedules"][0]["active"], list(row["parameters"]["policy"]["$ref"]))
        for row in post(server, "/deployments/filter")
    }


def test_deploying_again_keeps_a_schedule_that_was_switched_on(server, audited):
    switch(server, "report-rbac-drift", active=True)

    done = make_deploy(server)

    assert done.returncode == 0, done.stderr
    assert "unchanged access-policy/production" in done.stdout
    assert "deployed report-rbac-drift/production: mode audit, scheduled (daily)" in done.stdout
    assert [name for name, (active, _) in switched(server).items() if active] == ["report-rbac-drift"]


def test_a_deploy_that_fails_halfway_switches_nothing_off_and_keeps_the_policies_selected(server, audited, tmp_path):
    """The third deployment is refused by Prefect alone: nothing that is checked beforehand is wrong with it."""
    document = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    document["deployments"][2]["concurrency_limit"] = -1
    (tmp_path / "prefect.yaml").write_text(json.dumps(document))
    switch(server, "rotate-secrets", active=True)
    command = [str(Path(sys.executable).parent / "vigiles"), "deploy", "--policies", str(ROOT / "policies")]

    done = subprocess.run(command, cwd=tmp_path, env=server.environment, capture_output=True, text=True, check=False)

    assert done.returncode == 3, done.stdout + done.stderr
    assert "Prefect's own deploy command failed" in done.stderr
    assert "Traceback" not in done.stderr
    found = switched(server)
    assert found["rotate-secrets"][0] is True
    assert {tuple(reference) for _, reference in found.values()} == {("block_document_id",)}
    switch(server, "rotate-secrets", active=False)


@pytest.mark.parametrize(
    ("flow", "verdict"),
    [
        ("rotate-secrets", "Failed: 2 findings failed"),
        ("verify-placement", "Passed: "),
        ("enforce-retention", "Passed: "),
        ("report-rbac-drift", "Failed: "),
    ],
)
def test_each_deployment_ends_in_the_right_state_with_its_verdict(audited, worker, flow, verdict):
    run = audited[flow]

    assert run["state"]["message"].startswith(verdict), worker.read_text()[-3000:]
    assert run["state_type"] == run["state"]["type"] == ("COMPLETED" if verdict == "Passed: " else "FAILED")
    assert run["state_name"] == ("Completed" if verdict == "Passed: " else "Failed")


@pytest.mark.parametrize("flow", FLOWS)
def test_each_run_leaves_its_report_as_json_in_its_artifact(server, audited, flow):
    document = report(server, flow)

    assert set(document) == {
        "flow", "policy", "mode", "started", "finished", "status", "summary", "findings", "changes"
    }  # fmt: skip
    assert (document["flow"], document["mode"]) == (flow, "audit")
    assert document["summary"] == {
        status: sum(f["status"] == status for f in document["findings"])
        for status in ("pass", "fail", "skipped", "error")
    }


@pytest.mark.parametrize("flow", FLOWS)
def test_each_run_leaves_tables_with_identical_columns(server, audited, flow):
    keys = [f"vigiles-{flow}-production-findings", f"vigiles-{flow}-production-changes"]
    rows = post(server, "/artifacts/filter", {"artifacts": {"key": {"any_": keys}}})

    assert rows
    for row in rows:
        assert len({tuple(line) for line in json.loads(row["data"])}) == 1


@pytest.mark.parametrize("flow", FLOWS)
def test_each_run_emits_one_digest_event(server, audited, flow):
    body = {"filter": {"event": {"name": [f"vigiles.{flow}.report"]}}}
    events = post(server, "/events/filter", body)["events"]

    assert len([e for e in events if e["payload"]["mode"] == "audit"]) == 1
    assert events[0]["payload"]["verdict"] == audited[flow]["state"]["message"]


@pytest.mark.parametrize("flow", FLOWS)
def test_the_log_of_a_run_shows_its_verdict(server, audited, flow):
    body = {"logs": {"flow_run_id": {"any_": [audited[flow]["id"]]}}, "sort": "TIMESTAMP_ASC", "limit": 200}
    messages = [row["message"] for row in post(server, "/logs/filter", body)]

    assert messages[-1] == audited[flow]["state"]["message"] or messages[-1].startswith("Finished in state Completed")
    assert not [m for m in messages if "Traceback" in m], "\n".join(messages)


def test_an_enforce_run_on_the_worker_rotates_and_leaks_nothing(server, audited, worker, estate):
    before = dotenv_values(estate)
    run = run_deployment(server, "rotate-secrets", {"mode": "enforce"})
    ended = wait_for(server, [run])[run]
    after = dotenv_values(estate)

    assert ended["state_type"] == "COMPLETED", ended["state"]["message"]
    assert after["API_TOKEN"] != before["API_TOKEN"]
    assert after["WAREHOUSE_USER"] != before["WAREHOUSE_USER"]
    assert after["LOG_LEVEL"] == before["LOG_LEVEL"]
    secrets = [d[key] for d in (before, after) for key in ("API_TOKEN", "WAREHOUSE_PASSWORD")]
    output = {"worker log": worker.read_bytes()}
    assert scan(secrets, server=server, output=output, folders=[worker.parent]) == []
