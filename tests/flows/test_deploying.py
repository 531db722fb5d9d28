"""Everything that Prefect would accept and fail on at run time is found before anything is deployed."""

from dataclasses import replace

import pytest

from flows.deploying.checking import flow_name, problems
from flows.deploying.reading import Deployment, read_deployments, reference
from rules.errors import BadInputError

GOOD = Deployment(
    name="production",
    entrypoint="flows.report_rbac_drift.report_rbac_drift",
    work_pool="high-security",
    parameters={"policy": {"$ref": {"block_document_slug": "access-policy/production"}}, "mode": "audit"},
    schedules=({"slug": "daily", "cron": "5 6 * * *", "timezone": "UTC", "active": False},),
    keys=frozenset({"name", "entrypoint", "work_pool", "parameters"}),
    pull=[],
)


def found(deployment, blocks=("access-policy/production",)):
    return list(problems([deployment], {"high-security"}, lambda slug: slug in blocks))


def test_a_complete_deployment_has_no_problem():
    assert found(GOOD) == []
    assert flow_name(GOOD) == "report-rbac-drift"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"work_pool": "nowhere"}, "the work pool nowhere does not exist"),
        ({"pull": None}, "`pull` must be []"),
        ({"keys": GOOD.keys | {"labels"}}, "Prefect ignores `labels` here"),
        ({"schedules": ({"cron": "5 6 * * *"},)}, "each schedule needs a `slug`"),
        ({"schedules": ({"slug": "a", "cron": "99 6 * * *"},)}, "a schedule's `cron` or `timezone`"),
        ({"schedules": ({"slug": "a", "cron": "5 6 * * *", "timezone": "Rome"},)}, "a schedule's `cron` or `timezone`"),
        ({"schedules": ({"slug": "a", "cron": "5 6 * * *", "active": "on"},)}, "`active` of a schedule"),
        ({"entrypoint": "flows/verify_placement.py:verify_placement"}, "the entrypoint must be a module path"),
        ({"entrypoint": "flows.nothing.nothing"}, "the entrypoint does not load (ModuleNotFoundError)"),
        ({"parameters": GOOD.parameters | {"polices": 1}}, "the flow has no parameter polices"),
        ({"parameters": {}}, "the parameter policy has no value"),
        ({"parameters": {"policy": "production"}}, "must refer to a block"),
        (
            {"parameters": {"policy": {"$ref": {"block_document_slug": "secret/x"}}}},
            "but must be of type access-policy",
        ),
        ({"parameters": GOOD.parameters | {"mode": "enforcing"}}, "the parameter mode does not fit"),
    ],
)
def test_each_problem_is_named_with_its_deployment(change, problem):
    (text,) = found(replace(GOOD, **change))

    assert text.startswith("deployment production of ")
    assert problem in text


def test_a_policy_that_does_not_exist_is_found():
    (text,) = found(GOOD, blocks=())

    assert "refers to access-policy/production, which does not exist" in text


def test_all_problems_come_at_once():
    assert len(found(replace(GOOD, work_pool="nowhere", pull=None, parameters={}))) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        ("deployments: [", ":1:15: this is not YAML"),
        ("", "has no list of complete deployments"),
        ("deployments: [{name: x}]", "has no list of complete deployments"),
        ("deployments: 3", "has no list of complete deployments"),
        ("deployments: []", "has no list of complete deployments"),
        ("deployments: [{name: '', entrypoint: x, work_pool: {name: x}}]", "has no list of complete deployments"),
        ("deployments: [{name: x, entrypoint: x, work_pool: {name: [x]}}]", "has no list of complete deployments"),
        ("deployments: [{name: x, entrypoint: x, work_pool: {name: x}, parameters: abc}]", "has no list of complete"),
    ],
)
def test_a_file_that_is_no_prefect_yaml_is_refused(tmp_path, text, message):
    path = tmp_path / "prefect.yaml"
    if text is not None:
        path.write_text(text)

    with pytest.raises(BadInputError, match=message.replace("[", r"\[")):
        read_deployments(path)


def test_a_file_that_is_no_utf_8_is_refused(tmp_path):
    path = tmp_path / "prefect.yaml"
    path.write_bytes(b"deployments: [{name: \xe9}]")

    with pytest.raises(BadInputError, match="has no list of complete deployments"):
        read_deployments(path)


@pytest.mark.parametrize("value", ["x", {}, {"$ref": "x"}, {"$ref": {"block_document_id": "1"}}, None])
def test_only_a_slug_is_a_reference(value):
    assert reference(value) is None
