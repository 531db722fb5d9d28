"""The placement flow against real servers: what is on them, what it reports, how its runs end."""

import functools
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.settings import PREFECT_API_URL, temporary_settings
from support.placement_estate import PlacementEstate
from support.prefect_server import running

from blocks.policies.placement import PlacementPolicy
from flows.verify_placement import verify_placement
from rules.findings import Severity, Status
from rules.reports import Report

SECRET = ["security:high"]


@pytest.fixture
def estate(prefect_api):
    return PlacementEstate(prefect_api.url)


def policy_for(estate, *pools, constraint=None, **fields):
    """A policy that governs what carries the estate's own tag, and requires ``security=high`` of it."""
    constraint = {
        "name": "high-security-flows",
        "deployments": {"tags": ["security:high"], "names": [f"{estate.name('nightly')}/*"]},
        "require": "security=high",
        "mode": "enforce",
        **(constraint or {}),
    }
    return PlacementPolicy(
        version=1, name=f"placement-{estate.suffix}", pools=list(pools), constraints=[constraint], **fields
    )


def high(estate, stem="high", **fields):
    return {"name": estate.name(stem), "labels": {"security": "high"}, **fields}


def standard(estate, stem="standard", **fields):
    return {"name": estate.name(stem), "labels": {"security": "standard"}, **fields}


def report_of(policy, mode="audit"):
    """Run the flow for real; return its final state and its report."""
    state = verify_placement(policy, mode=mode, return_state=True)
    result = state.result(raise_on_failure=False)
    report = result if isinstance(result, Report) else result.report
    return state, report


def found(report, rule, status=Status.FAIL):
    return [f for f in report.findings if f.rule == rule and f.status is status]


def test_a_deployment_in_a_fitting_pool_passes_and_the_run_completes(estate):
    pool = estate.pool("high")
    estate.deployment("books", "high", SECRET)

    state, report = report_of(policy_for(estate, high(estate, id=pool["id"], accepts="security=high")))

    assert state.is_completed(), report.findings
    assert state.name == "Completed"
    assert {f.rule for f in report.findings if f.status is Status.PASS} >= {
        "pool-id-changed",
        "pool-mismatch",
        "pool-refuses",
        "pool-takes-no-runs",
    }


def test_a_deployment_in_the_wrong_pool_fails_the_run_and_names_the_pool_that_fits(estate):
    high_id, standard_id = estate.pool("high")["id"], estate.pool("standard")["id"]
    estate.deployment("books", "standard", SECRET)

    state, report = report_of(policy_for(estate, high(estate, id=high_id), standard(estate, id=standard_id)))

    (mismatch,) = found(report, "pool-mismatch")
    assert state.name == "Failed"
    assert state.message == report.verdict
    assert mismatch.severity is Severity.HIGH
    assert mismatch.subject.name == f"{estate.name('nightly')}/{estate.name('books')}"
    assert "label security is `standard`, not `high`" in mismatch.message
    assert f"It would fit {estate.name('high')}." in mismatch.message


def test_the_report_is_an_artifact_that_names_the_deployment(estate):
    estate.pool("standard")
    estate.deployment("books", "standard", SECRET)

    report_of(policy_for(estate, standard(estate)))

    body = {"artifacts": {"key": {"like_": f"vigiles-verify-placement-placement-{estate.suffix}%"}}}
    rows = {row["key"]: row["data"] for row in estate.post("/artifacts/filter", body)}
    assert set(rows) == {
        f"vigiles-verify-placement-placement-{estate.suffix}",
        f"vigiles-verify-placement-placement-{estate.suffix}-findings",
    }
    assert all(estate.name("books") in data for data in rows.values())


def test_a_run_stays_on_the_old_pool_when_its_deployment_moves_and_is_reported(estate):
    estate.pool("high")
    estate.pool("standard")
    deployment = estate.deployment("books", "standard", SECRET)
    left, ahead = estate.run(deployment), estate.run(deployment, due=timedelta(days=3))
    estate.move(deployment, "high")
    moved = estate.run(deployment)

    _, report = report_of(policy_for(estate, high(estate), standard(estate)))

    assert found(report, "pool-mismatch") == []
    assert {f.subject.id for f in found(report, "run-misplaced")} == {left, ahead}
    assert moved not in {f.subject.id for f in report.findings}


def test_a_run_that_names_another_queue_is_held_against_that_queue(estate):
    estate.pool("shared")
    deployment = estate.deployment("books", "shared", SECRET, queue="secure")
    body = {"state": {"type": "SCHEDULED"}, "work_queue_name": "elsewhere"}
    run = estate.post(f"/deployments/{deployment}/create_flow_run", body)["id"]
    queues = [{"name": "secure", "labels": {"security": "high"}}]

    _, report = report_of(policy_for(estate, {"name": estate.name("shared"), "queues": queues}))

    assert [f.subject.id for f in found(report, "run-misplaced")] == [run]
    assert [f.subject.name for f in found(report, "queue-undeclared")] == [f"{estate.name('shared')}/elsewhere"]
    assert len(found(report, "queue-no-boundary")) == 1


def test_a_pool_made_anew_under_its_name_is_critical_and_its_deployments_fail(estate):
    old = estate.pool("high")
    estate.delete(f"/work_pools/{estate.name('high')}")
    estate.pool("high")
    estate.deployment("books", "high", SECRET)

    _, report = report_of(policy_for(estate, high(estate, id=old["id"])))

    assert [f.severity for f in found(report, "pool-id-changed")] == [Severity.CRITICAL]
    assert "its id differs" in found(report, "pool-mismatch")[0].message


def test_a_pool_refuses_a_deployment_without_the_tag_that_no_constraint_governs(estate):
    estate.pool("high")
    estate.deployment("toy", "high")

    _, report = report_of(policy_for(estate, high(estate, accepts="security=high")))

    (refused,) = found(report, "pool-refuses")
    assert "label security is missing" in refused.message


def test_a_run_of_no_deployment_in_an_accepting_pool_is_reported(estate):
    estate.pool("high")
    flow = estate.post("/flows/", {"name": estate.name("nightly")})["id"]
    body = {"flow_id": flow, "state": {"type": "SCHEDULED"}, "work_pool_name": estate.name("high")}
    run = estate.post("/flow_runs/", body)["id"]

    _, report = report_of(policy_for(estate, high(estate, accepts="security=high")))

    assert [f.subject.id for f in found(report, "run-without-deployment")] == [run]


def test_a_served_deployment_has_no_place_and_fails(estate):
    estate.deployment("books", None, SECRET)

    _, report = report_of(policy_for(estate, high(estate)))

    assert len(found(report, "deployment-unmanaged")) == 1
    assert len(found(report, "pool-missing")) == 1


def test_a_pool_without_a_worker_cannot_take_the_runs_that_wait(estate):
    estate.pool("high", live=False)
    estate.run(estate.deployment("books", "high", SECRET))

    _, report = report_of(policy_for(estate, high(estate)))

    (halted,) = found(report, "pool-takes-no-runs")
    assert "No worker was ever heard of." in halted.message
    assert "1 run should have begun already" in halted.message


def test_a_paused_pool_with_a_live_worker_is_explained(estate):
    estate.pool("high", is_paused=True)
    estate.deployment("books", "high", SECRET)

    _, report = report_of(policy_for(estate, high(estate)))

    assert "is paused" in found(report, "pool-takes-no-runs")[0].message


def test_an_open_template_is_a_finding_until_it_is_pinned(estate):
    open_pool = {"variables": {"type": "object", "properties": {"command": {"type": "string"}, "image": {}}}}
    pinned = {"variables": {"type": "object", "properties": {"image": {}}, "additionalProperties": False}}
    estate.pool("high", base_job_template={**open_pool, "job_configuration": {"command": "{{ command }}"}})
    policy = policy_for(estate, high(estate, overridable=["image"]))

    _, before = report_of(policy)
    body = {"base_job_template": {**pinned, "job_configuration": {"command": None}}}
    estate.patch(f"/work_pools/{estate.name('high')}", body)
    _, after = report_of(policy)

    assert "command" in found(before, "pool-overridable")[0].message
    assert found(after, "pool-overridable") == []


def test_an_exception_of_its_owner_excuses_a_mismatch(estate):
    estate.pool("high")
    estate.pool("standard")
    estate.deployment("books", "standard", SECRET)
    excused = {
        "rule": "pool-mismatch",
        "subject": f"{estate.name('nightly')}/*",
        "owner": "platform",
        "reason": "moves in March",
        "expires": "2999-01-01",
    }

    state, report = report_of(policy_for(estate, high(estate), standard(estate), exceptions=[excused]))

    assert state.is_completed()
    assert "Accepted by platform" in found(report, "pool-mismatch", Status.SKIPPED)[0].message


def test_a_constraint_that_warns_ends_no_run(estate):
    estate.pool("standard")
    estate.deployment("books", "standard", SECRET)

    state, report = report_of(policy_for(estate, standard(estate), constraint={"mode": "warn"}))

    assert state.is_completed()
    assert found(report, "pool-mismatch")[0].severity is Severity.LOW


def test_enforce_mode_says_that_it_has_nothing_to_enforce_with(estate):
    estate.pool("high")
    estate.deployment("books", "high", SECRET)

    state, report = report_of(policy_for(estate, high(estate)), mode="enforce")

    (said,) = found(report, "enforce-not-available", Status.SKIPPED)
    assert said.severity is Severity.INFO
    assert state.is_completed()
    assert report.changes == ()


def test_audit_and_enforce_write_nothing_into_the_estate(estate):
    estate.pool("high")
    estate.pool("standard")
    deployment = estate.deployment("books", "standard", SECRET)
    run = estate.run(deployment, due=timedelta(hours=1))  # a late run is marked so by the server itself
    addresses = [f"/deployments/{deployment}", f"/flow_runs/{run}", f"/work_pools/{estate.name('high')}"]

    before = [estate.send("GET", address)["updated"] for address in addresses]
    report_of(policy_for(estate, high(estate), standard(estate)), mode="enforce")

    assert [estate.send("GET", address)["updated"] for address in addresses] == before


class OneListFails(httpx.HTTPTransport):
    """Carries every request to the real server, but answers 500 for one list."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def handle_request(self, request):
        if request.url.path.endswith(self.path):
            return httpx.Response(500, request=request)
        return super().handle_request(request)


@pytest.mark.parametrize(
    ("path", "unseen", "still_found"),
    [
        ("/work_pools/filter", "work pools", "pool-mismatch"),
        ("/deployments/filter", "deployments", "pool-missing"),
        ("/flow_runs/filter", "waiting runs", "pool-mismatch"),
    ],
)
def test_a_list_that_cannot_be_read_is_one_error_and_the_rest_is_still_found(
    estate, monkeypatch, path, unseen, still_found
):
    estate.pool("standard")
    estate.deployment("books", "standard", SECRET)
    settings = {"transport": OneListFails(path)}
    client = functools.partial(SyncPrefectClient, estate.url, httpx_settings=settings)
    monkeypatch.setattr("flows.verify_placement.get_client", lambda sync_client: client())

    state, report = report_of(policy_for(estate, high(estate), standard(estate)))

    assert [f.subject.name for f in found(report, "placement-unseen", Status.ERROR)] == [unseen]
    assert found(report, still_found)
    assert state.message.startswith("Unchecked")


@pytest.fixture(scope="module")
def own_server(tmp_path_factory, migrated_database):
    """A server of this module's own: what is done to it would stop the tests of others."""
    with running(tmp_path_factory.mktemp("own") / "server", migrated_database) as server:
        yield server


@pytest.fixture
def own_estate(own_server):
    with temporary_settings(updates={PREFECT_API_URL: own_server.url}):
        yield PlacementEstate(own_server.url)


def test_a_poisoned_run_hides_nothing_else_and_ends_the_run_unchecked(own_estate):
    own_estate.pool("high")
    own_estate.pool("standard")
    deployment = own_estate.deployment("books", "standard", SECRET)
    runs = [own_estate.run(deployment) for _ in range(5)]
    own_estate.move(deployment, "high")
    own_estate.poison(runs[2])

    state, report = report_of(policy_for(own_estate, high(own_estate), standard(own_estate)))

    (unseen,) = found(report, "placement-unseen", Status.ERROR)
    assert unseen.subject.id == runs[2]
    assert {f.subject.id for f in found(report, "run-misplaced")} == set(runs) - {runs[2]}
    assert state.name == "Failed"
    assert state.message.startswith("Unchecked")
    own_estate.delete(f"/flow_runs/{runs[2]}")


def test_the_remedies_for_a_poisoned_run_work(own_estate):
    own_estate.pool("high")
    deployment = own_estate.deployment("books", "high", SECRET)
    mended, deleted = own_estate.run(deployment), own_estate.run(deployment)
    own_estate.poison(mended)
    own_estate.poison(deleted)
    policy = policy_for(own_estate, high(own_estate))

    _, before = report_of(policy)
    own_estate.patch(f"/flow_runs/{mended}/labels", {"note": "a text"})
    own_estate.delete(f"/flow_runs/{deleted}")
    _, after = report_of(policy)

    assert len(found(before, "placement-unseen", Status.ERROR)) == 2
    assert found(after, "placement-unseen", Status.ERROR) == []


def test_the_example_policy_loads_and_its_estate_can_be_verified(own_estate):
    import yaml

    document = yaml.safe_load((Path(__file__).parents[2] / "policies" / "placement.yaml").read_text())
    document.pop("kind")
    for name in ("high-security", "standard"):
        own_estate.post("/work_pools/", {"name": name, "type": "process"})

    _, report = report_of(PlacementPolicy(**document))

    assert {f.subject.name for f in found(report, "pool-unbound")} == {"high-security", "standard"}
