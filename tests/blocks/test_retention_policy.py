import pytest
from pydantic import ValidationError

from blocks.policies.retention import RetentionPolicy

RULE = {"name": "everything", "match": {"all": True}, "results": "7d"}
GOOD = {"version": 1, "name": "production", "stores": [{"block": "default"}], "rules": [RULE]}


def errors(**changes) -> dict[str, tuple]:
    with pytest.raises(ValidationError) as refused:
        RetentionPolicy(**{**GOOD, **changes})
    return {error["type"]: error["loc"] for error in refused.value.errors()}


def test_what_is_left_out_is_careful():
    policy = RetentionPolicy(**GOOD)
    assert not policy.stores[0].exclusive
    assert (policy.caches, policy.limits.objects, policy.limits.percent) == ("keep", 10_000, 20)
    assert policy.grace.total_seconds() == 3_600


def test_references_are_the_blocks_and_not_the_default_store():
    stores = [{"block": "default"}, {"block": "local-file-system/results"}]
    assert RetentionPolicy(**{**GOOD, "stores": stores}).references() == ("local-file-system/results",)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"rules": [{**RULE, "match": {}}]}, "P056"),
        ({"rules": [{**RULE, "match": {"tags": []}}]}, "P056"),
        ({"rules": [{**RULE, "unless": {}}]}, "P056"),
        ({"holds": [{"match": {}, "owner": "o", "reason": "r", "expires": "2027-01-01"}]}, "P056"),
        ({"rules": [{**RULE, "match": {"all": True, "tags": ["x"]}}]}, "P112"),
        ({"rules": [{**RULE, "match": {"deployments": ["nightly"]}}]}, "P061"),
        ({"rules": [{**RULE, "results": "7 days"}]}, "P072"),
        ({"rules": [{"name": "x", "match": {"all": True}, "keep_last": 1}]}, "P113"),
        ({"rules": [RULE, RULE]}, "P045"),
        ({"stores": [{"block": "default"}, {"block": "default"}]}, "P045"),
        ({"stores": [{"block": "results"}]}, "P111"),
        ({"stores": []}, "P115"),
        ({"grace": "59s"}, "P114"),
        ({"rules": []}, "too_short"),
        ({"rules": [{**RULE, "keep_last": 0}]}, "greater_than_equal"),
        ({"limits": {"percent": 101}}, "less_than_equal"),
        ({"limits": {"object": 1}}, "extra_forbidden"),
        ({"caches": "delete"}, "literal_error"),
        ({"holds": [{"match": {"all": True}, "reason": "r", "expires": "2027-01-01"}]}, "missing"),
    ],
)
def test_what_could_be_misunderstood_is_refused(changes, code):
    assert code in errors(**changes)


def test_a_policy_of_artifacts_needs_no_store():
    rules = [{"name": "x", "match": {"all": True}, "artifacts": "7d"}]
    assert RetentionPolicy(**{**GOOD, "stores": [], "rules": rules}).stores == []


def test_the_digest_does_not_depend_on_how_a_duration_is_written():
    one, other = (RetentionPolicy(**{**GOOD, "grace": grace}) for grace in ("60m", "1h"))
    assert one.compute_digest() == other.compute_digest()
