"""The flow on a real Prefect server and a real PostgreSQL server."""

import time

import pytest
from support.rotations import make_estate

from rules.findings import Outcome, Status

pytest_plugins = ["support.postgres"]
pytestmark = [pytest.mark.server, pytest.mark.postgres]


def run(policy, mode="audit"):
    from flows.rotate_secrets import rotate_secrets

    state = rotate_secrets(policy, mode, return_state=True)
    result = state.result(raise_on_failure=False)
    return getattr(result, "report", result)


@pytest.fixture(params=["generated", "alternating", "single-slot"])
def kind(request):
    return request.param


@pytest.fixture
def estate(prefect_api, postgres, tmp_path, kind):
    return make_estate(postgres, tmp_path / "estate", kind)


def only(report, rule):
    (finding,) = [f for f in report.findings if f.rule == rule]
    return finding


def test_an_audit_shows_the_plan_and_writes_nothing(estate, kind):
    before = estate.snapshot()
    report = run(estate.policy(estate.secret(kind)))
    assert estate.snapshot() == before
    finding = only(report, "rotation-due")
    assert finding.status is Status.FAIL
    assert "never rotated" in finding.message
    assert finding.evidence["steps"].startswith("claim, stage, verify")
    assert finding.evidence["downtime"] == ("bounded window" if kind == "single-slot" else "none")
    assert {c.outcome for c in report.changes} == {Outcome.PLANNED}


def test_enforcing_converges_and_a_second_run_does_nothing(estate, kind):
    policy = estate.policy(estate.secret(kind))
    first = estate.read()
    report = run(policy, "enforce")
    assert report.status is Status.PASS, [f.message for f in report.findings]
    assert estate.read()["OTHER"] == "keep me"
    assert estate.read() != first
    time.sleep(1.1)
    finished = run(policy, "enforce")
    assert "forget" in [c.action for c in finished.changes]
    settled = estate.snapshot()
    again = run(policy, "enforce")
    assert again.changes == ()
    assert estate.snapshot() == settled
    if kind != "generated":
        assert estate.consumer_logs_in()
        assert not estate.postgres.accepts(estate.roles[0], f"first-{estate.roles[0]}")
