from datetime import date

import pytest
from support.retention_facts import DAY, EVERY, NOW, Held, Keep, Meant, Wish, live, ran, task_of

from rules.retention.observed import Class
from rules.retention.standings import judge_runs, matches, nanoseconds, nanoseconds_of, oldest_live_start


def standing(run, *others, policy=None):
    runs = {each.id: each for each in (run, *others)}
    return judge_runs(runs, policy or Wish(), NOW)[run.id]


@pytest.mark.parametrize("state", [None, "SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING"])
def test_a_run_is_live_until_its_state_is_terminal(state):
    assert standing(ran(state=state)).verdict is Class.LIVE


@pytest.mark.parametrize("state", ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"])
def test_a_terminal_run_is_judged_by_its_age(state):
    assert standing(ran(state=state)).verdict is Class.EXPIRED


@pytest.mark.parametrize(("retries", "run_count", "verdict"), [(2, 2, "live"), (2, 3, "expired"), (0, 0, "expired")])
def test_a_failed_run_with_retries_left_is_live(retries, run_count, verdict):
    assert standing(ran(state="FAILED", retries=retries, run_count=run_count)).verdict == verdict


def test_a_failed_task_run_of_an_ended_flow_run_is_not_retried():
    task = task_of("run", state="FAILED", retries=3, run_count=1)
    assert standing(task, ran()).verdict is Class.EXPIRED


def test_a_failed_background_task_with_retries_left_is_live():
    assert standing(task_of(None, state="FAILED", retries=3, run_count=1)).verdict is Class.LIVE


def test_a_live_run_keeps_what_it_owns_however_deep():
    child, task = ran("child", owner="live"), task_of("child")
    assert standing(task, child, live()).verdict is Class.LIVE


def test_runs_that_own_each_other_are_still_judged():
    first, second = live("a", owner="b"), ran("b", owner="a")
    assert standing(second, first).verdict is Class.LIVE


def test_a_hold_reaches_down_and_wins_over_life():
    child = live("child", owner="run")
    policy = Wish(holds=(Held(match=Meant(flows=("books",))),))
    found = standing(child, ran("run", flow="books"), policy=policy)
    assert (found.verdict, found.reason) == (Class.HELD, "held by finance until 2027-01-01: audit")


def test_a_task_run_is_held_by_its_own_tags():
    policy = Wish(holds=(Held(match=Meant(tags=("evidence",))),))
    task = task_of("run", tags=frozenset({"evidence"}))
    assert standing(task, ran(), policy=policy).verdict is Class.HELD


@pytest.mark.parametrize(("expires", "verdict"), [(NOW.date(), "held"), (NOW.date() - DAY, "expired")])
def test_a_hold_lasts_until_the_end_of_its_last_day(expires, verdict):
    assert standing(ran(), policy=Wish(holds=(Held(expires=expires),))).verdict == verdict


def test_a_hold_by_deployment_holds_runs_whose_deployment_was_deleted():
    policy = Wish(holds=(Held(match=Meant(deployments=("books/*",)), expires=date(2999, 1, 1)),))
    assert standing(ran(deployment=None), policy=policy).verdict is Class.HELD


def test_a_task_run_stands_as_its_flow_run():
    policy = Wish(rules=(Keep(match=Meant(tags=("short",))),))
    task = task_of("run", tags=frozenset({"short"}))
    assert standing(task, ran(), policy=policy).verdict is Class.UNKNOWN
    assert standing(task_of("run"), ran(tags=frozenset({"short"})), policy=policy).verdict is Class.EXPIRED


def test_a_task_run_whose_flow_run_is_not_found_is_unknown():
    assert standing(task_of("nowhere")).verdict is Class.UNKNOWN


def test_a_run_that_no_rule_matches_is_unknown():
    assert standing(ran(), policy=Wish(rules=(Keep(match=Meant(flows=("other",))),))).verdict is Class.UNKNOWN


def test_a_terminal_run_without_an_end_is_unknown():
    assert standing(ran(ended=None)).verdict is Class.UNKNOWN


def test_the_longest_period_of_all_rules_that_match_wins():
    policy = Wish(rules=(Keep("long", results=30 * DAY), Keep("short", results=DAY, artifacts=9 * DAY)))
    found = standing(ran(), policy=policy)
    assert (found.results_ns, found.artifacts) == (nanoseconds_of(30 * DAY), 9 * DAY)
    assert found.reason == "long keeps results 30d"


def test_a_rule_that_says_nothing_of_results_gives_them_no_period():
    found = standing(ran(), policy=Wish(rules=(Keep(results=None, artifacts=DAY),)))
    assert (found.results_ns, found.artifacts, found.reason) == (None, DAY, "")


def test_a_rule_that_may_match_only_ever_lengthens():
    perhaps = Keep("perhaps", match=Meant(deployments=("a/b",)), results=90 * DAY)
    assert standing(ran(deployment=None), policy=Wish(rules=(perhaps, Keep()))).results_ns == nanoseconds_of(90 * DAY)
    assert standing(ran(deployment=None), policy=Wish(rules=(perhaps,))).verdict is Class.UNKNOWN


def test_unless_takes_runs_out_of_a_rule():
    broad = Keep("broad", unless=Meant(tags=("pii",)), results=90 * DAY)
    narrow = Keep("narrow", match=Meant(tags=("pii",)), results=DAY)
    assert standing(ran(tags=frozenset({"pii"})), policy=Wish(rules=(broad, narrow))).results_ns == nanoseconds_of(DAY)
    assert standing(ran(), policy=Wish(rules=(broad, narrow))).results_ns == nanoseconds_of(90 * DAY)


def test_unless_that_cannot_be_told_does_not_take_out():
    broad = Keep("broad", unless=Meant(deployments=("a/b",)), results=90 * DAY)
    assert standing(ran(deployment=None), policy=Wish(rules=(broad, Keep()))).results_ns == nanoseconds_of(90 * DAY)


def test_the_last_runs_of_each_flow_keep_everything():
    runs = {r.id: r for r in (ran(str(i), ago=i * 10 * DAY) for i in (1, 2, 3))} | {"other": ran("other", flow="b")}
    found = judge_runs(runs, Wish(rules=(Keep(keep_last=1),)), NOW)
    assert {key for key, s in found.items() if s.verdict is Class.RETAINED} == {"1", "other"}


def test_a_rule_keeps_the_last_only_of_the_runs_that_it_covers():
    policy = Wish(rules=(Keep("last", match=Meant(flows=("b",)), keep_last=1), Keep()))
    assert standing(ran(), policy=policy).verdict is Class.EXPIRED


@pytest.mark.parametrize(
    ("match", "run", "verdict"),
    [
        (EVERY, ran(flow=None), True),
        (Meant(tags=("p*",)), ran(tags=frozenset({"pii"})), True),
        (Meant(tags=("p*",)), ran(), False),
        (Meant(flows=("f?ow", "x")), ran(), True),
        (Meant(flows=("*",)), ran(flow=""), False),
        (Meant(flows=("x",)), ran(flow=None), None),
        (Meant(deployments=("flow/*",)), ran(deployment="flow/prod"), True),
        (Meant(deployments=("flow/*",)), ran(), False),
        (Meant(flows=("x",), deployments=("flow/*",)), ran(deployment=None), False),
        (Meant(flows=("flow",), tags=("pii",)), ran(), False),
    ],
)
def test_every_key_must_fit_and_one_value_of_a_key_is_enough(match, run, verdict):
    assert matches(match, run) is verdict


def test_the_oldest_live_start_ignores_ended_and_unstarted_runs():
    waiting = live("waiting", started=None)
    runs = [ran(ago=90 * DAY), live(started=NOW - DAY), waiting]
    assert oldest_live_start(runs) == NOW - DAY
    assert oldest_live_start([waiting]).year == 9999


def test_nanoseconds_are_exact_to_the_microsecond():
    moment = NOW.replace(microsecond=123_457)
    assert nanoseconds(moment) % 1_000_000_000 == 123_457_000
    assert nanoseconds(moment) // 1_000_000_000 == int(NOW.timestamp())
    assert nanoseconds_of(DAY.resolution) == 1_000


def test_a_bracket_in_a_pattern_is_a_bracket():
    """A hold for ``case [2026]`` has to hold the runs with just that tag."""
    match = Meant(tags=("case [2026]",))

    assert matches(match, ran("r", tags={"case [2026]"})) is True
    assert matches(match, ran("r", tags={"case 2"})) is False
