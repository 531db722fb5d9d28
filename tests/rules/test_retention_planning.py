from dataclasses import replace

import pytest
from support.retention_facts import (
    DAY,
    EVERY,
    HOUR,
    NOW,
    AtMost,
    Facts,
    Held,
    Keep,
    Wish,
    condemned,
    live,
    one,
    points,
    ran,
    stored,
)

from rules.errors import TemporaryError
from rules.findings import Outcome
from rules.retention import verdicts
from rules.retention.observed import Artifact, Metadata
from rules.retention.planning import later_mark, still_condemned

ARTIFACT = Artifact("id", "notes", "run", "then", NOW - 9 * DAY, 5)
BOTH = Wish(rules=(Keep(artifacts=DAY),))


def expired(count: int = 1, **changes) -> Facts:
    keys = [f"object-{number}" for number in range(count)]
    objects = [stored(key) for key in keys]
    return Facts(runs=[ran()], references={key: [points("run")] for key in keys}, objects=objects, **changes)


def by_rule(findings):
    return {finding.rule: finding for finding in findings}


def test_the_digest_changes_with_anything_that_is_condemned_and_with_nothing_else():
    digests = {expired(2).plan().digest, expired(1).plan().digest, expired(2, artifacts=[ARTIFACT]).plan(BOTH).digest}
    assert len(digests) == 3
    more = expired(2)
    more.objects.append(stored("foreign", ago=DAY))
    assert more.plan().digest in digests


def test_the_digest_does_not_depend_on_the_order_of_listing():
    facts = expired(3)
    facts.objects.reverse()
    assert facts.plan().digest == expired(3).plan().digest


def test_names_that_are_no_text_have_a_digest():
    facts = orphans("caf\udce9\n")
    assert len(facts.plan().digest) == 64


def orphans(*keys: str) -> Facts:
    metadata = {key: Metadata(key, None) for key in keys}
    return Facts(objects=[stored(key) for key in keys], metadata=metadata, exclusive=True)


def test_a_plan_counts_what_is_kept_and_what_goes_with_bytes():
    facts = expired(2)
    facts.objects.append(stored("other", size=7))
    plan = facts.plan()
    assert plan.bytes == 200
    assert {str(k): tuple(v) for k, v in plan.tallies["store"].items()} == {"expired": (2, 200), "unknown": (1, 7)}


def test_references_to_what_is_not_there_are_told_apart_by_their_run():
    facts = one(ran(), live(), ran("fresh", ago=DAY))
    facts.objects = []
    facts.references = {"a": [points("run")], "b": [points("live")], "c": [points("fresh")]}
    assert [str(m.standing) for m in facts.plan().missing] == ["expired", "live", "retained"]
    found = by_rule(verdicts.missing_results(facts.plan().missing))
    assert found["live-result-missing"].failed
    assert not found["retained-result-missing"].failed
    assert len(found) == 2


def test_what_a_run_began_to_refer_to_is_not_condemned_any_more():
    facts = expired(2)
    plan = facts.plan()
    since = Facts(runs=[live()], references={"object-0": [points("live")]}).mark
    assert condemned(left_of(plan, facts, since)) == {"object-1": "expired"}


def left_of(plan, facts, since, policy=None):
    heads = {"store": {o.key: facts.metadata.get(o.key) for o in facts.objects}}
    return still_condemned(plan, facts.mark, since, policy or Wish(), NOW, heads)


def test_a_reference_that_was_known_before_is_no_news():
    facts = expired(1)
    assert left_of(facts.plan(), facts, facts.mark) == facts.plan()


def test_a_name_that_is_now_referred_to_from_nowhere_is_not_condemned_any_more():
    facts = expired(1)
    assert not left_of(facts.plan(), facts, Facts(unlocated=frozenset({"object-0"})).mark).objects


def test_what_a_run_that_came_back_to_life_owns_is_not_condemned_any_more():
    facts = expired(2)
    facts.runs.append(ran("other", owner="caller"))
    facts.runs.append(ran("caller"))
    facts.references["object-0"] = [points("other")]
    since = Facts(runs=[live("caller")]).mark
    assert condemned(left_of(facts.plan(), facts, since)) == {"object-1": "expired"}


def test_orphans_that_a_run_that_came_back_to_life_may_have_left_are_not_condemned_any_more():
    facts = orphans("a")
    facts.runs = [ran(ago=40 * DAY)]
    since = Facts(runs=[live("run", started=NOW - 40 * DAY)]).mark
    assert condemned(facts.plan())
    assert not left_of(facts.plan(), facts, since).objects


def test_what_nobody_referred_to_may_gain_a_reference_or_stay_an_orphan():
    facts = orphans("a", "b")
    since = Facts(runs=[ran("new", ago=HOUR)], references={"a": [points("new")]}).mark
    assert condemned(left_of(facts.plan(), facts, since)) == {"b": "orphan"}


def test_an_artifact_of_a_run_that_came_back_to_life_is_not_condemned_any_more():
    facts = Facts(runs=[ran()], artifacts=[ARTIFACT])
    plan = facts.plan(BOTH)
    assert plan.artifacts
    assert not left_of(plan, facts, Facts(runs=[live("run")]).mark, BOTH).artifacts


def test_a_later_mark_adds_references_up():
    first, later = expired(1).mark, Facts(references={"object-0": [points("live")], "new": [points("live")]}).mark
    assert later_mark(first, later).references["store"] == {
        "object-0": (points("run"), points("live")),
        "new": (points("live"),),
    }
    assert later_mark(Facts().mark, replace(first, references={"x": {}})).references["x"] == {}


def test_a_later_mark_keeps_the_owner_that_it_could_not_see():
    first = Facts(runs=[ran("child", owner="live"), live()]).mark
    later = later_mark(first, Facts(runs=[ran("child")]).mark)
    assert later.runs["child"].owner == "live"
    assert later_mark(first, Facts(runs=[ran("child", owner="run")]).mark).runs["child"].owner == "run"


@pytest.mark.parametrize(
    ("limits", "exceeded"),
    [
        (AtMost(2, 100), ["3 objects and artifacts are more than 2"]),
        (AtMost(3, 100), []),
        (AtMost(3, 66), ["2 of 3 objects are more than 66 percent", "1 of 1 artifacts are more than 66 percent"]),
    ],
)
def test_exceeding_a_limit_is_an_error_that_says_which(limits, exceeded):
    facts = expired(2, artifacts=[ARTIFACT])
    facts.objects += [stored("other"), stored("x.lock")]
    policy = Wish(rules=(Keep(artifacts=DAY),), limits=limits)
    found = verdicts.exceeded_limits(facts.plan(policy), policy)
    assert bool(found) == bool(exceeded)
    assert all(part in found[0].message for part in exceeded)


def test_every_condemned_thing_is_a_change_with_class_age_and_bytes():
    plan = expired(1, artifacts=[ARTIFACT]).plan(BOTH)
    result, artifact = verdicts.planned_changes(plan, NOW, Outcome.PLANNED)
    assert result.reason == "expired, 30 days old, 100 bytes: everything keeps results 1w."
    assert artifact.reason == "expired, 9 days old, 5 characters: its rules keep artifacts 1d."
    assert (result.subject.id, artifact.subject.name) == ("store:object-0", "notes")


def test_what_is_left_past_its_retention_fails_and_what_was_deleted_passes():
    plan = expired(2, artifacts=[ARTIFACT]).plan(BOTH)
    assert [f.failed for f in verdicts.past_retention(plan, plan)] == [True, True]
    nothing = expired(0).plan(BOTH)
    deleted = verdicts.past_retention(plan, nothing)
    assert [f.status.value for f in deleted] == ["pass", "pass"]
    assert deleted[0].message == "No results are past their retention, 2 were deleted."
    assert verdicts.past_retention(nothing, nothing)[0].message == "No results are past their retention."


def test_the_plan_finding_carries_digest_counts_and_bytes():
    plan = expired(2, artifacts=[ARTIFACT]).plan(BOTH)
    found = verdicts.plan_finding(plan, BOTH)
    assert found.evidence["digest"] == plan.digest
    assert found.evidence["store expired"] == "2 objects, 200 bytes"
    assert found.evidence["artifacts expired"] == "1"


def test_places_outside_every_store_matter_only_if_the_policy_speaks_of_results():
    mark = replace(Facts().mark, elsewhere={"/home/x": 3, "s3-bucket/other": 2})
    found = by_rule(verdicts.out_of_reach(mark, Wish()))
    assert found["result-out-of-reach"].status == "error"
    assert found["store-undeclared"].status == "fail"
    assert not verdicts.out_of_reach(mark, Wish(rules=(Keep(results=None, artifacts=DAY),)))


def test_kept_caches_are_said():
    facts = one(ran(), metadata={"object": Metadata("object", None)})
    policy = Wish(caches="keep")
    assert verdicts.caches_kept(facts.plan(policy), policy)[0].status == "skipped"
    assert not verdicts.caches_kept(facts.plan(), Wish())


def test_expired_holds_and_rules_that_are_not_enforced_are_said():
    policy = Wish(rules=(Keep(runs=DAY), Keep("b")), holds=(Held(expires=NOW.date() - DAY), Held(match=EVERY)))
    assert [f.rule for f in verdicts.declared_but_idle(policy, NOW.date())] == ["hold-expired", "runs-not-pruned"]


def test_what_is_still_there_after_deletion_is_an_error_with_examples():
    found = verdicts.recount({"store": [f"key-{number}" for number in range(7)], "other": []})
    assert [f.status.value for f in found] == ["error"]
    assert "key-4 and 2 more" in found[0].message


def test_what_could_not_be_read_is_an_error_that_says_what_failed():
    error = TemporaryError("The API is away.", "Look at it.")
    assert verdicts.not_marked(Wish(), error).message == "The API is away. Nothing was deleted."
    assert verdicts.not_marked(Wish(), TemporaryError("No.")).remedy == "Then run again."
    assert verdicts.store_closed("store", error).status == "error"


@pytest.mark.parametrize(
    ("count", "text"), [(999, "999 bytes"), (1_500, "1.5 kB"), (2_000_000, "2.0 MB"), (3_000_000_000, "3.0 GB")]
)
def test_bytes_are_written_as_people_read_them(count, text):
    assert verdicts.size(count) == text


def test_an_artifact_without_a_key_is_named_by_its_id():
    plan = Facts(runs=[ran()], artifacts=[ARTIFACT._replace(key=None, age_from=NOW - 47 * HOUR)]).plan(BOTH)
    change = verdicts.planned_changes(plan, NOW, Outcome.SKIPPED, "Because.")[0]
    assert change.subject.name == "id"
    assert change.reason == "expired, 47 hours old, 5 characters: its rules keep artifacts 1d. Because."
