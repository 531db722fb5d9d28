"""What a person orders for a run: which secrets, and what to do with them."""

from datetime import UTC, datetime

import pytest

from blocks.policies.rotation import RotationPolicy
from flows.rotating.orders import check, chosen, order_of
from rules.errors import BadInputError
from rules.rotation import Action

NOW = datetime(2026, 3, 1, tzinfo=UTC)
POLICY = RotationPolicy(
    version=1,
    name="p",
    blackouts=["2026-12-24"],
    secrets=[{"name": n, "store": "env-file-store/x", "key": n.upper(), "every": "30d"} for n in ("one", "two")],
)


def names(wanted):
    return [entry.name for entry in chosen(POLICY, wanted)]


def test_no_names_mean_all_secrets():
    assert names([]) == ["one", "two"]


def test_named_secrets_are_chosen_with_the_blackouts_of_all():
    assert names(["two"]) == ["two"]
    assert list(chosen(POLICY, ["two"])[0].blackouts) == ["2026-12-24"]


def test_an_unknown_name_is_refused():
    with pytest.raises(BadInputError, match="has no secret"):
        check(POLICY, ["one", "three"], "rotate", accept_outage=False)


@pytest.mark.parametrize("action", ["roll-back", "emergency"])
def test_what_is_drastic_needs_names(action):
    with pytest.raises(BadInputError, match="named"):
        check(POLICY, [], action, accept_outage=False)
    check(POLICY, ["one"], action, accept_outage=False)


def test_an_outage_is_accepted_in_an_emergency_only():
    with pytest.raises(BadInputError, match="emergency"):
        check(POLICY, ["one"], "rotate", accept_outage=True)
    check(POLICY, ["one"], "emergency", accept_outage=True)


def test_an_emergency_counts_from_the_run():
    order = order_of("emergency", NOW, accept_outage=True)
    assert (order.action, order.since, order.accept_outage) == (Action.EMERGENCY, NOW, True)
    assert order_of("rotate", NOW, accept_outage=False).since is None
