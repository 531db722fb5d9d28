"""What all four kinds of policy have in common: exceptions, days, references, names, and what is never shown."""

from datetime import date, datetime

import pytest
from pydantic import ValidationError
from support.rule_catalogue import all_rules

from blocks.policies.kinds import KINDS
from blocks.policies.loader import load_policies
from blocks.policies.rule_ids import POLICY_EDITED
from flows.reporting.publishing import POLICY_INTACT
from rules.policy_exceptions import EXCEPTION_EXPIRED

ENTRY = {"owner": "o", "reason": "r", "expires": "2027-01-01"}
SECRET = {"name": "s", "store": "env-file-store/local", "key": "K", "every": "30d"}
KEEP = {"name": "everything", "match": {"all": True}, "results": "7d"}
FIELDS = {
    "RotationPolicy": {"secrets": [SECRET]},
    "PlacementPolicy": {"pools": [{"name": "p"}]},
    "RetentionPolicy": {"stores": [{"block": "default"}], "rules": [KEEP]},
    "AccessPolicy": {"directory": "prefect-server-directory/self-hosted"},
}
OWN_RULE = {
    "RotationPolicy": "rotation-due",
    "PlacementPolicy": "pool-mismatch",
    "RetentionPolicy": "results-past-retention",
    "AccessPolicy": "auth-required",
}


def policy(kind, **fields):
    return KINDS[kind]()(**{"version": 1, "name": "production", **FIELDS[kind], **fields})


def refusals(kind, **fields):
    with pytest.raises(ValidationError) as caught:
        policy(kind, **fields)
    return [(e["type"], e["loc"], e.get("ctx", {}).get("hint", "")) for e in caught.value.errors()]


def told(tmp_path, text):
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    return [str(problem).removeprefix(f"{path}:") for problem in load_policies([path]).problems]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("misspelt", [True, False])
def test_an_exception_names_a_rule_that_the_flow_of_its_policy_can_report(kind, misspelt):
    rule = OWN_RULE[kind]
    refused = refusals(kind, exceptions=[{**ENTRY, "subject": "*", "rule": rule[:-1] if misspelt else "no-such-rule"}])

    assert [(code, place) for code, place, _ in refused] == [("P066", ("exceptions", 0, "rule"))]
    assert not misspelt or refused[0][2] == f"Did you mean `{rule}`?"
    for known in (rule, POLICY_EDITED):
        assert policy(kind, exceptions=[{**ENTRY, "subject": "*", "rule": known}])


def test_exceptions_are_checked_although_another_field_is_wrong():
    exceptions = [{**ENTRY, "subject": "*", "rule": "pool-mismach"}]

    assert [code for code, _, _ in refusals("PlacementPolicy", name="Not OK", exceptions=exceptions)] == [
        "string_pattern_mismatch",
        "P066",
    ]


def test_every_rule_but_that_on_exceptions_can_be_excused_somewhere():
    excusable = frozenset[str]().union(*(KINDS[kind]().excusable for kind in KINDS))

    assert excusable == all_rules().keys() - {EXCEPTION_EXPIRED.id}
    assert POLICY_INTACT.id == POLICY_EDITED


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("version", [True, 2, "1"])
def test_only_the_number_one_is_a_version(kind, version):
    assert refusals(kind, version=version)


def test_a_version_that_is_true_is_told_as_an_unknown_version(tmp_path):
    text = "kind: AccessPolicy\nversion: true\nname: production\ndirectory: a/b\n"

    assert told(tmp_path, text) == ["2:10: P041 `version` is not known. This release supports 1."]


def with_day(kind, where, day):
    entry = {**ENTRY, "expires": day}
    if where == "exceptions":
        return policy(kind, exceptions=[{**entry, "rule": POLICY_EDITED, "subject": "*"}]).exceptions[0]
    if where == "holds":
        return policy("RetentionPolicy", holds=[{**entry, "match": {"all": True}}]).holds[0]
    return policy("AccessPolicy", not_checkable=[{**entry, "check": "tls-in-front"}]).not_checkable[0]


@pytest.mark.parametrize("where", ["exceptions", "holds", "not_checkable"])
@pytest.mark.parametrize(
    "day",
    ["1893456000", 1893456000, "2027-03-31T00:00:00Z", "2027-03-31T00:00:00", "2027-02-30", "20270331", "2027-W01-1",
     " 2027-03-31", "2027-03-31\n", "٢٠٢٧-03-31", datetime(2027, 3, 31), None],  # noqa: DTZ001 - a naive time is bad input
)  # fmt: skip
def test_a_day_is_written_in_exactly_one_way(where, day):
    with pytest.raises(ValidationError) as caught:
        with_day("RotationPolicy", where, day)

    assert {e["type"] for e in caught.value.errors()} == {"date_type"}


@pytest.mark.parametrize("where", ["exceptions", "holds", "not_checkable"])
@pytest.mark.parametrize("day", ["2027-03-31", date(2027, 3, 31)])
def test_a_day_is_read_from_its_text_or_from_a_date(where, day):
    assert with_day("RotationPolicy", where, day).expires == date(2027, 3, 31)


@pytest.mark.parametrize("slug", ["/", "a-/-", "-/a", "a/", "/a", "a/b/c", "a", "A/b", "a/b\n", "a--b/c"])
def test_a_reference_is_a_type_and_a_name(slug):
    assert refusals("AccessPolicy", directory=slug)
    assert refusals("RotationPolicy", secrets=[{**SECRET, "store": slug}])
    assert refusals("RotationPolicy", secrets=[{**SECRET, "target": slug}])
    assert refusals("RetentionPolicy", stores=[{"block": slug}])


@pytest.mark.parametrize("name", ["/", "nightly/", "/books", "nightly"])
def test_deployments_are_a_flow_and_a_deployment(name):
    hold = {**ENTRY, "match": {"deployments": [name]}}
    constraint = {"name": "c", "deployments": {"names": [name]}, "require": "a=b"}

    assert [code for code, _, _ in refusals("RetentionPolicy", holds=[hold])] == ["P061"]
    assert [code for code, _, _ in refusals("PlacementPolicy", constraints=[constraint])] == ["P061"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["production-findings", "production-changes"])
def test_a_name_that_would_make_the_artifact_keys_of_another_policy_is_refused(kind, name):
    assert [(code, place) for code, place, _ in refusals(kind, name=name)] == [("P044", ("name",))]
    assert policy(kind, name=f"{name}-too").name == f"{name}-too"


def test_all_that_contradicts_itself_in_a_rotation_policy_is_told_at_once():
    pair = {"username": "U", "password": "U"}
    wrong = {"name": "one", "store": "a/b", "keys": pair, "every": "1h"}
    twice = [SECRET, SECRET, {**SECRET, "name": "other"}]

    one, other = refusals("RotationPolicy", secrets=[wrong]), refusals("RotationPolicy", secrets=twice)

    assert [(code, place[2:]) for code, place, _ in one] == [
        ("P045", ("keys", "password")),
        ("P121", ("keys",)),
        ("P122", ("every",)),
    ]
    assert [place[1:] for _, place, _ in other] == [(1, "name"), (1, "key"), (2, "key")]


def test_all_that_contradicts_itself_in_a_retention_policy_is_told_at_once():
    refused = refusals("RetentionPolicy", stores=[], rules=[KEEP, KEEP, KEEP], grace="59s")

    assert [(code, place) for code, place, _ in refused] == [
        ("P045", ("rules", 1, "name")),
        ("P045", ("rules", 2, "name")),
        ("P114", ("grace",)),
        ("P115", ()),
    ]


def test_all_checks_that_are_declared_twice_are_told_at_once():
    entry = {**ENTRY, "check": "tls-in-front"}

    refused = refusals("AccessPolicy", not_checkable=[entry, entry, entry])

    assert [place for _, place, _ in refused] == [("not_checkable", 1, "check"), ("not_checkable", 2, "check")]


PLACEMENT = "kind: PlacementPolicy\nversion: 1\nname: production\n"
CONSTRAINT = PLACEMENT + "pools: [{{name: p}}]\nconstraints: [{{name: c, require: 'a=b', deployments: SELECTION}}]\n"
RETENTION = "kind: RetentionPolicy\nversion: 1\nname: production\nstores: [{{block: default}}]\n"
ROTATION = "kind: RotationPolicy\nversion: 1\nname: production\nsecrets:\n- {{name: s, store: a/b, key: K, every: 30d"
NEVER_SHOWN = {
    "P061 in a constraint": CONSTRAINT.replace("SELECTION", "{{names: ['{value}']}}"),
    "P061 in a constraint, with a slash": CONSTRAINT.replace("SELECTION", "{{names: ['{value}/']}}"),
    "P061 in a hold": RETENTION + "rules: [{{name: r, match: {{deployments: ['{value}']}}, results: 7d}}]\n",
    "P060": CONSTRAINT.replace("SELECTION", "{{pools: ['{value}']}}"),
    "P060 hint": PLACEMENT + "pools: [{{name: '{value}'}}]\n"
    "constraints: [{{name: c, require: 'a=b', deployments: {{pools: [other]}}}}]\n",
    "P045": PLACEMENT + "pools: [{{name: p, labels: {{a: b}}, queues: [{{name: '{value}'}}, {{name: '{value}'}}]}}]\n",
    "P062 key": PLACEMENT + "vocabulary: {{a: [b]}}\npools: [{{name: p, labels: {{'{value}': b}}}}]\n",
    "P062 value": PLACEMENT + "vocabulary: {{a: [b]}}\npools: [{{name: p, labels: {{a: '{value}'}}}}]\n",
    "P062 hint": PLACEMENT + "vocabulary: {{a: ['{value}']}}\npools: [{{name: p, labels: {{a: other}}}}]\n",
    "P062 selector": PLACEMENT + "vocabulary: {{a: [b]}}\npools: [{{name: p, accepts: 'a={value}'}}]\n",
    "P057": PLACEMENT + "pools: [{{name: p, accepts: 'a={value},a=b'}}]\n",
    "P050": PLACEMENT + "pools: [{{name: p, accepts: 'a {value} b'}}]\n",
    "P058": PLACEMENT + "pools: [{{name: p, accepts: 'a in (b) {value}'}}]\n",
    "P054": PLACEMENT + "pools: [{{name: p, labels: {{'{value}_/x': b}}}}]\n",
    "P059": PLACEMENT + "pools: [{{name: p, labels: {{'prefect.x-{value}/y': b}}}}]\n",
    "P064": PLACEMENT + "pools: [{{name: p, labels: {{a: '{value}'}}, queues: [{{name: q, labels: {{a: b}}}}]}}]\n",
    "P066": PLACEMENT + "pools: [{{name: p}}]\n"
    "exceptions: [{{rule: '{value}', subject: s, owner: o, reason: r, expires: '2027-01-01'}}]\n",
    "P073 zone": ROTATION + ", window: 'Sun 02:00-06:00 {value}'}}\n",
    "P073": ROTATION + ", window: '{value}'}}\n",
    "P072": RETENTION + "rules: [{{name: r, match: {{all: true}}, results: '{value}'}}]\n",
    "P111": RETENTION.replace("default", "'{value}'") + "rules: [{{name: r, match: {{all: true}}, results: 7d}}]\n",
}  # fmt: skip


@pytest.mark.parametrize("where", NEVER_SHOWN)
@pytest.mark.parametrize(
    "value", ["8472910365", "deadbeefdeadbeefdeadbeefdeadbeef", "a1b2c3d4-e5f6-4789-8abc-def012345678"]
)
def test_what_is_no_short_plain_word_is_never_shown(where, value, tmp_path):
    problems = told(tmp_path, NEVER_SHOWN[where].format(value=value))

    assert problems
    assert value not in "\n".join(problems)


@pytest.mark.parametrize("value", ["two words", "with`back`quotes", "Hunter+2", "x" * 41])
@pytest.mark.parametrize("where", ["P060", "P060 hint", "P045", "P061 in a hold", "P066", "P073"])
def test_free_text_is_never_shown(where, value, tmp_path):
    problems = told(tmp_path, NEVER_SHOWN[where].format(value=value))

    assert problems
    assert value not in "\n".join(problems)


def test_a_short_plain_word_is_shown_as_it_helps(tmp_path):
    (problem,) = told(tmp_path, NEVER_SHOWN["P062 value"].format(value="hihg"))

    assert problem.endswith("the vocabulary has no value `hihg` for `a`. Known: `b`.")
