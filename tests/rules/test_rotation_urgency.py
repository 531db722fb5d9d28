"""In which order secrets are worked on."""

from dataclasses import dataclass
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from support.rotation_world import START

from rules.rotation import Done, Downtime, Journal, Plan
from rules.rotation.urgency import most_urgent_first


@dataclass(frozen=True)
class Waiting:
    name: str
    coming: Plan | None
    journal: Journal


def waiting(name, days=None, *, under_way=False):
    since = START - timedelta(days=days) if days is not None else None
    coming = Plan((), Downtime.NONE, "", Done("", START), START, since)
    return Waiting(name, coming, Journal(pending="p" if under_way else None))


def names(secrets):
    return [secret.name for secret in most_urgent_first(secrets)]


def test_what_was_cut_in_the_middle_comes_first_then_what_is_longest_overdue():
    secrets = [waiting("new", 1), waiting("old", 9), waiting("cut", 0, under_way=True), waiting("never")]
    assert names(secrets) == ["cut", "never", "old", "new"]


def test_what_could_not_be_planned_counts_as_long_overdue():
    assert names([waiting("old", 9), Waiting("unknown", None, Journal())]) == ["unknown", "old"]


@given(st.lists(st.tuples(st.booleans(), st.none() | st.integers(0, 3))))
def test_among_equals_the_order_is_kept(pairs):
    secrets = [waiting(str(n), days, under_way=cut) for n, (cut, days) in enumerate(pairs)]
    ordered = most_urgent_first(secrets)
    for pair in set(pairs):
        alike = [int(s.name) for s in ordered if pairs[int(s.name)] == pair]
        assert alike == sorted(alike)
    assert sorted(names(secrets)) == sorted(s.name for s in secrets)
