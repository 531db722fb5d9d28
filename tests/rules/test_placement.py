"""Constraints and deployments: who is governed, who is where it may not be, and why."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.placement_policy import (
    BOTH,
    HIGH,
    NOW,
    STANDARD,
    Queued,
    Required,
    Selected,
    Wanted,
    books,
    failures,
    judge,
    of,
)

from rules.findings import Severity, Status, Subject
from rules.placement import RULES, Deployment, Estate, Gap, judge_placement
from rules.placement.governing import governed, label_readings, selects, tag_label

POLICY = Wanted([HIGH, STANDARD])


def test_a_deployment_in_a_fitting_pool_passes():
    findings = judge(POLICY, books())

    assert failures(findings) == []
    assert of(findings, "pool-mismatch").message == "Work pool high fulfils constraint high-security-flows."


def test_a_deployment_in_the_wrong_pool_fails_and_the_reason_names_the_label_and_the_pools_that_fit():
    finding = of(judge(POLICY, books("standard")), "pool-mismatch")

    assert (finding.status, finding.severity) == (Status.FAIL, Severity.HIGH)
    assert finding.subject == Subject("deployment", "id-books:high-security-flows", "nightly/books")
    assert finding.message == (
        "Work pool standard breaks constraint high-security-flows. `security=high` does not hold: label security is "
        "`standard`, not `high`. It would fit high."
    )


def test_where_no_declared_pool_fits_the_reason_says_so():
    assert (
        "No declared work pool would fit it."
        in of(judge(Wanted([STANDARD]), books("standard")), "pool-mismatch").message
    )


def test_a_pool_that_does_not_accept_the_deployment_is_not_suggested():
    picky = Wanted([replace(HIGH, accepts="team=finance"), STANDARD])

    assert "No declared work pool would fit it." in of(judge(picky, books("standard")), "pool-mismatch").message


def test_a_pool_that_fits_in_one_queue_only_is_suggested_with_the_queue():
    queued = replace(STANDARD, labels={}, queues=[Queued("open"), Queued("secure", {"security": "high"})])

    assert (
        "It would fit standard (queue secure)."
        in of(judge(Wanted([queued]), books("standard")), "pool-mismatch").message
    )


def test_a_deployment_that_two_constraints_govern_has_a_finding_for_each():
    policy = Wanted([HIGH, STANDARD], [Required(), Required("tagged", require="security")])

    ids = {f.subject.id: f.status for f in of(judge(policy, books("standard")), "pool-mismatch")}

    assert ids == {"id-books:high-security-flows": Status.FAIL, "id-books:tagged": Status.PASS}


def test_a_pool_that_the_policy_does_not_declare_fulfils_nothing_not_even_a_negation():
    policy = Wanted([HIGH], [Required(require="security!=low")])

    finding = of(judge(policy, books("standard")), "pool-undeclared")

    assert finding.severity is Severity.HIGH
    assert "not declared in the policy, so nothing is known of it" in finding.message


def test_a_governed_deployment_without_a_pool_fails():
    finding = of(judge(POLICY, books(None)), "deployment-unmanaged")

    assert finding.status is Status.FAIL
    assert "It would fit high." in finding.message


def test_the_labels_of_a_queue_add_to_those_of_its_pool():
    queued = replace(HIGH, labels={"environment": "production"}, queues=[Queued("secure", {"security": "high"})])
    policy = Wanted([queued], [Required(require="security=high,environment=production")])

    assert of(judge(policy, books(queue="secure")), "pool-mismatch").status is Status.PASS
    assert of(judge(policy, books(queue="default")), "pool-mismatch").status is Status.FAIL


def test_what_only_a_queue_fulfils_is_a_low_finding_as_any_run_may_choose_another():
    queued = replace(HIGH, labels={}, queues=[Queued("secure", {"security": "high"})])

    finding = of(
        judge(Wanted([queued]), books(queue="secure"), books(queue="secure", name="more")), "queue-no-boundary"
    )

    assert finding.severity is Severity.LOW
    assert finding.subject.name == "high-security-flows on high, queue secure"


def test_what_holds_only_because_a_label_is_missing_is_a_low_finding():
    policy = Wanted([replace(HIGH, labels={})], [Required(require="security!=standard")])

    finding = of(judge(policy, books(), books(queue="other", name="more")), "absence-matches")

    assert finding.subject.name == "high-security-flows on high"
    assert (finding.severity, finding.status) == (Severity.LOW, Status.FAIL)


def test_a_constraint_that_is_off_is_skipped_and_governs_nothing():
    policy = Wanted([HIGH, STANDARD], [Required(mode="off")])

    findings = judge(policy, books("standard"))

    assert failures(findings) == []
    assert of(findings, "constraint-off").status is Status.SKIPPED
    assert governed(policy, [books()]) == []


@pytest.mark.parametrize(
    ("mode", "severity"), [("audit", Severity.HIGH), ("enforce", Severity.HIGH), ("warn", Severity.LOW)]
)
def test_a_constraint_that_warns_weighs_less(mode, severity):
    policy = Wanted([HIGH, STANDARD], [Required(mode=mode)])

    assert of(judge(policy, books("standard")), "pool-mismatch").severity is severity


def test_a_constraint_that_governs_nothing_is_a_low_finding():
    finding = of(judge(POLICY, books(tags=())), "constraint-idle")

    assert (finding.severity, finding.status) == (Severity.LOW, Status.FAIL)


@pytest.mark.parametrize(
    ("selection", "hit"),
    [
        (Selected(tags=["pii", "security:high"]), True),
        (Selected(tags=["pii"]), False),
        (Selected(names=["nightly/*"]), True),
        (Selected(names=["*/books"]), True),
        (Selected(names=["Nightly/*"]), False),
        (Selected(pools=["high"]), True),
        (Selected(pools=["standard"]), False),
        (Selected(tags=["security:high"], names=["hourly/*"]), False),
        (Selected(tags=["security:high"], names=["nightly/*"], pools=["high"]), True),
    ],
)
def test_a_selection_needs_one_hit_in_each_list_that_is_given(selection, hit):
    assert selects(selection, books()) is hit


def test_a_pool_refuses_a_deployment_whose_tags_do_not_match_what_it_accepts():
    policy = Wanted([replace(HIGH, accepts="security=high")], [])

    finding = of(judge(policy, books(tags=["team:web"])), "pool-refuses")

    assert (finding.severity, finding.status) == (Severity.HIGH, Status.FAIL)
    assert "label security is missing" in finding.message


def test_a_pool_accepts_a_deployment_with_the_tag():
    policy = Wanted([replace(HIGH, accepts="security=high")], [])

    assert of(judge(policy, books()), "pool-refuses").status is Status.PASS


def test_a_deployment_with_two_values_for_a_key_is_accepted_only_if_both_are():
    tags = ["security:high", "security:standard"]
    one, both = replace(HIGH, accepts="security=high"), replace(HIGH, accepts="security in (high,standard)")

    assert of(judge(Wanted([one], []), books(tags=tags)), "pool-refuses").status is Status.FAIL
    assert of(judge(Wanted([both], []), books(tags=tags)), "pool-refuses").status is Status.PASS


@pytest.mark.parametrize("accepts", ["security=high", "team!=web", "!draft", "team in (web,data)", "level>1"])
@given(tags=st.lists(st.sampled_from(["security:high", "team:web", "team:data", "draft:1", "level:2", "level:1", "x"])))
def test_no_tag_order_changes_whether_a_pool_accepts(accepts, tags):
    policy = Wanted([replace(HIGH, accepts=accepts)], [])

    forth = of(judge(policy, books(tags=tags)), "pool-refuses").status
    back = of(judge(policy, books(tags=tags[::-1])), "pool-refuses").status

    assert forth is back


@pytest.mark.parametrize(
    ("tag", "label"),
    [
        ("security:high", ("security", "high")),
        ("security:", ("security", "")),
        ("example.com/team:web", ("example.com/team", "web")),
        ("nightly", None),
        ("see: this", None),
        ("https://example.com", None),
        ("prefect.worker.name:w", None),
    ],
)
def test_a_tag_of_the_form_key_value_makes_a_label(tag, label):
    assert tag_label(tag) == label


def test_each_further_value_of_a_key_is_a_reading_of_its_own():
    assert label_readings(["a:1", "b:1", "a:2", "x", "a:1"]) == [{"a": "1", "b": "1"}, {"a": "2", "b": "1"}]


VOCABULARY = {"security": ["high", "standard"], "team": []}


@pytest.mark.parametrize(
    ("tag", "meant"),
    [
        ("security:hihg", " Did you mean security:high?"),
        ("security:zzz", ""),
        ("secuirty:high", " Did you mean security:high?"),
        ("Security:High", " Did you mean security:high?"),
    ],
)
def test_a_tag_that_looks_mistyped_is_reported_with_what_it_may_mean(tag, meant):
    finding = of(judge(Wanted([HIGH], vocabulary=VOCABULARY), books(tags=[tag])), "tag-unknown")

    assert finding.message == f"Its tag {tag} is not in the policy's vocabulary.{meant}"
    assert finding.severity is Severity.MEDIUM


@pytest.mark.parametrize("tag", ["security:high", "team:anything", "owner:me", "nightly", "secuirty:other"])
def test_a_tag_that_is_known_or_none_of_ours_is_left_alone(tag):
    assert of(judge(Wanted([HIGH], vocabulary=VOCABULARY), books(tags=[tag])), "tag-unknown") == []


def test_deployments_under_no_constraint_are_one_passing_line():
    others = [books(tags=(), name=f"toy-{n}") for n in range(7)]

    finding = of(judge(POLICY, books(), *others), "deployments-ungoverned")

    assert (finding.status, finding.severity) == (Status.PASS, Severity.INFO)
    assert finding.message.startswith("7 of 8 deployments are under no constraint: nightly/toy-0,")
    assert finding.message.endswith("and 2 more.")


def test_a_list_that_could_not_be_read_is_an_error_and_the_other_rules_still_speak():
    gap = Gap(Subject("list", "work pools", "work pools"), "It did not answer.", "Run again.")

    findings = judge(POLICY, books("standard"), pools=None, gaps=[gap])

    assert failures(findings) == ["pool-mismatch"]
    assert of(findings, "placement-unseen").status is Status.ERROR


def test_without_deployments_only_pools_are_judged():
    findings = judge_placement(POLICY, Estate(BOTH, None, None), NOW)

    assert {f.rule for f in findings} == {"pool-id-changed"}


names = st.sampled_from(["high", "standard", "other", None])
deployments = st.builds(
    lambda n, pool, tags: Deployment(f"id-{n}", "nightly", f"d{n}", tuple(tags), pool, "default" if pool else None),
    st.integers(0, 5),
    names,
    st.lists(st.sampled_from(["security:high", "security:standard", "x"]), max_size=2),
)


@given(st.lists(deployments, max_size=6, unique_by=lambda d: d.id))
def test_every_governed_deployment_has_exactly_one_verdict_for_each_constraint(chosen):
    findings = judge(Wanted([HIGH, STANDARD]), *chosen)

    verdicts = [f for f in findings if f.rule in ("pool-mismatch", "pool-undeclared", "deployment-unmanaged")]
    passed = {f.subject.id for f in verdicts if f.status is Status.PASS}
    governed_ids = {f"{d.id}:high-security-flows" for d in chosen if "security:high" in d.tags}
    assert sorted(f.subject.id for f in verdicts) == sorted(governed_ids)
    assert passed == {f"{d.id}:high-security-flows" for d in chosen if "security:high" in d.tags and d.pool == "high"}


@given(st.lists(deployments, max_size=6, unique_by=lambda d: d.id))
def test_no_two_findings_have_the_same_identity(chosen):
    policy = Wanted(
        [replace(HIGH, accepts="security=high"), STANDARD], [Required(), Required("second", require="security")]
    )

    identities = [f.identity for f in judge(policy, *chosen)]

    assert len(identities) == len(set(identities))


def test_the_catalogue_names_each_rule_once_in_kebab_case():
    ids = [rule.id for rule in RULES]

    assert len(ids) == len(set(ids))
    assert all(re.fullmatch("[a-z]+(-[a-z]+)*", id_) for id_ in ids)
    assert all(rule.title for rule in RULES)
