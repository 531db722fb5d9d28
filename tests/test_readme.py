"""The README says what is true: its rules, commands, targets and exit codes exist."""

import re
import subprocess
import sys
from pathlib import Path

from support.rule_catalogue import all_rules, table

from rules.findings import Severity

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_every_rule_stands_in_the_readme_with_its_severity():
    assert table() in README


def test_rule_ids_are_kebab_case_and_what_can_fail_has_a_remedy():
    for rule in all_rules().values():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", rule.id)
        assert rule.title, rule.id
        assert rule.remedy.endswith(".") or rule.severity is Severity.INFO, rule.id


def test_every_make_target_that_the_readme_names_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert set(re.findall(r"`?make ([a-z]+)", README)) <= targets | {"sure"}


def test_every_command_that_the_readme_names_exists():
    done = subprocess.run([sys.executable, "-m", "flows.cli", "--help"], capture_output=True, text=True, check=True)

    for command in set(re.findall(r"vigiles ([a-z]+)[ `\n]", README)) - {"pip"}:
        assert re.search(rf"^ +{command} ", done.stdout, re.MULTILINE), command


def test_the_exit_codes_are_those_of_the_command():
    done = subprocess.run([sys.executable, "-m", "flows.cli", "--help"], capture_output=True, text=True, check=True)

    for code, meaning in re.findall(r"^\| ([0-3]) \| (.+?) ?(?:\(.*\))? \|$", README, re.MULTILINE):
        assert f"{code}  {meaning}" in done.stdout


def test_every_file_that_the_readme_names_exists():
    for name in set(re.findall(r"`((?:docs|policies|benchmarks|flows|blocks|rules)/[a-z0-9_./-]*)`", README)):
        assert (ROOT / name).exists(), name
