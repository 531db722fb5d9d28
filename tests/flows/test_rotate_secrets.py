"""The flow on a real Prefect server and a real PostgreSQL server."""

import sqlite3
import time
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from support.rotations import make_estate

import flows.rotate_secrets as rotating_flow
from rules.errors import TemporaryError
from rules.findings import Outcome, Status

pytest_plugins = ["support.postgres"]
pytestmark = [pytest.mark.server, pytest.mark.postgres]


def run(policy, mode="audit", **order):
    from flows.rotate_secrets import rotate_secrets

    state = rotate_secrets(policy, mode, return_state=True, **order)
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
    assert finding.evidence["steps"].startswith("claim, stage, ")
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
    # One slot's old password is proven dead before the new one is current: nothing is left for a second run.
    assert ("forget" in [c.action for c in finished.changes]) == (kind != "single-slot")
    settled = estate.snapshot()
    again = run(policy, "enforce")
    assert again.changes == ()
    assert estate.snapshot() == settled
    if kind != "generated":
        assert estate.consumer_logs_in()
        assert not estate.postgres.accepts(estate.roles[0], f"first-{estate.roles[0]}")


def test_an_audit_tells_what_a_rotation_needs(estate, kind):
    evidence = only(run(estate.policy(estate.secret(kind))), "rotation-due").evidence
    assert f"write on {estate.env.parent} [granted]" in evidence["permissions"]
    assert ("CREATEROLE" in evidence["permissions"]) == (kind != "generated")
    assert evidence["state"] == "never rotated"
    assert "writes a rotation" in evidence["quota"]
    assert "lock" in evidence["fencing"]


def test_a_rotation_is_taken_back_while_the_old_version_works(pair):
    policy = pair.policy(pair.secret("alternating", grace="1h"))
    first = pair.read()
    run(policy, "enforce")
    assert pair.read() != first
    report = run(policy, "enforce", action="roll-back", secrets=["alternating"])
    assert report.status is Status.PASS, [f.message for f in report.findings]
    assert [c.action for c in report.changes] == ["claim", "revert", "promote", "confirm"]
    assert pair.read() == first
    assert pair.consumer_logs_in()


def test_what_is_retired_cannot_be_taken_back(pair):
    policy = pair.policy(pair.secret("alternating"))
    run(policy, "enforce")
    time.sleep(1.1)
    run(policy, "enforce")
    before = pair.read()
    report = run(policy, "enforce", action="roll-back", secrets=["alternating"])
    assert "no rotation that could be rolled back" in only(report, "rotation-incomplete").message
    assert pair.read() == before


def test_an_emergency_does_not_wait_for_window_or_grace(pair):
    closed = f"{(datetime.now(UTC) + timedelta(days=2)):%a} 02:00-03:00 UTC"
    policy = pair.policy(pair.secret("alternating", grace="1h", window=closed))
    first = pair.read()
    report = run(policy, "enforce", action="emergency", secrets=["alternating"])
    assert report.status is Status.PASS, [f.message for f in report.findings]
    assert [c.action for c in report.changes][-2:] == ["retire", "forget"]
    assert pair.consumer_logs_in()
    assert not pair.postgres.accepts(first["DB_USER"], first["DB_PASSWORD"])


def test_an_order_that_does_not_fit_the_policy_touches_nothing(pair):
    before = pair.snapshot()
    report = run(pair.policy(pair.secret("alternating")), "enforce", action="emergency")
    assert only(report, "order-fits").status is Status.ERROR
    assert pair.snapshot() == before


@pytest.fixture
def generated(prefect_api, postgres, tmp_path):
    return make_estate(postgres, tmp_path / "estate", "generated")


@pytest.fixture
def pair(prefect_api, postgres, tmp_path):
    return make_estate(postgres, tmp_path / "estate", "alternating")


def changed(report):
    return {(c.subject.name, c.outcome) for c in report.changes}


@pytest.mark.parametrize("mode", ["audit", "enforce"])
def test_more_changes_than_allowed_change_nothing(generated, mode):
    many = [generated.secret("generated", name=f"s{n}", key=f"KEY_{n}") for n in range(3)]
    before = generated.snapshot()
    report = run(generated.policy(*many, max_changes=2), mode)
    assert generated.snapshot() == before
    finding = only(report, "too-many-changes")
    assert (finding.status, report.status) == (Status.ERROR, Status.ERROR)
    assert {c.outcome for c in report.changes} == {Outcome.SKIPPED if mode == "enforce" else Outcome.PLANNED}


def test_one_failing_secret_does_not_stop_the_others(pair):
    broken = pair.secret("generated", name="broken", store="env-file-store/no-such-block")
    twice = pair.secret("generated", name="twice", key="TWICE")
    pair.env.write_text(pair.env.read_text() + "TWICE=1\nTWICE=2\n")
    report = run(pair.policy(broken, twice, pair.secret("alternating")), "enforce")
    errors = {f.subject.name: f.message for f in report.findings if f.status is Status.ERROR}
    assert "cannot be loaded" in errors["broken"]
    assert "more than once" in errors["twice"]
    assert {name for name, _ in changed(report)} == {"alternating"}
    assert pair.consumer_logs_in()


def test_a_target_that_is_away_is_an_error_and_changes_nothing(pair):
    from blocks.rotation_targets.postgres_role import PostgresRole

    away = PostgresRole.load(f"pg-{pair.id}")
    away.port = 1
    away.save(f"pg-{pair.id}", overwrite=True)
    before = pair.snapshot()
    report = run(pair.policy(pair.secret("alternating")), "enforce")
    assert only(report, "target-unchecked").status is Status.ERROR
    assert pair.snapshot() == before


def test_a_target_that_is_no_target_is_an_error(pair):
    report = run(pair.policy(pair.secret("alternating", target=pair.store)))
    assert "is no rotation target" in only(report, "store-unreadable").message
    report = run(pair.policy(pair.secret("alternating", store=pair.target)))
    assert "is no secret store" in only(report, "store-unreadable").message


def test_two_roles_need_the_name_of_the_account(pair):
    report = run(pair.policy(pair.secret("alternating") | {"key": "DB_PASSWORD", "keys": None}))
    assert "Give the secret `keys`" in only(report, "target-unchecked").remedy


def test_a_current_value_that_does_not_work_is_quarantined(pair):
    pair.env.write_text(pair.env.read_text().replace("first-", "wrong-"))
    before = pair.snapshot()
    report = run(pair.policy(pair.secret("alternating")), "enforce")
    assert only(report, "rotation-quarantined").failed
    assert pair.snapshot() == before


def test_a_role_that_takes_any_password_is_an_error(pair, postgres):
    from blocks.rotation_targets.postgres_role import PostgresRole

    target = PostgresRole.load(f"pg-{pair.id}")
    target.roles = ["trusted"]
    target.save(f"pg-{pair.id}", overwrite=True)
    report = run(pair.policy(pair.secret("single-slot")), "enforce")
    assert "with any password" in only(report, "target-unchecked").message


def test_a_value_that_was_changed_outside_is_reported_and_kept(generated):
    policy = generated.policy(generated.secret("generated", grace="1h"))
    run(policy, "enforce")
    text = generated.env.read_text().replace(generated.read()["API_TOKEN"], "by-hand")
    generated.env.write_text(text)
    report = run(policy, "enforce")
    assert only(report, "secret-changed-outside").failed
    assert generated.read()["API_TOKEN"] == "by-hand"


def test_outside_its_window_a_secret_waits(generated):
    closed = f"{(datetime.now(UTC) + timedelta(days=2)):%a} 02:00-03:00 UTC"
    report = run(generated.policy(generated.secret("generated", window=closed)), "enforce")
    assert (only(report, "rotation-due").status, report.changes) == (Status.SKIPPED, ())


def test_while_another_run_holds_the_slot_nothing_is_done(generated, monkeypatch):
    def taken(*_):
        raise TemporaryError("Waited 180 s for run swift-fox.", "Wait.")

    monkeypatch.setattr(rotating_flow, "exclusive", taken)
    before = generated.snapshot()
    report = run(generated.policy(generated.secret("generated")), "enforce")
    assert only(report, "another-run-active").status is Status.ERROR
    assert generated.snapshot() == before


def texts_of_the_server(server):
    with sqlite3.connect(f"file:{server.database}?mode=ro", uri=True) as database:
        yield "\n".join(database.iterdump())
    yield server.log.read_text(errors="replace")


@pytest.mark.parametrize("broken", [False, True])
def test_no_value_gets_out(pair, server, postgres, caplog, capfd, broken):
    if broken:
        pair.env.write_text(pair.env.read_text().replace("first-", "wrong-value-"))
    old = pair.read()["DB_PASSWORD"]
    run(pair.policy(pair.secret("alternating")), "enforce")
    time.sleep(3)
    values = {old, pair.read()["DB_PASSWORD"]}
    assert len(values) == (1 if broken else 2)
    said = [*texts_of_the_server(server), caplog.text, *capfd.readouterr(), (Path(postgres.folder) / "log").read_text()]
    for value in values:
        forms = {value, quote(value), b64encode(value.encode()).decode(), value.encode().hex()}
        assert not [form for form in forms for text in said if form in text]
    assert any(pair.id in text for text in said), "the positive control: the run did leave its traces"
