import pytest
from support.retention_facts import (
    DAY,
    HOUR,
    NOW,
    Facts,
    Held,
    Keep,
    Meant,
    Wish,
    condemned,
    live,
    one,
    points,
    ran,
    stored,
    task_of,
)

from rules.retention.observed import Artifact, Metadata

TASK = [task_of("run"), ran()]
FOREVER = Metadata("object", None)


def task_result(**changes) -> Facts:
    facts = Facts(runs=list(TASK), references={"object": [points("task", cacheable=True)]}, objects=[stored()])
    facts.metadata = {"object": FOREVER}
    for name, value in changes.items():
        setattr(facts, name, value)
    return facts


def orphan(**changes) -> Facts:
    facts = Facts(objects=[stored()], metadata={"object": FOREVER}, exclusive=True)
    for name, value in changes.items():
        setattr(facts, name, value)
    return facts


def classes(plan) -> list[str]:
    return [str(found) for tallies in plan.tallies.values() for found in tallies]


def test_a_result_is_condemned_when_its_run_is_past_its_period():
    assert condemned(one(ran(ago=8 * DAY)).plan()) == {"object": "expired"}
    assert condemned(one(ran(ago=6 * DAY)).plan()) == {}


def test_age_is_counted_from_the_later_of_end_and_writing():
    facts = one(ran(ago=30 * DAY))
    facts.objects = [stored(ago=6 * DAY)]
    assert classes(facts.plan()) == ["retained"]


def test_what_a_live_run_refers_to_is_live():
    assert classes(one(live()).plan()) == ["live"]


def test_a_shared_object_lives_as_long_as_its_longest_reference():
    facts = task_result(runs=[*TASK, task_of("other", "task2"), ran("other", ago=DAY)])
    facts.references["object"].append(points("task2", cacheable=True))
    assert classes(facts.plan()) == ["retained"]


def test_a_run_whose_rules_say_nothing_of_results_keeps_them():
    assert classes(one(ran()).plan(Wish(rules=(Keep(results=None, artifacts=DAY),)))) == ["unknown"]


def test_what_is_younger_than_the_mark_minus_the_grace_is_kept():
    facts = one(ran())
    facts.objects = [stored(ago=HOUR)]
    policy = Wish(rules=(Keep(results=HOUR / 60),))
    assert classes(facts.plan(policy)) == ["retained"]
    facts.objects = [stored(ago=HOUR * 2)]
    assert classes(facts.plan(policy)) == ["expired"]


@pytest.mark.parametrize("key", ["object.lock", "parameters/1", "deep/parameters/1"])
def test_locks_and_parameters_are_never_condemned(key):
    facts = orphan(objects=[stored(key)], metadata={key: FOREVER})
    assert classes(facts.plan()) == ["foreign"]


@pytest.mark.parametrize(
    ("key", "lock"), [("a", "a.lock"), ("a.json", "a.lock"), ("d/a.b", "d/a.lock"), (".a", ".a.lock")]
)
def test_an_object_with_a_lock_beside_it_is_held(key, lock):
    facts = orphan(objects=[stored(key), stored(lock)], metadata={key: FOREVER})
    assert classes(facts.plan()) == ["held", "foreign"]


def test_a_name_that_a_run_refers_to_through_an_unknown_block_is_kept():
    facts = orphan(objects=[stored("deep/object")], unlocated=frozenset({"object"}))
    assert classes(facts.plan()) == ["unknown"]


def test_an_unexpired_cache_is_kept_by_what_the_object_or_a_reference_says():
    later, earlier = NOW + HOUR, NOW - HOUR
    by_object = task_result(metadata={"object": Metadata("object", later)})
    by_reference = task_result(references={"object": [points("task", cacheable=True, expiration=later)]})
    over = task_result(metadata={"object": Metadata("object", earlier)})
    assert classes(by_object.plan()) == ["cached"]
    assert classes(by_reference.plan()) == ["cached"]
    assert classes(over.plan()) == ["expired"]


def test_a_cache_that_never_expires_is_kept_unless_the_policy_says_otherwise():
    assert classes(task_result().plan(Wish(caches="keep"))) == ["cached"]
    assert classes(task_result().plan(Wish(caches="expire"))) == ["expired"]
    assert classes(orphan().plan(Wish(caches="keep"))) == ["cached"]


def test_a_task_result_without_metadata_has_it_in_a_key_storage_and_is_kept():
    assert classes(task_result(metadata={}).plan()) == ["unknown"]


def test_an_object_whose_metadata_could_not_be_read_is_kept():
    from rules.retention.judging import Judge

    facts = one(ran())
    assert Judge(facts.mark, Wish(), NOW).decide([points("run")], None, could_read=False).verdict == "unknown"


def test_orphans_are_condemned_only_in_an_exclusive_store():
    assert condemned(orphan().plan()) == {"object": "orphan"}
    assert classes(orphan(exclusive=False).plan()) == ["unknown"]


def test_orphans_younger_than_the_grace_are_kept():
    assert classes(orphan(objects=[stored(ago=HOUR / 2)]).plan()) == ["unknown"]


def test_orphans_younger_than_the_oldest_live_run_are_kept():
    facts = orphan(runs=[live(started=NOW - 31 * DAY)])
    assert classes(facts.plan()) == ["live"]
    facts.runs = [live(started=NOW - 29 * DAY)]
    assert classes(facts.plan()) == ["orphan"]


def test_orphans_are_kept_while_anything_is_on_hold():
    assert classes(orphan().plan(Wish(holds=(Held(match=Meant(flows=("x",))),)))) == ["held"]


def test_bare_bytes_that_nobody_refers_to_are_foreign():
    assert classes(orphan(metadata={}).plan()) == ["foreign"]


def artifact(run="run", ago=30 * DAY):
    return Artifact("id", "key", run, "then", NOW - ago, 5)


@pytest.mark.parametrize(
    ("made", "keep", "found"),
    [
        (artifact(), 7 * DAY, "expired"),
        (artifact(ago=DAY), 7 * DAY, "retained"),
        (artifact(ago=HOUR / 2), HOUR / 60, "retained"),
        (artifact(run=None), 7 * DAY, "unknown"),
        (artifact(run="gone"), 7 * DAY, "unknown"),
        (artifact(), None, "unknown"),
        (artifact(run="live"), 7 * DAY, "live"),
    ],
)
def test_an_artifact_is_judged_by_its_run_and_its_own_age(made, keep, found):
    facts = Facts(runs=[ran(), live()], artifacts=[made])
    plan = facts.plan(Wish(rules=(Keep(results=DAY, artifacts=keep),)))
    assert [str(c) for c in plan.artifact_counts] == [found]
    assert bool(plan.artifacts) == (found == "expired")


@pytest.mark.parametrize("order", [1, -1])
def test_of_several_reasons_to_keep_an_object_the_strongest_is_named(order):
    fresh, busy = points("fresh"), points("live")
    facts = one(ran("fresh", ago=DAY), live())
    facts.references = {"object": [fresh, busy][::order]}
    assert classes(facts.plan()) == ["live"]
