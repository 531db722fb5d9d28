"""The distribution: what it owns, what it pins, what it imports, and what prefect.yaml names."""

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from flows.deploying.checking import problems
from flows.deploying.reading import read_deployments

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FLOWS = ["rotate_secrets", "verify_placement", "enforce_retention", "report_rbac_drift"]


def test_no_other_distribution_owns_our_package_names():
    owners = importlib.metadata.packages_distributions()

    for package in ("flows", "blocks", "rules"):
        assert set(owners.get(package, ["vigiles"])) == {"vigiles"}


def test_prefect_and_fastapi_are_pinned_to_what_runs_together():
    pins = {r.name: str(r.specifier) for r in map(Requirement, PROJECT["dependencies"])}

    assert pins["prefect"] == "<4,>=3.8.8"
    assert pins["fastapi"] == "<0.151,>=0.139"


def test_the_lock_carries_pins_and_hashes_and_no_address():
    lock = (ROOT / "requirements.lock").read_text()
    pinned = re.findall(r"^([a-z0-9._-]+)(?:\[[a-z,]+\])?==", lock, re.MULTILINE)

    assert "://" not in lock
    assert len(pinned) > 50
    assert all("--hash=sha256:" in block for block in re.split(r"\n(?=[a-z])", lock.strip()))


def test_every_dependency_is_in_the_lock():
    lock = (ROOT / "requirements.lock").read_text().lower()
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]

    for requirement in map(Requirement, wanted):
        assert requirement.name == "vigiles" or re.search(
            rf"^{requirement.name}(\[.*\])?==", lock, re.MULTILINE | re.IGNORECASE
        )


@pytest.mark.parametrize("name", FLOWS)
def test_importing_a_flow_imports_no_cloud_sdk_and_no_driver(name):
    code = (
        f"import sys, flows.{name}; "
        "print([m for m in sys.modules if m.split('.')[0] in "
        "('boto3', 'botocore', 'prefect_aws', 'prefect_gcp', 'prefect_azure', 'google', 'azure', 'hvac', 'psycopg')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("package", ["flows", "blocks", "rules"])
def test_modules_and_functions_stay_within_their_budgets(package):
    for path in (ROOT / package).rglob("*.py"):
        text = path.read_text()
        assert text.count("\n") <= 300, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                documentation = ast.get_docstring(node, clean=False)
                lines = node.end_lineno - node.lineno - (documentation.count("\n") + 1 if documentation else 0)
                assert lines <= 60, f"{path}:{node.name}"


def test_every_entrypoint_of_prefect_yaml_loads_and_its_parameters_bind():
    deployments = read_deployments(ROOT / "prefect.yaml")

    assert len(deployments) == len(FLOWS)
    assert list(problems(deployments, {"high-security"}, lambda slug: slug.endswith("-policy/production"))) == []


def test_every_deployment_is_labelled_described_and_inactive():
    import yaml

    for entry in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]:
        assert entry["tags"] == ["vigiles", "security:high"]
        assert entry["description"].count("\n") == 0
        assert entry["parameters"]["mode"] == "audit"
        assert [schedule["active"] for schedule in entry["schedules"]] == [False]
