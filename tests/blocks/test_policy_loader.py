"""The loader as a whole: files and folders, everything at once, no value shown, and nothing it cannot survive."""

import os
import string
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.trial_policy import GOOD, TRIAL_KINDS, TrialPolicy

from blocks.policies.loader import load_policies
from blocks.policies.problems import SHOWN_PROBLEMS
from blocks.policies.secret_shapes import holds_secret

YAMLISH = st.text(
    alphabet=string.ascii_letters + "0129 \n\n\n::--[]{}&*!|>'\"#%@`,?~\t\\.\u202e\ufeff\x00", max_size=80
)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "policy.yaml"


def load(path, content=None):
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load_policies([path], TRIAL_KINDS)


def codes(loaded):
    return [problem.code for problem in loaded.problems]


def test_a_good_document_becomes_a_block_with_its_digest(tmp_path):
    loaded = load(tmp_path / "policy.yaml", GOOD)

    (only,) = loaded.policies
    assert loaded.problems == ()
    assert isinstance(only.policy, TrialPolicy)
    assert only.policy.digest == only.policy.compute_digest() != ""
    assert only.path == tmp_path / "policy.yaml"


def test_the_digest_depends_on_meaning_and_not_on_layout(tmp_path):
    one = load(tmp_path / "one.yaml", GOOD)
    two = load(
        tmp_path / "two.yaml",
        '# said otherwise\nname: "trial"\nkind: TrialPolicy\nthings: [{every: 30d, name: one}]\nversion: 1\n',
    )

    assert one.policies[0].policy.digest == two.policies[0].policy.digest


def test_aliases_within_limits_are_read(tmp_path):
    loaded = load(tmp_path / "policy.yaml", GOOD + "vocabulary: {a: &words [x, y], b: *words}\n")

    assert loaded.policies[0].policy.vocabulary == {"a": ["x", "y"], "b": ["x", "y"]}


def test_a_missing_file_is_told(tmp_path):
    path = tmp_path / "none.yaml"

    assert str(load(path).problems[0]) == f"{path}:1:1: P001 cannot read the policy: no such file. Check the path."


def test_a_pipe_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")

    assert codes(load(tmp_path / "pipe.yaml")) == ["P002"]


def test_a_folder_named_like_a_policy_is_not_read(tmp_path):
    (tmp_path / "policy.yaml").mkdir()

    assert codes(load(tmp_path)) == ["P002"]


def test_a_file_that_may_not_be_read_is_told(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(GOOD)
    path.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        loaded = load(path)
    finally:
        os.seteuid(user)

    assert codes(loaded) == ["P003"]


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000])
def test_a_path_that_cannot_exist_is_told(name):
    assert codes(load(Path(name))) == ["P001"]


def test_a_folder_means_its_yaml_files_in_order(tmp_path):
    for name in ("b.yml", "a.yaml"):
        (tmp_path / name).write_text(GOOD.replace("trial", f"trial-{name[0]}"))
    (tmp_path / "notes.txt").write_text("no policy")

    assert [entry.path.name for entry in load(tmp_path).policies] == ["a.yaml", "b.yml"]


def test_a_folder_without_policies_is_told(tmp_path):
    assert codes(load(tmp_path)) == ["P001"]


def test_a_file_named_twice_is_read_once(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(GOOD)

    loaded = load_policies([tmp_path, path, path], TRIAL_KINDS)

    assert (len(loaded.policies), loaded.problems) == (1, ())


def test_two_files_with_one_name_are_told(tmp_path):
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(GOOD)

    (problem,) = load(tmp_path).problems

    assert (problem.path.name, problem.line, problem.code) == ("b.yaml", 3, "P045")
    assert f"also at {tmp_path / 'a.yaml'}:3" in problem.message


def test_everything_wrong_in_all_files_is_told_at_once_in_order(tmp_path):
    (tmp_path / "a.yaml").write_text("kind: TrialPolicy\nversion: 2\nthings:\n  - {name: One, mode: of, cuont: 1}\n")
    (tmp_path / "b.yaml").write_text("a: [\n")
    (tmp_path / "c.yaml").write_text(GOOD + "max_changes: 1.5\nplaces: no\nexceptions: [{}]\n")

    told = [f"{p.path.name}:{p.line}:{p.column}:{p.code}" for p in load(tmp_path).problems]

    assert told == [
        "a.yaml:1:1:P040", "a.yaml:2:10:P041", "a.yaml:4:12:P044", "a.yaml:4:23:P046", "a.yaml:4:27:P042",
        "b.yaml:2:1:P013",
        "c.yaml:6:14:P030", "c.yaml:7:9:P030", *["c.yaml:8:14:P040"] * 2, *["c.yaml:8:14:P070"] * 3,
    ]  # fmt: skip


def test_a_good_file_is_loaded_beside_a_bad_one(tmp_path):
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "b.yaml").write_text("")

    loaded = load(tmp_path)

    assert (len(loaded.policies), codes(loaded)) == (1, ["P010"])


def test_of_a_union_only_the_branch_that_was_meant_is_told(tmp_path):
    loaded = load(tmp_path / "p.yaml", GOOD + "places: [{block: x, exclusive: maybe}, {folder: y, depth: a}, 5]\n")

    assert [(p.column, p.code) for p in loaded.problems] == [(32, "P043"), (59, "P043"), (63, "P043")]


def test_endless_problems_are_counted_and_not_all_shown(tmp_path):
    loaded = load(tmp_path / "p.yaml", "".join(f"{n}: x\n" for n in range(1000)))

    assert len(loaded.problems) == SHOWN_PROBLEMS + 1
    assert codes(loaded)[-1] == "P099"


def test_names_of_keys_under_keys_are_no_secrets(tmp_path):
    text = GOOD.replace("every: 30d", "keys: {username: WAREHOUSE_USER, password: WAREHOUSE_PASSWORD}")

    assert load(tmp_path / "p.yaml", text).problems == ()


def test_a_problem_is_one_printable_line(tmp_path):
    path = tmp_path / "a\x1b[31m\nb.yaml"

    line = str(load(path, "a: [").problems[0])

    assert line.isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "AKIAIOSFODNN7EXAMPLE",
        "pnu_abcdef1234567890",
        "pnb_abcdef1234567890",
        "xoxb-1234-5678-abcdef",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "postgresql://app:hunter2@db/app",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "the password is kX9pQ2vLm4Rt7Yz1Wb6Nc3Hd",
        "u7g3k9d2m5x8q1z4w6p0s",
    ],
)  # fmt: skip
def test_a_secret_is_recognised(text):
    assert holds_secret(text)


@pytest.mark.parametrize(
    "text",
    [
        "security=high,environment in (production)",
        "Sun 02:00-06:00 Europe/Rome",
        "WAREHOUSE_ADMIN_PASSWORD_2026",
        "prefect-server-directory/self-hosted",
        "ProductionWarehouse2024Reader",
        "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db-AbCdEf",
        "https://prefect.example.com:4200/api",
        "a-rather-long-name-of-a-deployment-2026-11",
        "npm_registry_mirror and pypi-mirror-internal",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGx7Gf9Kq2LmZp4Rt8Vw3Ny6Bc1Hd5Js0",
    ],
)
def test_a_name_or_a_digest_is_no_secret(text):
    assert not holds_secret(text)


HIDDEN_AT = {
    "value": "{GOOD}places: {secret}\n",
    "key": "{GOOD}{secret}: x\n",
    "kind": "kind: {secret}\nversion: 1\n",
    "name": "kind: TrialPolicy\nversion: 1\nname: {secret}\nthings: [{{name: one}}]\n",
    "mode": "kind: TrialPolicy\nversion: {secret}\nname: a\nthings: [{{name: one, mode: {secret}, every: {secret}}}]\n",
    "broken": "a: [{secret}\nb: {secret}: c\n",
    "tag": "a: !{secret} x\n",
    "anchor": "a: *{secret}\n",
    "two names": "kind: TrialPolicy\nversion: 1\nname: a\nthings: [{{name: {secret}}}, {{name: {secret}}}]\n",
    "two keys": "{secret}: 1\n{secret}: 2\n",
    "password": "{GOOD}password: {secret}\n",
}  # fmt: skip


@pytest.mark.parametrize("where", HIDDEN_AT)
@pytest.mark.parametrize(
    "secret",
    ["ghp_16C7e42F292c6912E7710c838347Ae178B4a", "kX9pQ2vLm4Rt7Yz1Wb6Nc3Hd", "Hunter-2.with+signs", "8472910365"],
)
def test_no_message_shows_a_value(where, secret, tmp_path):
    loaded = load(tmp_path / "p.yaml", HIDDEN_AT[where].format(GOOD=GOOD, secret=secret))

    assert loaded.problems
    assert secret not in "\n".join(map(str, loaded.problems))


def survives(path, content):
    loaded = load(path, content)
    assert loaded.problems or loaded.policies
    assert all(str(problem).isprintable() for problem in loaded.problems)


@settings(max_examples=300, deadline=None)
@given(content=st.binary(max_size=200))
def test_no_bytes_make_it_raise(scratch, content):
    survives(scratch, content)


@settings(max_examples=300, deadline=None)
@given(text=YAMLISH)
def test_no_text_makes_it_raise(scratch, text):
    survives(scratch, text.encode())


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_no_damage_to_a_good_document_makes_it_raise(scratch, data):
    text = GOOD + "places: [{block: a}, {folder: b, depth: 1}]\nvocabulary: {a: [b]}\nmax_changes: 3\n"
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 12)))

    survives(scratch, (text[:start] + data.draw(YAMLISH) + text[end:]).encode())
