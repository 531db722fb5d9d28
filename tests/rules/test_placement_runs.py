"""Waiting runs: each stays where it was scheduled, and is judged where it is."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from support.placement_policy import HIGH, STANDARD, Queued, Required, Wanted, books, judge, of

from rules.findings import Severity, Status
from rules.placement import ScheduledRun

POLICY = Wanted([HIGH, STANDARD])


def waiting(pool="standard", queue="default", deployment="id-books", **fields):
    return ScheduledRun("run-1", "calm-owl", deployment, pool, queue if pool else None, **fields)


def test_a_run_left_in_the_old_pool_is_reported_although_its_deployment_is_well_placed():
    findings = judge(POLICY, books(), runs=[waiting(state="Late")])

    finding = of(findings, "run-misplaced")
    assert (finding.severity, finding.status) == (Severity.HIGH, Status.FAIL)
    assert (finding.subject.id, finding.subject.name) == ("run-1", "nightly/books run calm-owl")
    assert finding.message == (
        "The run waits in work pool standard, queue default (state Late), its deployment is in work pool high, queue "
        "default. That breaks constraint high-security-flows. `security=high` does not hold: label security is "
        "`standard`, not `high`."
    )
    assert of(findings, "pool-mismatch").status is Status.PASS


def test_a_run_that_waits_where_its_deployment_is_says_nothing_of_its_own():
    assert of(judge(POLICY, books("standard"), runs=[waiting("standard")]), "run-misplaced") == []


def test_a_run_left_in_a_pool_that_fits_as_well_is_fine():
    policy = Wanted([HIGH, replace(STANDARD, labels={"security": "high"})])

    assert of(judge(policy, books(), runs=[waiting()]), "run-misplaced") == []


def test_a_run_left_in_an_undeclared_pool_is_reported():
    assert "not declared" in of(judge(POLICY, books(), runs=[waiting("other")]), "run-misplaced").message


def test_a_run_that_chose_another_queue_is_held_against_that_queue():
    queued = replace(HIGH, labels={}, queues=[Queued("secure", {"security": "high"})])

    finding = of(judge(Wanted([queued]), books(queue="secure"), runs=[waiting("high", "open")]), "run-misplaced")

    assert "work pool high, queue open" in finding.message


def test_a_run_that_lost_its_pool_is_reported():
    finding = of(judge(POLICY, books(), runs=[waiting(None)]), "run-misplaced")

    assert "any process that serves the flow may take it" in finding.message


def test_a_run_of_an_ungoverned_deployment_may_wait_anywhere():
    assert of(judge(POLICY, books(tags=()), runs=[waiting()]), "run-misplaced") == []


def test_a_run_left_under_a_constraint_that_warns_is_low():
    policy = Wanted([HIGH, STANDARD], [Required(mode="warn")])

    assert of(judge(policy, books(), runs=[waiting()]), "run-misplaced").severity is Severity.LOW


def test_the_gravest_of_several_constraints_decides():
    policy = Wanted([HIGH, STANDARD], [Required("first", mode="warn"), Required("second", mode="audit")])

    assert of(judge(policy, books(), runs=[waiting()]), "run-misplaced").severity is Severity.HIGH


def test_a_run_left_in_a_pool_that_refuses_its_deployment_is_reported():
    policy = Wanted([HIGH, replace(STANDARD, accepts="team=web")], [])

    finding = of(judge(policy, books(), runs=[waiting()]), "run-misplaced")

    assert finding.severity is Severity.HIGH
    assert "accepts only `team=web`" in finding.message


ACCEPTING = Wanted([replace(HIGH, accepts="security=high")], [])


def test_a_run_without_deployment_in_an_accepting_pool_is_reported():
    finding = of(judge(ACCEPTING, runs=[waiting("high", deployment=None)]), "run-without-deployment")

    assert (finding.severity, finding.status) == (Severity.MEDIUM, Status.FAIL)


def test_a_run_of_a_deployment_that_nobody_saw_cannot_be_judged():
    finding = of(judge(ACCEPTING, runs=[waiting("high", deployment="gone")]), "run-without-deployment")

    assert finding.status is Status.ERROR


def test_a_run_without_deployment_in_a_pool_that_takes_any_is_none_of_ours():
    findings = judge(POLICY, runs=[waiting("high", deployment=None), waiting("other", deployment=None)])

    assert of(findings, "run-without-deployment") == []


def test_runs_that_could_not_be_read_leave_the_rest_to_be_judged():
    findings = judge(POLICY, books("standard"), runs=None)

    assert of(findings, "pool-mismatch").status is Status.FAIL


@given(st.sampled_from(["high", "standard", "other", None]), st.sampled_from(["high", "standard", "other", None]))
def test_a_governed_run_is_reported_exactly_where_it_is_neither_well_placed_nor_covered(deployed, waits):
    findings = judge(POLICY, books(deployed), runs=[waiting(waits)])

    assert bool(of(findings, "run-misplaced")) is (waits not in ("high", deployed))
