"""Work pools: there or not, the ones that were meant, what they leave open, and whether a worker lives."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from support.placement_policy import BOTH, HIGH, HIGH_ID, NOW, Queued, Required, Wanted, books, failures, judge, of

from rules.findings import Severity, Status
from rules.placement import Pool, Queue, ScheduledRun, Worker
from rules.placement.liveness import is_live
from rules.placement.pools import open_variables, takes_unknown_variables

POOL = BOTH[0]
NO_CONSTRAINT = Wanted([HIGH], [])


def test_a_pool_of_the_policy_that_the_server_lacks_is_reported():
    finding = of(judge(NO_CONSTRAINT, pools=()), "pool-missing")

    assert finding.status is Status.FAIL
    assert (finding.subject.id, finding.subject.name) == (str(HIGH_ID), "high")


def test_a_pool_of_another_id_is_critical_and_proves_nothing_for_its_deployments():
    findings = judge(Wanted([HIGH]), books(), pools=(replace(POOL, id=str(UUID(int=9))),))

    assert of(findings, "pool-id-changed").severity is Severity.CRITICAL
    assert of(findings, "pool-id-changed").evidence == {"expected": str(HIGH_ID), "found": str(UUID(int=9))}
    assert "its id differs" in of(findings, "pool-mismatch").message


def test_a_pool_that_is_known_by_name_only_is_a_low_finding_that_tells_the_id():
    finding = of(judge(Wanted([replace(HIGH, id=None)], [])), "pool-unbound")

    assert finding.severity is Severity.LOW
    assert str(HIGH_ID) in finding.message


def test_a_queue_that_the_policy_does_not_declare_is_reported_but_not_the_default_one():
    queues = (Queue("q1", "default"), Queue("q2", "secure"), Queue("q3", "made-by-a-run"))
    pool = replace(POOL, queues=queues, default_queue="q1")

    findings = judge(Wanted([replace(HIGH, queues=[Queued("secure"), Queued("gone")])], []), pools=(pool,))

    assert of(findings, "queue-undeclared").subject.name == "high/made-by-a-run"
    assert of(findings, "queue-missing").subject.name == "high/gone"


@pytest.mark.parametrize(
    ("declared", "queues"), [(None, (Queue("q", "any"),)), ([], None)], ids=["none declared", "none read"]
)
def test_queues_are_judged_only_where_they_are_declared_and_were_read(declared, queues):
    findings = judge(Wanted([replace(HIGH, queues=declared)], []), pools=(replace(POOL, queues=queues),))

    assert failures(findings) == []


def template(properties, **more):
    return {"variables": {"type": "object", "properties": properties, **more}}


def test_variables_that_may_not_be_open_are_named():
    pool = replace(POOL, template=template({"image": {}, "env": {}, "command": {}}))

    finding = of(judge(Wanted([replace(HIGH, overridable=["image"])], []), pools=(pool,)), "pool-overridable")

    assert finding.severity is Severity.MEDIUM
    assert finding.message == (
        "The base job template leaves these job variables open to anybody who starts a run: command, env, and takes "
        "job variables that it does not name, as it lacks `additionalProperties: false`."
    )


def test_a_closed_template_with_the_allowed_variables_passes():
    pool = replace(POOL, template=template({"image": {}}, additionalProperties=False))

    finding = of(judge(Wanted([replace(HIGH, overridable=["image"])], []), pools=(pool,)), "pool-overridable")

    assert finding.status is Status.PASS


def test_a_variable_that_has_one_value_only_is_not_open():
    shapes = {"a": {"const": 1}, "b": {"enum": ["x"]}, "c": {"enum": ["x", "y"]}, "d": {}, "e": None}

    assert open_variables(template(shapes)) == ["c", "d", "e"]


@pytest.mark.parametrize("broken", [{}, {"variables": None}, {"variables": {"properties": []}}])
def test_a_template_without_variables_has_none_open_but_takes_any(broken):
    assert open_variables(broken) == []
    assert takes_unknown_variables(broken)


def worker(age, interval=30):
    return Worker("w", NOW - timedelta(seconds=age), timedelta(seconds=interval))


@pytest.mark.parametrize(
    ("age", "interval", "live"),
    [(0, 30, True), (90, 30, True), (91, 30, False), (91, 60, True), (-60, 30, True), (-61, 30, False)],
)
def test_a_worker_is_live_for_three_of_its_intervals(age, interval, live):
    assert is_live(worker(age, interval), NOW) is live


def liveness(*workers, runs=(), **fields):
    pool = replace(POOL, workers=tuple(workers), **fields)
    return of(judge(Wanted([HIGH]), books(), pools=(pool,), runs=runs), "pool-takes-no-runs")


def test_a_pool_with_a_live_worker_passes():
    finding = liveness(worker(5), worker(1000))

    assert finding.status is Status.PASS
    assert finding.message == "1 of 2 workers are live: w."


def test_a_pool_whose_workers_are_silent_says_for_how_long_and_what_waits():
    late = ScheduledRun("r", "r", "id-books", "high", "default", "Late", NOW - timedelta(hours=3))
    ahead = replace(late, id="s", due=NOW + timedelta(hours=1))

    finding = liveness(worker(600), worker(86_400 * 4), runs=(late, ahead, replace(late, id="t", due=None)))

    assert finding.severity is Severity.MEDIUM
    assert finding.message == (
        "No worker is live: the last of 2, w, was heard of 10 minutes ago, and is given 90 seconds. 1 run should have "
        "begun already, the first 3 hours ago."
    )


def test_several_late_runs_are_counted():
    late = [ScheduledRun(str(n), "r", "id-books", "high", "default", "Late", NOW - timedelta(days=n)) for n in (1, 2)]

    assert "2 runs should have begun already, the first 2 days ago." in liveness(worker(600), runs=late).message


@pytest.mark.parametrize("workers", [(), (Worker("w", None),)])
def test_a_pool_of_which_no_worker_was_ever_heard_says_so(workers):
    assert liveness(*workers).message == "No worker was ever heard of."


def test_heartbeats_from_the_future_cannot_be_judged():
    finding = liveness(worker(-600))

    assert finding.status is Status.ERROR
    assert "clocks" in finding.message


def test_one_live_worker_is_enough_where_another_lives_in_the_future():
    assert liveness(worker(-600), worker(5)).status is Status.PASS


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"paused": True}, "The work pool is paused"),
        ({"concurrency_limit": 0}, "The work pool's concurrency limit is 0"),
        ({"queues": (Queue("q", "default", paused=True),)}, "Queue default is paused."),
        ({"queues": (Queue("q", "default", concurrency_limit=0),)}, "Queue default has a concurrency limit of 0."),
    ],
)
def test_what_halts_a_pool_with_a_live_worker_is_explained(fields, reason):
    finding = liveness(worker(5), **fields)

    assert finding.status is Status.FAIL
    assert reason in finding.message


def test_a_halted_queue_that_no_governed_deployment_uses_is_left_alone():
    assert liveness(worker(5), queues=(Queue("q", "other", paused=True),)).status is Status.PASS


def test_a_pool_that_the_cloud_runs_has_no_workers_to_judge_but_can_be_paused():
    assert liveness(type="ecs:push").status is Status.SKIPPED
    assert liveness(type="prefect:managed", paused=True).status is Status.FAIL


def test_a_pool_whose_workers_could_not_be_read_is_left_to_the_gap_but_still_found_paused():
    unread = replace(POOL, workers=None)

    assert of(judge(Wanted([HIGH]), books(), pools=(unread,)), "pool-takes-no-runs") == []
    paused = (replace(unread, paused=True),)
    assert of(judge(Wanted([HIGH]), books(), pools=paused), "pool-takes-no-runs").status is Status.FAIL


def test_a_pool_that_no_governed_deployment_needs_may_stand_still():
    idle = Pool(str(HIGH_ID), "high", workers=())

    assert of(judge(Wanted([HIGH]), books(tags=()), pools=(idle,)), "pool-takes-no-runs") == []


def test_a_pool_in_which_only_a_left_run_waits_is_judged_too():
    left = ScheduledRun("r", "r", "id-books", "standard", "default")
    silent = (POOL, replace(BOTH[1], workers=()))

    findings = judge(Wanted([HIGH], [Required()]), books(), pools=silent, runs=(left,))

    assert [f.subject.name for f in findings if f.rule == "pool-takes-no-runs" and f.status == "fail"] == ["standard"]
