import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version
from support.postures import posture

from rules.advisories import ADVISORIES, PACKAGES, client_advisories, server_advisories
from rules.findings import Severity, Status
from rules.posture.observations import Unseen

SERVER_TABLE = [
    ("3.8.8", set()),
    ("3.9.1", set()),
    ("3.8.8+12.gabc1234.dirty", set()),
    ("4.0.0rc1", set()),
    ("3.7.5", set()),
    ("3.7.4", {"PrefectHQ/prefect#22252"}),
    ("3.6.28", {"PrefectHQ/prefect#22252"}),
    ("3.6.28.dev2", {"PrefectHQ/prefect#22252"}),
    ("3.6.28.dev1", {"PrefectHQ/prefect#22252", "CVE-2026-7724"}),
    ("3.6.22", {"PrefectHQ/prefect#22252", "CVE-2026-7724"}),
    ("3.6.22.dev3", {"PrefectHQ/prefect#22252", "CVE-2026-7724", "CVE-2026-3514"}),
    ("3.6.21", {"PrefectHQ/prefect#22252", "CVE-2026-7724", "CVE-2026-3514"}),
    ("3.6.13", {"PrefectHQ/prefect#22252", "CVE-2026-7724", "CVE-2026-3514", "CVE-2026-7723"}),
    ("2.20.17", {"PrefectHQ/prefect#22252", "CVE-2026-7724", "CVE-2026-3514", "CVE-2026-7723"}),
]
CLIENT_TABLE = [
    ({"prefect": "3.8.3", "prefect-github": "0.4.3"}, set()),
    ({"prefect": "3.8.2"}, {"PrefectHQ/prefect#22819"}),
    ({"prefect": "3.6.24"}, {"PrefectHQ/prefect#22819", "CVE-2026-5366"}),
    ({"prefect": "3.6.21"}, {"PrefectHQ/prefect#22819", "CVE-2026-5366", "PrefectHQ/prefect#21047"}),
    ({"prefect": "3.8.3", "prefect-github": "0.4.2"}, {"CVE-2026-3515"}),
]


def hits(findings):
    return {f.subject.name for f in findings if f.status is Status.FAIL}


@pytest.mark.parametrize(("version", "expected"), SERVER_TABLE)
def test_a_server_is_held_against_the_advisories_before_whose_fix_it_is(version, expected):
    assert hits(server_advisories(posture(version=version))) == expected


@pytest.mark.parametrize(("packages", "expected"), CLIENT_TABLE)
def test_packages_are_held_against_the_advisories_that_concern_clients(packages, expected):
    assert hits(client_advisories(posture(packages=packages))) == expected


def test_a_version_without_weakness_is_one_passed_finding():
    (found,) = server_advisories(posture(version="3.8.8"))

    assert found.status is Status.PASS
    assert found.message == "No known advisory affects prefect 3.8.8."


def test_each_advisory_is_a_finding_of_its_own_with_its_severity_and_its_fix():
    found = {f.subject.name: f for f in server_advisories(posture(version="3.6.21"))}

    assert found["CVE-2026-3514"].severity is Severity.HIGH
    assert found["CVE-2026-3514"].remedy == "Upgrade prefect to 3.6.22 or later."
    assert found["CVE-2026-7724"].severity is Severity.LOW
    assert len({f.identity for f in found.values()}) == len(found)


@pytest.mark.parametrize("version", ["0+unknown", "0+unknown.dirty", "", "latest", "3.8.8; rm"])
def test_a_version_that_says_nothing_is_not_judged(version):
    (found,) = server_advisories(posture(version=version))

    assert found.status is Status.ERROR


def test_a_version_that_was_not_seen_is_not_judged():
    (found,) = server_advisories(posture(version=Unseen("the server answered 404")))

    assert found.status is Status.ERROR


def test_every_advisory_has_an_id_of_its_own_and_a_fix_that_is_a_version():
    ids = [identifier for a in ADVISORIES for identifier in a.ids]

    assert len(ids) == len(set(ids))
    assert all(Version(a.fixed) for a in ADVISORIES)
    assert {a.concerns for a in ADVISORIES} == {"server", "client"}
    assert PACKAGES == ("prefect", "prefect-github")


@given(st.sampled_from(ADVISORIES), st.tuples(*[st.integers(0, 40)] * 3), st.tuples(*[st.integers(0, 40)] * 3))
def test_a_later_version_never_has_a_weakness_that_an_earlier_one_had_lost(advisory, one, other):
    earlier, later = sorted(Version(".".join(map(str, v))) for v in (one, other))

    assert advisory.affects(earlier) or not advisory.affects(later)
    assert not advisory.affects(Version(advisory.fixed))
