"""``enforce_retention`` on a real server, against results that real flows persisted."""

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from support import failing_proxy, prefect_server
from support.retention_estate import (
    Estate,
    deleted,
    in_background,
    new_estate,
    rows,
    run,
    statuses,
    wait_for,
    wait_until_recorded,
)


@pytest.fixture(scope="module")
def workspace(
    tmp_path_factory: pytest.TempPathFactory, migrated_database: Path
) -> Iterator[prefect_server.PrefectServer]:
    """A server of our own: retention reads the whole workspace, and other tests write to the shared one."""
    with prefect_server.running(tmp_path_factory.mktemp("retention"), migrated_database) as started:
        yield started


@pytest.fixture
def estate(workspace, tmp_path) -> Iterator[Estate]:
    from prefect.settings import PREFECT_API_URL, PREFECT_LOCAL_STORAGE_PATH, temporary_settings

    updates = {PREFECT_API_URL: workspace.url, PREFECT_LOCAL_STORAGE_PATH: tmp_path / "storage"}
    with temporary_settings(updates=updates):
        yield new_estate(tmp_path)


def flow_with_a_task(estate: Estate, **options):
    """Return a flow that persists its own result and that of one task, which counts its executions."""
    from prefect import flow, task

    body = options.pop("body", lambda: None)
    task_options = options.pop("task", {})

    @task(persist_result=True, result_storage=estate.block, **task_options)
    def work(number: int) -> int:
        estate.executions.append(str(number))
        return number

    @flow(persist_result=True, result_storage=estate.block, name=f"flow-{estate.root.name}", **options)
    def parent(number: int = 1) -> int:
        result = work(number)
        body()
        return result

    return parent


def test_results_past_their_retention_are_deleted(estate):
    flow_with_a_task(estate)()
    estate.age()
    assert len(estate.files()) == 2
    report = run(estate.policy())
    assert estate.files() == set()
    assert len(deleted(report)) == 2
    assert statuses(report)["results-past-retention"] == "pass"
    assert report.exit_code == 0


def test_audit_lists_everything_and_deletes_nothing(estate):
    flow_with_a_task(estate)()
    estate.age()
    before = estate.files()
    report = run(estate.policy(), "audit")
    assert estate.files() == before
    assert {c.subject.name.partition(":")[2] for c in report.changes} == before
    assert {c.outcome.value for c in report.changes} == {"planned"}
    plan = next(f for f in report.findings if f.rule == "retention-plan")
    assert len(plan.evidence["digest"]) == 64
    assert report.exit_code == 1


def test_results_inside_their_retention_survive(estate):
    flow_with_a_task(estate)()
    estate.age()
    before = estate.files()
    rules = [{"name": "everything", "match": {"all": True}, "results": "60d"}]
    report = run(estate.exclusive(rules=rules))
    assert estate.files() == before
    assert not report.changes


def test_the_plan_is_the_same_in_audit_and_in_the_next_audit(estate):
    flow_with_a_task(estate)()
    estate.age()
    digests = {
        next(f.evidence["digest"] for f in run(estate.policy(), "audit").findings if f.rule == "retention-plan")
        for _ in range(2)
    }
    assert len(digests) == 1


def test_a_second_run_finds_nothing_left_to_delete(estate):
    flow_with_a_task(estate)()
    estate.age()
    run(estate.exclusive())
    report = run(estate.exclusive())
    assert not report.changes
    assert report.exit_code == 0


def test_a_run_that_awaits_its_retry_still_finds_the_results_of_its_tasks(estate):
    attempts = []

    def fail_once() -> None:
        attempts.append("tried")
        if len(attempts) == 1:
            raise RuntimeError("the first attempt fails")

    retried = flow_with_a_task(estate, body=fail_once, retries=1, retry_delay_seconds=12)
    with in_background(retried) as results:
        name = f"flow-{estate.root.name}"
        wait_for(lambda: any(r["state_name"] == "AwaitingRetry" for r in of_flow(name)))
        estate.age()
        report = run(estate.exclusive())
    assert not report.changes
    assert results == [1]
    assert estate.executions == ["1"]


def test_a_paused_run_still_finds_the_results_of_its_tasks(estate):
    from prefect import pause_flow_run
    from prefect.client.orchestration import get_client

    paused = flow_with_a_task(estate, body=lambda: pause_flow_run(timeout=60, poll_interval=1))
    with in_background(paused) as results:
        wait_for(lambda: any(r["state_type"] == "PAUSED" for r in of_flow(paused.name)))
        estate.age()
        report = run(estate.exclusive())
        with get_client(sync_client=True) as client:
            client.resume_flow_run(of_flow(paused.name)[0]["id"])
    assert not report.changes
    assert results == [1]


def suspended_run(estate):
    """Return a client, a flow and the id of its run, which suspended itself after its task had finished."""
    from prefect import suspend_flow_run
    from prefect.client.orchestration import get_client
    from prefect.exceptions import Pause
    from prefect.flow_engine import run_flow

    suspended = flow_with_a_task(estate, body=lambda: suspend_flow_run(timeout=600))
    client = get_client(sync_client=True)
    deployment = client.create_deployment(flow_id=client.create_flow(suspended), name="here")
    flow_run = client.create_flow_run_from_deployment(deployment)
    with suppress(Pause):
        run_flow(suspended, flow_run=flow_run, return_type="state")
    assert client.read_flow_run(flow_run.id).state.is_paused()
    return client, suspended, flow_run.id


def resume(client, suspended, run_id):
    from prefect.flow_engine import run_flow

    client.resume_flow_run(run_id)
    return run_flow(suspended, flow_run=client.read_flow_run(run_id), return_type="state")


def test_a_suspended_run_resumes_without_running_its_finished_tasks_again(estate):
    waiting = suspended_run(estate)
    estate.age()
    report = run(estate.exclusive())
    assert not report.changes
    assert resume(*waiting).is_completed()
    assert estate.executions == ["1"]


def test_the_positive_control_of_resuming_deleted_results_make_the_task_run_again(estate):
    waiting = suspended_run(estate)
    for name in estate.files():
        (estate.root / name).unlink()
    resume(*waiting)
    assert estate.executions == ["1", "1"]


def test_an_object_that_several_runs_share_lives_as_long_as_the_longest_of_them(estate):
    from prefect.cache_policies import INPUTS

    shared = flow_with_a_task(estate, task={"cache_policy": INPUTS})
    shared.with_options(name="short-lived")()
    shared.with_options(name="long-lived")()
    estate.age()
    rules = [
        {"name": "short", "match": {"flows": ["short-lived"]}, "results": "1s"},
        {"name": "long", "match": {"flows": ["long-lived"]}, "results": "60d"},
    ]
    report = run(estate.policy(rules=rules))
    assert len(deleted(report)) == 1
    assert estate.executions == ["1"]
    shared()
    assert estate.executions == ["1"]


def test_a_valid_cache_survives_and_an_expired_one_goes(estate):
    from prefect.cache_policies import INPUTS

    caches = {"cache_policy": INPUTS, "cache_expiration": timedelta(hours=1)}
    flow_with_a_task(estate, task=caches)(1)
    caches["cache_expiration"] = timedelta(seconds=1)
    flow_with_a_task(estate, task=caches)(2)
    estate.age()
    report = run(estate.exclusive(caches="keep"))
    assert statuses(report)["never-expiring-caches"] == "skipped"
    assert len(estate.files()) == 1
    flow_with_a_task(estate, task=caches)(1)
    assert estate.executions == ["1", "2"]


def test_a_cache_that_never_expires_is_kept_unless_the_policy_says_otherwise(estate):
    from prefect.cache_policies import INPUTS

    flow_with_a_task(estate, task={"cache_policy": INPUTS})()
    estate.age()
    run(estate.exclusive(caches="keep"))
    assert len(estate.files()) == 1
    run(estate.exclusive(caches="expire"))
    assert estate.files() == set()


def test_orphans_go_only_from_an_exclusive_store(estate):
    from prefect.client.orchestration import get_client

    parent = flow_with_a_task(estate)
    parent()
    estate.age()
    with get_client(sync_client=True) as client:
        client.request("DELETE", f"/flow_runs/{of_flow(parent.name)[0]['id']}")
    run(estate.policy())
    assert len(estate.files()) == 2
    report = run(estate.exclusive())
    assert [c.reason.partition(",")[0] for c in report.changes] == ["orphan"]
    # What is left is the flow's result: bare bytes that nobody refers to any more cannot be told from another's file.
    assert len(estate.files()) == 1


def test_a_hold_wins_over_every_rule(estate):
    parent = flow_with_a_task(estate)
    parent()
    estate.age()
    hold = {"match": {"flows": [parent.name]}, "owner": "finance", "reason": "audit", "expires": "2999-01-01"}
    report = run(estate.exclusive(holds=[hold]))
    assert len(estate.files()) == 2
    assert not report.changes


def test_the_last_runs_of_each_flow_are_kept(estate):
    parent = flow_with_a_task(estate)
    for number in range(3):
        parent(number)
    estate.age()
    rules = [{"name": "last", "match": {"flows": [parent.name]}, "results": "1s", "keep_last": 1}]
    run(estate.policy(rules=rules))
    assert len(estate.files()) == 2


def test_the_results_of_subflows_of_a_live_run_survive(estate):
    from prefect import flow, pause_flow_run

    child = flow_with_a_task(estate)

    @flow(name=f"caller-{estate.root.name}")
    def caller() -> None:
        child()
        pause_flow_run(timeout=20, poll_interval=1)

    from prefect.client.orchestration import get_client

    with in_background(caller):
        wait_for(lambda: any(r["state_type"] == "PAUSED" for r in of_flow(caller.name)))
        estate.age()
        report = run(estate.exclusive())
        with get_client(sync_client=True) as client:
            client.resume_flow_run(of_flow(caller.name)[0]["id"])
    assert not report.changes
    assert len(estate.files()) == 2


def test_an_exceeded_ceiling_deletes_nothing_and_is_an_error(estate):
    flow_with_a_task(estate)()
    estate.age()
    for limits in ({"objects": 1, "percent": 100}, {"objects": 100, "percent": 99}):
        report = run(estate.policy(limits=limits))
        assert statuses(report)["retention-ceiling"] == "error"
        assert report.exit_code == 3
    assert len(estate.files()) == 2


@pytest.mark.parametrize("listed", ["flow_runs", "task_runs", "artifacts", "flows", "deployments", "block_documents"])
def test_if_a_list_of_the_api_fails_nothing_is_deleted_and_the_report_says_so(estate, workspace, listed):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    flow_with_a_task(estate)()
    estate.age()
    with (
        failing_proxy.before(workspace.url, f"/{listed}/filter") as url,
        temporary_settings(updates={PREFECT_API_URL: url}),
    ):
        report = run(estate.exclusive())
    assert len(estate.files()) == 2
    assert statuses(report)["retention-mark"] == "error"
    assert f"/{listed}/filter" in next(f.message for f in report.findings if f.rule == "retention-mark")


def test_if_the_second_mark_fails_nothing_is_deleted(estate, workspace):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    flow_with_a_task(estate)()
    estate.age()
    with (
        failing_proxy.before(workspace.url, "/flows/filter", number=2) as url,
        temporary_settings(updates={PREFECT_API_URL: url}),
    ):
        report = run(estate.exclusive())
    assert len(estate.files()) == 2
    assert statuses(report)["retention-mark"] == "error"


def test_a_store_that_cannot_be_listed_deletes_nothing_anywhere(estate, tmp_path):
    other = new_estate(tmp_path)
    flow_with_a_task(estate)()
    flow_with_a_task(other)()
    estate.age()
    other.root.rename(tmp_path / "moved")
    report = run(estate.policy(stores=[{"block": estate.slug}, {"block": other.slug}]))
    assert len(estate.files()) == 2
    assert statuses(report)["retention-mark"] == "error"


def test_a_batch_that_fails_blocks_no_other_and_is_reported(estate, monkeypatch):
    from blocks.result_stores.local_disk import LocalDiskStore
    from flows.retention import acting

    class Breaking(LocalDiskStore):
        def delete(self, objects):
            if any(listed.key == broken for listed in objects):
                raise RuntimeError("this batch breaks")
            return super().delete(objects)

    flow_with_a_task(estate)()
    estate.age()
    broken = min(estate.files())
    monkeypatch.setattr(acting, "OBJECT_BATCH", 1)
    monkeypatch.setattr("blocks.result_stores.opening.LocalDiskStore", Breaking)
    report = run(estate.policy())
    assert estate.files() == {broken}
    assert sorted(c.outcome.value for c in report.changes) == ["done", "failed"]
    assert statuses(report)["results-past-retention"] == "fail"
    assert report.exit_code == 3


def test_a_cache_that_a_run_begins_to_use_after_the_plan_was_made_is_spared(estate, monkeypatch):
    from prefect.cache_policies import INPUTS

    from flows.retention import acting

    def mark_again_late(policy, workspace, **options):
        cached()
        wait_until_recorded()
        return original(policy, workspace, **options)

    cached = flow_with_a_task(estate, task={"cache_policy": INPUTS})
    cached()
    estate.age()
    original = acting.mark_again
    monkeypatch.setattr(acting, "mark_again", mark_again_late)
    report = run(estate.policy())
    assert sorted(c.outcome.value for c in report.changes) == ["done", "skipped"]
    cached()
    assert estate.executions == ["1"]


def test_a_result_that_is_rewritten_after_it_was_listed_survives(estate, monkeypatch):
    from flows.retention import acting

    def mark_again_late(policy, workspace, **options):
        for name in estate.files():
            (estate.root / name).write_bytes(b"refreshed")
        return original(policy, workspace, **options)

    flow_with_a_task(estate)()
    estate.age()
    original = acting.mark_again
    monkeypatch.setattr(acting, "mark_again", mark_again_late)
    report = run(estate.policy())
    assert len(estate.files()) == 2
    assert {c.outcome.value for c in report.changes} == {"skipped"}


def test_two_enforcing_runs_of_a_policy_do_not_act_at_once(estate):
    from flows.exclusion import limit_name

    flow_with_a_task(estate)()
    estate.age()
    policy = estate.policy()
    run(policy)
    limits = rows("/v2/concurrency_limits/filter")
    assert limit_name("enforce-retention", policy.name) in {limit["name"] for limit in limits}


def test_typed_artifacts_go_and_the_untyped_ones_keep_the_results_of_flows(estate, workspace):
    from prefect.artifacts import create_markdown_artifact

    key = f"notes-{estate.root.name}"
    parent = flow_with_a_task(estate, body=lambda: create_markdown_artifact(key=key, markdown="x"))
    parent()
    estate.age()
    flow_run = of_flow(parent.name)[0]["id"]
    rules = [{"name": "notes", "match": {"flows": [parent.name]}, "artifacts": "1s", "results": "60d"}]
    report = run(estate.policy(rules=rules, grace="1m"))
    assert not report.changes
    with sqlite3.connect(workspace.database) as database:
        database.execute("UPDATE artifact SET created = '2026-01-01', updated = '2026-01-01'")
    report = run(estate.policy(rules=rules))
    assert [c.subject.kind for c in report.changes] == ["artifact"]
    assert not rows("/artifacts/filter", {"artifacts": {"key": {"any_": [key]}}})
    with_data = rows("/flow_runs/filter", {"flow_runs": {"id": {"any_": [flow_run]}}})[0]["state"]["data"]
    assert with_data["storage_key"]


def test_a_result_that_is_missing_from_a_retained_run_is_reported(estate):
    flow_with_a_task(estate)()
    wait_until_recorded()
    for name in estate.files():
        (estate.root / name).unlink()
    rules = [{"name": "everything", "match": {"all": True}, "results": "60d"}]
    assert statuses(run(estate.policy(rules=rules), "audit"))["retained-result-missing"] == "fail"


def test_the_default_store_is_the_local_storage_path(estate, tmp_path):
    from prefect import flow

    @flow(persist_result=True, name=f"default-{estate.root.name}")
    def at_home() -> int:
        return 1

    at_home()
    storage = Estate(tmp_path / "storage", estate.block, estate.slug)
    storage.age()
    assert len(storage.files()) == 1
    run(estate.policy(stores=[{"block": "default"}]))
    assert storage.files() == set()


def test_a_default_store_of_an_unsupported_type_is_an_error(estate):
    from prefect.blocks.system import Secret
    from prefect.settings import PREFECT_DEFAULT_RESULT_STORAGE_BLOCK, temporary_settings

    Secret(value="x").save(f"no-store-{estate.root.name}")
    with temporary_settings(updates={PREFECT_DEFAULT_RESULT_STORAGE_BLOCK: f"secret/no-store-{estate.root.name}"}):
        report = run(estate.policy(stores=[{"block": "default"}]), "audit")
    assert statuses(report)["retention-store"] == "error"


def test_results_in_a_directory_that_is_no_store_are_an_error(estate, tmp_path):
    from prefect import flow

    @flow(persist_result=True, name=f"elsewhere-{estate.root.name}")
    def at_home() -> int:
        return 1

    at_home()
    report = run(estate.policy(), "audit")
    named = {f.subject.name for f in report.findings if f.rule == "result-out-of-reach"}
    assert str(tmp_path / "storage") in named


def test_a_policy_that_prunes_runs_says_that_this_is_not_enforced(estate):
    rules = [{"name": "everything", "match": {"all": True}, "results": "60d", "runs": "90d"}]
    assert statuses(run(estate.policy(rules=rules), "audit"))["runs-not-pruned"] == "skipped"


def of_flow(name: str):
    return rows("/flow_runs/filter", {"flows": {"name": {"any_": [name]}}})
