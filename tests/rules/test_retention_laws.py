"""Laws of retention over arbitrary workspaces: whatever the runs, caches, holds and clocks, what is needed is kept."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.retention_facts import HOUR, NOW, Facts, Held, Keep, Meant, Wish, condemned, live, ran, task_of

from rules.retention.judging import Judge
from rules.retention.observed import Artifact, Metadata, Reference, Run, StoredObject
from rules.retention.planning import still_condemned
from rules.retention.standings import nanoseconds

LAWS = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow]
)
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
STATES = (*ENDED * 16, "RUNNING", "PAUSED", "SCHEDULED", None)
KEYS = ("a", "b", "c", "d/e", "d/f", "g.lock", "parameters/h", "a.json")
IDS = ("f1", "f2", "f3", "t1", "t2", "t3", "t4")

# The first of each list is what hypothesis draws most: it leads to something being condemned, or the laws were empty.
instants = st.sampled_from([400, 300, 200, 100, 100, 50, 2, 1, 0]).map(lambda ago: NOW - timedelta(hours=ago))
expirations = st.sampled_from([-50, -1, -1, None, None, 0, 1]).map(lambda h: None if h is None else NOW + h * HOUR)
periods = st.sampled_from([1, 1, 2, 50, 90, 350, None]).map(lambda h: None if h is None else h * HOUR)
tags = st.frozensets(st.sampled_from(["pii", "books"]), max_size=2)


@st.composite
def a_run(draw, run_id: str) -> Run:
    is_flow = run_id.startswith("f")
    state = draw(st.sampled_from(STATES))
    ended = draw(instants) if state in ENDED else None
    owner = draw(st.sampled_from([None, None, "f1", "f2", "f3"]))
    return Run(
        run_id,
        draw(st.sampled_from(["books", "news", None])),
        draw(st.sampled_from(["books/x", "", None])),
        draw(tags),
        state,
        draw(st.sampled_from([0, 0, 2])),
        draw(st.integers(1, 3)),
        draw(instants) if state in ENDED else draw(st.none() | instants),
        ended,
        None if owner == run_id else owner,
        is_flow,
    )


some_match = st.sampled_from(
    [Meant(all=True), Meant(all=True), Meant(tags=("pii",)), Meant(flows=("books",)), Meant(deployments=("books/*",))]
)


@st.composite
def a_policy(draw) -> Wish:
    rules = draw(
        st.lists(
            st.builds(
                Keep,
                name=st.sampled_from(["one", "two"]),
                match=some_match,
                unless=st.sampled_from([None, None, None, Meant(tags=("pii",))]),
                results=periods,
                artifacts=periods,
                keep_last=st.sampled_from([None, None, None, 1, 2]),
            ),
            min_size=1,
            max_size=3,
        )
    )
    rules = [replace(rule, name=f"rule-{number}") for number, rule in enumerate(rules)]
    holds = draw(
        st.sampled_from([[]] * 6 + [[Held(match=Meant(tags=("pii",)))], [Held(match=Meant(flows=("books",)))]])
    )
    return Wish(rules=tuple(rules), holds=tuple(holds), caches=draw(st.sampled_from(["expire", "expire", "keep"])))


@st.composite
def a_workspace(draw) -> Facts:
    runs = [draw(a_run(run_id)) for run_id in IDS]
    reference = st.builds(Reference, st.sampled_from(IDS), st.booleans(), expirations)
    keys = KEYS[: draw(st.integers(1, len(KEYS)))]
    objects = [StoredObject(key, 10, nanoseconds(draw(instants)), "1") for key in sorted(keys)]
    metadata = st.sampled_from([1, 1, 0]).flatmap(
        lambda has: st.builds(Metadata, st.just("k"), expirations) if has else st.none()
    )
    artifact = st.builds(
        Artifact, st.uuids().map(str), st.none(), st.sampled_from([*IDS, None]), st.just("u"), instants, st.just(1)
    )
    return Facts(
        runs=runs,
        references={key: found for key in KEYS if (found := draw(st.lists(reference, max_size=2)))},
        objects=objects,
        metadata={key: draw(metadata) for key in keys},
        artifacts=draw(st.lists(artifact, max_size=3)),
        unlocated=draw(st.sampled_from([frozenset(), frozenset(), frozenset({"a"})])),
        exclusive=draw(st.booleans()),
    )


def condemning(verdicts=("expired", "orphan")):
    """Cases in which at least one object is condemned, with the keys of those of the given classes."""

    def keys(case) -> list[str]:
        return [c.object.key for c in case[0].plan(case[1]).objects if c.verdict.verdict in verdicts]

    cases = st.tuples(a_workspace(), a_policy())
    return cases.map(lambda case: (*case, keys(case))).filter(lambda case: case[2])


def refer_from_a_live_run(facts: Facts, key: str, policy: Wish) -> Wish:
    facts.runs.append(live("new", started=NOW))
    facts.references.setdefault(key, []).append(Reference("new", False, None))
    return policy


def refer_from_a_paused_owner(facts: Facts, key: str, policy: Wish) -> Wish:
    facts.runs += [live("new", state="PAUSED", started=NOW), ran("child", owner="new"), task_of("child", "grandchild")]
    facts.references.setdefault(key, []).append(Reference("grandchild", False, None))
    return policy


def refer_from_a_run_that_may_be_retried(facts: Facts, key: str, policy: Wish) -> Wish:
    facts.runs.append(ran("new", state="FAILED", retries=1, run_count=1))
    facts.references.setdefault(key, []).append(Reference("new", False, None))
    return policy


def refer_from_a_run_that_has_just_ended(facts: Facts, key: str, policy: Wish) -> Wish:
    facts.runs.append(ran("new", ago=timedelta(0)))
    facts.references.setdefault(key, []).append(Reference("new", False, None))
    return policy


def hold_everything(facts: Facts, key: str, policy: Wish) -> Wish:
    return replace(policy, holds=(Held(),))


def hold_what_refers_to_it(facts: Facts, key: str, policy: Wish) -> Wish:
    for reference in facts.references.get(key, [])[:1]:
        facts.runs = [r._replace(tags=r.tags | {"evidence"}) if r.id == reference.run else r for r in facts.runs]
    return replace(policy, holds=(Held(match=Meant(tags=("evidence",))),))


def cache_it_by_its_metadata(facts: Facts, key: str, policy: Wish) -> Wish:
    facts.metadata[key] = Metadata("k", NOW + HOUR)
    return policy


def cache_it_for_ever(facts: Facts, key: str, policy: Wish) -> Wish:
    facts.metadata[key] = Metadata("k", None)
    return replace(policy, caches="keep")


def cache_it_by_a_reference(facts: Facts, key: str, policy: Wish) -> Wish:
    facts.runs.append(ran("new", ago=400 * HOUR))
    facts.references.setdefault(key, []).append(Reference("new", True, NOW + HOUR))
    return policy


def write_it_within_the_grace(facts: Facts, key: str, policy: Wish) -> Wish:
    facts.objects = [o._replace(modified_ns=nanoseconds(NOW - HOUR)) if o.key == key else o for o in facts.objects]
    return policy


def lock_it(facts: Facts, key: str, policy: Wish) -> Wish:
    facts.objects.append(StoredObject(key.partition(".")[0] + ".lock", 1, 0, "1"))
    return policy


def refer_to_its_name_from_nowhere(facts: Facts, key: str, policy: Wish) -> Wish:
    facts.unlocated = frozenset({key.rpartition("/")[2]})
    return policy


def let_no_rule_match(facts: Facts, key: str, policy: Wish) -> Wish:
    facts.exclusive = False
    return replace(policy, rules=(Keep(match=Meant(flows=("none-has-this-name",))),))


PROTECTIONS = [
    refer_from_a_live_run,
    refer_from_a_paused_owner,
    refer_from_a_run_that_may_be_retried,
    refer_from_a_run_that_has_just_ended,
    hold_everything,
    hold_what_refers_to_it,
    cache_it_by_its_metadata,
    cache_it_for_ever,
    cache_it_by_a_reference,
    write_it_within_the_grace,
    lock_it,
    refer_to_its_name_from_nowhere,
    let_no_rule_match,
]


@pytest.mark.parametrize("protect", PROTECTIONS)
@given(data=st.data())
@LAWS
def test_one_protection_is_enough_whatever_else_is_true(protect, data):
    facts, policy, keys = data.draw(condemning())
    key = data.draw(st.sampled_from(keys))
    policy = protect(facts, key, policy)
    assert key not in condemned(facts.plan(policy))


@given(condemning(("orphan",)))
@LAWS
def test_without_a_reference_nothing_is_condemned_in_a_shared_store(case):
    facts, policy, keys = case
    facts.exclusive = False
    assert not set(keys) & set(condemned(facts.plan(policy)))


@given(condemning(("orphan",)))
@LAWS
def test_without_a_reference_nothing_bare_is_condemned(case):
    facts, policy, keys = case
    facts.metadata = dict.fromkeys(facts.metadata)
    assert not set(keys) & set(condemned(facts.plan(policy)))


@given(condemning(("orphan",)))
@LAWS
def test_without_a_reference_nothing_younger_than_a_live_run_is_condemned(case):
    facts, policy, keys = case
    facts.runs.append(live("old", started=NOW - 500 * HOUR))
    assert not set(keys) & set(condemned(facts.plan(policy)))


@given(condemning(), st.sampled_from(IDS))
@LAWS
def test_another_reference_never_condemns_what_was_kept(case, run):
    facts, policy, _ = case
    before = set(condemned(facts.plan(policy)))
    for key in facts.references:
        facts.references[key].append(Reference(run, True, None))
    assert set(condemned(facts.plan(policy))) <= before


@given(condemning())
@LAWS
def test_after_a_plan_was_carried_out_nothing_is_left_to_condemn(case):
    facts, policy, keys = case
    plan = facts.plan(policy)
    facts.objects = [listed for listed in facts.objects if listed.key not in keys]
    facts.artifacts = [a for a in facts.artifacts if a not in [c.artifact for c in plan.artifacts]]
    again = facts.plan(policy)
    assert (again.objects, again.artifacts) == ((), ())


@given(condemning(), st.randoms())
@LAWS
def test_the_order_in_which_things_were_seen_does_not_matter(case, random):
    facts, policy, _ = case
    digest = facts.plan(policy).digest
    for seen in (facts.runs, facts.objects, facts.artifacts, *facts.references.values()):
        random.shuffle(seen)
    assert facts.plan(policy).digest == digest


@given(condemning(), a_workspace())
@LAWS
def test_what_is_still_condemned_is_part_of_the_plan_and_of_a_new_one(case, newer):
    facts, policy, _ = case
    plan = facts.plan(policy)
    left = still_condemned(plan, facts.mark, newer.mark, policy, NOW, {"store": facts.metadata})
    assert set(left.objects) <= set(plan.objects)
    assert set(left.artifacts) <= set(plan.artifacts)
    at_work = {run.id for run in newer.runs if run.state not in ENDED}
    merged = {key: [*found, *newer.references.get(key, [])] for key, found in facts.references.items()}
    for key in condemned(left):
        assert not at_work & {reference.run for reference in merged.get(key, [])}


@given(condemning(), st.integers(1, 300))
@LAWS
def test_nothing_condemned_is_kept_later_unless_it_changed(case, hours):
    facts, policy, keys = case
    later = NOW + hours * HOUR
    judge = Judge(replace(facts.mark, started=later), policy, later)
    for listed in facts.objects:
        if listed.key in keys:
            references = facts.references.get(listed.key)
            assert judge.glance(listed, references, frozenset(), facts.exclusive) is None
            assert judge.decide(references, facts.metadata[listed.key]).verdict in {"expired", "orphan"}
