"""Who may hold a slot, judged from what runs say of themselves."""

from datetime import UTC, datetime, timedelta

import pytest

from rules.exclusion import LABEL_LEASE, LABEL_LIMIT, LABEL_UNTIL, Contender, contender, judge_slot

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PATIENCE = timedelta(seconds=20)


def other(name="b", *, alive=True, lease="", until=60):
    return Contender(name, name, alive, lease, NOW + timedelta(seconds=until))


def judged(*others, unclaimed_since=None, me="a"):
    return judge_slot(others, me, NOW, unclaimed_since, PATIENCE)


def test_a_living_holder_is_waited_for_by_name_and_until_when():
    verdict = judged(other(lease="l1"))
    assert (verdict.release, verdict.reset, verdict.claimed) == ((), False, True)
    assert verdict.waits_for == "run b, leased until 00:01:00 UTC"


def test_the_lease_of_a_run_that_is_over_is_given_back():
    verdict = judged(other(alive=False, lease="l1"))
    assert (verdict.release, verdict.reset) == (("l1",), True)


def test_the_lease_of_a_run_that_no_longer_renews_is_given_back():
    verdict = judged(other(lease="l1", until=-61))
    assert (verdict.release, verdict.reset) == (("l1",), True)


def test_a_clock_that_is_a_little_off_kills_nobody():
    assert judged(other(lease="l1", until=-59)).claimed


def test_a_slot_that_nobody_wants_is_emptied():
    assert judged().reset


def test_a_slot_that_others_wait_for_is_emptied_by_the_eldest_after_a_while():
    long_ago, just_now = NOW - PATIENCE, NOW - PATIENCE / 2
    assert judged(other(), unclaimed_since=long_ago).reset
    assert not judged(other(), unclaimed_since=just_now).reset
    assert not judged(other(), unclaimed_since=None).reset
    assert not judged(other(), unclaimed_since=long_ago, me="c").reset


def row(**changes):
    labels = {LABEL_LIMIT: "vigiles-x-y", LABEL_LEASE: "l1", LABEL_UNTIL: NOW.isoformat()}
    return {
        "id": "1",
        "name": "swift-fox",
        "state_type": "RUNNING",
        "labels": labels | changes.pop("labels", {}),
    } | changes


def test_a_run_says_what_it_holds():
    assert contender(row(), "vigiles-x-y") == Contender("1", "swift-fox", True, "l1", NOW)


@pytest.mark.parametrize("state", ["COMPLETED", "CRASHED", "SCHEDULED", "PENDING", None])
def test_a_run_that_is_not_running_is_not_alive(state):
    assert not contender(row(state_type=state), "vigiles-x-y").alive


@pytest.mark.parametrize("labels", [{LABEL_LIMIT: "other"}, {LABEL_UNTIL: "soon"}])
def test_a_run_of_another_limit_or_without_a_time_is_no_contender(labels):
    assert contender(row(labels=labels), "vigiles-x-y") is None


def test_a_run_without_labels_is_no_contender():
    assert contender({"id": "1", "labels": None}, "vigiles-x-y") is None
