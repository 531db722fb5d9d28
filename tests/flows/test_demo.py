"""The demo runs for real, from an empty folder, and what it prints is what it observed."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def folder():
    # Not below pytest's private folder: where we are root, PostgreSQL runs as another user.
    path = Path(tempfile.mkdtemp(prefix="vigiles-test-demo-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def demo(folder):
    """The demo as a user starts it, in an environment that knows no Prefect server."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")} | {"TMPDIR": str(folder)}
    command = [str(Path(sys.executable).parent / "vigiles"), "demo"]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    reports = {path.stem: json.loads(path.read_text()) for path in folder.glob("vigiles-demo-*/reports/*.json")}
    return done, reports


def test_it_ends_well_and_without_a_traceback(demo):
    done, _ = demo

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_it_shows_all_four_flows_in_both_modes(demo):
    assert len(demo[1]) == 8


def test_every_verdict_it_prints_is_that_of_a_report(demo):
    done, reports = demo

    for name, document in reports.items():
        flow, mode = name.rsplit("-", 1)
        summary = document["summary"]
        row = rf"^{flow} +{mode} +{summary['pass']} +{summary['fail']} +{summary['skipped']} +{summary['error']} +"
        assert re.search(row + rf"{len(document['changes'])}$", done.stdout, re.MULTILINE)


def test_audit_plans_what_enforce_then_does(demo):
    _, reports = demo

    for flow in ("rotate-secrets", "enforce-retention"):
        assert {change["outcome"] for change in reports[f"{flow}-audit"]["changes"]} == {"planned"}
        assert {change["outcome"] for change in reports[f"{flow}-enforce"]["changes"]} == {"done"}
        assert reports[f"{flow}-enforce"]["status"] == "pass"


def test_it_finds_the_deployments_that_break_their_constraint(demo):
    failed = {f["rule"] for f in demo[1]["verify-placement-audit"]["findings"] if f["status"] == "fail"}

    assert {"pool-mismatch", "run-misplaced", "deployment-unmanaged"} <= failed


def test_it_leaves_no_server_behind(demo):
    processes = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout

    assert "night-watch" not in processes
