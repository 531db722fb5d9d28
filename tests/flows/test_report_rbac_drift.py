"""The access report end to end: a guarded server with a credential, the shared open one, and what cannot be reached."""

import base64
import json
import uuid
from pathlib import Path

import httpx
import pytest
from support import canary, guarded_server, prefect_server
from support.guarded_server import AUTH, FERNET, HALVES, client_of

from blocks.access_directories.prefect_server import PrefectServerDirectory
from blocks.policies.access import AccessPolicy
from blocks.policies.loader import load_policies
from flows.report_rbac_drift import report_rbac_drift
from rules.access import DECLARABLE
from rules.findings import Severity, Status
from rules.reports import Report


@pytest.fixture(scope="module")
def guarded(tmp_path_factory, migrated_database):
    """A server with auth string, CSRF protection, restricted CORS and the encryption key in its environment."""
    home = tmp_path_factory.mktemp("guarded-drift")
    with prefect_server.running(home, migrated_database, guarded_server.SETTINGS) as server:
        with client_of(server, AUTH):
            directory = PrefectServerDirectory(api_url=server.url, database=str(server.database), timeout_seconds=30)
            directory.save("self-hosted")
        yield server


def policy_for(directory="prefect-server-directory/self-hosted", **more):
    return AccessPolicy(version=1, name=f"access-{uuid.uuid4().hex[:12]}", directory=directory, **more)


def shared_directory(server, **fields):
    """Save a directory of the shared server; return its slug."""
    name = f"d{uuid.uuid4().hex[:12]}"
    PrefectServerDirectory(**{"api_url": server.url, "timeout_seconds": 30, **fields}).save(name)
    return f"prefect-server-directory/{name}"


def run(policy, mode="audit"):
    """Run the flow for real; return its final state, its report and its findings by rule."""
    state = report_rbac_drift(policy, mode=mode, return_state=True)
    result = state.result(raise_on_failure=False)
    report = result if isinstance(result, Report) else result.report
    return state, report, {f.rule: f for f in report.findings}


def headers_for(server):
    """What a client of the guarded server sends: the credential, and a CSRF token."""
    headers = {"Authorization": "Basic " + base64.b64encode(AUTH.encode()).decode(), "Prefect-Csrf-Client": "scan"}
    token = httpx.get(f"{server.url}/csrf-token", params={"client": "scan"}, headers=headers).raise_for_status().json()
    return {**headers, "Prefect-Csrf-Token": token["token"]}


def declared(check, expires="2099-12-31"):
    return {"check": check, "owner": "platform", "reason": "out of reach", "expires": expires}


def test_a_guarded_server_completes_and_says_that_it_has_no_roles(guarded):
    with client_of(guarded, AUTH):
        state, report, found = run(policy_for())

    assert state.is_completed(), [f for f in report.findings if f.status is Status.ERROR or f.failed]
    assert set(found) == DECLARABLE | {"server-answers"}
    assert found["rbac-not-available"].status is Status.SKIPPED
    assert found["encryption-key-outside-database"].status is Status.PASS
    assert {r for r, f in found.items() if f.status is Status.FAIL} == {
        "non-ascii-credential",
        "schema-private",
        "ui-settings-private",
    }


def test_the_credential_shows_up_nowhere(guarded, caplog, capfd):
    with client_of(guarded, AUTH):
        _, report, _ = run(policy_for(), mode="enforce")
        prefect_server.drain()
    written = capfd.readouterr()
    secrets = [AUTH, *HALVES, FERNET]
    outputs = (caplog.text, written.out, written.err, json.dumps(report.to_json()), repr(report))

    assert [canary.search(text.encode(), "output", secrets) for text in outputs] == [[]] * 5
    assert canary.scan_api(guarded.url, secrets, headers_for(guarded)) == []
    assert canary.scan_database(guarded.database, secrets) == []
    assert canary.scan_files(guarded.home, secrets) == []


def test_the_artifacts_of_the_report_are_on_the_server(guarded):
    policy = policy_for()
    with client_of(guarded, AUTH):
        _, report, _ = run(policy)
        from prefect.artifacts import Artifact

        artifact = Artifact.get(f"vigiles-report-rbac-drift-{policy.name}")

    assert report.verdict in artifact.data
    assert "rbac-not-available" in artifact.data


def test_enforce_mode_changes_nothing_and_says_so(guarded):
    with client_of(guarded, AUTH):
        state, report, found = run(policy_for(), mode="enforce")

    assert state.is_completed()
    assert found["enforce-not-available"].status is Status.SKIPPED
    assert report.changes == ()


def test_an_open_server_with_its_key_in_the_database_fails_the_run(prefect_api):
    directory = shared_directory(prefect_api, database=str(prefect_api.database))
    state, report, found = run(policy_for(directory))

    assert state.is_failed()
    assert report.status is Status.FAIL
    assert (found["auth-required"].status, found["auth-required"].severity) == (Status.FAIL, Severity.HIGH)
    assert found["encryption-key-outside-database"].status is Status.FAIL
    assert found["cors-restricted"].severity is Severity.HIGH
    assert found["wrong-credential-refused"].status is Status.SKIPPED


def test_a_check_out_of_reach_is_unchecked_until_the_policy_declares_it(prefect_api):
    directory = shared_directory(prefect_api)
    check = "encryption-key-outside-database"
    state, _, found = run(policy_for(directory))
    _, report, accepted = run(policy_for(directory, not_checkable=[declared(check)]))
    _, _, expired = run(policy_for(directory, not_checkable=[declared(check, "2020-01-01")]))

    assert state.message.startswith("Unchecked")
    assert found[check].status is Status.ERROR
    assert (accepted[check].status, report.status) == (Status.SKIPPED, Status.FAIL)
    assert "expired on 2020-01-01" in expired[check].message


def test_an_accepted_failure_is_skipped_with_its_reason(prefect_api):
    directory = shared_directory(prefect_api)
    accepted = {"rule": "csrf-protection", "subject": "http://127.0.0.1:*/api", "owner": "platform"}
    _, _, found = run(policy_for(directory, exceptions=[{**accepted, "reason": "soon", "expires": "2099-12-31"}]))

    assert found["csrf-protection"].status is Status.SKIPPED


def test_of_prefect_cloud_nothing_is_checked_and_the_run_says_so(prefect_api):
    url = "https://api.prefect.cloud/api/accounts/1b/workspaces/2c"
    state, report, _ = run(policy_for(shared_directory(prefect_api, api_url=url)))

    (finding,) = report.findings
    assert (finding.rule, finding.status) == ("access-observed", Status.ERROR)
    assert "drift on Cloud follows" in finding.message
    assert state.message.startswith("Unchecked")


def test_a_directory_that_does_not_exist_is_unchecked(prefect_api):
    state, report, _ = run(policy_for("prefect-server-directory/missing"))

    (finding,) = report.findings
    assert (finding.status, finding.subject.name) == (Status.ERROR, "prefect-server-directory/missing")
    assert "could not be loaded" in finding.message
    assert state.is_failed()


def test_a_server_that_is_not_there_is_unchecked_and_never_green(prefect_api):
    directory = shared_directory(prefect_api, api_url=f"http://127.0.0.1:{prefect_server.free_port()}/api")
    everything = [declared(check) for check in DECLARABLE]
    _, report, found = run(policy_for(directory, not_checkable=everything))

    assert report.status is Status.ERROR
    assert {f.rule for f in report.findings if f.status is Status.PASS} <= {"tls-in-front", "client-advisories"}
    assert found["server-answers"].status is Status.ERROR


def test_the_run_form_offers_a_drop_down_of_policies():
    schema = report_rbac_drift.parameters.model_dump()

    assert schema["required"] == ["policy"]
    assert schema["definitions"]["AccessPolicy"]["block_type_slug"] == "access-policy"
    assert schema["properties"]["mode"]["default"] == "audit"


def test_the_example_policy_is_valid_and_names_its_directory():
    loaded = load_policies([Path(__file__).parents[2] / "policies" / "access.yaml"])

    assert loaded.problems == ()
    (example,) = loaded.policies
    assert example.policy.references() == ("prefect-server-directory/self-hosted",)


def test_a_policy_names_the_blocks_that_it_refers_to():
    assert policy_for().references() == ("prefect-server-directory/self-hosted",)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"directory": "self-hosted"}, "pattern"),
        ({"not_checkable": [declared("server-answers")]}, "no check that can be out of reach"),
        ({"not_checkable": [declared("csrf-protection")] * 2}, "has an entry already"),
        ({"not_checkable": [{"check": "csrf-protection"}]}, "owner"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        policy_for(**fields)
