from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.postures import GUARDED, SERVER, posture

from rules import access
from rules.access import Access, judge_access
from rules.findings import Finding, Severity, Status
from rules.modes import ENFORCE_NOT_AVAILABLE, enforce_not_available
from rules.posture.observations import Answer, KeyPlace, Posture, Transport, Unseen, is_loopback

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
GONE = Unseen("the server did not answer within 10 s")
LOCAL = {"transport": Transport("http", "127.0.0.1"), "beyond_loopback": False}
OPEN = dict.fromkeys(("anonymous", "wrong", "empty", "non_ascii", "suffix"), Answer.SERVED)
PROBED = [f.name for f in fields(Posture) if f.name not in ("server", "transport", "packages", "beyond_loopback")]


@dataclass(frozen=True)
class Entry:
    check: str
    owner: str = "platform"
    reason: str = "the database is out of reach."
    expires: date = date(2027, 1, 31)


@dataclass(frozen=True)
class Wish:
    not_checkable: tuple[Entry, ...] = ()


def judge(seen: Posture, *entries: Entry) -> dict[str, Finding]:
    found = judge_access(Access(SERVER, seen), Wish(entries), NOW)
    return {f.rule: f for f in found}


def test_a_guarded_server_has_nothing_to_find_but_that_it_has_no_roles():
    found = judge(GUARDED)

    assert {rule for rule, f in found.items() if f.status is not Status.PASS} == {"rbac-not-available"}
    assert set(found) == access.DECLARABLE | {"server-answers"}


FAILURES = [
    ({"anonymous": Answer.SERVED}, "auth-required", Severity.CRITICAL, "who can reach the server"),
    ({"anonymous": Answer.SERVED, **LOCAL}, "auth-required", Severity.HIGH, "on this machine"),
    (
        {"anonymous": Answer.SERVED, **LOCAL, "beyond_loopback": GONE},
        "auth-required",
        Severity.CRITICAL,
        "who can reach",
    ),
    ({"anonymous": Answer.SERVED, **LOCAL, "beyond_loopback": True}, "auth-required", Severity.CRITICAL, "who can"),
    ({"wrong": Answer.SERVED}, "wrong-credential-refused", Severity.CRITICAL, "accepted a made-up credential"),
    ({"empty": Answer.SERVED}, "empty-credential-refused", Severity.CRITICAL, "accepted the empty credential"),
    ({"empty": Answer.SERVED, **LOCAL}, "empty-credential-refused", Severity.HIGH, "accepted the empty credential"),
    ({"non_ascii": Answer.BROKE}, "non-ascii-credential", Severity.INFO, "500"),
    ({"non_ascii": Answer.SERVED, **LOCAL}, "non-ascii-credential", Severity.INFO, "accepted"),
    ({"suffix": Answer.SERVED}, "auth-covers-every-path", Severity.CRITICAL, "ending in health"),
    ({"sockets": {"/b": Answer.SERVED, "/a": Answer.REFUSED}}, "websocket-auth", Severity.HIGH, "let in at /b."),
    ({"csrf": False}, "csrf-protection", Severity.MEDIUM, "without a CSRF token"),
    ({"foreign_origin": "*"}, "cors-restricted", Severity.MEDIUM, "access-control-allow-origin: *"),
    ({"foreign_origin": "*", **OPEN}, "cors-restricted", Severity.HIGH, "any page open in a browser"),
    ({"transport": Transport("http", "10.0.0.7")}, "tls-in-front", Severity.HIGH, "not encrypted"),
    ({"transport": Transport("https", "10.0.0.7", verified=False)}, "tls-in-front", Severity.HIGH, "not checked"),
    ({"schema": ("/docs", "/redoc")}, "schema-private", Severity.LOW, "/docs, /redoc"),
    ({"ui_settings": ("auth", "csrf_enabled")}, "ui-settings-private", Severity.INFO, "auth, csrf_enabled"),
    ({"shown_headers": ("X-A", "X-B")}, "custom-headers-masked", Severity.MEDIUM, "every holder"),
    ({"shown_headers": ("X-A",), **OPEN}, "custom-headers-masked", Severity.HIGH, "to anybody: X-A"),
    ({"encryption_key": KeyPlace.DATABASE}, "encryption-key-outside-database", Severity.HIGH, "copy of every secret"),
]


@pytest.mark.parametrize(("changes", "rule", "severity", "message"), FAILURES)
def test_each_weakness_is_a_failed_finding_with_a_remedy(changes, rule, severity, message):
    found = judge(posture(**changes))[rule]

    assert (found.status, found.severity) == (Status.FAIL, severity)
    assert message in found.message
    assert found.remedy


@pytest.mark.parametrize("name", PROBED)
def test_what_could_not_be_seen_is_never_passed(name):
    before, after = judge(GUARDED), judge(posture(**{name: GONE}))
    changed = [f for rule, f in after.items() if f != before[rule]]

    assert changed
    assert {f.status for f in changed} == {Status.ERROR}
    assert all("did not answer within 10 s" in f.message and f.remedy for f in changed)


@pytest.mark.parametrize("name", ["anonymous", "wrong", "empty", "suffix"])
def test_a_server_that_breaks_on_a_request_has_not_refused_it(name):
    broken = [f for f in judge(posture(**{name: Answer.BROKE})).values() if f.status is Status.ERROR]

    assert ["the server broke on" in f.message for f in broken] == [True]


def test_what_follows_from_asking_for_no_credential_is_not_reported_again():
    found = judge(posture(**OPEN, sockets={"/events/in": Answer.SERVED}))

    follows = [f for f in found.values() if "see `auth-required`" in f.message]
    assert {f.status for f in follows} == {Status.SKIPPED}
    assert len(follows) == 5
    assert found["auth-required"].status is Status.FAIL


def test_the_report_says_what_the_one_credential_can_do():
    closed, opened = (judge(posture(**c))["rbac-not-available"] for c in ({}, OPEN))

    assert (closed.status, closed.severity) == (Status.SKIPPED, Severity.INFO)
    assert "read every secret block" in closed.message
    assert opened.message.endswith("asks nobody even for that.")


def test_a_server_with_accounts_is_not_taken_for_one_without_roles():
    found = judge(posture(accounts=True))["rbac-not-available"]

    assert found.status is Status.ERROR
    assert "Drift on Cloud follows" in found.message


def test_plain_http_is_accepted_where_requests_stay_on_the_machine():
    assert judge(posture(**LOCAL))["tls-in-front"].status is Status.PASS


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.8.9.1", "::1"])
def test_this_machine_is_loopback(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "", "prefect", "10.0.0.1", "localhost.example.com"])
def test_any_other_host_is_not_loopback(host):
    assert not is_loopback(host)


def test_nothing_is_judged_where_nothing_was_observed():
    (found,) = judge_access(Access(SERVER, Unseen("this is Prefect Cloud")), Wish(), NOW)

    assert (found.rule, found.status) == ("access-observed", Status.ERROR)
    assert found.message == "Nothing was checked: this is Prefect Cloud."


def test_a_check_declared_out_of_reach_is_skipped_with_owner_reason_and_expiry():
    found = judge(posture(encryption_key=GONE), Entry("encryption-key-outside-database"))

    skipped = found["encryption-key-outside-database"]
    assert (skipped.status, skipped.remedy) == (Status.SKIPPED, "")
    assert skipped.message.startswith(
        "Not checkable, accepted by platform until 2027-01-31: the database is out of reach. This could not be seen"
    )


@pytest.mark.parametrize(("expires", "status"), [(NOW.date(), Status.SKIPPED), (date(2026, 11, 22), Status.ERROR)])
def test_a_declaration_holds_through_its_last_day(expires, status):
    found = judge(posture(csrf=GONE), Entry("csrf-protection", expires=expires))["csrf-protection"]

    assert found.status is status
    assert ("expired on 2026-11-22" in found.message) is (status is Status.ERROR)


def test_a_declaration_never_hides_what_was_seen():
    everything = [Entry(rule) for rule in access.DECLARABLE]
    worst = posture(**OPEN, csrf=False, foreign_origin="*", encryption_key=KeyPlace.DATABASE)

    assert judge(worst, *everything) == judge(worst)


def test_a_server_that_is_not_there_cannot_be_declared_away():
    nothing = replace(GUARDED, **dict.fromkeys(PROBED, GONE), packages={})
    found = judge(nothing, *[Entry(rule) for rule in access.DECLARABLE])

    assert found["server-answers"].status is Status.ERROR


@given(st.sets(st.sampled_from(PROBED)), st.sets(st.sampled_from(sorted(access.DECLARABLE))))
def test_findings_are_the_same_set_whatever_could_be_seen(unseen, declared):
    found = judge(posture(**dict.fromkeys(unseen, GONE)), *[Entry(rule) for rule in declared])

    assert set(found) == set(judge(GUARDED))
    assert all(found[rule].status is not Status.ERROR for rule in declared)


def test_enforce_mode_is_answered_where_there_is_nothing_to_enforce():
    (found,) = enforce_not_available("enforce", "production", "This flow only reports.")

    assert (found.rule, found.status, found.severity) == (ENFORCE_NOT_AVAILABLE.id, Status.SKIPPED, Severity.INFO)
    assert "nothing was done. This flow only reports." in found.message
    assert enforce_not_available("audit", "production", "This flow only reports.") == ()
