"""The placement policy as a document and as a block: what is refused, where, and with which code."""

import time
import uuid
from pathlib import Path

import pytest
from pydantic import ValidationError
from support.placement_policy import NOW

from blocks.policies.interface import KEY
from blocks.policies.loader import load_policies
from blocks.policies.placement import PlacementPolicy
from blocks.policies.problems import SHOWN_PROBLEMS
from rules.placement import Estate, judge_placement

VOCABULARY = {"security": ["high", "standard"], "environment": ["production"], "gpu": [True, False], "cores": []}
POOL = {"name": "high-security", "labels": {"security": "high"}}
CONSTRAINT = {"name": "high-flows", "deployments": {"tags": ["security:high"]}, "require": "security=high"}


def policy(**fields):
    return PlacementPolicy(**{"version": 1, "name": "production", "vocabulary": VOCABULARY, "pools": [POOL], **fields})


def refusals(**fields):
    """What the policy is refused for: code, place and hint of each."""
    with pytest.raises(ValidationError) as caught:
        policy(**fields)
    return [(e["type"], e["loc"], e.get("ctx", {})) for e in caught.value.errors()]


def test_booleans_and_numbers_become_text_in_labels_and_vocabulary():
    chosen = policy(pools=[{"name": "p", "labels": {"gpu": True, "cores": 8}}])

    assert chosen.pools[0].labels == {"gpu": "true", "cores": "8"}
    assert chosen.vocabulary["gpu"] == ["true", "false"]


def test_writing_a_boolean_or_its_text_gives_the_same_digest():
    digests = {policy(pools=[{"name": "p", "labels": {"gpu": value}}]).compute_digest() for value in (True, "true")}

    assert len(digests) == 1


def test_the_policy_satisfies_what_the_rules_ask_of_it():
    findings = judge_placement(policy(constraints=[CONSTRAINT]), Estate((), (), ()), NOW)

    assert [f.rule for f in findings] == ["pool-missing", "constraint-idle"]


def test_without_a_vocabulary_any_label_is_allowed():
    assert policy(vocabulary={}, pools=[{"name": "p", "labels": {"any": "thing"}}]).pools[0].labels == {"any": "thing"}


def test_a_constraint_counts_in_full_unless_it_says_otherwise():
    assert policy(constraints=[CONSTRAINT]).constraints[0].mode == "audit"


LABELS = ("pools", 0, "labels")
REQUIRE = ("constraints", 0, "require")


@pytest.mark.parametrize(
    ("labels", "code", "key", "hint"),
    [
        ({"security": "hihg"}, "P062", "security", "Did you mean `high`?"),
        ({"secruity": "high"}, "P062", "secruity", "Did you mean `security`?"),
        ({"tier": "web"}, "P062", "tier", "Known: `security`, `environment`, `gpu`, `cores`."),
        ({"security": 1.5}, "P030", "security", "Write true"),
        ({"security": None}, "P031", "security", "Write a value"),
        ({"security": "x" * 64}, "P055", "security", "shorter"),
        ({"x" * 64: "high"}, "P054", "x" * 64, "shorter"),
        ({"prefect.worker.name": "w"}, "P059", "prefect.worker.name", "prove nothing"),
    ],
)
def test_a_label_that_cannot_be_used_is_refused_at_its_key(labels, code, key, hint):
    ((found, place, context),) = refusals(pools=[{"name": "p", "labels": labels}])

    assert (found, place[:-1] if place[-1] == KEY else place) == (code, (*LABELS, key))
    assert hint in context["hint"]


@pytest.mark.parametrize(
    ("require", "code", "column"),
    [
        ("security in (high", "P058", 12),
        ("", "P056", 0),
        ("security=high,security=standard", "P057", 14),
        ("security=hihg", "P062", 9),
        ("gpu, security notin (standard,hihg)", "P062", 30),
        ("gpu,secruity=high", "P062", 4),
        ("!secruity", "P062", 1),
        ("prefect.worker.name=w", "P059", 0),
        ("cores>many", "P053", 6),
        ("security Equals high", "P050", 9),
    ],
)
def test_a_selector_that_cannot_be_used_is_refused_at_its_column(require, code, column):
    ((found, place, context),) = refusals(constraints=[{**CONSTRAINT, "require": require}])

    assert (found, place, context["column"]) == (code, REQUIRE, column)


def test_numbers_that_a_selector_compares_with_need_not_be_in_the_vocabulary():
    chosen = policy(vocabulary={**VOCABULARY, "cores": ["4", "8"]}, constraints=[{**CONSTRAINT, "require": "cores>5"}])

    assert chosen.constraints[0].require == "cores>5"


def part(**fields):
    return {"constraints": [{**CONSTRAINT, **fields}]}


@pytest.mark.parametrize(
    ("fields", "code", "place"),
    [
        (part(deployments={}), "P063", ("constraints", 0, "deployments")),
        (part(deployments={"names": ["nightly"]}), "P061", ("constraints", 0, "deployments", "names", 0)),
        (part(deployments={"names": ["/books"]}), "P061", ("constraints", 0, "deployments", "names", 0)),
        (part(deployments={"tags": ["security:hihg"]}), "P062", ("constraints", 0, "deployments", "tags", 0)),
        (part(deployments={"pools": ["nope"]}), "P060", ("constraints", 0, "deployments", "pools", 0)),
        (part(mode=False), "P046", ("constraints", 0, "mode")),
        (part(mode="enforcing"), "literal_error", ("constraints", 0, "mode")),
        ({"pools": [{**POOL, "accepts": "security=hihg"}]}, "P062", ("pools", 0, "accepts")),
        ({"pools": [POOL, POOL]}, "P045", ("pools", 1, "name")),
        ({"pools": [{**POOL, "queues": [{"name": "q"}, {"name": "q"}]}]}, "P045", ("pools", 0, "queues", 1, "name")),
        ({"pools": [{**POOL, "id": "nope"}]}, "uuid_parsing", ("pools", 0, "id")),
        ({"pools": [{**POOL, "label": {}}]}, "extra_forbidden", ("pools", 0, "label")),
        ({"pools": [{**POOL, "labels": "x"}]}, "dict_type", ("pools", 0, "labels")),
        ({"constraints": [CONSTRAINT, CONSTRAINT]}, "P045", ("constraints", 1, "name")),
        ({"pools": [], "constraints": []}, "P065", ()),
        ({"vocabulary": {"security": "high"}}, "list_type", ("vocabulary", "security")),
        ({"vocabulary": {"bad key": ["x"]}}, "P054", ("vocabulary", "bad key", KEY)),
        ({"vocabulary": {"security": ["high", 1.5]}}, "P030", ("vocabulary", "security", 1)),
    ],
)
def test_a_part_that_cannot_be_used_is_refused_at_its_place(fields, code, place):
    assert [(found, at) for found, at, _ in refusals(**fields)] == [(code, place)]


def test_a_queue_adds_labels_and_may_repeat_but_not_change_those_of_its_pool():
    queues = [{"name": "same", "labels": {"security": "high"}}, {"name": "other", "labels": {"security": "standard"}}]

    ((code, place, _),) = refusals(pools=[{**POOL, "queues": queues}])

    assert (code, place) == ("P064", ("pools", 0, "queues", 1, "labels", "security"))


def test_thousands_of_misspelt_labels_are_told_in_seconds():
    vocabulary = {f"key-{n}": ["x"] for n in range(1500)}
    pools = [{"name": f"pool-{n}", "labels": {f"kee-{n}": "x"}} for n in range(1500)]
    begun = time.process_time()

    assert len(refusals(vocabulary=vocabulary, pools=pools)) == 1500
    assert time.process_time() - begun < 5


def test_thousands_of_pools_that_share_their_labels_and_names_are_told_in_seconds():
    values = [f"value-{n}" for n in range(10_000)]
    pools = [{"name": f"pool-{n // 2}", "labels": {"cores": values[n]}} for n in range(10_000)]
    begun = time.process_time()

    assert len(refusals(vocabulary={"cores": values}, pools=pools)) == 5_000
    assert time.process_time() - begun < 5


def test_unknown_labels_past_those_that_are_shown_get_no_hint():
    pools = [{"name": f"pool-{n}", "labels": {f"securit-{n}": "x"}} for n in range(SHOWN_PROBLEMS + 1)]

    hints = [context["hint"] for _, _, context in refusals(pools=pools)]

    assert hints == ["Did you mean `security`?"] * SHOWN_PROBLEMS + [""]


def test_every_fault_between_parts_is_reported_at_once():
    pools = [{"name": "p", "labels": {"security": "hihg"}}, {"name": "p", "labels": {"colour": "red"}}]

    codes = [code for code, _, _ in refusals(pools=pools, constraints=[{**CONSTRAINT, "require": "gpu=maybe"}])]

    assert sorted(codes) == ["P045", "P062", "P062", "P062"]


def test_the_example_policy_is_accepted_and_the_loader_places_a_broken_selector(tmp_path):
    example = Path(__file__).parents[2] / "policies" / "placement.yaml"
    broken = tmp_path / "placement.yaml"
    broken.write_text(example.read_text().replace("in (production)", "in (production"))

    good, bad = load_policies([example]), load_policies([broken])

    assert (len(good.policies), len(good.problems)) == (1, 0)
    line = next(
        n for n, text in enumerate(broken.read_text().splitlines(), 1) if "require: " in text and "#" not in text
    )
    assert [str(p).split(": ")[0].removeprefix(str(broken)) for p in bad.problems] == [f":{line}:45"]


def test_a_saved_policy_is_the_same_when_it_is_loaded(prefect_api):
    name = f"placement-{uuid.uuid4().hex[:8]}"
    chosen = policy(constraints=[CONSTRAINT], pools=[{**POOL, "accepts": "security=high", "queues": [{"name": "q"}]}])

    chosen.save(name, overwrite=True)

    assert PlacementPolicy.load(name).compute_digest() == chosen.compute_digest()
